"""What a person has chosen on the tab *Mix regions*, and what each click turns it into.

Everything here is plain immutable data: references to pictures, strengths and names. Pictures are functions of it
(`work.py`), so undo is a matter of remembering small values, a session costs a server almost nothing, and equal choices
share one cache entry whoever made them. No Gradio in this file.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

from sfhub.editing.semantic import BOTH, PARTS, SHAPE, TEXTURE
from sfhub.errors import InputError
from sfhub.space.common.picture_ref import PictureRef
from sfhub.space.common.visit import Visit
from sfhub.steps.mix import MixStep
from sfhub.steps.mix_by_catalog import MixByCatalog
from sfhub.steps.recipe import Placed
from sfhub.steps.registry import mix_named
from sfhub.steps.sample import SampleStep

__all__ = ["BASE", "BOTH", "POSE", "SHAPE", "TEXTURE", "Mix", "Session", "Source"]

BASE = ""
"""Stands for the base portrait where a region could be chosen; no region has an empty name."""

POSE = "/layout"
"""Stands for the pose of the whole picture where a region could be chosen; no node of a tree has such a name."""


DRAW = random.SystemRandom()


class Source(NamedTuple):
    """One region, or the layout, taken from a picture; strength from 0 (base) to 1 (source)."""

    region: str
    picture: PictureRef
    strength: float = 1.0
    part: str = BOTH


@dataclass(frozen=True)
class Mix:
    """A base portrait and the sources of some of its regions, at one truncation psi.

    Attributes:
        sources: one per region, or two with one strength, one of them for its shape and one for its texture.
        method: how the pipeline is to mix.
        strength: of everything, by which the strength of each source is multiplied.
        model: name of the model that the portraits are of.
    """

    base: PictureRef
    psi: float = 0.7
    sources: tuple[Source, ...] = ()
    method: str = MixByCatalog.NAME
    strength: float = 1.0
    model: str = ""

    @property
    def way(self) -> type[MixStep]:
        """The way of mixing that the method stands for."""
        return mix_named(self.method)

    @property
    def pictures(self) -> tuple[PictureRef, ...]:
        """The base and the sources, each picture once."""
        return tuple(dict.fromkeys((self.base, *(source.picture for source in self.sources))))

    @property
    def used(self) -> tuple[Source, ...]:
        """The sources that the method takes; not every one knows a layout."""
        return self.sources if self.way.TAKES_LAYOUT else self.without(POSE).sources

    def source(self, region: str, part: str = BOTH) -> Source | None:
        """The source of a part of a region, None where the base shows or shape and texture come from two."""
        return next((source for source in self.sources_of(region) if source.part in (part, BOTH)), None)

    def sources_of(self, region: str) -> tuple[Source, ...]:
        """All sources of a region: none, one, or one for the shape and one for the texture."""
        found = (source for source in self.sources if source.region == region)
        return tuple(sorted(found, key=lambda source: PARTS.index(source.part)))

    def with_source(self, source: Source) -> "Mix":
        """This mix with one region's source put in place; in alphabetical order, so that equal mixes are equal."""
        others = [other for other in self.sources if other.region != source.region]
        if source.part != BOTH:
            rest = TEXTURE if source.part == SHAPE else SHAPE
            kept = self.source(source.region, rest)
            if kept is not None and kept.picture == source.picture:
                source = source._replace(part=BOTH)
            elif kept is not None:
                others.append(kept._replace(part=rest, strength=source.strength))
        return replace(self, sources=tuple(sorted([*others, source])))

    def without(self, region: str) -> "Mix":
        """This mix with the base showing in one region."""
        return replace(self, sources=tuple(source for source in self.sources if source.region != region))

    def by(self, model: str, way: type[MixStep], regions: Sequence[str]) -> "Mix":
        """The same choices with another model, as far as that has the regions and can do it."""
        sources = (
            source
            for source in self.sources
            if source.region in (*regions, POSE) and (way.TAKES_PARTS or source.part == BOTH)
        )
        return replace(self, model=model, method=way.NAME, sources=tuple(sources))

    @classmethod
    def from_steps(cls, steps: Sequence[Placed]) -> "Mix":
        """The mix that the steps of a recipe describe.

        Raises:
            InputError: if it is neither one sample nor one mix of samples of one psi, which is all the tab can show.
        """
        last = steps[-1]
        mixed = last.step if isinstance(last.step, MixStep) else None
        samples = [steps[i].step for i in last.inputs] if mixed else [last.step]
        taken = mixed.taken if mixed else ()
        if (
            not all(isinstance(step, SampleStep) and step.label is None for step in samples)
            or len({step.truncation_psi for step in samples}) > 1
            or (mixed and mixed.has_settings)
            or len({(each.region, each.strength) for each in taken}) > len({each.region for each in taken})
        ):
            raise InputError(
                f"This picture took {len(steps)} steps that the tab cannot lay out again, which are one base and "
                "one portrait per region at a single variety; make it again with `sfhub redo`."
            )
        base, *rest = (PictureRef.of_seed(step.seed) for step in samples)
        mix = cls(base, samples[0].truncation_psi, method=(mixed or MixByCatalog).NAME)
        for each, picture in zip(taken, rest, strict=True):
            region = POSE if each.region is None else each.region
            mix = mix.with_source(Source(region, picture, each.strength, each.part))
        return mix


