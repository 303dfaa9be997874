"""Portraits as functions of a normal latent: the pairs (z, picture) that guided training learns from.

A latent z of independent standard normal numbers determines the attributes of one portrait, with the distribution of
`sample_attributes`: uniform numbers are quantiles of the normal distribution, choices cut one column of z into
intervals. Two things differ a little, so that a small network can learn the map (`latent_features`): colours lie on the
path that joins the shades of a palette, and the odds of a choice depend on styling alone, not also on age or skin tone.

The *attribute code* of a portrait is what its generator should keep in W: the attribute vector, with zeros where the
picture does not show an attribute. It is linear in every attribute, so truncation towards the mean code is a portrait
again: `truncate` moves continuous attributes as truncation moves their columns, and keeps choices.
"""

import functools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.special import ndtr, ndtri

from sfhub.errors import InputError
from sfhub.models.layers import normalize_second_moment
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
    "latent_features",
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
    return next(index for index, starts in enumerate(ATTRIBUTE_GROUPS.values()) if column.startswith(starts))


CODE_GROUPS: tuple[int, ...] = tuple(_group_of(name) for name in ATTRIBUTE_VECTOR_NAMES)
"""Index into `ATTRIBUTE_GROUPS` of every column of the attribute code."""


class _LatentDraws(Draws):
    """Draws that use up the columns of a latent `[count, LATENT_DIM]` from left to right, and note how.

    Attributes:
        linear: columns that enter smoothly.
        bends: (column, place) where the portrait's dependence on a column changes its slope.
        steps: (column, place) where it jumps.
    """

    def __init__(self, z: Tensor):
        self.count = len(z)
        self._z, self._used = z, 0
        self._styling: Tensor | None = None  # the first thing that happens or not
        self._choices = 0
        self.linear: list[int] = []
        self.bends: list[tuple[int, float]] = []
        self.steps: list[tuple[int, float]] = []

    def randn(self, columns: int) -> Tensor:
        self.linear += range(self._used, self._used + columns)
        self._used += columns
        return self._z[:, self._used - columns : self._used]

    def rand(self) -> Tensor:
        return ndtr(self.randn(1)[:, 0])

    def happens(self, probability: float | Tensor) -> Tensor:
        quantile = torch.as_tensor(probability).expand(self.count)[:, None]
        result = self._stairs(quantile, [quantile.mean(dim=0)])[:, 0]
        if torch.as_tensor(probability).ndim:  # where it jumps depends on other columns, too
            self.linear.append(self._used - 1)
        self._styling = result if self._styling is None else self._styling
        return result

    def choose(self, weights: Sequence[float] | Tensor) -> Tensor:
        """Choose with the mean weights of the portrait's styling; what is impossible stays impossible."""
        means = _mean_weights()[self._choices]
        self._choices += 1
        possible = self.weights(weights) > 0
        quantiles = self._quantiles(means[self._styling.long()] * possible)[:, :-1]
        alike = (means[0] - means[1]).abs().max() < 0.02
        rows = (means.mean(dim=0, keepdim=True) if alike else means).cumsum(dim=1)[:, :-1]
        return (~self._stairs(quantiles, rows)).sum(dim=1).float()

    def _stairs(self, quantiles: Tensor, jumps: Sequence[Tensor]) -> Tensor:
        """Whether the next column lies below each of the quantiles `[count, K]`; where it jumps is noted."""
        for row in jumps:
            self.steps += [(self._used, place) for place in ndtri(row.clamp(1e-6, 1 - 1e-6)).tolist()]
        self._used += 1
        return self._z[:, self._used - 1, None] < ndtri(quantiles.clamp(1e-6, 1 - 1e-6))

    def _quantiles(self, weights: Sequence[float] | Tensor) -> Tensor:
        """Cumulative shares `[count, K]` of weights."""
        weights = self.weights(weights)
        return weights.cumsum(dim=1) / weights.sum(dim=1, keepdim=True)

    def shade(self, shades, weights=None) -> Tensor:
        """A colour on the path that joins the shades, most often near one of them."""
        upper = self._quantiles([1.0] * len(shades) if weights is None else weights)
        lower = F.pad(upper, (1, 0))[:, :-1]
        place = ndtri(((lower + upper) / 2).clamp(1e-3, 1 - 1e-3))  # of every shade on the column's axis
        self.bends += [(self._used, value) for value in place.mean(dim=0).tolist()]
        z = self.randn(1)
        table = torch.tensor(shades)
        share = ((z - place[:, :-1]) / (place[:, 1:] - place[:, :-1]).clamp(min=1e-3)).clamp(0, 1)
        colour = table[0] + share @ (table[1:] - table[:-1])
        return (colour * (1 + 0.07 * self.randn(1))).clamp(0.02, 0.98)


def latent_features(samples: int = 4_000) -> tuple[list[int], list[tuple[int, float]], list[tuple[int, float]]]:
    """How portraits depend on the columns of a latent: what a mapping network can start from.

    Returns:
        Columns that enter smoothly; (column, place) of bends; (column, place) of jumps, where a choice changes. Places
        that move with other columns are given by their mean.
    """
    draws = _LatentDraws(torch.randn(samples, LATENT_DIM, generator=torch.Generator().manual_seed(0)))
    draw_attributes(draws)
    return draws.linear, draws.bends, draws.steps


class _Survey(Draws):
    """Draws that note the mean weights of every choice, `[2, K]`, for the two ends of styling."""

    def __init__(self, count: int):
        super().__init__(count, torch.Generator().manual_seed(0))
        self.means: list[Tensor] = []
        self._styling: Tensor | None = None

    def happens(self, probability: float | Tensor) -> Tensor:
        result = super().happens(probability)
        self._styling = result if self._styling is None else self._styling
        return result

    def choose(self, weights: Sequence[float] | Tensor) -> Tensor:
        share = self.weights(weights) / self.weights(weights).sum(dim=1, keepdim=True)
        self.means.append(torch.stack([share[~self._styling].mean(dim=0), share[self._styling].mean(dim=0)]))
        return super().choose(weights)

    def shade(self, shades, weights=None) -> Tensor:
        count = len(self.means)
        colour = super().shade(shades, weights)
        del self.means[count:]  # shades are no choices of a latent
        return colour


@functools.cache
def _mean_weights() -> list[Tensor]:
    survey = _Survey(20_000)
    draw_attributes(survey)
    return survey.means


def attributes_from_latents(z: Tensor) -> dict[str, Tensor]:
    """Attributes of the portraits that latents stand for.

    Args:
        z: `[B, LATENT_DIM]`; standard normal latents give the distribution of `sample_attributes`. Their length does
            not count, as it does not for StyleGAN2's mapping network.

    Returns:
        All `ATTRIBUTES` as float32 CPU tensors `[B]`.

    Raises:
        InputError: for latents of another shape.
    """
    if z.ndim != 2 or z.shape[1] != LATENT_DIM:
        raise InputError(f"A latent of shape {list(z.shape)} does not fit; portraits take [batch, {LATENT_DIM}].")
    return draw_attributes(_LatentDraws(normalize_second_moment(z.detach().float().cpu())))


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
