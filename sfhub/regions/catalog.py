"""The region catalog: which style channels of one generator move which semantic region.

A Hub component that belongs to a generator. It holds

- the clusters of the generator's activations and the region each was named after, which segment any image of the
  generator without another network: directions in one layer (*Editing in Style*, Collins et al., CVPR 2020, section
  3.1) or centroids in several layers at once (*StyleFusion*, Kafri et al., ACM TOG 2022, section 4.1);
- two relevances of every style channel for every region: `contribution`, the paper's M (equation 1, see
  `sfhub.regions.contribution`), and `influence`, measured by moving the channel (`sfhub.regions.influence`);
- per region the query that did best when measured (`sfhub.regions.build`).

`query` turns a relevance into a query for `sfhub.editing.transfer.interpolate_styles`.
"""

import inspect
from collections.abc import Mapping, Sequence

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from sfhub.editing.transfer import sequential_query, simultaneous_query, threshold_query
from sfhub.errors import InputError, short
from sfhub.models.style_space import StyleGenerator, check_same_layout

__all__ = ["FORMER_NAMES", "METHODS", "MODES", "RegionCatalog"]

METHODS = ("contribution", "influence")
"""Relevances of style channels; `RegionCatalog` has a buffer of each name."""

FORMER_NAMES = {"activation": "contribution"}
"""What sfhub 0.1.0 called a relevance, in recipes, catalogs and calls."""

MODES = {"sequential": sequential_query, "simultaneous": simultaneous_query, "threshold": threshold_query}
"""Ways to make a query from a relevance; their keyword arguments are those of `RegionCatalog.query`."""

METRICS = ("cosine", "euclidean")

# Below every similarity, and finite so that it can be interpolated.
NOWHERE = -1e4


