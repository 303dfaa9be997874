"""Pictures for the tab Build a face, remembered by what they are made of, never by visitor.

A person thinks of a component as growing about its own middle, and of a person as moving with all components. The
pipeline knows one move and one zoom about the middle of the picture for every class; `placements` translates.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from sfhub.errors import InputError
from sfhub.pipelines.recipe import MAX_MOVE, MAX_ZOOM, read_recipe
from sfhub.pipelines.sample import Sample
from sfhub.pipelines.semantic_stylegan import Component
from space.accelerator import on_accelerator
from space.build_face_state import BACKGROUND, HOME, WHOLE, Backdrop, Face, Place
from space.workbench import MEMORY_BYTES, Memory, Workbench

__all__ = ["Anatomy", "FaceBuilder", "backdrop", "placements"]

BACKDROP_PIXELS = 1024
"""Longest side of a picture that visitors bring along, far more than a generator's; larger ones are made smaller."""

# A component of which less is to be seen is not in the picture.
LEAST_SHARE = 1 / 2000

Middle = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Anatomy:
    """What a picture is made of.

    Attributes:
        image: RGB.
        components: names of the classes, the background first.
        labels: which of them each pixel belongs to, `[H, W]`.
        depths: pseudo-depths, larger in front, float32 `[K, h, w]`.
    """

    image: Image.Image
    components: tuple[str, ...]
    labels: np.ndarray
    depths: np.ndarray

    def mask(self, name: str) -> np.ndarray:
        """Boolean `[H, W]` of a component, `WHOLE` or `BACKGROUND`."""
        if name in (WHOLE, BACKGROUND):
            return (self.labels == 0) == (name == BACKGROUND)
        return self.labels == self.components.index(name)

    @cached_property
    def present(self) -> tuple[str, ...]:
        """The components that can be seen, the background left out."""
        counts = np.bincount(self.labels.flatten(), minlength=len(self.components))
        return tuple(name for name, n in zip(self.components[1:], counts[1:], strict=True) if n >= self._least)

    @cached_property
    def middles(self) -> dict[str, Middle]:
        """Middle of each component that can be seen and of `WHOLE`, (right, down) from the picture's, in halves."""
        return {name: _middle(self.mask(name)) for name in (*self.present, WHOLE) if self.mask(name).any()}

    @property
    def _least(self) -> float:
        return max(1, self.labels.size * LEAST_SHARE)


