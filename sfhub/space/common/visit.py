"""What visitors of a tab can do whatever it shows: take steps back and forth, and gather portraits in a gallery.

A visit is an immutable value. What it shows is one of its fields, a small value too, so that remembering every step
costs next to nothing.
"""

import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, ClassVar

from typing_extensions import Self

from sfhub.space.common.picture_ref import PictureRef

__all__ = ["Visit"]

GALLERY_LIMIT = 24
HISTORY_LIMIT = 100
# Six digits are as good as ten for variety, and a person can read them out or type them.
SURPRISE_SEEDS = 1_000_000


class Visit:
    """Base of frozen dataclasses with the fields below and one, named by `SHOWN`, for what is shown.

    Attributes:
        gallery: pictures on offer, newest first.
        past, future: what was shown before (latest last) and what undo left behind (next first).
        gesture: name of the slider or the drag under way, so that all of it is one step back; None after anything else.
    """

    SHOWN: ClassVar[str]

    gallery: tuple[PictureRef, ...]
    past: tuple[Any, ...]
    future: tuple[Any, ...]
    gesture: str | None

    def undo(self) -> Self:
        """Go back one change."""
        if not self.past:
            return self
        *past, before = self.past
        return self._showing(before, tuple(past), (self._shown, *self.future))

    def redo(self) -> Self:
        """Go forward one change that was undone."""
        if not self.future:
            return self
        after, *future = self.future
        return self._showing(after, (*self.past, self._shown), tuple(future))

    def add(self, seed: Any) -> Self:
        """Offer the portrait of a seed, a number or what was typed.

        Raises:
            InputError: unless it is a whole number in range.
        """
        if isinstance(seed, str):
            with suppress(ValueError):
                seed = int(seed)
        return self._offer([PictureRef.of_seed(seed)])

    def surprise(self, count: int, draw: random.Random) -> Self:
        """Offer portraits that were not there before."""
        fresh: list[PictureRef] = []
        while len(fresh) < count:
            ref = PictureRef.of_seed(draw.randrange(SURPRISE_SEEDS))
            if ref not in self.gallery and ref not in fresh:
                fresh.append(ref)
        return self._offer(fresh)

    @property
    def _shown(self) -> Any:
        return getattr(self, self.SHOWN)

    def _offer(self, pictures: Sequence[PictureRef]) -> Self:
        return replace(self, gallery=tuple(dict.fromkeys((*pictures, *self.gallery)))[:GALLERY_LIMIT], gesture=None)

    def _changed(self, shown: Any, gesture: str | None = None) -> Self:
        if shown == self._shown:
            return replace(self, gesture=gesture)
        same_gesture = gesture is not None and gesture == self.gesture
        past = self.past if same_gesture else (*self.past, self._shown)[-HISTORY_LIMIT:]
        return self._showing(shown, past, (), gesture)

    def _showing(self, shown: Any, past: tuple[Any, ...], future: tuple[Any, ...], gesture: str | None = None) -> Self:
        return replace(self, **{self.SHOWN: shown}, past=past, future=future, gesture=gesture)
