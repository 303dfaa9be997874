"""Refines queries by gradient: which mixture of channels carries a region over and leaves the rest alone.

Contribution and influence judge every style channel by itself. In an edit many move at once, and their effects outside
the region add up or cancel. Starting from a query that was read off the catalog, gradient ascent on q itself improves
what is measured (`sfhub.regions.separability`): transfer less spill, with a penalty where the region changes too little
beside the rest. In the end every channel goes or stays; on portraits this did a little better than fractions, whose
many small shares add up outside.

The pairs it learns from must not be those it is judged on.
"""

import torch
from torch import Tensor
from tqdm.auto import tqdm

from sfhub.editing.transfer import interpolate_styles
from sfhub.images.color import color_difference
from sfhub.models.parser import Parser
from sfhub.models.style_space import StyleGenerator
from sfhub.regions.catalog import RegionCatalog
from sfhub.regions.masks import render_regions
from sfhub.regions.sampling import sample_styles
from sfhub.regions.separability import TINY, WANTED_SELECTIVITY, edited_region, is_present, mean_change

__all__ = ["refine_query"]

# Queries of 0 and 1 start where the sigmoid still has a slope.
START = 0.05
# Pairs that were not learned from leak somewhat more, so more selectivity is asked for than is wanted.
MARGIN = 1.25
# Weight of what is missing to that, against transfer and spill.
PENALTY = 2.0


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
    codes = sample_styles(generator, pool, seed, truncation_psi)
    images, labels = render_pool(generator, catalog, codes, parser)
    shows = is_present(labels == index)
    if not shows.any():
        return query
    source = torch.Generator().manual_seed(seed)
    logits = query.clamp(START, 1 - START).logit().requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in tqdm(range(steps), desc=f"Refining {region}", disable=not progress):
        base, other = draw_pairs(shows, batch_size, source)
        mixed = interpolate_styles(codes[base], codes[other], logits.sigmoid())
        image = generator.synthesis(mixed)
        mixed_labels = labels_of(generator, catalog, mixed, image, parser)
        inside = edited_region(labels[base], labels[other], mixed_labels, index)
        change = mean_change(color_difference(image, images[base]), inside)
        whole = mean_change(color_difference(images[other], images[base]), inside)
        loss = -objective(selectivity, *(part.mean() for part in (*change, *whole)))
        (logits.grad,) = torch.autograd.grad(loss, [logits])
        optimizer.step()
        schedule.step()
    return (logits.detach() > 0).to(query.dtype)


def objective(
    selectivity: float, inside: Tensor, outside: Tensor, whole_inside: Tensor, whole_outside: Tensor
) -> Tensor:
    """Transfer less spill, less what the change outside exceeds its allowance by; of one region, or of each of several.

    Args:
        selectivity: wanted ratio of the change inside to that outside.
        inside, outside: mean change by the edit.
        whole_inside, whole_outside: mean change by a swap of the whole code.
    """
    whole_inside, whole_outside = whole_inside.clamp(min=TINY), whole_outside.clamp(min=TINY)
    excess = (MARGIN * selectivity * outside - inside).clamp(min=0)
    return inside / whole_inside - outside / whole_outside - PENALTY * excess / whole_inside


def render_pool(
    generator: StyleGenerator, catalog: RegionCatalog, codes: Tensor, parser: Parser | None
) -> tuple[Tensor, Tensor]:
    """`render_regions` of many codes, part by part."""
    rendered = [render_regions(generator, catalog, part, parser) for part in codes.split(64)]
    images, labels = (torch.cat(parts) for parts in zip(*rendered, strict=True))
    return images, labels


def draw_pairs(shows: Tensor, count: int, source: torch.Generator) -> tuple[Tensor, Tensor]:
    """Base and reference of random pairs `[count]` of different images, at least one of which shows the region."""
    showing = shows.nonzero()[:, 0].cpu()
    one = showing[torch.randint(len(showing), (count,), generator=source)]
    other = (one + torch.randint(1, len(shows), (count,), generator=source)) % len(shows)
    swap = torch.rand(count, generator=source) < 0.5
    return torch.where(swap, other, one), torch.where(swap, one, other)


@torch.no_grad()
def labels_of(
    generator: StyleGenerator, catalog: RegionCatalog, codes: Tensor, image: Tensor, parser: Parser | None
) -> Tensor:
    """Region map of images that are there already."""
    if parser is None:
        return render_regions(generator, catalog, codes)[1]
    return catalog.region_labels(parser.segment(image))
