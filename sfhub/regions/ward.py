"""Regions as *StyleFusion* finds them (Kafri et al., ACM TOG 2022, section 4.1): Ward's clusters of all activations.

The activations of all layers are up-sampled to the size of the largest and concatenated, so that every position has
one long vector. Ward's hierarchical clustering (scikit-learn) runs on a sample of positions; any other position, of
new images too, belongs to the nearest centroid (`RegionCatalog.cluster`). The paper normalises nothing that it says;
here every channel has zero mean and unit variance, as in *Editing in Style*, whose clusters it builds on.

A person, or a parser in their place, then names the clusters; those of one name are merged (`merge_clusters`,
`name_by_parser`).
"""

from collections.abc import Mapping, Sequence

import torch
from sklearn.cluster import AgglomerativeClustering
from torch import Tensor
from torch.nn.functional import grid_sample
from tqdm.auto import tqdm

from sfhub.errors import InputError
from sfhub.models.parser import Parser
from sfhub.models.style_space import StyleGenerator
from sfhub.regions.catalog import RegionCatalog
from sfhub.regions.contribution import resize_labels
from sfhub.regions.kmeans import check_num_clusters
from sfhub.regions.naming import class_to_region, name_clusters, region_overlap

__all__ = ["merge_clusters", "name_by_parser", "ward_catalog", "ward_centers"]

# Ward's clustering takes memory and time by the square of this.
SAMPLED_POSITIONS = 3000


def ward_centers(points: Tensor, num_clusters: int) -> Tensor:
    """Centroids `[K, C]` of Ward's clusters of `points` `[P, C]`, the largest cluster first.

    Raises:
        InputError: if there are fewer points than clusters.
    """
    check_num_clusters(num_clusters, points)
    found = AgglomerativeClustering(n_clusters=num_clusters, linkage="ward").fit_predict(points.cpu().numpy())
    labels = torch.from_numpy(found).to(points.device)
    counts = labels.bincount(minlength=num_clusters)
    sums = points.new_zeros(num_clusters, points.shape[1]).index_add_(0, labels, points)
    return (sums / counts[:, None])[counts.argsort(descending=True, stable=True)]


