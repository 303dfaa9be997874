"""Piecewise-linear functions of normal numbers: written once as formulas, evaluated exactly, and built as networks.

A `Value` is a sum of columns of a latent z and of *curves*, each with a factor, and a constant. A curve is a
piecewise-linear function of another value that is constant outside its knots. All else is made of them: clamping,
steps, choices, "this only if that". Two things can be done with values:

1. `evaluate` computes them for a batch of latents; steps jump there.
2. `compile_network` makes the weights of a plain network with leaky ReLUs, StyleGAN2's mapping network, that computes
   the same values, except that its steps are ramps of width `RAMP`.

Nothing here knows what the values mean; see `sfhub.portraits.distribution`.
"""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

__all__ = ["RAMP", "Value", "column", "compile_network", "curve", "evaluate", "gate", "step"]

RAMP = 2.0**-8
"""Width, in standard deviations of a latent's entries, of the ramp that a network has in place of a step."""

REACH = 4.0
"""Entries of latents beyond +-REACH are rare enough (1 in 16,000) to be taken a little too small by a network."""

LEAK, GAIN = 0.2, math.sqrt(2.0)
"""Slope below zero and gain of `sfhub.models.layers.leaky_relu`."""

Number = int | float


@dataclass(frozen=True)
class Column:
    """Entry `index` of a latent."""

    index: int
    level = 0
    low, high = -REACH, REACH


@dataclass(frozen=True)
class Curve:
    """A piecewise-linear function of `form`, which has no constant; constant outside the knots.

    Attributes:
        form: the terms of the value that it is a function of.
        knots, values: where it bends, in rising order, and its values there.
        jumps: it is a step, whose ramp is there for networks only.
    """

    form: tuple[tuple["Atom", float], ...]
    knots: tuple[float, ...]
    values: tuple[float, ...]
    jumps: bool = False

    def __post_init__(self) -> None:
        atoms = [atom for atom, _ in self.form]
        object.__setattr__(self, "level", 1 + max((atom.level for atom in atoms), default=0))
        object.__setattr__(self, "_hash", hash((self.form, self.knots, self.values)))

    def __hash__(self) -> int:  # computed once: curves hold curves
        return self._hash

    @property
    def slopes(self) -> list[float]:
        """Slope before every knot and after the last one."""
        return _slopes(self.knots, self.values)

    @property
    def low(self) -> float:
        return min(self.values)

    @property
    def high(self) -> float:
        return max(self.values)


Atom = Column | Curve


class Value:
    """A sum of columns and curves, each times a factor, and a constant; immutable.

    Supports `+`, `-` and `*` with numbers, `+` and `-` with values, and `clamp`.
    """

    __slots__ = ("constant", "terms")

    def __init__(self, terms: dict[Atom, float], constant: float = 0.0):
        self.terms = {atom: factor for atom, factor in terms.items() if factor}
        self.constant = float(constant)

    @property
    def low(self) -> float:
        """A lower bound, as long as no entry of the latent lies below -REACH."""
        return self.constant + sum(f * (a.low if f > 0 else a.high) for a, f in self.terms.items())

    @property
    def high(self) -> float:
        """An upper bound, as long as no entry of the latent lies above REACH."""
        return -(-self).low

    @property
    def level(self) -> int:
        """The least number of layers that a network needs for it."""
        return max((atom.level for atom in self.terms), default=0)

    def __add__(self, other: "Value | Number") -> "Value":
        if not isinstance(other, Value):
            return Value(self.terms, self.constant + other)
        terms = dict(self.terms)
        for atom, factor in other.terms.items():
            terms[atom] = terms.get(atom, 0.0) + factor
        return Value(terms, self.constant + other.constant)

    def __mul__(self, factor: Number) -> "Value":
        return Value({atom: factor * own for atom, own in self.terms.items()}, factor * self.constant)

    def __neg__(self) -> "Value":
        return self * -1

    def __sub__(self, other: "Value | Number") -> "Value":
        return self + -other

    def __rsub__(self, other: Number) -> "Value":
        return other + -self

    __radd__ = __add__
    __rmul__ = __mul__

    def clamp(self, low: float, high: float) -> "Value":
        """The value, but at least `low` and at most `high`."""
        return curve(self, (low, high), (low, high))


def column(index: int) -> Value:
    """Entry `index` of the latent."""
    return Value({Column(index): 1.0})


def curve(of: Value, knots: Sequence[float], values: Sequence[float]) -> Value:
    """The piecewise-linear function of a value that goes through the given points and is constant outside them.

    Args:
        of: what it is a function of.
        knots: places in rising order, two or more.
        values: as many.
    """
    return _curve(of, knots, values)


