"""From what a visitor chose on the tab *Mix regions* to pictures, and back from a recipe."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from sfhub.errors import InputError
from sfhub.pipelines.sample import Sample, Segmentation
from sfhub.space.common.accelerator import on_accelerator
from sfhub.space.common.cache import Cache
from sfhub.space.common.cached_model import CachedModel
from sfhub.space.common.picture_ref import PictureRef
from sfhub.space.mix_regions.state import BOTH, POSE, SHAPE, TEXTURE, Mix
from sfhub.steps.recipe import read_steps

__all__ = ["Comparison", "Mixer"]


@dataclass(frozen=True, eq=False)
class Comparison:
    """A mix beside its base.

    Attributes:
        base, result: the two pictures; the same one if no region has a source.
        segmentation: which region each pixel of the result belongs to, by the names that the page has for them.
        changed: boolean `[H, W]`, the regions with a source, where the base or the result has them; everything if the
            layout has one.
        difference: CIELAB distance per pixel, float32 `[H, W]`.
    """

    base: Sample
    result: Sample
    segmentation: Segmentation
    changed: np.ndarray
    difference: np.ndarray

    @cached_property
    def inside(self) -> float | None:
        """Mean difference within the changed regions, None if there is no such place."""
        return float(self.difference[self.changed].mean()) if self.changed.any() else None

    @cached_property
    def outside(self) -> float | None:
        """Mean difference elsewhere, None if there is no such place."""
        return float(self.difference[~self.changed].mean()) if not self.changed.all() else None


class Mixer:
    """Mixes of one model, computed once each while memory lasts."""

    def __init__(self, model: CachedModel):
        self.model, self.pipe = model, model.pipe
        self._compare = on_accelerator(self._compute_comparison)
        self._comparisons = Cache(model.capacity(80))

    def compare(self, mix: Mix) -> Comparison:
        """A mix beside its base.

        Raises:
            InputError: as `mix` of the pipeline.
        """
        found = self._comparisons.get(mix)
        if found is not None:
            return found
        samples = dict(zip(mix.pictures, self.model.samples(mix.pictures, mix.psi), strict=True))
        return self._comparisons.put(mix, self._compare(mix, samples))

    def laid_out(self, recipe: Mapping[str, Any]) -> Mix:
        """The mix that a checked recipe describes.

        Raises:
            InputError: if it is of another model, or no mix as this page makes them.
        """
        self.model.check_model(recipe)
        mix = replace(Mix.from_steps(read_steps(recipe)), model=self.model.name)
        return self._as_offered(mix) if mix.sources else replace(mix, method=self.model.menu.method)

    def _as_offered(self, mix: Mix) -> Mix:
        """A mix by the regions on the menu, where a recipe of Editing in Style has those of the catalog."""
        menu = self.model.menu
        if mix.way.TAKES_LAYOUT:
            known = {*menu.regions, POSE} >= {source.region for source in mix.sources}
        else:
            given = [source.region for source in mix.sources]
            renamed = {source._replace(region=menu.region_of.get(source.region, "")) for source in mix.sources}
            mix = replace(mix, sources=tuple(sorted(renamed)))
            covered = [label for source in mix.sources for label in menu.labels.get(source.region, ())]
            known = sorted(covered) == sorted(given)
        if not known:
            raise InputError(
                "This picture mixes regions that the page does not offer one by one; make it again with `sfhub redo`."
            )
        return mix

    def _compute_comparison(self, mix: Mix, samples: Mapping[PictureRef, Sample]) -> Comparison:
        base = samples[mix.base]
        result = self._mixed(mix, samples) if mix.used else base
        before, after = self.pipe.segment([base, result])
        changed = np.full_like(after.labels, any(source.region == POSE for source in mix.used), dtype=bool)
        menu = self.model.menu
        for label in {label for source in mix.used for label in menu.labels.get(source.region, ())}:
            changed |= before.mask(label) | after.mask(label)
        difference = self.pipe.difference(base, result)
        return Comparison(base, result.on_cpu(), menu.shown(after), changed, difference)

    def _mixed(self, mix: Mix, samples: Mapping[PictureRef, Sample]) -> Sample:
        def pictures(part: str) -> dict[str, Sample]:
            return {source.region: samples[source.picture] for source in mix.used if source.part == part}

        given = pictures(BOTH)
        strengths = {source.region: source.strength * mix.strength for source in mix.used}
        options = {"layout": given.pop(POSE, None), "layout_strength": strengths.pop(POSE, None)}
        if mix.way.TAKES_PARTS:
            options |= {SHAPE: pictures(SHAPE), TEXTURE: pictures(TEXTURE)}
        else:
            options |= {"method": mix.method}
        return self.pipe.mix(samples[mix.base], given, strengths, **options)
