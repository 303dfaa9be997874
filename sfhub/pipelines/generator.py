"""What the pipelines of all generator families do alike: sample, grid, compare, segment, and render steps.

A family is a subclass that says how a latent becomes a code (`sampled`), how codes become pictures (`_synthesize`),
which pixel belongs to which region (`_segment_one`) and what its regions are (`region_names`); it adds `mix` and
`interpolate`, whose arguments are the family's own. Each verb builds a step (`sfhub.steps`) and renders it.

On a CPU every picture is computed by itself: the rounding of a convolution depends on the batch it is in, and a seed
has to give the same picture, bit for bit, whatever else was asked for at the same time.
"""

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sfhub.editing.edits import Edit
from sfhub.errors import InputError, short
from sfhub.images.color import color_difference
from sfhub.images.pixels import to_pil, to_tensor
from sfhub.pipelines.base import SfhubPipeline
from sfhub.pipelines.sample import Sample, Segmentation
from sfhub.regions.class_regions import ClassRegions
from sfhub.regions.names import RegionNames
from sfhub.steps.assets import Assets, find_assets
from sfhub.steps.checks import MAX_NAMES, check_seed
from sfhub.steps.code import Code
from sfhub.steps.grid import MAX_GRID, GridStep
from sfhub.steps.interpolate import InterpolateStep
from sfhub.steps.mix import MixStep
from sfhub.steps.recipe import Placed, assets_of, extend, last_step, make_recipe, read_steps, shown_steps
from sfhub.steps.sample import SampleStep
from sfhub.steps.step import Step

__all__ = ["GeneratorPipeline", "Samples", "as_list", "check_number", "rows"]

# Pictures computed at once on an accelerator, where batches pay; see above for the CPU.
BATCH = 8

Samples = Sample | Sequence[Sample]