class RegionCatalog(ModelMixin, ConfigMixin):
    """Regions, clusters and style relevances of one generator; made by `sfhub.regions.build.build_catalog`.

    Args:
        regions: names of the regions.
        layer: convolution whose output the clusters are of, or several in network order.
        num_clusters: K.
        layer_channels: channels of that layer, or of each; C is their sum.
        resolution: side of the generator's image in pixels.
        style_layers: name and width of every style layer in the order of S; with `resolution` this is the fingerprint
            by which another generator is refused.
        class_regions: for every class of the parser that named the clusters the index of its region, None without one.
        defaults: for every region how its default query was made (`method`, `mode`, its parameters).
        measured: for every region what was measured of its default query, the fields of
            `sfhub.regions.separability.Separability`. No part of the model's revision (`content_hash`). Catalogs of
            sfhub 0.1.0 have these figures among their `defaults`.
        metric: how activations are compared with the clusters, `cosine` or `euclidean`.

    Attributes:
        layers: names of the layers that the clusters are of; `layer` is the last of them, where a synthesis that only
            segments may stop.

    Raises:
        InputError: for an unknown metric, or cosines of several layers.

    Buffers:
        centers `[K, C]`, of unit length where cosines are compared; activation_mean, activation_std `[C]`, which
        normalise the layers; cluster_region `[K]`; contribution, influence and default_queries `[R, S]`;
        style_std `[S]`.
    """

    config_name = "config.json"

    @register_to_config
    def __init__(
        self,
        regions: Sequence[str],
        layer: str | Sequence[str],
        num_clusters: int,
        layer_channels: int | Sequence[int],
        resolution: int,
        style_layers: Sequence[tuple[str, int]],
        class_regions: Sequence[int] | None = None,
        defaults: Mapping[str, Mapping] | None = None,
        metric: str = "cosine",
        measured: Mapping[str, Mapping] | None = None,
    ):
        super().__init__()
        self.regions = tuple(regions)
        self.layers = (layer,) if isinstance(layer, str) else tuple(layer)
        self.layer = self.layers[-1]
        if metric not in METRICS or (metric == "cosine" and len(self.layers) > 1):
            raise InputError(
                f"Clusters of {len(self.layers)} layers cannot be compared by {short(metric)}; use euclidean, or "
                "cosine for one layer."
            )
        self.layer_widths = [layer_channels] if isinstance(layer_channels, int) else [int(n) for n in layer_channels]
        channels = sum(self.layer_widths)
        wrong = [index for index in class_regions or () if index is not None and not 0 <= index < len(self.regions)]
        if wrong or len(self.layer_widths) != len(self.layers):
            raise InputError(
                f"A catalog of {len(self.regions)} regions and {len(self.layers)} layers cannot have a class in region "
                f"{wrong[0] if wrong else 0} and {len(self.layer_widths)} numbers of channels; make it again."
            )
        self.style_widths = [int(width) for _, width in style_layers]
        shape = len(self.regions), sum(self.style_widths)
        self.register_buffer("centers", torch.zeros(num_clusters, channels))
        self.register_buffer("activation_mean", torch.zeros(channels))
        self.register_buffer("activation_std", torch.ones(channels))
        self.register_buffer("cluster_region", torch.zeros(num_clusters, dtype=torch.int64))
        self.register_buffer("contribution", torch.zeros(shape))
        self.register_buffer("influence", torch.zeros(shape))
        self.register_buffer("default_queries", torch.zeros(shape))
        self.register_buffer("style_std", torch.zeros(shape[1]))

    def check_generator(self, generator: StyleGenerator) -> None:
        """Raise an InputError unless `generator` has the style layout that this catalog was made for."""
        remedy = "use the catalog that was saved with the generator or build one with sfhub.regions.build.build_catalog"
        check_same_layout(generator, self.config.style_layers, self.config.resolution, "region catalog", remedy)
        layout = generator.style_layout
        read = {entry.reads: entry.width for entry in layout}
        for name, width in zip(self.layers, self.layer_widths, strict=True):
            if layout[name].kind != "conv" or read.get(name) != width:
                raise InputError(
                    f"The region catalog is of {width} channels of layer {name}, which it lacks; {remedy}."
                )

    def check_parser(self, classes: Sequence[str]) -> None:
        """Raise an InputError unless the catalog knows the region of every class of a parser, or of none."""
        known = self.config.class_regions
        if known is not None and len(known) != len(classes):
            raise InputError(
                f"The region catalog was made with a parser of {len(known)} classes and does not fit one of "
                f"{len(classes)}; use the parser that it was made with."
            )

    def index(self, region: str) -> int:
        """Row of a region.

        Raises:
            InputError: if there is no such region.
        """
        if region not in self.regions:
            raise InputError(f"There is no region {short(region)}; this model has {', '.join(self.regions)}.")
        return self.regions.index(region)

    def cluster(self, activations: Mapping[str, Tensor] | Tensor) -> Tensor:
        """Similarity `[B, K, h, w]` between each position and each cluster, the higher the nearer.

        The cosine, or half the mean squared distance over the channels, negative and up to a term that all clusters
        share. Smaller layers are up-sampled (bilinearly) to the size of the largest; since that and the product with
        the centroids are both linear, the products are up-sampled and not the many channels.

        Args:
            activations: output of `self.layers` by name, `[B, channels, h, w]` each; of a single layer also the tensor.

        Raises:
            InputError: if a layer is missing.
        """
        if isinstance(activations, Tensor):
            activations = {self.layer: activations}
        missing = [name for name in self.layers if name not in activations]
        if missing:
            raise InputError(f"The clusters need the activation of layer {missing[0]}, which was not given; add it.")
        values = [activations[name] for name in self.layers]
        mean, std = (
            part[:, None, None].split(self.layer_widths) for part in (self.activation_mean, self.activation_std)
        )
        normal = [(value.to(m) - m) / d for value, m, d in zip(values, mean, std, strict=True)]
        if self.config.metric == "cosine":
            return torch.einsum("kc,bchw->bkhw", self.centers, normalize(normal[0], dim=1))
        products: dict[tuple[int, int], Tensor] = {}
        for part, value in zip(self.centers.split(self.layer_widths, dim=1), normal, strict=True):
            size = tuple(value.shape[-2:])
            products[size] = products.get(size, 0) + torch.einsum("kc,bchw->bkhw", part, value)
        total = products.pop(max(products))
        for product in products.values():
            total = total + interpolate(product, size=total.shape[-2:], mode="bilinear", align_corners=False)
        return (total - self.centers.square().sum(dim=1)[:, None, None] / 2) / self.centers.shape[1]

    def segment(self, activations: Mapping[str, Tensor] | Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """Region of every position, by the nearest cluster.

        Args:
            activations: what `synthesis(..., return_activations=catalog.layers)` returns beside the image; of a single
                layer also its output `[B, C, h, w]` itself.
            size: height and width of the result; smooth borders, because the similarities are resized and not the
                labels. The size of the largest layer if None.

        Returns:
            int64 `[B, h, w]`, indices into `self.regions`.
        """
        similarity = self.cluster(activations)
        rows = [similarity[:, self.cluster_region == index] for index in range(len(self.regions))]
        empty = torch.full_like(similarity[:, :1], NOWHERE)
        nearest = torch.cat([row.amax(dim=1, keepdim=True) if row.shape[1] else empty for row in rows], dim=1)
        if size is not None:
            nearest = interpolate(nearest, size=tuple(size), mode="bilinear", align_corners=False)
        return nearest.argmax(dim=1)

    def region_labels(self, mask: Tensor) -> Tensor:
        """Class mask of the parser `[B, H, W]` -> int64 `[B, H, W]`, indices into `self.regions`.

        Raises:
            InputError: if this catalog was made without a parser.
        """
        if self.config.class_regions is None:
            raise InputError(
                "This region catalog was made without a parser and cannot read its masks; use segment on activations."
            )
        return torch.tensor(self.config.class_regions, device=mask.device)[mask.long()]

    def relevance(self, method: str) -> Tensor:
        """How much every style channel matters to every region, `[R, S]` in [0, 1], by one of `METHODS`.

        Raises:
            InputError: for an unknown method.
        """
        name = FORMER_NAMES.get(method, method)
        if name not in METHODS:
            raise InputError(f"There is no method {short(method)}; choose one of {', '.join(METHODS)}.")
        return self.get_buffer(name)

    def query(self, region: str, method: str = "influence", mode: str = "threshold", **params: float) -> Tensor:
        """How far each style channel goes from target to reference when `region` is transferred.

        Args:
            region: one of `self.regions`.
            method: relevance to use, `contribution` (the paper's M) or `influence`.
            mode: `sequential` (equation 5, per layer as the paper has it), `simultaneous` (equation 4) or `threshold`.
            params: of the mode: `epsilon` and `rho`, `gain`, or `threshold`; see `sfhub.editing.transfer`.

        Returns:
            `[S]` in [0, 1].

        Raises:
            InputError: for an unknown region, method or mode, or parameters that do not belong to the mode.
        """
        row = self.index(region)
        relevance = self.relevance(method)[row]
        if mode not in MODES:
            raise InputError(f"There is no mode {short(mode)}; choose one of {', '.join(MODES)}.")
        make = MODES[mode]
        known = list(inspect.signature(make).parameters)[1:]
        try:
            inspect.signature(make).bind(None, **params)
        except TypeError:
            given = ", ".join(params) or "nothing"
            raise InputError(f"A {mode} query takes {' and '.join(known)} but was given {given}.") from None
        return torch.cat([make(layer, **params) for layer in relevance.split(self.style_widths)])

    def default_query(self, region: str) -> Tensor:
        """The query `[S]` that did best for `region` when measured; `config.defaults` says how it was made.

        Raises:
            InputError: for an unknown region.
        """
        return self.default_queries[self.index(region)]

    def query_by(self, region: str, settings: Mapping[str, str | float] | None) -> Tensor:
        """The query `[S]` for settings as a mix has them.

        Args:
            region: one of `self.regions`.
            settings: None for the default query; a method alone for the default query where it was made from that
                relevance, else for the relevance itself; else what `query` takes beside the region.

        Raises:
            InputError: as `query`.
        """
        if settings is None:
            return self.default_query(region)
        if settings.keys() == {"method"}:
            given, best = settings["method"], (self.config.defaults or {}).get(region, {}).get("method")
            if FORMER_NAMES.get(given, given) == FORMER_NAMES.get(best, best):
                return self.default_query(region)
            return self.query(region, given, mode="simultaneous", gain=1.0)
        return self.query(region, **settings)
