"""The distribution of portraits: every attribute as a piecewise-linear function of a normal latent.

Written in the operations of `sfhub.portraits.circuit`, so that the same formulas draw portraits and make the mapping
network of the generators. Each entry of the latent decides one thing: a quantity, a choice, a place on the path through
a palette. What depends on two quantities is a sum or a step, never a product.

Most shape attributes are normal, clipped to their range. Skin tone covers the whole human range almost evenly (a
uniform number to the power 1.15), age is uniform over adulthood. Hair and eyes are darker where the skin is; hair greys
with age and is dyed in one portrait of fourteen. An unseen quantity per portrait ("styling") shifts jaw, beard, brows,
lashes, lips, neck, hair style and earrings together, with wide overlap. Half a smile or more is common; open mouths
mostly smile. A hat (28 of 100) excludes buns and afros. Every kind of beard, glasses, hat, earrings and pattern is worn
by 6 of 100 or more, so that it can be learned. All is symmetric under a mirror.
"""

import functools
import itertools
from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import ndtr, ndtri

from sfhub.portraits.attributes import ATTRIBUTES
from sfhub.portraits.circuit import Value, column, curve, gate, step

__all__ = ["Choice", "latent_entries", "portrait"]

Choice = tuple[Value, ...]
"""A choice: for each code a binary value, exactly one of which is 1."""

_UNIFORM_KNOTS = (-2.3, -1.5, -0.9, -0.3, 0.3, 0.9, 1.5, 2.3)
"""Where the curves bend that make other distributions of a normal number."""

_Colour = list[Value]

_OUT_OF_REACH = 4.0
"""Where normal quantiles are cut; a share of 3 in 100,000 lies beyond."""

_HAIR_SHADES = [
    (0.10, 0.085, 0.09),
    (0.17, 0.12, 0.10),
    (0.28, 0.18, 0.12),
    (0.40, 0.26, 0.16),
    (0.56, 0.27, 0.12),
    (0.68, 0.48, 0.27),
    (0.86, 0.70, 0.44),
]
_HAIR_DYES = [(0.80, 0.45, 0.58), (0.32, 0.48, 0.70), (0.28, 0.56, 0.52), (0.52, 0.38, 0.66), (0.75, 0.28, 0.24)]
_EYE_SHADES = [
    (0.26, 0.16, 0.10),
    (0.40, 0.25, 0.13),
    (0.50, 0.38, 0.16),
    (0.30, 0.46, 0.26),
    (0.28, 0.50, 0.68),
    (0.45, 0.53, 0.58),
]
_CLOTH_SHADES = [
    (0.92, 0.90, 0.86),
    (0.24, 0.26, 0.31),
    (0.20, 0.29, 0.45),
    (0.37, 0.55, 0.71),
    (0.28, 0.52, 0.50),
    (0.44, 0.56, 0.38),
    (0.90, 0.74, 0.40),
    (0.84, 0.50, 0.32),
    (0.72, 0.28, 0.28),
    (0.86, 0.60, 0.62),
    (0.54, 0.42, 0.62),
    (0.58, 0.46, 0.37),
]
_LIGHT_BACKDROPS = [
    (0.93, 0.90, 0.84),
    (0.74, 0.84, 0.91),
    (0.70, 0.83, 0.80),
    (0.80, 0.86, 0.72),
    (0.96, 0.84, 0.70),
    (0.95, 0.78, 0.74),
    (0.83, 0.78, 0.90),
    (0.78, 0.80, 0.82),
]
_DEEP_BACKDROPS = [
    (0.40, 0.54, 0.68),
    (0.36, 0.52, 0.50),
    (0.48, 0.56, 0.38),
    (0.74, 0.54, 0.34),
    (0.66, 0.42, 0.42),
    (0.50, 0.42, 0.58),
    (0.36, 0.38, 0.48),
]
_FRAME_SHADES = [
    (0.10, 0.10, 0.12),
    (0.36, 0.20, 0.12),
    (0.72, 0.56, 0.30),
    (0.62, 0.14, 0.18),
    (0.16, 0.28, 0.46),
    (0.85, 0.84, 0.82),
]


