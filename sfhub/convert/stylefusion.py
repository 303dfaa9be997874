"""Checkpoints of StyleFusion (OmerKafri/StyleFusion): one `.pt` per node and a JSON file that names them.

`gather` reads the JSON file and, through `safe_load`, the files that it names; `detect` and `load` are then those of
any adapter. An official style code is two lists, the convolutions and the toRGB layers; joined they are S as it is
here, so nothing is permuted. The weights fit any generator whose widest style has 512 channels; the official ones were
trained on the face, car and church generators of 1024, 512 and 256 pixels, and the hierarchy is made for those.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import init_empty_weights
from torch import Tensor

from sfhub.errors import InputError, short
from sfhub.files import read_json
from sfhub.models.fusion import FusionHierarchy
from sfhub.models.region_tree import RegionTree
from sfhub.models.stylegan2 import StyleGAN2Generator

from .files import safe_load

FAMILY = "StyleFusion"
RESOLUTIONS = {"ffhq": 1024, "car": 512, "church": 256}
COMMON_LAYERS = 5
MAX_LAYERS = 18
BLENDERS = {"blender_common.disentangle_net.": "align_blender.", "blender_segments.disentangle_net.": "fuse_blender."}
SIGNATURE = {f"{blender}0.weight" for blender in BLENDERS}


@dataclass(frozen=True)
class FusionFiles:
    """The files of a hierarchy: the name of its tree and what `safe_load` read for each node."""

    tree: str
    nodes: Mapping[str, object]


@dataclass(frozen=True)
class FusionCheckpoint:
    """What `load` makes of them; as `networks.Checkpoint`."""

    family: str
    hierarchy: FusionHierarchy
    notes: tuple[str, ...] = ()


def gather(path: Path) -> FusionFiles:
    """Read a JSON file such as the official `weights/ffhq_weights.json`, and every file that it names.

    Relative names are looked for beside the JSON file, in the folder above, from which the official ones count, and in
    the working directory.

    Raises:
        InputError: if the JSON file or one of the others cannot be read, or its nodes are those of no known tree.
    """
    named = read_json(path)
    tree = tree_of(named, path.name)
    return FusionFiles(tree, {node: safe_load(_find(file, node, path)) for node, file in named.items()})


def tree_of(nodes: Mapping[str, object], name: str) -> str:
    """The shipped tree that has these inner nodes, which the file's `name` decides where several have.

    Raises:
        InputError: if there is none.
    """
    fitting = [tree for tree in RESOLUTIONS if nodes and set(nodes) <= set(RegionTree.load(tree).inner)]
    if not fitting:
        known = "; ".join(f"{tree}: {', '.join(RegionTree.load(tree).inner)}" for tree in RESOLUTIONS)
        raise InputError(
            f"{name} names files for the nodes {', '.join(nodes)[:200] or 'of nothing'}, which fit none of the "
            f"official trees ({known}); give one of the weights/*.json of StyleFusion."
        )
    # The tree with the fewest nodes comes last; "all" alone is that of the churches.
    return next((tree for tree in fitting if tree in name.lower()), fitting[-1])


def _find(file: object, node: str, path: Path) -> Path:
    if not isinstance(file, str) or "\0" in file:
        raise InputError(f"{path.name} gives node {short(node)} something other than the name of a file; correct it.")
    places = [folder / file for folder in (path.parent, path.parent.parent, Path())]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise InputError(
            f"{path.name} names the file {short(file)} for node {short(node)}, which is neither beside it nor in "
            "the folder "
            "above; download it, or correct the name."
        )
    return found


def detect(root: object) -> bool:
    """Whether a loaded file is a FusionNet, or the files of a whole hierarchy."""
    return type(root) is FusionFiles or _state(root) is not None


def load(root: object) -> FusionCheckpoint:
    """Rebuild the hierarchy.

    Raises:
        InputError: for a FusionNet alone, or if tensors are missing, superfluous, or of shapes that do not fit.
    """
    if type(root) is not FusionFiles:
        raise InputError(
            "this is the network of one node of a StyleFusion hierarchy; convert the JSON file that names those of all "
            "nodes, such as weights/ffhq_weights.json."
        )
    states = {node: _state(value) for node, value in root.nodes.items()}
    for node, state in states.items():
        if state is None:
            raise InputError(f"the file of node {short(node)} is no FusionNet of StyleFusion; download it again.")
    tree = RegionTree.load(root.tree)
    with torch.device("meta"):
        generator = StyleGAN2Generator(resolution=RESOLUTIONS[root.tree])
    with init_empty_weights():  # the weights are those of the files; a second set need not fit into memory
        hierarchy = FusionHierarchy.for_generator(
            generator,
            tree,
            fusion_nodes=[node for node in tree.inner if node in states],
            common_layers=COMMON_LAYERS,
            max_layers=MAX_LAYERS,
            **_widths(next(iter(states.values()))),
        )
    ours = {key: tensor for node, state in states.items() for key, tensor in renamed(node, state)}
    _check(hierarchy, ours)
    hierarchy.load_state_dict({key: tensor.float() for key, tensor in ours.items()}, assign=True)
    note = f"the number of aligned layers, which the files do not tell, was taken to be {COMMON_LAYERS}"
    return FusionCheckpoint(FAMILY, hierarchy.eval().requires_grad_(False), (note,))


def _state(value: object) -> dict[str, Tensor] | None:
    """The tensors of one FusionNet: bare or under `state_dict`, as the official code looks for them."""
    if type(value) is not dict:
        return None
    state = value["state_dict"] if type(value.get("state_dict")) is dict else value
    tensors = {
        key.removeprefix("module."): tensor
        for key, tensor in state.items()
        if type(key) is str and type(tensor) is Tensor
    }
    return tensors if tensors.keys() >= SIGNATURE else None


def renamed(node: str, state: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """The tensors of one official FusionNet under the names that they have in a `FusionHierarchy`."""
    for key, tensor in state.items():
        prefix = next((prefix for prefix in BLENDERS if key.startswith(prefix)), None)
        ours = key if prefix is None else f"{BLENDERS[prefix]}layers.{key.removeprefix(prefix)}"
        yield f"nets.{node}.{ours}", tensor


def _widths(state: Mapping[str, Tensor]) -> dict[str, object]:
    """Width, depth and encoding of the blenders."""
    sizes = []
    while (key := f"blender_common.disentangle_net.{len(sizes)}.weight") in state and state[key].ndim == 2:
        sizes.append(state[key].shape)
    width = sizes[-1][0] if sizes else 0
    repeats, rest = divmod(sizes[0][1] - 2 * width if sizes else -1, MAX_LAYERS + 1)
    if repeats < 1 or rest or width < 512:
        raise InputError(
            f"the first linear layer of the align blender does not take two styles and {MAX_LAYERS + 1} places; it is "
            "damaged or of another version of StyleFusion."
        )
    return {"width": width, "hidden_widths": [size[0] for size in sizes[:-1]], "encoding_repeats": repeats}


def _check(hierarchy: FusionHierarchy, state: Mapping[str, Tensor]) -> None:
    """Raise an InputError unless names, shapes and types of `state` are those of the hierarchy."""
    expected = {key: tuple(value.shape) for key, value in hierarchy.state_dict().items()}
    for key in sorted(expected.keys() | state.keys()):
        wanted, found = expected.get(key, "nothing"), tuple(state[key].shape) if key in state else "nothing"
        if wanted != found or not state[key].is_floating_point():
            raise InputError(
                f"the checkpoint has {found} for {key[:80]} where {wanted} was expected; it is damaged, or its nodes "
                "are of different sizes."
            )
