"""Losses and regularisers of adversarial training, each a few lines with its equation beside it.

Goodfellow et al. (NeurIPS 2014) for the non-saturating loss, Mescheder et al. (ICML 2018, eq. 9) for R1, Karras et al.
(*Analyzing and Improving the Image Quality of StyleGAN*, CVPR 2020) for path length regularisation.
`effective_area` is sfhub's own: it asks that one style channel move one place of the picture.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["discriminator_loss", "effective_area", "feature_distance", "generator_loss", "path_lengths", "r1_penalty"]


def generator_loss(fake_logits: Tensor) -> Tensor:
    """Non-saturating generator loss: mean of -log sigmoid(D(G(z)))."""
    return F.softplus(-fake_logits).mean()


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Mean of -log sigmoid(D(x)) - log(1 - sigmoid(D(G(z))))."""
    return F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()


def r1_penalty(real_logits: Tensor, real_images: Tensor) -> Tensor:
    """Mean squared norm of the gradient of D at real images (R1, eq. 9); multiply by gamma / 2.

    Args:
        real_logits: `[B, 1]`, computed from `real_images`, which must require a gradient.
        real_images: `[B, 3, H, W]`.
    """
    (gradient,) = torch.autograd.grad(real_logits.sum(), real_images, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean()


def path_lengths(images: Tensor, w_plus: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Lengths ||J_w^T y|| for random images y, `[B]` (StyleGAN2, sec. 3.2, eq. 4; mean over the W+ vectors).

    Args:
        images: `[B, 3, H, W]`, computed from `w_plus`.
        w_plus: `[B, num_ws, w_dim]`, requiring a gradient.
        generator: source of y.
    """
    noise = torch.randn(images.shape, generator=generator, device=images.device)
    noise = noise / math.sqrt(images.shape[2] * images.shape[3])
    (gradient,) = torch.autograd.grad((images * noise).sum(), w_plus, create_graph=True)
    return gradient.square().sum(dim=2).mean(dim=1).sqrt()


def effective_area(before: Tensor, after: Tensor, floor: float = 1e-4) -> Tensor:
    """Share of the picture that a change touches, `[B]` in (0, 1]: the participation ratio of its difference map.

    With d the squared difference per pixel, mean(d)^2 / mean(d^2) is 1 for a change spread evenly over the picture and
    a / A for one confined evenly to a pixels of A. Penalising it when one random style channel moves makes the
    channels of S space local, which is what every later region edit lives off.

    Args:
        before, after: `[B, 3, H, W]` in [-1, 1].
        floor: squared difference below which a change counts as none.
    """
    d = (after - before).square().mean(dim=1)
    return d.mean(dim=(1, 2)).square() / (d.square().mean(dim=(1, 2)) + floor**2)


def feature_distance(fake: list[Tensor], real: list[Tensor]) -> Tensor:
    """Feature matching (Wang et al., CVPR 2018, eq. 3): how far the discriminator's features of two batches are apart.

    Args:
        fake, real: one tensor per layer, of equal shapes.

    Returns:
        Mean over layers of the absolute difference, each in units of the real layer's mean absolute value.
    """
    distances = [
        F.l1_loss(a.float(), b.float()) / b.float().abs().mean().clamp(min=1e-4)
        for a, b in zip(fake, real, strict=True)
    ]
    return torch.stack(distances).mean()
