"""The generator families, and which of them a model belongs to."""

import os
from pathlib import Path
from typing import Any

from sfhub.errors import InputError, clipped
from sfhub.files import read_json
from sfhub.pipelines.base import SfhubPipeline
from sfhub.pipelines.folder import CONFIG, INDEX, component_classes, is_bare
from sfhub.pipelines.generator import GeneratorPipeline
from sfhub.pipelines.semantic_stylegan import SemanticStyleGANPipeline
from sfhub.pipelines.stylegan import StyleGANPipeline

__all__ = ["FAMILIES", "find_family", "open_pipeline"]

FAMILIES: tuple[type[GeneratorPipeline], ...] = (StyleGANPipeline, SemanticStyleGANPipeline)
"""The pipeline of every family."""


def open_pipeline(name: str | os.PathLike[str], **kwargs: Any) -> GeneratorPipeline:
    """Load a model of whichever family.

    Args:
        name: an alias (`portraits`, `portraits-semantic`), a folder, or a repo id on the Hub.
        **kwargs: as for `SfhubPipeline.from_pretrained`.

    Raises:
        InputError: as `SfhubPipeline.from_pretrained`, or if the model is of no family.
    """
    return _AnyFamily.from_pretrained(name, **kwargs)


class _AnyFamily(SfhubPipeline):
    """Opens a model by the pipeline of its family."""

    @classmethod
    def _family(cls, folder: Path, name: str) -> type[SfhubPipeline]:
        return find_family(folder, name)


def find_family(folder: Path, name: str) -> type[GeneratorPipeline]:
    """The pipeline for a model folder, by the class of its generator, or of the bare network that it is.

    Args:
        folder: as `resolve` gives it.
        name: what the user called it.

    Raises:
        InputError: if no family has such a generator.
    """
    if is_bare(folder):
        found = str(read_json(folder / CONFIG).get("_class_name"))
    else:
        _, found = component_classes(read_json(folder / INDEX)).get("generator", (None, None))
    by_generator = {cls.__name__: family for family in FAMILIES for cls in family._slots()["generator"]}
    if found not in by_generator:
        raise InputError(
            f"{name} holds a {clipped(found or 'model without a generator')}, but a pipeline takes a "
            f"{' or '.join(by_generator)}; use another model."
        )
    return by_generator[found]
