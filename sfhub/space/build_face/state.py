"""What a visitor of the tab *Build a face* has done: which components are there, where, how large, in front of what.

Immutable values, of which pictures are functions (`work.py`). No Gradio in this file.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, NamedTuple

from PIL import Image

from sfhub.images.pixels import open_picture
from sfhub.space.common.picture_ref import PictureRef
from sfhub.space.common.visit import Visit
from sfhub.steps.assets import Asset
from sfhub.steps.compose import MAX_MOVE, MAX_ZOOM

__all__ = [
    "BACKGROUND",
    "HOME",
    "MAX_SIZE",
    "MIN_SIZE",
    "WHOLE",
    "Backdrop",
    "Building",
    "Face",
    "Middle",
    "Place",
    "placed",
    "placements",
]

WHOLE = "/person"
"""Stands for all components but the background; no class has such a name."""

BACKGROUND = "/background"
"""Stands for what is behind them."""

MIN_SIZE, MAX_SIZE = 0.4, 2.5
# So that something of it can still be seen and dragged back.
MAX_DRAG = 1.2


BACKDROP_PIXELS = 1024
"""Longest side of a picture that visitors bring along, far more than a generator's; larger ones are made smaller."""


class Place(NamedTuple):
    """How far right and down, in halves of the picture, and how many times larger about its own middle."""

    right: float = 0.0
    down: float = 0.0
    size: float = 1.0


HOME = Place()

Middle = tuple[float, float]
"""Of a component, (right, down) from that of the picture, in halves of it."""


@dataclass(frozen=True)
class Backdrop:
    """A picture that a visitor brought along.

    Attributes:
        digest: tells pictures apart, so that what was computed with one can be found again.
        image: RGB.
    """

    digest: str
    image: Image.Image = field(compare=False, repr=False)

    @classmethod
    def opened(cls, path: str) -> "Backdrop":
        """A picture file that somebody uploaded, upright and not larger than it is good for.

        Raises:
            InputError: if it is no picture that can be read.
        """
        image = open_picture(path, BACKDROP_PIXELS)
        return cls(Asset.of(image).sha256, image)


@dataclass(frozen=True)
class Face:
    """A portrait and what was done to its components.

    Attributes:
        hidden: components left out, in alphabetical order.
        places: of components that are not where and as large as they were, in alphabetical order.
        background: another portrait's, or a photograph; None for its own.
        model: name of the model that the portrait is of.
    """

    portrait: PictureRef
    psi: float = 0.7
    hidden: tuple[str, ...] = ()
    places: tuple[tuple[str, Place], ...] = ()
    background: PictureRef | Backdrop | None = None
    model: str = ""

    @property
    def plain(self) -> "Face":
        """The portrait as it was."""
        return Face(self.portrait, self.psi, model=self.model)

    def place(self, name: str) -> Place:
        """Where a component, or `WHOLE`, was put."""
        return dict(self.places).get(name, HOME)

    def with_place(self, name: str, place: Place) -> "Face":
        """With a component, or `WHOLE`, put somewhere; as far and as large as it makes sense."""
        right, down = (max(-MAX_DRAG, min(MAX_DRAG, each)) for each in place[:2])
        place = Place(round(right, 4), round(down, 4), max(MIN_SIZE, min(MAX_SIZE, place.size)))
        others = [entry for entry in self.places if entry[0] != name]
        return replace(self, places=tuple(sorted([*others, *([(name, place)] if place != HOME else [])])))

    def without(self, names: Sequence[str]) -> "Face":
        """With exactly these components left out."""
        return replace(self, hidden=tuple(sorted(set(names))))

    @property
    def pictures(self) -> tuple[PictureRef, ...]:
        """All portraits that go in."""
        return (self.portrait, *([self.background] if isinstance(self.background, PictureRef) else []))


