"""A picture between two others, of the whole code or by the queries of Editing in Style."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from typing_extensions import Self

from sfhub.editing.catalog import interpolate_by_queries
from sfhub.steps.assets import Assets
from sfhub.steps.checks import is_names, is_number, need
from sfhub.steps.code import Code
from sfhub.steps.mix_by_catalog import check_catalog, queries_of
from sfhub.steps.query import Query, check_query
from sfhub.steps.step import Model, Step

__all__ = ["InterpolateStep", "InterpolateStyles"]


@dataclass(frozen=True)
class InterpolateStep(Step):
    """Base of the ways of interpolating: from a first picture to a second one."""

    OP: ClassVar[str] = "interpolate"
    INPUTS: ClassVar[str] = "two steps"

    def at(self, position: float) -> Self:
        """The step for another place on the way."""
        return replace(self, position=position)

    def takes(self, count: int) -> bool:
        """Two pictures go in."""
        return count == 2


@dataclass(frozen=True)
class InterpolateStyles(InterpolateStep):
    """The whole style code, or the channels that belong to some regions of the catalog.

    Attributes:
        regions: of the catalog, None for the whole code.
        query: how their queries are made.
        position: 0 for the first picture to 1.
    """

    FAMILY: ClassVar[str] = "StyleGAN"
    CODE_COST: ClassVar[float] = 0.25

    regions: tuple[str, ...] | None = None
    query: Query = None
    position: float = 0.0

    @classmethod
    def from_json(cls, data: Mapping[str, Any], where: str) -> Self:
        """As `Step.from_json`."""
        position, regions = check_way(data, where)
        return cls(regions, check_query(data.get("query")), position)

    def check_model(self, model: Model) -> None:
        """As `Step.check_model`."""
        super().check_model(model)
        if self.regions:
            check_catalog(model, self.regions)

    def code(self, model: Model, inputs: Sequence[Code], assets: Assets) -> Code:
        """As `Step.code`."""
        a, b = inputs
        queries = None if self.regions is None else queries_of(model, self.regions, self.query)
        s = interpolate_by_queries(a.s, b.s, queries, self.position)
        if queries is not None or a.w_plus is None or b.w_plus is None:
            return a.with_s(s)
        return Code(s, a.w_plus.lerp(b.w_plus, self.position))


def check_way(data: Mapping[str, Any], where: str) -> tuple[float, tuple[str, ...] | None]:
    """Position and regions of an interpolation."""
    position, regions = data.get("position"), data.get("regions")
    need(is_number(position, 0, 1), f"position of {where}", position, "a number from 0 to 1")
    fine = regions is None or (is_names(regions) and regions)
    need(fine, f"regions of {where}", regions, "a list of different names or null")
    return position, None if regions is None else tuple(regions)
