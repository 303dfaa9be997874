"""Searches for queries by gradient: the loop, and the random pairs of pictures on which queries of regions are judged.

Three searches use it: `refine` improves the query of one region, `channel_owners` finds those of all regions together,
`attribute_query` those of attributes. They differ in what they minimise.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm.auto import tqdm

from sfhub.images.color import color_difference
from sfhub.models.parser import Parser
from sfhub.models.style_space import StyleGenerator
from sfhub.regions.catalog import RegionCatalog
from sfhub.regions.masks import render_regions
from sfhub.regions.sampling import sample_styles
from sfhub.regions.separability import TINY, edited_region, is_present, mean_change

__all__ = ["PairPool", "improvement", "minimise"]

# Pairs that were not learned from leak somewhat more, so more selectivity is asked for than is wanted.
MARGIN = 1.25
# Weight of what is missing to that, against transfer and spill.
PENALTY = 2.0


def minimise(
    start: Tensor,
    loss: Callable[[Tensor, float], Tensor],
    *,
    steps: int,
    learning_rate: float,
    title: str,
    betas: tuple[float, float] = (0.9, 0.999),
    progress: bool = True,
) -> Tensor:
    """Lower a loss by Adam, whose rate falls to 0 along a cosine.

    Args:
        start: logits to begin with, of any shape.
        loss: logits, and the share of the steps that is done, in [0, 1) -> what is to be lowered, for one random batch.
        steps, learning_rate, betas: of Adam.
        title: of the progress bar.
        progress: show it.

    Returns:
        The logits after the last step. No other tensor has got a gradient.
    """
    logits = start.detach().clone().requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=learning_rate, betas=betas)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in tqdm(range(steps), desc=title, disable=not progress):
        (logits.grad,) = torch.autograd.grad(loss(logits, step / steps), [logits])
        optimizer.step()
        schedule.step()
    return logits.detach()


@dataclass(frozen=True, eq=False)
class PairPool:
    """Random pictures of a model, of which pairs are drawn.

    Attributes:
        generator, catalog: of one model.
        parser: whose masks say where a region is; the catalog's clusters if None.
        codes: `[N, S]`.
        images: `[N, 3, H, W]`.
        labels: their region maps, int64 `[N, H, W]`.
        source: of the draws.
    """

    generator: StyleGenerator
    catalog: RegionCatalog
    parser: Parser | None
    codes: Tensor
    images: Tensor
    labels: Tensor
    source: torch.Generator

    @classmethod
    def sample(
        cls,
        generator: StyleGenerator,
        catalog: RegionCatalog,
        parser: Parser | None,
        size: int,
        seed: int,
        truncation_psi: float,
    ) -> "PairPool":
        """A pool of `size` pictures."""
        codes = sample_styles(generator, size, seed, truncation_psi)
        rendered = [render_regions(generator, catalog, part, parser) for part in codes.split(64)]
        images, labels = map(torch.cat, zip(*rendered, strict=True))
        return cls(generator, catalog, parser, codes, images, labels, torch.Generator().manual_seed(seed))

    def shows(self, index: int) -> Tensor:
        """Which pictures show a region of the catalog, bool `[N]`."""
        return is_present(self.labels == index)

    def draw(self, shows: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Base and reference of random pairs `[count]` of different pictures, one of which at least `shows` it."""
        showing = shows.nonzero()[:, 0].cpu()
        one = showing[torch.randint(len(showing), (count,), generator=self.source)]
        other = (one + torch.randint(1, len(shows), (count,), generator=self.source)) % len(shows)
        swap = torch.rand(count, generator=self.source) < 0.5
        return torch.where(swap, other, one), torch.where(swap, one, other)

    def changes(
        self, mixed: Tensor, base: Tensor, reference: tuple[Tensor, Tensor], index: int | Tensor
    ) -> tuple[Tensor, ...]:
        """Mean change of some mixes, as `improvement` takes it.

        Args:
            mixed: their codes `[B, S]`, which get the gradient.
            base: which pictures they started from, `[B]`.
            reference: images `[B, 3, H, W]` and region maps `[B, H, W]` of the whole swap.
            index: of the region that was to change, or of each mix, `[B, 1, 1]`.

        Returns:
            Inside and outside by the mix, inside and outside by the whole swap, `[B]` each.
        """
        image = self.generator.synthesis(mixed)
        inside = edited_region(self.labels[base], reference[1], self._labels_of(mixed, image), index)
        pictures = (image, reference[0])
        return tuple(
            side for each in pictures for side in mean_change(color_difference(each, self.images[base]), inside)
        )

    @torch.no_grad()
    def _labels_of(self, codes: Tensor, image: Tensor) -> Tensor:
        """Region map of images that are there already."""
        if self.parser is None:
            return render_regions(self.generator, self.catalog, codes)[1]
        return self.catalog.region_labels(self.parser.segment(image))


def improvement(
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
