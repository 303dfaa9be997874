"""Make a picture again from the recipe that it carries."""

import logging
import os
from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image

import sfhub
from sfhub.editing.edits import Edit
from sfhub.errors import InputError, short
from sfhub.pipelines.families import open_pipeline
from sfhub.pipelines.generator import GeneratorPipeline
from sfhub.pipelines.hub import ALIASES
from sfhub.pipelines.sample import Sample
from sfhub.steps.png import read_recipe
from sfhub.steps.recipe import Recipe

__all__ = ["open_model", "redo"]

logger = logging.getLogger(__name__)


def redo(
    image: str | os.PathLike[str] | Image.Image,
    model: str | os.PathLike[str] | GeneratorPipeline | None = None,
    *,
    device: str = "cpu",
    background: Image.Image | None = None,
    edits: Sequence[Edit] = (),
    **kwargs: Any,
) -> Sample:
    """Make a picture again from its recipe.

    With the same CPU, number of threads and version of PyTorch it is equal bit for bit, whatever batch it was made in;
    otherwise rounding may move single pixels by a level.

    Args:
        image: a PNG file saved by sfhub, or a picture opened from one.
        model: what to use for the model that the recipe names. None loads that model if it is a built-in one; pictures
            come from strangers, so any other has to be named here (a repo id is then loaded at the recipe's revision).
            A pipeline is used as it is.
        device: where to compute, unless `model` is a pipeline; only a CPU repeats a picture bit for bit.
        background: the photograph behind the picture, if it has one (`SemanticStyleGANPipeline.compose`); a recipe
            holds only its digest.
        edits: those in the picture that are not the model's own, likewise (`sfhub.editing.edits.Edit`).
        **kwargs: for `from_pretrained`, such as `token` or `cache_dir`.

    Raises:
        InputError: if there is no sound recipe, the model has to be named, or is not the one the picture was made with,
            or the photograph or an edit is missing or another one.
    """
    recipe = read_recipe(image)
    pipe = model if isinstance(model, GeneratorPipeline) else _load(recipe, model, kwargs).to_device(device)
    theirs, ours = recipe["model"], pipe.source
    if ours.revision != theirs["revision"]:
        if model is None:
            made, here = recipe["package"]["version"], sfhub.__version__
            raise InputError(
                f"The picture was made with {ours.name} as it was in sfhub {made} ({theirs['revision']}), but sfhub "
                f"{here} has {ours.revision}; install sfhub {made}, or give --model {ours.name} to use the present one."
            )
        logger.warning(
            "The picture was made with model %s (%s); with %s (%s) it comes out differently.",
            *(theirs["name"], theirs["revision"], ours.name, ours.revision),
        )
    return pipe.redo(recipe, background=background, edits=edits)


def open_model(
    image: str | os.PathLike[str] | Image.Image, model: str | os.PathLike[str] | None = None, **kwargs: Any
) -> GeneratorPipeline:
    """The model that `redo` takes for a picture; arguments and errors as there."""
    return _load(read_recipe(image), model, kwargs)


def _load(recipe: Recipe, model: str | os.PathLike[str] | None, kwargs: dict[str, Any]) -> GeneratorPipeline:
    record = recipe["model"]
    if model is None and record["kind"] != "builtin":
        raise InputError(_name_it(record))
    name = os.fspath(model) if model is not None else record["name"]
    if model is None and name not in ALIASES:
        raise InputError(
            f"The picture was made with the built-in model {short(name)}, which this sfhub lacks; install sfhub "
            f"{recipe['package']['version']}."
        )
    kwargs = {"dtype": getattr(torch, record["dtype"]), **kwargs}
    if record["kind"] == "hub" and name == record["name"]:
        kwargs.setdefault("revision", record["revision"])
    logger.info("Loading model %s", name)
    return open_pipeline(name, **kwargs)


def _name_it(record: dict[str, str]) -> str:
    if record["kind"] == "hub":
        return (
            f"The picture was made with the model {record['name']} from the Hub (revision {record['revision']}); if "
            f"you trust it, name it to load it: --model {record['name']}, or model= in Python."
        )
    what = "a model folder named" if record["kind"] == "folder" else "a model in memory, a"
    return (
        f"The picture was made with {what} {record['name']} ({record['revision']}); say where that model is with "
        "--model, or model= in Python."
    )
