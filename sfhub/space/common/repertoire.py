"""The edits that a model offers, named ones and, where it understands them, texts; and one of them put to use."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from sfhub.editing.edits import Edit, as_names, find_edit
from sfhub.errors import InputError, short
from sfhub.pipelines.edits import DEFAULT
from sfhub.pipelines.generator import GeneratorPipeline
from sfhub.pipelines.sample import Sample
from sfhub.space.common.region_pills import Regions, label
from sfhub.steps.edit import EditStep, constraints_of
from sfhub.steps.edit_by_text import BY_DIRECTION, STRENGTHS, EditByText
from sfhub.text.encoder import checked_text

__all__ = ["Layer", "Repertoire", "takes_text"]

FRAMES = 7
"""Strengths in a film."""

USUAL = 0.8
"""Strength of a new edit, as a share of how far it works."""

USUAL_OF_TEXT = 1.0
"""What the text says."""


class Layer(NamedTuple):
    """One edit in a stack.

    Attributes:
        edit: its name, or the text.
        strength: in its own unit.
        regions: where it may show.
        lock: whether all else stays as it is, pixel by pixel.
        muted: whether it is left out for now.
        text: whether it is a text.
    """

    edit: str
    strength: float
    regions: Regions = ()
    lock: bool = True
    muted: bool = False
    text: bool = False

    @property
    def title(self) -> str:
        """What people read: its name, or its text in quotation marks."""
        if self.text:
            return f"\N{LEFT DOUBLE QUOTATION MARK}{self.edit}\N{RIGHT DOUBLE QUOTATION MARK}"
        return label(self.edit)


def takes_text(pipe: GeneratorPipeline) -> bool:
    """Whether a model makes edits of texts at once."""
    return getattr(pipe, "text_relevance", None) is not None


class Repertoire:
    """The edits of one model.

    Args:
        pipe: of a family that can edit.

    Attributes:
        edits: by name.
    """

    def __init__(self, pipe: GeneratorPipeline):
        self.pipe = pipe
        self.edits: Mapping[str, Edit] = pipe.edits

    @property
    def regions(self) -> Regions:
        """Where edits can be kept to; none if the model cannot."""
        return self.pipe.regions if constraints_of(self.pipe) else ()

    def found(self, name: Any) -> Layer:
        """A named edit as it is found: usual strength, in its own regions.

        Raises:
            InputError: if there is none of that name.
        """
        edit = find_edit(self.edits, str(name))
        low, high = edit.range
        return Layer(edit.name, round(USUAL * (high or low), 2), self._known(edit.region))

    def written(self, text: Any) -> Layer:
        """What a text asks for, in the region that it is about.

        Raises:
            InputError: for an empty or overlong text, or a model that takes none.
        """
        if not takes_text(self.pipe):
            raise InputError("This model takes no texts; choose a named edit.")
        text = checked_text(text)
        return Layer(text, USUAL_OF_TEXT, self._known(self.pipe.text_region(text)), text=True)

    def own(self, layer: Layer) -> Regions:
        """The regions that an edit is about, as far as the model has them; none for the whole picture."""
        return (self.written if layer.text else self.found)(layer.edit).regions

    def range(self, layer: Layer) -> tuple[float, float]:
        """The lowest and the highest strength at which an edit works."""
        return STRENGTHS if layer.text else self.edits[layer.edit].range

    def strengths(self, layer: Layer) -> list[float]:
        """Those that a film shows."""
        return [round(float(each), 2) for each in np.linspace(*self.range(layer), FRAMES)]

    def within(self, layer: Layer, strength: Any) -> float:
        """A strength inside the range of an edit, from a slider or a browser.

        Raises:
            InputError: for what is no finite number.
        """
        try:
            strength = float(strength)
        except (TypeError, ValueError):
            strength = float("nan")
        if not np.isfinite(strength):
            raise InputError(f"The strength of {short(layer.edit)} is no finite number; give one, 0 for no change.")
        low, high = self.range(layer)
        return round(min(max(strength, low), high), 4)

    def fitted(self, layer: Layer) -> Layer | None:
        """The nearest to a layer of another model: None without the edit, own regions where one is missing."""
        if not (takes_text(self.pipe) if layer.text else layer.edit in self.edits):
            return None
        regions = layer.regions if all(map(self._has, layer.regions)) else self.own(layer)
        return layer._replace(strength=self.within(layer, layer.strength), regions=regions)

    def put_on(self, sample: Sample, layer: Layer) -> Sample:
        """A picture with an edit."""
        regions = layer.regions or None
        if layer.text:
            return self.pipe.edit_text(sample, layer.edit, layer.strength, regions, lock=layer.lock, way=BY_DIRECTION)
        # Some edits keep to their own region by themselves.
        own = regions == as_names(self.edits[layer.edit].region)
        return self.pipe.edit(sample, layer.edit, layer.strength, DEFAULT if own else regions, lock=layer.lock)

    def read(self, step: EditStep) -> Layer:
        """The layer of a step in a recipe.

        Raises:
            InputError: if the page does not have that edit.
        """
        text = isinstance(step, EditByText)
        if step.foreign is not None:
            raise InputError(f"This picture was changed by the edit {short(step.edit)}, which this page does not have.")
        if text and step.way != BY_DIRECTION:
            raise InputError(
                f"This picture was changed by an optimisation for {short(step.edit)}, which takes minutes; make it "
                "again with `sfhub redo`."
            )
        if not text:
            find_edit(self.edits, step.edit)
        regions = step.regions or ()
        return Layer(step.edit, step.strength, regions, step.lock or not regions, text=text)

    def _known(self, region: Any) -> Regions:
        return tuple(each for each in as_names(region) or () if self._has(each))

    def _has(self, region: str) -> bool:
        try:
            return bool(constraints_of(self.pipe)) and bool(self.pipe.covered_by(region))
        except InputError:
            return False
