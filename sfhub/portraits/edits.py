"""Edits that portraits have names for: what of the parser's attributes each raises, and where it shows.

A score is a weighted sum of columns of the attribute vector (`sfhub.portraits.attributes`), as the parser reads them in
any picture; pictures of high and of low scores are what directions are found from (`sfhub.training.directions`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sfhub.portraits.attributes import ATTRIBUTE_VECTOR_NAMES

__all__ = ["PORTRAIT_EDITS", "NamedScore"]


@dataclass(frozen=True)
class NamedScore:
    """An edit by what it raises.

    Attributes:
        name: of the edit.
        region: where it is meant to show; of several names those count that a model knows. None for the whole picture.
        weights: by column of the attribute vector.
    """

    name: str
    region: str | tuple[str, ...] | None
    weights: Mapping[str, float]

    def score(self, attributes: Tensor) -> Tensor:
        """Attribute vectors `[B, A]` -> scores `[B]`."""
        return attributes @ self.vector.to(attributes)

    @property
    def vector(self) -> Tensor:
        """The weights of all columns `[A]`."""
        return torch.tensor([self.weights.get(column, 0.0) for column in ATTRIBUTE_VECTOR_NAMES])

    @property
    def attributes(self) -> tuple[str, ...]:
        """Names of the attributes that have a weight."""
        return tuple(dict.fromkeys(column.split("=")[0] for column in self.weights))


def _some(attribute: str, *choices: str) -> dict[str, float]:
    """Any of some choices rather than one of the others."""
    return {f"{attribute}={choice}": 1.0 for choice in choices}


def _lightness(what: str) -> dict[str, float]:
    return {f"{what}_{part}": weight for part, weight in (("red", 0.3), ("green", 0.5), ("blue", 0.2))}


def _hue(what: str, red: float, green: float, blue: float) -> dict[str, float]:
    return {f"{what}_red": red, f"{what}_green": green, f"{what}_blue": blue}


_LONG = ("bob", "long straight", "long wavy")
_STYLING = {
    **_some("hair_style", *_LONG, "bun", "ponytail"),
    **{f"beard={kind}": -1.0 for kind in ("stubble", "full", "moustache", "goatee")},
    "lashes": 0.5,
    "lip_tint": 0.5,
    "lip_fullness": 0.3,
    "jaw": -0.5,
    "brow_thickness": -0.5,
    "neck_width": -0.5,
    "earrings=none": -0.5,
}

_HEAD = ("face", "eyes", "mouth", "hair")

PORTRAIT_EDITS: Sequence[NamedScore] = (
    NamedScore("smile", "mouth", {"smile": 1}),
    NamedScore("mouth open", "mouth", {"mouth_open": 1}),
    NamedScore("full lips", "mouth", {"lip_fullness": 1}),
    NamedScore("lipstick", "mouth", {"lip_tint": 1}),
    NamedScore("open eyes", "eyes", {"eye_openness": 1}),
    NamedScore("large eyes", "eyes", {"eye_size": 1}),
    NamedScore("blue eyes", "eyes", _hue("eye", -0.6, 0, 0.6)),
    NamedScore("gaze to the right", "eyes", {"gaze_x": 1}),
    NamedScore("thick brows", "eyes", {"brow_thickness": 1}),
    NamedScore("raised brows", "eyes", {"brow_height": 1}),
    NamedScore("lashes", "eyes", {"lashes": 1}),
    NamedScore("age", _HEAD, {"age": 1}),
    NamedScore("feminine", _HEAD, _STYLING),
    NamedScore("wide face", "face", {"face_width": 1}),
    NamedScore("square jaw", "face", {"jaw": 1}),
    NamedScore("long nose", "face", {"nose_size": 1}),
    NamedScore("blush", "face", {"blush": 1}),
    NamedScore("dark skin", ("face", "mouth"), {"skin_tone": 1}),
    NamedScore("beard", ("face", "mouth"), {"beard=full": 1, "beard=none": -1}),
    NamedScore("long hair", "hair", {**_some("hair_style", *_LONG), "hair_length": 0.3}),
    NamedScore("voluminous hair", "hair", {"hair_volume": 1}),
    NamedScore("curly hair", "hair", _some("hair_style", "curly", "afro", "long wavy")),
    NamedScore("bald", "hair", _some("hair_style", "bald", "buzz")),
    NamedScore("fringe", "hair", {"fringe=none": -1}),
    NamedScore("light hair", "hair", _lightness("hair")),
    NamedScore("red hair", "hair", _hue("hair", 1, -0.5, -0.5)),
    NamedScore("glasses", ("eyes_glasses", "glasses"), {"glasses=none": -1}),
    NamedScore("hat", ("hat", "hair"), {"hat=none": -1}),
    NamedScore("earrings", ("earrings", "skin"), {"earrings=none": -1}),
    NamedScore("light clothes", "clothes", _lightness("clothes")),
    NamedScore("red clothes", "clothes", _hue("clothes", 1, -0.5, -0.5)),
    NamedScore("patterned clothes", "clothes", {"pattern=plain": -1}),
    NamedScore("light background", "background", _lightness("background")),
    NamedScore("blue background", "background", _hue("background", -0.6, 0, 0.6)),
    NamedScore("head to the right", None, {"yaw": 1}),
    NamedScore("tilted head", None, {"tilt": 1}),
    NamedScore("light from the right", None, {"light_x": 1}),
    NamedScore("warm light", None, {"light_warmth": 1}),
)
"""The edits of both portraits models."""
