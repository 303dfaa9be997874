"""What a person has chosen on the tab Mix regions, and what each click turns it into.

Everything here is plain immutable data: seeds, strengths and names. Pictures are functions of it (`workbench.py`), so
undo is a matter of remembering small values, a session costs a server almost nothing, and equal choices share one cache
entry whoever made them. No Gradio and no torch in this file.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from sfhub.errors import InputError
from sfhub.pipelines.recipe import CATALOG, FUSION, check_seed

__all__ = ["BASE", "LAYOUT", "Mix", "Session", "Source"]

BASE = ""
"""Stands for the base portrait where a region could be chosen; no region has an empty name."""

LAYOUT = "/layout"
"""Stands for the pose of the whole picture where a region could be chosen; no node of a tree has such a name."""

GALLERY_LIMIT = 24
HISTORY_LIMIT = 100
# Six digits are as good as ten for variety, and a person can read them out or type them.
SURPRISE_SEEDS = 1_000_000


class Source(NamedTuple):
    """One region, or the layout, taken from the portrait of a seed; strength from 0 (base) to 1 (source)."""

    region: str
    seed: int
    strength: float = 1.0


@dataclass(frozen=True)
class Mix:
    """A base portrait and the sources of some of its regions, at one truncation psi.

    Attributes:
        method: how `StyleGANPipeline.mix` is to mix.
        strength: of everything, by which the strength of each source is multiplied.
    """

    base: int
    psi: float = 0.7
    sources: tuple[Source, ...] = ()
    method: str = CATALOG
    strength: float = 1.0

    @property
    def seeds(self) -> tuple[int, ...]:
        """The base's seed and those of the sources, each once."""
        return tuple(dict.fromkeys((self.base, *(source.seed for source in self.sources))))

    @property
    def used(self) -> tuple[Source, ...]:
        """The sources that the method takes; only fusing knows a layout."""
        return self.sources if self.method == FUSION else self.without(LAYOUT).sources

    def source(self, region: str) -> Source | None:
        """The source of a region, None where the base shows."""
        return next((source for source in self.sources if source.region == region), None)

    def with_source(self, source: Source) -> "Mix":
        """This mix with one region's source put in place; in alphabetical order, so that equal mixes are equal."""
        others = [other for other in self.sources if other.region != source.region]
        return replace(self, sources=tuple(sorted([*others, source])))

    def without(self, region: str) -> "Mix":
        """This mix with the base showing in one region."""
        return replace(self, sources=tuple(source for source in self.sources if source.region != region))

    @classmethod
    def from_recipe(cls, recipe: Mapping[str, Any]) -> "Mix":
        """The mix that a checked recipe describes.

        Raises:
            InputError: if it is neither one sample nor one mix of samples of one psi, which is all the tab can show.
        """
        *samples, last = recipe["steps"]
        ingredients = [recipe["steps"][i] for i in last["inputs"]] if last["op"] == "mix" else [last]
        psi = ingredients[0].get("truncation_psi")
        if (
            any(step["op"] != "sample" or step["label"] is not None for step in ingredients)
            or any(step["truncation_psi"] != psi for step in ingredients)
            or last.get("query") is not None
        ):
            raise InputError(
                f"This picture took {len(samples) + 1} steps that the tab cannot lay out again, which are one base and "
                "one portrait per region at a single variety; make it again with `sfhub redo`."
            )
        base, *rest = (step["seed"] for step in ingredients)
        mix = cls(base=base, psi=psi, method=last.get("method") or CATALOG)
        regions = [*last.get("regions", ()), *([LAYOUT] if last.get("layout") else [])]
        for source in zip(regions, rest, last.get("strengths", ()), strict=True):
            mix = mix.with_source(Source(*source))
        return mix


