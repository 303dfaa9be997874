"""The contribution catalog M of *Editing in Style* (equation 1): how much of a channel's energy lies in each region.

A channel's activations, normalised to zero mean and unit variance over a set of images, have squares that average to 1;
splitting that average by region gives the channel's contribution to each. In StyleGAN2 a style scales the *input*
channels of its layer (the modulated convolution multiplies the weights per input channel), so the row of a style comes
from the activation that its layer reads: see `StyleSlice.reads`. toRGB styles get rows in the same way.

Large generators need more activations than fit in memory, so everything is computed from `region_moments`, which add up
over batches of images.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import interpolate, one_hot

from sfhub.models.style_space import StyleLayout

__all__ = [
    "contribution",
    "contribution_from_moments",
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


def style_moments(layout: StyleLayout, activations: Mapping[str, Tensor], labels: Tensor, num_regions: int) -> Tensor:
    """`region_moments` of what every style channel scales.

    Args:
        layout: of the generator that made the activations.
        activations: everything that a layer reads (`StyleSlice.reads`), `{name: [N, C, h, w]}`.
        labels: regions of the same images, integers `[N, H, W]`.
        num_regions: R.

    Returns:
        `[3, R, S]`, float64, in the order of the layout; the count differs by layer.
    """
    sources = dict.fromkeys(entry.reads for entry in layout)
    moments = {source: region_moments(activations[source], labels, num_regions) for source in sources}
    return layout.join({entry.name: moments[entry.reads] for entry in layout})
