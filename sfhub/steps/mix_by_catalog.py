"""Mixing by Editing in Style (Collins et al., CVPR 2020): takes a region catalog; `sfhub.editing.catalog`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor
from typing_extensions import Self

from sfhub.editing.catalog import mix_by_queries
from sfhub.errors import InputError, short
from sfhub.regions.names import RegionNames
from sfhub.steps.assets import Assets
from sfhub.steps.checks import is_names, need
from sfhub.steps.code import Code
from sfhub.steps.mix import MixStep, Request, Taken, check_strengths
from sfhub.steps.query import BEST, Query, check_query, query_settings
from sfhub.steps.step import Model

__all__ = ["MixByCatalog", "check_catalog", "queries_of"]


@dataclass(frozen=True)
class MixByCatalog(MixStep):
    """Regions of the catalog take the channels that their queries say from their sources.

    Attributes:
        regions: of the catalog, each once.
        strengths: of the sources, 0 to 1.
        query: how the queries are made.
    """

    FAMILY: ClassVar[str] = "StyleGAN"
    NAME: ClassVar[str] = BEST
    TITLE: ClassVar[str] = "Editing in Style"
    CODE_COST: ClassVar[float] = 0.25

    regions: tuple[str, ...]
    strengths: tuple[float, ...]
    query: Query = None

    @classmethod
    def asked(cls, model: Model, request: Request) -> tuple[Self, list[str]]:
        """The step for a user's request, and the names of the regions in the order in which their sources go in.

        Raises:
            InputError: if there is a layout, for an unknown region, or settings that the catalog does not know.
        """
        check_catalog(model)
        if request.layout is not None:
            found = "this model has none" if model.fusion is None else f"the method is {short(request.method)}"
            raise InputError(
                f"A layout needs a fusion hierarchy and method 'fusion', but {found}; leave the layout out."
            )
        owners = model.region_names.owners(list(request.strengths))
        taken = tuple(request.strengths[name] for name in owners.values())
        return cls(tuple(owners), taken, query_settings(request.method, request.settings)), list(owners.values())

    @classmethod
    def from_json(cls, data: Mapping[str, Any], where: str) -> Self:
        """As `Step.from_json`."""
        regions = data.get("regions")
        need(is_names(regions) and regions, f"regions of {where}", regions, "a list of different names")
        strengths = check_strengths(data.get("strengths"), len(regions), where)
        return cls(tuple(regions), strengths, check_query(data.get("query")))

    def check_model(self, model: Model) -> None:
        """As `Step.check_model`."""
        super().check_model(model)
        check_catalog(model, self.regions)

    def code(self, model: Model, inputs: Sequence[Code], assets: Assets) -> Code:
        """As `Step.code`."""
        base, *sources = inputs
        queries = queries_of(model, self.regions, self.query)
        weights = [strength * query for strength, query in zip(self.strengths, queries, strict=True)]
        return base.with_s(mix_by_queries(base.s, [source.s for source in sources], weights))

    @property
    def taken(self) -> tuple[Taken, ...]:
        """As `MixStep.taken`."""
        return tuple(map(Taken, self.regions, self.strengths))

    @property
    def has_settings(self) -> bool:
        """As `MixStep.has_settings`."""
        return self.query is not None


def check_catalog(model: Model, regions: Sequence[str] = ()) -> None:
    """Refuse a model without a catalog, or whose catalog lacks one of the regions."""
    if model.catalog is None:
        raise InputError(
            "Nothing can be mixed this way, for this model has no region catalog; "
            "build one with sfhub.regions.build and add it to the pipeline."
        )
    # Steps have the catalog's names, also those that mean something else to a hierarchy.
    names = RegionNames(model.catalog, None)
    for region in regions:
        names.covered_by(region)


def queries_of(model: Model, regions: Sequence[str], query: Query) -> list[Tensor]:
    """The query `[S]` of each region."""
    return [model.catalog.query_by(region, query).to(model.device, model.dtype) for region in regions]
