"""How far the attributes that a network reads in pictures are from the true ones: one loss for readers and painters.

A number costs its squared error in units of the attribute's variance, a kind its cross-entropy. An attribute's errors
are averaged over those portraits of the batch that show it, and attributes then count alike, so that what few portraits
show (the colour of a hat) is not lost among what all do. Two things may change that:

- `balanced_loss`, for a network that learns to read: within an attribute, rare kinds count as much as common ones;
- `measured_loss`, for a generator that learns from what a network reads: an attribute counts as much as the network
  sees of it in renders (R^2; for kinds the share of the entropy that it explains), since a guess teaches nothing.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sfhub.portraits.attributes import ATTRIBUTES, attribute_columns

__all__ = ["AttributeLoss", "balanced_loss", "measured_loss"]

RARE = 10.0
"""A rare kind counts at most as many times what it would if all kinds were equally common."""


@dataclass(frozen=True)
class AttributeLoss:
    """See the head of the file.

    Attributes:
        numbers: columns of the attributes that are numbers, `[M]`.
        variance, number_weights: of these, `[M]`.
        kinds: the columns of each attribute that is a kind.
        kind_weights: weight of each of these.
        choice_weights: of each, the weights of its choices, or None for all alike.
    """

    numbers: Tensor
    variance: Tensor
    number_weights: Tensor
    kinds: Sequence[slice]
    kind_weights: Sequence[float]
    choice_weights: Sequence[Tensor | None]

    def to(self, device: torch.device) -> "AttributeLoss":
        """The same on a device."""
        choices = [None if weights is None else weights.to(device) for weights in self.choice_weights]
        moved = (values.to(device) for values in (self.numbers, self.variance, self.number_weights))
        return AttributeLoss(*moved, self.kinds, self.kind_weights, choices)

    def __call__(self, seen: Tensor, target: Tensor, visible: Tensor) -> Tensor:
        """Mean error per attribute.

        Args:
            seen, target: attribute vectors read and true, `[B, A]`.
            visible: `[B, A]`, 0 where the picture does not show an attribute.
        """
        error, weight = _number_errors(seen.float(), target, visible, self.numbers)
        numbers = (error.sum(dim=0) / weight.sum(dim=0).clamp(min=1) / self.variance * self.number_weights).sum()
        kinds = []
        for kind, factor, choices in zip(self.kinds, self.kind_weights, self.choice_weights, strict=True):
            truth = target[:, kind].argmax(dim=1)
            entropy = F.cross_entropy(seen[:, kind].float(), truth, choices, reduction="none")
            shown = visible[:, kind.start]
            kinds.append(factor * (entropy * shown).sum() / shown.sum().clamp(min=1))
        return (numbers + torch.stack(kinds).sum()) / (len(self.numbers) + len(kinds))


def balanced_loss(target: Tensor, visible: Tensor) -> AttributeLoss:
    """For a network that learns to read: knowing nothing but the mean costs 1 per number, an even guess 1 per kind.

    Args:
        target, visible: attribute vectors of many portraits and which of their columns show, `[N, A]`.
    """
    numbers, kinds = _columns()
    _, variance = _count_and_variance(target, visible, numbers)
    choice_weights = []
    for kind in kinds:
        share, count = target[visible[:, kind.start] > 0][:, kind].mean(dim=0), kind.stop - kind.start
        choice_weights.append(1 / (count * share.clamp(min=1 / (RARE * count))))
    kind_weights = [1 / math.log(kind.stop - kind.start) for kind in kinds]
    return AttributeLoss(numbers, variance, torch.ones(len(numbers)), kinds, kind_weights, choice_weights)


@torch.no_grad()
def measured_loss(read: Callable[[Tensor], Tensor], images: Tensor, target: Tensor, visible: Tensor) -> AttributeLoss:
    """For a generator: each attribute counts as much as a network sees of it.

    Args:
        read: pictures -> attribute vectors `[B, A]`.
        images: renders `[N, 3, H, W]` in [-1, 1].
        target, visible: `[N, A]`, their attribute vectors and which columns show.
    """
    numbers, kinds = _columns()
    seen = torch.cat([read(part).float().cpu() for part in images.split(50)])
    count, variance = _count_and_variance(target, visible, numbers)
    error, _ = _number_errors(seen, target, visible, numbers)
    number_weights = (1 - error.sum(dim=0) / count / variance).clamp(0, 1)
    kind_weights = [_explained(seen, target, visible, kind) for kind in kinds]
    return AttributeLoss(numbers, variance, number_weights, kinds, kind_weights, [None] * len(kinds))


def _columns() -> tuple[Tensor, list[slice]]:
    """Columns of the attributes that are numbers, and of each that is a kind."""
    columns = attribute_columns()
    numbers = torch.tensor([columns[name].start for name, item in ATTRIBUTES.items() if not item.choices])
    return numbers, [columns[name] for name, item in ATTRIBUTES.items() if item.choices]


def _number_errors(seen: Tensor, target: Tensor, visible: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
    weight = visible[:, numbers]
    return (seen[:, numbers] - target[:, numbers]).square() * weight, weight


def _count_and_variance(target: Tensor, visible: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
    """Of the attributes that are numbers: how many portraits show each, and its variance in these."""
    wanted, weight = target[:, numbers], visible[:, numbers]
    count = weight.sum(dim=0).clamp(min=1)
    mean = (wanted * weight).sum(dim=0) / count
    return count, ((wanted - mean).square() * weight).sum(dim=0) / count + 1e-4


def _explained(seen: Tensor, target: Tensor, visible: Tensor, kind: slice) -> float:
    """Share of a kind's entropy that what was read explains."""
    shown = visible[:, kind.start] > 0
    truth = target[shown][:, kind]
    share = truth.mean(dim=0)
    entropy = -(share * share.clamp(min=1e-6).log()).sum()
    found = F.cross_entropy(seen[shown][:, kind], truth.argmax(dim=1))
    return (1 - found / entropy).clamp(0, 1).item()
