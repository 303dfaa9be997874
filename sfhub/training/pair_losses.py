"""Losses of pairs: how far a generated portrait is from the rendered one of the same attributes.

A plain pixel difference is about background and skin, which cover most of the picture; a person looks at eyes and
mouth. So pixels count by their class (`CLASS_WEIGHTS`), at full size and averaged over 2, 4 and 8 pixels, and a parser
that reads attributes says whether the picture shows what its code says.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from sfhub.portraits.attributes import ATTRIBUTES, attribute_columns
from sfhub.portraits.classes import CLASSES
from sfhub.portraits.parser import PortraitParser

__all__ = ["CLASS_WEIGHTS", "AttributeLoss", "pixel_weights", "measured_parser", "pixel_loss"]

CLASS_WEIGHTS: dict[str, float] = {
    "background": 1,
    "skin": 1.5,
    "eyes": 12,
    "brows": 6,
    "mouth": 10,
    "nose": 4,
    "ears": 3,
    "hair": 1.5,
    "neck": 1.5,
    "clothes": 4,
    "glasses": 6,
    "hat": 3,
    "earrings": 12,
}
"""Weight of a pixel by the class of the rendered picture."""

SCALES = (2, 4, 8)

PARSER_SAMPLE = 400
"""Pairs on which a parser is measured before a training."""


def pixel_weights(mask: Tensor) -> Tensor:
    """Weight of every pixel of masks `[B, H, W]` of class numbers: `[B, 1, H, W]`, mean 1 over the batch."""
    table = torch.tensor([CLASS_WEIGHTS[name] for name in CLASSES], device=mask.device)
    weight = table[mask.long()][:, None]
    return weight / weight.mean()


def pixel_loss(fake: Tensor, real: Tensor, weight: Tensor) -> Tensor:
    """Weighted |d| + d^2 of the pictures, plus weighted |d| of the pictures averaged over 2, 4 and 8 pixels.

    Args:
        fake, real: `[B, 3, H, W]`.
        weight: `[B, 1, H, W]`, see `pixel_weights`.
    """
    d = fake.float() - real
    loss = (weight * (d.abs() + d.square())).mean()
    for scale in SCALES:
        loss = loss + (F.avg_pool2d(weight, scale) * F.avg_pool2d(d, scale).abs()).mean()
    return loss


class AttributeLoss:
    """What a parser reads in a generated picture against what its code says.

    Squared error in units of the attribute's variance, cross-entropy for kinds; each attribute counts as much as the
    parser sees of it in renders (R^2; for kinds the share of the entropy that it explains), since what it guesses
    would teach nothing.

    Args:
        parser: any network whose output has `attributes`.
        images: renders `[N, 3, H, W]` in [-1, 1].
        target, visible: `[N, A]`, their attribute vectors and which columns show.
    """

    @torch.no_grad()
    def __init__(self, parser: PortraitParser, images: Tensor, target: Tensor, visible: Tensor):
        self.parser = parser
        columns = attribute_columns()
        self._kinds = [columns[name] for name, item in ATTRIBUTES.items() if item.choices]
        self._numbers = torch.tensor([columns[name].start for name, item in ATTRIBUTES.items() if not item.choices])
        seen = torch.cat([parser(part).attributes.float().cpu() for part in images.split(50)])
        error, weight = self._number_errors(seen, target, visible)
        wanted = target[:, self._numbers]
        count = weight.sum(dim=0).clamp(min=1)
        mean = (wanted * weight).sum(dim=0) / count
        self._variance = ((wanted - mean).square() * weight).sum(dim=0) / count + 1e-4
        self._number_weights = (1 - error.sum(dim=0) / count / self._variance).clamp(0, 1)
        self._kind_weights = [self._explained(seen, target, visible, kind) for kind in self._kinds]

    def _number_errors(self, seen: Tensor, target: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
        weight = visible[:, self._numbers]
        return (seen[:, self._numbers] - target[:, self._numbers]).square() * weight, weight

    def _explained(self, seen: Tensor, target: Tensor, visible: Tensor, kind: slice) -> float:
        shown = visible[:, kind.start] > 0
        truth = target[shown][:, kind]
        share = truth.mean(dim=0)
        entropy = -(share * share.clamp(min=1e-6).log()).sum()
        found = F.cross_entropy(seen[shown][:, kind], truth.argmax(dim=1))
        return (1 - found / entropy).clamp(0, 1).item()

    def to(self, device: torch.device) -> "AttributeLoss":
        """Move the weights."""
        for name in ("_numbers", "_variance", "_number_weights"):
            setattr(self, name, getattr(self, name).to(device))
        return self

    def __call__(self, seen: Tensor, target: Tensor, visible: Tensor) -> Tensor:
        """Mean error per attribute of pictures in which the parser sees `seen`, `[B, A]`."""
        error, weight = self._number_errors(seen.float(), target, visible)
        numbers = (error.sum(dim=0) / weight.sum(dim=0).clamp(min=1) / self._variance * self._number_weights).sum()
        kinds = []
        for kind, factor in zip(self._kinds, self._kind_weights, strict=True):
            entropy = F.cross_entropy(seen[:, kind].float(), target[:, kind].argmax(dim=1), reduction="none")
            shown = visible[:, kind.start]
            kinds.append(factor * (entropy * shown).sum() / shown.sum().clamp(min=1))
        return (numbers + torch.stack(kinds).sum()) / (len(self._numbers) + len(kinds))


def measured_parser(parser: PortraitParser, dataset: Dataset, device: torch.device) -> AttributeLoss:
    """The parser as a loss, measured first on a few pairs, items as `PairedPortraits` gives them."""
    parser = parser.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)
    items = [dataset[index] for index in range(0, len(dataset), max(1, len(dataset) // PARSER_SAMPLE))]
    images = torch.stack([item["image"] for item in items]).to(device).float() / 127.5 - 1
    target, visible = (torch.stack([item[name] for item in items]) for name in ("target", "visible"))
    return AttributeLoss(parser, images, target, visible).to(device)
