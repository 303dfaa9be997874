"""Tensors in [-1, 1] and PIL pictures, with one rule of rounding, and picture files as they are meant to be seen."""

import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from sfhub.errors import InputError, clipped
from sfhub.limits import check_file, limits

__all__ = ["FORMATS", "fitted", "open_picture", "to_pil", "to_tensor", "upright"]

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")
"""Formats of picture files that are read, by Pillow's names; no other decoder sees a file, whatever it is called."""


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
        path: a PNG, JPEG, WebP, BMP or GIF file of no more pixels than `Limits.photo_pixels`.
        longest: longest side in pixels; a larger picture is made smaller.

    Raises:
        InputError: if the file is missing, no such picture, or too large.
    """
    path = Path(path)
    most = limits().photo_pixels
    try:
        check_file(path)
        with Image.open(path, formats=FORMATS) as opened:
            width, height = opened.size
            if width * height > most:
                raise InputError(
                    f"{clipped(path.name)} has {width} x {height} pixels, more than the {most:,} that are taken; make "
                    "it smaller."
                )
            if longest is not None:
                opened.draft("RGB", (2 * longest,) * 2)  # a JPEG file can be decoded at a fraction of its size
            image = upright(opened)
    except InputError:
        raise
    except Exception as error:  # the bytes are a stranger's: whatever reading them raises, they are at fault
        raise InputError(
            f"{clipped(path.name)} cannot be read as a picture; give a PNG, JPEG, WebP, BMP or GIF file."
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
