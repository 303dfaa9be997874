"""What a visitor of the tab *Edit* has chosen: a picture, the edits upon it, and which of them the controls are for.

Immutable values, of which pictures are functions (`work.py`). No Gradio in this file.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from sfhub.errors import InputError
from sfhub.space.common.picture_ref import PictureRef
from sfhub.space.common.region_pills import Regions
from sfhub.space.common.repertoire import Layer
from sfhub.space.common.visit import Visit

__all__ = ["MAX_LAYERS", "EditedPicture", "Editing"]

MAX_LAYERS = 20
"""Edits upon each other, far more than anybody can tell apart; each costs a picture."""


@dataclass(frozen=True)
class EditedPicture:
    """A picture and the edits upon it, the first one done first.

    Attributes:
        portrait: what is edited.
        psi: variety of the portraits, if it has a seed.
        model: name of the model that it is of.
    """

    portrait: PictureRef
    psi: float = 0.7
    stack: tuple[Layer, ...] = ()
    model: str = ""

    @property
    def plain(self) -> "EditedPicture":
        """The picture as it was."""
        return replace(self, stack=())

    @property
    def heard(self) -> tuple[Layer, ...]:
        """The edits that do something."""
        return tuple(layer for layer in self.stack if not layer.muted and layer.strength)

    @property
    def everywhere(self) -> "EditedPicture":
        """With the same edits in the whole picture, as they classically are."""
        return self.with_stack([layer._replace(regions=()) for layer in self.stack])

    def with_stack(self, layers: Sequence[Layer]) -> "EditedPicture":
        """With other edits."""
        return replace(self, stack=tuple(layers))

    def with_layer(self, index: int, layer: Layer) -> "EditedPicture":
        """With one edit done otherwise."""
        return self.with_stack([*self.stack[:index], layer, *self.stack[index + 1 :]])


@dataclass(frozen=True)
class Editing(Visit):
    """What one person sees.

    Attributes:
        picture: what is shown.
        active: index of the edit that the controls are for, None for none.
        aim: regions chosen while no edit is active; the next edit goes there.
        lock: whether the next edit is locked.
        gallery, past, future, gesture: see `Visit`.
        settled: what was last shown with all that is beside it.
    """

    SHOWN: ClassVar[str] = "picture"

    picture: EditedPicture
    gallery: tuple[PictureRef, ...]
    active: int | None = None
    aim: Regions = ()
    lock: bool = True
    past: tuple[EditedPicture, ...] = ()
    future: tuple[EditedPicture, ...] = ()
    gesture: str | None = None
    settled: EditedPicture | None = None

    @property
    def layer(self) -> Layer | None:
        """The edit that the controls are for."""
        return None if self.active is None else self.picture.stack[self.active]

    @property
    def regions(self) -> Regions:
        """The regions chosen now, those of the active edit if there is one."""
        return self.aim if self.layer is None else self.layer.regions

    @property
    def offered(self) -> tuple[Any, ...]:
        """What the portraits in the gallery depend on."""
        return self.gallery, self.picture.portrait, self.picture.psi, self.picture.model

    @property
    def tried(self) -> tuple[str, PictureRef, float]:
        """What the thumbnails of all edits depend on."""
        return self.picture.model, self.picture.portrait, self.picture.psi

    @property
    def filmed(self) -> tuple[EditedPicture, int] | None:
        """What the film of the active edit depends on: all but the strength that it runs through."""
        if self.layer is None:
            return None
        layer = self.layer._replace(strength=1.0, muted=False)
        return self.picture.with_layer(self.active, layer), self.active

    # The picture ------------------------------------------------------------------------------------------------------

    def take(self, portrait: PictureRef, own: Callable[[Layer], Regions]) -> "Editing":
        """Edit another picture; edits stay, but regions chosen in the old one do not: each edit goes to its `own`."""
        if portrait == self.picture.portrait:
            return replace(self, gesture=None)
        stack = [layer._replace(regions=own(layer)) for layer in self.picture.stack]
        taken = replace(self.picture, portrait=portrait).with_stack(stack)
        return replace(self._changed(taken), aim=())

    def set_psi(self, psi: float) -> "Editing":
        """Set how varied the portraits are."""
        return self._changed(replace(self.picture, psi=psi), "psi")

    def set_model(self, model: str, known: Callable[[Layer], Layer | None]) -> "Editing":
        """The same with another model, whose layer for each one is `known`, None for none.

        A picture without a seed is of one model only; a portrait takes its place.
        """
        stack = [found for layer in self.picture.stack if (found := known(layer)) is not None]
        seeded = [ref for ref in (self.picture.portrait, *self.gallery) if ref.seed is not None]
        portrait = seeded[0] if seeded else PictureRef.of_seed(0)
        picture = replace(self.picture, portrait=portrait, model=model, stack=tuple(stack))
        return replace(self, active=len(stack) - 1 if stack else None, aim=())._changed(picture)

    def restore(self, picture: EditedPicture) -> "Editing":
        """Go on from a picture that was saved."""
        session = replace(self, active=None, aim=())._changed(picture)._offer([picture.portrait])
        return replace(session, active=len(picture.stack) - 1 if picture.stack else None)

    def reset(self) -> "Editing":
        """The picture as it was."""
        return self._changed(self.picture.plain)

    # The stack --------------------------------------------------------------------------------------------------------

    def put_on(self, layer: Layer) -> "Editing":
        """Put an edit on top, in the regions that were chosen for it or its own; one that is there becomes active.

        Raises:
            InputError: if there are too many.
        """
        same = (k for k, each in enumerate(self.picture.stack) if (each.edit, each.text) == (layer.edit, layer.text))
        index = next(same, None)
        if index is not None:
            return self.choose(index)
        if len(self.picture.stack) >= MAX_LAYERS:
            raise InputError(f"There are {MAX_LAYERS} edits on this picture, as many as it takes; take one off first.")
        aimed = self.layer is None and self.aim
        stack = [*self.picture.stack, layer._replace(regions=self.aim if aimed else layer.regions, lock=self.lock)]
        return replace(self._changed(self.picture.with_stack(stack)), active=len(stack) - 1, aim=())

    def choose(self, index: int | None) -> "Editing":
        """Let the controls be for another edit, or for none."""
        inside = index is not None and 0 <= index < len(self.picture.stack)
        return replace(self, active=index if inside else None, aim=(), gesture=None)

    def remove(self, index: int) -> "Editing":
        """Take an edit off; if the controls were for it, they are for the one that was on top of it, or else below."""
        stack = [layer for k, layer in enumerate(self.picture.stack) if k != index]
        below = self.active is not None and index < self.active
        session = replace(self, active=self.active - 1) if below else self
        return session._changed(self.picture.with_stack(stack))

    def mute(self, index: int) -> "Editing":
        """Leave an edit out for now, or take it in again."""
        layer = self.picture.stack[index]
        return self._changed(self.picture.with_layer(index, layer._replace(muted=not layer.muted)))

    def move(self, index: int, steps: int) -> "Editing":
        """Do an edit later, or earlier for `steps` below 0; it becomes active."""
        stack = list(self.picture.stack)
        there = max(0, min(len(stack) - 1, index + steps))
        stack.insert(there, stack.pop(index))
        return replace(self._changed(self.picture.with_stack(stack)), active=there)

    # The active edit --------------------------------------------------------------------------------------------------

    def set_strength(self, strength: float) -> "Editing":
        """Set how strong the active edit is; a slider that moves is one step back."""
        return self._with_layer(f"strength of {self.active}", strength=strength)

    def set_regions(self, regions: Regions) -> "Editing":
        """Set where the active edit may show, or the next one."""
        if self.layer is None:
            return replace(self, aim=regions, gesture=None)
        return self._with_layer(regions=regions)

    def set_lock(self, lock: bool) -> "Editing":
        """Set whether all else stays as it is, under the active edit and those to come."""
        return replace(self, lock=lock)._with_layer(lock=lock)

    def _with_layer(self, gesture: str | None = None, **values: object) -> "Editing":
        if self.layer is None:
            return self
        return self._changed(self.picture.with_layer(self.active, self.layer._replace(**values)), gesture)

    def _showing(
        self,
        shown: EditedPicture,
        past: tuple[EditedPicture, ...],
        future: tuple[EditedPicture, ...],
        gesture: str | None = None,
    ) -> "Editing":
        session = super()._showing(shown, past, future, gesture)
        if self.active is None or self.active < len(shown.stack):
            return session
        return replace(session, active=len(shown.stack) - 1 if shown.stack else None)
