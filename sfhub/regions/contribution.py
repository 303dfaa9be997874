"""The contribution catalog M of *Editing in Style* (equation 1): how much of a channel's energy lies in each region.

A channel's activations, normalised to zero mean and unit variance over a set of images, have squares that average to 1;
splitting that average by region gives the channel's contribution to each. In StyleGAN2 a style scales the *input*
channels of its layer (the modulated convolution multiplies the weights per input channel), so the row of a style comes
from the activation that its layer reads: see `input_layer`. toRGB styles get rows in the same way.

Large generators need more activations than fit in memory, so everything is computed from `region_moments`, which add up
over batches of images.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import interpolate, one_hot

from sfhub.models.stylegan2 import StyleGAN2Generator

__all__ = [
    "contribution",
    "contribution_from_moments",
    "input_layer",
    "read_activation",
    "region_moments",
    "resize_labels",
    "style_moments",
]


def contribution(activations: Tensor, labels: Tensor, num_regions: int) -> Tensor:
    """Equation 1: `M[r, c]` = mean over images and positions of `A^2` where the label is r.

    Args:
        activations: raw activations `[N, C, h, w]`; normalised here per channel (population variance).
        labels: region of each position, integers `[N, H, W]`; resized to `[N, h, w]` by nearest neighbour.
        num_regions: R.

    Returns:
        `[R, C]` float32 in [0, 1], each column summing to 1 (0 for a channel that is the same everywhere).
    """
    return contribution_from_moments(region_moments(activations, labels, num_regions))


def region_moments(activations: Tensor, labels: Tensor, num_regions: int) -> Tensor:
    """Per region and channel the number of positions, the sum and the sum of squares; they add up over batches.

    Args:
        activations: `[N, C, h, w]`.
        labels: integers `[N, H, W]`.
        num_regions: R.

    Returns:
        `[3, R, C]`, float64.
    """
    members = one_hot(resize_labels(labels, activations.shape[-2:]), num_regions).double()
    wide = activations.double()
    count = members.sum(dim=(0, 1, 2))[:, None].expand(-1, wide.shape[1])
    sums = [torch.einsum("nchw,nhwr->rc", power, members) for power in (wide, wide.square())]
    return torch.stack([count, *sums])


def contribution_from_moments(moments: Tensor) -> Tensor:
    """M `[R, C]`, float32, from the summed `region_moments` `[3, R, C]` of all images."""
    count, total, square = moments
    mean = total.sum(dim=0) / count.sum(dim=0)
    energy = square - 2 * mean * total + mean.square() * count
    # What rounding leaves of a channel that never varies is not energy.
    varies = energy.sum(dim=0) > 1e-10 * square.sum(dim=0)
    return torch.where(varies, energy / energy.sum(dim=0), 0).clamp(0, 1).float()


def resize_labels(labels: Tensor, size: tuple[int, int]) -> Tensor:
    """Label map `[N, H, W]` -> int64 `[N, h, w]` by nearest neighbour, the middle pixel where it shrinks."""
    return interpolate(labels[:, None].float(), size=tuple(size), mode="nearest-exact")[:, 0].long()


def input_layer(name: str) -> str | None:
    """Name of the convolution whose output the layer `name` reads; None for `conv1`, which reads the learned constant.

    >>> input_layer("convs.0"), input_layer("convs.3"), input_layer("to_rgbs.1")
    ('conv1', 'convs.2', 'convs.3')
    """
    kind, _, index = name.partition(".")
    if name == "conv1":
        return None
    if name in ("convs.0", "to_rgb1"):
        return "conv1"
    return f"convs.{int(index) - 1}" if kind == "convs" else f"convs.{2 * int(index) + 1}"


def read_activation(generator: StyleGAN2Generator, activations: Mapping[str, Tensor], name: str) -> Tensor:
    """The activation `[N, C, h, w]` that the layer `name` reads, C being the width of its style.

    Args:
        generator: where the constant comes from that `conv1` reads.
        activations: outputs of the convolutions, as `synthesis(..., return_activations=...)` gives them.
        name: a layer of `generator.style_layout`.
    """
    source = input_layer(name)
    if source is not None:
        return activations[source]
    count = len(next(iter(activations.values())))
    return generator.const.detach().expand(count, -1, -1, -1)


def style_moments(
    generator: StyleGAN2Generator, activations: Mapping[str, Tensor], labels: Tensor, num_regions: int
) -> Tensor:
    """`region_moments` of what every style channel scales.

    Args:
        generator: the generator that made the activations.
        activations: outputs of all its convolutions, `{name: [N, C, h, w]}`.
        labels: regions of the same images, integers `[N, H, W]`.
        num_regions: R.

    Returns:
        `[3, R, S]`, float64, in the order of `generator.style_layout`; the count differs by layer.
    """
    moments = {}
    for entry in generator.style_layout:
        source = input_layer(entry.name)
        if source not in moments:
            moments[source] = region_moments(read_activation(generator, activations, entry.name), labels, num_regions)
    return generator.style_layout.join(
        {entry.name: moments[input_layer(entry.name)] for entry in generator.style_layout}
    )
