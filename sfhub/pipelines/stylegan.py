"""Sample faces from a StyleGAN2 and give each semantic region its own source.

Two methods mix. *StyleFusion* (Kafri et al., TOG 2022) needs a fusion hierarchy: each node of its tree gets the code of
its source, `sfhub.models.fusion` makes one code of them, and a layout code can set the pose of all regions.

*Editing in Style* (Collins et al., CVPR 2020) needs a region catalog: a query q in [0, 1] per style channel says how
far the base's channel moves to the source's (equation 3). With several regions the pipeline weighs channel c for region
r by `w_r = strength_r * q_r[c]`; where the weights of all regions add up to more than 1 they are divided by their sum,
so the result is a convex combination of base and sources, whatever the order of the regions.

On a CPU every picture is computed by itself: the rounding of a convolution depends on the batch it is in, and a seed
has to give the same picture, bit for bit, whatever else was asked for at the same time.
"""

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sfhub.editing.transfer import interpolate_styles
from sfhub.errors import InputError
from sfhub.metrics.color import color_difference
from sfhub.models.fusion import FusionHierarchy
from sfhub.models.stylegan2 import StyleGAN2Generator
from sfhub.pipelines.base import SfhubPipeline
from sfhub.pipelines.recipe import CATALOG, FUSION, MAX_GRID, check_query, check_seed, extend, make_recipe
from sfhub.pipelines.regions import RegionNames, node_codes
from sfhub.pipelines.sample import Sample, Segmentation
from sfhub.portraits.parser import PortraitParser
from sfhub.regions.catalog import RegionCatalog

__all__ = ["StyleGANPipeline"]

# Pictures computed at once on an accelerator, where batches pay; see above for the CPU.
BATCH = 8

Samples = Sample | Sequence[Sample]


