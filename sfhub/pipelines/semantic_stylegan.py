"""Sample faces from a SemanticStyleGAN, give regions their own source, and put faces together from components.

*SemanticStyleGAN* (Shi et al., CVPR 2022) has regions built in: its W+ holds base codes (pose, coarse structure), then
for each class a shape and a texture code (eq. 1). So to mix is to exchange codes, no catalog and no fusion network is
needed, and shape and texture of a region can have different sources (fig. 18). Classes can be left out (fig. 5), moved
and scaled through the Fourier features (fig. 8), and come with masks and pseudo-depths.

The paper inverts a real background into the feature map; here the photograph itself is blended in by the generator's
refined background mask, which needs no inversion.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sfhub.editing.arrangement import Arrangement, join_code, split_code
from sfhub.editing.directions import EditDirections
from sfhub.editing.semantic import BOTH, PARTS, SHAPE, TEXTURE
from sfhub.editing.spaces import CodeSpace, Latent, code_space
from sfhub.errors import InputError, short
from sfhub.images.pixels import fitted, to_pil, to_tensor
from sfhub.models.parser import Parser
from sfhub.models.semantic_stylegan import SemanticStyleGANGenerator, SemanticStyleGANOutput
from sfhub.pipelines.generator import Samples, check_number
from sfhub.pipelines.sample import Sample, Segmentation
from sfhub.pipelines.text_edits import TextEditingPipeline
from sfhub.regions.class_regions import ClassRegions
from sfhub.steps.assets import Asset
from sfhub.steps.code import Code
from sfhub.steps.compose import MAX_MOVE, MAX_ZOOM, ComposeStep
from sfhub.steps.interpolate_semantic import InterpolateSemantic
from sfhub.steps.mix import MixStep
from sfhub.steps.mix_by_semantic import MixBySemantic
from sfhub.text.relevance import TextRelevance

__all__ = ["Component", "SemanticStyleGANPipeline"]

# Grey behind a component that is shown alone, in [-1, 1].
NEUTRAL = 0.0


@dataclass(frozen=True, eq=False)
class Component:
    """A step in building a picture (fig. 5).

    Attributes:
        name: class or region.
        image: the picture with this component and those before it.
        alone: the component by itself on grey, also where others cover it in the picture.
        mask: where it is then, float32 `[H, W]` in [0, 1].
        depth: its pseudo-depth, larger in front, float32 `[h, w]`; of a region the largest of its classes.
    """

    name: str
    image: Image.Image
    alone: Image.Image
    mask: np.ndarray
    depth: np.ndarray


LAST_POSITION = 1.2
"""How far out a class is shown; 1 is the border of the pictures that the generator learned from."""

ABSENT = -30.0
"""Depth of what is not there."""


class SemanticStyleGANPipeline(TextEditingPipeline):
    """Generate, mix, segment, compare, interpolate and compose pictures of one SemanticStyleGAN.

    Args:
        generator: the network.
        parser: picture -> semantic classes; to compare the generator's own masks with, nothing here needs it.
        directions: named edits; see `edit`.
        text_relevance: makes edits of texts at once; see `edit_text`.

    Raises:
        InputError: if the directions or the relevance were made for another generator.
    """

    FAMILY: ClassVar[str] = "SemanticStyleGAN"
    MIX_OPTIONS: ClassVar[tuple[str, ...]] = ("layout", "shape", "texture")
    TAGS: ClassVar[tuple[str, ...]] = ("semanticstylegan",)
    _optional_components: ClassVar[list[str]] = ["parser", "directions", "text_relevance"]

    def __init__(
        self,
        generator: SemanticStyleGANGenerator,
        parser: Parser | None = None,
        directions: EditDirections | None = None,
        text_relevance: TextRelevance | None = None,
    ):
        super().__init__()
        for made_for_it in (directions, text_relevance):
            if made_for_it is not None:
                made_for_it.check_space(code_space(generator))
        self.register_modules(generator=generator, parser=parser, directions=directions, text_relevance=text_relevance)

    # Making pictures ------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def mix(
        self,
        base: Samples,
        regions: Mapping[str, Samples] | None = None,
        strength: float | Mapping[str, float] = 1.0,
        *,
        shape: Mapping[str, Samples] | None = None,
        texture: Mapping[str, Samples] | None = None,
        layout: Samples | None = None,
        layout_strength: float | None = None,
    ) -> Sample | list[Sample]:
        """Give regions of `base` the shape and the texture they have in other pictures.

        Args:
            base: the picture to change, or a batch of them. What was composed in it stays.
            regions: region -> its source, a picture or a batch. Batches have one common length. A class given by its
                own name wins over a region that covers it.
            strength: 0 (keep the base) to 1, for everything or by region, 1 where a region is not named.
            shape, texture: region -> the source of only this; wins over `regions`.
            layout: the picture whose base codes (pose, coarse structure of everything but the background) are taken.
            layout_strength: that of the layout; None for `strength` if it is one number, else 1.

        Returns:
            One picture if everything given was one picture, else a list.

        Raises:
            InputError: for an unknown region, a strength outside [0, 1], or pictures of another model.
        """
        given = {BOTH: dict(regions or {}), SHAPE: dict(shape or {}), TEXTURE: dict(texture or {})}
        entries = [(name, part, source) for part, sources in given.items() for name, source in sources.items()]
        if not entries and layout is None:
            raise InputError(f"No region was given a source; choose from {', '.join(self.regions)}.")
        for name, _, _ in entries:
            self.covered_by(name)
        names, parts, sources = zip(*entries, strict=True) if entries else ((), (), ())
        strengths, pose = self._strengths(names, strength, layout, layout_strength)
        taken = (*strengths, *([] if pose is None else [pose]))
        step = MixBySemantic(names, parts, taken, pose is not None)
        return self.render(step, base, *sources, *([] if layout is None else [layout]))

    __call__ = mix

    @torch.no_grad()
    def interpolate(
        self, a: Sample, b: Sample, steps: int, regions: Sequence[str] | None = None, *, part: str = BOTH
    ) -> list[Sample]:
        """A film from `a` to `b` (fig. 7).

        Args:
            a, b: first and last picture.
            steps: number of pictures, 2 to 1000, `a` and `b` included.
            regions: move only these regions; the film then ends at the mix of `a` with those regions of `b`. None for
                all, and with both parts for the whole picture, layout and arrangement included.
            part: `both`, or only the `shape` or the `texture` of them.

        Raises:
            InputError: for an unknown region or part, pictures of another model, or a number of steps out of range.
        """
        positions, names = self._positions(steps), self._moved(regions)
        if part not in PARTS:
            raise InputError(f"There is no part {short(part)} of a region; choose one of {', '.join(PARTS)}.")
        step = InterpolateSemantic(None if names is None else tuple(names), part)
        return self._film(a, b, step, positions)

    @torch.no_grad()
    def compose(
        self,
        base: Sample,
        *,
        without: Sequence[str] = (),
        move: Mapping[str, Sequence[float]] | None = None,
        zoom: Mapping[str, float] | None = None,
        background: Sample | Image.Image | None = None,
    ) -> Sample:
        """Leave regions out, put them elsewhere, and exchange what is behind (figs. 5 and 8).

        Args:
            base: the picture to start from. What was composed in it stays where nothing else is said.
            without: regions to leave out.
            move: region -> (right, down) in halves of the image, -2 to 2.
            zoom: region -> factor about the middle of the image, 1/16 to 16; comes before the move.
            background: a picture of this model, whose background is taken, or a photograph to stand in front of. A
                picture with a photograph is final: it can be saved, but no other made of it, and to make it again takes
                the photograph.

        Raises:
            InputError: for an unknown region, a place or factor out of range, nothing left, or pictures of another
                model.
        """
        photograph = background if isinstance(background, Image.Image) else None
        inputs = [base] if background is None or photograph is not None else [base, background]
        self._check_inputs(inputs)
        step = self.compose_step(without=without, move=move, zoom=zoom, photograph=photograph)
        return self.render(step, *inputs, given=[] if photograph is None else [photograph])

    def compose_step(
        self,
        *,
        without: Sequence[str] = (),
        move: Mapping[str, Sequence[float]] | None = None,
        zoom: Mapping[str, float] | None = None,
        photograph: Image.Image | None = None,
    ) -> ComposeStep:
        """The step of `compose`, before any picture is made.

        Raises:
            InputError: for an unknown region, or a place or factor out of range.
        """
        for given in (without, move or {}, zoom or {}):
            self.check_mix(_names(given))
        step = ComposeStep(
            without=_names(without),
            move={name: _place(name, place) for name, place in (move or {}).items()},
            zoom={name: _factor(name, factor) for name, factor in (zoom or {}).items()},
            background=None if photograph is None else Asset.of(photograph),
        )
        step.check_model(self)
        return step

    # Looking at pictures --------------------------------------------------------------------------------------------

    @torch.no_grad()
    def layers(self, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
        """`masks` and `depths` of a picture, computed together."""
        output = self._output(sample)
        return _shares(output.mask)[0].cpu().numpy(), output.depths[0].float().cpu().numpy()

    def masks(self, sample: Sample) -> np.ndarray:
        """How much of each pixel belongs to which class, by the generator's refined masks.

        Returns:
            float32 `[K, H, W]` in [0, 1], with a sum of 1 over the classes of `segment`.
        """
        return self.layers(sample)[0]

    def depths(self, sample: Sample) -> np.ndarray:
        """Pseudo-depths of all classes, also of those left out: float32 `[K, h, w]`, larger in front."""
        return self.layers(sample)[1]

    @torch.no_grad()
    def build_up(self, sample: Sample, order: Sequence[str] | None = None) -> list[Component]:
        """The picture built up component by component (fig. 5).

        Args:
            sample: a picture of this model; its arrangement holds for the components too.
            order: regions, or classes by names that no region has, in the order in which they appear; None for every
                class by itself that the picture has, the background first and then as in the paper.

        Raises:
            InputError: for an unknown region, none, or a picture of another model.
        """
        self._check_model([sample])
        w_plus, arrangement = self._split(self._code_here(sample).s)
        if order is None:
            shown = [k for k in self.region_names.appearance if arrangement.presence[0, k] > 0]
            order, groups = [self.classes[k] for k in shown], [[k] for k in shown]
        else:
            order, groups = list(order), [self.region_names.indices([name]) for name in order]
        if not order:
            raise InputError(f"No component was named to show; choose from {', '.join(self.classes)}.")
        grown = [sorted({k for group in groups[: n + 1] for k in group}) for n in range(len(groups))]
        # A class needs something beside it, or its mask would be the whole picture.
        subsets = grown + [sorted({0, *group}) for group in groups]
        outputs, depths = self._subsets(w_plus, arrangement, subsets)
        return [
            _component(name, group, outputs[n], outputs[len(order) + n], depths)
            for n, (name, group) in enumerate(zip(order, groups, strict=True))
        ]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the semantic classes, by which `segment` labels pixels; the background first."""
        return self.region_names.classes

    @property
    def region_names(self) -> ClassRegions:
        """The regions, and the classes that each of them covers; a class is a region by its own name, too."""
        return ClassRegions(self.generator.config.class_names, self.generator.config.num_classes)

    @property
    def mix_types(self) -> tuple[type[MixStep], ...]:
        """As `GeneratorPipeline.mix_types`."""
        return (MixBySemantic,)

    def w_plus(self, sample: Sample) -> Tensor:
        """The W+ code of a picture, `[1, n_latent, w_dim]`: base codes, then shape and texture of each class."""
        return self._split(self._code_here(sample).s)[0]

    def arrangement(self, sample: Sample) -> Arrangement:
        """Which classes a picture has, and where `compose` put them."""
        return self._split(self._code_here(sample).s)[1]

    def card_facts(self) -> dict[str, str]:
        """What the model card says about this model."""
        config = self.generator.config
        facts = {
            "resolution": f"{config.resolution} px",
            "style space": f"W+ of {self.generator.n_latent} codes of {config.w_dim} dimensions: {config.base_layers} "
            "base codes, shape and texture of each class",
            "classes": ", ".join(self.classes),
            "regions": ", ".join(self.regions),
        }
        transparent = [self.classes[k] for k in config.transparent_classes]
        facts |= {"transparent": ", ".join(transparent)} if transparent else {}
        return facts | self.edit_facts()

    # What steps take ------------------------------------------------------------------------------------------------

    def sampled(self, z: Tensor, truncation_psi: float, label: int | None) -> Code:
        """As `GeneratorPipeline.sampled`."""
        if label is not None:
            raise InputError(
                f"Label {short(label)} cannot be used, for this model has no classes to ask for; leave it out."
            )
        return Code(join_code(self.generator.mapping(z, truncation_psi)), latent=Latent(z, truncation_psi))

    @property
    def code_space(self) -> CodeSpace:
        """As `GeneratorPipeline.code_space`."""
        return code_space(self.generator)

    def stacked(self, codes: Sequence[Code]) -> Code:
        """As `GeneratorPipeline.stacked`; if something was composed in one picture, all have an arrangement."""
        if len({code.s.shape[1] for code in codes}) > 1:
            codes = [Code(join_code(*self._split(code.s), always=True)) for code in codes]
        return super().stacked(codes)

    def image_before(self, photograph: Image.Image, code: Code) -> Image.Image:
        """The picture of a code with a photograph where its background is."""
        output = self._synthesis([code.s])
        share = _shares(output.mask)[:, :1]
        behind = to_tensor(fitted(photograph, self.generator.config.resolution))[None].to(share)
        return to_pil(output.image.float().lerp(behind, share))[0]

    # Networks -------------------------------------------------------------------------------------------------------

    def _split(self, code: Tensor) -> tuple[Tensor, Arrangement]:
        return split_code(self.generator, code)

    def _synthesize(self, codes: Sequence[Tensor]) -> Tensor:
        return self._synthesis(codes).image

    def _synthesis(self, codes: Sequence[Tensor]) -> SemanticStyleGANOutput:
        rows, arrangements = zip(*map(self._split, codes), strict=True)
        w_plus = torch.cat(rows)
        if all(each.is_neutral for each in arrangements):
            return self.generator.synthesis(w_plus)
        presence = torch.cat([each.presence for each in arrangements])
        coords = self._coordinates(arrangements)
        hidden, depths = self.generator.local(w_plus, coords)
        return self.generator.assemble(hidden, _within(depths, coords), presence)

    def _coordinates(self, arrangements: Sequence[Arrangement]) -> Tensor | None:
        """Positions of all classes `[B, K, 2, h, w]`, None if they are the usual ones, which costs less."""
        if not any(each.is_moved for each in arrangements):
            return None
        return torch.stack([self.generator.coordinates(each.move[0], each.zoom[0]) for each in arrangements])

    def _output(self, sample: Sample) -> SemanticStyleGANOutput:
        """All that the generator makes of a picture's code."""
        self._check_model([sample])
        return self._synthesis([self._code_here(sample).s])

    def _segment_one(self, image: Image.Image, code: Code) -> Segmentation:
        """The classes of one picture by the generator's refined masks."""
        labels = self._synthesis([code.s]).mask[0].argmax(dim=0)
        return Segmentation(labels.cpu().numpy(), self.classes)

    def _subsets(
        self, w_plus: Tensor, arrangement: Arrangement, subsets: Sequence[Sequence[int]]
    ) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
        """The picture with some classes only: image `[3, H, W]` and shares `[K, H, W]` for each set of classes.

        The depths `[K, h, w]` come with them, for the local generators run once for all.
        """
        G = self.generator
        coords = self._coordinates([arrangement])
        hidden, depths = G.local(w_plus, coords)
        depths = _within(depths, coords)
        outputs = []
        for chunk in self.progress_bar(self._chunks(subsets)):
            self._pause()
            presence = w_plus.new_zeros(len(chunk), G.config.num_classes)
            for row, subset in zip(presence, chunk, strict=True):
                row[list(subset)] = 1
            many, their_depths = (value.expand(len(chunk), -1, -1, -1) for value in (hidden, depths))
            shown = G.assemble(many, their_depths, presence)
            outputs += zip(shown.image.float(), _shares(shown.mask), strict=True)
        return outputs, depths[0].float()


