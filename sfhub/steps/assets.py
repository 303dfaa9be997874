"""What a recipe refers to by digest, because it does not hold it: photographs behind pictures, and edits of others."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from PIL import Image
from typing_extensions import Self

from sfhub.editing.edits import Edit
from sfhub.errors import InputError, short
from sfhub.images.pixels import upright
from sfhub.steps.checks import is_integer, is_text, need

__all__ = ["Asset", "Assets", "EditAsset", "find_assets"]


@dataclass(frozen=True)
class Asset:
    """How a recipe knows a photograph again.

    Attributes:
        sha256: of its upright RGB pixels, whatever else its file holds.
        size: width and height in pixels.
    """

    GIVEN_AS: ClassVar[str] = "background"
    """What it is to whom has to give it again."""

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
        fine = _is_digest(digest) and isinstance(size, list) and len(size) == 2
        need(fine and all(is_integer(side) and 0 < side < 2**20 for side in size), where, value, "a SHA-256 and a size")
        return cls(digest, tuple(size))

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"sha256": self.sha256, "size": list(self.size)}

    def __str__(self) -> str:
        width, height = self.size
        return f"a photograph of {width} x {height} pixels (SHA-256 {self.sha256})"


@dataclass(frozen=True)
class EditAsset:
    """How a recipe knows an edit again that is not the model's own.

    Attributes:
        sha256: see `Edit.digest`.
        name: of the edit.
    """

    GIVEN_AS: ClassVar[str] = "edit"

    sha256: str
    name: str

    @classmethod
    def of(cls, edit: Edit) -> Self:
        """That of an edit."""
        return cls(edit.digest(), edit.name)

    @classmethod
    def from_json(cls, value: Any, where: str) -> Self:
        """As `Asset.from_json`."""
        fine = isinstance(value, dict) and value.keys() == {"sha256", "name"}
        fine = fine and _is_digest(value["sha256"]) and is_text(value["name"])
        need(fine, where, value, "a SHA-256 and a name")
        return cls(value["sha256"], value["name"])

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"sha256": self.sha256, "name": self.name}

    def __str__(self) -> str:
        return f"the edit {short(self.name)} (SHA-256 {self.sha256})"


Assets = Mapping[Asset | EditAsset, Any]
"""What was given, by how recipes know it."""


def find_assets(wanted: Sequence[Asset | EditAsset], given: Sequence[Image.Image | Edit]) -> Assets:
    """What a recipe refers to, among what was given.

    Raises:
        InputError: if something is missing, or a photograph was given that is not called for.
    """
    found = {EditAsset.of(each) if isinstance(each, Edit) else Asset.of(each): each for each in given}
    missing = next((asset for asset in wanted if asset not in found), None)
    if missing is not None and any(isinstance(each, type(missing)) for each in found):
        raise InputError(
            f"To make this picture takes {missing}, but another one was given; give it as {missing.GIVEN_AS}."
        )
    if missing is not None:
        raise InputError(
            f"To make this picture takes {missing}, which its recipe does not hold; give it as {missing.GIVEN_AS}."
        )
    if any(isinstance(each, Asset) for each in found) and not any(isinstance(each, Asset) for each in wanted):
        raise InputError("This picture has no photograph behind it; leave the background out.")
    return found


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None
