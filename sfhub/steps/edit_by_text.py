"""An edit that a text asks for, in the whole picture or kept to some regions: *StyleCLIP*; `sfhub.text`.

Recipes hold the text and which encoder understood it, not what came out: to make the picture again asks that encoder
again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor
from typing_extensions import Self

from sfhub.errors import InputError, short
from sfhub.steps.assets import Assets
from sfhub.steps.checks import is_integer, is_number, is_text, need
from sfhub.steps.code import Code
from sfhub.steps.edit import EditStep
from sfhub.steps.step import Model, Step
from sfhub.text.encoder import checked_text
from sfhub.text.optimise import Optimisation, TextProgress, optimise
from sfhub.text.relevance import displaced

__all__ = ["BY_DIRECTION", "BY_OPTIMISATION", "WAYS", "EditByText"]

BY_DIRECTION, BY_OPTIMISATION = WAYS = ("direction", "optimisation")
"""StyleCLIP's global directions (section 6) and its optimisation (section 4)."""

MAX_STEPS = 10_000
STRENGTHS = (-3.0, 3.0)
"""Range of strengths of every text."""


@dataclass(frozen=True)
class EditByText(EditStep):
    """What a text asks for.

    Attributes:
        edit: the text.
        strength, regions, constraint, lock: as of an `EditStep`.
        way: one of `WAYS`.
        encoder, encoder_digest: name and SHA-256 of the encoder.
        neutral: text that a direction starts from; None for the usual one.
        beta: channels of less relevance stay; None for the usual.
        steps, learning_rate, l2: of an optimisation.
        stopped: after how many steps it was stopped; None if it was not.
    """

    METHOD: ClassVar[str | None] = "text"

    way: str = BY_DIRECTION
    encoder: str = ""
    encoder_digest: str = ""
    neutral: str | None = None
    beta: float | None = None
    steps: int = Optimisation.steps
    learning_rate: float = Optimisation.learning_rate
    l2: float = Optimisation.l2
    stopped: int | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any], where: str) -> Self:
        """As `Step.from_json`."""
        plain = EditStep.from_json({**data, "foreign": None}, where)
        need(data.get("foreign") is None, f"foreign of {where}", data.get("foreign"), "null")
        need(is_number(plain.strength, *STRENGTHS), f"strength of {where}", plain.strength, "a number from -3 to 3")
        way, neutral, beta = data.get("way"), data.get("neutral"), data.get("beta")
        need(way in WAYS, f"way of {where}", way, ", ".join(WAYS))
        for key in ("encoder", "encoder_digest"):
            need(is_text(data.get(key)), f"{key} of {where}", data.get(key), "the encoder's")
        need(neutral is None or is_text(neutral), f"neutral of {where}", neutral, "a text or null")
        need(beta is None or is_number(beta, 0, 1), f"beta of {where}", beta, "a number from 0 to 1, or null")
        steps, stopped = data.get("steps"), data.get("stopped")
        need(is_integer(steps) and 1 <= steps <= MAX_STEPS, f"steps of {where}", steps, f"1 to {MAX_STEPS}")
        fine = stopped is None or (is_integer(stopped) and 0 <= stopped <= steps)
        need(fine, f"stopped of {where}", stopped, f"a number from 0 to {steps}, or null")
        rate, l2 = data.get("learning_rate"), data.get("l2")
        need(is_number(rate, 0, 100), f"learning_rate of {where}", rate, "a number from 0 to 100")
        need(is_number(l2, 0, 100), f"l2 of {where}", l2, "a number from 0 to 100")
        return cls(
            edit=checked_text(plain.edit),
            strength=plain.strength,
            regions=plain.regions,
            constraint=plain.constraint,
            lock=plain.lock,
            way=way,
            encoder=data["encoder"],
            encoder_digest=data["encoder_digest"],
            neutral=neutral,
            beta=None if beta is None else float(beta),
            steps=steps,
            learning_rate=float(rate),
            l2=float(l2),
            stopped=stopped,
        )

    def check_model(self, model: Model) -> None:
        """As `Step.check_model`."""
        Step.check_model(self, model)
        self.check_regions(model)
        encoder = model.text_encoder
        if encoder.digest != self.encoder_digest:
            raise InputError(
                f"The text was understood by the encoder {short(self.encoder)} ({self.encoder_digest[:12]}), but "
                "this model "
                f"has {short(encoder.name)} ({encoder.digest[:12]}); open that one with use_text_encoder."
            )
        if self.way == BY_DIRECTION and model.text_relevance is None:
            raise InputError(
                "This model has no text directions; measure them with scripts/measure_text_directions.py, or take the "
                "way 'optimisation'."
            )

    def code(self, model: Model, inputs: Sequence[Code], assets: Assets) -> Code:
        """As `Step.code`."""
        (base,) = inputs
        if self.strength == 0:
            return base
        edited = self._directed(model, base) if self.way == BY_DIRECTION else self._optimised(model, base)
        return edited if self.regions is None else base.with_s(self.constrained(model, base, edited))

    def _directed(self, model: Model, base: Code) -> Code:
        """Along the global direction, as far as channels go in pictures of the model."""
        component, space = model.text_relevance, model.code_space
        key = ("direction", self.edit, self.neutral, self.beta)
        direction = model.remembered(
            key, lambda: component.direction(model.text_encoder, self.edit, neutral=self.neutral, beta=self.beta)
        )
        moved = (self.strength * component.config.alpha * direction).to(base.s)[None]
        here = base.s[:, : space.size] if component.config.basis == "s" else _mean_w(space, base)
        if here is not None:
            places = component.places
            value, low, high = here[:, places], component.low.to(here), component.high.to(here)
            goal = (value + moved[:, places]).clamp(torch.minimum(value, low), torch.maximum(value, high))
            moved = torch.zeros_like(moved).index_copy(1, places, goal - value)
        if component.config.basis == "w":
            return space.moved(base, moved[:, None].expand(-1, space.num_ws, -1))
        return space.shifted(base, displaced(space, "s", moved))

    def _optimised(self, model: Model, base: Code) -> Code:
        displacement, _ = self.optimised(model, base)
        return model.code_space.moved(base, self.strength * displacement)

    def optimised(
        self, model: Model, base: Code, callback: Callable[[TextProgress], object] | None = None
    ) -> tuple[Tensor, int]:
        """The displacement `[1, num_ws, w_dim]` that an optimisation finds for a picture, and its steps; remembered.

        The strength plays no part in it.
        """
        space = model.code_space
        once = replace(self, strength=1.0, lock=False)
        key = ("optimisation", once, base.s.detach().float().cpu().numpy().tobytes())

        def render(displacement: Tensor) -> Tensor:
            edited = space.moved(base, displacement)
            return model.shown(edited.s if self.regions is None else self.constrained(model, base, edited))

        start = base.s.new_zeros(1, space.num_ws, space.w_dim)
        settings = Optimisation(self.steps, self.learning_rate, self.l2)
        found = model.remembered(
            key, lambda: optimise(render, start, model.text_encoder, self.edit, settings, callback, self.stopped)
        )
        if found[1] < self.steps and self.stopped is None:  # stopped just now: known from here on by that
            model.remember((key[0], replace(once, stopped=found[1]), key[2]), found)
            model.forget(key)
        return found


def _mean_w(space: Any, base: Code) -> Tensor | None:
    """The mean of the vectors of W+, `[1, w_dim]`, where they are known; of a mix they are those of its base."""
    w_plus = space.w_plus(base)
    return None if w_plus is None else w_plus.mean(dim=1)
