"""Builds the region catalog of a generator: cluster, name, measure, choose.

1. Spherical k-means on the activations of each candidate layer (*Editing in Style*, Collins et al., CVPR 2020, 3.1).
   The authors picked the most semantic layer by eye; with a parser at hand the layer is taken whose named clusters
   agree best with the parser's masks. Or Ward's clusters of all layers together, as in *StyleFusion* (`.ward`).
2. M, equation 1, of all styles with respect to those clusters, and the influence of all styles on the regions.
3. Many queries from both relevances are tried out on random pairs; per region the best is refined and becomes the
   default.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial

import torch
from torch import Tensor

from sfhub.errors import InputError, short
from sfhub.models.parser import Parser
from sfhub.models.style_space import StyleGenerator
from sfhub.regions.catalog import METHODS, RegionCatalog
from sfhub.regions.contribution import contribution_from_moments, resize_labels, style_moments
from sfhub.regions.influence import pick_covering, style_influence
from sfhub.regions.kmeans import nearest_center, spherical_kmeans
from sfhub.regions.masks import region_shares, render_regions
from sfhub.regions.naming import PORTRAIT_REGIONS, class_to_region, name_clusters, region_overlap
from sfhub.regions.refine import refine_query
from sfhub.regions.sampling import sample_styles
from sfhub.regions.separability import WANTED_SELECTIVITY, Separability, measure_queries
from sfhub.regions.ward import name_by_parser, ward_catalog

__all__ = [
    "CLUSTERINGS",
    "Candidate",
    "build_catalog",
    "candidate_queries",
    "choose_defaults",
    "measure_catalog",
    "score",
]

logger = logging.getLogger(__name__)

CLUSTERINGS = ("kmeans", "ward")
"""Ways to find clusters: spherical k-means in one layer, Ward's hierarchical clustering in all."""

# Enough points for two dozen centres; all positions get their label afterwards.
KMEANS_POINTS = 20_000


def build_catalog(
    generator: StyleGenerator,
    parser: Parser | None = None,
    seed: int = 0,
    *,
    regions: Mapping[str, Sequence[str]] = PORTRAIT_REGIONS,
    layers: Sequence[str] | None = None,
    clustering: str = "kmeans",
    num_clusters: int = 24,
    num_images: int = 200,
    influence_images: int = 12,
    pairs: int = 32,
    refine_steps: int = 100,
    truncation_psi: float = 0.7,
    batch_size: int = 64,
    progress: bool = True,
) -> RegionCatalog:
    """Make the region catalog of a generator.

    Args:
        generator: in evaluation mode, on the device that is to do the work.
        parser: names the clusters and says where regions are; without one every cluster is a region of its own.
        seed: of the random images; the default queries are chosen on those of the three seeds after it.
        regions: the parser's classes that make up each region; needs a parser with `config.class_names`.
        layers: convolutions whose output may be clustered. If None, with a parser those of 16 to 64 pixels, else the
            first of 32 pixels (the paper's choice); with `ward` all, together.
        clustering: one of `CLUSTERINGS`.
        num_clusters: K.
        num_images: random images for clusters and M; the paper uses 200.
        influence_images: how many of them each style channel is moved on.
        pairs: random pairs on which the default queries are chosen, 0 to choose none.
        refine_steps: see `choose_defaults`.
        truncation_psi: of all images.
        batch_size: images in one synthesis.
        progress: show bars.

    Raises:
        InputError: for an unknown layer or clustering, or a class of the parser that is in no region.
    """
    if clustering not in CLUSTERINGS:
        raise InputError(f"There is no clustering {short(clustering)}; choose one of {', '.join(CLUSTERINGS)}.")
    codes = sample_styles(generator, num_images, seed, truncation_psi)
    if clustering == "kmeans":
        catalog = _best_clusters(generator, codes, parser, seed, regions, layers, num_clusters, batch_size)
    else:
        catalog = ward_catalog(generator, codes, num_clusters, layers=layers, seed=seed, progress=progress)
        if parser is not None:
            catalog, iou = name_by_parser(generator, catalog, codes, parser, regions)
            logger.info("Clusters of all layers agree with the parser to a mean IoU of %.3f.", iou)
    measure_catalog(
        generator,
        catalog,
        codes,
        parser,
        seed + 1,
        influence_images=influence_images,
        pairs=pairs,
        refine_steps=refine_steps,
        truncation_psi=truncation_psi,
        batch_size=batch_size,
        progress=progress,
    )
    return catalog


