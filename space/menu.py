"""What there is to choose from: the regions of a model, which are part of which, and the colour of each."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sfhub.errors import InputError
from sfhub.pipelines.recipe import CATALOG, FUSION
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
        groups: nodes of the hierarchy that stand for several of them, the whole picture left out.
        parts: by region, those of the catalog that it covers.
        above: by region, the groups that it is part of, nearest first.
        colours: by single region, as the map of regions has it.
        fusion: whether the model has a hierarchy.
    """

    single: tuple[str, ...]
    groups: tuple[str, ...] = ()
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    above: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    colours: Mapping[str, str] = field(default_factory=dict)
    fusion: bool = False

    @classmethod
    def of(cls, pipe: StyleGANPipeline) -> "Menu":
        """What a pipeline with a region catalog offers."""
        parts = {region: _parts(pipe, region) for region in pipe.regions}
        index = {region: pipe.catalog.regions.index(covered[0]) for region, covered in parts.items() if covered}
        colours = {region: hex_colour(colour_of(place)) for region, place in index.items()}
        if pipe.fusion is None:
            return cls(pipe.regions, parts=parts, colours=colours)
        tree = pipe.fusion.tree
        groups = tuple(region for region in pipe.regions if region in pipe.fusion.nets and region != tree.root)
        single = tuple(region for region in pipe.regions if region not in pipe.fusion.nets)
        above = {
            region: tuple(group for group in reversed(groups) if region in tree.subtree(group)[1:])
            for region in (*single, *groups)
        }
        return cls(single, groups, parts, above, colours, fusion=True)

    @property
    def method(self) -> str:
        """How regions are mixed unless somebody chooses."""
        return FUSION if self.fusion else CATALOG

    @property
    def region_of(self) -> dict[str, str]:
        """By region of the catalog the single region that covers it."""
        return {part: region for region in self.single for part in self.parts.get(region, ())}

    def colour(self, region: str) -> str:
        """The colour of anything that can be chosen."""
        return self.colours.get(region, NEUTRAL) if region in self.single else NEUTRAL

    def within(self, group: str) -> tuple[str, ...]:
        """The single regions that are part of a group."""
        return tuple(region for region in self.single if group in self.above.get(region, ()))


def _parts(pipe: StyleGANPipeline, region: str) -> tuple[str, ...]:
    try:
        return pipe.parts(region)
    except InputError:  # a node that the catalog has no region for
        return ()
