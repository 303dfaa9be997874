"""Mixing by the codes of a SemanticStyleGAN (Shi et al., CVPR 2022); `sfhub.editing.semantic`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from typing_extensions import Self

from sfhub.editing.arrangement import join_code, split_code
from sfhub.editing.semantic import BOTH, PARTS, SHAPE, TEXTURE, code_places, exchange
from sfhub.steps.assets import Assets
from sfhub.steps.checks import MAX_NAMES, is_text, need
from sfhub.steps.code import Code
from sfhub.steps.mix import MixStep, Taken, check_strengths
from sfhub.steps.mix_by_fusion import check_layout
from sfhub.steps.step import Model

__all__ = ["MixBySemantic"]


@dataclass(frozen=True)
class MixBySemantic(MixStep):
    """Regions take shape and texture of their classes from their sources; what was composed in the base stays.

    Attributes:
        regions: or classes; one may be there twice, for its shape and for its texture. May be empty with a layout.
        parts: `both`, `shape` or `texture` for each region; a source of one part wins over one of both.
        strengths: of the sources, 0 to 1.
        layout: whether the last source gives the base codes (pose, coarse structure).
    """

    METHOD: ClassVar[str] = "semantic"
    FAMILY: ClassVar[str] = "SemanticStyleGAN"
    NAME: ClassVar[str] = "semantic"
    TITLE: ClassVar[str] = "SemanticStyleGAN"
    TAKES_LAYOUT: ClassVar[bool] = True
    TAKES_PARTS: ClassVar[bool] = True

    regions: tuple[str, ...]
    parts: tuple[str, ...]
    strengths: tuple[float, ...]
    layout: bool = False

    @classmethod
    def from_json(cls, data: Mapping[str, Any], where: str) -> Self:
        """As `Step.from_json`."""
        layout, regions, parts = check_layout(data, where), data.get("regions"), data.get("parts")
        fine = isinstance(regions, list) and len(regions) <= MAX_NAMES and all(map(is_text, regions))
        need(fine, f"regions of {where}", regions, "a list of names")
        fine = isinstance(parts, list) and len(parts) == len(regions) and all(part in PARTS for part in parts)
        need(fine, f"parts of {where}", parts, f"{', '.join(PARTS)} per region")
        fine = len(set(zip(regions, parts, strict=True))) == len(regions) and (regions or layout)
        need(fine, f"regions of {where}", regions, "each one once for the same part")
        strengths = check_strengths(data.get("strengths"), len(regions) + layout, where)
        return cls(tuple(regions), tuple(parts), strengths, layout)

    def check_model(self, model: Model) -> None:
        """As `Step.check_model`."""
        super().check_model(model)
        for region in self.regions:
            model.region_names.covered_by(region)

    def code(self, model: Model, inputs: Sequence[Code], assets: Assets) -> Code:
        """As `Step.code`."""
        generator = model.generator
        (base, arrangement), *sources = (split_code(generator, code.s) for code in inputs)
        moved = []
        if self.layout:
            moved.append((sources[-1][0], range(generator.config.base_layers), self.strengths[-1]))
        for part in (SHAPE, TEXTURE):
            for k, entry in self._entries(model, part).items():
                moved.append((sources[entry][0], code_places(generator, [k], part), self.strengths[entry]))
        return inputs[0].with_s(join_code(exchange(base, moved), arrangement))

    def _entries(self, model: Model, part: str) -> dict[int, int]:
        """Class -> which source its shape or its texture comes from; sources of that part alone win."""
        found: dict[int, int] = {}
        for each in (BOTH, part):
            taken = enumerate(zip(self.regions, self.parts, strict=True))
            entry = {region: n for n, (region, its_part) in taken if its_part == each}
            found |= {k: entry[region] for k, region in model.region_names.owners(list(entry)).items()}
        return found

    @property
    def taken(self) -> tuple[Taken, ...]:
        """As `MixStep.taken`."""
        regions = (*self.regions, *([None] if self.layout else []))
        return tuple(map(Taken, regions, self.strengths, (*self.parts, BOTH)))