class _Spread(Value):
    """A quantity that one entry of the latent decides, by a rising curve."""

    __slots__ = ("knots", "of", "values")

    def __init__(self, of: Value, knots: Sequence[float], values: Sequence[float]):
        drawn = curve(of, knots, values)
        super().__init__(drawn.terms, drawn.constant)
        self.of, self.knots, self.values = of, tuple(knots), tuple(values)

    def map(self, function: Callable[[float], float]) -> Value:
        """A function of the quantity: exact where its curve bends, linear between."""
        return curve(self.of, self.knots, [function(value) for value in self.values])

    @property
    def median(self) -> float:
        """The value that half of all portraits are below."""
        return float(np.interp(0.0, self.knots, self.values))


class _Latent:
    """Hands out the entries of a latent, one after the other, as random quantities."""

    def __init__(self) -> None:
        self.used = 0

    def entry(self) -> Value:
        """A standard normal number."""
        self.used += 1
        return column(self.used - 1)

    def normal(self, mean: Value | float = 0.0, scale: float = 0.45, low: float = -1, high: float = 1) -> Value:
        """A normal number, clipped."""
        return (scale * self.entry() + mean).clamp(low, high)

    def uniform(self, low: float = 0.0, high: float = 1.0) -> _Spread:
        """A number between the two; one in a hundred is at either end."""
        return _Spread(self.entry(), _UNIFORM_KNOTS, [low, *(low + (high - low) * ndtr(_UNIFORM_KNOTS[1:-1])), high])

    def spread(self, *points: tuple[float, float]) -> Value:
        """A number that is below v with probability p, for each of the points (p, v), and uniform between the v.

        The first p is 0, the last one 1; no number falls between two points of the same p.
        """
        shares, values = np.array(points).T
        gaps = np.where(np.diff(shares) == 0, np.diff(values), 0.0)
        values[1:] -= np.cumsum(gaps)
        places = ndtri(shares)
        inner = np.unique(places[1:-1])
        grid = [knot for knot in _UNIFORM_KNOTS if all(abs(knot - place) > 0.15 for place in inner)]
        knots = np.sort([*grid, *inner])
        heights = np.interp(ndtr(knots), shares, values)
        heights[[0, -1]] = values[[0, -1]]
        entry = self.entry()
        return curve(entry, knots, heights) + sum(
            gap * step(entry - place) for gap, place in zip(gaps.tolist(), places.tolist(), strict=False) if gap
        )

    def happens(self, probability: float) -> Value:
        """1 with this probability, else 0."""
        return step(self.entry() + float(ndtri(probability)))

    def choose(self, edges: Sequence[Value]) -> Choice:
        """A choice: code 0 for a normal number below the first edge, 1 between the first two edges, and so on."""
        entry = self.entry()
        above = [step(entry - edge) for edge in edges]
        return 1 - above[0], *(low - high for low, high in itertools.pairwise(above)), above[-1]

    def colour(
        self, place: Value, shades: Sequence[Sequence[float]], weights: Sequence[float] | None = None
    ) -> _Colour:
        """A colour on the path through a palette, in varying brightness."""
        brightness = (0.04 * self.entry()).clamp(-0.08, 0.08)
        return [(part + brightness).clamp(0.02, 0.98) for part in _path(place, shades, weights)]


def _quantiles(weights: Sequence[float]) -> np.ndarray:
    """Where a normal number must be cut so that the pieces have these weights, `[len(weights) - 1]`."""
    shares = np.cumsum(weights) / np.sum(weights)
    return ndtri(shares[:-1]).clip(-_OUT_OF_REACH, _OUT_OF_REACH)


