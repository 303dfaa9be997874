"""A picture between two others, of the codes of a SemanticStyleGAN (Shi et al., CVPR 2022, fig. 7)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from typing_extensions import Self

from sfhub.editing.arrangement import join_code, split_code
from sfhub.editing.semantic import BOTH, PARTS, code_places, exchange
from sfhub.steps.assets import Assets
from sfhub.steps.checks import need
from sfhub.steps.code import Code
from sfhub.steps.interpolate import InterpolateStep, check_way
from sfhub.steps.step import Model

__all__ = ["InterpolateSemantic"]


@dataclass(frozen=True)
class InterpolateSemantic(InterpolateStep):
    """The whole code with what was composed, or shape and texture of some regions.

    Attributes:
        regions: None for all, and with both parts for the layout and what was composed, too.
        part: `both`, or only the `shape` or the `texture` of them.
        position: 0 for the first picture to 1.
    """

    METHOD: ClassVar[str] = "semantic"
    FAMILY: ClassVar[str] = "SemanticStyleGAN"

    regions: tuple[str, ...] | None = None
    part: str = BOTH
    position: float = 0.0

    @classmethod
    def from_json(cls, data: Mapping[str, Any], where: str) -> Self:
        """As `Step.from_json`."""
        (position, regions), part = check_way(data, where), data.get("part")
        need(part in PARTS, f"part of {where}", part, ", ".join(PARTS))
        return cls(regions, part, position)

    def check_model(self, model: Model) -> None:
        """As `Step.check_model`."""
        super().check_model(model)
        for region in self.regions or ():
            model.region_names.covered_by(region)

    def code(self, model: Model, inputs: Sequence[Code], assets: Assets) -> Code:
        """As `Step.code`."""
        (a, here), (b, there) = (split_code(model.generator, code.s) for code in inputs)
        if self.regions is None and self.part == BOTH:
            return Code(join_code(a.lerp(b, self.position), here.lerp(there, self.position)))
        names = model.region_names
        places = code_places(model.generator, names.indices(self.regions or names.classes), self.part)
        return inputs[0].with_s(join_code(exchange(a, [(b, places, self.position)]), here))
