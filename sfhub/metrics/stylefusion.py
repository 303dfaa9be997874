"""What *StyleFusion* (Kafri et al., ACM TOG 2022) shows of a fusion hierarchy, measured on any tree and generator.

    difference_maps       where changing a region changes the picture            figures 9 and 10
    region_distances      Fréchet distance of pictures with one region changed   table 1
    transfer_grid         a region of several references in several poses        figure 15
    sibling_strips        a network's two regions, changed in turn               figure 16
    measure_locality      transfer and selectivity (`sfhub.regions.separability`) beside *Editing in Style*

In all of them a region takes another code's look while every layout stays the base's, so pose is not what changes.
`sfhub.metrics.stylefusion_report` draws and saves the results.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial

import torch
from torch import Tensor
from tqdm.auto import tqdm

from sfhub.editing.catalog import mix_by_queries
from sfhub.editing.fusion import fuse
from sfhub.editing.transfer import threshold_query
from sfhub.errors import InputError
from sfhub.images.color import color_difference
from sfhub.metrics.frechet import feature_statistics, frechet_distance
from sfhub.models.fusion import FusionHierarchy
from sfhub.models.parser import Parser
from sfhub.models.style_space import StyleGenerator
from sfhub.portraits.attributes import ATTRIBUTES
from sfhub.portraits.parser import PortraitParser
from sfhub.regions.catalog import METHODS, RegionCatalog
from sfhub.regions.masks import render_regions
from sfhub.regions.sampling import sample_styles
from sfhub.regions.separability import Mixer, Separability, measure_mixers

__all__ = [
    "EDITING_IN_STYLE",
    "STYLE_FUSION",
    "difference_maps",
    "head_turn",
    "measure_locality",
    "mix_region",
    "region_distances",
    "sibling_strips",
    "transfer_grid",
]

STYLE_FUSION, EDITING_IN_STYLE = "StyleFusion", "Editing in Style"
"""Names of the two ways of mixing in the rows of `measure_locality`."""

TURNED = 15.0
"""Degrees from which on two poses count as different."""


def mix_region(hierarchy: FusionHierarchy, node: str, base: Tensor, reference: Tensor) -> Tensor:
    """Codes `[B, S]` of which `node` looks like `reference`, the rest like `base`, in the layout of `base`.

    What users get of `pipe.mix(base, {node: reference}, layout=base)`.
    """
    return fuse(hierarchy, base, {node: (reference, 1.0)}, layout=(base, 1.0))


# Figures 9 and 10 ---------------------------------------------------------------------------------------------------


@torch.no_grad()
def difference_maps(
    generator: StyleGenerator,
    hierarchy: FusionHierarchy,
    regions: Sequence[str],
    base: Tensor,
    reference: Tensor,
    *,
    batch_size: int = 32,
    progress: bool = True,
) -> dict[str, Tensor]:
    """Mean colour difference per pixel when a region of `base` takes its look from `reference`.

    Args:
        generator, hierarchy: of one model.
        regions: nodes of the tree.
        base: codes `[N, S]`, random ones for figure 9; `[1, S]` for one constant picture, figure 10.
        reference: codes `[N, S]`.
        batch_size: images in one synthesis.
        progress: show a bar.

    Returns:
        `{region: [H, W]}`, Delta E.
    """
    hierarchy.check_generator(generator)
    sums = dict.fromkeys(regions, 0.0)
    base = base.expand(len(reference), -1)
    chunks = list(zip(base.split(batch_size), reference.split(batch_size), strict=True))
    for bases, references in tqdm(chunks, desc="Difference maps", disable=not progress):
        before = generator.synthesis(bases)
        for region in regions:
            after = generator.synthesis(mix_region(hierarchy, region, bases, references))
            sums[region] = sums[region] + color_difference(after, before).sum(dim=0)
    return {region: total / len(reference) for region, total in sums.items()}


# Table 1 ------------------------------------------------------------------------------------------------------------


@torch.no_grad()
def region_distances(
    generator: StyleGenerator,
    hierarchy: FusionHierarchy,
    regions: Sequence[str],
    real: Iterable[Tensor],
    features: Callable[[Tensor], Tensor],
    *,
    count: int = 50_000,
    seed: int = 1000,
    truncation_psi: float = 1.0,
    batch_size: int = 32,
    progress: bool = True,
) -> dict[str, float]:
    """Fréchet distance between real images and those of which one region has a code of its own.

    Args:
        generator, hierarchy: of one model.
        regions: nodes of the tree.
        real: batches of images `[B, 3, H, W]` in [-1, 1].
        features: images -> features `[B, F]`, such as the portrait parser's or Inception's.
        count: images per distance; the paper's 50,000 if not told otherwise.
        seed: of the codes, the same ones for every region.
        truncation_psi: of all images.
        batch_size: images in one synthesis.
        progress: show bars.

    Returns:
        By region, after `"generator"` for its images as they are.
    """
    hierarchy.check_generator(generator)
    reference = feature_statistics(real, features)
    base, other = sample_styles(generator, 2 * count, seed, truncation_psi).chunk(2)

    def images(name: str) -> Iterator[Tensor]:
        chunks = list(zip(base.split(batch_size), other.split(batch_size), strict=True))
        for bases, others in tqdm(chunks, desc=f"Images for {name}", disable=not progress):
            codes = mix_region(hierarchy, name, bases, others) if name in regions else bases
            yield generator.synthesis(codes).clamp(-1, 1)

    names = ["generator", *regions]
    return {name: frechet_distance(reference, feature_statistics(images(name), features)) for name in names}


# Figures 15 and 16 --------------------------------------------------------------------------------------------------


@torch.no_grad()
def transfer_grid(
    generator: StyleGenerator,
    hierarchy: FusionHierarchy,
    region: str,
    source: Tensor,
    layouts: Tensor,
    references: Tensor,
) -> tuple[Tensor, Tensor]:
    """One picture in several poses, with a region of several references.

    Args:
        generator, hierarchy: of one model.
        region: node of the tree, hair in the paper.
        source: code `[1, S]` of the picture.
        layouts: codes `[P, S]` whose layout gives the poses.
        references: codes `[K, S]` that give the region.

    Returns:
        Images of the references `[K, 3, H, W]` and the grid `[P, 1 + K, 3, H, W]`, the first column with the source's
        own region.
    """
    hierarchy.check_generator(generator)
    rows = []
    for layout in layouts.split(1):
        own = fuse(hierarchy, source, {}, layout=(layout, 1.0))
        mixed = fuse(hierarchy, source, {region: (references, 1.0)}, layout=(layout, 1.0))
        rows.append(generator.synthesis(torch.cat([own, mixed])))
    return generator.synthesis(references), torch.stack(rows)


@torch.no_grad()
def sibling_strips(
    generator: StyleGenerator,
    hierarchies: Mapping[str, FusionHierarchy],
    node: str,
    base: Tensor,
    references: Tensor,
) -> dict[str, dict[str, Tensor]]:
    """Change one region of a network, then the other, with several hierarchies side by side.

    Args:
        generator: of all hierarchies.
        hierarchies: by name, such as the ablations of the training.
        node: inner node whose two regions change in turn.
        base: code `[1, S]` of what stays.
        references: codes `[K, S]` of what changes.

    Returns:
        `{changed region: {name: images [K, 3, H, W]}}`.

    Raises:
        InputError: if `node` has no network in one of the hierarchies, or one belongs to another generator.
    """
    for name, hierarchy in hierarchies.items():
        hierarchy.check_generator(generator)
        if node not in hierarchy.nets:
            raise InputError(
                f"The hierarchy {name} has no network at {node!r}; choose among {', '.join(hierarchy.nets)}."
            )
    children = next(iter(hierarchies.values())).tree.children[node]
    return {
        child: {
            name: generator.synthesis(mix_region(hierarchy, child, base, references))
            for name, hierarchy in hierarchies.items()
        }
        for child in children
    }


# Transfer and selectivity -------------------------------------------------------------------------------------------


@torch.no_grad()
def measure_locality(
    generator: StyleGenerator,
    catalog: RegionCatalog,
    hierarchy: FusionHierarchy,
    parser: Parser | None = None,
    *,
    regions: Sequence[str] | None = None,
    pairs: int = 500,
    seed: int = 1000,
    truncation_psi: float = 0.7,
    turn: Callable[[Tensor], Tensor] | None = None,
    curves: bool = False,
    batch_size: int = 64,
    progress: bool = True,
) -> list[dict]:
    """Transfer and selectivity of a hierarchy, region by region, beside *Editing in Style* on the same pairs.

    Where a node covers several regions of the catalog, *Editing in Style* gives all of them the reference as source.

    Args:
        generator, catalog, hierarchy: of one model.
        parser: whose masks say where a region is; the catalog's clusters if None.
        regions: nodes of the tree, by default all but the root that the hierarchy can give a code.
        pairs, seed, truncation_psi: the pairs are those of `sfhub.regions.separability.measure_queries`.
        turn: images -> turn of the head in degrees `[B]`; if given, the pairs that differ by `TURNED` or more are
            measured once more by themselves.
        curves: also range over queries from both relevances, and say how selective *Editing in Style* is at best where
            it transfers as much as the hierarchy.
        batch_size: images in one synthesis.
        progress: show bars.

    Returns:
        One row per set of pairs, region and method: `pairs_with` ("any poses", "different poses", or "one layout", in
        which every reference was brought into the layout of its base first, so that pose is no part of what a swap
        changes), `region`, `method` (`STYLE_FUSION` or `EDITING_IN_STYLE`) and what `Separability` holds; with `curves`
        the row of *Editing in Style* has `selectivity_at_same_transfer` (None if it never transfers as much).

    Raises:
        InputError: for a node that is not in the tree or covers a region that the catalog does not have, or parts of
            different models.
    """
    catalog.check_generator(generator)
    hierarchy.check_generator(generator)
    regions = list(regions or hierarchy.active_nodes[1:])
    hierarchy.tree.check(regions, "region")
    labels = {node: [catalog.index(region) for region in hierarchy.tree.regions_of(node)] for node in regions}
    mixers = {node: _both(hierarchy, catalog, node, rows, curves) for node, rows in labels.items()}
    render = partial(render_regions, generator, catalog, parser=parser)
    codes = sample_styles(generator, 2 * pairs, seed, truncation_psi).view(pairs, 2, -1)
    chosen = {"any poses": codes}
    if turn is not None:
        degrees = torch.cat([turn(generator.synthesis(part)) for part in codes.flatten(0, 1).split(batch_size)])
        chosen["different poses"] = codes[degrees.view(pairs, 2).diff(dim=1)[:, 0].abs() >= TURNED]
    brought = mix_region(hierarchy, hierarchy.tree.root, *codes.unbind(dim=1))
    chosen["one layout"] = torch.stack([codes[:, 0], brought], dim=1)
    rows = []
    for name, part in chosen.items():
        if not len(part):
            continue
        base, reference = part.unbind(dim=1)
        results = measure_mixers(render, base, reference, mixers, labels, batch_size=batch_size, progress=progress)
        for node, (fused, default, *others) in results.items():
            rows.append({"pairs_with": name, "region": node, "method": STYLE_FUSION, **asdict(fused)})
            rows.append({"pairs_with": name, "region": node, "method": EDITING_IN_STYLE, **asdict(default)})
            if curves:
                rows[-1]["selectivity_at_same_transfer"] = selectivity_at([default, *others], fused.transfer)
    return rows


def selectivity_at(results: Sequence[Separability], transfer: float) -> float | None:
    """The best selectivity that any of these ways of mixing has at `transfer` or more, None if none has."""
    return max((each.selectivity for each in results if each.transfer >= transfer), default=None)


def head_turn(parser: PortraitParser, images: Tensor) -> Tensor:
    """Turn of the head in degrees `[B]`, as the portrait parser sees it."""
    yaw = ATTRIBUTES["yaw"]
    value = parser(images).attributes[:, parser.config.attribute_names.index("yaw")]
    return yaw.low + (value + 1) / 2 * (yaw.high - yaw.low)


def _both(hierarchy: FusionHierarchy, catalog: RegionCatalog, node: str, rows: list[int], curves: bool) -> Mixer:
    """The hierarchy, *Editing in Style* with the default queries and, for curves, with bolder and bolder ones."""
    default, queries = list(catalog.default_queries[rows]), []
    if curves:
        for relevance in (catalog.relevance(method)[rows].amax(dim=0) for method in METHODS):
            ordered = relevance.sort(descending=True).values
            queries += [threshold_query(relevance, ordered[count].item()) for count in _ladder(len(ordered))]

    def mix(base: Tensor, reference: Tensor) -> Tensor:
        edited = mix_by_queries(base, [reference] * len(default), default)
        bolder = [mix_by_queries(base, [reference], [query]) for query in queries]
        return torch.stack([mix_region(hierarchy, node, base, reference), edited, *bolder])

    return mix


def _ladder(limit: int) -> list[int]:
    """4, 6, 8, 12, 16, ... below `limit`: how many channels each query takes."""
    steps = [count for power in range(2, limit.bit_length()) for count in (2**power, 3 * 2 ** (power - 1))]
    return [count for count in steps if count < limit]
