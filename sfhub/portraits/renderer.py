"""The portrait renderer: attributes in, picture and exact mask out, a whole batch at a time.

A portrait is some twenty layers painted back to front, each an implicit shape with soft shading (see `shapes`), so it
exists at any resolution. Conventions of the mask, after CelebAMask-HQ: beards are skin, the chest in a neckline is
neck, lash lines belong to the eyes, glasses cover frame and lens except where an eye shows through the lens, and
whatever lies in front wins.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from sfhub.errors import InputError
from sfhub.portraits.attributes import check_attributes
from sfhub.portraits.face import paint_beard, paint_brows, paint_ears, paint_eyes, paint_mouth, paint_skin
from sfhub.portraits.hair import paint_hair_back, paint_hair_front
from sfhub.portraits.outfit import (
    paint_clothes,
    paint_earrings,
    paint_glasses,
    paint_hat,
    paint_hood,
    paint_neck,
)
from sfhub.portraits.scene import paint_background, warm_light
from sfhub.portraits.shapes import Canvas
from sfhub.portraits.stage import Stage

# Planes of one chunk stay in the second-level cache of a core; larger chunks run slower, smaller ones pay per call.
_CHUNK_PIXELS = 65_536

_LAYERS = (
    paint_background,
    paint_hair_back,
    paint_hood,
    paint_neck,
    paint_clothes,
    paint_skin,
    paint_beard,
    paint_mouth,
    paint_eyes,
    paint_brows,
    paint_hair_front,
    paint_ears,
    paint_glasses,
    paint_earrings,
    paint_hat,
    warm_light,
)


class PortraitBatch(NamedTuple):
    """`image` [B, 3, H, W] float32 in [-1, 1], `mask` [B, H, W] uint8 labels of `CLASSES`, all `attributes` [B]."""

    image: Tensor
    mask: Tensor
    attributes: dict[str, Tensor]


@torch.no_grad()
def render(attributes: Mapping[str, Tensor | float | str], resolution: int = 128) -> PortraitBatch:
    """Render portraits.

    Args:
        attributes: values by name, as `sample_attributes` returns them. A value may be a tensor `[B]` or `[1]`, a
            number, or the name of a choice, so `render(attributes | {"smile": 1, "hat": "beanie"})` works; what is
            missing takes its default.
        resolution: height and width in pixels, at least 8.

    Returns:
        A `PortraitBatch` on the attributes' device.

    Raises:
        InputError: unknown name or choice, a value out of range or not finite, lengths that do not match, or a
            resolution outside 8 to 4096.
    """
    if not 8 <= resolution <= 4096:
        raise InputError(f"Resolution {resolution} is out of range; give a number of pixels from 8 to 4096.")
    values = check_attributes(attributes)
    count = len(values["yaw"])
    size = max(1, _CHUNK_PIXELS // resolution**2)
    image = torch.empty(count, 3, resolution, resolution, device=values["yaw"].device)
    mask = torch.empty(count, resolution, resolution, dtype=torch.uint8, device=image.device)
    for start in range(0, count, size):
        part = slice(start, start + size)
        canvas = _paint({name: value[part, None, None] for name, value in values.items()}, resolution)
        image[part] = canvas.image.clamp_(0, 1).mul_(2).sub_(1)
        mask[part] = canvas.mask
    return PortraitBatch(image, mask, values)


def _paint(values: dict[str, Tensor], resolution: int) -> Canvas:
    yaw = values["yaw"]
    axis = (torch.arange(resolution, device=yaw.device) + 0.5) * (2 / resolution) - 1
    count = len(yaw)
    x = axis[None, None, :].expand(count, resolution, resolution)
    y = axis[None, :, None].expand(count, resolution, resolution)
    canvas = Canvas(torch.zeros(count, 3, resolution, resolution, device=yaw.device), 2 / resolution)
    stage = Stage(values, x, y, canvas)
    for layer in _LAYERS:
        layer(stage)
    return canvas
