"""Transfer of a region's look from one style code to another: *Editing in Style* (Collins et al., CVPR 2020), 3.2.

An edit moves the target code part of the way to the reference code, channel by channel (equation 3); the query q in
[0, 1] says how far each channel goes. `threshold_query`, `simultaneous_query` (equation 4) and `sequential_query`
(equation 5) make a query from the relevance of every channel for the region, one row of a region catalog
(`sfhub.regions`). Everything here is arithmetic on codes and works for any generator with per-channel styles.
"""

import torch
from torch import Tensor

from sfhub.errors import InputError

__all__ = ["interpolate_styles", "sequential_query", "simultaneous_query", "threshold_query"]


def interpolate_styles(target: Tensor, reference: Tensor, query: Tensor, strength: float | Tensor = 1.0) -> Tensor:
    """Equation 3: `target + strength * query * (reference - target)`.

    Args:
        target: codes `[B, S]`, or `[1, S]` for several references.
        reference: codes `[B, S]` or `[1, S]`.
        query: `[S]` or `[B, S]` in [0, 1]; 0 keeps the target's channel, 1 takes the reference's.
        strength: scales the whole edit; 0 is the identity, 1 the full query. A number or `[B, 1]`.

    Returns:
        `[B, S]`; exactly the target where `strength * query` is 0 and exactly the reference where it is 1.

    Raises:
        InputError: if the codes and the query differ in length.
    """
    lengths = target.shape[-1], reference.shape[-1], query.shape[-1]
    if len(set(lengths)) > 1:
        raise InputError(
            f"Target, reference and query have lengths {lengths[0]}, {lengths[1]} and {lengths[2]}, which must be "
            "equal; take both codes and the catalog from the same generator."
        )
    target, reference = torch.broadcast_tensors(target, reference)
    # lerp is exact at both ends, the formula in the docstring is not at 1.
    return torch.lerp(target, reference, query.to(target) * strength)


def threshold_query(relevance: Tensor, threshold: float) -> Tensor:
    """1 for every channel whose relevance lies above `threshold`, else 0.

    Args:
        relevance: `[..., C]` in [0, 1].
        threshold: 0 takes every channel with any relevance, 1 none.

    Returns:
        `[..., C]`.
    """
    return (relevance > threshold).to(relevance.dtype)


def simultaneous_query(relevance: Tensor, gain: float) -> Tensor:
    """Equation 4: `min(1, gain * relevance)`; `gain` is the paper's lambda.

    Args:
        relevance: `[..., C]` in [0, 1].
        gain: 0 or more.

    Returns:
        `[..., C]`.

    Raises:
        InputError: if `gain` is negative.
    """
    if gain < 0:
        raise InputError(f"The gain {gain} is negative; a simultaneous query takes a gain of 0 or more.")
    return (gain * relevance).clamp(max=1)


def sequential_query(relevance: Tensor, epsilon: float, rho: float = 0.1) -> Tensor:
    """Equation 5, solved greedily: the most relevant channels as long as their effect elsewhere stays in the budget.

    Follows the published code (`style_interpolator.py`): channels in falling order of relevance get 1 while the sum of
    `1 - relevance`, their own included, is below `epsilon`; no channel gets a fraction. The code compares `rho` with
    the relevance itself, whereas the text compares `rho / (1 + rho)`.

    Args:
        relevance: `[..., C]` in [0, 1], all channels of one layer.
        epsilon: budget for the effect outside the region, in channels.
        rho: channels of this relevance or less are left alone, whatever the budget.

    Returns:
        `[..., C]` of zeros and ones.
    """
    ordered, order = relevance.sort(dim=-1, descending=True, stable=True)
    chosen = ((1 - ordered).cumsum(dim=-1) < epsilon) & (ordered > rho)
    return torch.zeros_like(relevance).scatter(-1, order, chosen.to(relevance.dtype))
