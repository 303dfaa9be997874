"""Refines queries by gradient: which mixture of channels carries a region over and leaves the rest alone.

Contribution and influence judge every style channel by itself. In an edit many move at once, and their effects outside
the region add up or cancel. Starting from a query that was read off the catalog, gradient ascent on q itself improves
what is measured (`sfhub.regions.separability`): transfer less spill, with a penalty where the region changes too little
beside the rest. In the end every channel goes or stays; on portraits this did a little better than fractions, whose
many small shares add up outside.

The pairs it learns from must not be those it is judged on.
"""

from torch import Tensor

from sfhub.editing.transfer import interpolate_styles
from sfhub.models.parser import Parser
from sfhub.models.style_space import StyleGenerator
from sfhub.regions.catalog import RegionCatalog
from sfhub.regions.query_search import PairPool, improvement, minimise
from sfhub.regions.separability import WANTED_SELECTIVITY

__all__ = ["refine_query"]

# Queries of 0 and 1 start where the sigmoid still has a slope.
START = 0.05


def refine_query(
    generator: StyleGenerator,
    catalog: RegionCatalog,
    region: str,
    query: Tensor,
    parser: Parser | None = None,
    *,
    steps: int = 100,
    batch_size: int = 8,
    pool: int = 200,
    learning_rate: float = 0.2,
    seed: int = 2,
    truncation_psi: float = 0.7,
    selectivity: float = WANTED_SELECTIVITY,
    progress: bool = True,
) -> Tensor:
    """Improve the query of one region.

    Args:
        generator, catalog: of one model.
        region: one of `catalog.regions`.
        query: where to start, `[S]` in [0, 1].
        parser: whose masks say where a region is; the catalog's clusters if None.
        steps: of Adam.
        batch_size: pairs per step.
        pool: number of random images from which the pairs are drawn.
        learning_rate: of Adam, for the logits of the query; falls to 0 along a cosine.
        seed: of images and pairs.
        truncation_psi: of the images.
        selectivity: how much more the region shall change than the rest; a higher one costs transfer.
        progress: show a bar.

    Returns:
        `[S]` of zeros and ones; the start itself if no image of the pool shows the region.
    """
    index = catalog.index(region)
    pairs = PairPool.sample(generator, catalog, parser, pool, seed, truncation_psi)
    shows = pairs.shows(index)
    if not shows.any():
        return query

    def loss(logits: Tensor, done: float) -> Tensor:
        base, other = pairs.draw(shows, batch_size)
        mixed = interpolate_styles(pairs.codes[base], pairs.codes[other], logits.sigmoid())
        changes = pairs.changes(mixed, base, (pairs.images[other], pairs.labels[other]), index)
        return -improvement(selectivity, *(change.mean() for change in changes))

    start = query.clamp(START, 1 - START).logit()
    options = {"steps": steps, "learning_rate": learning_rate, "progress": progress}
    return (minimise(start, loss, title=f"Refining {region}", **options) > 0).to(query.dtype)