@torch.no_grad()
def ward_catalog(
    generator: StyleGenerator,
    codes: Tensor,
    num_clusters: int = 24,
    *,
    layers: Sequence[str] | None = None,
    positions: int = SAMPLED_POSITIONS,
    seed: int = 0,
    batch_size: int = 16,
    progress: bool = True,
) -> RegionCatalog:
    """A catalog whose regions are the clusters, still without names and relevances.

    Args:
        generator: in evaluation mode.
        codes: of random images, `[N, S]`.
        num_clusters: K.
        layers: convolutions whose outputs are concatenated; all if None.
        positions: how many are clustered, drawn from all images alike.
        seed: of the draw.
        batch_size: images in one synthesis.
        progress: show a bar.

    Raises:
        InputError: for a layer that is no convolution of the generator, or more clusters than positions.
    """
    known = [entry.name for entry in generator.style_layout if entry.kind == "conv"]
    layers = known if layers is None else list(layers)
    unknown = [name for name in layers if name not in known]
    if unknown or not layers:
        raise InputError(
            f"Activations of {', '.join(unknown) or 'no layer'} cannot be clustered; choose among {', '.join(known)}."
        )
    source = torch.Generator().manual_seed(seed)
    points, moments = [], 0.0
    for part in tqdm(codes.split(batch_size), desc="Activations", disable=not progress):
        _, activations = generator.synthesis(part, return_activations=layers)
        values = [activations[name].float() for name in layers]
        place = torch.rand(len(part), -(-positions // len(codes)), 2, generator=source).to(part)
        points.append(_at_places(values, place))
        moments = moments + torch.stack([torch.cat(each) for each in zip(*map(_moments, values), strict=True)])
    mean, square = moments / len(codes)
    catalog = RegionCatalog(
        regions=[f"cluster {index + 1}" for index in range(num_clusters)],
        layer=layers,
        num_clusters=num_clusters,
        layer_channels=[value.shape[1] for value in values],
        resolution=generator.config.resolution,
        style_layers=[(entry.name, entry.width) for entry in generator.style_layout],
        metric="euclidean",
    ).to(codes.device)
    catalog.activation_mean.copy_(mean)
    catalog.activation_std.copy_((square - mean.square()).clamp(min=1e-12).sqrt())
    normal = (torch.cat(points) - catalog.activation_mean) / catalog.activation_std
    catalog.centers.copy_(ward_centers(normal, num_clusters))
    catalog.cluster_region.copy_(torch.arange(num_clusters))
    return catalog.eval()


def merge_clusters(
    catalog: RegionCatalog, names: Sequence[str], class_regions: Sequence[int] | None = None
) -> RegionCatalog:
    """A catalog with the same clusters and other regions: clusters of one name are one region.

    Args:
        catalog: whose clusters are named.
        names: of each cluster.
        class_regions: see `RegionCatalog`; the indices are those of the names in the order in which they first occur.

    Returns:
        A `RegionCatalog` whose relevances are still to be measured (`sfhub.regions.build.measure_catalog`).

    Raises:
        InputError: unless there is one name for each cluster, none of them empty.
    """
    names = [name.strip() for name in names]
    if len(names) != len(catalog.centers) or not all(names):
        raise InputError(
            f"{sum(map(bool, names))} names were given for {len(catalog.centers)} clusters; name every cluster."
        )
    return _renamed(catalog, list(dict.fromkeys(names)), names, class_regions)


@torch.no_grad()
def name_by_parser(
    generator: StyleGenerator,
    catalog: RegionCatalog,
    codes: Tensor,
    parser: Parser,
    regions: Mapping[str, Sequence[str]],
    *,
    batch_size: int = 16,
) -> tuple[RegionCatalog, float]:
    """Name the clusters after the regions of a parser they agree with best (`sfhub.regions.naming.name_clusters`).

    Args:
        generator, catalog: of one model.
        codes: of the images on which clusters and masks are compared, `[N, S]`.
        parser: with `config.class_names`, such as the portraits' or `sfhub.regions.hub_parser.HubParser`.
        regions: the parser's classes that make up each region.
        batch_size: images in one synthesis.

    Returns:
        A `RegionCatalog` of these regions, relevances still to be measured, and the mean intersection over union.

    Raises:
        InputError: if a class of the parser is in no region.
    """
    classes = torch.tensor(class_to_region(parser.config.class_names, regions), device=codes.device)
    clusters, overlap = len(catalog.centers), 0.0
    for part in codes.split(batch_size):
        image, activations = generator.synthesis(part, return_activations=catalog.layers)
        nearest = catalog.cluster(activations).argmax(dim=1)
        masks = resize_labels(classes[parser.segment(image).long()], nearest.shape[-2:])
        overlap = overlap + region_overlap(nearest, masks, clusters, len(regions))
    found, agreement = name_clusters(overlap)
    names = list(regions)
    return _renamed(catalog, names, [names[index] for index in found], classes.tolist()), agreement


def _renamed(
    catalog: RegionCatalog, regions: list[str], names: list[str], class_regions: Sequence[int] | None
) -> RegionCatalog:
    """The clusters of `catalog` under the names `[K]`."""
    keep = ("layer", "num_clusters", "layer_channels", "resolution", "style_layers", "metric")
    config = {key: catalog.config[key] for key in keep}
    renamed = RegionCatalog(regions=regions, class_regions=class_regions, **config).to(catalog.device)
    for name in ("centers", "activation_mean", "activation_std"):
        renamed.get_buffer(name).copy_(catalog.get_buffer(name))
    renamed.cluster_region.copy_(torch.tensor([regions.index(name) for name in names]))
    return renamed.eval()


def _at_places(values: Sequence[Tensor], place: Tensor) -> Tensor:
    """Concatenated activations `[B * P, C]` at positions `[B, P, 2]` in [0, 1], as if up-sampled to the largest first.

    The positions are moved to the middle of a pixel of the largest layer.
    """
    size = torch.tensor(max(tuple(value.shape[-2:]) for value in values)).to(place).flip(0)
    middle = ((place * size).floor() + 0.5) / size * 2 - 1
    rows = [
        grid_sample(value, middle[:, None], mode="bilinear", padding_mode="border", align_corners=False)[:, :, 0]
        for value in values
    ]
    return torch.cat(rows, dim=1).movedim(1, -1).flatten(0, 1)


def _moments(value: Tensor) -> tuple[Tensor, Tensor]:
    """Sums over the images of mean and mean square per channel, float64."""
    wide = value.double()
    return wide.mean(dim=(2, 3)).sum(dim=0), wide.square().mean(dim=(2, 3)).sum(dim=0)
