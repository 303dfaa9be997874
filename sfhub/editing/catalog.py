"""Mixing by a region catalog: *Editing in Style* (Collins et al., CVPR 2020, 3.2) for several regions at once.

A query q in [0, 1] per style channel says how far the base's channel moves to the source's (equation 3). With several
regions, channel c is weighed for region r by `w_r = strength_r * q_r[c]`; where the weights of all regions add up to
more than 1 they are divided by their sum, so that the result is a convex combination of base and sources, whatever the
order of the regions.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from sfhub.editing.transfer import interpolate_styles

__all__ = ["interpolate_by_queries", "mix_by_queries"]


def mix_by_queries(base: Tensor, sources: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
    """Convex combination of codes per channel (equation 3 for one source).

    Args:
        base: codes `[B, S]`.
        sources: codes `[B, S]` or `[1, S]`, at least one.
        weights: `[S]` in [0, 1], one per source; the base keeps what they leave of 1.

    Returns:
        `[B, S]`.

    Raises:
        InputError: if the codes and the weights differ in length.
    """
    total = torch.stack(list(weights)).sum(dim=0)
    shares = [weight / total.where(total > 0, 1) for weight in weights]
    target = sum(share * source for share, source in zip(shares, sources, strict=True))
    return interpolate_styles(base, target, total.clamp(max=1))


def interpolate_by_queries(a: Tensor, b: Tensor, queries: Sequence[Tensor] | None, position: float) -> Tensor:
    """The code at a position of the way from `a` to `b`.

    Args:
        a, b: codes `[B, S]`.
        queries: `[S]` in [0, 1] of the regions that move, whose sum counts up to 1; None to move every channel.
        position: 0 for `a`, 1 for the end of the way.

    Returns:
        `[B, S]`.

    Raises:
        InputError: if the codes and the queries differ in length.
    """
    moved = torch.ones_like(a[0]) if queries is None else torch.stack(list(queries)).sum(dim=0).clamp(max=1)
    return interpolate_styles(a, b, moved, position)
