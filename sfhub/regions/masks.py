"""Images of style codes together with the region of every pixel."""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from sfhub.models.parser import Parser
from sfhub.models.style_space import StyleGenerator
from sfhub.regions.catalog import RegionCatalog

__all__ = ["MIN_SHARE", "region_shares", "render_regions"]

MIN_SHARE = 0.001
"""A region smaller than this share of the picture counts as absent; a parser leaves stray pixels."""


@torch.no_grad()
def render_regions(
    generator: StyleGenerator, catalog: RegionCatalog, s: Tensor, parser: Parser | None = None
) -> tuple[Tensor, Tensor]:
    """Images and region maps of style codes.

    Args:
        s: `[B, S]`.
        parser: whose masks are used; the catalog's clusters if None.

    Returns:
        Images `[B, 3, H, W]` and int64 `[B, H, W]`, indices into `catalog.regions`.
    """
    if parser is not None:
        image = generator.synthesis(s)
        return image, catalog.region_labels(parser.segment(image))
    image, activations = generator.synthesis(s, return_activations=catalog.layers)
    return image, catalog.segment(activations, size=image.shape[-2:])


def region_shares(labels: Tensor, num_regions: int) -> Tensor:
    """Share of the picture that each region takes, `[B, R]`, from a region map `[B, H, W]`."""
    return one_hot(labels.flatten(1), num_regions).float().mean(dim=1)
