"""Pictures for the tab *Edit*, remembered by what they are made of, never by visitor.

What is under a slider comes first: thumbnails and films are made one picture at a time, between which any other answer
has its turn. A thumbnail is the very picture that a click on it shows, so that click is answered from memory.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sfhub.errors import InputError
from sfhub.pipelines.sample import Sample
from sfhub.space.common.accelerator import on_accelerator
from sfhub.space.common.cache import Cache
from sfhub.space.common.cached_model import CachedModel
from sfhub.space.common.comparison import EditComparison
from sfhub.space.common.picture_ref import PictureRef
from sfhub.space.common.pictures import data_uri, thumbnail
from sfhub.space.common.region_pills import toggled
from sfhub.space.common.repertoire import Layer, Repertoire
from sfhub.space.edit.state import MAX_LAYERS, EditedPicture, Editing
from sfhub.steps.edit import EditStep
from sfhub.steps.recipe import Recipe, last_step, read_steps
from sfhub.steps.sample import SampleStep

__all__ = ["Editor", "clicked"]


class Editor:
    """Edits pictures of one model that has edits; `edits` says which."""

    def __init__(self, model: CachedModel):
        self.model, self.pipe = model, model.pipe
        self.edits = Repertoire(model.pipe)
        self._edit = on_accelerator(self._compute_edit)
        self._compare = on_accelerator(self._compute_comparison)
        self._pictures = Cache(model.capacity(10))
        self._comparisons = Cache(model.capacity(80))

    # Pictures ---------------------------------------------------------------------------------------------------------

    def stages(self, picture: EditedPicture) -> list[Sample]:
        """The picture as it was, and after each edit that is not muted.

        Raises:
            InputError: as `edit` of the pipeline.
        """
        stages = self.model.samples([picture.portrait], picture.psi)
        for count, layer in enumerate(picture.heard, 1):
            key = picture.portrait, picture.psi, tuple(_told(each) for each in picture.heard[:count])
            found = self._pictures.get(key)
            if found is None:
                found = self._pictures.put(key, self._edit(stages[-1], layer))
            stages.append(found)
        return stages

    def result(self, picture: EditedPicture) -> Sample:
        """The edited picture."""
        return self.stages(picture)[-1]

    def compare(self, picture: EditedPicture) -> EditComparison:
        """The edited picture beside what it was."""
        key = replace(picture, stack=picture.heard)
        found = self._comparisons.get(key)
        if found is None:
            stages, everywhere = self.stages(picture), self.result(picture.everywhere)
            found = self._comparisons.put(key, self._compare(stages, everywhere, picture.heard))
        return found

    def thumbnails(self, portrait: PictureRef, psi: float) -> Iterator[tuple[str, str]]:
        """What each edit does to a picture: its name and a small picture as a `data:` URI, one by one."""
        plain = EditedPicture(portrait, psi)
        for name in self.edits.edits:
            yield name, self._small(plain.with_stack([self.edits.found(name)]))

    def little(self, stages: Sequence[Sample], picture: EditedPicture) -> list[str]:
        """How the picture looks after each edit of its stack, small, from its `stages`."""
        heard = np.cumsum([not layer.muted and layer.strength != 0 for layer in picture.stack])
        return [data_uri(thumbnail(stages[count].image), quality=82) for count in heard]

    def film(self, picture: EditedPicture, index: int) -> Iterator[tuple[str, str]]:
        """A picture at each of the `strengths` of one edit, by that in digits."""
        layer = picture.stack[index]._replace(muted=False)
        for strength in self.edits.strengths(layer):
            yield f"{strength:g}", self._small(picture.with_layer(index, layer._replace(strength=strength)))

    def _small(self, picture: EditedPicture) -> str:
        return data_uri(thumbnail(self.result(picture).image), quality=82)

    # Saved pictures ---------------------------------------------------------------------------------------------------

    def laid_out(self, recipe: Recipe) -> EditedPicture:
        """The picture and the edits that a checked recipe describes.

        Raises:
            InputError: if it is of another model, or what was edited cannot be.
        """
        self.model.check_model(recipe)
        steps = read_steps(recipe)
        layers: list[Layer] = []
        while isinstance(edit := steps[-1].step, EditStep) and steps[-1].inputs == (len(steps) - 2,):
            layers.insert(0, self.edits.read(edit))
            if len(layers) > MAX_LAYERS:
                raise InputError(
                    f"There are more than {MAX_LAYERS} edits on this picture; make it again with `sfhub redo`."
                )
            steps = steps[:-1]
        return replace(self.taken({**recipe, "steps": recipe["steps"][: len(steps)]}), stack=tuple(layers))

    def taken(self, recipe: Recipe) -> EditedPicture:
        """What any recipe of the model makes, to be edited: the portrait of a seed by that, all else made again."""
        begun = read_steps(recipe)
        if last_step(recipe).is_final:
            raise InputError("A picture with a photograph behind it cannot be edited; put the photograph behind last.")
        if len(begun) == 1 and isinstance(begun[0].step, SampleStep) and begun[0].step.label is None:
            step = begun[0].step
            return EditedPicture(PictureRef.of_seed(step.seed), step.truncation_psi, model=self.model.name)
        return EditedPicture(self.model.bring(self.model.redo(recipe)), model=self.model.name)

    # Computing --------------------------------------------------------------------------------------------------------

    def _compute_edit(self, base: Sample, layer: Layer) -> Sample:
        return self.edits.put_on(base, layer).on_cpu()

    def _compute_comparison(self, stages: Sequence[Sample], loose: Sample, layers: Sequence[Layer]) -> EditComparison:
        base, result = stages[0], stages[-1]
        looks = [(each.image, each.code.to(self.pipe.device, self.pipe.dtype)) for each in stages]
        changed = np.zeros(base.image.size[::-1], dtype=bool)
        for layer, before, after in zip(layers, looks, looks[1:], strict=False):
            changed |= self.pipe.region_mask(layer.regions, [before, after]) if layer.regions else True
            # The region reached as far as this before all else was locked.
            changed |= layer.lock & np.not_equal(*(np.asarray(image) for image, _ in (before, after))).any(axis=2)
        segmentation = self.model.menu.shown(self.pipe.segment(result))
        return EditComparison(base, result, loose, segmentation, changed, self.pipe.difference(base, result))


def _told(layer: Layer) -> Layer:
    """A layer without what makes no difference to its picture."""
    return layer._replace(muted=False, lock=layer.lock and bool(layer.regions))


# From clicks to choices --------------------------------------------------------------------------------------------


def clicked(session: Editing, editor: Editor, event: Any) -> Editing:
    """What a click makes of a session.

    Args:
        editor: of the picture's model.
        event: what the browser sent, an `action` and what it is about; it may have been made up by anybody.

    Raises:
        InputError: for what there is not.
    """
    edits, action, active = editor.edits, event.action, session.layer
    if action == "pick":
        return session.take(PictureRef.read(event.picture), edits.own)
    if action == "add":
        return session.put_on(edits.found(event.edit))
    if action == "region":
        region = str(event.region)
        editor.pipe.covered_by(region)  # there may be none of that name
        return session.set_regions(toggled(session.regions, region, editor.model.menu))
    if action == "whole":
        return session.set_regions(())
    if action == "own" and active is not None:
        return session.set_regions(edits.own(active))
    if action == "strength" and active is not None:
        return session.set_strength(edits.within(active, event.strength))
    index = _layer(session, getattr(event, "layer", None))
    if action == "choose":
        return session.choose(None if index == session.active else index)
    changes = {"mute": Editing.mute, "remove": Editing.remove}
    steps = {"up": 1, "down": -1}
    if action in steps:
        return session.move(index, steps[action])
    return changes[action](session, index) if action in changes else session


def _layer(session: Editing, index: Any) -> int:
    """The edit in the stack that a browser names."""
    if isinstance(index, str) and index.isdecimal() and int(index) < len(session.picture.stack):
        return int(index)
    raise InputError("This edit is no longer on the picture; choose another one.")