def _component(
    name: str, classes: Sequence[int], so_far: tuple[Tensor, Tensor], alone: tuple[Tensor, Tensor], depths: Tensor
) -> Component:
    image, shares = alone
    mask = shares[list(classes)].sum(dim=0).clamp(max=1)
    by_itself = torch.full_like(image, NEUTRAL).lerp(image, mask)
    return Component(
        name,
        to_pil(so_far[0][None])[0],
        to_pil(by_itself[None])[0],
        mask.cpu().numpy(),
        depths[list(classes)].amax(dim=0).cpu().numpy(),
    )


def _shares(mask: Tensor) -> Tensor:
    """Refined masks `[B, K, H, W]`, trained to be 1 inside a class and -1 outside -> shares with a sum of 1."""
    inside = ((mask.float() + 1) / 2).clamp(min=1e-6)
    return inside / inside.sum(dim=1, keepdim=True)


def _names(names: Iterable[str]) -> tuple[str, ...]:
    if isinstance(names, str):
        raise InputError(f"Regions were given as the text {short(names)}; give a list of names, such as ['hair'].")
    odd = next((name for name in names if not isinstance(name, str)), None)
    if odd is not None:
        raise InputError(f"The region {short(odd)} has no name that could be known; give names as text.")
    return tuple(dict.fromkeys(names))


def _place(name: str, place: Sequence[float]) -> tuple[float, ...]:
    if isinstance(place, str) or not isinstance(place, Sequence | np.ndarray) or len(place) != 2:
        raise InputError(
            f"The move of {short(name)} is {short(place)}; give two numbers, right and down in halves of the image."
        )
    return tuple(check_number(each, -MAX_MOVE, MAX_MOVE, f"The move of {short(name)}") for each in place)


def _factor(name: str, factor: float) -> float:
    return check_number(factor, 1 / MAX_ZOOM, MAX_ZOOM, f"The zoom of {short(name)}")


def _within(depths: Tensor, coords: Tensor | None) -> Tensor:
    """Depths `[B, K, h, w]` without what lies far outside the positions that the generator learned.

    The position features repeat, so a face that is made small would be seen again and again around itself.
    """
    if coords is None:
        return depths
    outside = (coords if coords.ndim == 5 else coords[None]).abs().amax(dim=2) > LAST_POSITION
    outside[:, 0] = False  # the background goes on
    return depths.masked_fill(outside, ABSENT)
