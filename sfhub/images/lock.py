"""Keep what lies outside a region: compositing with a soft mask inside it, and how much changed outside."""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.ndimage import distance_transform_edt

__all__ = ["OutsideChange", "composite", "outside_change", "soft_inside"]

FEATHER = 1 / 64
"""Width of the soft border, of the side of the picture."""


@dataclass(frozen=True)
class OutsideChange:
    """What an edit did where it was not meant to.

    Attributes:
        share: of the pixels outside the region, those that differ at all, 0 to 1.
        mean: mean absolute difference of all pixels outside, in levels of 0 to 255.
    """

    share: float
    mean: float


def soft_inside(mask: np.ndarray, feather: float | None = None) -> np.ndarray:
    """A weight that is 0 outside a mask and rises to 1 towards its inside.

    Args:
        mask: boolean `[H, W]`.
        feather: pixels until 1; a 64th of the longer side if None. What lies beyond the picture's border counts as
            inside.

    Returns:
        float32 `[H, W]` in [0, 1].
    """
    feather = max(mask.shape) * FEATHER if feather is None else feather
    if mask.all():
        return np.ones(mask.shape, np.float32)
    distance = distance_transform_edt(mask)
    steps = max(math.ceil(feather), 1)
    return np.clip(distance / steps, 0, 1).astype(np.float32)


def composite(image: Image.Image, base: Image.Image, weight: np.ndarray) -> Image.Image:
    """`image` over `base`; where the weight `[H, W]` is 0, or the pictures agree, the pixels of `base` themselves."""
    above, below = (np.asarray(each.convert("RGB"), np.float32) for each in (image, base))
    mixed = below + weight[:, :, None] * (above - below)
    return Image.fromarray(np.rint(mixed).clip(0, 255).astype(np.uint8))


def outside_change(image: Image.Image, base: Image.Image, mask: np.ndarray) -> OutsideChange:
    """How much `image` differs from `base` outside a boolean mask `[H, W]`."""
    above, below = (np.asarray(each.convert("RGB"), np.float32) for each in (image, base))
    difference = np.abs(above - below).max(axis=2)[~mask], np.abs(above - below).mean(axis=2)[~mask]
    if not difference[0].size:
        return OutsideChange(0.0, 0.0)
    return OutsideChange(float((difference[0] > 0).mean()), float(difference[1].mean()))
