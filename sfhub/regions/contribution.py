"""The contribution catalog M of *Editing in Style* (equation 1): how much of a channel's energy lies in each region.

A channel's activations, normalised to zero mean and unit variance over a set of images, have squares that average to 1;
splitting that average by region gives the channel's contribution to each. In StyleGAN2 a style scales the *input*
channels of its layer (the modulated convolution multiplies the weights per input channel), so the row of a style comes
from the activation that its layer reads: see `input_layer`. toRGB styles get rows in the same way.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import interpolate, one_hot

from sfhub.models.stylegan2 import StyleGAN2Generator, StyleLayout

__all__ = ["contribution", "input_layer", "read_activations", "resize_labels", "style_contribution"]


def contribution(activations: Tensor, labels: Tensor, num_regions: int) -> Tensor:
    """Equation 1: `M[r, c]` = mean over images and positions of `A^2` where the label is r.

    Args:
        activations: raw activations `[N, C, h, w]`; normalised here per channel (population variance).
        labels: region of each position, integers `[N, H, W]`; resized to `[N, h, w]` by nearest neighbour.
        num_regions: R.

    Returns:
        `[R, C]` in [0, 1], each column summing to 1 (0 for a channel that is the same everywhere).
    """
    wide = activations.double()
    centered = wide - wide.mean(dim=(0, 2, 3), keepdim=True)
    energy = centered.square()
    energy = energy / energy.mean(dim=(0, 2, 3), keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)
    members = one_hot(resize_labels(labels, activations.shape[-2:]), num_regions).to(energy)
    count = labels.shape[0] * activations.shape[-2] * activations.shape[-1]
    return (torch.einsum("nchw,nhwr->rc", energy, members) / count).to(activations.dtype)


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


def read_activations(generator: StyleGAN2Generator, activations: Mapping[str, Tensor], name: str) -> Tensor:
    """The activation `[N, C, h, w]` that the layer `name` reads, C being the width of its style.

    Args:
        generator: where the constant comes from that `conv1` reads.
        activations: outputs of the convolutions, as `synthesis(..., return_activations=...)` gives them.
    """
    source = input_layer(name)
    if source is not None:
        return activations[source]
    count = len(next(iter(activations.values())))
    return generator.const.detach().expand(count, -1, -1, -1)


def style_contribution(
    generator: StyleGAN2Generator, activations: Mapping[str, Tensor], labels: Tensor, num_regions: int
) -> Tensor:
    """Contribution of every style channel to every region.

    Args:
        generator: the generator that made the activations.
        activations: outputs of all its convolutions, `{name: [N, C, h, w]}`.
        labels: regions of the same images, integers `[N, H, W]`.
        num_regions: R.

    Returns:
        `[R, S]` in the order of `generator.style_layout`.
    """
    layout: StyleLayout = generator.style_layout
    rows = {
        entry.name: contribution(read_activations(generator, activations, entry.name), labels, num_regions)
        for entry in layout
    }
    return layout.join(rows)