def step(of: Value) -> Value:
    """1 where the value is positive, else 0."""
    if of.level == 0:
        grid = RAMP / 2  # half precision keeps the first layer's biases if they are multiples of 1/2
        of = Value(of.terms, round(of.constant / grid) * grid)
    return _curve(of, (-RAMP / 2, RAMP / 2), (0.0, 1.0), jumps=True)


def gate(binary: Value, value: Value) -> Value:
    """The value where `binary` is 1, 0 where it is 0 or a negative integer."""
    if value.low >= 0:
        return (value + value.high * (binary - 1)).clamp(0, value.high)
    reach = max(-value.low, value.high)
    return curve(value + 3 * reach * (binary - 1), (-2 * reach, -reach, reach), (0, -reach, reach))


def _curve(of: Value, knots: Sequence[float], values: Sequence[float], jumps: bool = False) -> Value:
    knots, values = [float(knot) - of.constant for knot in knots], [float(value) for value in values]
    if len(knots) != len(values) or len(knots) < 2 or any(b <= a for a, b in itertools.pairwise(knots)):
        raise ValueError(f"{knots} and {values} make no curve; give two or more rising knots and as many values.")
    bends = [before != after for before, after in itertools.pairwise(_slopes(knots, values))]
    if not any(bends):
        return Value({}, values[0])
    knots, values = (tuple(itertools.compress(points, bends)) for points in (knots, values))
    return Value({Curve(tuple(of.terms.items()), knots, values, jumps): 1.0})


def _slopes(knots: Sequence[float], values: Sequence[float]) -> list[float]:
    points = zip(knots, values, strict=True)
    return [0.0, *((y - x) / (b - a) for (a, x), (b, y) in itertools.pairwise(points)), 0.0]


def evaluate(values: Iterable[Value], z: Tensor) -> list[Tensor]:
    """Values for a batch of latents.

    Args:
        values: what to compute.
        z: `[B, D]`.

    Returns:
        Per value a float32 tensor `[B]`.
    """
    columns = z.float().T.contiguous()
    known: dict[Atom, Tensor] = {}

    def atom_value(atom: Atom) -> Tensor:
        if isinstance(atom, Column):
            return columns[atom.index]
        if atom not in known:
            known[atom] = _evaluate_curve(atom, total(atom.form))
        return known[atom]

    def total(terms: Iterable[tuple[Atom, float]], constant: float = 0.0) -> Tensor:
        result = torch.full_like(columns[0], constant)
        for atom, factor in terms:
            result.add_(atom_value(atom), alpha=factor)
        return result

    return [total(value.terms.items(), value.constant) for value in values]


def _evaluate_curve(atom: Curve, x: Tensor) -> Tensor:
    if atom.jumps:
        return (x > (atom.knots[0] + atom.knots[1]) / 2).float()
    result = torch.full_like(x, atom.values[0])
    points = zip(atom.knots, atom.values, strict=True)
    for (left, before), (right, after) in itertools.pairwise(points):
        result.add_((x.clamp(left, right) - left).mul_((after - before) / (right - left)))
    return result


Form = tuple[tuple[Atom, float], ...]
"""The terms of a value: atoms and their factors."""

Layer = tuple[np.ndarray, np.ndarray]
"""Weight `[out, in]` and bias `[out]`."""

Affine = tuple[np.ndarray, float]
"""A factor for each unit of a layer, and a constant."""


def compile_network(values: Sequence[Value], inputs: int) -> list[Layer]:
    """The layers of a network that computes the values, with `leaky_relu` after every layer, the last one too.

    A unit is one of three things, in all cases of something linear in the layer before:

    - `lrelu(x - knot)` for a knot of a curve of x. The bend of the curve is a multiple of `relu(x - knot)`, which is
      `1.25 lrelu(x - knot) - 0.25 (x - knot)`. The bends of a curve that is constant at both ends sum to zero, so what
      is linear in x cancels. All curves of the same x share units.
    - A column or curve that later layers need, less its lower bound, so that the leaky ReLU keeps it.
    - In the last layer but one, `lrelu(-v)` of every value v. The last layer takes -5 times it: v where v is positive
      and 5 v where it is negative, which becomes v in its leaky ReLU.

    Args:
        values: what to compute.
        inputs: length of a latent.

    Returns:
        Layers in float64, no wider than they need to be; the last one puts out the values.
    """
    groups: dict[Form, list[Curve]] = {}
    for atom in _curves(values):
        groups.setdefault(atom.form, []).append(atom)
    levels = _assign_levels(groups)
    known: dict[Atom, Affine] = {Column(i): (row, 0.0) for i, row in enumerate(np.eye(inputs))}
    layers = []
    for level in range(1, 1 + max(levels.values(), default=0)):
        later = {atom for form, own in levels.items() if own > level for atom, _ in form}
        later |= {atom for value in values for atom in value.terms}
        curves = {form: group for form, group in groups.items() if levels[form] == level}
        layer, known = _hidden_layer(curves, [atom for atom in known if atom in later], known)
        layers.append(layer)
    layers.append(_stack([_combine((-value).terms.items(), -value.constant, known) for value in values]))
    layers.append((-1 / LEAK / GAIN**2 * np.eye(len(values)), np.zeros(len(values))))
    return layers


