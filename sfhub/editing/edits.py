"""Edits: a name, the space it works in, and the range of strengths in which it does; a direction is the plainest one.

An edit is a function from a code and a strength to a code. What it does to the *whole* picture is all it knows: that
only some regions get the edited code is the business of `sfhub.editing.constraint`, for all edits alike. Strength 0
gives the very code that went in.
"""

import hashlib
import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from math import isfinite
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sfhub.editing.spaces import CodeSpace
from sfhub.errors import InputError, short

if TYPE_CHECKING:
    from sfhub.steps.code import Code

__all__ = ["SPACES", "Coordinate", "Direction", "Edit", "as_names", "check_record", "find_edit"]

logger = logging.getLogger(__name__)

SPACES = ("z", "w", "w+", "s")
"""Where an edit can move a code; for a SemanticStyleGAN "s" is its flat code of W+."""


class Edit(ABC):
    """What all edits have.

    Attributes:
        name: by which users ask for it.
        space: one of `SPACES`.
        region: where it is meant to show, as the model calls it; None for the whole picture.
        range: lowest and highest strength that were measured to work.
    """

    name: str
    space: str
    region: str | tuple[str, ...] | None
    range: tuple[float, float]

    keeps_to_region: bool = False
    """Whether it shows in its region alone by itself, so that nothing has to keep it there."""

    @abstractmethod
    def apply(self, space: CodeSpace, code: "Code", strength: float) -> "Code":
        """The edited code, for the whole picture; `code` itself if the strength is 0.

        Raises:
            InputError: if the code lacks what the edit starts from, or is of another generator.
        """

    @abstractmethod
    def check(self, space: CodeSpace) -> None:
        """Raise an InputError unless the edit was made for a generator with these spaces."""

    @abstractmethod
    def digest(self) -> str:
        """SHA-256 in hexadecimal digits of all that determines what the edit does."""

    def clamped(self, strength: float) -> float:
        """A strength inside the range; a warning says so where it was outside.

        Raises:
            InputError: for what is no finite number.
        """
        if isinstance(strength, bool) or not isinstance(strength, (int, float)) or not isfinite(strength):
            raise InputError(
                f"The strength of {short(self.name)} is {short(strength)}; give a finite number, 0 for no change."
            )
        low, high = self.range
        inside = float(min(max(strength, low), high))
        if inside != strength:
            logger.warning(
                "%r works from %g to %g on this model; strength %g was taken as %g.",
                *(self.name, low, high, strength, inside),
            )
        return inside


@dataclass(frozen=True)
class Coordinate:
    """Where along its direction an edit goes, instead of how far (GANSpace's edits): strength 1 is there.

    Attributes:
        target: coordinate in standard deviations.
        mean: `w . direction` of the average w.
        std: standard deviation of `w . direction`.
    """

    target: float
    mean: float
    std: float


