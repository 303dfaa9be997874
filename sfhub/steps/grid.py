"""Pictures side by side."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from PIL import Image
from typing_extensions import Self

from sfhub.steps.assets import Assets
from sfhub.steps.checks import is_integer, need
from sfhub.steps.code import Code
from sfhub.steps.step import Before, Model, Step

__all__ = ["MAX_GRID", "GridStep"]

MAX_GRID = 400


@dataclass(frozen=True)
class GridStep(Step):
    """Pictures row by row, as one; its code `[N, S]` has a row for each of them.

    Attributes:
        columns: pictures per row, 1 to 400.
    """

    OP: ClassVar[str] = "grid"
    INPUTS: ClassVar[str] = f"1 to {MAX_GRID} steps"

    columns: int

    @classmethod
    def from_json(cls, data: Mapping[str, Any], where: str) -> Self:
        """As `Step.from_json`."""
        columns = data.get("columns")
        need(is_integer(columns) and 1 <= columns <= MAX_GRID, f"columns of {where}", columns, f"1 to {MAX_GRID}")
        return cls(columns)

    def takes(self, count: int) -> bool:
        """Up to 400 pictures go in."""
        return 1 <= count <= MAX_GRID

    def code(self, model: Model, inputs: Sequence[Code], assets: Assets) -> Code:
        """As `Step.code`."""
        return model.stacked(inputs)

    @property
    def needs_before(self) -> bool:
        """It shows the pictures that go in."""
        return True

    def pictures(
        self, model: Model, codes: Sequence[Code], before: Sequence[Before], assets: Assets
    ) -> list[Image.Image]:
        """As `Step.pictures`."""
        return [self.paste([image for image, _ in each]) for each in before]

    def picture_cost(self, inputs: int) -> float:
        """Next to nothing beside the pictures that go in."""
        return inputs / 100

    def paste(self, images: Sequence[Image.Image]) -> Image.Image:
        """Pictures of one size side by side, on white."""
        width, height = images[0].size
        columns = min(self.columns, len(images))
        page = Image.new("RGB", (width * columns, height * math.ceil(len(images) / columns)), "white")
        for k, image in enumerate(images):
            page.paste(image, (k % columns * width, k // columns * height))
        return page

    @property
    def is_final(self) -> bool:
        """True, for a grid has no single code."""
        return True
