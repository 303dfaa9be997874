"""Colour differences in CIELAB, where equal distances look about equally large.

`rgb_to_lab` and `color_difference` are the sound ones (sRGB, D65, 2 degree observer; equal to scikit-image, but on
batches and on any device). `published_squared_error` repeats what the code of *Editing in Style* (Collins et al., CVPR
2020, `cielab.py`) computes, quirk included, so that its maps can be reproduced; nothing else uses it.
"""

import torch
from torch import Tensor

__all__ = ["color_difference", "published_lab", "published_squared_error", "rgb_to_lab"]

# Linear sRGB -> CIE XYZ (rows X, Y, Z) and the D65 white point, IEC 61966-2-1.
RGB_TO_XYZ = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
WHITE = (0.95047, 1.0, 1.08883)


def rgb_to_lab(image: Tensor) -> Tensor:
    """CIELAB of an sRGB image.

    Args:
        image: `[..., 3, H, W]` in [-1, 1]; values outside are clamped, as they are when an image is saved.

    Returns:
        `[..., 3, H, W]`, float32 or wider: L in [0, 100], a and b about [-128, 127].
    """
    wide = image if image.dtype == torch.float64 else image.float()
    return _lab((wide.clamp(-1, 1) + 1) / 2, torch.tensor(RGB_TO_XYZ))


def color_difference(a: Tensor, b: Tensor) -> Tensor:
    """CIE 1976 colour difference per pixel, Delta E* = |Lab(a) - Lab(b)|; about 2.3 is just noticeable.

    Args:
        a, b: images `[..., 3, H, W]` in [-1, 1] whose shapes broadcast.

    Returns:
        `[..., H, W]`, 0 or more.
    """
    return torch.linalg.vector_norm(rgb_to_lab(a) - rgb_to_lab(b), dim=-3)


def published_lab(image: Tensor) -> Tensor:
    """CIELAB as the published code of *Editing in Style* has it, for parity only.

    It multiplies the RGB row vector by the RGB-to-XYZ matrix without transposing it, so even grey gets a hue.

    Args:
        image: `[..., 3, H, W]` in [0, 1].

    Returns:
        `[..., 3, H, W]`.
    """
    return _lab(image, torch.tensor(RGB_TO_XYZ).T)


def published_squared_error(a: Tensor, b: Tensor) -> Tensor:
    """Squared-error map of *Editing in Style* (appendix B) as its published code computes it, for parity only.

    L is scaled by 2.55 and differences are divided by 255, then squared and averaged over the three channels.

    Args:
        a, b: images `[..., 3, H, W]` in [0, 1].

    Returns:
        `[..., 1, H, W]`.
    """
    scale = torch.tensor([2.55, 1.0, 1.0], dtype=a.dtype, device=a.device)[:, None, None] / 255
    return ((published_lab(a) - published_lab(b)) * scale).square().mean(dim=-3, keepdim=True)


def _lab(rgb: Tensor, rgb_to_xyz: Tensor) -> Tensor:
    """Gamma-encoded RGB in [0, 1] -> CIELAB; the matrix maps a column of linear RGB to XYZ."""
    linear = torch.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    xyz = torch.einsum("ij,...jhw->...ihw", rgb_to_xyz.to(rgb), linear)
    xyz = xyz / torch.tensor(WHITE).to(rgb)[:, None, None]
    # The clamp keeps the gradient of the unused branch finite at black.
    f = torch.where(xyz > 0.008856, xyz.clamp(min=0.008856) ** (1 / 3), 7.787 * xyz + 16 / 116)
    x, y, z = f.unbind(dim=-3)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=-3)
