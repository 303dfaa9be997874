"""Tensors in [-1, 1] and PIL pictures, with one rule of rounding, and picture files as they are meant to be seen."""

import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from sfhub.errors import InputError

__all__ = ["fitted", "open_picture", "to_pil", "to_tensor", "upright"]


def to_pil(images: Tensor) -> list[Image.Image]:
    """`[B, 3, H, W]` in [-1, 1] -> RGB pictures, rounded as NVIDIA's code does."""
    pixels = (images.float() * 127.5 + 128).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    return [Image.fromarray(each) for each in pixels]


def to_tensor(image: Image.Image) -> Tensor:
    """RGB picture -> `[3, H, W]` in [-1, 1]."""
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1) / 127.5 - 1


def open_picture(path: str | os.PathLike[str], longest: int | None = None) -> Image.Image:
    """A picture from a file, as it is meant to be seen.

    Args:
        path: of any format that Pillow reads.
        longest: longest side in pixels; a larger picture is made smaller.

    Raises:
        InputError: if the file is missing or no picture.
    """
    try:
        with Image.open(path) as opened:
            if longest is not None:
                opened.draft("RGB", (2 * longest,) * 2)  # a JPEG file can be decoded at a fraction of its size
            image = upright(opened)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(
            f"{Path(path).name} cannot be read as a picture; give a file such as PNG, JPEG or WebP."
        ) from error
    if longest is not None:
        image.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    return image


def upright(image: Image.Image) -> Image.Image:
    """A picture as it is meant to be seen: EXIF orientation applied, RGB."""
    return ImageOps.exif_transpose(image).convert("RGB")


def fitted(image: Image.Image, side: int) -> Image.Image:
    """The middle of a picture as a square of `side` pixels."""
    return ImageOps.fit(upright(image), (side, side), Image.Resampling.LANCZOS)