def measure_catalog(
    generator: StyleGenerator,
    catalog: RegionCatalog,
    codes: Tensor,
    parser: Parser | None = None,
    seed: int = 1,
    *,
    influence_images: int = 12,
    pairs: int = 32,
    refine_steps: int = 100,
    truncation_psi: float = 0.7,
    batch_size: int = 64,
    progress: bool = True,
) -> None:
    """Measure both relevances of a catalog whose regions are known, and choose its default queries.

    Args:
        codes: of the images that the relevances are measured on, `[N, S]`.
        seed: the first of three for the default queries.
        influence_images: on which each style is moved, the longest part of it all; 0 leaves the influence empty.
        generator, catalog, parser, pairs, refine_steps, truncation_psi, batch_size, progress: as for `build_catalog`.
    """
    catalog.style_std.copy_(codes.std(dim=0))
    catalog.contribution.copy_(_measure_contribution(generator, catalog, codes, batch_size))
    if influence_images:
        labels = torch.cat([render_regions(generator, catalog, part, parser)[1] for part in codes.split(batch_size)])
        chosen = pick_covering(region_shares(labels, len(catalog.regions)).cpu(), influence_images)
        catalog.influence.copy_(
            style_influence(
                generator,
                codes[chosen],
                labels[chosen],
                len(catalog.regions),
                mean=codes.mean(dim=0),
                std=catalog.style_std,
                batch_size=batch_size,
                progress=progress,
            )
        )
    if pairs:
        choose_defaults(
            generator,
            catalog,
            parser,
            pairs=pairs,
            refine_steps=refine_steps,
            seed=seed,
            truncation_psi=truncation_psi,
            batch_size=batch_size,
            progress=progress,
        )


@dataclass(frozen=True)
class Candidate:
    """A query and how `RegionCatalog.query` makes it.

    Attributes:
        method, mode, params: arguments of `RegionCatalog.query`.
        query: `[S]`.
        refined: whether `sfhub.regions.refine` worked on the query since.
    """

    method: str
    mode: str
    params: dict[str, float]
    query: Tensor
    refined: bool = False


def candidate_queries(
    catalog: RegionCatalog,
    region: str,
    *,
    methods: Sequence[str] = METHODS,
    modes: Sequence[str] = ("threshold", "sequential"),
) -> list[Candidate]:
    """Queries from cautious to bold for one region, from each method and mode.

    Thresholds are set to take 4, 8, 16, ... channels, so that they suit any region; budgets and rho are the paper's,
    extended downwards for networks with fewer channels.
    """
    candidates = []
    for method in methods:
        relevance = catalog.relevance(method)[catalog.index(region)]
        ordered = relevance.sort(descending=True).values.tolist()
        grid = {
            "threshold": [{"threshold": ordered[count]} for count in _doubling(len(ordered))],
            "sequential": [{"epsilon": epsilon, "rho": 0.1} for epsilon in (1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 80.0)],
            "simultaneous": [{"gain": gain} for gain in (0.5, 1.0, 2.0, 4.0, 8.0)],
        }
        for mode in modes:
            for params in grid[mode]:
                candidates.append(Candidate(method, mode, params, catalog.query(region, method, mode, **params)))
    return candidates


def score(result: Separability) -> float:
    """What a default query is chosen by: what it carries over less what it spills.

    Both are shares of what the whole swap changes, so an edit without effect and the whole swap score 0 and a perfect
    edit 1. An edit that changes its region less than four times as much as the rest is marked down in proportion.
    """
    return (result.transfer - result.spill) * min(1.0, result.selectivity / WANTED_SELECTIVITY)


def choose_defaults(
    generator: StyleGenerator,
    catalog: RegionCatalog,
    parser: Parser | None = None,
    *,
    pairs: int = 32,
    refine_steps: int = 100,
    seed: int = 1,
    truncation_psi: float = 0.7,
    batch_size: int = 64,
    progress: bool = True,
) -> None:
    """Give every region of the catalog its default query; `config` says how it was made and what was measured of it.

    The candidate with the best `score` is refined by gradient on other images (`seed + 1`), and both are measured on
    yet others (`seed + 2`), where the better one wins. A region that no pair shows keeps a query of zeros, which edits
    nothing.

    Args:
        generator, catalog, parser, truncation_psi, batch_size, progress: see
            `sfhub.regions.separability.measure_queries`.
        pairs: on which the candidates are measured; four times as many decide in the end.
        refine_steps: of `sfhub.regions.refine.refine_query`, 0 to keep the best candidate.
        seed: of the random images.
    """
    settings = {"truncation_psi": truncation_psi, "progress": progress}
    measure = partial(measure_queries, generator, catalog, parser=parser, batch_size=batch_size, **settings)
    methods = [method for method in METHODS if catalog.relevance(method).any()]
    candidates = {region: candidate_queries(catalog, region, methods=methods) for region in catalog.regions}
    results = measure(
        {region: torch.stack([entry.query for entry in entries]) for region, entries in candidates.items()},
        pairs=pairs,
        seed=seed,
    )
    finalists: dict[str, list[Candidate]] = {}
    for region, measured in results.items():
        if not measured[0].pairs:
            logger.warning("No image shows the region %r; its default query stays empty.", region)
            continue
        start = candidates[region][_best(measured)]
        finalists[region] = [start]
        if refine_steps:
            query = refine_query(
                generator, catalog, region, start.query, parser, steps=refine_steps, seed=seed + 1, **settings
            )
            finalists[region].append(replace(start, query=query, refined=True))
    results = measure(
        {region: torch.stack([entry.query for entry in entries]) for region, entries in finalists.items()},
        pairs=4 * pairs,
        seed=seed + 2,
    )
    defaults, figures = {}, {}
    for region, measured in results.items():
        winner = _best(measured)
        entry = finalists[region][winner]
        catalog.default_queries[catalog.index(region)] = entry.query
        defaults[region] = {"method": entry.method, "mode": entry.mode, "refined": entry.refined, **entry.params}
        figures[region] = asdict(measured[winner])
    catalog.register_to_config(defaults=defaults, measured=figures)