@dataclass(frozen=True)
class Session(Visit):
    """What one person sees: the mix, the gallery to pick from, what a pick goes to, and the way back.

    Attributes:
        mix: what is shown.
        active: the region that the next pick goes to, or `BASE`.
        part: what of it the next pick goes to.
        gallery, past, future, gesture: see `Visit`.
    """

    SHOWN: ClassVar[str] = "mix"

    mix: Mix
    gallery: tuple[PictureRef, ...]
    active: str = BASE
    past: tuple[Mix, ...] = ()
    future: tuple[Mix, ...] = ()
    gesture: str | None = None
    part: str = BOTH

    # Choosing ---------------------------------------------------------------------------------------------------------

    def choose(self, target: str) -> "Session":
        """Let the next pick go to a region or to `BASE`."""
        return replace(self, active=target, gesture=None)

    def pick(self, picture: PictureRef) -> "Session":
        """Make a portrait the source of the active region, or the base."""
        if self.active == BASE:
            return self._changed(replace(self.mix, base=picture))
        strength = 1.0 if self.strength is None else self.strength
        part = BOTH if self.active == POSE else self.part
        return self._changed(self.mix.with_source(Source(self.active, picture, strength, part)))

    @property
    def strength(self) -> float | None:
        """How strong the source of the active region is, None without one."""
        return next((source.strength for source in self.mix.sources_of(self.active)), None)

    def set_part(self, part: str) -> "Session":
        """Let the next pick go to shape and texture, or to one of them."""
        return replace(self, part=part, gesture=None)

    def clear(self, region: str) -> "Session":
        """Let the base show in a region again."""
        return self._changed(self.mix.without(region))

    def reset(self) -> "Session":
        """Let the base show everywhere."""
        return self._changed(replace(self.mix, sources=()))

    def restore(self, mix: Mix) -> "Session":
        """Go on from a mix that was saved."""
        return self._changed(mix)._offer(mix.pictures)

    def randomise(self, regions: Sequence[str], draw: random.Random = DRAW) -> "Session":
        """Give every region a source from the gallery, by chance; the pose stays the base's."""
        sources = tuple(sorted(Source(region, draw.choice(self.gallery)) for region in regions))
        return self._changed(replace(self.mix, sources=sources))

    def set_method(self, method: str) -> "Session":
        """Mix the same choices another way."""
        return self._changed(replace(self.mix, method=method))

    def set_model(self, model: str, way: type[MixStep], regions: Sequence[str]) -> "Session":
        """Make the same choices with another model."""
        return self._changed(self.mix.by(model, way, regions))

    def fitted(self, regions: Sequence[str]) -> "Session":
        """With the base active if the model lacks the active region, as after undoing a change of model."""
        return self if self.active in (BASE, POSE, *regions) else replace(self, active=BASE)

    # Sliders ----------------------------------------------------------------------------------------------------------

    def set_strength(self, strength: float) -> "Session":
        """Move the active region towards its source; nothing happens if it has none."""
        mix = self.mix
        for source in mix.sources_of(self.active):
            mix = mix.with_source(source._replace(strength=strength))
        return self._changed(mix, f"strength of {self.active}") if mix.sources_of(self.active) else self

    def set_overall(self, strength: float) -> "Session":
        """Move all that has a source at once."""
        return self._changed(replace(self.mix, strength=strength), "strength of everything")

    def set_psi(self, psi: float) -> "Session":
        """Set how varied the portraits are."""
        return self._changed(replace(self.mix, psi=psi), "psi")

    # Back and forth ---------------------------------------------------------------------------------------------------

    def _showing(
        self, shown: Mix, past: tuple[Mix, ...], future: tuple[Mix, ...], gesture: str | None = None
    ) -> "Session":
        session = super()._showing(shown, past, future, gesture)
        lost = self.active == POSE and not shown.way.TAKES_LAYOUT
        part = self.part if shown.way.TAKES_PARTS else BOTH
        return replace(session, active=BASE if lost else self.active, part=part)
