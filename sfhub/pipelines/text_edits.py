"""Edits that a text asks for, alike for all generator families; *StyleCLIP*, `sfhub.text`."""

import logging
import os
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

from sfhub.editing.edits import as_names
from sfhub.errors import InputError, short
from sfhub.pipelines.edits import DEFAULT, EditingPipeline
from sfhub.pipelines.generator import Samples, as_list
from sfhub.pipelines.sample import Sample
from sfhub.steps.edit import constraints_of
from sfhub.steps.edit_by_text import BY_DIRECTION, BY_OPTIMISATION, STRENGTHS, WAYS, EditByText
from sfhub.text.encoder import PORTRAITS, TextEncoder, checked_text
from sfhub.text.optimise import Optimisation, TextProgress
from sfhub.text.regions import region_of_text

__all__ = ["TextEditingPipeline"]

logger = logging.getLogger(__name__)

REMEMBERED = 64
"""What was found for texts is kept, so that a slider need not ask again."""

T = TypeVar("T")


class TextEditingPipeline(EditingPipeline):
    """Base of the families: a subclass has a component `text_relevance`, which may be None."""

    _text_encoder: TextEncoder | None = None
    _found: OrderedDict[Hashable, Any] | None = None

    @torch.no_grad()
    def edit_text(
        self,
        sample: Samples,
        text: str,
        strength: float = 1.0,
        region: str | Sequence[str] | Literal["default"] | None = DEFAULT,
        *,
        lock: bool = False,
        way: str | None = None,
        method: str | None = None,
        neutral: str | None = None,
        beta: float | None = None,
        steps: int = Optimisation.steps,
        learning_rate: float = Optimisation.learning_rate,
        l2: float = Optimisation.l2,
        callback: Callable[[TextProgress], object] | None = None,
    ) -> Sample | list[Sample]:
        """Change a picture into what a text says.

        Edits stack, so a sequence of texts, each with its region, builds a face up from the average one
        (SemanticStyleGAN, fig. 11): start from `sample(0, truncation_psi=0)`.

        Args:
            sample: a picture of this model or a batch; also mixed ones.
            text: such as "curly red hair" or "sad"; in the language of the encoder.
            strength: 1 for what the text says, less for a part of it, negative for its opposite; -3 to 3.
            region: where it may show, one region or several; None for the whole picture; if not given, the one that
                the text is about (`text_region`).
            lock: leave every pixel outside the region as it is; see `edit`.
            way: `direction`, at once (StyleCLIP's global directions, which take the component `text_relevance`), or
                `optimisation`, some minutes (StyleCLIP's latent optimisation); None for the first if the model has it.
            method: how the edit is kept to the region; see `edit`.
            neutral: what the picture shows without it, for a direction: "a person with hair" for "a person with
                curly hair"; "a person" if None.
            beta: channels that are about the text less than this stay, 0 to 1; the model's own if None.
            steps, learning_rate, l2: of an optimisation.
            callback: called with a `TextProgress` after every step of an optimisation; it ends there, and the picture
                of that step is the result, if the callback returns False.

        Returns:
            One picture or as many as went in.

        Raises:
            InputError: for an empty text, an unknown region or way, a strength out of range, or a model without a text
                encoder.
        """
        text = checked_text(text)
        self._check_inputs(as_list(sample))
        encoder = self.text_encoder
        text = encoder.shortened(text)
        way = way or (BY_OPTIMISATION if self.text_relevance is None else BY_DIRECTION)
        if way not in WAYS:
            raise InputError(f"There is no way {short(way)} to edit by text; choose one of {', '.join(WAYS)}.")
        regions = as_names(self.text_region(text) if region == DEFAULT else region)
        if regions == ():
            raise InputError(
                f"No region was named; choose from {', '.join(self.regions)}, or give None for everything."
            )
        ways = constraints_of(self)
        step = EditByText(
            edit=text,
            strength=_strength(strength),
            regions=regions,
            constraint=None if regions is None else method or (ways[0] if ways else "fusion"),
            lock=bool(lock) and regions is not None,
            way=way,
            encoder=encoder.name,
            encoder_digest=encoder.digest,
            neutral=None if neutral is None else checked_text(neutral),
            beta=_beta(beta),
            steps=Optimisation(steps, learning_rate, l2).steps,
            learning_rate=float(learning_rate),
            l2=float(l2),
        )
        step.check_model(self)
        if way == BY_OPTIMISATION and step.strength:
            made = [self._optimised(step, each, callback) for each in as_list(sample)]
        else:
            made = as_list(self.render(step, as_list(sample)))
        made = self._with_outside(as_list(sample), made, step)
        return made[0] if isinstance(sample, Sample) else made

    def text_region(self, text: str) -> str | None:
        """The region of this model that a text is about, by its words or else by the encoder; None for none."""
        return region_of_text(checked_text(text), (*self.regions, *self._single_classes()), self.text_encoder)

    @property
    def text_encoder(self) -> TextEncoder:
        """The encoder that understands texts, opened when it is first needed.

        Raises:
            InputError: if the model says nothing about one.
        """
        if self._text_encoder is None:
            wanted = None if self.text_relevance is None else self.text_relevance.config.encoder
            if wanted is None and self.source.kind == "builtin":
                wanted = PORTRAITS
            if wanted is None:
                raise InputError(
                    "No text encoder was chosen for this model; do so with use_text_encoder, which takes one of "
                    f"open_clip by name, folder or Hub id, or {short(PORTRAITS)} for portraits."
                )
            if wanted != PORTRAITS:
                raise InputError(
                    f"The text directions of this model were measured with the encoder {short(wanted)}; if you "
                    "trust it, "
                    "open it with use_text_encoder."
                )
            self.use_text_encoder(wanted)
        return self._text_encoder

    def use_text_encoder(self, encoder: str | os.PathLike[str] | TextEncoder, **options: Any) -> TextEncoder:
        """Understand texts by another encoder.

        Args:
            encoder: an open one, or what `TextEncoder.open` takes.
            **options: for `TextEncoder.open`, such as `cache_dir`.

        Raises:
            InputError: as `TextEncoder.open`.
        """
        opened = encoder if isinstance(encoder, TextEncoder) else TextEncoder.open(encoder, **options)
        self.__dict__["_text_encoder"] = opened.to(self.device)
        self._found = None
        return opened

    # What steps take ------------------------------------------------------------------------------------------------

    def shown(self, s: Tensor) -> Tensor:
        """The picture `[1, 3, H, W]` in [-1, 1] of a flat code `[1, S]`, with gradients."""
        return self._synthesize([s])

    def remembered(self, key: Hashable, find: Callable[[], T]) -> T:
        """What was found for a key before, or else is found now."""
        if self._found is None:
            self._found = OrderedDict()
        if key not in self._found:
            self.remember(key, find())
        self._found.move_to_end(key)
        return self._found[key]

    def remember(self, key: Hashable, value: Any) -> None:
        """Keep something for `remembered`."""
        self._found = OrderedDict() if self._found is None else self._found
        self._found[key] = value
        while len(self._found) > REMEMBERED:
            self._found.popitem(last=False)

    def forget(self, key: Hashable) -> None:
        """Keep it no longer."""
        (self._found or {}).pop(key, None)

    def _single_classes(self) -> tuple[str, ...]:
        return tuple(getattr(self.region_names, "labels", ()) or ())

    def _optimised(self, step: EditByText, sample: Sample, callback: Callable | None) -> Sample:
        """The picture of an optimisation, which may be stopped."""
        _, made = step.optimised(self, self._code_here(sample), callback)
        return self.render(step if made == step.steps else replace(step, stopped=made), sample)


def _strength(value: Any) -> float:
    low, high = STRENGTHS
    fine = isinstance(value, (int, float)) and not isinstance(value, bool) and value == value
    if not fine or value in (float("inf"), float("-inf")):
        raise InputError(f"The strength of a text is {short(value)}; give a finite number, 0 for no change.")
    inside = float(min(max(value, low), high))
    if inside != value:
        logger.warning("Texts work from %g to %g; strength %g was taken as %g.", low, high, value, inside)
    return inside


def _beta(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise InputError(f"Beta is {short(value)}; take a number from 0 to 1.")
    return float(value)
