"""Global directions for texts in style space: *StyleCLIP* (Patashnik et al., ICCV 2021), section 6, as arithmetic.

What a text asks for is a direction in the encoder's space, target minus neutral. How much each style channel moves a
picture along each direction of that space is measured once (`relevance`, `fs3.npy` of the official code); their product
says which channels to move. Numerically equal to the official code.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from sfhub.errors import InputError

__all__ = ["global_direction", "relevance", "text_direction"]


def text_direction(target: Tensor, neutral: Tensor) -> Tensor:
    """From one text to another.

    Args:
        target, neutral: embeddings of the two texts in several templates, `[T, D]`; they need not be unit vectors.

    Returns:
        `[D]`, of unit length.

    Raises:
        InputError: if both texts mean the same to the encoder.
    """
    to, away = (F.normalize(F.normalize(each, dim=1).mean(dim=0), dim=0) for each in (target, neutral))
    if bool((to - away).norm() < 1e-6):
        raise InputError("The text means the same as the neutral one to this encoder; say what should be different.")
    return F.normalize(to - away, dim=0)


def relevance(before: Tensor, after: Tensor) -> Tensor:
    """Where channels move pictures in the encoder's space.

    Args:
        before, after: embeddings of pictures with each channel far below and far above its mean, `[C, N, D]`.

    Returns:
        `[C, D]`, of unit length; 0 for a channel that moves nothing.
    """
    moved = F.normalize(F.normalize(after, dim=2) - F.normalize(before, dim=2), dim=2)
    return F.normalize(moved.mean(dim=1), dim=1)


def global_direction(relevance: Tensor, direction: Tensor, std: Tensor, beta: float) -> Tensor:
    """The displacement in style space for a direction in the encoder's space.

    Args:
        relevance: `[C, D]`, rows of unit length.
        direction: `[D]`, of unit length.
        std: standard deviation of each channel, `[C]`.
        beta: channels whose relevance for the direction is below this in size stay.

    Returns:
        `[C]` in units of the channels: the most relevant one moves by its standard deviation; to be multiplied with the
        paper's alpha.

    Raises:
        InputError: if no channel reaches `beta`.
    """
    along = relevance @ direction.to(relevance)
    peak = along.abs().max().item()
    if peak < beta or peak == 0:
        raise InputError(
            f"No style channel reaches beta {beta:g} for this text, the most relevant one has {peak:.3f}; take a lower "
            "beta."
        )
    chosen = torch.where(along.abs() < beta, 0, along)
    return chosen / chosen.abs().max() * std.to(chosen)
