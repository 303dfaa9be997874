"""Other styles of portraits: deterministic transformations of a rendered picture, the targets of adaptation.

A model trained on renders with masks is adapted to one of these from images alone (SemanticStyleGAN, sec. 5.3). They
look only at the picture, never at attributes or masks, so that they could come from anywhere.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from sfhub.errors import InputError

__all__ = ["STYLES", "stylise"]

LUMA = (0.299, 0.587, 0.114)
PAPER = (0.965, 0.94, 0.885)
INK = (0.13, 0.145, 0.22)


def stylise(image: Tensor, style: str) -> Tensor:
    """Draw pictures in another style.

    Args:
        image: `[B, 3, H, W]` in [-1, 1].
        style: a name of `STYLES`.

    Returns:
        `[B, 3, H, W]` in [-1, 1].

    Raises:
        InputError: for an unknown style.
    """
    if style not in STYLES:
        raise InputError(f"There is no style {style!r}; choose one of {', '.join(STYLES)}.")
    return STYLES[style]((image + 1) / 2).clamp(0, 1) * 2 - 1


def ink(image: Tensor) -> Tensor:
    """Pen and watercolour: dark lines round every shape, flat thin washes inside, hatching in the shade, warm paper."""
    side = image.shape[-1]
    line = _lines(image, 0.6 * side / 128)
    wash = _wash(_blur(image, side / 200), side)
    tone = _luma(image)
    shade = _blur(tone, side / 10) - _blur(tone, side / 64)  # darker than what lies around, whatever its colour
    hatch = _hatching(shade, side)
    paper, pen = (image.new_tensor(colour)[:, None, None] for colour in (PAPER, INK))
    return torch.lerp(paper * wash, pen, 1 - (1 - 0.9 * line) * (1 - 0.28 * hatch))


STYLES: dict[str, Callable[[Tensor], Tensor]] = {"ink": ink}
"""Functions of pictures `[B, 3, H, W]` in [0, 1], by name."""


def _luma(image: Tensor) -> Tensor:
    """Brightness `[B, 1, H, W]`."""
    return (image * image.new_tensor(LUMA)[:, None, None]).sum(dim=1, keepdim=True)


def _blur(image: Tensor, sigma: float) -> Tensor:
    """Gaussian blur with edges repeated."""
    reach = max(1, round(2.5 * sigma))
    x = torch.arange(-reach, reach + 1, device=image.device, dtype=image.dtype)
    kernel = (-0.5 * (x / max(sigma, 1e-3)).square()).exp()
    kernel = (kernel / kernel.sum()).expand(image.shape[1], 1, 1, -1)
    image = F.conv2d(F.pad(image, (reach, reach, 0, 0), mode="replicate"), kernel, groups=image.shape[1])
    return F.conv2d(F.pad(image, (0, 0, reach, reach), mode="replicate"), kernel.mT, groups=image.shape[1])


def _lines(image: Tensor, width: float) -> Tensor:
    """Pen lines in [0, 1]: along narrow dark marks, and on the darker side wherever a colour changes fast."""
    dark = (_blur(image, 2 * width) - _blur(image, 0.5 * width)).mean(dim=1, keepdim=True)
    smooth = _blur(image, width)
    across = (F.pad(smooth, (0, 1, 0, 0), mode="replicate")[..., 1:] - smooth).square()
    down = (F.pad(smooth, (0, 0, 0, 1), mode="replicate")[..., 1:, :] - smooth).square()
    change = (across + down).sum(dim=1, keepdim=True).sqrt() * width
    tone = _luma(image)
    darker = torch.sigmoid(40 * (_blur(tone, 2.5 * width) - tone + 0.02))  # leaves teeth and eyes white
    return torch.sigmoid(80 * (dark - 0.1)).maximum(torch.sigmoid(70 * (change - 0.08)) * darker)


def _wash(image: Tensor, side: int) -> Tensor:
    """Thin watercolour in [0, 1] to multiply paper with: colours a little stronger, in few steps of brightness."""
    grey = _luma(image)
    steps = 5 * grey
    flat = (steps.floor() + torch.sigmoid(14 * (steps - steps.floor() - 0.5))) / 5
    colour = 0.5 * (flat + grey) + 1.4 * (image - grey)
    y, x = _grid(image, side)
    pigment = 0.02 * torch.sin(9 * x + 3 * torch.sin(7 * y)) * torch.sin(8 * y + 2 * torch.sin(11 * x))
    return (0.15 + 0.9 * colour + pigment).clamp(0, 1)


def _hatching(shade: Tensor, side: int) -> Tensor:
    """Diagonal strokes in [0, 1], denser where there is more shade."""
    y, x = _grid(shade, side)
    stroke = torch.sin((x + y) * (6.2832 * 16) + 1.5 * torch.sin(5 * (x - y)))
    depth = (12 * (shade - 0.06)).clamp(0, 1)
    return torch.sigmoid(5 * (stroke + 1.4 * depth - 1.2)) * depth


def _grid(image: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Rows and columns of the pixels in [0, 1]."""
    line = (torch.arange(side, device=image.device, dtype=image.dtype) + 0.5) / side
    return line[:, None], line[None, :]
