"""Regions of a SemanticStyleGAN left out, put elsewhere, or before another background (Shi et al., figs. 5 and 8)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from PIL import Image
from typing_extensions import Self

from sfhub.editing.arrangement import join_code, split_code
from sfhub.editing.semantic import code_places, exchange
from sfhub.steps.assets import Asset, Assets
from sfhub.steps.checks import is_named, is_names, is_number, need
from sfhub.steps.code import Code
from sfhub.steps.step import Before, Model, Step

__all__ = ["MAX_MOVE", "MAX_ZOOM", "ComposeStep"]

MAX_MOVE, MAX_ZOOM = 2.0, 16.0
"""How far a class can be moved, in halves of the image, and made larger or, as a fraction of one, smaller."""


@dataclass(frozen=True)
class ComposeStep(Step):
    """A picture composed anew; what was composed in it before stays where nothing else is said.

    Attributes:
        without: regions to leave out.
        move: by region how far right and down, in halves of the image, -2 to 2.
        zoom: by region how many times larger, 1/16 to 16.
        background: a photograph to stand in front of; else the background of the second picture, if one goes in.
    """

    OP: ClassVar[str] = "compose"
    FAMILY: ClassVar[str] = "SemanticStyleGAN"
    INPUTS: ClassVar[str] = "a picture, and one for the background unless that is a photograph"

    without: tuple[str, ...]
    move: Mapping[str, tuple[float, float]]
    zoom: Mapping[str, float]
    background: Asset | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any], where: str) -> Self:
        """As `Step.from_json`."""
        without, move, zoom, photo = (data.get(key) for key in ("without", "move", "zoom", "background"))
        need(is_names(without), f"without of {where}", without, "a list of different names")
        fine = is_named(move) and all(
            isinstance(place, list) and len(place) == 2 and all(is_number(each, -MAX_MOVE, MAX_MOVE) for each in place)
            for place in move.values()
        )
        need(fine, f"move of {where}", move, f"two numbers from {-MAX_MOVE} to {MAX_MOVE} by name")
        fine = is_named(zoom) and all(is_number(factor, 1 / MAX_ZOOM, MAX_ZOOM) for factor in zoom.values())
        need(fine, f"zoom of {where}", zoom, f"a number from {1 / MAX_ZOOM} to {MAX_ZOOM} by name")
        asset = None if photo is None else Asset.from_json(photo, f"background of {where}")
        need(photo is None or len(data["inputs"]) == 1, f"background of {where}", photo, "a photograph or a picture")
        return cls(tuple(without), {name: tuple(place) for name, place in move.items()}, dict(zoom), asset)

    def takes(self, count: int) -> bool:
        """A picture goes in, and another one that gives its background."""
        return count in (1, 2)

    def check_model(self, model: Model) -> None:
        """As `Step.check_model`."""
        super().check_model(model)
        for region in (*self.without, *self.move, *self.zoom):
            model.region_names.covered_by(region)

    def code(self, model: Model, inputs: Sequence[Code], assets: Assets) -> Code:
        """As `Step.code`."""
        names, generator = model.region_names, model.generator
        (w_plus, arrangement), *behind = (split_code(generator, code.s) for code in inputs)
        arrangement = arrangement.changed(
            names.indices(self.without),
            {k: self.move[name] for k, name in names.owners(list(self.move)).items()},
            {k: self.zoom[name] for k, name in names.owners(list(self.zoom)).items()},
        )
        w_plus = exchange(w_plus, [(source, code_places(generator, [0]), 1.0) for source, _ in behind])
        return inputs[0].with_s(join_code(w_plus, arrangement))

    def pictures(
        self, model: Model, codes: Sequence[Code], before: Sequence[Before], assets: Assets
    ) -> list[Image.Image]:
        """As `Step.pictures`."""
        if self.background is None:
            return super().pictures(model, codes, before, assets)
        return [model.image_before(assets[self.background], code) for code in codes]

    @property
    def assets(self) -> tuple[Asset, ...]:
        """The photograph."""
        return () if self.background is None else (self.background,)

    @property
    def is_final(self) -> bool:
        """True with a photograph, which no code holds."""
        return self.background is not None
