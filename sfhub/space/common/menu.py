"""What there is to choose from: the regions of a model, which are part of which, and the colour of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from sfhub.errors import InputError
from sfhub.pipelines.generator import GeneratorPipeline
from sfhub.pipelines.sample import Segmentation
from sfhub.space.common.pictures import colour_of, hex_colour
from sfhub.steps.mix import MixStep
from sfhub.steps.mix_by_catalog import MixByCatalog

__all__ = ["NEUTRAL", "Menu"]

NEUTRAL = "var(--neutral-500)"
"""Colour of what the map of regions does not show, such as several regions together."""


@dataclass(frozen=True)
class Menu:
    """The regions of one model.

    Attributes:
        single: regions that no other is part of.
        groups: regions that stand for several of them, the whole picture left out.
        labels: by region, the labels of a segmentation that it covers.
        above: by region, the groups that it is part of, nearest first.
        colours: by single region, as the map of regions has it.
        ways: of mixing, the best first.
    """

    single: tuple[str, ...]
    groups: tuple[str, ...] = ()
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    above: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    colours: Mapping[str, str] = field(default_factory=dict)
    ways: tuple[type[MixStep], ...] = (MixByCatalog,)

    @classmethod
    def of(cls, pipe: GeneratorPipeline) -> "Menu":
        """What a pipeline with regions offers."""
        names = pipe.region_names
        labels = {region: _labels(pipe, region) for region in names.regions}
        above = {region: names.groups_of(region) for region in (*names.single, *names.groups)}
        shown = list(dict.fromkeys(_merged(names.labels, labels, names.single).values()))
        colours = {region: hex_colour(colour_of(shown.index(region))) for region in names.single if region in shown}
        return cls(names.single, names.groups, labels, above, colours, pipe.mix_types)

    @property
    def method(self) -> str:
        """How regions are mixed unless somebody chooses."""
        return self.ways[0].NAME

    @property
    def regions(self) -> tuple[str, ...]:
        """All that can be given a source, single regions first."""
        return (*self.single, *self.groups)

    @property
    def region_of(self) -> dict[str, str]:
        """By label of a segmentation the single region that covers it."""
        return {label: region for region in self.single for label in self.labels.get(region, ())}

    def colour(self, region: str) -> str:
        """The colour of anything that can be chosen."""
        return self.colours.get(region, NEUTRAL) if region in self.single else NEUTRAL

    def within(self, group: str) -> tuple[str, ...]:
        """The single regions that are part of a group."""
        return tuple(region for region in self.single if group in self.above.get(region, ()))

    def shown(self, segmentation: Segmentation) -> Segmentation:
        """A segmentation by the single regions of the menu; labels that no region covers keep their names."""
        merged = _merged(segmentation.regions, self.labels, self.single)
        names = tuple(dict.fromkeys(merged.values()))
        index = np.array([names.index(region) for region in merged.values()])
        return Segmentation(index[segmentation.labels], names)


def _merged(names: Sequence[str], labels: Mapping[str, Sequence[str]], single: Sequence[str]) -> dict[str, str]:
    """Label of a segmentation -> the single region that covers it, or itself; in the order of `names`."""
    region_of = {label: region for region in single for label in labels.get(region, ())}
    return {name: region_of.get(name, name) for name in names}


def _labels(pipe: GeneratorPipeline, region: str) -> tuple[str, ...]:
    try:
        return pipe.covered_by(region)
    except InputError:  # a node that the catalog has no region for
        return ()
