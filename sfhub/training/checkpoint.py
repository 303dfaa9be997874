"""Training state in one safetensors file: modules, optimisers and counters, written so that a crash loses nothing."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from sfhub.errors import InputError
from sfhub.files import first_line

__all__ = ["load_checkpoint", "load_matching", "save_checkpoint"]


def save_checkpoint(
    path: str | Path,
    modules: Mapping[str, nn.Module],
    optimizers: Mapping[str, torch.optim.Optimizer],
    progress: Mapping[str, Any],
) -> None:
    """Write everything a training needs to go on; the previous file stays until the new one is complete on disk.

    Args:
        path: of the `.safetensors` file.
        modules, optimizers: by name.
        progress: counters and settings, anything JSON can hold.
    """
    tensors: dict[str, Tensor] = {}
    for name, module in modules.items():
        tensors.update({f"{name}/{key}": value for key, value in module.state_dict().items()})
    for name, optimizer in optimizers.items():
        for index, state in optimizer.state_dict()["state"].items():
            tensors.update({f"{name}/{index}/{key}": torch.as_tensor(value) for key, value in state.items()})
    write_checkpoint(path, tensors, progress)


def write_checkpoint(path: str | Path, tensors: Mapping[str, Tensor], progress: Mapping[str, Any]) -> None:
    """Write tensors and what `read_checkpoint` gives back beside them; the previous file stays until all is on disk.

    Raises:
        InputError: if it cannot be written, say for a full disk; what was there stays.
    """
    path = Path(path)
    partial = path.with_suffix(".partial")
    contiguous = {key: value.contiguous() for key, value in tensors.items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(contiguous, partial, {"progress": json.dumps(progress)})
        sync(partial)
        os.replace(partial, path)
    except (OSError, SafetensorError) as error:
        with suppress(OSError):
            partial.unlink()
        raise InputError(
            f"The checkpoint {path} could not be written ({first_line(error)}) and is as it was; make room and give "
            "the same command again."
        ) from error


def sync(path: Path) -> None:
    """Wait until a file is on the disk, so that it is whole after a loss of power, too."""
    with open(path, "rb") as written:
        os.fsync(written.fileno())


def load_checkpoint(
    path: str | Path,
    modules: Mapping[str, nn.Module],
    optimizers: Mapping[str, torch.optim.Optimizer],
) -> dict[str, Any]:
    """Restore what `save_checkpoint` wrote and return its `progress`.

    Raises:
        InputError: if the file is truncated or belongs to networks of other sizes.
    """
    tensors, progress = read_checkpoint(path)
    try:
        for name, module in modules.items():
            module.load_state_dict(_below(tensors, name))
    except RuntimeError as error:
        raise InputError(
            f"The checkpoint {path} was made with other network settings; train in a new folder."
        ) from error
    for name, optimizer in optimizers.items():
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in _below(tensors, name).items():
            index, _, field = key.partition("/")
            parameter = parameters[int(index)]
            if value.shape == parameter.shape:  # fused optimisers need the memory layout of the parameter
                value = torch.empty_like(parameter).copy_(value)
            state.setdefault(int(index), {})[field] = value
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return progress


def read_checkpoint(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """All tensors by `name/key`, and the progress record.

    Raises:
        InputError: if the file is no whole checkpoint.
    """
    with _opened(path) as opened:
        keys = opened.keys()  # a file handle, not a mapping
        return {key: opened.get_tensor(key) for key in keys}, json.loads(opened.metadata()["progress"])


def read_progress(path: str | Path) -> dict[str, Any]:
    """The progress record alone, without the tensors; raises as `read_checkpoint` does."""
    with _opened(path) as opened:
        return json.loads(opened.metadata()["progress"])


@contextmanager
def _opened(path: str | Path) -> Iterator[safe_open]:
    try:
        with safe_open(path, framework="pt") as opened:
            yield opened
    except (SafetensorError, OSError, TypeError, KeyError) as error:
        raise InputError(f"{path} is no complete training checkpoint; remove it to start over.") from error


def load_matching(module: nn.Module, path: str | Path, name: str) -> list[str]:
    """Copy from the module `name` of a checkpoint all tensors whose key and shape fit; return the keys left alone.

    This is how a training continues at a higher resolution: the lower layers come from the file.
    """
    stored = _below(read_checkpoint(path)[0], name)
    own = module.state_dict()
    fitting = {key: stored[key] for key in own if key in stored and stored[key].shape == own[key].shape}
    module.load_state_dict(own | fitting)
    return [key for key in own if key not in fitting]


def _below(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key[len(name) + 1 :]: value for key, value in tensors.items() if key.startswith(f"{name}/")}