def _edges(weights: Callable[..., Sequence[float]] | Sequence[float], *factors: _Spread) -> list[Value]:
    """Edges of a choice whose weights are a function of some quantities.

    With one quantity this is exact where its curve bends; the effects of several add.
    """
    if not factors:
        return [Value({}, edge) for edge in _quantiles(weights)]
    middle = [factor.median for factor in factors]
    base = _quantiles(weights(*middle))
    edges = [Value({}, edge) for edge in base]
    for i, factor in enumerate(factors):
        moved = {v: _quantiles(weights(*middle[:i], v, *middle[i + 1 :])) - base for v in factor.values}
        edges = [edge + factor.map(lambda v, k=k, moved=moved: moved[v][k]) for k, edge in enumerate(edges)]
    return edges


def _path(place: Value, shades: Sequence[Sequence[float]], weights: Sequence[float] | None = None) -> _Colour:
    """A colour on the path that joins the shades: half of the time one of them, else between two.

    Args:
        place: about normal, where on the path.
        shades: red, green and blue of each.
        weights: how often each; all alike if None.
    """
    edges = _quantiles([1.0] * len(shades) if weights is None else weights)
    gaps = np.diff(edges)
    half = 0.25 * np.minimum(np.append(gaps, np.inf), np.insert(gaps, 0, np.inf))
    knots = np.stack([edges - half, edges + half], axis=1).ravel()
    return [curve(place, knots, np.repeat(part, 2)[1:-1]) for part in np.array(shades).T]


def _components(name: str, colour: _Colour) -> dict[str, Value]:
    return {f"{name}_{part}": value for part, value in zip(("red", "green", "blue"), colour, strict=True)}


@functools.cache
def portrait() -> dict[str, Value | Choice]:
    """All `ATTRIBUTES` of a portrait as functions of a latent of `latent_entries()` or more entries.

    A continuous attribute is a value in its range, a choice one binary value per code.
    """
    return _draw()[0]


def latent_entries() -> int:
    """How many entries of a latent decide something."""
    return _draw()[1]


@functools.cache
def _draw() -> tuple[dict[str, Value | Choice], int]:
    latent = _Latent()
    styling = _draw_styling(latent)
    age = latent.uniform()
    tone = _Spread(latent.entry(), _UNIFORM_KNOTS, [0, *ndtr(_UNIFORM_KNOTS[1:-1]) ** 1.15, 1])
    hat = latent.choose(_edges([0.72, 0.11, 0.085, 0.085]))
    drawn: dict[str, Value | Choice] = {"skin_tone": tone, "age": age, "hat": hat}
    drawn |= (
        _draw_pose_and_light(latent) | _draw_face(latent, styling, age, tone) | _draw_mouth(latent, styling, age, tone)
    )
    drawn |= _draw_eyes(latent, styling, tone) | _draw_hair(latent, styling, age, tone, 1 - hat[0])
    drawn |= _draw_accessories(latent, styling, age) | _draw_clothes(latent, styling) | _draw_background(latent)
    return {name: drawn[name] for name in ATTRIBUTES}, latent.used


def _draw_styling(latent: _Latent) -> _Spread:
    """Half of the portraits about -0.6, half about 0.6, standard deviation 0.45 each, clipped to [-1, 1]."""
    values = np.array([-1.0, -0.6, -0.3, 0.0, 0.3, 0.6, 1.0])
    shares = (ndtr((values + 0.6) / 0.45) + ndtr((values - 0.6) / 0.45)) / 2
    return _Spread(latent.entry(), ndtri(shares).tolist(), values.tolist())


def _draw_pose_and_light(latent: _Latent) -> dict[str, Value]:
    return {
        "yaw": 35 * latent.normal(scale=0.5),
        "tilt": 10 * latent.normal(scale=0.35),
        "head_x": latent.normal(),
        "head_size": latent.normal(),
        "light_x": latent.uniform(-1, 1),
        "light_y": latent.normal(-0.2),
        "light_warmth": latent.normal(0.1),
    }


