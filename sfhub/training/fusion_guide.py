"""What StyleFusion's training is told about the generator's channels before it starts.

Which regions each node of the tree joins, which channels the layout needs, which region claims each of the others, and
from these how much each channel is bound to a node's two regions (equation 8 of Kafri et al., ACM TOG 2022).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sfhub.errors import InputError
from sfhub.models.region_tree import RegionTree
from sfhub.models.style_space import StyleGenerator
from sfhub.regions.attribute_query import LAYOUT, attribute_query
from sfhub.regions.catalog import RegionCatalog
from sfhub.regions.channel_owners import assign_channels
from sfhub.training.checkpoint import read_checkpoint, write_checkpoint
from sfhub.training.fusion_losses import channel_weights
from sfhub.training.fusion_settings import GUIDE, RELEVANCES, FusionTraining

__all__ = ["find_guide", "node_weights", "region_members"]

UNCLAIMED = 0.1
"""How much influence counts beside the claims of a guide."""


def region_members(catalog: RegionCatalog, tree: RegionTree) -> dict[str, Tensor]:
    """For every inner node, which of the catalog's regions make up its two, 0 or 1, `[2, R]`.

    Raises:
        InputError: if the tree names a region that the catalog does not have, or one twice.
    """
    names = tree.regions_of(tree.root)
    for name in names:
        if name not in catalog.regions or names.count(name) > 1:
            fault = "twice" if name in catalog.regions else "which the catalog does not have"
            raise InputError(
                f"The tree stands for region {name!r} {fault}; the regions of the catalog are "
                f"{', '.join(catalog.regions)}, and a leaf of another name says so under the tree's regions."
            )
    rows = {
        node: torch.tensor([float(region in tree.regions_of(node)) for region in catalog.regions])
        for node in tree.nodes
    }
    return {node: torch.stack([rows[child] for child in tree.children[node]]) for node in tree.inner}


def find_guide(
    config: FusionTraining, generator: StyleGenerator, catalog: RegionCatalog, parser: nn.Module | None, path: Path
) -> tuple[Tensor | None, Tensor | None]:
    """The layout query `[S]` and which region claims each of the other channels `[R, S]`, each if it is used.

    They are kept in a file, for a training that goes on.

    Raises:
        InputError: without a parser that sees attributes where the layout is wanted, or for a file of another
            generator.
    """
    wanted = {"layout": any(config.layout_weight), "claims": config.relevance == GUIDE}
    if not any(wanted.values()):
        return None, None
    options = {"steps": config.guide_steps, "truncation_psi": config.truncation_psi}
    found = _stored_guide(path, wanted | options, catalog)
    if not found:
        if wanted["layout"]:
            found["layout"] = attribute_query(generator, parser, LAYOUT, truncation_psi=config.truncation_psi)
        if wanted["claims"]:
            layout = found.get("layout", torch.zeros_like(catalog.influence[0]))
            found["claims"] = assign_channels(generator, catalog, layout, parser, **options)
        write_checkpoint(path, found, wanted | options)
    found = {name: value.to(generator.device) for name, value in found.items()}
    return found.get("layout"), found.get("claims")


def _stored_guide(path: Path, made_with: Mapping[str, Any], catalog: RegionCatalog) -> dict[str, Tensor]:
    """What a guide's file holds; nothing if there is none, or one that was made with other settings."""
    if not path.is_file():
        return {}
    found, settings = read_checkpoint(path)
    if settings != made_with:
        return {}
    if any(value.shape[-1] != catalog.influence.shape[-1] for value in found.values()):
        raise InputError(f"The guide {path} is of another generator; train in a new folder.")
    return found


def node_weights(
    relevance: str, catalog: RegionCatalog, members: Mapping[str, Tensor], claims: Tensor | None = None
) -> dict[str, Tensor]:
    """Equation 8 for every inner node, `[2, S]`.

    M of several regions is the sum of theirs. An influence I is a mean change inside against that outside; two regions
    compare by these odds I / (1 - I), several count as the one that is changed most. So do the claims of a guide; where
    both regions have one, or none, influence decides a little.
    """
    table = claims + UNCLAIMED * catalog.influence if relevance == GUIDE else getattr(catalog, RELEVANCES[relevance])
    if relevance == "influence":
        table = table / (1 - table).clamp(min=1e-3)
    weights = {}
    for node, rows in members.items():
        each = table * rows.to(table)[:, :, None]  # [2, R, S]
        weights[node] = channel_weights(each.sum(dim=1) if relevance == "activation" else each.amax(dim=1))
    return weights
