"""How well regions can be edited alone: transfer against selectivity.

One region of a base image takes its look from a reference image, by whatever way of mixing is measured
(`measure_mixers`; `measure_queries` for those of `sfhub.editing.transfer`, strength 1). Per pixel the change is the
CIELAB difference (Delta E*, 1976) to the base, and over many pairs

- *transfer* = mean change inside the region / mean change there when the whole code is the reference's;
- *selectivity* = mean change inside the region / mean change outside; 4 stands for 4 : 1;
- *spill* = mean change outside / mean change there when the whole code is the reference's.

"Inside" is where the base or the edited image shows the region: hair that grows over the shoulder is hair, no leak.
Where neither does (the reference wears a hat, the edit failed to put it on) it is where the reference shows it; pairs
in which neither base nor reference shows the region do not count. Means are taken per image, then over the pairs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from tqdm.auto import tqdm

from sfhub.editing.catalog import mix_by_queries
from sfhub.images.color import color_difference
from sfhub.models.parser import Parser
from sfhub.models.style_space import StyleGenerator
from sfhub.regions.catalog import RegionCatalog
from sfhub.regions.masks import MIN_SHARE, render_regions
from sfhub.regions.sampling import sample_styles

__all__ = [
    "WANTED_SELECTIVITY",
    "Mixer",
    "Renderer",
    "Separability",
    "edited_region",
    "is_present",
    "mean_change",
    "measure_mixers",
    "measure_queries",
    "query_mixer",
]

Mixer = Callable[[Tensor, Tensor], Tensor]
"""Codes of bases and of references, `[B, ...]` each -> codes of V ways to mix them, `[V, B, ...]`."""

Renderer = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Codes `[B, ...]` -> images `[B, 3, H, W]` in [-1, 1] and region maps, integers `[B, H, W]`."""

WANTED_SELECTIVITY = 4.0
"""An edit should change its region at least so many times as much as the rest."""

# Far below any visible change; keeps the ratios of an edit without effect finite.
TINY = 1e-6


@dataclass(frozen=True)
class Separability:
    """What one way of mixing did to its region over all pairs that show it.

    Attributes:
        transfer: share of the whole swap's change inside, about [0, 1].
        selectivity: change inside : change outside.
        spill: share of the whole swap's change outside, about [0, 1].
        pairs: how many pairs counted.
    """

    transfer: float
    selectivity: float
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
        index: of the region; True for masks.

    Returns:
        bool `[..., H, W]`.
    """
    inside = (base == index) | (edited == index)
    return torch.where(is_present(inside)[..., None, None], inside, reference == index)


@torch.no_grad()
def measure_mixers(
    render: Renderer,
    base: Tensor,
    reference: Tensor,
    mixers: Mapping[str, Mixer],
    labels: Mapping[str, Sequence[int]],
    *,
    batch_size: int = 64,
    progress: bool = True,
) -> dict[str, list[Separability]]:
    """Transfer and selectivity of several ways of mixing per region, on the same pairs.

    Nothing here knows what a code is, so any model that mixes codes and draws them can be measured.

    Args:
        render: how codes become images, and where the regions are in them.
        base, reference: codes of the pairs, `[P, ...]`.
        mixers: for each region how it takes its look from the reference.
        labels: for each region the numbers in the region maps that belong to it.
        batch_size: images rendered at once.
        progress: show a bar.

    Returns:
        `{region: one result per way of mixing}`.
    """
    # Of each way of mixing: pairs that count, change inside and outside, and both of the whole swap.
    totals: dict[str, Tensor | float] = dict.fromkeys(mixers, 0.0)
    pairs = max(1, batch_size // 8)
    chunks = list(zip(base.split(pairs), reference.split(pairs), strict=True))
    for bases, references in tqdm(chunks, desc="Separability", disable=not progress):
        scene = _Scene.of(render, bases, references)
        for region, mix in mixers.items():
            totals[region] = totals[region] + _change(render, scene, labels[region], mix, batch_size).cpu()
    return {region: [_summary(row) for row in rows.tolist()] for region, rows in totals.items()}


@torch.no_grad()
def measure_queries(
    generator: StyleGenerator,
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
    """Transfer and selectivity of several queries per region, on the same random pairs.

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
    base, reference = sample_styles(generator, 2 * pairs, seed, truncation_psi).view(pairs, 2, -1).unbind(dim=1)
    return measure_mixers(
        partial(render_regions, generator, catalog, parser=parser),
        base,
        reference,
        {region: query_mixer(rows.to(base)) for region, rows in queries.items()},
        {region: [catalog.index(region)] for region in queries},
        batch_size=batch_size,
        progress=progress,
    )


def query_mixer(queries: Tensor) -> Mixer:
    """*Editing in Style* as a way of mixing, or as many as there are queries `[Q, S]`."""
    return lambda base, reference: torch.stack([mix_by_queries(base, [reference], [query]) for query in queries])


@dataclass(frozen=True)
class _Scene:
    """A batch of bases and references: codes `[B, ...]`, images of the bases, region maps and the full change."""

    base: Tensor
    reference: Tensor
    image: Tensor
    base_labels: Tensor
    reference_labels: Tensor
    whole: Tensor

    @classmethod
    def of(cls, render: Renderer, base: Tensor, reference: Tensor) -> "_Scene":
        image, base_labels = render(base)
        other, reference_labels = render(reference)
        return cls(base, reference, image, base_labels, reference_labels, color_difference(image, other))

    def __getitem__(self, chosen: Tensor) -> "_Scene":
        """Some of the pairs, by index or mask."""
        return _Scene(*(value[chosen] for value in vars(self).values()))


def _change(render: Renderer, scene: _Scene, labels: Sequence[int], mix: Mixer, batch_size: int) -> Tensor:
    """Sums over the pairs of one scene, `[V, 5]`: pairs, inside, outside, whole swap inside, whole swap outside."""
    shows = is_present(_belongs(scene.base_labels, labels)) | is_present(_belongs(scene.reference_labels, labels))
    mixed = mix(scene.base, scene.reference)
    if not shows.any():
        return torch.zeros(len(mixed), 5, dtype=torch.float64)
    mixed, scene, rows = mixed[:, shows], scene[shows], []
    pair = torch.arange(mixed.shape[1], device=mixed.device).repeat(len(mixed))
    for codes, chosen in zip(mixed.flatten(0, 1).split(batch_size), pair.split(batch_size), strict=True):
        part = scene[chosen]
        image, edited_labels = render(codes)
        change = color_difference(image, part.image)
        maps = (_belongs(each, labels) for each in (part.base_labels, part.reference_labels, edited_labels))
        inside = edited_region(*maps, index=True)
        parts = [*mean_change(change, inside), *mean_change(part.whole, inside)]
        rows.append(torch.stack([torch.ones_like(parts[0]), *parts], dim=-1).double())
    return torch.cat(rows).unflatten(0, mixed.shape[:2]).sum(dim=1)


def _belongs(region_map: Tensor, labels: Sequence[int]) -> Tensor:
    """Where a region map has one of these numbers, bool of its shape."""
    return torch.isin(region_map, torch.tensor(labels, device=region_map.device))


def _summary(sums: list[float]) -> Separability:
    count, inside, outside, whole_inside, whole_outside = sums
    return Separability(
        transfer=inside / max(whole_inside, TINY),
        selectivity=inside / max(outside, TINY),
        spill=outside / max(whole_outside, TINY),
        pairs=int(count),
    )
