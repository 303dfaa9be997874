"""The region catalog: which style channels of one generator move which semantic region.

A Hub component that belongs to a generator. It holds

- the clusters of the generator's activations and the region each was named after (*Editing in Style*, Collins et al.,
  CVPR 2020, section 3.1), which segment any image of the generator without another network;
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
from sfhub.errors import InputError
from sfhub.models.stylegan2 import StyleGAN2Generator

__all__ = ["METHODS", "MODES", "RegionCatalog"]

METHODS = {"activation": "contribution", "influence": "influence"}
"""Relevance by the name of its method."""

MODES = {"sequential": sequential_query, "simultaneous": simultaneous_query, "threshold": threshold_query}
"""Ways to make a query from a relevance; their keyword arguments are those of `RegionCatalog.query`."""

# Below every cosine, and finite so that it can be interpolated.
NOWHERE = -2.0


class RegionCatalog(ModelMixin, ConfigMixin):
    """Regions, clusters and style relevances of one generator; made by `sfhub.regions.build.build_catalog`.

    Args:
        regions: names of the regions.
        layer: convolution whose output the clusters are of.
        num_clusters: K.
        layer_channels: channels C of that layer.
        resolution: side of the generator's image in pixels.
        style_layers: name and width of every style layer in the order of S; with `resolution` this is the fingerprint
            by which another generator is refused.
        class_regions: for every class of the parser that named the clusters the index of its region, None without one.
        defaults: for every region how its default query was made and what was measured of it (`method`, `mode`, its
            parameters, `transfer`, `leak`).

    Buffers:
        centers `[K, C]` of unit length; activation_mean, activation_std `[C]`, which normalise the layer;
        cluster_region `[K]`; contribution, influence and default_queries `[R, S]`; style_std `[S]`.
    """

    config_name = "config.json"

    @register_to_config
    def __init__(
        self,
        regions: Sequence[str],
        layer: str,
        num_clusters: int,
        layer_channels: int,
        resolution: int,
        style_layers: Sequence[tuple[str, int]],
        class_regions: Sequence[int] | None = None,
        defaults: Mapping[str, Mapping] | None = None,
    ):
        super().__init__()
        self.regions = tuple(regions)
        self.layer = layer
        self.style_widths = [int(width) for _, width in style_layers]
        shape = len(self.regions), sum(self.style_widths)
        self.register_buffer("centers", torch.zeros(num_clusters, layer_channels))
        self.register_buffer("activation_mean", torch.zeros(layer_channels))
        self.register_buffer("activation_std", torch.ones(layer_channels))
        self.register_buffer("cluster_region", torch.zeros(num_clusters, dtype=torch.int64))
        self.register_buffer("contribution", torch.zeros(shape))
        self.register_buffer("influence", torch.zeros(shape))
        self.register_buffer("default_queries", torch.zeros(shape))
        self.register_buffer("style_std", torch.zeros(shape[1]))

    def check_generator(self, generator: StyleGAN2Generator) -> None:
        """Raise an InputError unless `generator` has the style layout that this catalog was made for."""
        layers = [[entry.name, entry.width] for entry in generator.style_layout]
        if layers != [list(row) for row in self.config.style_layers]:
            raise InputError(
                f"This region catalog was made for a generator of {self.config.resolution} pixels with "
                f"{sum(self.style_widths)} styles and does not fit one of {generator.config.resolution} pixels with "
                f"{generator.style_layout.size} styles in {len(layers)} layers; use the catalog that was saved with "
                "the generator or build one with sfhub.regions.build.build_catalog."
            )

    def index(self, region: str) -> int:
        """Row of a region.

        Raises:
            InputError: if there is no such region.
        """
        if region not in self.regions:
            raise InputError(f"There is no region {region!r}; this model has {', '.join(self.regions)}.")
        return self.regions.index(region)

    def cluster(self, activation: Tensor) -> Tensor:
        """Cosine `[B, K, h, w]` between each position and each cluster.

        Args:
            activation: output of `self.layer`, `[B, C, h, w]`.
        """
        mean, std = (value[:, None, None] for value in (self.activation_mean, self.activation_std))
        unit = normalize((activation.to(mean) - mean) / std, dim=1)
        return torch.einsum("kc,bchw->bkhw", self.centers, unit)

    def segment(self, activations: Mapping[str, Tensor] | Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """Region of every position, by the nearest cluster.

        Args:
            activations: what `synthesis(..., return_activations=[catalog.layer])` returns beside the image, or that
                layer's output `[B, C, h, w]` itself.
            size: height and width of the result; smooth borders, because the similarities are resized and not the
                labels. The layer's own size if None.

        Returns:
            int64 `[B, h, w]`, indices into `self.regions`.
        """
        activation = activations if isinstance(activations, Tensor) else activations[self.layer]
        cosine = self.cluster(activation)
        rows = [cosine[:, self.cluster_region == index] for index in range(len(self.regions))]
        empty = torch.full_like(cosine[:, :1], NOWHERE)
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

    def query(self, region: str, method: str = "influence", mode: str = "threshold", **params: float) -> Tensor:
        """How far each style channel goes from target to reference when `region` is transferred.

        Args:
            region: one of `self.regions`.
            method: relevance to use, `activation` (the paper's M) or `influence`.
            mode: `sequential` (equation 5, per layer as the paper has it), `simultaneous` (equation 4) or `threshold`.
            params: of the mode: `epsilon` and `rho`, `gain`, or `threshold`; see `sfhub.editing.transfer`.

        Returns:
            `[S]` in [0, 1].

        Raises:
            InputError: for an unknown region, method or mode, or parameters that do not belong to the mode.
        """
        row = self.index(region)
        if method not in METHODS:
            raise InputError(f"There is no method {method!r}; choose one of {', '.join(METHODS)}.")
        if mode not in MODES:
            raise InputError(f"There is no mode {mode!r}; choose one of {', '.join(MODES)}.")
        make = MODES[mode]
        known = list(inspect.signature(make).parameters)[1:]
        try:
            inspect.signature(make).bind(None, **params)
        except TypeError:
            given = ", ".join(params) or "nothing"
            raise InputError(f"A {mode} query takes {' and '.join(known)} but was given {given}.") from None
        relevance = getattr(self, METHODS[method])[row]
        return torch.cat([make(layer, **params) for layer in relevance.split(self.style_widths)])

    def default_query(self, region: str) -> Tensor:
        """The query `[S]` that did best for `region` when measured; `config.defaults` says how it was made.

        Raises:
            InputError: for an unknown region.
        """
        return self.default_queries[self.index(region)]
