"""Mixing by a fusion hierarchy (*StyleFusion*, Kafri et al., ACM TOG 2022), with a strength for every source."""

from collections.abc import Mapping

import torch
from torch import Tensor

from sfhub.editing.transfer import interpolate_styles
from sfhub.models.fusion import FusionHierarchy
from sfhub.models.region_tree import RegionTree

__all__ = ["fuse", "node_codes"]

Source = tuple[Tensor, float]
"""Code `[B, S]` and strength in [0, 1]."""


def fuse(
    hierarchy: FusionHierarchy, base: Tensor, sources: Mapping[str, Source], layout: Source | None = None
) -> Tensor:
    """The code `[B, S]` that the hierarchy makes of a base and of sources for some of its nodes; see `node_codes`.

    Raises:
        InputError: for a node that is not in the tree, or codes of another generator.
    """
    return hierarchy(node_codes(hierarchy.tree, base, sources, layout))


def node_codes(
    tree: RegionTree, base: Tensor, sources: Mapping[str, Source], layout: Source | None
) -> dict[str, Tensor]:
    """The code of every node of a hierarchy, for sources of some strength.

    A source of strength t goes that far from what its node has without it, which is the base or the source of a node
    above; so strength 0 is leaving it out, and in between the networks see one plausible code per region. Blending the
    fused results instead would need an order of the regions, as each result depends on the codes of all.

    Args:
        tree: of the hierarchy.
        base: code of everything that has no source, `[B, S]`.
        sources: by node its code and strength; covers the subtree until overridden.
        layout: code and strength of the layout of the whole picture, towards which all inner nodes go; leaves keep
            their look.

    Returns:
        One entry per node, `[B, S]`; the very tensor of the base where nothing changes it.

    Raises:
        InputError: for a node that is not in the tree.
    """
    tree.check(sources)
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
