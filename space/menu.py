"""What there is to choose from: the regions of a model, which are part of which, and the colour of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from sfhub.errors import InputError
from sfhub.pipelines.generator import GeneratorPipeline
from sfhub.pipelines.recipe import CATALOG, FUSION, SEMANTIC
from sfhub.pipelines.sample import Segmentation
from sfhub.pipelines.semantic_stylegan import SemanticStyleGANPipeline
from sfhub.pipelines.stylegan import StyleGANPipeline
from space.pictures import colour_of, hex_colour

__all__ = ["NEUTRAL", "Menu"]

NEUTRAL = "var(--neutral-500)"
"""Colour of what the map of regions does not show, several of them together for instance."""


@dataclass(frozen=True)
class Menu:
    """The regions of one model.

    Attributes:
        single: regions that no other is part of.
        groups: regions that stand for several of them, the whole picture left out.
        parts: by region, what of the labels that `segment` gives it covers.
        above: by region, the groups that it is part of, nearest first.
        colours: by single region, as the map of regions has it.
        methods: ways to mix, the best first.
    """

    single: tuple[str, ...]
    groups: tuple[str, ...] = ()
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    above: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    colours: Mapping[str, str] = field(default_factory=dict)
    methods: tuple[str, ...] = (CATALOG,)

    @classmethod
    def of(cls, pipe: GeneratorPipeline) -> "Menu":
        """What a pipeline with regions offers."""
        return _of_classes(pipe) if isinstance(pipe, SemanticStyleGANPipeline) else _of_catalog(pipe)

    @property
    def method(self) -> str:
        """How regions are mixed unless somebody chooses."""
        return self.methods[0]

    @property
    def regions(self) -> tuple[str, ...]:
        """All that can be given a source, single regions first."""
        return (*self.single, *self.groups)

    @property
    def region_of(self) -> dict[str, str]:
        """By label of a segmentation the single region that covers it."""
        return {part: region for region in self.single for part in self.parts.get(region, ())}

    def colour(self, region: str) -> str:
        """The colour of anything that can be chosen."""
        return self.colours.get(region, NEUTRAL) if region in self.single else NEUTRAL

    def within(self, group: str) -> tuple[str, ...]:
        """The single regions that are part of a group."""
        return tuple(region for region in self.single if group in self.above.get(region, ()))

    def shown(self, segmentation: Segmentation) -> Segmentation:
        """A segmentation by the single regions of the menu; labels that no region covers keep their names."""
        merged = _merged(segmentation.regions, self.parts, self.single)
        names = tuple(dict.fromkeys(merged.values()))
        index = np.array([names.index(region) for region in merged.values()])
        return Segmentation(index[segmentation.labels], names)


def _merged(labels: Sequence[str], parts: Mapping[str, Sequence[str]], single: Sequence[str]) -> dict[str, str]:
    """Label of a segmentation -> the single region that covers it, or itself; in the order of the labels."""
    region_of = {part: region for region in single for part in parts.get(region, ())}
    return {label: region_of.get(label, label) for label in labels}


def _colours(labels: Sequence[str], parts: Mapping[str, Sequence[str]], single: Sequence[str]) -> dict[str, str]:
    """Those that the map of regions has."""
    shown = list(dict.fromkeys(_merged(labels, parts, single).values()))
    return {region: hex_colour(colour_of(shown.index(region))) for region in single if region in shown}


def _of_catalog(pipe: StyleGANPipeline) -> Menu:
    parts = {region: _parts(pipe, region) for region in pipe.regions}
    labels = pipe.catalog.regions
    if pipe.fusion is None:
        return Menu(pipe.regions, parts=parts, colours=_colours(labels, parts, pipe.regions))
    tree = pipe.fusion.tree
    groups = tuple(region for region in pipe.regions if region in pipe.fusion.nets and region != tree.root)
    single = tuple(region for region in pipe.regions if region not in pipe.fusion.nets)
    above = {
        region: tuple(group for group in reversed(groups) if region in tree.subtree(group)[1:])
        for region in (*single, *groups)
    }
    return Menu(single, groups, parts, above, _colours(labels, parts, single), (FUSION, CATALOG))


def _parts(pipe: StyleGANPipeline, region: str) -> tuple[str, ...]:
    try:
        return pipe.parts(region)
    except InputError:  # a node that the catalog has no region for
        return ()


def _of_classes(pipe: SemanticStyleGANPipeline) -> Menu:
    parts = {region: pipe.parts(region) for region in pipe.regions}
    return Menu(
        pipe.regions, parts=parts, colours=_colours(pipe.classes, parts, pipe.regions), methods=(SEMANTIC,)
    )
