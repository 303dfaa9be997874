"""Adaptive discriminator augmentation (*Training GANs with Limited Data*, Karras et al., NeurIPS 2020).

The paper's pixel blitting, geometric and colour transformations, each applied with probability p to every image the
discriminator sees. `AdaptiveProbability` moves p so that the discriminator's sign on real images stays at a target
(sec. 3, r_t). Filtering, noise and cut-out are left out: the paper finds that they add little.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["AdaptiveProbability", "augment"]


def augment(images: Tensor, p: float, generator: torch.Generator | None = None) -> Tensor:
    """Transform each image `[B, 3, H, W]` at random; p = 0 returns the input."""
    if p <= 0:
        return images
    draw = _Draw(len(images), p, images.device, generator)
    return _colour(_geometry(images, draw), draw)


class _Draw:
    """Random numbers per image, switched to a neutral value with probability 1 - p."""

    def __init__(self, batch: int, p: float, device: torch.device, generator: torch.Generator | None):
        self.batch, self.p, self.device, self.generator = batch, p, device, generator

    def _switch(self, value: Tensor, neutral: float) -> Tensor:
        on = torch.rand(self.batch, generator=self.generator, device=self.device) < self.p
        return torch.where(on, value, torch.full_like(value, neutral))

    def uniform(self, low: float, high: float, neutral: float = 0.0) -> Tensor:
        value = torch.rand(self.batch, generator=self.generator, device=self.device)
        return self._switch(low + (high - low) * value, neutral)

    def normal(self, deviation: float) -> Tensor:
        return self._switch(torch.randn(self.batch, generator=self.generator, device=self.device) * deviation, 0.0)

    def integer(self, count: int) -> Tensor:
        value = torch.randint(count, (self.batch,), generator=self.generator, device=self.device)
        return self._switch(value.float(), 0.0)


def _geometry(images: Tensor, draw: _Draw) -> Tensor:
    """Flips, quarter turns, shifts, scaling and rotation as one bilinear resampling (paper, appendix B)."""
    flip = 1 - 2 * draw.integer(2)
    angle = draw.integer(4) * (math.pi / 2) + draw.uniform(-math.pi, math.pi)
    scale, stretch = torch.exp2(draw.normal(0.2)), torch.exp2(draw.normal(0.2))
    shift = torch.stack([draw.uniform(-0.25, 0.25), draw.uniform(-0.25, 0.25)], dim=1) + torch.stack(
        [draw.normal(0.25), draw.normal(0.25)], dim=1
    )
    cos, sin = angle.cos(), angle.sin()
    rows = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], dim=1)
    rows = rows * torch.stack([flip / (scale * stretch), stretch / scale], dim=1)[:, None]
    theta = torch.cat([rows, shift[:, :, None]], dim=2).to(images.dtype)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def _colour(images: Tensor, draw: _Draw) -> Tensor:
    """Brightness, contrast, luma flip, hue rotation and saturation about the grey axis (paper, appendix B)."""
    brightness, contrast = draw.normal(0.2), torch.exp2(draw.normal(0.5))
    axis = torch.full((3,), 1 / math.sqrt(3.0), device=images.device)
    grey = torch.outer(axis, axis)
    skew = torch.zeros(3, 3, device=images.device)
    skew[0, 1], skew[0, 2], skew[1, 2] = -axis[2], axis[1], -axis[0]
    skew = skew - skew.T
    hue = draw.uniform(-math.pi, math.pi)[:, None, None]
    saturation = torch.exp2(draw.normal(1.0))[:, None, None]
    luma = (1 - 2 * draw.integer(2))[:, None, None]
    eye = torch.eye(3, device=images.device)
    rotate = eye * hue.cos() + skew * hue.sin() + grey * (1 - hue.cos())
    matrix = (luma * grey + saturation * (eye - grey)) @ rotate * contrast[:, None, None]
    flat = torch.einsum("bij,bjhw->bihw", matrix.to(images.dtype), images)
    return flat + brightness.to(images.dtype)[:, None, None, None]


class AdaptiveProbability:
    """The augmentation probability p, raised while the discriminator overfits (ADA, sec. 3).

    Args:
        target: wanted mean of sign(D(real)); None keeps p at zero.
        p: starting value.
        images_to_one: images in which p may move from 0 to 1.
    """

    def __init__(self, target: float | None, p: float = 0.0, images_to_one: int = 500_000):
        self.target, self.p, self.images_to_one = target, p, images_to_one

    def update(self, mean_sign: float, images: int) -> None:
        """Move p by the number of `images` seen since the last update, up or down."""
        if self.target is not None:
            step = images / self.images_to_one
            self.p = min(1.0, max(0.0, self.p + math.copysign(step, mean_sign - self.target)))
