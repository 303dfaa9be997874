"""Pictures for the tab *Build a face*, remembered by what they are made of, never by visitor.

A `Dissection` says what a picture is made of, a `Drawing` what the views show of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image

from sfhub.errors import InputError
from sfhub.pipelines.sample import Sample, Segmentation
from sfhub.pipelines.semantic_stylegan import Component
from sfhub.space.build_face.state import BACKGROUND, WHOLE, Backdrop, Face, Middle, placed, placements
from sfhub.space.common.accelerator import on_accelerator
from sfhub.space.common.cache import Cache
from sfhub.space.common.cached_model import CachedModel
from sfhub.space.common.picture_ref import PictureRef
from sfhub.space.common.pictures import colour_of, cut_out, data_uri, depth_map, outline, overlay
from sfhub.steps.compose import ComposeStep
from sfhub.steps.recipe import read_steps
from sfhub.steps.sample import SampleStep

__all__ = ["Dissection", "Drawing", "FaceBuilder"]

# A component of which less is to be seen is not in the picture.
LEAST_SHARE = 1 / 2000

# The map of components has the colours of `colour_of`, and this where none is.
GROUND = (222, 226, 234)

# What a component is shown alone on.
GREY = (127, 127, 127)


@dataclass(frozen=True, eq=False)
class Dissection:
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


@dataclass(frozen=True, eq=False)
class Drawing:
    """What the views show of one face, drawn when it is first asked for.

    Attributes:
        face: what it is of.
        dissection: of its picture.
    """

    face: Face
    dissection: Dissection

    @cached_property
    def components(self) -> str:
        """The components in colours."""
        names = self.dissection.components
        colours = [GROUND, *(colour_of(k) for k in range(len(names) - 1))]
        return data_uri(overlay(self.dissection.image, Segmentation(self.dissection.labels, names), colours))

    @cached_property
    def outlines(self) -> dict[str, str]:
        """Path data of each component that can be seen, of `WHOLE` and of `BACKGROUND`."""
        return {name: outline(self.dissection.mask(name)) for name in (BACKGROUND, *self.dissection.present, WHOLE)}

    def depth(self, name: str) -> str:
        """The pseudo-depths of a component, of `WHOLE` those in front."""
        depths, names = self.dissection.depths, self.dissection.components
        if name in names[1:]:
            return data_uri(depth_map(depths[names.index(name)]))
        present = [names.index(each) for each in self.dissection.present]
        return data_uri(depth_map(depths[present].max(axis=0) if present else depths[0]))

    def alone(self, name: str) -> Image.Image:
        """What can be seen of a component, of `WHOLE` or of `BACKGROUND`."""
        mask = Image.fromarray(self.dissection.mask(name).astype(np.uint8) * 255)
        return Image.composite(self.dissection.image, Image.new("RGB", mask.size, GREY), mask)

    def cut_out(self, name: str) -> str:
        """A small picture of a component that can be seen."""
        return data_uri(cut_out(self.dissection.image, self.dissection.mask(name)))


class FaceBuilder:
    """Builds faces with one SemanticStyleGAN."""

    def __init__(self, model: CachedModel):
        self.model, self.pipe = model, model.pipe
        self._dissect = on_accelerator(self._compute_dissection)
        self._build_up = on_accelerator(self._compute_steps)
        self._compose = on_accelerator(self._compute_composition)
        # A code, a picture, a map and the depths of all classes.
        self._faces, self._dissections, self._steps = (Cache(model.capacity(24)) for _ in range(3))

    @property
    def components(self) -> tuple[str, ...]:
        """Those that can be moved, scaled and left out."""
        return self.pipe.classes[1:]

    def portrait(self, face: Face) -> Sample:
        """The portrait that a face started from."""
        return self.model.samples([face.portrait], face.psi)[0]

    def build(self, face: Face) -> Sample:
        """The picture of a face.

        Raises:
            InputError: as `SemanticStyleGANPipeline.compose`.
        """
        return self.portrait(face) if face == face.plain else self._faces.get_or(face, lambda: self._built(face))

    def dissection(self, face: Face) -> Dissection:
        """What the picture of a face is made of."""
        return self._dissections.get_or(face, lambda: self._dissect(self.build(face)))

    def alone(self, face: Face, name: str) -> Component:
        """A component of a face by itself."""
        face = replace(face, background=None)
        return self._steps.get_or((face, name), lambda: self._build_up(self.build(face), [name])[0])

    def steps(self, face: Face) -> list[Component]:
        """The face as its components appear one by one, those that cannot be seen left out."""
        face = replace(face, background=None if isinstance(face.background, Backdrop) else face.background)
        return self._steps.get_or(face, lambda: self._build_up(self.build(face), self._order(face)))

    def compose(self, base: Sample, **options: Any) -> Sample:
        """`SemanticStyleGANPipeline.compose`, on the accelerator.

        Raises:
            InputError: as that.
        """
        return self._compose(base, options)

    def effective(self, face: Face) -> tuple[str, ...]:
        """The components that a face goes without, with those that are left out together with others."""
        gone = {part for name in face.hidden for part in self.pipe.covered_by(name)}
        return tuple(name for name in self.components if name in gone)

    def toggled(self, face: Face, name: str) -> list[str]:
        """What is hidden once a component is shown, if it was hidden, or hidden, if it was shown."""
        if name in self.effective(face):
            return [other for other in face.hidden if name not in self.pipe.covered_by(other)]
        return [*face.hidden, name]

    def laid_out(self, recipe: Mapping[str, Any]) -> tuple[Face, bool]:
        """The face that a checked recipe describes, and whether a photograph behind it is missing.

        Raises:
            InputError: if it is of another model, or no face as this page builds them.
        """
        self.model.check_model(recipe)
        steps = read_steps(recipe)
        last = steps[-1]
        done = last.step if isinstance(last.step, ComposeStep) else ComposeStep((), {}, {})
        samples = [steps[i].step for i in last.inputs] if last.step is done else [last.step]
        if (
            not all(isinstance(step, SampleStep) for step in samples)
            or len({step.truncation_psi for step in samples}) > 1
            or not {*done.without, *done.move, *done.zoom} <= set(self.components)
        ):
            raise InputError(
                f"This picture took {len(steps)} steps that the tab cannot lay out again, which are a portrait and "
                "what was done to its components; make it again with `sfhub redo`."
            )
        portrait, *behind = (PictureRef.of_seed(step.seed) for step in samples)
        background = behind[0] if behind else None
        face = Face(portrait, samples[0].truncation_psi, background=background, model=self.model.name)
        face = face.without(done.without)
        middles = self.dissection(face.plain).middles if done.move or done.zoom else {}
        for name in {*done.move, *done.zoom}:
            place = placed(done.move.get(name, (0, 0)), done.zoom.get(name, 1), middles.get(name, (0, 0)))
            face = face.with_place(name, place)
        return face, done.background is not None

    def _order(self, face: Face) -> list[str]:
        """Components from back to front as they are seen, the background first."""
        dissection = self.dissection(face)
        return [dissection.components[0], *dissection.present]

    def _built(self, face: Face) -> Sample:
        behind = face.background
        if isinstance(behind, PictureRef):
            behind = self.model.samples([behind], face.psi)[0]
        elif behind is not None:
            behind = behind.image
        middles = self.dissection(face.plain).middles if face.places else {}
        move, zoom = placements(face, self.components, self.pipe.covered_by, middles)
        return self.compose(self.portrait(face), without=face.hidden, move=move, zoom=zoom, background=behind)

    def _compute_composition(self, base: Sample, options: Mapping[str, Any]) -> Sample:
        return self.pipe.compose(base, **options).on_cpu()

    def _compute_dissection(self, sample: Sample) -> Dissection:
        masks, depths = self.pipe.layers(sample)
        return Dissection(sample.image, self.pipe.classes, masks.argmax(axis=0), depths)

    def _compute_steps(self, sample: Sample, order: Sequence[str]) -> list[Component]:
        return self.pipe.build_up(sample, order)


def _middle(mask: np.ndarray) -> Middle:
    rows, columns = np.nonzero(mask)
    height, width = mask.shape
    return float((2 * columns.mean() + 1) / width - 1), float((2 * rows.mean() + 1) / height - 1)
