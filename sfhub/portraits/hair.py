"""Hair: a mass behind the head and one in front that leaves the face free.

Strands follow the fall of the hair, and a band of shine lies around the crown.
"""

import torch
from torch import Tensor

from sfhub.portraits.shapes import blob, ellipse, shade, smooth_max, smooth_min, step
from sfhub.portraits.stage import LABEL, Stage

# Single hairs are drawn only where a pixel (in units of half the picture) is finer than they are.
_FINE_PIXEL = 0.01


def paint_hair_back(stage: Stage) -> None:
    """What lies behind neck and face, buns and ponytails included."""
    x, y = stage.head
    bun = ellipse(x + 0.16 * stage.sin, y + 0.60, 0.180, 0.150)
    side = torch.where(stage["hair_part"] < 0, -1.0, 1.0)
    along = y - 0.12
    across = x - side * (0.50 - 0.22 * along.square())
    tail = ellipse(across, along, 0.135 * (1 + 0.3 * stage["hair_volume"]), 0.44 + 0.12 * stage["hair_length"])
    bare = stage.hat_line < -1
    away = torch.full_like(x, 1.0)
    extra = torch.where((stage.is_choice("hair_style", "bun") > 0) & bare, bun, away)
    extra = torch.where(stage.is_choice("hair_style", "ponytail") > 0, tail, extra)
    distance = smooth_min(stage.hair_outline, extra, 0.03)
    alpha = stage.canvas.cover(distance) * stage.haired
    darkness = 0.20 + 0.5 * stage.strands + 0.25 * step(y, 0.1, 0.55)
    darkness -= 0.12 * blob(extra + 0.12, extra + 0.12, 0.06, 0.06)
    stage.canvas.paint(alpha, shade(stage.colour("hair"), darkness), LABEL["hair"])


def paint_hair_front(stage: Stage) -> None:
    """Crown, fringe, and the strands beside the face."""
    x, y = stage.head
    end = stage.hair_style(5)
    end = end + 0.17 * stage["hair_length"] * (end > 0.3)
    distance = torch.maximum(stage.hair_outline, -stage.hair_opening)
    distance = smooth_max(distance, y - end, 0.10)
    buzz = stage.is_choice("hair_style", "buzz")
    alpha = stage.canvas.cover(distance) * stage.haired * (1 - 0.25 * buzz)
    u, v = x / 0.5, (y + 0.03) / 0.62
    form = 0.55 * (0.62 - stage.lambert(u.clamp(-1, 1), v.clamp(-1, 0.3)))
    edge = 0.16 * step(stage.hair_outline, -0.07, 0.0) + 0.12 * step(stage.hair_opening, 0.06, 0.0)
    darkness = form + edge + stage.strands - _shine(stage)
    if stage.canvas.pixel < _FINE_PIXEL:
        darkness += 0.05 * torch.sin(131 * stage.fall + 0.7)
    stage.canvas.paint(alpha, shade(stage.colour("hair"), darkness.clamp_(-0.9, 0.7), (0.92, 1.0, 1.04)), LABEL["hair"])


def _shine(stage: Stage) -> Tensor:
    """A soft band around the crown, towards the light (Kajiya and Kay's highlight, drawn by hand)."""
    x, y = stage.head
    light_x, _, _ = stage.light
    band = stage.hair_outline + 0.13 + 0.10 * x.square()
    sparkle = 0.85 + 0.15 * torch.sin(31 * stage.fall + 0.4)
    strength = (0.42 - 0.30 * stage.hair_style(7)) * (1 - 0.7 * stage.is_choice("hair_style", "buzz"))
    lit = blob(x - 0.34 * light_x, y + 0.42, 0.34, 0.30)
    return strength * blob(band, band, 0.05, 0.05) * sparkle * lit
