"""Networks in folders from elsewhere: whether configuration and weights are sound, fit each other, and stay in bounds.

Everything is looked at before it costs anything. Files are plain ones of bounded size; a configuration holds bounded
lists of the types that the network's signature names; weights are safetensors whose header is of bounded length. Then
the network is built on the meta device, where a configuration that asks for terabytes costs nothing, and every weight
has to be there in the shape that it calls for; what the network would take beyond its weights is bounded, too.
"""

import inspect
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import torch
from diffusers import ModelMixin
from safetensors import SafetensorError, safe_open
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_parameter_registration_hook,
)

from sfhub.errors import InputError, clipped, short
from sfhub.files import first_line, read_json
from sfhub.limits import check_file, limits

__all__ = ["CONFIG", "PICKLES", "check_component", "check_no_code", "check_sizes", "weight_files"]

CONFIG = "config.json"
WEIGHTS = "diffusion_pytorch_model"
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")
# Above every count, width and resolution in a configuration; a million layers take long to build even without weights.
MAX_INTEGER = 2**16
# Parameters and buffers of a network that has none stored; those that are not stored come on top of it.
FEWEST_TENSORS = 4096


def check_component(folder: Path, cls: type[ModelMixin], variant: str | None = None) -> None:
    """Refuse a network folder whose configuration and weights do not fit `cls` and each other, or ask for too much.

    Raises:
        InputError: naming the file and what is wrong with it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is missing or no folder; get the model again.")
    check_no_code(folder)
    check_sizes(sorted(folder.glob("*.safetensors")))  # all of them count for the model's digest
    config = read_json(folder / CONFIG)
    _check_config(folder / CONFIG, config, cls)
    shapes = _stored_shapes(folder, variant)
    network = _built(folder / CONFIG, config, cls, len(shapes))
    for key, value in network.state_dict().items():
        if shapes.get(key) != list(value.shape):
            found = f"with shape {short(shapes[key])}" if key in shapes else "missing"
            raise InputError(
                f"The weights in {folder} do not fit their {CONFIG}: {key} is {found} where shape "
                f"{list(value.shape)} is expected; get the model again."
            )


def check_no_code(folder: Path) -> None:
    """Refuse a folder with Python files: some versions of diffusers would run them, unasked.

    Raises:
        InputError: naming one of them.
    """
    found = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in (".py", ".pyc"))
    if found:
        raise InputError(
            f"{folder} holds code, {clipped(found[0])}, and sfhub never runs code of a model; remove the file or get "
            "the model from elsewhere."
        )


# Its configuration --------------------------------------------------------------------------------------------------


def _check_config(file: Path, config: Mapping[str, Any], cls: type[ModelMixin]) -> None:
    """Refuse values of other types than the network's signature names."""
    if "quantization_config" in config:
        raise InputError(f"{file} asks for quantised weights, which sfhub does not load; use plain ones.")
    hints = get_type_hints(cls.__init__)
    for name in inspect.signature(cls.__init__).parameters:
        if name in config and not _fits(config[name], hints.get(name, Any)):
            raise InputError(f"{file} has {short(config[name])} for {name}, which it cannot be; get the model again.")
    if (largest := max(_integers(config), default=0)) > MAX_INTEGER:
        raise InputError(f"{file} contains {short(largest)}, more than a network has; get the model again.")


def _fits(value: Any, hint: Any) -> bool:
    """Whether decoded JSON is of the type that a parameter is annotated with."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, each) for each in inner)
    if origin is Literal:
        return value in inner
    if hint in (None, NoneType):
        return value is None
    if hint is bool or isinstance(value, bool):
        return isinstance(value, bool) and hint in (bool, Any)
    if hint is int:
        return isinstance(value, int)
    if hint is float:
        return isinstance(value, (int, float)) and abs(value) <= MAX_INTEGER  # and so no NaN
    if hint is str:
        return isinstance(value, str) and len(value) <= 500
    kind = origin or hint
    if not isinstance(kind, type) or kind is object:
        return True
    if issubclass(kind, Mapping):
        return isinstance(value, dict) and all(_fits(each, inner[1]) for each in value.values() if inner)
    if issubclass(kind, Sequence):
        if not isinstance(value, (list, tuple)):
            return False
        of = inner[:1] * len(value) if issubclass(kind, list) or kind is not tuple or inner[1:] == (...,) else inner
        return not inner or (len(of) == len(value) and all(map(_fits, value, of)))
    return True


def _integers(value: Any) -> Iterator[int]:
    """Magnitudes of all integers in decoded JSON."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, int):
            yield abs(each)
        elif isinstance(each, (dict, list)):
            waiting += each.values() if isinstance(each, dict) else each


