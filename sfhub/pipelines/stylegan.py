"""Sample faces from a StyleGAN2 and give each semantic region its own source.

Two methods mix. *StyleFusion* (Kafri et al., TOG 2022) needs a fusion hierarchy: each node of its tree gets the code of
its source, `sfhub.models.fusion` makes one code of them, and a layout code can set the pose of all regions.

*Editing in Style* (Collins et al., CVPR 2020) needs a region catalog: a query q in [0, 1] per style channel says how
far the base's channel moves to the source's (equation 3). With several regions the pipeline weighs channel c for region
r by `w_r = strength_r * q_r[c]`; where the weights of all regions add up to more than 1 they are divided by their sum,
so the result is a convex combination of base and sources, whatever the order of the regions.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from sfhub.editing.transfer import interpolate_styles
from sfhub.errors import InputError
from sfhub.models.fusion import FusionHierarchy
from sfhub.models.stylegan2 import StyleGAN2Generator
from sfhub.pipelines.generator import GeneratorPipeline, Samples, to_tensor
from sfhub.pipelines.recipe import CATALOG, FUSION, SEMANTIC, check_query
from sfhub.pipelines.regions import RegionNames, node_codes
from sfhub.pipelines.sample import Sample, Segmentation
from sfhub.portraits.parser import PortraitParser
from sfhub.regions.catalog import RegionCatalog

__all__ = ["StyleGANPipeline"]


class StyleGANPipeline(GeneratorPipeline):
    """Generate, mix, segment, compare and interpolate pictures of one StyleGAN2.

    Args:
        generator: the network.
        catalog: which style channel moves which region; mixes regions by Editing in Style, and names them.
        parser: picture -> semantic classes; draws finer outlines of regions than the catalog.
        fusion: mixes regions by StyleFusion.

    Raises:
        InputError: if the catalog or the hierarchy was made for another generator.
    """

    MIX_OPTIONS: ClassVar[tuple[str, ...]] = ("layout", "method")
    TAGS: ClassVar[tuple[str, ...]] = ("stylegan2",)
    _optional_components: ClassVar[list[str]] = ["catalog", "parser", "fusion"]

    def __init__(
        self,
        generator: StyleGAN2Generator,
        catalog: RegionCatalog | None = None,
        parser: PortraitParser | None = None,
        fusion: FusionHierarchy | None = None,
    ):
        super().__init__()
        for made_for_it in (catalog, fusion):
            if made_for_it is not None:
                made_for_it.check_generator(generator)
        self.register_modules(generator=generator, catalog=catalog, parser=parser, fusion=fusion)

    # Making pictures ------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def mix(
        self,
        base: Samples,
        regions: Mapping[str, Samples] | None = None,
        strength: float | Mapping[str, float] = 1.0,
        *,
        layout: Samples | None = None,
        method: str | None = None,
        **query: str | float,
    ) -> Sample | list[Sample]:
        """Give regions of `base` the look they have in other pictures.

        Args:
            base: the picture to change, or a batch of them.
            regions: region -> its source, a picture or a batch. Batches have one common length. A region that is made
                of others, such as "face" of the portraits' hierarchy, covers them until they have their own source.
            strength: 0 (keep what is there without the source) to 1, for everything or by region, 1 where a region is
                not named; that of the layout has the name "layout".
            layout: the picture that pose and place of all regions come from; method `fusion` only.
            method: `fusion`, the fusion hierarchy; `catalog`, Editing in Style with the query per region that the
                catalog's maker measured to be best; `activation` or `influence`, Editing in Style with that relevance.
                None for `fusion` if the model has a hierarchy, else `catalog`.
            **query: for the last two, settings of `RegionCatalog.query` such as `mode="sequential", epsilon=20`;
                without any, the measured query where it is made from that relevance, else the relevance itself.

        Returns:
            One picture if everything given was one picture, else a list.

        Raises:
            InputError: for an unknown region, a strength outside [0, 1], pictures of another model, a query that the
                catalog does not know, or a method or layout without the component that it takes.
        """
        given = dict(regions or {})
        if not given and layout is None:
            raise InputError(f"No region was given a source; choose from {', '.join(self.regions)}.")
        method = self._names.method(method)
        strengths = self._strengths([*given, *(["layout"] if layout is not None else [])], strength)
        if method == FUSION:
            step, columns = self._fusion_step(given, layout, strengths, query)
        else:
            step, columns = self._catalog_step(given, layout, strengths, method, query)
        return self._mixed([base, *columns], step)

    __call__ = mix

    @torch.no_grad()
    def interpolate(
        self,
        a: Sample,
        b: Sample,
        steps: int,
        regions: Sequence[str] | None = None,
        *,
        method: str | None = None,
        **query: str | float,
    ) -> list[Sample]:
        """A film from `a` to `b`.

        Args:
            a, b: first and last picture.
            steps: number of pictures, 2 to 1000, `a` and `b` included.
            regions: move only these regions; the film then ends at the mix of `a` with those regions of `b`. None for
                the whole picture, which takes no method.
            method, **query: as for `mix`.

        Raises:
            InputError: as `mix`, or for a number of steps out of range.
        """
        positions, names = self._positions(steps), self._moved(regions)
        if names is not None and self._names.method(method) == FUSION:
            return [self.mix(a, dict.fromkeys(names, b), position, method=method, **query) for position in positions]
        parts = None if names is None else list(self._names.owners(names))
        settings = None if names is None else _query_settings(self._names.method(method), query)
        step = {"op": "interpolate", "inputs": [], "regions": parts, "query": settings}
        return self._derive([((a, b), {**step, "position": position}) for position in positions])

    # Looking at pictures --------------------------------------------------------------------------------------------

    @property
    def regions(self) -> tuple[str, ...]:
        """Names of the regions that can be mixed; empty without a catalog or a hierarchy.

        The nodes of the hierarchy where there is one, leaves first, else the catalog's. Names that only the catalog has
        are understood all the same, and stand for the leaf that covers them.
        """
        return self._names.regions

    @property
    def _names(self) -> RegionNames:
        return RegionNames(self.catalog, self.fusion)

    def parts(self, region: str) -> tuple[str, ...]:
        """Which of the catalog's regions, by which `segment` labels pixels, a region that can be mixed covers.

        Raises:
            InputError: if there is no such region.
        """
        return self._names.parts(region)

    def card_facts(self) -> dict[str, str]:
        """What the model card says about this model."""
        facts = {
            "resolution": f"{self.generator.config.resolution} px",
            "style space": f"S of {self.generator.style_layout.size:,} dimensions",
        }
        facts |= {"regions": ", ".join(self.regions)} if self.regions else {}
        return facts | ({"fusion": f"{len(self.fusion.nets)} fusion networks (StyleFusion)"} if self.fusion else {})

    # Steps of recipes -----------------------------------------------------------------------------------------------

    def _code(self, step: Mapping[str, Any], inputs: Sequence[Tensor]) -> Tensor:
        """The style code `[1, S]` that a step makes from the codes of its inputs."""
        if step["op"] == "sample":
            return self._sampled_code(step["seed"], step["truncation_psi"], step.get("label"))
        if step.get("method") == FUSION:
            return self._fused_code(step, inputs)
        if step["op"] == "mix":
            weights = [
                strength * self._query(name, step.get("query"))
                for name, strength in zip(step["regions"], step["strengths"], strict=True)
            ]
            return _weighted_mix(inputs[0], inputs[1:], weights)
        a, b = inputs
        if step.get("regions") is None:
            return interpolate_styles(a, b, torch.ones_like(a[0]), step["position"])
        weights = [self._query(name, step.get("query")) for name in step["regions"]]
        return interpolate_styles(a, b, torch.stack(weights).sum(dim=0).clamp(max=1), step["position"])

    def _fusion_step(
        self,
        regions: Mapping[str, Samples],
        layout: Samples | None,
        strengths: Sequence[float],
        query: Mapping[str, str | float],
    ) -> tuple[dict[str, Any], list[Samples]]:
        """What a mix by the hierarchy says in a recipe, and what goes in beside the base."""
        if query:
            raise InputError(
                f"The query settings {', '.join(query)} are of Editing in Style; "
                "choose method 'influence' or 'activation' with them, or leave them out."
            )
        nodes = [self._names.node(name) for name in regions]
        doubled = next((name for name, node in zip(regions, nodes, strict=True) if nodes.count(node) > 1), None)
        if doubled is not None:
            raise InputError(
                f"Region {doubled!r} was given twice, as the catalog and as the hierarchy name it; "
                f"give {self._names.node(doubled)!r} alone."
            )
        step = {"op": "mix", "inputs": [], "method": FUSION, "regions": nodes, "strengths": list(strengths)}
        step["layout"] = layout is not None
        return step, [*regions.values(), *([layout] if layout is not None else [])]

    def _catalog_step(
        self,
        regions: Mapping[str, Samples],
        layout: Samples | None,
        strengths: Sequence[float],
        method: str,
        query: Mapping[str, str | float],
    ) -> tuple[dict[str, Any], list[Samples]]:
        """What a mix by the catalog says in a recipe, which knows the catalog's regions only, and what goes in."""
        if layout is not None:
            found = "this model has none" if self.fusion is None else f"the method is {method!r}"
            raise InputError(
                f"A layout needs a fusion hierarchy and method 'fusion', but {found}; leave the layout out."
            )
        owners = self._names.owners(list(regions))
        strength_of = dict(zip(regions, strengths, strict=True))
        step = {
            "op": "mix",
            "inputs": [],
            "regions": list(owners),
            "strengths": [strength_of[name] for name in owners.values()],
            "query": _query_settings(method, query),
        }
        return step, [regions[name] for name in owners.values()]

    def _fused_code(self, step: Mapping[str, Any], inputs: Sequence[Tensor]) -> Tensor:
        base, *sources = inputs
        weighted = list(zip(sources, step["strengths"], strict=True))
        layout = weighted.pop() if step.get("layout") else None
        regions = dict(zip(map(self._names.node, step["regions"]), weighted, strict=True))
        return self.fusion(node_codes(self.fusion.tree, base, regions, layout))

    def _sampled_code(self, seed: int, truncation_psi: float, label: int | None) -> Tensor:
        w_plus = self.generator.mapping(self._latent(seed), self._one_hot(label), truncation_psi)
        return self.generator.styles(w_plus)

    def _one_hot(self, label: int | None) -> Tensor | None:
        classes = self.generator.config.num_classes
        if classes == 0 and label is None:
            return None
        if classes == 0:
            raise InputError(f"Label {label!r} cannot be used, for this model has no classes; leave it out.")
        if isinstance(label, bool) or not isinstance(label, int) or not 0 <= label < classes:
            raise InputError(f"Label {label!r} cannot be used; this model takes a class from 0 to {classes - 1}.")
        return torch.nn.functional.one_hot(torch.tensor([label]), classes).to(self.device, self.dtype)

    def _query(self, region: str, settings: Mapping[str, Any] | None) -> Tensor:
        """How far each style channel goes to the source, `[S]` in [0, 1]."""
        if settings is None or settings == {"method": self._measured_method(region)}:
            query = self.catalog.default_query(region)
        elif settings.keys() == {"method"}:
            query = self.catalog.query(region, settings["method"], mode="simultaneous", gain=1.0)
        else:
            query = self.catalog.query(region, **settings)
        return query.to(self.device, self.dtype)

    def _measured_method(self, region: str) -> str | None:
        """The relevance that a region's measured query is made from, if the catalog says so."""
        return (self.catalog.config.defaults or {}).get(region, {}).get("method")

    def _synthesize(self, codes: Sequence[Tensor]) -> Tensor:
        return self.generator.synthesis(torch.cat(list(codes)), noise_mode="const")

    def _segment_one(self, sample: Sample) -> Segmentation:
        """The regions of one picture: by the parser's masks where there is one, else by the catalog's clusters."""
        width, height = sample.image.size
        # A parser draws finer outlines than clusters; the catalog says which of its classes is which region.
        if self.parser is not None and (self.catalog is None or self.catalog.config.class_regions):
            image = to_tensor(sample.image)[None].to(self.device, self.parser.dtype)
            labels, names = self.parser.segment(image), tuple(self.parser.config.class_names)
            if self.catalog is not None:
                labels, names = self.catalog.region_labels(labels), tuple(self.catalog.regions)
        elif self.catalog is not None:
            # Synthesis may stop at the last layer that the clusters are of.
            _, activations = self.generator.synthesis(
                self._code_here(sample),
                resolution=self.generator.style_layout[self.catalog.layer].resolution,
                return_activations=self.catalog.layers,
            )
            labels = self.catalog.segment(activations, size=(height, width))
            names = tuple(self.catalog.regions)
        else:
            raise InputError(
                "This model cannot segment, for it has neither a region catalog nor a parser; add one to the pipeline."
            )
        return Segmentation(labels[0].long().cpu().numpy(), names)

    # Checks ---------------------------------------------------------------------------------------------------------

    def _check_step(self, step: Mapping[str, Any]) -> None:
        if step["op"] == "compose" or step.get("method") == SEMANTIC:
            raise InputError(
                "This picture was mixed by a SemanticStyleGAN, but this model is a StyleGAN2; use the one that made it."
            )
        if step["op"] != "mix" and not step.get("regions"):
            return
        fused = step.get("method") == FUSION
        # Steps of Editing in Style have the catalog's names, also those that mean something else to the hierarchy.
        names = self._names if fused else RegionNames(self.catalog, None)
        names.method(FUSION if fused else CATALOG)
        for name in step["regions"]:
            names.node(name) if fused else names.parts(name)


def _weighted_mix(base: Tensor, sources: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
    """Convex combination of codes per channel (equation 3 for one source).

    Args:
        base: `[1, S]`.
        sources: codes `[1, S]`.
        weights: `[S]` in [0, 1], one per source; the base keeps what they leave of 1.
    """
    total = torch.stack(list(weights)).sum(dim=0)
    shares = [weight / total.where(total > 0, 1) for weight in weights]
    target = sum(share * source for share, source in zip(shares, sources, strict=True))
    return interpolate_styles(base, target, total.clamp(max=1))


def _query_settings(method: str, query: Mapping[str, str | float]) -> dict[str, str | float] | None:
    """The `query` entry of a recipe."""
    settings = {name: value if isinstance(value, str) else float(value) for name, value in query.items()}
    return check_query(settings if method == CATALOG else {"method": method, **settings}) or None
