"""Files that a recipe refers to by digest, because it does not hold them: photographs behind pictures are the first."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image
from typing_extensions import Self

from sfhub.errors import InputError
from sfhub.images.pixels import upright
from sfhub.steps.checks import is_integer, need

__all__ = ["Asset", "find_assets"]


@dataclass(frozen=True)
class Asset:
    """How a recipe knows a photograph again.

    Attributes:
        sha256: of its upright RGB pixels, whatever else its file holds.
        size: width and height in pixels.
    """

    sha256: str
    size: tuple[int, int]

    @classmethod
    def of(cls, image: Image.Image) -> Self:
        """That of a photograph."""
        image = upright(image)
        return cls(hashlib.sha256(image.tobytes()).hexdigest(), image.size)

    @classmethod
    def from_json(cls, value: Any, where: str) -> Self:
        """The inverse of `to_json`, for values from anywhere; `where` names the place in the recipe."""
        fine = isinstance(value, dict) and value.keys() == {"sha256", "size"}
        digest, size = (value["sha256"], value["size"]) if fine else (None, None)
        fine = isinstance(digest, str) and re.fullmatch("[0-9a-f]{64}", digest) is not None
        fine = fine and isinstance(size, list) and len(size) == 2
        need(fine and all(is_integer(side) and 0 < side < 2**20 for side in size), where, value, "a SHA-256 and a size")
        return cls(digest, tuple(size))

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"sha256": self.sha256, "size": list(self.size)}

    def __str__(self) -> str:
        width, height = self.size
        return f"a photograph of {width} x {height} pixels (SHA-256 {self.sha256})"


def find_assets(wanted: Sequence[Asset], given: Sequence[Image.Image]) -> dict[Asset, Image.Image]:
    """The photographs that a recipe refers to, among those that were given.

    Raises:
        InputError: if one is missing, or one was given that is not called for.
    """
    found = {Asset.of(image): image for image in given}
    missing = next((asset for asset in wanted if asset not in found), None)
    if missing is not None and found:
        raise InputError(f"To make this picture takes {missing}, but another one was given; give it as background.")
    if missing is not None:
        raise InputError(
            f"To make this picture takes {missing}, which its recipe does not hold; give it as background."
        )
    if not wanted and found:
        raise InputError("This picture has no photograph behind it; leave the background out.")
    return found
