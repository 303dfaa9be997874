"""Mixing by StyleFusion (Kafri et al., TOG 2022): takes a fusion hierarchy; `sfhub.editing.fusion`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from typing_extensions import Self

from sfhub.editing.fusion import fuse
from sfhub.errors import InputError, short
from sfhub.steps.assets import Assets
from sfhub.steps.checks import is_names, need
from sfhub.steps.code import Code
from sfhub.steps.mix import MixStep, Request, Taken, check_strengths
from sfhub.steps.step import Model

__all__ = ["MixByFusion", "check_layout"]


@dataclass(frozen=True)
class MixByFusion(MixStep):
    """Nodes of the hierarchy take the look of their sources, and the whole picture the layout of the last one.

    Attributes:
        regions: nodes, each once; may be empty if there is a layout.
        strengths: of the sources, 0 to 1.
        layout: whether the last source gives the layout.
    """

    METHOD: ClassVar[str] = "fusion"
    FAMILY: ClassVar[str] = "StyleGAN"
    NAME: ClassVar[str] = "fusion"
    TITLE: ClassVar[str] = "StyleFusion"
    TAKES_LAYOUT: ClassVar[bool] = True
    CODE_COST: ClassVar[float] = 0.5

    regions: tuple[str, ...]
    strengths: tuple[float, ...]
    layout: bool = False

    @classmethod
    def asked(cls, model: Model, request: Request) -> tuple[Self, list[str]]:
        """As `MixByCatalog.asked`; there are no settings for queries.

        Raises:
            InputError: for an unknown region, or one that is given twice, or settings.
        """
        _check_hierarchy(model)
        if request.settings:
            raise InputError(
                f"The query settings {', '.join(request.settings)} are of Editing in Style; "
                "choose method 'influence' or 'contribution' with them, or leave them out."
            )
        strengths, pose = request.strengths, request.layout
        nodes = [model.region_names.node(name) for name in strengths]
        doubled = next((name for name, node in zip(strengths, nodes, strict=True) if nodes.count(node) > 1), None)
        if doubled is not None:
            raise InputError(
                f"Region {short(doubled)} was given twice, as the catalog and as the hierarchy name it; "
                f"give {short(model.region_names.node(doubled))} alone."
            )
        taken = (*strengths.values(), *([] if pose is None else [pose]))
        return cls(tuple(nodes), taken, pose is not None), list(strengths)

    @classmethod
    def from_json(cls, data: Mapping[str, Any], where: str) -> Self:
        """As `Step.from_json`."""
        layout, regions = check_layout(data, where), data.get("regions")
        need(is_names(regions), f"regions of {where}", regions, "a list of different names")
        need(regions or layout, f"regions of {where}", regions, "a list of different names")
        return cls(tuple(regions), check_strengths(data.get("strengths"), len(regions) + layout, where), layout)

    def check_model(self, model: Model) -> None:
        """As `Step.check_model`."""
        super().check_model(model)
        _check_hierarchy(model)
        for region in self.regions:
            model.region_names.node(region)

    def code(self, model: Model, inputs: Sequence[Code], assets: Assets) -> Code:
        """As `Step.code`."""
        base, *sources = inputs
        weighted = [(source.s, strength) for source, strength in zip(sources, self.strengths, strict=True)]
        layout = weighted.pop() if self.layout else None
        nodes = map(model.region_names.node, self.regions)
        return base.with_s(fuse(model.fusion, base.s, dict(zip(nodes, weighted, strict=True)), layout))

    @property
    def taken(self) -> tuple[Taken, ...]:
        """As `MixStep.taken`."""
        return tuple(map(Taken, (*self.regions, *([None] if self.layout else [])), self.strengths))


def check_layout(data: Mapping[str, Any], where: str) -> bool:
    """Whether a mix has a layout."""
    layout = data.get("layout", False)
    need(isinstance(layout, bool), f"layout of {where}", layout, "true or false")
    return layout


def _check_hierarchy(model: Model) -> None:
    if model.fusion is None:
        raise InputError(
            "This model has no fusion hierarchy, which method 'fusion' takes; train one with "
            "scripts/train_fusionnet.py, or choose another method."
        )