class StyleGANPipeline(SfhubPipeline):
    """Generate, mix, segment, compare and interpolate pictures of one StyleGAN2.

    Args:
        generator: the network.
        catalog: which style channel moves which region; mixes regions by Editing in Style, and names them.
        parser: picture -> semantic classes; draws finer outlines of regions than the catalog.
        fusion: mixes regions by StyleFusion.

    Raises:
        InputError: if the catalog or the hierarchy was made for another generator.
    """

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
    def sample(
        self,
        seeds: int | Sequence[int],
        truncation_psi: float = 0.7,
        label: int | Sequence[int] | None = None,
    ) -> list[Sample]:
        """One picture per seed.

        Args:
            seeds: whole numbers from 0 to 2**32 - 1; a seed gives the same picture in any batch.
            truncation_psi: 1 for the full variety, 0 for the average picture, -2 to 2.
            label: class of a conditional generator, one for all or one per seed.

        Raises:
            InputError: for a value outside these ranges.
        """
        seeds = [check_seed(seed) for seed in (seeds if isinstance(seeds, Sequence) else [seeds])]
        labels = list(label) if isinstance(label, Sequence) else [label] * len(seeds)
        if len(labels) != len(seeds):
            raise InputError(f"{len(labels)} labels do not go with {len(seeds)} seeds; give one, or one per seed.")
        psi = _number(truncation_psi, -2, 2, "Truncation psi")
        steps = [
            {"op": "sample", "inputs": [], "seed": seed, "truncation_psi": psi, "label": each}
            for seed, each in zip(seeds, labels, strict=True)
        ]
        codes = [self._code(step, []) for step in steps]
        return self._render(codes, [make_recipe(self.model_record, [step]) for step in steps])

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
        mixed = self._derive([(row, step) for row in _rows([base, *columns])])
        return mixed[0] if all(isinstance(each, Sample) for each in (base, *columns)) else mixed

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
        if isinstance(steps, bool) or not isinstance(steps, int) or not 2 <= steps <= 1000:
            raise InputError(f"A film of {steps!r} pictures cannot be made; take a whole number from 2 to 1000.")
        names = None if regions is None else list(dict.fromkeys(regions))
        if names == []:
            raise InputError(f"No region was named to move; choose from {', '.join(self.regions)}, or move them all.")
        positions = [k / (steps - 1) for k in range(steps)]
        if names is not None and self._names.method(method) == FUSION:
            return [self.mix(a, dict.fromkeys(names, b), position, method=method, **query) for position in positions]
        parts = None if names is None else list(self._names.owners(names))
        settings = None if names is None else _query_settings(self._names.method(method), query)
        step = {"op": "interpolate", "inputs": [], "regions": parts, "query": settings}
        return self._derive([((a, b), {**step, "position": position}) for position in positions])

    def grid(self, samples: Sequence[Sample], columns: int | None = None) -> Sample:
        """Pictures side by side, row by row, as one picture with a recipe of its own.

        Args:
            samples: up to 400 pictures of this model.
            columns: pictures per row; about as many as rows if None.

        Returns:
            A sample whose `s` is `[N, S]`; it can be saved and made again but not mixed.

        Raises:
            InputError: if there are too many pictures, or none.
        """
        count = len(samples)
        columns = math.ceil(count**0.5) if columns is None else columns
        if not 1 <= count <= MAX_GRID or not 1 <= columns <= MAX_GRID:
            raise InputError(f"A grid of {count} pictures in {columns} columns cannot be made; 1 to {MAX_GRID} can.")
        self._same_model(samples)
        recipe = extend([each.recipe for each in samples], {"op": "grid", "inputs": [], "columns": columns})
        image = _paste([each.image for each in samples], columns)
        return Sample(image, torch.cat([each.s for each in samples]), recipe)

    # Looking at pictures --------------------------------------------------------------------------------------------

    @torch.no_grad()
    def segment(self, sample: Samples) -> Segmentation | list[Segmentation]:
        """Which region each pixel belongs to: by the parser's masks where there is one, else by the catalog's clusters.

        Raises:
            InputError: if the pipeline has neither.
        """
        self._same_model(_as_list(sample))
        found = [self._segment_one(each) for each in _as_list(sample)]
        return found[0] if isinstance(sample, Sample) else found

    def difference(self, a: Samples, b: Samples) -> np.ndarray:
        """CIELAB distance (Delta E 1976) between two pictures, per pixel.

        Returns:
            float32 `[H, W]`, 0 or more; `[N, H, W]` if either is a batch. About 2.3 is just noticeable.
        """
        first, second = (torch.stack([_to_tensor(each.image) for each in _as_list(x)]) for x in (a, b))
        difference = color_difference(first, second).numpy()
        return difference[0] if isinstance(a, Sample) and isinstance(b, Sample) else difference

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

    @torch.no_grad()
    def remake(self, recipe: Mapping[str, Any]) -> Sample:
        """Follow the steps of a checked recipe (`check_recipe`) with this pipeline's model.

        Raises:
            InputError: if the model has no such region, class or query.
        """
        codes: list[Tensor] = []
        for step in recipe["steps"]:
            self._check_names(step)
            codes.append(self._code(step, [codes[i] for i in step["inputs"]]))
        remade, last = make_recipe(self.model_record, recipe["steps"]), recipe["steps"][-1]
        images = self._images(list(codes[-1].split(1)))
        image = _paste(images, last["columns"]) if last["op"] == "grid" else images[0]
        return Sample(image, codes[-1], remade)

    def _derive(self, made: Sequence[tuple[Sequence[Sample], dict[str, Any]]]) -> list[Sample]:
        """Pictures made from other pictures, each by one step."""
        for inputs, _ in made:
            self._same_model(inputs)
        codes = [self._code(step, [self._code_here(each) for each in inputs]) for inputs, step in made]
        return self._render(codes, [extend([each.recipe for each in inputs], step) for inputs, step in made])

    def _code(self, step: Mapping[str, Any], inputs: Sequence[Tensor]) -> Tensor:
        """The style code `[1, S]` that a step makes from the codes of its inputs."""
        if step["op"] == "sample":
            return self._sampled_code(step["seed"], step["truncation_psi"], step["label"])
        if step.get("method") == FUSION:
            return self._fused_code(step, inputs)
        if step["op"] == "mix":
            weights = [
                strength * self._query(name, step["query"])
                for name, strength in zip(step["regions"], step["strengths"], strict=True)
            ]
            return _weighted_mix(inputs[0], inputs[1:], weights)
        if step["op"] == "grid":
            return torch.cat(list(inputs))
        a, b = inputs
        if step["regions"] is None:
            return interpolate_styles(a, b, torch.ones_like(a[0]), step["position"])
        weights = [self._query(name, step["query"]) for name in step["regions"]]
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
        layout = weighted.pop() if step["layout"] else None
        regions = dict(zip(map(self._names.node, step["regions"]), weighted, strict=True))
        return self.fusion(node_codes(self.fusion.tree, base, regions, layout))

    def _code_here(self, sample: Sample) -> Tensor:
        """The code of a sample, which may have been put elsewhere to rest, where the generator is."""
        return sample.s.to(self.device, self.dtype)

    def _sampled_code(self, seed: int, truncation_psi: float, label: int | None) -> Tensor:
        # Drawn on the CPU, whose generator is the same everywhere, so that a seed means one face on any device.
        z = torch.randn(1, self.generator.config.z_dim, generator=torch.Generator("cpu").manual_seed(seed))
        one_hot = self._one_hot(label)
        w_plus = self.generator.mapping(z.to(self.device, self.dtype), one_hot, truncation_psi)
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

    def _render(self, codes: Sequence[Tensor], recipes: Sequence[dict[str, Any]]) -> list[Sample]:
        return [Sample(*each) for each in zip(self._images(codes), codes, recipes, strict=True)]

    def _images(self, codes: Sequence[Tensor]) -> list[Image.Image]:
        """The picture of each code `[1, S]`."""
        size = 1 if self.device.type == "cpu" else BATCH
        chunks = [codes[i : i + size] for i in range(0, len(codes), size)]
        images: list[Image.Image] = []
        for chunk in self.progress_bar(chunks):
            images += _to_pil(self.generator.synthesis(torch.cat(list(chunk)), noise_mode="const"))
        return images

    def _segment_one(self, sample: Sample) -> Segmentation:
        width, height = sample.image.size
        # A parser draws finer outlines than clusters; the catalog says which of its classes is which region.
        if self.parser is not None and (self.catalog is None or self.catalog.config.class_regions):
            image = _to_tensor(sample.image)[None].to(self.device, self.parser.dtype)
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

    def _check_names(self, step: Mapping[str, Any]) -> None:
        """Refuse a step of a recipe whose regions or method this model does not have."""
        if step["op"] != "mix" and not step.get("regions"):
            return
        fused = step.get("method") == FUSION
        # Steps of Editing in Style have the catalog's names, also those that mean something else to the hierarchy.
        names = self._names if fused else RegionNames(self.catalog, None)
        names.method(FUSION if fused else CATALOG)
        for name in step["regions"]:
            names.node(name) if fused else names.parts(name)

    def _strengths(self, names: Sequence[str], strength: float | Mapping[str, float]) -> list[float]:
        if not isinstance(strength, Mapping):
            return [_number(strength, 0, 1, "Strength")] * len(names)
        for name in strength:
            if name not in names:
                raise InputError(f"Region {name!r} has a strength but no source; give it one or leave it out.")
        return [_number(strength.get(name, 1.0), 0, 1, f"The strength of {name!r}") for name in names]

    def _same_model(self, samples: Sequence[Sample]) -> None:
        for each in samples:
            if not isinstance(each, Sample):
                raise InputError(f"{each!r} is no Sample; make the pictures with this pipeline, say by sample().")
            if len(each.s) != 1:
                raise InputError("A grid cannot be used as a picture; use one of the pictures it was made of.")
            theirs, ours = each.recipe["model"], self.model_record
            if theirs["revision"] != ours["revision"]:
                raise InputError(
                    f"A picture of model {theirs['name']} ({theirs['revision']}) cannot be used with model "
                    f"{ours['name']} ({ours['revision']}); make it again with this pipeline."
                )


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


