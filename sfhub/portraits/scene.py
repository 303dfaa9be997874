"""Soft backgrounds, and the colour of the light over the finished picture."""

import torch

from sfhub.portraits.shapes import step
from sfhub.portraits.stage import Stage

# Rate of the horizontal place, vertical place and radius of each soft light of a bokeh background.
_LIGHTS = ((1.3, -0.62, 0.34), (-1.7, -0.20, 0.26), (2.6, -0.75, 0.24), (-2.3, 0.15, 0.32), (3.0, -0.45, 0.20))


def paint_background(stage: Stage) -> None:
    """Flat, gradient, soft lights or a soft horizon, in two colours, with a little vignette."""
    x, y = stage.x, stage.y
    first, second = stage.colour("background"), stage.colour("background2")
    place_x, place_y = stage["background_x"], stage["background_y"]
    gradient = (0.5 + 0.45 * (y * (0.5 + 0.5 * place_y) + x * place_x)).clamp(0, 1)
    horizon = step(y - 0.05 - 0.45 * place_y - 0.08 * torch.sin(3 * x * place_x + 2 * place_x.abs()), -0.10, 0.10)
    weight = stage.is_choice("background", "gradient") * gradient + stage.is_choice("background", "horizon") * horizon
    bokeh = stage.is_choice("background", "bokeh")
    if bool(bokeh.any()):
        lights = torch.zeros_like(x)
        for rate, height, radius in _LIGHTS:
            dx, dy = x - 0.95 * torch.sin(rate * place_x), y - height - 0.3 * place_y
            lights = lights + 0.55 * step((dx.square() + dy.square()).sqrt_(), radius + 0.05, radius - 0.05)
        weight = weight + bokeh * lights.clamp_(max=0.9)
    colour = torch.lerp(first, second, weight[:, None])
    vignette = 1.03 - 0.07 * (x.square() + y.square())
    stage.canvas.image.copy_(colour * vignette[:, None])


def warm_light(stage: Stage) -> None:
    """Tint everything by the warmth of the light."""
    gains = stage.x.new_tensor([0.10, 0.01, -0.12])[None, :, None, None]
    stage.canvas.image.mul_(1 + stage["light_warmth"][:, None] * gains)
