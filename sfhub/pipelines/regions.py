"""What the name of a region means to a fusion hierarchy and to a region catalog.

A catalog has a flat list of regions, a hierarchy the nodes of a tree, and they need not use the same words: the leaf
"skin" of the portraits is the catalog's "face", whereas the tree's "face" also holds eyes and mouth. So that a name
means one thing whatever method mixes, a node of the tree is that node for both, and a name that only the catalog has
stands for the leaf that covers it.
"""

import difflib
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from sfhub.editing.transfer import interpolate_styles
from sfhub.errors import InputError
from sfhub.models.fusion import FusionHierarchy
from sfhub.pipelines.recipe import CATALOG, FUSION
from sfhub.regions.catalog import METHODS, RegionCatalog
from sfhub.regions.tree import RegionTree

__all__ = ["RegionNames", "node_codes", "unknown_region"]


class RegionNames:
    """The regions of a model, by the names that users give them.

    Args:
        catalog: of Editing in Style, if the model has one.
        fusion: of StyleFusion, if the model has one.

    Attributes:
        regions: names to offer: the catalog's, or with a hierarchy its nodes, those of single regions first. A node
            below one without a network cannot be reached and is left out.
    """

    def __init__(self, catalog: RegionCatalog | None, fusion: FusionHierarchy | None):
        self._catalog = () if catalog is None else tuple(catalog.regions)
        self._tree = None if fusion is None else fusion.tree
        self._nodes = () if fusion is None else _reached(fusion)
        single = [node for node in self._nodes if node not in fusion.nets]
        self.regions = self._catalog if fusion is None else (*single, *(n for n in self._nodes if n not in single))

    def method(self, name: str | None) -> str:
        """The method to mix with: `name`, or by default the hierarchy where there is one.

        Raises:
            InputError: for an unknown method, or one whose component the model lacks.
        """
        name = name or (FUSION if self._tree is not None else CATALOG)
        if name not in (*METHODS, CATALOG, FUSION):
            raise InputError(f"There is no method {name!r}; choose one of {', '.join((*METHODS, CATALOG, FUSION))}.")
        if name == FUSION and self._tree is None:
            raise InputError(
                "This model has no fusion hierarchy, which method 'fusion' takes; train one with "
                "scripts/train_fusionnet.py, or choose another method."
            )
        if name != FUSION and not self._catalog:
            raise InputError(
                "Nothing can be mixed this way, for this model has no region catalog; "
                "build one with sfhub.regions.build and add it to the pipeline."
            )
        return name

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
                f"Region {name!r} cannot be fused by itself, for a node above it has no network; "
                f"choose from {', '.join(self.regions)}."
            )
        return found

    def parts(self, name: str) -> tuple[str, ...]:
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
            raise InputError(f"Region {name!r} is not in this model's catalog, which has {', '.join(self._catalog)}.")
        return found

    def owners(self, names: Sequence[str]) -> dict[str, str]:
        """Which of `names` each region of the catalog follows: of those that cover it the innermost.

        Raises:
            InputError: as `parts`.
        """
        found: dict[str, str] = {}
        for name in sorted(names, key=self._depth):
            found |= dict.fromkeys(self.parts(name), name)
        return found

    def _depth(self, name: str) -> int:
        nodes = () if self._tree is None else self._tree.nodes
        return nodes.index(name) if name in nodes else len(nodes)

    def _unknown(self, name: str) -> InputError:
        return unknown_region(name, self.regions)


def unknown_region(name: str, regions: Sequence[str]) -> InputError:
    """The error for a name that is none of the regions of a model."""
    close = difflib.get_close_matches(str(name), regions, n=1)
    hint = f"did you mean {close[0]!r}? It" if close else "it"
    return InputError(f"There is no region {name!r} in this model: {hint} has {', '.join(regions)}.")


def _reached(fusion: FusionHierarchy) -> tuple[str, ...]:
    """Nodes whose code has an effect: those that only nodes with a network lie above."""
    ends = [node for node in fusion.tree.inner if node not in fusion.nets]
    cut = {below for node in ends for below in fusion.tree.subtree(node)[1:]}
    return tuple(node for node in fusion.tree.nodes if node not in cut)


def node_codes(
    tree: RegionTree, base: Tensor, sources: Mapping[str, tuple[Tensor, float]], layout: tuple[Tensor, float] | None
) -> dict[str, Tensor]:
    """The code of every node of a hierarchy, for sources of some strength.

    A source of strength t goes that far from what its node has without it, which is the base or the source of a node
    above; so strength 0 is leaving it out, and in between the networks see one plausible code per region. Blending the
    fused results instead would need an order of the regions, as each result depends on the codes of all.

    Args:
        tree: of the hierarchy.
        base: code of everything that has no source, `[B, S]`.
        sources: by node its code `[B, S]` and strength in [0, 1]; covers the subtree until overridden.
        layout: code and strength of the layout of the whole picture, towards which all inner nodes go; leaves keep
            their look.

    Returns:
        One entry per node, `[B, S]`; the very tensor of the base where nothing changes it.
    """
    codes = tree.spread({tree.root: base})
    for node in tree.nodes:  # parents come first
        if node in sources:
            codes |= dict.fromkeys(tree.subtree(node), _towards(codes[node], *sources[node]))
    if layout is not None:
        codes |= {node: _towards(codes[node], *layout) for node in tree.inner}
    return codes


def _towards(code: Tensor, source: Tensor, strength: float) -> Tensor:
    # The ends are exact, and where nothing changes the hierarchy recognises the tensor and saves its networks.
    if strength in (0, 1):
        return source if strength else code
    return interpolate_styles(code, source, torch.ones_like(code[0]), strength)
