"""Folders of pictures, in which one broken file does not end what takes a day."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import Dataset

from sfhub.errors import InputError
from sfhub.images.pixels import FORMATS, fitted

__all__ = ["UNREADABLE", "ImageFolder", "first_readable", "image_paths", "read_image"]

logger = logging.getLogger(__name__)

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}
UNREADABLE = (OSError, UnidentifiedImageError, Image.DecompressionBombError)


class ImageFolder(Dataset):
    """All pictures below a folder, centre-cropped and resized.

    A picture that cannot be read is named in the log and replaced by the next one, so that one broken file among
    thousands does not end a training.

    Args:
        folder: searched recursively for PNG, JPEG, WebP and BMP.
        resolution: side in pixels after cropping to a square.

    Raises:
        InputError: if the folder does not exist or holds no picture.
    """

    def __init__(self, folder: str | Path, resolution: int):
        self._paths = image_paths(folder)
        self._resolution = resolution

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> Tensor:
        """Image `[3, H, W]`, uint8."""
        return first_readable(self._paths, index, lambda path: read_image(path, self._resolution))


def image_paths(folder: str | Path) -> list[Path]:
    """All pictures below a folder, sorted."""
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"There is no folder {str(folder)!r}; give one that holds training images.")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise InputError(f"The folder {str(folder)!r} holds no PNG, JPEG, WebP or BMP image to train on.")
    return paths


def read_image(path: Path, resolution: int) -> Tensor:
    """Picture, upright, centre-cropped and resized, `[3, resolution, resolution]` uint8."""
    with Image.open(path, formats=FORMATS) as opened:
        image = fitted(opened, resolution)
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)


def first_readable(entries: Sequence, index: int, read: Callable):
    """What `read` makes of the entry at `index`, or of the next one that can be read."""
    for offset in range(min(len(entries), 100)):
        entry = entries[(index + offset) % len(entries)]
        try:
            return read(entry)
        except UNREADABLE as error:
            names = entry if isinstance(entry, Path) else " or ".join(str(path) for path in entry)
            logger.warning("Leaving out %s, which cannot be read: %s", names, error)
    raise InputError(f"A hundred images in a row from {entries[index]} on cannot be read; check the folder.")
