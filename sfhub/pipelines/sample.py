"""What pipelines give back: a picture with its style code and recipe, and a map of its regions."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor
from typing_extensions import Self

from sfhub.editing.spaces import Latent
from sfhub.errors import InputError, short
from sfhub.files import write_atomically
from sfhub.images.lock import OutsideChange
from sfhub.steps.code import Code
from sfhub.steps.png import png_bytes

__all__ = ["Sample", "Segmentation", "check_png_name"]


def check_png_name(path: str | os.PathLike[str]) -> Path:
    """The path of a picture that is yet to be made.

    Raises:
        InputError: if the name does not end in `.png`.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise InputError(f"{short(path.name)} is no name for a PNG file, which keeps the recipe; end it in .png.")
    return path


@dataclass(frozen=True, eq=False)
class Sample:
    """A generated picture and everything needed to make it again or to go on from it.

    Attributes:
        image: RGB.
        s: flat style code `[1, S]`, of a new sample on the generator's device.
        recipe: how it was made, plain JSON data (`sfhub.steps.recipe`).
        w_plus: the W+ code that `s` came from, where there is one; see `sfhub.steps.code.Code`.
        latent: where it began in Z, likewise.
        outside: what an edit that was kept to regions changed outside of them; None for all other pictures.
    """

    image: Image.Image
    s: Tensor
    recipe: dict[str, Any]
    w_plus: Tensor | None = None
    latent: Latent | None = None
    outside: OutsideChange | None = None

    @classmethod
    def of(cls, image: Image.Image, code: Code, recipe: dict[str, Any]) -> Self:
        """The picture of a code."""
        return cls(image, code.s, recipe, code.w_plus, code.latent)

    @property
    def code(self) -> Code:
        """`s`, `w_plus` and `latent`."""
        return Code(self.s, self.w_plus, self.latent)

    def on_cpu(self) -> Self:
        """With the code on the CPU: what was made on an accelerator may outlive the process that had it."""
        code = self.code.to("cpu")
        return replace(self, s=code.s, w_plus=code.w_plus, latent=code.latent)

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
        path = check_png_name(path)
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
            raise InputError(f"There is no region {short(region)} here; choose one of {', '.join(self.regions)}.")
        return self.labels == self.regions.index(region)