def _hidden_layer(
    curves: dict[Form, list[Curve]], carried: list[Atom], known: dict[Atom, Affine]
) -> tuple[Layer, dict[Atom, Affine]]:
    """A layer that makes some curves and carries some atoms, and what they are in terms of its outputs."""
    units: list[Affine] = []
    made: list[tuple[Atom, dict[int, float], float]] = []  # atom, factors of units, constant
    for form, group in curves.items():
        row, constant = _combine(form, 0.0, known)
        scale = 1 / RAMP if any(atom.jumps for atom in group) else 1.0
        places: dict[float, int] = {}
        for knot in sorted({knot for atom in group for knot in atom.knots}):
            places[knot] = len(units)
            units.append((scale * row, scale * (constant - knot)))
        for atom in group:
            bends = np.diff(atom.slopes) / (1 - LEAK) / GAIN / scale
            factors = {places[knot]: bend for knot, bend in zip(atom.knots, bends, strict=True)}
            rise = atom.values[-1] - atom.values[0]  # equals minus the sum of knots times changes of slope
            made.append((atom, factors, atom.values[0] - LEAK / (1 - LEAK) * rise))
    for atom in carried:
        row, constant = known[atom]
        made.append((atom, {len(units): 1 / GAIN}, atom.low))
        units.append((row, constant - atom.low))
    result = {}
    for atom, factors, constant in made:
        row = np.zeros(len(units))
        row[list(factors)] = list(factors.values())
        result[atom] = row, constant
    return _stack(units), result


def _combine(terms: Iterable[tuple[Atom, float]], constant: float, known: dict[Atom, Affine]) -> Affine:
    """A sum of atoms in terms of the outputs of a layer."""
    width = len(next(iter(known.values()))[0])
    row = np.zeros(width)
    for atom, factor in terms:
        own, offset = known[atom]
        row += factor * own
        constant += factor * offset
    return row, constant


def _stack(units: Sequence[Affine]) -> Layer:
    return np.stack([row for row, _ in units]), np.array([constant for _, constant in units])


def _curves(values: Iterable[Value]) -> list[Curve]:
    """All curves that the values are made of, each after those that it is a function of."""
    found: dict[Curve, None] = {}

    def visit(atom: Atom) -> None:
        if isinstance(atom, Curve) and atom not in found:
            for part, _ in atom.form:
                visit(part)
            found[atom] = None

    for value in values:
        for atom in value.terms:
            visit(atom)
    return list(found)


def _assign_levels(groups: dict[Form, list[Curve]]) -> dict[Form, int]:
    """The layer for the curves of each form: after what it needs, before what needs it, layers about equally full.

    Args:
        groups: all curves by form, in an order in which a curve comes after those that it is a function of.
    """
    needs = {form: [atom.form for atom, _ in form if isinstance(atom, Curve)] for form in groups}
    units = {form: len({knot for atom in group for knot in atom.knots}) for form, group in groups.items()}
    earliest = {form: group[0].level for form, group in groups.items()}
    last = max(earliest.values(), default=0)
    latest = dict.fromkeys(groups, last)
    for form in sorted(groups, key=earliest.get, reverse=True):
        for part in needs[form]:
            latest[part] = min(latest[part], latest[form] - 1)

    levels = {form: earliest[form] for form in groups if earliest[form] == latest[form]}
    load = [sum(units[form] for form, level in levels.items() if level == own) for own in range(last + 1)]
    for form in sorted(
        (form for form in groups if form not in levels), key=lambda form: (earliest[form], -units[form])
    ):
        first = 1 + max((levels[part] for part in needs[form]), default=0)
        levels[form] = min(range(first, latest[form] + 1), key=load.__getitem__)
        load[levels[form]] += units[form]
    return levels
