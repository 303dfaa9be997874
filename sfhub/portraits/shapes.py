"""Painting with signed distances: primitives, soft blobs and the canvas that keeps image and mask together.

A shape is a plane `[B, H, W]` of signed distances in units of the picture's half width, negative inside. Its coverage
is a ramp as wide as a pixel and a half around zero, which anti-aliases without supersampling; the mask takes a layer
exactly where coverage is above one half, that is, inside the zero line. The formulae are Inigo Quilez' distance
functions (iquilezles.org/articles/distfunctions2d), the ellipse in its first-order form.
"""

import torch
from torch import Tensor


def ellipse(x: Tensor, y: Tensor, radius_x: Tensor | float, radius_y: Tensor | float) -> Tensor:
    """First-order signed distance to an ellipse around the origin."""
    u, v = x / radius_x, y / radius_y
    k = (u * u).addcmul_(v, v).sqrt_()
    slope = (u / radius_x).square_().add_((v / radius_y).square_()).sqrt_().add_(1e-4)
    return (k - 1).mul_(k).div_(slope)


def rounded_box(x: Tensor, y: Tensor, half_width: Tensor | float, half_height: Tensor | float, radius: float) -> Tensor:
    """Signed distance to a box with rounded corners around the origin."""
    u = x.abs() - (half_width - radius)
    v = y.abs() - (half_height - radius)
    inside = torch.maximum(u, v).clamp_(max=0)
    return u.clamp(min=0).square_().add_(v.clamp(min=0).square_()).sqrt_().add_(inside).sub_(radius)


def smooth_max(a: Tensor, b: Tensor, radius: float) -> Tensor:
    """Intersection of two shapes with a rounded corner (polynomial smooth maximum)."""
    h = (radius - (a - b).abs()).clamp_(min=0)
    return torch.maximum(a, b) + h * h / (4 * radius)


def smooth_min(a: Tensor, b: Tensor, radius: float) -> Tensor:
    """Union of two shapes with a rounded seam (polynomial smooth minimum)."""
    h = (radius - (a - b).abs()).clamp_(min=0)
    return torch.minimum(a, b) - h * h / (4 * radius)


def step(value: Tensor, low: float, high: float) -> Tensor:
    """Cubic ramp from 0 at `low` to 1 at `high` (which may be the smaller one)."""
    t = ((value - low) / (high - low)).clamp_(0, 1)
    return t * t * (3 - 2 * t)


def blob(x: Tensor, y: Tensor, radius_x: Tensor | float, radius_y: Tensor | float) -> Tensor:
    """Gaussian bump of height one; its tail stops at 1e-9, since denormal numbers are slow."""
    u, v = x / radius_x, y / radius_y
    return (u * u).addcmul_(v, v).neg_().clamp_(min=-20).exp_()


SHADOW_TINT = (0.82, 1.0, 1.06)
"""Shadows take more blue than red away, so that they stay warm."""


def shade(colour: Tensor, darkness: Tensor, tint: tuple[float, float, float] = SHADOW_TINT) -> Tensor:
    """Darken a colour `[B, 3, 1, 1]` by a plane `[B, H, W]`, negative values brighten; returns `[B, 3, H, W]`."""
    weights = darkness.new_tensor(tint)[:, None, None]
    return torch.addcmul(colour, colour * weights, darkness[:, None], value=-1)


class Canvas:
    """An image `[B, 3, H, W]` in [0, 1] and its mask uint8 `[B, H, W]`, painted back to front."""

    def __init__(self, image: Tensor, pixel: float) -> None:
        self.image = image
        self.mask = torch.zeros(image.shape[0], *image.shape[2:], dtype=torch.uint8, device=image.device)
        self.pixel = pixel

    def cover(self, distance: Tensor) -> Tensor:
        """Coverage in [0, 1] of a shape; above one half exactly inside."""
        return (distance * (-1 / (1.5 * self.pixel))).add_(0.5).clamp_(0, 1)

    def paint(self, alpha: Tensor, colour: Tensor, label: int | None = None) -> None:
        """Lay a colour (broadcastable to the image) over the picture and, with a label, over the mask."""
        self.image.lerp_(colour, alpha[:, None])
        if label is not None:
            self.mask.masked_fill_(alpha > 0.5, label)

    def glaze(self, darkness: Tensor) -> None:
        """Darken what is painted so far by a plane of darkness, as a soft shadow does."""
        weights = darkness.new_tensor(SHADOW_TINT)[:, None, None]
        self.image.addcmul_(self.image * weights, darkness[:, None], value=-1)
