"""The adapters: each recognises one family of checkpoints and rebuilds its networks.

After chaiNNer-org/spandrel. To support another family, write a module with `detect(root) -> bool` and
`load(root) -> Checkpoint`, where `root` is what `safe_load` returns, and add a line here. StyleFusion alone spreads a
model over several files; its `root` is what `stylefusion.gather` returns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sfhub.errors import InputError

from . import editors, nvidia, rosinality, semantic_stylegan, stylefusion
from .editors import EditorCheckpoint
from .lookalikes import looks_like
from .networks import Checkpoint
from .stylefusion import FusionCheckpoint


@dataclass(frozen=True)
class Adapter:
    """One family: its name, whether a loaded file belongs to it, and how its networks are rebuilt."""

    name: str
    detect: Callable[[object], bool]
    load: Callable[[object], Checkpoint | FusionCheckpoint | EditorCheckpoint]


ADAPTERS = (
    # A mapper's training keeps its generator beside it, which must not be taken for the model.
    Adapter(editors.MAPPER_FAMILY, editors.detect_mapper, editors.load_mapper),
    Adapter(editors.FLOW_FAMILY, editors.detect_flow, editors.load_flow),
    Adapter("StyleGAN2 (rosinality)", rosinality.detect, rosinality.load),
    Adapter("StyleGAN2 (NVIDIA)", nvidia.detect, nvidia.load),
    Adapter("SemanticStyleGAN", semantic_stylegan.detect, semantic_stylegan.load),
    Adapter(stylefusion.FAMILY, stylefusion.detect, stylefusion.load),
)


def recognise(root: object, name: str) -> Checkpoint | FusionCheckpoint | EditorCheckpoint:
    """Networks of a loaded file.

    Args:
        root: what `safe_load` or `stylefusion.gather` returned.
        name: the file's name, for messages.

    Raises:
        InputError: if no adapter knows the file (saying which architecture it looks like), or it is damaged.
    """
    try:
        adapter = next((adapter for adapter in ADAPTERS if adapter.detect(root)), None)
        family = looks_like(root) if adapter is None else None
        if adapter is not None:
            return adapter.load(root)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    except Exception as error:  # as in safe_load: tensors of the wrong rank, type or shape are the file's fault
        raise InputError(
            f"{name} looks like a network that is known here but its tensors do not fit together "
            f"({type(error).__name__}); download it again."
        ) from error
    supported = ", ".join(adapter.name for adapter in ADAPTERS)
    if family is None:
        raise InputError(f"{name} holds no network that is known here; supported are {supported}.")
    raise InputError(f"{name} looks like {family}, which cannot be converted; supported are {supported}.")