def _draw_face(latent: _Latent, styling: _Spread, age: _Spread, tone: _Spread) -> dict[str, Value | Choice]:
    def beards(styling: float) -> list[float]:
        share = np.clip((0.35 - styling) * 0.65, 0, 0.75)
        return [1 - share, *(share * kind for kind in (0.25, 0.28, 0.23, 0.24))]

    return {
        "face_width": latent.normal(),
        "face_length": latent.normal(),
        "jaw": latent.normal(-0.35 * styling),
        "blush": latent.uniform(),
        "nose_size": latent.normal(),
        "nose_width": latent.normal(0.5 * tone - 0.25),
        "ear_size": latent.normal(0.3 * age - 0.15),
        "beard": latent.choose(_edges(beards, styling)),
        "neck_width": latent.normal(-0.35 * styling),
    }


def _draw_mouth(latent: _Latent, styling: _Spread, age: _Spread, tone: _Spread) -> dict[str, Value]:
    smile = latent.spread((0, -0.6), (0.28, 0.25), (1, 1))
    opened = latent.spread((0, 0), (0.6, 0), (0.6, 0.25), (1, 1))
    return {
        "mouth_width": latent.normal(),
        "smile": smile,
        "mouth_open": opened - 0.5 * gate(step(0.25 - smile), opened),
        "lip_fullness": latent.normal(0.2 * styling + 0.4 * tone - 0.2 - 0.2 * age),
        "lip_tint": latent.normal(0.25 + 0.35 * styling, 0.25, 0),
    }


def _draw_eyes(latent: _Latent, styling: _Spread, tone: _Spread) -> dict[str, Value]:
    shade = latent.entry() - 1.1 * (tone - 0.5)  # dark eyes with dark skin
    return {
        "eye_size": latent.normal(0.1 * styling),
        "eye_roundness": latent.normal(),
        "eye_slant": latent.normal(0.1),
        "eye_spacing": latent.normal(),
        "eye_openness": latent.normal(0.78, 0.2, 0),
        "gaze_x": latent.normal(scale=0.4),
        "gaze_y": latent.normal(scale=0.3),
        **_components("eye", latent.colour(shade, _EYE_SHADES, [4.5, 2.7, 0.8, 0.8, 1.1, 0.6])),
        "lashes": latent.normal(0.4 + 0.3 * styling, 0.15, 0),
        "brow_thickness": latent.normal(-0.25 * styling),
        "brow_angle": latent.normal(-0.25),
        "brow_height": latent.normal(),
    }


def _draw_hair(latent: _Latent, styling: _Spread, age: _Spread, tone: _Spread, hat: Value) -> dict[str, Value | Choice]:
    return {
        "hair_style": _draw_hair_style(latent, styling, age, tone, hat),
        "hair_length": latent.normal(),
        "hair_volume": latent.normal(),
        "hair_part": latent.spread((0, -1), (0.5, -0.2), (0.5, 0.2), (1, 1)),
        **_components("hair", _draw_hair_colour(latent, age, tone)),
        "fringe": latent.choose(_edges([0.5, 0.2, 0.3])),
    }


_HAIR_STYLE_WEIGHTS = {  # at the two ends of styling; buns and afros, the last two, do not fit under a hat
    "bald": (1.3, 0.15),
    "buzz": (1.6, 0.3),
    "short": (3.0, 0.7),
    "side-swept": (2.6, 1.2),
    "bob": (0.5, 2.0),
    "long straight": (0.7, 2.2),
    "long wavy": (0.6, 2.2),
    "curly": (1.0, 1.5),
    "ponytail": (0.3, 1.4),
    "bun": (0.5, 1.9),
    "afro": (0.95, 1.25),
}


