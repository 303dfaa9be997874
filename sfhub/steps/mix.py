"""What the ways of mixing regions have in common."""

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

from sfhub.editing.semantic import BOTH
from sfhub.steps.checks import is_number, need
from sfhub.steps.step import Step

__all__ = ["MixStep", "Request", "Taken", "check_strengths"]


class Taken(NamedTuple):
    """What a mix takes from one of its sources: a region, or the layout if `region` is None."""

    region: str | None
    strength: float
    part: str = BOTH


class Request(NamedTuple):
    """What a user asks of a mix.

    Attributes:
        strengths: by region, as users name them; a region that others are part of covers them.
        layout: strength of the layout's source, None if there is none.
        method, settings: how the queries of Editing in Style are made.
    """

    strengths: Mapping[str, float]
    layout: float | None
    method: str
    settings: Mapping[str, str | float]


class MixStep(Step):
    """Base of the ways of mixing: a base goes in, then a source for everything that is `taken`."""

    OP: ClassVar[str] = "mix"
    INPUTS: ClassVar[str] = "a base and one per region or layout"

    NAME: ClassVar[str]
    """What users call the way of mixing."""

    TITLE: ClassVar[str]
    """What its paper calls it."""

    TAKES_LAYOUT: ClassVar[bool] = False
    """Whether it can take the pose of everything from a source."""

    TAKES_PARTS: ClassVar[bool] = False
    """Whether it can take shape and texture apart."""

    @property
    def taken(self) -> tuple[Taken, ...]:
        """What is taken from each source, in their order."""
        raise NotImplementedError

    @property
    def has_settings(self) -> bool:
        """Whether it says more than what is taken."""
        return False

    def takes(self, count: int) -> bool:
        """A base and the sources go in."""
        return count == 1 + len(self.taken)


def check_strengths(strengths: Any, count: int, where: str) -> tuple[float, ...]:
    """One strength from 0 to 1 for each of `count` sources."""
    fine = isinstance(strengths, list) and len(strengths) == count
    fine = fine and all(is_number(value, 0, 1) for value in strengths)
    need(fine, f"strengths of {where}", strengths, "one number from 0 to 1 per region or layout")
    return tuple(strengths)
