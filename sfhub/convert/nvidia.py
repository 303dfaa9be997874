"""NVIDIA's StyleGAN2 pickles (StyleGAN2-ADA for PyTorch and the StyleGAN3 repository).

Their networks are "persistent objects" (`torch_utils/persistence.py`): each carries the *source code* of its class,
which the official loader compiles and runs, beside the object's `__dict__` and constructor arguments. Here such an
object becomes an inert `PersistentObject`; the source code is dropped unread, and the network is rebuilt from the
tensors by our own classes. Hyper-parameters come from shapes, and where shapes do not tell (clamp, learning-rate
multiplier of the mapping network, group of the minibatch standard deviation) from what the objects were constructed
with.

Checkpoints of `G.state_dict()` alone have the same keys and are recognised too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from sfhub.errors import InputError

from .networks import Checkpoint, check_filters, discriminator_from, generator_from, left_out, resolution_of
from .unpickler import Budget, Refusal, shown, table

MAX_DEPTH = 8
MAX_VISITS = 50_000
MAX_NAME = 100
MAX_ATTRIBUTE = 2**16
DEFAULT_CLAMP = 256.0  # what NVIDIA's training always set; only a bare state dict does not say
GENERATOR_KEYS = ("G_ema", "G")


@dataclass(frozen=True, eq=False)
class PersistentObject:
    """A persistent object without its code: the class's name and the object's `__dict__`."""

    class_name: str
    state: dict

    def children(self, kind: str) -> dict:
        """`_modules`, `_parameters` or `_buffers`, empty if the file has none."""
        found = self.state.get(kind)
        return found if type(found) is dict else {}


def build_persistent(budget: Budget, arguments: tuple) -> PersistentObject:
    """`torch_utils.persistence._reconstruct_persistent_obj(meta)`, without `module_src`."""
    meta = arguments[0] if len(arguments) == 1 else None
    if type(meta) is not dict or type(meta.get("class_name")) is not str or type(meta.get("state")) is not dict:
        raise Refusal("it holds a persistent object without a class name or state")
    return PersistentObject(meta["class_name"], meta["state"])


PERSISTENT = table(build_persistent, "torch_utils.persistence._reconstruct_persistent_obj")


def flatten(root: PersistentObject) -> tuple[dict[str, Tensor], dict[str, PersistentObject]]:
    """State dict, and submodules by dotted name, as `nn.Module` would give them.

    Raises:
        InputError: if there is more to visit than any network has; a file can put one module into itself, or twice
            into each of fifty others.
    """
    tensors: dict[str, Tensor] = {}
    modules: dict[str, PersistentObject] = {}
    pending = [("", root)]
    visited = 0
    while pending:
        prefix, module = pending.pop()
        modules[prefix.removesuffix(".")] = module
        children = [module.children(kind) for kind in ("_parameters", "_buffers", "_modules")]
        visited += 1 + sum(map(len, children))
        if visited > MAX_VISITS or prefix.count(".") > MAX_DEPTH:
            raise InputError(
                "the checkpoint nests more modules than any network has; take it from its official source."
            )
        for name, child in ((name, child) for group in children for name, child in group.items()):
            if type(name) is str and type(child) is Tensor:
                tensors[prefix + name] = child
            elif type(name) is str and type(child) is PersistentObject:
                pending.append((f"{prefix}{name[:MAX_NAME]}.", child))
    return tensors, modules


def detect(root: object) -> bool:
    """Whether a loaded file holds an NVIDIA StyleGAN2 generator."""
    state, _ = _network(root, GENERATOR_KEYS)
    return "synthesis.b4.const" in state and "mapping.fc0.weight" in state and "synthesis.b4.torgb.weight" in state


def load(root: object) -> Checkpoint:
    """Rebuild the generator and, where present and of the known architecture, the discriminator.

    Raises:
        InputError: if the file's generator is a variant that this package does not have.
    """
    state, modules = _network(root, GENERATOR_KEYS)
    notes: list[str] = []
    generator = _load_generator(state, modules)
    discriminator = None
    state, modules = _network(root, ("D",)) if isinstance(root, Mapping) else ({}, {})
    if state:
        try:
            discriminator = _load_discriminator(state, modules)
        except InputError as error:
            notes.append(left_out(error))
    return Checkpoint("StyleGAN2 (NVIDIA)", generator, discriminator, tuple(notes))


def _network(root: object, names: tuple[str, ...]) -> tuple[Mapping[str, Tensor], Mapping[str, PersistentObject]]:
    """State dict and submodules of the first network of `names`, or of `root` itself for a bare generator."""
    candidates = [root.get(name) for name in names] if type(root) is dict else []
    if names is GENERATOR_KEYS:
        candidates.append(root)
    for candidate in candidates:
        if type(candidate) is PersistentObject:
            tensors, modules = flatten(candidate)
            if tensors:
                return tensors, modules
        elif type(candidate) is dict:
            tensors = {key: value for key, value in candidate.items() if type(key) is str and type(value) is Tensor}
            if tensors:
                return tensors, {}
    return {}, {}


def _attribute(modules: Mapping[str, PersistentObject], module: str, name: str, default: float | None) -> float | None:
    """A positive number that a submodule of the file was constructed with; may be None if the default is None."""
    value = modules[module].state.get(name, default) if module in modules else default
    if value is None and default is None:
        return None
    if type(value) not in (int, float) or not 0 < value <= MAX_ATTRIBUTE:
        raise InputError(f"The checkpoint gives a {name} of {module} that is no positive number; it cannot be used.")
    return value


def _check_activation(modules: Mapping[str, PersistentObject]) -> None:
    for name, module in modules.items():
        activation = module.state.get("activation", "lrelu")
        if activation not in ("lrelu", "linear"):
            raise InputError(
                f"The checkpoint's layer {shown(name)} has an activation other than leaky ReLU; it cannot be used."
            )


def _mapping_keys(state: Mapping[str, Tensor], target: str) -> dict[str, Tensor]:
    """`mapping.*` under our names."""
    return {
        re.sub(r"^mapping\.(fc(\d+))?", lambda m: f"{target}." + (f"layers.{m[2]}" if m[1] else ""), key): value
        for key, value in state.items()
        if key.startswith("mapping.")
    }


def _load_generator(state: Mapping[str, Tensor], modules: Mapping[str, PersistentObject]) -> torch.nn.Module:
    _check_activation(modules)
    check_filters({key: value for key, value in state.items() if key.endswith("resample_filter")}, gain=1.0)
    if any(key.endswith(".skip.weight") for key in state):
        raise InputError(
            "The checkpoint's generator is a residual StyleGAN2, not the skip architecture; it cannot be used."
        )
    ours = _mapping_keys(state, "mapping_network")
    for key, value in state.items():
        match = re.fullmatch(r"synthesis\.b(\d{1,6})\.(const|conv0|conv1|torgb)(\..+)?", key)
        if match is None:
            if not key.startswith("mapping.") and not key.endswith("resample_filter"):
                raise InputError(
                    f"The checkpoint has the tensor {key[:80]!r}, which StyleGAN2 does not; it cannot be used."
                )
            continue
        side, part, rest = int(match[1]), match[2], match[3] or ""
        if rest.endswith("resample_filter"):
            continue
        if side < 4 or side & (side - 1):
            raise InputError(f"The checkpoint has a layer of {side} pixels, expected powers of two; it cannot be used.")
        ours[_layer_name(side, part) + rest] = value[None] if part == "const" else value
    return generator_from(
        ours,
        resolution=resolution_of(int(side) for key in state for side in re.findall(r"^synthesis\.b(\d{1,6})\.", key)),
        mapping_lr_multiplier=_attribute(modules, "mapping.fc0", "bias_gain", 0.01),
        conv_clamp=_attribute(modules, "synthesis.b4.conv1", "conv_clamp", DEFAULT_CLAMP if not modules else None),
    )


def _layer_name(side: int, part: str) -> str:
    """NVIDIA's `b16.conv0` and the like -> ours, which count upwards from resolution 8."""
    block = side.bit_length() - 4
    if part == "const":
        return "const"
    if part == "torgb":
        return "to_rgb1" if block < 0 else f"to_rgbs.{block}"
    return "conv1" if block < 0 else f"convs.{2 * block + (part == 'conv1')}"


def _load_discriminator(state: Mapping[str, Tensor], modules: Mapping[str, PersistentObject]) -> torch.nn.Module:
    _check_activation(modules)
    check_filters({key: value for key, value in state.items() if key.endswith("resample_filter")}, gain=1.0)
    ours = _mapping_keys(state, "mapping")
    for key, value in state.items():
        if key.endswith("resample_filter") or key.startswith("mapping."):
            continue
        key = re.sub(r"^b\d+\.fromrgb\.", "from_rgb.", key)
        key = re.sub(r"^b4\.", "epilogue.", key)
        ours[re.sub(r"^b(\d+)\.", r"blocks.\1.", key)] = value
    resolution = resolution_of(int(side) for key in state for side in re.findall(r"^b(\d{1,6})\.", key))
    return discriminator_from(
        ours,
        resolution=resolution,
        conv_clamp=_attribute(modules, f"b{resolution}.conv1", "conv_clamp", DEFAULT_CLAMP if not modules else None),
        mbstd_group_size=int(_attribute(modules, "b4.mbstd", "group_size", 4)),
        mapping_lr_multiplier=_attribute(modules, "mapping.fc0", "bias_gain", 0.01),
    )