@dataclass(frozen=True)
class Building(Visit):
    """What one person sees.

    Attributes:
        face: what is shown.
        active: the component that the controls are for, `WHOLE` or `BACKGROUND`; the next portrait that is clicked
            gives its background if that is active, else becomes the face.
        gallery, past, future, gesture: see `Visit`.
    """

    SHOWN: ClassVar[str] = "face"

    face: Face
    gallery: tuple[PictureRef, ...]
    active: str = WHOLE
    past: tuple[Face, ...] = ()
    future: tuple[Face, ...] = ()
    gesture: str | None = None

    def choose(self, name: str) -> "Building":
        """Let the controls be for a component, `WHOLE` or `BACKGROUND`."""
        return replace(self, active=name, gesture=None)

    def pick(self, picture: PictureRef) -> "Building":
        """Take the background of a portrait, or start from it; what was done to the components stays."""
        if self.active == BACKGROUND:
            return self.set_background(picture if picture != self.face.portrait else None)
        return self._changed(replace(self.face, portrait=picture))

    def set_background(self, background: PictureRef | Backdrop | None) -> "Building":
        """Put the face in front of another portrait's background, of a photograph, or of its own."""
        return self._changed(replace(self.face, background=background))

    def drag(self, name: str, right: float, down: float, gesture: str) -> "Building":
        """Choose a component and put it so far from where it was; all calls of one gesture are one step back."""
        place = self.face.place(name)._replace(right=right, down=down)
        return replace(self, active=name)._changed(self.face.with_place(name, place), gesture)

    def resize(self, size: float) -> "Building":
        """Make what is active so many times as large as it was."""
        if self.active == BACKGROUND:
            return self
        place = self.face.place(self.active)._replace(size=size)
        return self._changed(self.face.with_place(self.active, place), f"size of {self.active}")

    def put_back(self, name: str) -> "Building":
        """Put a component where it was, as large as it was."""
        return self._changed(self.face.with_place(name, HOME))

    def show_only(self, hidden: Sequence[str]) -> "Building":
        """Leave out exactly these components."""
        return self._changed(self.face.without(hidden))

    def set_psi(self, psi: float) -> "Building":
        """Set how varied the portraits are."""
        return self._changed(replace(self.face, psi=psi), "psi")

    def set_model(self, model: str, components: Sequence[str]) -> "Building":
        """The same with another model, as far as it has the components."""
        known = (*components, WHOLE)
        face = self.face.without([name for name in self.face.hidden if name in known])
        places = tuple(entry for entry in face.places if entry[0] in known)
        return self._changed(replace(face, places=places, model=model))

    def fitted(self, components: Sequence[str]) -> "Building":
        """With nothing active if the model lacks what was, as after undoing a change of model."""
        return self if self.active in (WHOLE, BACKGROUND, *components) else replace(self, active=WHOLE)

    def reset(self) -> "Building":
        """Everything there and where it was."""
        return self._changed(self.face.plain)

    def restore(self, face: Face) -> "Building":
        """Go on from a face that was saved."""
        return self._changed(face)._offer(face.pictures)


# Where components come to lie --------------------------------------------------------------------------------------


def placements(
    face: Face, components: Sequence[str], covered: Callable[[str], Sequence[str]], middles: Mapping[str, Middle]
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Moves and zooms of classes, as `SemanticStyleGANPipeline.compose` takes them.

    A person thinks of a component as growing about its own middle, and of a person as moving with all components. The
    pipeline knows one move and one zoom about the middle of the picture for every class.

    Args:
        face: of which the places are taken.
        components: that can be moved.
        covered: which of them a name covers for the pipeline; one that another covers is named, too.
        middles: of the components where they were.
    """
    whole = _absolute(face.place(WHOLE), middles.get(WHOLE, (0, 0)))
    places = {}
    for name in components:
        right, down, size = _absolute(face.place(name), middles.get(name, (0, 0)))
        places[name] = Place(
            whole.size * right + whole.right, whole.size * down + whole.down, min(MAX_ZOOM, whole.size * size)
        )
    changed = {part for name, place in places.items() if place != HOME for part in covered(name)}
    move = {name: [_within(each) for each in places[name][:2]] for name in components if name in changed}
    return move, {name: places[name].size for name in move}


def _within(move: float) -> float:
    return max(-MAX_MOVE, min(MAX_MOVE, move))


def _absolute(place: Place, middle: Middle) -> Place:
    """From growing about the component's middle to growing about the picture's: x -> size (x - middle) + middle + d."""
    right, down = (d + m * (1 - place.size) for d, m in zip(place[:2], middle, strict=True))
    return Place(right, down, place.size)


def placed(move: Sequence[float], zoom: float, middle: Middle) -> Place:
    """The place of a component for a move and a zoom about the middle of the picture; `middle` is its own."""
    right, down = (d - m * (1 - zoom) for d, m in zip(move, middle, strict=True))
    return Place(right, down, zoom)
