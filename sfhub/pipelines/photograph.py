"""Real pictures behind generated ones: how they come in, and how a recipe knows them again without holding them."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from sfhub.errors import InputError

__all__ = ["check_photograph", "describe", "fitted", "open_photograph", "upright"]


def open_photograph(path: str | os.PathLike[str]) -> Image.Image:
    """A picture from a file, as it is meant to be seen.

    Raises:
        InputError: if the file is missing or no picture.
    """
    try:
        with Image.open(path) as opened:
            return upright(opened)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{Path(path).name} cannot be read as a picture; give a file such as PNG or JPEG.") from error


def upright(image: Image.Image) -> Image.Image:
    """A picture as it is meant to be seen: EXIF orientation applied, RGB."""
    return ImageOps.exif_transpose(image).convert("RGB")


def describe(image: Image.Image) -> dict[str, Any]:
    """What a recipe notes about a picture: size and SHA-256 of its upright RGB pixels, whatever else its file holds."""
    image = upright(image)
    return {"sha256": hashlib.sha256(image.tobytes()).hexdigest(), "size": list(image.size)}


def fitted(image: Image.Image, side: int) -> Image.Image:
    """The middle of a picture as a square of `side` pixels."""
    return ImageOps.fit(upright(image), (side, side), Image.Resampling.LANCZOS)


def check_photograph(note: Mapping[str, Any] | None, image: Image.Image | None) -> None:
    """Refuse to make a picture again without the photograph behind it.

    Args:
        note: what the recipe has from `describe`, None if there is no photograph in the picture.
        image: what was given for it.

    Raises:
        InputError: if the photograph is missing, another one, or not called for.
    """
    if note is None and image is not None:
        raise InputError("This picture has no photograph behind it; leave the background out.")
    if note is None:
        return
    width, height = note["size"]
    wanted = f"a photograph of {width} x {height} pixels (SHA-256 {note['sha256']})"
    if image is None:
        raise InputError(f"To make this picture takes {wanted}, which its recipe does not hold; give it as background.")
    if describe(image) != dict(note):
        raise InputError(f"To make this picture takes {wanted}, but another one was given; give it as background.")
