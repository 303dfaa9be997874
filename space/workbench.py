"""From choices to pictures, with everything remembered that a change leaves as it was.

A `Workbench` wraps a pipeline for many visitors at once. What it remembers is keyed by seeds and strengths alone, never
by visitor, so it holds no state of theirs, and two people who look at the same portrait share it.
"""

import threading
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from sfhub.errors import InputError
from sfhub.pipelines.generator import GeneratorPipeline
from sfhub.pipelines.recipe import SEMANTIC, read_recipe
from sfhub.pipelines.sample import Sample, Segmentation
from space.accelerator import on_accelerator
from space.menu import Menu
from space.mixing import BOTH, LAYOUT, POSING, SHAPE, TEXTURE, Mix, Source

__all__ = ["MEMORY_BYTES", "Comparison", "Memory", "Workbench", "at_rest"]

MEMORY_BYTES = 128 * 2**20


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


class Workbench:
    """Samples and mixes of one pipeline, computed once each while memory lasts.

    Args:
        pipe: with regions; its progress bars are turned off.

    Attributes:
        name: of the model.
        menu: what there is to choose from.
    """

    def __init__(self, pipe: GeneratorPipeline):
        self.pipe = pipe
        self.name = pipe.model_record["name"]
        self.menu = Menu.of(pipe)
        # Progress bars would fill a server's log; the page shows its own.
        pipe.set_progress_bar_config(disable=True)
        self._generate = on_accelerator(self._generate_missing)
        self._compare = on_accelerator(self._compute_comparison)
        self._remake = on_accelerator(self._compute_remake)
        self._compose = on_accelerator(self._compute_composition)
        # A code, a picture and two maps: about ten bytes per pixel.
        capacity = max(32, MEMORY_BYTES // (10 * pipe.generator.config.resolution**2))
        self._samples = Memory(capacity)
        self._comparisons = Memory(capacity // 8)

    @property
    def regions(self) -> tuple[str, ...]:
        """Names of the regions that can be given a source, single ones first."""
        return self.menu.regions

    def samples(self, seeds: Sequence[int], psi: float) -> list[Sample]:
        """The portraits of some seeds, in their order.

        Raises:
            InputError: as `sample` of the pipeline.
        """
        known = {seed: self._samples.get((seed, psi)) for seed in seeds}
        missing = [seed for seed, sample in known.items() if sample is None]
        if missing:
            for seed, sample in zip(missing, self._generate(missing, psi), strict=True):
                known[seed] = self._samples.put((seed, psi), sample)
        return [known[seed] for seed in seeds]

    def compare(self, mix: Mix) -> Comparison:
        """A mix beside its base.

        Raises:
            InputError: as `mix` of the pipeline.
        """
        found = self._comparisons.get(mix)
        if found is not None:
            return found
        samples = dict(zip(mix.seeds, self.samples(mix.seeds, mix.psi), strict=True))
        return self._comparisons.put(mix, self._compare(mix, samples))

    def read_mix(self, path: str) -> Mix:
        """The mix in a picture that was saved with its recipe.

        Raises:
            InputError: if the file has no recipe, it is of another model, or no mix as this page makes them.
        """
        recipe = read_recipe(path)
        self.check_model(recipe)
        mix = Mix.from_recipe(recipe)
        return self._as_offered(mix) if mix.sources else replace(mix, method=self.menu.method)

    def _as_offered(self, mix: Mix) -> Mix:
        """A mix by the regions on the menu, where a recipe of Editing in Style has those of the catalog."""
        if mix.method in POSING:
            known = {*self.regions, LAYOUT} >= {source.region for source in mix.sources}
        else:
            region_of, given = self.menu.region_of, [source.region for source in mix.sources]
            renamed = {source._replace(region=region_of.get(source.region, "")) for source in mix.sources}
            mix = replace(mix, sources=tuple(sorted(renamed)))
            parts = [part for source in mix.sources for part in self.menu.parts.get(source.region, ())]
            known = sorted(parts) == sorted(given)
        if not known:
            raise InputError(
                "This picture mixes regions that the page does not offer one by one; make it again with `sfhub redo`."
            )
        return mix

    def compose(self, base: Sample, **options: Any) -> Sample:
        """A portrait of a SemanticStyleGAN with components left out, moved, scaled, or before another background.

        Args:
            base: the portrait.
            **options: for `SemanticStyleGANPipeline.compose`.

        Raises:
            InputError: as that.
        """
        return self._compose(base, options)

    def remake(self, path: str) -> Sample:
        """The picture that a saved picture's recipe describes, made again.

        Raises:
            InputError: if the file has no recipe, or it is of another model.
        """
        recipe = read_recipe(path)
        self.check_model(recipe)
        return self._remake(recipe)

    def check_model(self, recipe: Mapping[str, Any]) -> None:
        """Refuse the recipe of another model; a page must not fetch models that its visitors name.

        Raises:
            InputError: naming both models.
        """
        theirs, ours = recipe["model"], self.pipe.model_record
        if theirs["revision"] != ours["revision"]:
            raise InputError(
                f"This picture was made with the model {theirs['name']} ({theirs['revision']}), but this page runs "
                f"{ours['name']} ({ours['revision']}); make it again with `sfhub redo`."
            )

    def _generate_missing(self, seeds: list[int], psi: float) -> list[Sample]:
        return [at_rest(sample) for sample in self.pipe.sample(seeds, truncation_psi=psi)]

    def _compute_remake(self, recipe: Mapping[str, Any]) -> Sample:
        return at_rest(self.pipe.remake(recipe))

    def _compute_composition(self, base: Sample, options: Mapping[str, Any]) -> Sample:
        return at_rest(self.pipe.compose(base, **options))

    def _compute_comparison(self, mix: Mix, samples: dict[int, Sample]) -> Comparison:
        samples = {seed: replace(sample, s=sample.s.to(self.pipe.device)) for seed, sample in samples.items()}
        base = samples[mix.base]
        result = self._mixed(mix, samples) if mix.used else base
        before, after = self.pipe.segment([base, result])
        changed = np.full_like(after.labels, any(source.region == LAYOUT for source in mix.used), dtype=bool)
        for part in {part for source in mix.used for part in self.menu.parts.get(source.region, ())}:
            changed |= before.mask(part) | after.mask(part)
        difference = self.pipe.difference(base, result)
        return Comparison(at_rest(base), at_rest(result), self.menu.shown(after), changed, difference)

    def _mixed(self, mix: Mix, samples: Mapping[int, Sample]) -> Sample:
        def pictures(part: str) -> dict[str, Sample]:
            return {source.region: samples[source.seed] for source in mix.used if source.part == part}

        given = pictures(BOTH)
        strengths = {_name(source): source.strength * mix.strength for source in mix.used}
        options = {"layout": given.pop(LAYOUT, None)}
        if mix.method == SEMANTIC:
            options |= {SHAPE: pictures(SHAPE), TEXTURE: pictures(TEXTURE)}
        else:
            options |= {"method": mix.method}
        return self.pipe.mix(samples[mix.base], given, strengths, **options)


def _name(source: Source) -> str:
    """What the pipelines call the region of a source where they take strengths."""
    return "layout" if source.region == LAYOUT else source.region


def at_rest(sample: Sample) -> Sample:
    """With the code on the CPU: what was made on an accelerator may outlive the process that had it."""
    return replace(sample, s=sample.s.cpu())


class Memory:
    """A dictionary that forgets what was used longest ago; safe to share between threads."""

    def __init__(self, capacity: int):
        self._capacity = capacity
        self._values: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Any:
        """What was put under `key`, or None."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: Hashable, value: Any) -> Any:
        """Remember `value` and return it."""
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            while len(self._values) > self._capacity:
                self._values.popitem(last=False)
        return value