@dataclass(frozen=True, eq=False)
class Direction(Edit):
    """A displacement, the same for all pictures, times the strength.

    Attributes:
        name, space, region, range: as for every `Edit`.
        vector: for strength 1, of its space `[z_dim]`, `[w_dim]`, `[num_ws, w_dim]` or `[S]`.
        layers: vectors of W+ that move, in spaces w and w+; all if None.
        coordinate: go there instead, in space w: the vector has unit length, the coordinate of the first vector of W+
            is measured and strength t goes the share t of the way to the target (as the official GANSpace edits do for
            t = 1).
        about: what is known of it, plain data: how it was found, what was measured.
        beyond: in space s, what strengths above 1 (or below -1) add instead of the vector `[S]`: an edit that Style
            Intervention found for its region, which goes on along the classifier's normal alone (fig. 5 of that paper).
    """

    name: str
    space: str
    vector: Tensor
    region: str | tuple[str, ...] | None = None
    range: tuple[float, float] = (-3.0, 3.0)
    layers: tuple[int, ...] | None = None
    coordinate: Coordinate | None = None
    about: Mapping[str, Any] | None = None
    beyond: Tensor | None = None

    def __post_init__(self):
        dims = {"z": 1, "w": 1, "w+": 2, "s": 1}.get(self.space)
        if dims is None:
            raise InputError(
                f"Edit {short(self.name)} is in space {short(self.space)}; choose one of {', '.join(SPACES)}."
            )
        if self.vector.ndim != dims or not bool(torch.isfinite(self.vector).all()):
            raise InputError(
                f"Edit {short(self.name)} has a direction of shape {list(self.vector.shape)} or with numbers that "
                "are not "
                f"finite; in space {self.space} give {dims} dimension{'s' * (dims > 1)} of finite numbers."
            )
        low, high = self.range
        if not (isfinite(low) and isfinite(high) and low <= 0 <= high):
            raise InputError(f"Edit {short(self.name)} has the range {low} to {high}; give two numbers around 0.")
        if self.coordinate is not None and self.space != "w":
            raise InputError(f"Edit {short(self.name)} goes to a coordinate in space {self.space}; that takes space w.")
        if self.beyond is not None and (self.space != "s" or self.beyond.shape != self.vector.shape):
            raise InputError(f"Edit {short(self.name)} goes on beyond 1 by another vector; that takes two of space s.")

    @property
    def keeps_to_region(self) -> bool:
        """As of every `Edit`."""
        return self.beyond is not None

    def shape(self, space: CodeSpace) -> tuple[int, ...]:
        """The shape that its vector has to have for a generator."""
        shapes = {"z": (space.z_dim,), "w": (space.w_dim,), "w+": (space.num_ws, space.w_dim), "s": (space.size,)}
        return shapes[self.space]

    def check(self, space: CodeSpace) -> None:
        """As `Edit.check`."""
        wanted = self.shape(space)
        if tuple(self.vector.shape) != wanted:
            raise InputError(
                f"Edit {short(self.name)} has a direction of shape {list(self.vector.shape)} in space "
                f"{self.space}, but "
                f"this generator of {space.resolution} pixels takes {list(wanted)}; use one made for this generator."
            )
        wrong = [layer for layer in self.layers or () if not 0 <= layer < space.num_ws]
        if wrong:
            raise InputError(
                f"Edit {short(self.name)} moves layer {wrong[0]} of W+, but this generator has {space.num_ws}, "
                "counted from "
                "0; use one made for this generator."
            )

    def apply(self, space: CodeSpace, code: "Code", strength: float) -> "Code":
        """As `Edit.apply`."""
        self.check(space)
        if strength == 0:
            return code
        vector = self.vector.to(code.s)
        if self.beyond is not None:
            inside = min(max(strength, -1.0), 1.0)
            return space.shifted(code, inside * vector + (strength - inside) * self.beyond.to(code.s))
        if self.space == "s":
            return space.shifted(code, strength * vector)
        if self.space == "z":
            return self._moved_in_z(space, code, strength * vector)
        step = strength if self.coordinate is None else strength * self._way(space, code)
        moved = (step * vector).expand(space.num_ws, -1)
        if self.layers is not None:
            kept = torch.ones(space.num_ws, 1, dtype=torch.bool, device=moved.device)
            kept[list(self.layers)] = False
            moved = moved.masked_fill(kept, 0)
        return space.moved(code, moved[None])

    def _moved_in_z(self, space: CodeSpace, code: "Code", displacement: Tensor) -> "Code":
        """By f(z') - f(z), which mixed codes take too: they keep the latent of their base."""
        if code.latent is None:
            raise InputError(
                f"Edit {short(self.name)} works in Z, but this picture has no latent that it could start from; "
                "use an edit "
                "in W or S."
            )
        latent = code.latent.moved(displacement)
        return space.moved(code, space.mapped(latent) - space.mapped(code.latent)).with_latent(latent)

    def _way(self, space: CodeSpace, code: "Code") -> float:
        """How far it is to the coordinate, in units of the vector."""
        w_plus = space.w_plus(code)
        if w_plus is None:
            raise InputError(
                f"Edit {short(self.name)} goes to a place in W, but where this picture lies in W is not known; "
                "use an edit "
                "that moves from where it is."
            )
        here = float(w_plus[0, 0].double() @ self.vector.to(w_plus.device).double()) - self.coordinate.mean
        return self.coordinate.target * self.coordinate.std - here

    def record(self) -> dict[str, Any]:
        """All of it but the vector, as plain data."""
        target = self.coordinate
        return {
            "name": self.name,
            "space": self.space,
            "region": list(self.region) if isinstance(self.region, tuple) else self.region,
            "range": list(self.range),
            "layers": None if self.layers is None else list(self.layers),
            "coordinate": None if target is None else [target.target, target.mean, target.std],
            "about": dict(self.about or {}),
            "beyond": self.beyond is not None,
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any], vector: Tensor, beyond: Tensor | None = None) -> "Direction":
        """The inverse of `record`."""
        region, layers, target = (record.get(key) for key in ("region", "layers", "coordinate"))
        low, high = record["range"]
        return cls(
            name=record["name"],
            space=record["space"],
            vector=vector,
            region=tuple(region) if isinstance(region, (list, tuple)) else region,
            range=(float(low), float(high)),
            layers=None if layers is None else tuple(layers),
            coordinate=None if target is None else Coordinate(*map(float, target)),
            about=record.get("about"),
            beyond=beyond,
        )

    def digest(self) -> str:
        """As `Edit.digest`; the region and what is said about it do not count."""
        record = {key: value for key, value in self.record().items() if key not in ("region", "about")}
        digest = hashlib.sha256(json.dumps(record, sort_keys=True).encode())
        for vector in (self.vector, self.beyond):
            if vector is not None:
                digest.update(vector.detach().cpu().float().contiguous().numpy().tobytes())
        return digest.hexdigest()