def _rows(columns: Sequence[Samples]) -> list[tuple[Sample, ...]]:
    """Batches of one length and single pictures -> one tuple per result."""
    lists = [_as_list(column) for column in columns]
    lengths = {len(each) for each, column in zip(lists, columns, strict=True) if not isinstance(column, Sample)}
    if len(lengths) > 1 or lengths == {0}:
        raise InputError(f"Batches of {sorted(lengths)} pictures do not go together; give each one picture or as many.")
    count = lengths.pop() if lengths else 1
    return list(zip(*(each if len(each) == count else each * count for each in lists), strict=True))


def _as_list(samples: Samples) -> list[Sample]:
    return [samples] if isinstance(samples, Sample) else list(samples)


def _number(value: Any, low: float, high: float, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not low <= value <= high:
        raise InputError(f"{what} is {value!r}; take a number from {low} to {high}.")
    return float(value)


def _to_pil(images: Tensor) -> list[Image.Image]:
    """`[B, 3, H, W]` in [-1, 1] -> RGB pictures, rounded as NVIDIA's code does."""
    pixels = (images.float() * 127.5 + 128).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    return [Image.fromarray(each) for each in pixels]


def _paste(images: Sequence[Image.Image], columns: int) -> Image.Image:
    """Pictures of one size side by side, `columns` per row, on white."""
    width, height = images[0].size
    columns = min(columns, len(images))
    page = Image.new("RGB", (width * columns, height * math.ceil(len(images) / columns)), "white")
    for k, image in enumerate(images):
        page.paste(image, (k % columns * width, k // columns * height))
    return page


def _to_tensor(image: Image.Image) -> Tensor:
    """RGB picture -> `[3, H, W]` in [-1, 1]."""
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1) / 127.5 - 1
