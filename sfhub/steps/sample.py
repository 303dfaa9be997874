"""A picture from a seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from typing_extensions import Self

from sfhub.steps.assets import Assets
from sfhub.steps.checks import check_seed, is_integer, is_number, need
from sfhub.steps.code import Code
from sfhub.steps.step import Model, Step

__all__ = ["SampleStep"]


@dataclass(frozen=True)
class SampleStep(Step):
    """The picture of a seed.

    Attributes:
        seed: from 0 to 2**32 - 1.
        truncation_psi: from -2 to 2; 0 gives the average picture.
        label: class of a conditional model.
    """

    OP: ClassVar[str] = "sample"
    INPUTS: ClassVar[str] = "none for a sample"

    seed: int
    truncation_psi: float
    label: int | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any], where: str) -> Self:
        """As `Step.from_json`."""
        seed, psi, label = check_seed(data.get("seed")), data.get("truncation_psi"), data.get("label")
        need(is_number(psi, -2, 2), f"truncation_psi of {where}", psi, "a number from -2 to 2")
        fine = label is None or (is_integer(label) and 0 <= label < 2**31)
        need(fine, f"label of {where}", label, "a class number or null")
        return cls(seed, psi, label)

    def takes(self, count: int) -> bool:
        """No picture goes in."""
        return count == 0

    def code(self, model: Model, inputs: Sequence[Code], assets: Assets) -> Code:
        """As `Step.code`."""
        return model.sampled(model.latent(self.seed), self.truncation_psi, self.label)

    @property
    def name(self) -> str:
        """The seed."""
        return str(self.seed)
