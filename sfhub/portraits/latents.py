"""Portraits as functions of a normal latent: the pairs (z, picture) that guided training learns from.

A latent z of independent standard normal numbers determines the attributes of one portrait, with the distribution of
`sample_attributes`: uniform numbers are quantiles of the normal distribution, choices are made by the Gumbel-max trick
(one number per choice), so that neighbouring latents mostly make the same choice and a small network can learn the
map.

The *attribute code* of a portrait is what its generator should keep in W: the attribute vector, with zeros where the
picture does not show an attribute. It is linear in every attribute, so truncation towards the mean code is a portrait
again: `truncate` moves continuous attributes as truncation moves their columns, and keeps choices.
"""

import torch
from torch import Tensor

from sfhub.errors import InputError
from sfhub.portraits.attributes import (
    ATTRIBUTE_VECTOR_NAMES,
    ATTRIBUTES,
    Draws,
    attribute_vector,
    attribute_visibility,
    draw_attributes,
    sample_attributes,
)

__all__ = [
    "ATTRIBUTE_GROUPS",
    "CODE_GROUPS",
    "LATENT_DIM",
    "attribute_code",
    "attributes_from_latents",
    "mean_code",
    "truncate",
]

LATENT_DIM = 256
"""Length of a latent; the last entries decide nothing."""

CODE_SCALE = 2.0
"""Factor from attribute vector to code; brings most columns near unit variance."""

ATTRIBUTE_GROUPS: dict[str, tuple[str, ...]] = {
    "layout": ("yaw", "tilt", "head_", "light_"),
    "face": ("face_", "jaw", "skin_", "age", "blush", "nose_", "ear_size", "earring", "beard", "neck_"),
    "eyes": ("eye_", "gaze_", "lashes", "brow_"),
    "mouth": ("mouth_", "smile", "lip_"),
    "hair": ("hair_", "fringe"),
    "glasses": ("glasses",),
    "hat": ("hat",),
    "clothes": ("clothes", "pattern", "shoulder_"),
    "background": ("background",),
}
"""The semantic groups of attributes, by the beginnings of their names: what belongs to one region, and the layout."""


def _group_of(column: str) -> int:
    return next(
        index for index, starts in enumerate(ATTRIBUTE_GROUPS.values()) if column.startswith(starts)
    )


CODE_GROUPS: tuple[int, ...] = tuple(_group_of(name) for name in ATTRIBUTE_VECTOR_NAMES)
"""Index into `ATTRIBUTE_GROUPS` of every column of the attribute code."""


class _LatentDraws(Draws):
    """Draws that use up the columns of a latent `[count, LATENT_DIM]` from left to right."""

    def __init__(self, z: Tensor):
        self.count = len(z)
        self._z, self._used = z, 0

    def randn(self, columns: int) -> Tensor:
        self._used += columns
        return self._z[:, self._used - columns : self._used]

    def rand(self) -> Tensor:
        return torch.special.ndtr(self.randn(1)[:, 0])

    def choose(self, weights) -> Tensor:
        weights = self.weights(weights)
        quantile = torch.special.ndtr(self.randn(weights.shape[1]).double()).clamp(1e-12, 1 - 1e-12)
        return (weights.log() - (-quantile.log()).log()).argmax(dim=1).float()


def attributes_from_latents(z: Tensor) -> dict[str, Tensor]:
    """Attributes of the portraits that latents stand for.

    Args:
        z: `[B, LATENT_DIM]`; standard normal latents give the distribution of `sample_attributes`.

    Returns:
        All `ATTRIBUTES` as float32 CPU tensors `[B]`.

    Raises:
        InputError: for latents of another shape.
    """
    if z.ndim != 2 or z.shape[1] != LATENT_DIM:
        raise InputError(f"A latent of shape {list(z.shape)} does not fit; portraits take [batch, {LATENT_DIM}].")
    return draw_attributes(_LatentDraws(z.detach().float().cpu()))


def attribute_code(attributes: dict[str, Tensor]) -> Tensor:
    """Attribute code `[B, len(ATTRIBUTE_VECTOR_NAMES)]` of portraits: the visible part of their attribute vector."""
    return CODE_SCALE * attribute_vector(attributes) * attribute_visibility(attributes)


def mean_code(samples: int = 20_000) -> Tensor:
    """Mean attribute code `[len(ATTRIBUTE_VECTOR_NAMES)]` over a fixed sample of portraits."""
    return attribute_code(sample_attributes(samples, seed=0)).mean(dim=0)


def truncate(attributes: dict[str, Tensor], mean: Tensor, psi: Tensor) -> dict[str, Tensor]:
    """The portraits whose codes are truncated: `mean + psi (code - mean)`.

    Args:
        attributes: of B portraits.
        mean: mean code, see `mean_code`.
        psi: `[B]` in [0, 1].

    Returns:
        The attributes, continuous ones moved towards their mean; a choice stays what it is.
    """
    moved, column = {}, 0
    for name, item in ATTRIBUTES.items():
        value = attributes[name]
        if not item.choices:
            centre = (mean[column] / CODE_SCALE + 1) / 2 * (item.high - item.low) + item.low
            value = torch.lerp(centre.expand_as(value), value, psi)
        moved[name] = value
        column += max(1, len(item.choices))
    return moved
