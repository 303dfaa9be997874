"""From the tab that made a picture to the one that edits it: neither knows the other, both know this."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from sfhub.pipelines.sample import Sample
from sfhub.space.common.cached_model import CachedModel
from sfhub.space.common.picture_ref import PictureRef
from sfhub.steps.recipe import read_steps
from sfhub.steps.sample import SampleStep

__all__ = ["HandOver", "Handed"]


@dataclass(frozen=True)
class Handed:
    """A picture on its way.

    Attributes:
        model: name of the model that it is of.
        picture: that the model remembers.
        psi: of a picture with a seed.
        number: tells apart the times that one picture was handed over.
    """

    model: str
    picture: PictureRef
    psi: float
    number: int


class HandOver:
    """Inside the `gr.Blocks` that is being built, but outside of its tabs, which count what is between them as tabs.

    Args:
        tabs: of the page, each with an id.
        to: id of the tab that takes pictures.
        models: names of those whose pictures it takes; none where there is no such tab.

    Attributes:
        picture: state that holds what was handed over last.
    """

    def __init__(self, tabs: gr.Tabs, to: str, models: Sequence[str]):
        self.picture = gr.State(None)
        self.tabs, self._to, self._models = tabs, to, frozenset(models)

    def takes(self, model: str) -> bool:
        """Whether pictures of a model are taken."""
        return model in self._models

    @property
    def outputs(self) -> list[Any]:
        """What `give` changes."""
        return [self.picture, self.tabs]

    def give(self, model: CachedModel, sample: Sample) -> dict[Any, Any]:
        """Hand a picture over and show the tab that takes it: a portrait by its seed, anything else as it is."""
        steps = read_steps(sample.recipe)
        first = steps[0].step
        if len(steps) == 1 and isinstance(first, SampleStep) and first.label is None:
            picture, psi = PictureRef.of_seed(first.seed), first.truncation_psi
        else:
            picture, psi = model.bring(sample), 0.7
        handed = Handed(model.name, picture, psi, secrets.randbits(32))
        return {self.picture: handed, self.tabs: gr.Tabs(selected=self._to)}