def check_record(record: Any, num_ws: int) -> None:
    """Refuse what `Direction.from_record` could not read: a configuration may come from anywhere.

    Args:
        record: of one edit.
        num_ws: vectors of W+ of the generator.

    Raises:
        InputError: naming what is wrong.
    """
    fine = isinstance(record, Mapping) and _is_name(record.get("name"))
    if not fine:
        raise InputError(f"An edit has no name of 1 to {MAX_NAME} printable characters; get the edits again.")
    region, layers, target = (record.get(key) for key in ("region", "layers", "coordinate"))
    regions = region if isinstance(region, (list, tuple)) else [region]
    checks = {
        "space": record.get("space") in SPACES,
        "region": region is None or (0 < len(regions) <= 64 and all(map(_is_name, regions))),
        "range": _are_numbers(record.get("range"), 2),
        "layers": layers is None or _are_layers(layers, num_ws),
        "coordinate": target is None or _are_numbers(target, 3),
        "about": isinstance(record.get("about") or {}, Mapping),
        "beyond": isinstance(record.get("beyond", False), bool)
        and not (record.get("beyond") and record["space"] != "s"),
    }
    wrong = next((key for key, right in checks.items() if not right), None)
    if wrong is not None:
        raise InputError(f"Edit {short(record['name'])} has a {wrong} that cannot be used; get the edits again.")


MAX_NAME = 80


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_NAME and value.isprintable()


def _are_numbers(values: Any, count: int) -> bool:
    fine = isinstance(values, (list, tuple)) and len(values) == count
    return fine and all(isinstance(x, (int, float)) and not isinstance(x, bool) and isfinite(x) for x in values)


def _are_layers(values: Any, num_ws: int) -> bool:
    fine = isinstance(values, (list, tuple)) and 0 < len(values) <= num_ws
    return fine and all(isinstance(x, int) and not isinstance(x, bool) and 0 <= x < num_ws for x in values)


def find_edit(edits: Mapping[str, Edit], name: str) -> Edit:
    """The edit of a name.

    Raises:
        InputError: if there is none, suggesting the nearest names.
    """
    if name in edits:
        return edits[name]
    if not edits:
        raise InputError(
            f"There is no edit {short(name)}, for this model has none; find some with scripts/train_directions.py."
        )
    near = get_close_matches(str(name), list(edits), n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, near))}? It" if near else "it"
    raise InputError(f"There is no edit {short(name)} in this model: {hint} has {', '.join(edits)}.")


def as_names(region: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """One region or several, each once, as a tuple; None for the whole picture."""
    if region is None:
        return None
    return tuple(dict.fromkeys([region] if isinstance(region, str) else region))