class GeneratorPipeline(SfhubPipeline):
    """Base of the families; a subclass has a component `generator` whose `config` gives `resolution` and `z_dim`."""

    FAMILY: ClassVar[str]
    """What the family is called; kinds of steps name the one that they suit."""

    MIX_OPTIONS: ClassVar[tuple[str, ...]] = ()
    """Keywords of `mix` beside base, regions and strength, as the command line offers them."""

    between_pictures: Callable[[], None] | None = None
    """Called before every picture and code that is made, say to let others compute or, by an error, to stop."""

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
        psi = check_number(truncation_psi, -2, 2, "Truncation psi")
        return self._make([((), SampleStep(seed, psi, each)) for seed, each in zip(seeds, labels, strict=True)])

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
        self._check_inputs(samples)
        step = GridStep(columns)
        recipe = extend([each.recipe for each in samples], step, self.model_record)
        return Sample.of(step.paste([each.image for each in samples]), self.stacked([s.code for s in samples]), recipe)

    @torch.no_grad()
    def render(self, step: Step, *columns: Samples, given: Sequence[Image.Image | Edit] = ()) -> Sample | list[Sample]:
        """The picture that a step makes of others; every verb comes down to this.

        Args:
            step: of any kind that suits the model.
            *columns: what goes in, pictures or batches of one common length.
            given: photographs and edits that the step refers to by digest.

        Returns:
            One picture if everything that goes in was one picture, else a list.

        Raises:
            InputError: if the step does not suit the model or the number of pictures, or they are of another model.
        """
        step.check_model(self)
        if not step.takes(len(columns)):
            raise InputError(f"{len(columns)} pictures do not go into the step {step.OP!r}, which takes {step.INPUTS}.")
        made = self._make([(row, step) for row in (rows(columns) if columns else [()])], given)
        return made[0] if all(isinstance(each, Sample) for each in columns) else made

    # Looking at pictures --------------------------------------------------------------------------------------------

    @torch.no_grad()
    def segment(self, sample: Samples) -> Segmentation | list[Segmentation]:
        """Which region each pixel belongs to.

        Raises:
            InputError: if the model has nothing that could tell.
        """
        self._check_model(as_list(sample))
        found = [self._segment_one(each.image, self._code_here(each)) for each in as_list(sample)]
        return found[0] if isinstance(sample, Sample) else found

    def difference(self, a: Samples, b: Samples) -> np.ndarray:
        """CIELAB distance (Delta E 1976) between two pictures, per pixel.

        Returns:
            float32 `[H, W]`, 0 or more; `[N, H, W]` if either is a batch. About 2.3 is just noticeable.
        """
        first, second = (torch.stack([to_tensor(each.image) for each in as_list(x)]) for x in (a, b))
        difference = color_difference(first, second).numpy()
        return difference[0] if isinstance(a, Sample) and isinstance(b, Sample) else difference

    @property
    @abstractmethod
    def region_names(self) -> RegionNames | ClassRegions:
        """What the names of regions mean to the model."""

    @property
    @abstractmethod
    def mix_types(self) -> tuple[type[MixStep], ...]:
        """The ways in which the model can mix regions, the best first."""

    @property
    def regions(self) -> tuple[str, ...]:
        """Names of the regions that can be mixed."""
        return self.region_names.regions

    def check_mix(self, regions: Sequence[str], method: str | None = None) -> None:
        """Refuse regions that cannot be mixed, before the pictures that they come from are made.

        Args:
            regions: the names that `mix` is going to get.
            method: that of `mix`, of a family that has several.

        Raises:
            InputError: for too many regions, one that the model does not have, or an unknown method.
        """
        if len(regions) > MAX_NAMES:
            raise InputError(f"{len(regions):,} regions were named, more than the {MAX_NAMES} that a mix can have.")
        for name in regions:
            self.covered_by(name)

    def covered_by(self, region: str) -> tuple[str, ...]:
        """The labels of `segment` that a region covers.

        Raises:
            InputError: if there is no such region.
        """
        return self.region_names.covered_by(region)

    # Steps of recipes -----------------------------------------------------------------------------------------------

    @torch.no_grad()
    def redo(
        self, recipe: Mapping[str, Any], *, background: Image.Image | None = None, edits: Sequence[Edit] = ()
    ) -> Sample:
        """Follow the steps of a checked recipe (`check_recipe`) with this pipeline's model.

        Args:
            recipe: of a picture.
            background: the photograph that the picture was put in front of, which a recipe does not hold.
            edits: those that are not the model's own, likewise.

        Raises:
            InputError: if the model has no such region, class, query or edit, or the photograph or an edit is missing
                or another one.
        """
        steps = read_steps(recipe)
        assets = find_assets(assets_of(steps), [*([] if background is None else [background]), *edits])
        codes: list[Code] = []
        for each in steps:
            each.step.check_model(self)
        for each in steps:
            self._pause()
            codes.append(each.step.code(self, [codes[i] for i in each.inputs], assets))
        image = self._picture(steps, codes, assets)
        return Sample.of(image, codes[-1], make_recipe(self.model_record, recipe["steps"]))

    def _picture(self, steps: Sequence[Placed], codes: Sequence[Code], assets: Assets) -> Image.Image:
        """The picture of the last of some steps, whose codes are known, and of no others but those that it shows."""
        images: dict[int, Image.Image] = {}
        for k in shown_steps(steps):
            step, inputs = steps[k].step, steps[k].inputs
            before = [(images[i], codes[i]) for i in inputs] if step.needs_before else []
            (images[k],) = step.pictures(self, codes[k : k + 1], [before], assets)
        return images[len(steps) - 1]

    @abstractmethod
    def sampled(self, z: Tensor, truncation_psi: float, label: int | None) -> Code:
        """The code of a latent `[1, z_dim]`, of a class if the model has some.

        Raises:
            InputError: for a label that the model does not have.
        """

    def latent(self, seed: int) -> Tensor:
        """The latent `[1, z_dim]` of a seed."""
        # Drawn on the CPU, whose generator is the same everywhere, so that a seed means one face on any device.
        z = torch.randn(1, self.generator.config.z_dim, generator=torch.Generator("cpu").manual_seed(seed))
        return z.to(self.device, self.dtype)

    def stacked(self, codes: Sequence[Code]) -> Code:
        """The code `[N, S]` of several pictures."""
        return Code(torch.cat([code.s for code in codes]))

    def images(self, codes: Sequence[Code]) -> list[Image.Image]:
        """The picture of each code `[1, S]`."""
        images: list[Image.Image] = []
        for chunk in self.progress_bar(self._chunks(codes)):
            self._pause()
            images += to_pil(self._synthesize([code.s for code in chunk]))
        return images

    def pixels(self, codes: Sequence[Code]) -> Tensor:
        """Images `[B, 3, H, W]` of codes `[1, S]`, about [-1, 1]; in one batch, and gradients reach the codes."""
        return self._synthesize([code.s for code in codes])

    def _pause(self) -> None:
        """Between two pieces of work of about a picture's length."""
        if self.between_pictures is not None:
            self.between_pictures()

    @abstractmethod
    def _synthesize(self, codes: Sequence[Tensor]) -> Tensor:
        """Codes `[1, S]` -> images `[B, 3, H, W]` in [-1, 1]."""

    @abstractmethod
    def _segment_one(self, image: Image.Image, code: Code) -> Segmentation:
        """The regions of one picture."""

    def _make(
        self, made: Sequence[tuple[Sequence[Sample], Step]], given: Sequence[Image.Image | Edit] = ()
    ) -> list[Sample]:
        """Pictures made from other pictures, each by one step; all steps are of one kind and take the same files."""
        for inputs, _ in made:
            self._check_inputs(inputs)
        if not made:
            return []
        step = made[0][1]
        assets = find_assets(step.assets, given)
        before = [[(sample.image, self._code_here(sample)) for sample in inputs] for inputs, _ in made]
        pairs = list(zip(made, before, strict=True))
        codes = [each.code(self, [code for _, code in shown], assets) for (_, each), shown in pairs]
        recipes = [extend([sample.recipe for sample in inputs], each, self.model_record) for inputs, each in made]
        return list(map(Sample.of, step.pictures(self, codes, before, assets), codes, recipes))

    def _film(self, a: Sample, b: Sample, step: InterpolateStep, positions: Sequence[float]) -> list[Sample]:
        """Pictures at places on the way from `a` to `b`."""
        step.check_model(self)
        return self._make([((a, b), step.at(position)) for position in positions])

    def _code_here(self, sample: Sample) -> Code:
        """The code of a picture, on the device of the generator and in its precision."""
        return sample.code.to(self.device, self.dtype)

    def _chunks(self, things: Sequence[Any]) -> list[Sequence[Any]]:
        """As many at once as the device computes well."""
        size = 1 if self.device.type == "cpu" else BATCH
        return [things[i : i + size] for i in range(0, len(things), size)]

    # Checks ---------------------------------------------------------------------------------------------------------

    def _strengths(
        self,
        names: Sequence[str],
        strength: float | Mapping[str, float],
        layout: Samples | None,
        layout_strength: float | None,
    ) -> tuple[list[float], float | None]:
        """The strength of the source of each region, and that of the layout's, None if there is none."""
        if layout is None and layout_strength is not None:
            raise InputError("The layout has a strength but no source; give it one or leave the strength out.")
        by_name = dict(strength) if isinstance(strength, Mapping) else None
        if by_name is None:
            found = [check_number(strength, 0, 1, "Strength")] * len(names)
            rest = strength
        else:
            # sfhub 0.1.0 knew the layout's strength by a name, which a region may have.
            rest = by_name.pop("layout", 1.0) if layout is not None and "layout" not in names else 1.0
            for name in by_name:
                if name not in names:
                    raise InputError(f"Region {short(name)} has a strength but no source; give it one or leave it out.")
            found = [check_number(by_name.get(name, 1.0), 0, 1, f"The strength of {short(name)}") for name in names]
        pose = rest if layout_strength is None else layout_strength
        return found, None if layout is None else check_number(pose, 0, 1, "The strength of the layout")

    def _positions(self, steps: int) -> list[float]:
        """Where the pictures of a film stand between the first and the last."""
        if isinstance(steps, bool) or not isinstance(steps, int) or not 2 <= steps <= 1000:
            raise InputError(f"A film of {short(steps)} pictures cannot be made; take a whole number from 2 to 1000.")
        return [k / (steps - 1) for k in range(steps)]

    def _moved(self, regions: Sequence[str] | None) -> list[str] | None:
        """The regions that a film moves, each once; None for all."""
        names = None if regions is None else list(dict.fromkeys(regions))
        if names == []:
            raise InputError(f"No region was named to move; choose from {', '.join(self.regions)}, or move them all.")
        return names

    def _check_inputs(self, samples: Sequence[Sample]) -> None:
        """Refuse what no other picture can be made of."""
        self._check_model(samples)
        if any(last_step(each.recipe).is_final for each in samples):
            raise InputError(
                "A picture with a photograph behind it cannot be changed any further; change the picture that it was "
                "made of and put the photograph behind last."
            )

    def _check_model(self, samples: Sequence[Sample]) -> None:
        """Refuse what is no single picture of this model."""
        for each in samples:
            if not isinstance(each, Sample):
                raise InputError(f"{short(each)} is no Sample; make the pictures with this pipeline, say by sample().")
            if isinstance(last_step(each.recipe), GridStep):
                raise InputError("A grid cannot be used as a picture; use one of the pictures it was made of.")
            theirs, ours = each.recipe["model"], self.model_record
            if theirs["revision"] != ours["revision"]:
                raise InputError(
                    f"A picture of model {theirs['name']} ({theirs['revision']}) cannot be used with model "
                    f"{ours['name']} ({ours['revision']}); make it again with this pipeline."
                )


def rows(columns: Sequence[Samples]) -> list[tuple[Sample, ...]]:
    """Batches of one length and single pictures -> one tuple per result."""
    lists = [as_list(column) for column in columns]
    lengths = {len(each) for each, column in zip(lists, columns, strict=True) if not isinstance(column, Sample)}
    if len(lengths) > 1 or lengths == {0}:
        raise InputError(f"Batches of {sorted(lengths)} pictures do not go together; give each one picture or as many.")
    count = lengths.pop() if lengths else 1
    return list(zip(*(each if len(each) == count else each * count for each in lists), strict=True))


def as_list(samples: Samples) -> list[Sample]:
    """A picture or a batch of them, as a list."""
    return [samples] if isinstance(samples, Sample) else list(samples)


def check_number(value: Any, low: float, high: float, what: str) -> float:
    """`value` as a float.

    Raises:
        InputError: unless it is a number from `low` to `high`.
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not low <= value <= high:
        raise InputError(f"{what} is {short(value)}; take a number from {low} to {high}.")
    return float(value)