# Building it for nothing --------------------------------------------------------------------------------------------


def _built(file: Path, config: Mapping[str, Any], cls: type[ModelMixin], stored: int) -> ModelMixin:
    """The network on the meta device.

    Args:
        file: for sentences.
        config: checked.
        cls: of the network.
        stored: number of tensors that its weights have.
    """
    try:
        with torch.device("meta"), _bounded(max(FEWEST_TENSORS, 4 * stored)):
            network = cls.from_config(dict(config))
    except Exception as error:
        raise InputError(
            f"{file} describes no {cls.__name__} that can be built ({first_line(error)}); get the model again."
        ) from error
    most, largest = limits().activations, int(getattr(network, "largest_activation", 0))
    if largest > most:
        raise InputError(
            f"{file} describes a {cls.__name__} that makes {largest:,} numbers at once of one picture, more than the "
            f"{most:,} allowed; use a smaller model."
        )
    return network


@contextmanager
def _bounded(most_tensors: int) -> Iterator[None]:
    """Stop building, in this thread, at too many parameters and buffers, or at too many numbers in them."""
    thread, tensors, numbers, most = threading.get_ident(), 0, 0, limits().parameters

    def count(module: torch.nn.Module, name: str, value: torch.Tensor | None) -> None:
        nonlocal tensors, numbers
        if value is None or threading.get_ident() != thread:
            return
        tensors, numbers = tensors + 1, numbers + value.numel()
        if tensors > most_tensors or numbers > most:
            raise InputError(f"it has more than {most_tensors:,} tensors, or {most:,} numbers in them")

    hooks = [
        register_module_parameter_registration_hook(count),
        register_module_buffer_registration_hook(count),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


# Its weights --------------------------------------------------------------------------------------------------------


def _stored_shapes(folder: Path, variant: str | None) -> dict[str, list[int]]:
    """Shape of every tensor in the safetensors files of a network."""
    shapes: dict[str, list[int]] = {}
    for file in weight_files(folder, variant):
        try:
            _check_header(file)
            # Reads the header and compares it with the length of the file, so a truncated one shows here.
            with safe_open(file, framework="pt") as opened:
                names = opened.keys()
                shapes |= {name: opened.get_slice(name).get_shape() for name in names}
        except InputError:
            raise
        except (OSError, SafetensorError, ValueError) as error:
            raise InputError(f"{file} is truncated or damaged ({first_line(error)}); get the model again.") from error
    return shapes


def _check_header(file: Path) -> None:
    most = limits().header_bytes
    with open(file, "rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
    if length > most:
        raise InputError(
            f"{file} begins with a list of {length:,} bytes, more than the {most:,} allowed; it is damaged."
        )


def weight_files(folder: Path, variant: str | None) -> list[Path]:
    """The safetensors files of a network, all of them plain and together of bounded size.

    Raises:
        InputError: if there are none.
    """
    for tag in [f".{variant}", ""] if variant else [""]:
        index = folder / f"{WEIGHTS}.safetensors.index{tag}.json"
        if index.exists():
            return check_sizes(_named_files(index))
        if (folder / f"{WEIGHTS}{tag}.safetensors").exists():
            return check_sizes([folder / f"{WEIGHTS}{tag}.safetensors"])
    pickles = [path.name for path in folder.iterdir() if path.suffix in PICKLES]
    if pickles:
        raise InputError(
            f"{folder} has its weights in {clipped(pickles[0])}, a pickle, which may run code when opened; "
            "use a model with safetensors."
        )
    raise InputError(f"{folder} has no {WEIGHTS}.safetensors; get the model again.")


def _named_files(index: Path) -> list[Path]:
    """The files that an index of weights names."""
    entries = read_json(index).get("weight_map")
    fine = isinstance(entries, dict) and bool(entries) and all(isinstance(name, str) for name in entries.values())
    names = set(entries.values()) if fine else {""}
    if not all(name and Path(name).name == name and (index.parent / name).is_file() for name in names):
        raise InputError(f"{index} names weight files that are not beside it; get the model again.")
    return sorted(index.parent / name for name in names)


def check_sizes(files: Sequence[Path]) -> list[Path]:
    """The files themselves, if they are plain ones of bounded size.

    Raises:
        InputError: naming one that is not.
    """
    most = limits().weights_bytes
    for file in files:
        try:
            most -= check_file(file, most)
        except OSError as error:
            raise InputError(f"{file} cannot be read ({error.strerror}); get the model again.") from error
    return list(files)