def _draw_hair_style(latent: _Latent, styling: _Spread, age: _Spread, tone: _Spread, hat: Value) -> Choice:
    names = list(_HAIR_STYLE_WEIGHTS)

    def weights(styling: float, age: float, tone: float) -> np.ndarray:
        factors = {"bald": 0.4 + 1.6 * age, "afro": 0.15 + 2.6 * tone, "long straight": 1.35 - 0.8 * tone}
        one, other = np.array(list(_HAIR_STYLE_WEIGHTS.values())).T
        share = (styling + 1) / 2
        return (one * (1 - share) + other * share) * [factors.get(name, 1.0) for name in names]

    # Under a hat the other styles share what buns and afros leave: their edges move up, the last two out of reach.
    usual = weights(styling.median, age.median, tone.median)
    moved = [*_quantiles(usual[:-2]) - _quantiles(usual)[:-2], 2 * _OUT_OF_REACH, 2 * _OUT_OF_REACH]
    edges = [edge + shift * hat for edge, shift in zip(_edges(weights, styling, age, tone), moved, strict=True)]
    drawn = dict(zip(names, latent.choose(edges), strict=True))
    return tuple(drawn[name] for name in ATTRIBUTES["hair_style"].choices)


def _draw_hair_colour(latent: _Latent, age: _Spread, tone: _Spread) -> _Colour:
    """A natural colour, kept within a radius of grey or of a dye; the radius is 1 where hair is neither."""
    brightness = (0.04 * latent.entry()).clamp(-0.06, 0.06)
    shade = latent.entry() - 1.4 * (tone - 0.5)  # dark hair with dark skin
    natural = _path(shade, _HAIR_SHADES, [1.9, 1.6, 1.3, 0.9, 0.6, 0.65, 0.6])
    dyed, dye = latent.happens(0.07), _path(latent.entry(), _HAIR_DYES)
    lightness = latent.uniform(0.55, 0.92)

    never_grey = age.map(lambda age: -ndtri(np.clip((age - 0.45) * 1.9, 1e-4, 0.9)))
    greyness = latent.entry() - never_grey + 2 * _OUT_OF_REACH * dyed
    radius = 1 - 0.7 * step(greyness) - curve(greyness, (0, 1.2), (0, 0.28))

    colour = []
    for own, other, tint in zip(natural, dye, (1.0, 0.985, 0.96), strict=True):
        target = gate(dyed, other) + gate(1 - dyed, tint * lightness)
        distance = own - target
        inside = (distance + radius).clamp(0, 2) - (distance - radius).clamp(0, 1) - radius
        colour.append(target + inside + brightness)
    return colour


def _draw_accessories(latent: _Latent, styling: _Spread, age: _Spread) -> dict[str, Value | Choice]:
    def glasses(age: float) -> list[float]:
        share = 0.2 + 0.2 * age
        return [1 - share, share / 2, share / 2]

    def earrings(styling: float) -> list[float]:
        return [1.1 - styling, 0.42 + 0.3 * styling, 0.36 + 0.3 * styling]

    return {
        "glasses": latent.choose(_edges(glasses, age)),
        **_components("glasses", latent.colour(latent.entry(), _FRAME_SHADES, [3, 1.5, 1, 0.7, 0.7, 0.5])),
        **_components("hat", latent.colour(latent.entry(), _CLOTH_SHADES)),
        "earrings": latent.choose(_edges(earrings, styling)),
        "earring_gold": latent.spread((0, 0), (0.4, 0.2), (0.4, 0.8), (1, 1)),
    }


def _draw_clothes(latent: _Latent, styling: _Spread) -> dict[str, Value | Choice]:
    return {
        "shoulder_width": latent.normal(-0.25 * styling),
        "clothes": latent.choose(_edges([0.28, 0.2, 0.2, 0.14, 0.18])),
        **_components("clothes", latent.colour(latent.entry(), _CLOTH_SHADES)),
        "pattern": latent.choose(_edges([0.5, 0.2, 0.15, 0.15])),
        "pattern_contrast": latent.spread((0, -1), (0.5, -0.45), (0.5, 0.45), (1, 1)),
    }


def _draw_background(latent: _Latent) -> dict[str, Value | Choice]:
    return {
        "background": latent.choose(_edges([0.25, 0.35, 0.2, 0.2])),
        **_components("background", latent.colour(latent.entry(), _LIGHT_BACKDROPS)),
        **_components("background2", latent.colour(latent.entry(), _DEEP_BACKDROPS)),
        "background_x": latent.uniform(-1, 1),
        "background_y": latent.uniform(-1, 1),
    }
