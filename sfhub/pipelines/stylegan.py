"""Sample faces from a StyleGAN and give each semantic region its own source.

Two ways mix: *StyleFusion* (Kafri et al., TOG 2022), which needs a fusion hierarchy, and *Editing in Style* (Collins et
al., CVPR 2020), which needs a region catalog; `sfhub.steps.mix_by_fusion` and `sfhub.steps.mix_by_catalog`.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from PIL import Image
from torch import Tensor

from sfhub.editing.directions import EditDirections
from sfhub.editing.spaces import CodeSpace, Latent, code_space
from sfhub.errors import InputError, short
from sfhub.images.pixels import to_tensor
from sfhub.models.fusion import FusionHierarchy
from sfhub.models.parser import Parser
from sfhub.models.style_space import StyleGenerator
from sfhub.pipelines.generator import Samples
from sfhub.pipelines.sample import Sample, Segmentation
from sfhub.pipelines.text_edits import TextEditingPipeline
from sfhub.regions.catalog import FORMER_NAMES, METHODS, RegionCatalog
from sfhub.regions.names import RegionNames
from sfhub.steps.checks import MAX_NAMES
from sfhub.steps.code import Code
from sfhub.steps.interpolate import InterpolateStyles
from sfhub.steps.mix import MixStep, Request
from sfhub.steps.mix_by_catalog import MixByCatalog, check_catalog
from sfhub.steps.mix_by_fusion import MixByFusion
from sfhub.steps.query import query_settings
from sfhub.text.relevance import TextRelevance

__all__ = ["StyleGANPipeline"]

WAYS: dict[str, type[MixStep]] = dict.fromkeys(METHODS, MixByCatalog) | {
    each.NAME: each for each in (MixByCatalog, MixByFusion)
}
"""Way of mixing by what users call its method; a relevance stands for queries that are made from it."""


class StyleGANPipeline(TextEditingPipeline):
    """Generate, mix, segment, compare and interpolate pictures of one StyleGAN.

    Args:
        generator: the network.
        catalog: which style channel moves which region; mixes regions by Editing in Style, and names them.
        parser: picture -> semantic classes; draws finer outlines of regions than the catalog.
        fusion: mixes regions by StyleFusion.
        directions: named edits; see `edit`.
        text_relevance: makes edits of texts at once; see `edit_text`.

    Raises:
        InputError: if the catalog, the hierarchy, the directions or the relevance were made for another generator.
    """

    FAMILY: ClassVar[str] = "StyleGAN"
    MIX_OPTIONS: ClassVar[tuple[str, ...]] = ("layout", "method")
    TAGS: ClassVar[tuple[str, ...]] = ("stylegan2",)
    _optional_components: ClassVar[list[str]] = ["catalog", "parser", "fusion", "directions", "text_relevance"]

    def __init__(
        self,
        generator: StyleGenerator,
        catalog: RegionCatalog | None = None,
        parser: Parser | None = None,
        fusion: FusionHierarchy | None = None,
        directions: EditDirections | None = None,
        text_relevance: TextRelevance | None = None,
    ):
        super().__init__()
        for made_for_it in (catalog, fusion):
            if made_for_it is not None:
                made_for_it.check_generator(generator)
        if catalog is not None and parser is not None:
            catalog.check_parser(parser.config.class_names)
        for made_for_it in (directions, text_relevance):
            if made_for_it is not None:
                made_for_it.check_space(code_space(generator))
        self.register_modules(
            generator=generator,
            catalog=catalog,
            parser=parser,
            fusion=fusion,
            directions=directions,
            text_relevance=text_relevance,
        )

    # Making pictures ------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def mix(
        self,
        base: Samples,
        regions: Mapping[str, Samples] | None = None,
        strength: float | Mapping[str, float] = 1.0,
        *,
        layout: Samples | None = None,
        layout_strength: float | None = None,
        method: str | None = None,
        **query: str | float,
    ) -> Sample | list[Sample]:
        """Give regions of `base` the look they have in other pictures.

        Args:
            base: the picture to change, or a batch of them.
            regions: region -> its source, a picture or a batch. Batches have one common length. A region that is made
                of others, such as "face" of the portraits' hierarchy, covers them until they have their own source.
            strength: 0 (keep what is there without the source) to 1, for everything or by region, 1 where a region is
                not named.
            layout: the picture that pose and place of all regions come from; method `fusion` only.
            layout_strength: that of the layout; None for `strength` if it is one number, else 1.
            method: `fusion`, the fusion hierarchy; `catalog`, Editing in Style with the query per region that the
                catalog's maker measured to be best; `contribution` or `influence`, Editing in Style with that
                relevance. None for `fusion` if the model has a hierarchy, else `catalog`.
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
        way = self._way(method)
        strengths, pose = self._strengths(list(given), strength, layout, layout_strength)
        request = Request(dict(zip(given, strengths, strict=True)), pose, method or way.NAME, query)
        step, names = way.asked(self, request)
        return self.render(step, base, *(given[name] for name in names), *([] if layout is None else [layout]))

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
        if names is None:
            return self._film(a, b, InterpolateStyles(), positions)
        way = self._way(method)
        if way is MixByFusion:  # a hierarchy knows no way between two pictures but sources of some strength
            return [self.mix(a, dict.fromkeys(names, b), position, method=method, **query) for position in positions]
        check_catalog(self)
        owners = tuple(self.region_names.owners(names))
        return self._film(a, b, InterpolateStyles(owners, query_settings(method or way.NAME, query)), positions)

    def _way(self, method: str | None) -> type[MixStep]:
        """The way of mixing that a method stands for, None for the best one that the model has."""
        if method is None:
            return (*self.mix_types, MixByCatalog)[0]
        if (name := FORMER_NAMES.get(method, method)) not in WAYS:
            raise InputError(f"There is no method {short(method)}; choose one of {', '.join(WAYS)}.")
        return WAYS[name]

    def check_mix(self, regions: Sequence[str], method: str | None = None) -> None:
        """As `GeneratorPipeline.check_mix`."""
        if self._way(method) is not MixByFusion or self.fusion is None or len(regions) > MAX_NAMES:
            super().check_mix(regions)
            return
        for name in regions:  # nodes, which the catalog need not have
            self.region_names.node(name)

    # Looking at pictures --------------------------------------------------------------------------------------------

    @property
    def region_names(self) -> RegionNames:
        """The nodes of the hierarchy where there is one, leaves first, else the catalog's regions.

        Names that only the catalog has are understood all the same, and stand for the leaf that covers them.
        """
        return RegionNames(self.catalog, self.fusion)

    @property
    def mix_types(self) -> tuple[type[MixStep], ...]:
        """As `GeneratorPipeline.mix_types`."""
        found = {MixByFusion: self.fusion, MixByCatalog: self.catalog}
        return tuple(way for way, component in found.items() if component is not None)

    def card_facts(self) -> dict[str, str]:
        """What the model card says about this model."""
        facts = {
            "resolution": f"{self.generator.config.resolution} px",
            "style space": f"S of {self.generator.style_layout.size:,} dimensions",
        }
        facts |= {"regions": ", ".join(self.regions)} if self.regions else {}
        facts |= {"fusion": f"{len(self.fusion.nets)} fusion networks (StyleFusion)"} if self.fusion else {}
        return facts | self.edit_facts()

    # What steps take ------------------------------------------------------------------------------------------------

    def sampled(self, z: Tensor, truncation_psi: float, label: int | None) -> Code:
        """As `GeneratorPipeline.sampled`."""
        w_plus = self.generator.mapping(z, self._one_hot(label), truncation_psi)
        return Code(self.generator.styles(w_plus), w_plus, Latent(z, truncation_psi, label))

    def _one_hot(self, label: int | None) -> Tensor | None:
        classes = self.generator.config.num_classes
        if classes == 0 and label is None:
            return None
        if classes == 0:
            raise InputError(f"Label {short(label)} cannot be used, for this model has no classes; leave it out.")
        if isinstance(label, bool) or not isinstance(label, int) or not 0 <= label < classes:
            raise InputError(f"Label {short(label)} cannot be used; this model takes a class from 0 to {classes - 1}.")
        return torch.nn.functional.one_hot(torch.tensor([label]), classes).to(self.device, self.dtype)

    @property
    def code_space(self) -> CodeSpace:
        """As `GeneratorPipeline.code_space`."""
        return code_space(self.generator, self._one_hot)

    def _synthesize(self, codes: Sequence[Tensor]) -> Tensor:
        return self.generator.synthesis(torch.cat(list(codes)), noise_mode="const")

    def _segment_one(self, image: Image.Image, code: Code) -> Segmentation:
        """The regions of one picture: by the parser's masks where there is one, else by the catalog's clusters."""
        width, height = image.size
        # A parser draws finer outlines than clusters; the catalog says which of its classes is which region.
        if self.parser is not None and (self.catalog is None or self.catalog.config.class_regions):
            pixels = to_tensor(image)[None].to(self.device, self.parser.dtype)
            labels, names = self.parser.segment(pixels), tuple(self.parser.config.class_names)
            if self.catalog is not None:
                labels, names = self.catalog.region_labels(labels), tuple(self.catalog.regions)
        elif self.catalog is not None:
            # Synthesis may stop at the last layer that the clusters are of.
            _, activations = self.generator.synthesis(
                code.s,
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