class FaceBuilder:
    """Builds faces with the SemanticStyleGAN of a workbench."""

    def __init__(self, workbench: Workbench):
        self.workbench = workbench
        self.pipe = workbench.pipe
        self._dissect = on_accelerator(self._compute_anatomy)
        self._build_up = on_accelerator(self._compute_steps)
        # A code, a picture, a map and the depths of all classes.
        capacity = max(32, MEMORY_BYTES // (24 * self.pipe.generator.config.resolution**2))
        self._faces, self._anatomies, self._steps = (Memory(capacity) for _ in range(3))

    @property
    def components(self) -> tuple[str, ...]:
        """Those that can be moved, scaled and left out."""
        return self.pipe.classes[1:]

    def portrait(self, face: Face) -> Sample:
        """The portrait that a face started from."""
        return self.workbench.samples([face.seed], face.psi)[0]

    def build(self, face: Face) -> Sample:
        """The picture of a face.

        Raises:
            InputError: as `SemanticStyleGANPipeline.compose`.
        """
        if face == face.plain:
            return self.portrait(face)
        return self._faces.get(face) or self._faces.put(face, self._compose(face))

    def anatomy(self, face: Face) -> Anatomy:
        """What the picture of a face is made of."""
        return self._anatomies.get(face) or self._anatomies.put(face, self._dissect(self.build(face)))

    def alone(self, face: Face, name: str) -> Component:
        """A component of a face by itself."""
        key = (replace(face, background=None), name)
        return self._steps.get(key) or self._steps.put(key, self._build_up(self.build(key[0]), [name])[0])

    def steps(self, face: Face) -> list[Component]:
        """The face as its components appear one by one, those that cannot be seen left out."""
        key = replace(face, background=None if isinstance(face.background, Backdrop) else face.background)
        return self._steps.get(key) or self._steps.put(key, self._build_up(self.build(key), self._order(key)))

    def effective(self, face: Face) -> tuple[str, ...]:
        """The components that a face goes without, with those that are left out together with others."""
        gone = {part for name in face.hidden for part in self.pipe.parts(name)}
        return tuple(name for name in self.components if name in gone)

    def toggled(self, face: Face, name: str) -> list[str]:
        """What is hidden once a component is shown, if it was hidden, or hidden, if it was shown."""
        if name in self.effective(face):
            return [other for other in face.hidden if name not in self.pipe.parts(other)]
        return [*face.hidden, name]

    def read_face(self, path: str) -> tuple[Face, bool]:
        """The face in a picture that was saved with its recipe, and whether a photograph behind it is missing.

        Raises:
            InputError: if the file has no recipe, it is of another model, or no face as this page builds them.
        """
        recipe = read_recipe(path)
        self.workbench.check_model(recipe)
        *_, last = steps = recipe["steps"]
        inputs = [steps[i] for i in last["inputs"]] if last["op"] == "compose" else [last]
        psi = inputs[0].get("truncation_psi")
        named = {*last.get("without", ()), *last.get("move", ()), *last.get("zoom", ())}
        if (
            any(step["op"] != "sample" or step["truncation_psi"] != psi for step in inputs)
            or not named <= set(self.components)
        ):
            raise InputError(
                f"This picture took {len(steps)} steps that the tab cannot lay out again, which are a portrait and "
                "what was done to its components; make it again with `sfhub redo`."
            )
        background = inputs[1]["seed"] if len(inputs) > 1 else None
        face = Face(inputs[0]["seed"], psi, background=background, model=self.workbench.name)
        if last["op"] == "compose":
            face = face.without(last["without"])
            middles = self.anatomy(face.plain).middles
            for name in {*last["move"], *last["zoom"]}:
                place = _relative(last["move"].get(name, (0, 0)), last["zoom"].get(name, 1), middles.get(name, (0, 0)))
                face = face.with_place(name, place)
        return face, last.get("background") is not None

    def _order(self, face: Face) -> list[str]:
        """Components from back to front as they are seen, the background first."""
        anatomy = self.anatomy(face)
        return [anatomy.components[0], *anatomy.present]

    def _compose(self, face: Face) -> Sample:
        base = self.portrait(face)
        behind = face.background
        if isinstance(behind, int):
            behind = self.workbench.samples([behind], face.psi)[0]
        elif behind is not None:
            behind = behind.image
        middles = self.anatomy(face.plain).middles if face.places else {}
        move, zoom = placements(face, self.components, self.pipe.parts, middles)
        return self.workbench.compose(base, without=face.hidden, move=move, zoom=zoom, background=behind)

    def _compute_anatomy(self, sample: Sample) -> Anatomy:
        masks, depths = self.pipe.layers(sample)
        return Anatomy(sample.image, self.pipe.classes, masks.argmax(axis=0), depths)

    def _compute_steps(self, sample: Sample, order: Sequence[str]) -> list[Component]:
        return self.pipe.build_up(sample, order)


def placements(
    face: Face, components: Sequence[str], parts: Any, middles: Mapping[str, Middle]
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Moves and zooms of classes, as `SemanticStyleGANPipeline.compose` takes them.

    Args:
        face: of which the places are taken.
        components: that can be moved.
        parts: which of them a name covers for the pipeline; one that another covers is named, too.
        middles: of the components where they were.
    """
    whole = _absolute(face.place(WHOLE), middles.get(WHOLE, (0, 0)))
    placed = {}
    for name in components:
        right, down, size = _absolute(face.place(name), middles.get(name, (0, 0)))
        placed[name] = Place(
            whole.size * right + whole.right, whole.size * down + whole.down, min(MAX_ZOOM, whole.size * size)
        )
    changed = {part for name, place in placed.items() if place != HOME for part in parts(name)}
    move = {name: [_within(each) for each in placed[name][:2]] for name in components if name in changed}
    return move, {name: placed[name].size for name in move}


def _within(move: float) -> float:
    return max(-MAX_MOVE, min(MAX_MOVE, move))


def _absolute(place: Place, middle: Middle) -> Place:
    """From growing about the component's middle to growing about the picture's: x -> size (x - middle) + middle + d."""
    right, down = (d + m * (1 - place.size) for d, m in zip(place[:2], middle, strict=True))
    return Place(right, down, place.size)


def _relative(move: Sequence[float], zoom: float, middle: Middle) -> Place:
    """The inverse of `_absolute`."""
    right, down = (d - m * (1 - zoom) for d, m in zip(move, middle, strict=True))
    return Place(right, down, zoom)


def _middle(mask: np.ndarray) -> Middle:
    rows, columns = np.nonzero(mask)
    height, width = mask.shape
    return float((2 * columns.mean() + 1) / width - 1), float((2 * rows.mean() + 1) / height - 1)


def backdrop(path: str) -> Backdrop:
    """A picture file that somebody uploaded, upright and not larger than it is good for.

    Raises:
        InputError: if it is no picture that can be read.
    """
    try:
        with Image.open(path) as opened:
            # A JPEG file can be decoded at a fraction of its size.
            opened.draft("RGB", (2 * BACKDROP_PIXELS,) * 2)
            image = ImageOps.exif_transpose(opened).convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError("This file cannot be read as a picture; take a JPEG, PNG or WebP file.") from error
    image.thumbnail((BACKDROP_PIXELS, BACKDROP_PIXELS), Image.Resampling.LANCZOS)
    return Backdrop(hashlib.sha256(repr(image.size).encode() + image.tobytes()).hexdigest(), image)
