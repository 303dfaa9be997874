"""Losses of pairs: how far a generated portrait is from the rendered one of the same attributes.

A plain pixel difference is about background and skin, which cover most of the picture; a person looks at eyes and
mouth. So pixels count by their class (`CLASS_WEIGHTS`), at full size and averaged over 2, 4 and 8 pixels, and a parser
that reads attributes says whether the picture shows what its code says (`sfhub.training.attribute_loss`).
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from sfhub.portraits.classes import CLASSES
from sfhub.portraits.parser import PortraitParser
from sfhub.training.attribute_loss import AttributeLoss, measured_loss

__all__ = ["CLASS_WEIGHTS", "measured_parser", "pixel_loss", "pixel_weights"]

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


def measured_parser(parser: PortraitParser, dataset: Dataset, device: torch.device) -> AttributeLoss:
    """Freeze a parser on the device and make it a loss, measured on a few pairs, items as `PairedPortraits` gives."""
    parser.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)
    items = [dataset[index] for index in range(0, len(dataset), max(1, len(dataset) // PARSER_SAMPLE))]
    images = torch.stack([item["image"] for item in items]).to(device).float() / 127.5 - 1
    target, visible = (torch.stack([item[name] for item in items]) for name in ("target", "visible"))
    return measured_loss(lambda part: parser(part).attributes, images, target, visible).to(device)