def _best(measured: Sequence[Separability]) -> int:
    return max(range(len(measured)), key=lambda index: score(measured[index]))


def _doubling(limit: int) -> list[int]:
    """4, 8, 16, ... below `limit`."""
    return [2**power for power in range(2, limit.bit_length()) if 2**power < limit]


def _candidate_layers(generator: StyleGenerator, parser: Parser | None) -> list[str]:
    convolutions = [entry for entry in generator.style_layout if entry.kind == "conv"]
    if parser is None:
        side = min(32, generator.config.resolution)
        return [next(entry.name for entry in convolutions if entry.resolution == side)]
    return [entry.name for entry in convolutions if 16 <= entry.resolution <= 64] or [convolutions[-1].name]


def _best_clusters(
    generator: StyleGenerator,
    codes: Tensor,
    parser: Parser | None,
    seed: int,
    regions: Mapping[str, Sequence[str]],
    layers: Sequence[str] | None,
    num_clusters: int,
    batch_size: int,
) -> RegionCatalog:
    """A catalog with the clusters of the layer that agrees best with the parser, relevances still empty."""
    classes = masks = None
    if parser is not None:
        classes = class_to_region(parser.config.class_names, regions)
        masks = torch.cat([_parse(generator, parser, part) for part in codes.split(batch_size)])
    best, agreement = None, -1.0
    for layer in layers or _candidate_layers(generator, parser):
        activation = _activations(generator, codes, layer, batch_size)
        catalog, points = _cluster(generator, activation, layer, seed, regions, classes, num_clusters)
        if parser is None:
            catalog.cluster_region.copy_(torch.arange(num_clusters))
            return catalog
        labels = resize_labels(catalog.region_labels(masks), activation.shape[-2:])
        clusters = nearest_center(points, catalog.centers)
        names, iou = name_clusters(region_overlap(clusters, labels, num_clusters, len(regions)))
        logger.info("Clusters of %s agree with the parser to a mean IoU of %.3f.", layer, iou)
        catalog.cluster_region.copy_(names)
        if iou > agreement:
            best, agreement = catalog, iou
    return best


def _cluster(
    generator: StyleGenerator,
    activation: Tensor,
    layer: str,
    seed: int,
    regions: Mapping[str, Sequence[str]],
    classes: list[int] | None,
    num_clusters: int,
) -> tuple[RegionCatalog, Tensor]:
    """A catalog with the clusters of one layer, and the normalised activations `[N * h * w, C]`."""
    catalog = RegionCatalog(
        regions=list(regions) if classes else [f"cluster {index}" for index in range(num_clusters)],
        layer=layer,
        num_clusters=num_clusters,
        layer_channels=activation.shape[1],
        resolution=generator.config.resolution,
        style_layers=[(entry.name, entry.width) for entry in generator.style_layout],
        class_regions=classes,
    ).to(activation.device)
    catalog.activation_mean.copy_(activation.mean(dim=(0, 2, 3)))
    catalog.activation_std.copy_(activation.std(dim=(0, 2, 3), correction=0).clamp(min=1e-6))
    points = (activation.movedim(1, -1).flatten(0, 2) - catalog.activation_mean) / catalog.activation_std
    source = torch.Generator().manual_seed(seed)
    sample = torch.randperm(len(points), generator=source)[:KMEANS_POINTS].to(points.device)
    catalog.centers.copy_(spherical_kmeans(points[sample], num_clusters, n_init=4, generator=source).centers)
    return catalog, points


@torch.no_grad()
def _activations(generator: StyleGenerator, codes: Tensor, layer: str, batch_size: int) -> Tensor:
    """Output of one convolution for all codes, `[N, C, h, w]` float32; the synthesis stops at its resolution."""
    resolution = generator.style_layout[layer].resolution
    parts = codes.split(batch_size)
    run = (generator.synthesis(part, resolution=resolution, return_activations=[layer])[1] for part in parts)
    return torch.cat([found[layer].float() for found in run])


@torch.no_grad()
def _parse(generator: StyleGenerator, parser: Parser, codes: Tensor) -> Tensor:
    return parser.segment(generator.synthesis(codes))


@torch.no_grad()
def _measure_contribution(generator: StyleGenerator, catalog: RegionCatalog, codes: Tensor, batch_size: int) -> Tensor:
    """M `[R, S]` with respect to the catalog's clusters."""
    layout, moments = generator.style_layout, 0
    read = {entry.reads for entry in layout}
    for part in codes.split(batch_size):
        _, activations = generator.synthesis(part, return_activations=[*read.union(catalog.layers)])
        labels = catalog.segment(activations)
        moments = moments + style_moments(layout, activations, labels, len(catalog.regions))
    return contribution_from_moments(moments)
