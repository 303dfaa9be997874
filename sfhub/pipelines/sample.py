"""What pipelines give back: a picture with its style code and recipe, and a map of its regions."""

import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from sfhub.errors import InputError
from sfhub.pipelines.recipe import png_bytes

__all__ = ["Sample", "Segmentation", "write_atomically"]


@dataclass(frozen=True, eq=False)
class Sample:
    """A generated picture and everything needed to make it again or to go on from it.

    Attributes:
        image: RGB.
        s: flat style code `[1, S]`, of a new sample on the generator's device.
        recipe: how it was made, plain JSON data (`sfhub.pipelines.recipe`).
    """

    image: Image.Image
    s: Tensor
    recipe: dict[str, Any]

    def png(self) -> bytes:
        """The picture as a PNG file that carries its recipe and the statement that it is synthetic."""
        return png_bytes(self.image, self.recipe)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write `png()` to a file, all of it or nothing.

        Returns:
            The path.

        Raises:
            InputError: if the name does not end in `.png` or the file cannot be written.
        """
        path = Path(path)
        if path.suffix.lower() != ".png":
            raise InputError(f"{path.name!r} is no name for a PNG file, which keeps the recipe; end it in .png.")
        write_atomically(path, self.png())
        return path

    def __repr__(self) -> str:
        width, height = self.image.size
        return f"Sample({width}x{height}, S={self.s.shape[-1]}, {len(self.recipe['steps'])} steps)"


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Which region each pixel belongs to.

    Attributes:
        labels: integers `[H, W]`, index into `regions`.
        regions: names.
    """

    labels: np.ndarray
    regions: tuple[str, ...]

    def mask(self, region: str) -> np.ndarray:
        """Boolean mask `[H, W]` of one region.

        Raises:
            InputError: if there is no such region.
        """
        if region not in self.regions:
            raise InputError(f"There is no region {region!r} here; choose one of {', '.join(self.regions)}.")
        return self.labels == self.regions.index(region)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file through a temporary sibling, so that a full disk leaves what was there before.

    Raises:
        InputError: if the folder does not exist or cannot be written to.
    """
    temporary = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    try:
        with open(temporary, "xb") as file:
            file.write(content)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError(
            f"{path} could not be written ({error.strerror or error}); choose a folder that exists and has room."
        ) from error