@dataclass(frozen=True)
class Session:
    """What one person sees: the mix, the gallery to pick from, what a pick goes to, and the way back.

    Attributes:
        mix: what is shown.
        gallery: seeds on offer, newest first.
        active: the region that the next pick goes to, or `BASE`.
        past, future: mixes for undo (latest last) and redo (next first).
        gesture: name of the slider being moved, so that one drag is one step back; None after anything else.
    """

    mix: Mix
    gallery: tuple[int, ...]
    active: str = BASE
    past: tuple[Mix, ...] = ()
    future: tuple[Mix, ...] = ()
    gesture: str | None = None

    # Choosing ---------------------------------------------------------------------------------------------------------

    def choose(self, target: str) -> "Session":
        """Let the next pick go to a region or to `BASE`."""
        return replace(self, active=target, gesture=None)

    def pick(self, seed: int) -> "Session":
        """Make a portrait the source of the active region, or the base."""
        if self.active == BASE:
            return self._changed(replace(self.mix, base=seed))
        before = self.mix.source(self.active)
        return self._changed(self.mix.with_source(Source(self.active, seed, before.strength if before else 1.0)))

    def clear(self, region: str) -> "Session":
        """Let the base show in a region again."""
        return self._changed(self.mix.without(region))

    def reset(self) -> "Session":
        """Let the base show everywhere."""
        return self._changed(replace(self.mix, sources=()))

    def restore(self, mix: Mix) -> "Session":
        """Go on from a mix that was saved."""
        return self._changed(mix)._offer(mix.seeds)

    def randomise(self, regions: Sequence[str], draw: random.Random) -> "Session":
        """Give every region a source from the gallery, by chance; the pose stays the base's."""
        sources = tuple(sorted(Source(region, draw.choice(self.gallery)) for region in regions))
        return self._changed(replace(self.mix, sources=sources))

    def set_method(self, method: str) -> "Session":
        """Mix the same choices another way."""
        return self._changed(replace(self.mix, method=method))

    # Sliders ----------------------------------------------------------------------------------------------------------

    def set_strength(self, strength: float) -> "Session":
        """Move the active region towards its source; nothing happens if it has none."""
        source = self.mix.source(self.active)
        if source is None:
            return self
        return self._changed(self.mix.with_source(source._replace(strength=strength)), f"strength of {self.active}")

    def set_overall(self, strength: float) -> "Session":
        """Move all that has a source at once."""
        return self._changed(replace(self.mix, strength=strength), "strength of everything")

    def set_psi(self, psi: float) -> "Session":
        """Set how varied the portraits are."""
        return self._changed(replace(self.mix, psi=psi), "psi")

    # The gallery ------------------------------------------------------------------------------------------------------

    def add(self, seed: Any) -> "Session":
        """Offer the portrait of a seed.

        Raises:
            InputError: unless the seed is a whole number in range.
        """
        return self._offer([check_seed(seed)])

    def surprise(self, count: int, draw: random.Random) -> "Session":
        """Offer portraits that were not there before."""
        fresh: list[int] = []
        while len(fresh) < count:
            seed = draw.randrange(SURPRISE_SEEDS)
            if seed not in self.gallery and seed not in fresh:
                fresh.append(seed)
        return self._offer(fresh)

    def _offer(self, seeds: Sequence[int]) -> "Session":
        return replace(self, gallery=tuple(dict.fromkeys((*seeds, *self.gallery)))[:GALLERY_LIMIT], gesture=None)

    # Back and forth ---------------------------------------------------------------------------------------------------

    def undo(self) -> "Session":
        """Go back one change."""
        if not self.past:
            return self
        *past, mix = self.past
        return self._showing(mix, tuple(past), (self.mix, *self.future))

    def redo(self) -> "Session":
        """Go forward one change that was undone."""
        if not self.future:
            return self
        mix, *future = self.future
        return self._showing(mix, (*self.past, self.mix), tuple(future))

    def _changed(self, mix: Mix, gesture: str | None = None) -> "Session":
        if mix == self.mix:
            return replace(self, gesture=gesture)
        same_gesture = gesture is not None and gesture == self.gesture
        past = self.past if same_gesture else (*self.past, self.mix)[-HISTORY_LIMIT:]
        return self._showing(mix, past, (), gesture)

    def _showing(
        self, mix: Mix, past: tuple[Mix, ...], future: tuple[Mix, ...], gesture: str | None = None
    ) -> "Session":
        lost = self.active == LAYOUT and mix.method != FUSION
        active = BASE if lost else self.active
        return replace(self, mix=mix, active=active, past=past, future=future, gesture=gesture)
