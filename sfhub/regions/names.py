"""What the name of a region means to a fusion hierarchy and to a region catalog.

A catalog has a flat list of regions, a hierarchy the nodes of a tree, and they need not use the same words: the leaf
"skin" of the portraits is the catalog's "face", whereas the tree's "face" also holds eyes and mouth. So that a name
means one thing whatever method mixes, a node of the tree is that node for both, and a name that only the catalog has
stands for the leaf that covers it.
"""

import difflib
from collections.abc import Sequence

from sfhub.errors import InputError, clipped, short
from sfhub.models.fusion import FusionHierarchy
from sfhub.regions.catalog import RegionCatalog

__all__ = ["RegionNames", "unknown_region"]


class RegionNames:
    """The regions of a model, by the names that users give them.

    Args:
        catalog: of Editing in Style, if the model has one.
        fusion: of StyleFusion, if the model has one.

    Attributes:
        regions: names to offer: the catalog's, or with a hierarchy its nodes, those of single regions first. A node
            below one without a network cannot be reached and is left out.
        single: those that no other is part of.
        groups: those that others are part of, the whole picture left out.
        labels: names by which the catalog labels pixels.
    """

    def __init__(self, catalog: RegionCatalog | None, fusion: FusionHierarchy | None):
        self._catalog = () if catalog is None else tuple(catalog.regions)
        self._tree = None if fusion is None else fusion.tree
        self._nodes = () if fusion is None else fusion.active_nodes
        self.labels = self._catalog
        self.single, self.groups, inner = self._catalog, (), ()
        if fusion is not None:
            self.single = tuple(node for node in self._nodes if node not in fusion.nets)
            inner = tuple(node for node in self._nodes if node in fusion.nets)
            self.groups = tuple(node for node in inner if node != fusion.tree.root)
        self.regions = (*self.single, *inner)

    def groups_of(self, name: str) -> tuple[str, ...]:
        """The groups that a region is part of, the innermost first."""
        return tuple(group for group in reversed(self.groups) if name in self._tree.subtree(group)[1:])

    def node(self, name: str) -> str:
        """The node of the hierarchy that a name stands for.

        Raises:
            InputError: for an unknown name, or a node that no network reaches.
        """
        covering = [leaf for leaf in self._tree.leaves if name in self._tree.regions_of(leaf)]
        found = name if name in self._tree.nodes else covering[0] if covering else None
        if found is None:
            raise self._unknown(name)
        if found not in self._nodes:
            raise InputError(
                f"Region {short(name)} cannot be fused by itself, for a node above it has no network; "
                f"choose from {', '.join(self.regions)}."
            )
        return found

    def covered_by(self, name: str) -> tuple[str, ...]:
        """The regions of the catalog that a name covers.

        Raises:
            InputError: for an unknown name, or one that the catalog has no region for.
        """
        if self._tree is None or name not in self._tree.nodes:
            if name not in self._catalog:
                raise self._unknown(name)
            return (name,)
        found = tuple(region for region in self._tree.regions_of(name) if region in self._catalog)
        if not found:
            raise InputError(
                f"Region {short(name)} is not in this model's catalog, which has {', '.join(self._catalog)}."
            )
        return found

    def owners(self, names: Sequence[str]) -> dict[str, str]:
        """Which of `names` each region of the catalog follows: of those that cover it the innermost.

        Raises:
            InputError: as `covered_by`.
        """
        found: dict[str, str] = {}
        for name in sorted(names, key=self._depth):
            found |= dict.fromkeys(self.covered_by(name), name)
        return found

    def _depth(self, name: str) -> int:
        nodes = () if self._tree is None else self._tree.nodes
        return nodes.index(name) if name in nodes else len(nodes)

    def _unknown(self, name: str) -> InputError:
        return unknown_region(name, self.regions)


def unknown_region(name: str, regions: Sequence[str]) -> InputError:
    """The error for a name that is none of the regions of a model."""
    close = difflib.get_close_matches(clipped(str(name)), regions, n=1)
    hint = f"did you mean {short(close[0])}? It" if close else "it"
    return InputError(f"There is no region {short(name)} in this model: {hint} has {', '.join(regions)}.")
