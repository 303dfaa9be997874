"""Edits of pictures by name, in the whole picture or kept to regions, alike for all generator families."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image

from sfhub.editing.edits import Direction, Edit, as_names, find_edit
from sfhub.editing.intervention import InterventionSettings, intervene
from sfhub.errors import InputError, short
from sfhub.images.lock import OutsideChange, outside_change
from sfhub.images.pixels import to_pil
from sfhub.pipelines.generator import GeneratorPipeline, Samples, as_list
from sfhub.pipelines.sample import Sample
from sfhub.steps.assets import EditAsset
from sfhub.steps.code import Code
from sfhub.steps.edit import BY_FUSION, BY_ITSELF, EditStep, constraints_of
from sfhub.steps.recipe import last_step

__all__ = ["DEFAULT", "EditingPipeline"]

DEFAULT = "default"
"""Stands for the region that an edit names itself."""

BACKGROUND = "background"
"""The one region that is not the foreground."""

REMEMBERED = 64
"""Masks of regions that are kept: those of the picture under a slider are asked for again and again."""


class EditingPipeline(GeneratorPipeline):
    """Base of the families: a subclass has a component `directions` and says what its `code_space` is."""

    _masks: OrderedDict[tuple, np.ndarray] | None = None

    @property
    def edits(self) -> Mapping[str, Edit]:
        """The model's edits by name; each knows its `range`, `region` and `space`."""
        return {} if self.directions is None else dict(self.directions.items())

    def edit_facts(self) -> dict[str, str]:
        """What the model card says about the edits, with the ranges in which they were measured to work."""
        rows = [f"{name} ({edit.range[0]:g} to {edit.range[1]:g})" for name, edit in self.edits.items()]
        return {"edits": ", ".join(rows)} if rows else {}

    @torch.no_grad()
    def edit(
        self,
        sample: Samples,
        edit: str | Edit,
        strength: float = 1.0,
        region: str | Sequence[str] | Literal["default"] | None = DEFAULT,
        *,
        lock: bool = False,
        method: str | None = None,
    ) -> Sample | list[Sample]:
        """Change something that has a name, and only where it is meant to show.

        Edits stack: what comes out can be edited again, with another region. Strength 0 gives the picture itself.

        Args:
            sample: a picture of this model or a batch; also mixed ones.
            edit: one of `edits` by name, or any other `Edit`; the recipe knows that by its digest, and to make the
                picture again takes it.
            strength: in the unit of the edit; outside of its `range` the nearest end is taken, with a warning.
            region: where it may show, one region or several; None for the whole picture, which is the classic edit;
                the edit's own region if not given.
            lock: leave every pixel outside the region as it is, by compositing with a soft mask inside the region as it
                lies in either picture. Later edits go on from the edited code, and with a lock of their own from the
                picture.
            method: how the edit is kept to the region: `fusion` (the edited code to the chosen nodes of the hierarchy,
                the original to all others and to every layout), `catalog` (the displacement weighed by the region's
                query), `classes` (the codes of the chosen classes of a SemanticStyleGAN); None for the first of them
                that the model has.

        Returns:
            One picture or as many as went in. With a region, `outside` of each says what changed outside of it.

        Raises:
            InputError: for an unknown edit or region, a strength that is no finite number, an edit of another
                generator, or a model that cannot keep edits to regions.
        """
        step, given = self.edit_step(edit, strength, region, lock=lock, method=method)
        made = self.render(step, sample, given=given)
        return self._with_outside(sample, made, step)

    def edit_step(
        self,
        edit: str | Edit,
        strength: float = 1.0,
        region: str | Sequence[str] | Literal["default"] | None = DEFAULT,
        *,
        lock: bool = False,
        method: str | None = None,
    ) -> tuple[EditStep, tuple[Edit, ...]]:
        """The step that `edit` renders, and the edit if it has to be given to it; arguments and errors as there."""
        own = isinstance(edit, str)
        found = find_edit(self.edits, edit) if own else edit
        if not isinstance(found, Edit):
            raise InputError(f"{short(edit)} is no edit; give the name of one of {', '.join(self.edits) or 'none'}.")
        found.check(self.code_space)
        regions = as_names(found.region if region == DEFAULT else region)
        if regions == ():
            raise InputError(
                f"No region was named; choose from {', '.join(self.regions)}, or give None for everything."
            )
        ways = constraints_of(self)
        best = BY_ITSELF if found.keeps_to_region and region == DEFAULT else ways[0] if ways else BY_FUSION
        constraint = None if regions is None else method or best
        foreign = None if own else EditAsset.of(found)
        lock = bool(lock) and regions is not None
        step = EditStep(found.name, found.clamped(strength), regions, constraint, lock, foreign)
        return step, () if own else (found,)

    def intervention(
        self,
        sample: Sample,
        edit: str | Edit,
        normal: Direction,
        region: str | Sequence[str] | Literal["default"] | None = DEFAULT,
        *,
        strength: float = 2.0,
        settings: InterventionSettings | None = None,
        on_layer: Callable[[int, Image.Image], bool] | None = None,
    ) -> Direction:
        """Find which style channels an edit may move in a picture so that it shows in its region alone.

        *Style Intervention* (Xu et al., 2020), see `sfhub.editing.intervention`. What is found is an edit of its own,
        which can be put on with `edit`, on this picture as on others, and shared in a component. Its strength 1 is what
        was solved, 0 the picture itself; above 1 only the classifier's part grows (fig. 5).

        Args:
            sample: a picture of this model.
            edit: one in Z or W.
            normal: of a sparse classifier in S, from `sfhub.training.directions.sparse_normals`.
            region: where it may show; the edit's own if not given; None for all but the background, as for age.
            strength: of `edit`.
            settings: of the solver; the paper's weights if None.
            on_layer: told the number of the layer just solved and the picture so far; returning False ends it there.

        Raises:
            InputError: for an unknown edit or region, or a model without style channels.
        """
        if not hasattr(self.generator, "style_layout"):
            raise InputError(
                "Style Intervention weighs the style channels of a StyleGAN2, which this model does not have; a "
                "SemanticStyleGAN keeps an edit to its regions by itself."
            )
        found = find_edit(self.edits, edit) if isinstance(edit, str) else edit
        normal.check(self.code_space)
        regions = as_names(found.region if region == DEFAULT else region)
        if regions is None:
            regions = tuple(name for name in self.region_names.labels if name != BACKGROUND)
        self._check_inputs([sample])
        code = self._code_here(sample)
        layout = sorted(self.generator.style_layout, key=lambda entry: (entry.resolution, entry.kind))
        with torch.no_grad():
            ds_z = (found.apply(self.code_space, code, found.clamped(strength)).s - code.s)[0]
            mask = torch.from_numpy(self.region_mask(regions, [(sample.image, code)]))
        with torch.enable_grad():
            solved = intervene(
                lambda s: self.pixels([Code(s)]),
                code.s,
                ds_z,
                normal.vector,
                mask,
                [slice(entry.start, entry.stop) for entry in layout],
                settings or InterventionSettings(),
                None if on_layer is None else lambda number, image: on_layer(number, to_pil(image[None])[0]),
            )
        return Direction(
            name=f"{found.name} (intervention)",
            space="s",
            vector=solved.merged,
            beyond=solved.normal,
            region=regions,
            range=(-1.0, 4.0),
            about={"method": "Style Intervention", "outside": [round(error, 6) for error in solved.outside]},
        )

    def intervene(
        self, sample: Samples, edit: str | Edit, normal: Direction, *, lock: bool = False, **options: Any
    ) -> Sample | list[Sample]:
        """Pictures with an edit that `intervention` finds for each; arguments and errors as there.

        Their recipes know the edits by their digests; to make them again takes what `intervention` returns.
        """
        made = [
            self.edit(each, self.intervention(each, edit, normal, **options), 1.0, lock=lock)
            for each in as_list(sample)
        ]
        return made[0] if isinstance(sample, Sample) else made

    def region_mask(self, regions: Sequence[str], pictures: Sequence[tuple[Image.Image, Code]]) -> np.ndarray:
        """Where regions lie in any of some pictures of one size.

        Args:
            regions: by the names that users give them.
            pictures: each with its code.

        Returns:
            Boolean `[H, W]`.

        Raises:
            InputError: for an unknown region, or a model that cannot segment.
        """
        return np.logical_or.reduce([self._mask(tuple(regions), image, code) for image, code in pictures])

    def _mask(self, regions: tuple[str, ...], image: Image.Image, code: Code) -> np.ndarray:
        if self._masks is None:
            self._masks = OrderedDict()
        looks = hashlib.sha256(image.tobytes() + code.s.float().cpu().numpy().tobytes()).digest()
        key = regions, looks
        if key not in self._masks:
            labels = {label for region in regions for label in self.covered_by(region)}
            found = self._segment_one(image, code)
            mask = np.isin(found.labels, [k for k, name in enumerate(found.regions) if name in labels])
            self._masks[key] = mask
            while len(self._masks) > REMEMBERED:
                self._masks.popitem(last=False)
        self._masks.move_to_end(key)
        return self._masks[key]

    def outside_of(self, base: Sample, edited: Sample, region: str | Sequence[str] | None) -> OutsideChange:
        """What differs between two pictures outside a region, as it lies in either; nothing is outside of None.

        Of an edit with a lock the region lies where it would without the lock.
        """
        regions = as_names(region)
        if regions is None:
            return OutsideChange(0.0, 0.0)
        pictures = [(each.image, self._code_here(each)) for each in (base, edited)]
        step = last_step(edited.recipe)
        if isinstance(step, EditStep) and step.lock:
            # The lock goes by where the region lies without it; in what it composed a parser may see other borders.
            code = pictures[1][1]
            pictures[1] = self.images([code])[0], code
        return outside_change(edited.image, base.image, self.region_mask(regions, pictures))

    def _with_outside(self, before: Samples, after: Samples, step: EditStep) -> Samples:
        """Pictures that say what the step changed outside its regions, if it has some."""
        if step.regions is None:
            return after
        edited, originals = as_list(after), as_list(before)
        originals = originals * len(edited) if len(originals) == 1 else originals
        # What is composited has the very pixels of the picture before.
        changes = [
            OutsideChange(0.0, 0.0) if step.lock else self.outside_of(base, each, step.regions)
            for base, each in zip(originals, edited, strict=True)
        ]
        found = [replace(each, outside=change) for each, change in zip(edited, changes, strict=True)]
        return found[0] if isinstance(after, Sample) else found
