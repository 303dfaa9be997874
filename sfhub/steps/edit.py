"""A named edit of a picture, in the whole of it or kept to some regions; `sfhub.editing.edits`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from PIL import Image
from torch import Tensor
from typing_extensions import Self

from sfhub.editing.constraint import constrain_by_classes, constrain_by_fusion, constrain_by_queries
from sfhub.editing.edits import find_edit
from sfhub.errors import InputError, short
from sfhub.images.lock import composite, soft_inside
from sfhub.steps.assets import Assets, EditAsset
from sfhub.steps.checks import is_names, is_number, is_text, need
from sfhub.steps.code import Code
from sfhub.steps.mix_by_catalog import queries_of
from sfhub.steps.step import Before, Model, Step

__all__ = ["BY_CATALOG", "BY_CLASSES", "BY_FUSION", "BY_ITSELF", "MAX_STRENGTH", "EditStep", "constraints_of"]

MAX_STRENGTH = 1000.0
"""Bound of strengths in recipes; every edit has a range of its own inside."""

BY_FUSION, BY_CATALOG, BY_CLASSES, BY_ITSELF = CONSTRAINTS = ("fusion", "catalog", "classes", "itself")
"""Ways to keep an edit to regions, see `sfhub.editing.constraint`; some edits keep there by themselves."""


@dataclass(frozen=True)
class EditStep(Step):
    """An edit at some strength.

    Attributes:
        edit: its name.
        strength: 0 for no change.
        regions: where it may show; None for everywhere.
        constraint: how it is kept there, one of `CONSTRAINTS`; None with no regions.
        lock: whether every pixel outside the regions stays as it was before, by compositing.
        foreign: what tells an edit that is not the model's own.
    """

    OP: ClassVar[str] = "edit"
    INPUTS: ClassVar[str] = "a picture"
    CODE_COST: ClassVar[float] = 0.5

    edit: str
    strength: float
    regions: tuple[str, ...] | None = None
    constraint: str | None = None
    lock: bool = False
    foreign: EditAsset | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any], where: str) -> Self:
        """As `Step.from_json`."""
        name, strength, regions = data.get("edit"), data.get("strength"), data.get("regions")
        need(is_text(name), f"edit of {where}", name, "the name of an edit")
        fine = is_number(strength, -MAX_STRENGTH, MAX_STRENGTH)
        need(fine, f"strength of {where}", strength, f"a number from {-MAX_STRENGTH:g} to {MAX_STRENGTH:g}")
        fine = regions is None or (is_names(regions) and regions)
        need(fine, f"regions of {where}", regions, "a list of different names or null")
        constraint, lock, foreign = data.get("constraint"), data.get("lock", False), data.get("foreign")
        fine = constraint is None if regions is None else constraint in CONSTRAINTS
        need(fine, f"constraint of {where}", constraint, f"{', '.join(CONSTRAINTS)} with regions, null without")
        fine = isinstance(lock, bool) and not (lock and regions is None)
        need(fine, f"lock of {where}", lock, "true or false, and false without regions")
        asset = None if foreign is None else EditAsset.from_json(foreign, f"foreign of {where}")
        need(asset is None or asset.name == name, f"foreign of {where}", foreign, "the edit itself")
        return cls(name, float(strength), None if regions is None else tuple(regions), constraint, lock, asset)

    def takes(self, count: int) -> bool:
        """One picture goes in."""
        return count == 1

    def check_model(self, model: Model) -> None:
        """As `Step.check_model`."""
        super().check_model(model)
        if self.foreign is None:
            find_edit(model.edits, self.edit)
        self.check_regions(model)

    def check_regions(self, model: Model) -> None:
        """Refuse a model that does not have the regions, or cannot keep an edit to them as the step says."""
        if self.regions is None:
            return
        ways = constraints_of(model)
        if self.constraint not in (*ways, BY_ITSELF):
            found = f"it has {' and '.join(ways)}" if ways else "it has nothing that could"
            raise InputError(
                f"This model cannot keep an edit to regions by {self.constraint}: {found}; choose another method, or "
                "edit the whole picture with no region."
            )
        for region in self.regions:
            if self.constraint == BY_FUSION:
                model.region_names.node(region)
            else:
                model.region_names.covered_by(region)

    def code(self, model: Model, inputs: Sequence[Code], assets: Assets) -> Code:
        """As `Step.code`."""
        (base,) = inputs
        edit = assets[self.foreign] if self.foreign is not None else find_edit(model.edits, self.edit)
        strength = edit.clamped(self.strength)
        if strength == 0:
            return base
        edited = edit.apply(model.code_space, base, strength)
        if self.constraint == BY_ITSELF and not edit.keeps_to_region:
            raise InputError(f"Edit {short(self.edit)} does not keep to a region by itself; choose another method.")
        if self.regions is None or self.constraint == BY_ITSELF:
            return edited
        return base.with_s(self.constrained(model, base, edited))

    def constrained(self, model: Model, base: Code, edited: Code) -> Tensor:
        """The flat code that has the edit in the regions alone."""
        names = model.region_names
        if self.constraint == BY_CLASSES:
            return constrain_by_classes(model.generator, base.s, edited.s, names.indices(self.regions))
        if self.constraint == BY_FUSION:
            return constrain_by_fusion(model.fusion, base.s, edited.s, [names.node(each) for each in self.regions])
        queries = queries_of(model, tuple(names.owners(self.regions)), None)
        return constrain_by_queries(base.s, edited.s, queries)

    @property
    def needs_before(self) -> bool:
        """With a lock, what is outside is taken from the picture that goes in."""
        return self.lock

    def pictures(
        self, model: Model, codes: Sequence[Code], before: Sequence[Before], assets: Assets
    ) -> list[Image.Image]:
        """As `Step.pictures`."""
        images = model.images(codes)
        if not self.lock:
            return images
        return [
            composite(image, base, soft_inside(model.region_mask(self.regions, [(base, base_code), (image, code)])))
            for image, code, ((base, base_code),) in zip(images, codes, before, strict=True)
        ]

    def picture_cost(self, inputs: int) -> float:
        """With a lock, both pictures are segmented, too."""
        return 3.0 if self.lock else 1.0

    @property
    def assets(self) -> tuple[EditAsset, ...]:
        """The edit, if it is not the model's own."""
        return () if self.foreign is None else (self.foreign,)


def constraints_of(model: Model) -> tuple[str, ...]:
    """How a model can keep edits to regions, the best way first."""
    if model.FAMILY == "SemanticStyleGAN":
        return (BY_CLASSES,)
    found = {BY_FUSION: model.fusion, BY_CATALOG: model.catalog}
    return tuple(way for way, component in found.items() if component is not None)
