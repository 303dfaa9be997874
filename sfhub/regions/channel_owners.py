"""Which region every style channel belongs to, decided for all regions at once.

Queries of *Editing in Style* may overlap: a channel that shades cheeks and lids serves an edit of the skin and one of
the eyes. In a fused code it can come from one source only. So the owners of all channels are found together: a softmax
divides each channel among the regions, gradient ascent improves what is measured of every region
(`sfhub.regions.separability`), and the softmax sharpens until each channel has one owner. Not in StyleFusion, whose
weights M (equation 8) compare activations, channel by channel.
"""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from sfhub.editing.transfer import interpolate_styles
from sfhub.errors import InputError, short
from sfhub.models.parser import Parser
from sfhub.models.style_space import StyleGenerator
from sfhub.regions.catalog import RegionCatalog
from sfhub.regions.masks import render_regions
from sfhub.regions.query_search import PairPool, improvement, minimise
from sfhub.regions.separability import WANTED_SELECTIVITY

__all__ = ["assign_channels"]

# Logits of channels inside and outside a region's default query before the first step.
START = 1.0
# By how much the softmax is sharper after the last step.
SHARPER = 4.0


def assign_channels(
    generator: StyleGenerator,
    catalog: RegionCatalog,
    layout: Tensor,
    parser: Parser | None = None,
    *,
    steps: int = 150,
    batch_size: int = 4,
    pool: int = 256,
    learning_rate: float = 0.2,
    seed: int = 5,
    truncation_psi: float = 0.7,
    selectivity: float = WANTED_SELECTIVITY,
    progress: bool = True,
) -> Tensor:
    """Give every style channel that is not the layout's to one region, by gradient.

    In each step a few bases take each region from a reference that was brought into the layout of its base.

    Args:
        generator, catalog: of one model.
        layout: the layout query, `[S]` of zeros and ones, see `sfhub.regions.attribute_query`.
        parser: whose masks say where a region is; the catalog's clusters if None.
        steps: of Adam.
        batch_size: pairs per region and step.
        pool: number of random images from which the pairs are drawn.
        learning_rate: of Adam, for the logits; falls to 0 along a cosine.
        seed: of images and pairs.
        truncation_psi: of the images.
        selectivity: how much more a region shall change than the rest.
        progress: show a bar.

    Returns:
        `[R, S]` of zeros and ones, in the order of `catalog.regions`: the regions of no two rows share a channel.

    Raises:
        InputError: if the layout is of another generator, or no image of the pool shows one of the regions.
    """
    catalog.check_generator(generator)
    queries = catalog.default_queries
    if layout.shape != queries.shape[1:]:
        raise InputError(f"The layout query has {len(layout)} channels and the catalog {queries.shape[1]}.")
    count, free = len(queries), 1 - layout.to(queries)
    pairs = PairPool.sample(generator, catalog, parser, pool, seed, truncation_psi)
    shows = [pairs.shows(index) for index in range(count)]
    for name, shown in zip(catalog.regions, shows, strict=True):
        if not shown.any():
            raise InputError(
                f"None of {pool} random images shows the region {short(name)}, so no channel can be its own."
            )
    region = torch.arange(count, device=queries.device).repeat_interleave(batch_size)

    def loss(logits: Tensor, done: float) -> Tensor:
        drawn = [pairs.draw(shown, batch_size) for shown in shows]
        base, other = map(torch.cat, zip(*drawn, strict=True))
        reference = interpolate_styles(pairs.codes[base], pairs.codes[other], free)
        swapped = render_regions(generator, catalog, reference, parser)
        shares = (logits * (1 + (SHARPER - 1) * done)).softmax(dim=0) * free
        mixed = interpolate_styles(pairs.codes[base], reference, shares[region])
        changes = pairs.changes(mixed, base, swapped, region[:, None, None])
        return -improvement(selectivity, *(change.view(count, batch_size).mean(dim=1) for change in changes)).sum()

    start = START * (2 * queries * free - 1)
    options = {"steps": steps, "learning_rate": learning_rate, "betas": (0.8, 0.99), "progress": progress}
    logits = minimise(start, loss, title="Owners of the channels", **options)
    return one_hot(logits.argmax(dim=0), count).T.to(free) * free
