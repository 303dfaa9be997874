"""Region masks that gradients flow through: for every pixel how much it belongs to each region.

*StyleFusion* (Kafri et al., ACM TOG 2022) needs the masks of its regions inside the losses (section 4.3). The label
maps of `sfhub.regions.masks` are replaced by probabilities: a softmax over the similarities to the clusters, or over
the logits of a parser, summed over what belongs to a region.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from sfhub.models.parser import Parser
from sfhub.regions.catalog import RegionCatalog

__all__ = ["soft_clusters", "soft_regions"]


def soft_clusters(
    catalog: RegionCatalog,
    activations: Mapping[str, Tensor] | Tensor,
    size: tuple[int, int] | None = None,
    temperature: float = 0.05,
) -> Tensor:
    """Probability of every region at every position, by its clusters.

    Args:
        catalog: whose clusters are compared with.
        activations: as `RegionCatalog.segment` takes them.
        size: height and width of the result, as in `RegionCatalog.segment`; that of the largest layer if None.
        temperature: of the softmax over similarities; towards 0 this becomes `RegionCatalog.segment`.

    Returns:
        `[B, R, h, w]` in [0, 1], of sum 1 over the regions.
    """
    similarity = catalog.cluster(activations)
    if size is not None:
        similarity = interpolate(similarity, size=tuple(size), mode="bilinear", align_corners=False)
    return _gather((similarity / temperature).softmax(dim=1), catalog.cluster_region, len(catalog.regions))


def soft_regions(
    catalog: RegionCatalog,
    image: Tensor,
    activations: Mapping[str, Tensor],
    parser: Parser | None = None,
    *,
    temperature: float = 0.05,
) -> Tensor:
    """Probability of every region at every pixel of generated images.

    Args:
        catalog: whose regions are meant.
        image: `[B, 3, H, W]` in [-1, 1].
        activations: what `synthesis(..., return_activations=catalog.layers)` gave with them; not needed with a parser.
        parser: whose logits say where classes are; the catalog's clusters if None.
        temperature: see `soft_clusters`; a parser's logits are taken as they are.

    Returns:
        `[B, R, H, W]` in [0, 1], of sum 1 over the regions.

    Raises:
        InputError: if the catalog cannot read the parser's classes.
    """
    if parser is None:
        return soft_clusters(catalog, activations, image.shape[-2:], temperature)
    logits = parser(image).logits
    regions = catalog.region_labels(torch.arange(logits.shape[1], device=logits.device))
    return _gather(logits.float().softmax(dim=1), regions, len(catalog.regions))


def _gather(probability: Tensor, region: Tensor, num_regions: int) -> Tensor:
    """Sum `[B, K, h, w]` over the entries of each region, given as `[K]` -> `[B, R, h, w]`."""
    shape = len(probability), num_regions, *probability.shape[2:]
    return probability.new_zeros(shape).index_add(1, region, probability)
