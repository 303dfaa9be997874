"""How well regions can be edited alone: transfer against leak.

One region of a base image takes its styles from a reference image (`sfhub.editing.transfer`, strength 1). Per pixel the
change is the CIELAB difference (Delta E*, 1976) to the base, and over many pairs

- *transfer* = mean change inside the region / mean change there when the whole code is the reference's;
- *leak* = mean change inside the region / mean change outside, so that more is better: 4 stands for 4 : 1;
- *spill* = mean change outside / mean change there when the whole code is the reference's.

"Inside" is where the base or the edited image shows the region: hair that grows over the shoulder is hair, not leak.
Where neither does (the reference wears a hat, the edit failed to put it on) it is where the reference shows it; pairs
in which neither base nor reference shows the region do not count. Means are taken per image, then over the pairs.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm.auto import tqdm

from sfhub.editing.transfer import interpolate_styles
from sfhub.metrics.color import color_difference
from sfhub.models.stylegan2 import StyleGAN2Generator
from sfhub.regions.catalog import RegionCatalog
from sfhub.regions.masks import MIN_SHARE, Parser, render_regions
from sfhub.regions.sampling import sample_styles

__all__ = ["WANTED_LEAK", "Separability", "edited_region", "is_present", "mean_change", "measure_queries"]

WANTED_LEAK = 4.0
"""An edit should change its region at least so many times as much as the rest."""

# Far below any visible change; keeps the ratios of an edit without effect finite.
TINY = 1e-6


@dataclass(frozen=True)
class Separability:
    """What one query did to its region over all pairs that show it.

    Attributes:
        transfer: share of the whole swap's change inside, about [0, 1].
        leak: change inside : change outside.
        spill: share of the whole swap's change outside, about [0, 1].
        pairs: how many pairs counted.
    """

    transfer: float
    leak: float
    spill: float
    pairs: int


def mean_change(change: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
    """Mean change per image inside and outside a mask.

    Args:
        change: `[..., H, W]`.
        inside: bool `[..., H, W]`.

    Returns:
        Two tensors `[...]`; 0 where a side has no pixels.
    """
    return tuple((change * side).sum(dim=(-2, -1)) / side.sum(dim=(-2, -1)).clamp(min=1) for side in (inside, ~inside))


def is_present(mask: Tensor) -> Tensor:
    """Whether masks `[..., H, W]` are more than stray pixels, bool `[...]`."""
    return mask.float().mean(dim=(-2, -1)) > MIN_SHARE


def edited_region(base: Tensor, reference: Tensor, edited: Tensor, index: int) -> Tensor:
    """Where a change counts as inside: the region of base or edited image, of the reference if neither shows it.

    Args:
        base, reference, edited: region maps `[..., H, W]` whose shapes broadcast.
        index: of the region.

    Returns:
        bool `[..., H, W]`.
    """
    inside = (base == index) | (edited == index)
    return torch.where(is_present(inside)[..., None, None], inside, reference == index)


@torch.no_grad()
def measure_queries(
    generator: StyleGAN2Generator,
    catalog: RegionCatalog,
    queries: Mapping[str, Tensor],
    *,
    parser: Parser | None = None,
    pairs: int = 500,
    seed: int = 0,
    truncation_psi: float = 0.7,
    batch_size: int = 64,
    progress: bool = True,
) -> dict[str, list[Separability]]:
    """Transfer and leak of several queries per region, on the same random pairs.

    Args:
        generator, catalog: of one model.
        queries: for each region the queries to try, `[Q, S]`.
        parser: whose masks say where a region is; the catalog's clusters if None.
        pairs: how many pairs of random images.
        seed: of the pairs; measure on other seeds than those on which queries were chosen.
        truncation_psi: of the images.
        batch_size: images in one synthesis.
        progress: show a bar.

    Returns:
        `{region: one result per query}`.

    Raises:
        InputError: for an unknown region, or a catalog of another generator.
    """
    catalog.check_generator(generator)
    codes = sample_styles(generator, 2 * pairs, seed, truncation_psi)
    # Columns: pairs that count, change inside and outside, and both of the whole swap.
    totals = {region: torch.zeros(len(rows), 5, dtype=torch.float64) for region, rows in queries.items()}
    chunks = codes.view(pairs, 2, -1).split(max(1, batch_size // 8))
    for chunk in tqdm(chunks, desc="Separability", disable=not progress):
        scene = _Scene.of(generator, catalog, parser, chunk[:, 0], chunk[:, 1])
        for region, rows in queries.items():
            index = catalog.index(region)
            shown = scene.showing(index)
            for start in range(0, len(rows) if shown is not None else 0, 8):
                part = rows[start : start + 8].to(codes)
                totals[region][start : start + 8] += _change(generator, catalog, parser, shown, index, part).cpu()
    return {region: [_summary(row) for row in rows.tolist()] for region, rows in totals.items()}


@dataclass(frozen=True)
class _Scene:
    """A batch of bases and references: codes `[B, S]`, base images `[B, 3, H, W]`, region maps and the full change."""

    base: Tensor
    reference: Tensor
    image: Tensor
    base_labels: Tensor
    reference_labels: Tensor
    whole: Tensor

    @classmethod
    def of(cls, generator, catalog, parser, base: Tensor, reference: Tensor) -> "_Scene":
        image, base_labels = render_regions(generator, catalog, base, parser)
        other, reference_labels = render_regions(generator, catalog, reference, parser)
        return cls(base, reference, image, base_labels, reference_labels, color_difference(image, other))

    def showing(self, index: int) -> "_Scene | None":
        """The pairs in which base or reference shows the region, None if there are none."""
        shows = is_present(self.base_labels == index) | is_present(self.reference_labels == index)
        return _Scene(*(value[shows] for value in vars(self).values())) if shows.any() else None


def _change(generator, catalog, parser, scene: _Scene, index: int, queries: Tensor) -> Tensor:
    """Sums over the pairs of one scene, `[Q, 5]`: pairs, inside, outside, whole swap inside, whole swap outside."""
    shape = len(queries), len(scene.base)
    mixed = interpolate_styles(scene.base, scene.reference, queries[:, None])
    image, labels = render_regions(generator, catalog, mixed.flatten(0, 1), parser)
    change = color_difference(image.unflatten(0, shape), scene.image)
    inside = edited_region(scene.base_labels, scene.reference_labels, labels.unflatten(0, shape), index)
    parts = [*mean_change(change, inside), *mean_change(scene.whole.expand_as(change), inside)]
    return torch.stack([torch.ones(shape).to(change), *parts], dim=-1).double().sum(dim=1)


def _summary(sums: list[float]) -> Separability:
    count, inside, outside, whole_inside, whole_outside = sums
    return Separability(
        transfer=inside / max(whole_inside, TINY),
        leak=inside / max(outside, TINY),
        spill=outside / max(whole_outside, TINY),
        pairs=int(count),
    )
