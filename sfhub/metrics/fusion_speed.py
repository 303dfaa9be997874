"""How fast a fusion hierarchy is, against what it cannot avoid and against the structure of the public code.

Three yardsticks, timed in the same run, in turn with the hierarchy itself:

- *floor*: nothing but the matrix products, each weight read once for all rows (style layers, siblings, batch);
- *per layer*: every sample, sibling and style layer in a pass of its own, as the public code of StyleFusion goes
  through its networks (`stylefusion/fusion_net.py`). It computes the same codes. Samples come one after the other, so
  one of them is timed and the time multiplied by the batch size. Its linear layers multiply all weights by their gain
  at every call, as the public ones do;
- *per layer, lean*: the same without that, so that the number of passes is the only difference.
"""

from collections.abc import Callable, Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from sfhub.metrics.timing import median_seconds
from sfhub.models.fusion import FusionHierarchy, FusionNet, LatentBlender
from sfhub.models.layers import EqualLinear, leaky_relu

__all__ = ["lean_linear", "matrix_products", "measure", "one_layer_at_a_time"]

Linear = Callable[[EqualLinear, Tensor], Tensor]


def measure(hierarchy: FusionHierarchy, codes: Mapping[str, Tensor], repeats: int = 5, slow_repeats: int = 1) -> dict:
    """Median seconds of the hierarchy and of the yardsticks, and how they compare.

    Args:
        hierarchy: to be timed on the device where it is.
        codes: of all nodes, `[B, S]`.
        repeats: of the hierarchy and the floor.
        slow_repeats: of one sample in the structure with one pass per layer.

    Returns:
        `hierarchy`, `floor`, `per_layer` and `per_layer_lean` in seconds, `times_floor` (1 would be ideal),
        `times_faster` and `times_faster_lean` (than either way per layer).
    """
    batch = len(next(iter(codes.values())))
    products = list(_operands(hierarchy, batch))
    sample = {node: code[:1] for node, code in codes.items()}
    timed = {
        "hierarchy": (lambda: hierarchy(codes), repeats),
        "floor": (lambda: matrix_products(products), repeats),
        "per_layer": (lambda: one_layer_at_a_time(hierarchy, sample), slow_repeats),
        "per_layer_lean": (lambda: one_layer_at_a_time(hierarchy, sample, lean_linear), slow_repeats),
    }
    medians = median_seconds(timed, hierarchy.device, warm_up=("hierarchy", "floor"))
    medians["per_layer"] *= batch
    medians["per_layer_lean"] *= batch
    return medians | {
        "times_floor": medians["hierarchy"] / medians["floor"],
        "times_faster": medians["per_layer"] / medians["hierarchy"],
        "times_faster_lean": medians["per_layer_lean"] / medians["hierarchy"],
    }


def _operands(hierarchy: FusionHierarchy, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs `[rows, in]` and weights `[out, in]` of every matrix product in one forward pass."""
    for net in hierarchy.nets.values():
        rows = {net.align_blender: 2 * batch * int(net.aligned.sum()), net.fuse_blender: batch * len(net.aligned)}
        for blender, count in rows.items():
            for layer in blender.layers:
                yield torch.randn(count, layer.weight.shape[1], device=hierarchy.device), layer.weight


def matrix_products(operands: list[tuple[Tensor, Tensor]]) -> None:
    """The floor: all products, results dropped."""
    for rows, weight in operands:
        F.linear(rows, weight)


def lean_linear(layer: EqualLinear, x: Tensor) -> Tensor:
    """A linear layer that scales its input and not its weights."""
    return F.linear(x * layer.weight_gain, layer.weight, layer.bias * layer.bias_gain)


def one_layer_at_a_time(
    hierarchy: FusionHierarchy, codes: Mapping[str, Tensor], linear: Linear = EqualLinear.forward
) -> Tensor:
    """What `hierarchy(codes)` returns when every node has a code, computed as the public code does.

    Args:
        hierarchy: whose weights to use.
        codes: of all nodes, `[B, S]`.
        linear: how a linear layer is computed.

    Returns:
        `[B, S]`.
    """
    widths = [int(width) for _, width in hierarchy.config.style_layers]
    results = []
    for sample in range(len(next(iter(codes.values())))):
        found = {node: code[sample].split(widths) for node, code in codes.items()}
        for node in reversed(hierarchy.tree.inner):
            if node in hierarchy.nets:
                first, second = (found[child] for child in hierarchy.tree.children[node])
                found[node] = _fuse_layers(hierarchy.nets[node], first, second, found[node], linear)
        results.append(torch.cat(found[hierarchy.tree.root]))
    return torch.stack(results)


def _fuse_layers(
    net: FusionNet,
    first: tuple[Tensor, ...],
    second: tuple[Tensor, ...],
    layout: tuple[Tensor, ...],
    linear: Linear,
) -> tuple[Tensor, ...]:
    """One sample's style layers, `[width of the layer]` each, one after the other."""
    results = []
    for index, (s0, s1, s2) in enumerate(zip(first, second, layout, strict=True)):
        place, context = net.encoding[index], torch.zeros(net.rows.width, device=s0.device)
        if net.aligned[index]:
            context = _enlarge(s2, net.rows.width)
            s0, s1 = (_blend(net.align_blender, [s, s2], place, linear) for s in (s0, s1))
        results.append(_blend(net.fuse_blender, [s0, s1, context], place, linear))
    return tuple(results)


def _blend(blender: LatentBlender, styles: list[Tensor], place: Tensor, linear: Linear) -> Tensor:
    """The first two styles blended; every linear layer reads its weights, as for each call of the public code."""
    width = blender.layers[-1].weight.shape[0]
    a, b, *context = (_enlarge(style, width) for style in styles)
    x = torch.cat([a, b, *context, place])
    for layer in blender.layers:
        x = leaky_relu(linear(layer, x))
    blend = a + torch.sigmoid(x) * (b - a)
    return F.adaptive_max_pool1d(blend[None], len(styles[0]))[0]


def _enlarge(style: Tensor, width: int) -> Tensor:
    return F.interpolate(style[None, None], size=width, mode="nearest")[0, 0]
