"""Moving a code until its picture shows what a text says: *StyleCLIP* (Patashnik et al., ICCV 2021), section 4.

Adam on a displacement of W+ with the schedule of the official code; the loss is one minus the cosine of picture and
text, plus the squared length of the displacement. The paper's identity loss needs a network that recognises real
faces; none is used here. What may change, and where, is decided by whoever turns a displacement into a picture, so the
optimisation sees the same constraint as the edit (SemanticStyleGAN, fig. 11: only the chosen classes move).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sfhub.errors import InputError
from sfhub.text.encoder import TextEncoder

__all__ = ["Optimisation", "TextProgress", "optimise"]

RAMP_UP, RAMP_DOWN = 0.05, 0.25


@dataclass(frozen=True)
class Optimisation:
    """Settings of one optimisation; those of the paper.

    Attributes:
        steps: of Adam.
        learning_rate: its highest.
        l2: weight of the squared length of the displacement.
    """

    steps: int = 300
    learning_rate: float = 0.1
    l2: float = 0.008

    def __post_init__(self):
        fine = isinstance(self.steps, int) and not isinstance(self.steps, bool) and 1 <= self.steps <= 10_000
        if not fine:
            raise InputError(f"An optimisation of {self.steps!r} steps cannot be made; take 1 to 10000.")
        for name in ("learning_rate", "l2"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
                raise InputError(f"{name} is {value!r}; take a finite number, 0 or more.")


@dataclass(frozen=True, eq=False)
class TextProgress:
    """Where an optimisation stands.

    Attributes:
        step, steps: of how many.
        similarity: cosine of picture and text.
        picture: the latest picture, `[1, 3, H, W]` in [-1, 1].
    """

    step: int
    steps: int
    similarity: float
    picture: Tensor


def optimise(
    render: Callable[[Tensor], Tensor],
    start: Tensor,
    encoder: TextEncoder,
    text: str,
    settings: Optimisation,
    callback: Callable[[TextProgress], object] | None = None,
    until: int | None = None,
) -> tuple[Tensor, int]:
    """Find a displacement.

    Args:
        render: displacement like `start` -> picture `[1, 3, H, W]` in [-1, 1], with gradients.
        start: where to begin, usually zeros.
        encoder, text: what the picture should show.
        settings: of the optimisation.
        callback: called after every step; the optimisation ends there if it returns False.
        until: end after so many steps of the schedule, as one that was stopped did.

    Returns:
        The displacement, and the steps that were made.
    """
    wanted = encoder.texts([text])[0]
    with torch.enable_grad():
        moved = start.detach().clone().requires_grad_()
        optimizer = torch.optim.Adam([moved], lr=settings.learning_rate)
        for step in range(settings.steps if until is None else min(until, settings.steps)):
            optimizer.param_groups[0]["lr"] = _rate(step / settings.steps, settings.learning_rate)
            picture = render(moved)
            similarity = encoder.pictures(picture)[0] @ wanted
            loss = 1 - similarity + settings.l2 * moved.square().sum()
            optimizer.zero_grad()
            loss.backward()
            before = moved.detach().clone()
            optimizer.step()
            if not bool(torch.isfinite(moved).all()):
                return before, step
            if callback is not None:
                told = TextProgress(step + 1, settings.steps, similarity.item(), picture.detach())
                if callback(told) is False:
                    return moved.detach(), step + 1
    return moved.detach(), settings.steps if until is None else min(until, settings.steps)


def _rate(share: float, highest: float) -> float:
    """The official schedule: a short rise, then a fall along a cosine over the last quarter."""
    fall = min(1.0, (1 - share) / RAMP_DOWN)
    return highest * (0.5 - 0.5 * math.cos(fall * math.pi)) * min(1.0, share / RAMP_UP)
