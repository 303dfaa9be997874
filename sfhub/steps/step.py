"""What every kind of step is: a frozen dataclass that checks itself, writes itself as JSON and makes its code."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from typing_extensions import Self

from sfhub.editing.edits import Edit
from sfhub.editing.spaces import CodeSpace
from sfhub.errors import InputError
from sfhub.steps.assets import Asset, Assets, EditAsset
from sfhub.steps.code import Code

__all__ = ["Before", "Model", "Step"]

Before = Sequence[tuple[Image.Image, Code]]
"""The pictures that go into a step, each with its code."""


class Model(Protocol):
    """What steps make codes and pictures with; the pipelines are such models.

    Kinds of steps that take more, such as a `catalog`, name a `FAMILY` whose pipeline has it as a component.
    """

    FAMILY: ClassVar[str]
    device: torch.device
    dtype: torch.dtype

    def sampled(self, z: Tensor, truncation_psi: float, label: int | None) -> Code:
        """The code of a latent `[1, z_dim]`."""

    def latent(self, seed: int) -> Tensor:
        """The latent `[1, z_dim]` of a seed."""

    def stacked(self, codes: Sequence[Code]) -> Code:
        """Several codes as one, `[N, S]`."""

    def images(self, codes: Sequence[Code]) -> list[Image.Image]:
        """The picture of each code."""

    @property
    def edits(self) -> Mapping[str, Edit]:
        """The model's edits by name."""

    @property
    def code_space(self) -> CodeSpace:
        """The spaces that edits move in."""

    def region_mask(self, regions: Sequence[str], pictures: "Before") -> np.ndarray:
        """Where regions lie in any of some pictures of one size, boolean `[H, W]`."""

    def image_before(self, photograph: Image.Image, code: Code) -> Image.Image:
        """The picture of a code with a photograph where its background is; not every family can."""


class Step(ABC):
    """Base of the kinds of steps, which are frozen dataclasses; what goes in is no part of them.

    Fields are written as JSON under their own names, after `op`, `inputs` and `method`.
    """

    OP: ClassVar[str]
    """What recipes call the step."""

    METHOD: ClassVar[str | None] = None
    """Tells kinds of steps with one `OP` apart; recipes say nothing for None."""

    FAMILY: ClassVar[str | None] = None
    """The family of models that can follow the step, None for every one."""

    INPUTS: ClassVar[str]
    """How many pictures go in, for a sentence."""

    # In and out of recipes --------------------------------------------------------------------------------------------

    @classmethod
    @abstractmethod
    def from_json(cls, data: Mapping[str, Any], where: str) -> Self:
        """The step that a recipe has, every value of it checked; `where` says which one it is.

        Raises:
            InputError: naming the first thing that is wrong.
        """

    def to_json(self) -> dict[str, Any]:
        """Plain data that `from_json` reads, `inputs` left out."""
        head = {"op": self.OP} | ({} if self.METHOD is None else {"method": self.METHOD})
        return head | {field.name: _as_json(getattr(self, field.name)) for field in fields(self)}

    @abstractmethod
    def takes(self, count: int) -> bool:
        """Whether so many pictures can go in."""

    # Doing it ---------------------------------------------------------------------------------------------------------

    def check_model(self, model: Model) -> None:
        """Refuse a model that cannot follow the step, say for its regions.

        Raises:
            InputError: naming what the model lacks.
        """
        if self.FAMILY not in (None, model.FAMILY):
            raise InputError(
                f"This picture was mixed by a {self.FAMILY}, but this model is a {model.FAMILY}; use the one that made "
                "it."
            )

    @abstractmethod
    def code(self, model: Model, inputs: Sequence[Code], assets: Assets) -> Code:
        """The code that the step makes of those that go in; `assets` are at least those of the step."""

    def pictures(
        self, model: Model, codes: Sequence[Code], before: Sequence[Before], assets: Assets
    ) -> list[Image.Image]:
        """The picture of each code that the step made.

        Args:
            model: that follows the step.
            codes: what `code` made, one per picture.
            before: for each of them the pictures that went in; empty unless the step `needs_before`.
            assets: at least those of the step.
        """
        return model.images(codes)

    # What it takes ----------------------------------------------------------------------------------------------------

    CODE_COST: ClassVar[float] = 0.1
    """What making its code takes, in pictures of the model; an upper bound, known before anything is computed."""

    def picture_cost(self, inputs: int) -> float:
        """What making its picture of a code takes, in pictures of the model, for so many pictures that go in."""
        return 1.0

    # What it is -------------------------------------------------------------------------------------------------------

    @property
    def assets(self) -> tuple[Asset | EditAsset, ...]:
        """What it takes beside the pictures that go in, and recipes do not hold."""
        return ()

    @property
    def needs_before(self) -> bool:
        """Whether its picture takes more of those that go in than their codes."""
        return False

    @property
    def is_final(self) -> bool:
        """Whether no other picture can be made of its picture."""
        return False

    @property
    def name(self) -> str | None:
        """What file names call a picture that was made from no other; None for all others."""
        return None


def _as_json(value: Any) -> Any:
    if is_dataclass(value):
        return value.to_json()
    if isinstance(value, tuple):
        return [_as_json(each) for each in value]
    if isinstance(value, Mapping):
        return {key: _as_json(each) for key, each in value.items()}
    return value
