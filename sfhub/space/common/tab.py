"""What the tabs about portraits have in common: their tools, the gallery, the way back, saved pictures."""

import random
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from sfhub.pipelines.sample import Sample
from sfhub.space.common.cached_model import CachedModel
from sfhub.space.common.gallery import SURPRISES, gallery_template
from sfhub.space.common.hand_over import HandOver
from sfhub.space.common.models import Models
from sfhub.space.common.sentences import answer_in_turn
from sfhub.space.common.visit import Visit

__all__ = ["CLICKS_JS", "PLAIN", "VIEWS_JS", "PortraitTab", "Updates", "click_options", "columns", "script"]

PLAIN = {"apply_default_css": False, "padding": False}
"""For our own markup, without Gradio's style for prose."""

Updates = dict[Component, Any]


def script(folder: str, name: str) -> str:
    """JavaScript for a component, from a file beside the module `folder`."""
    return Path(folder).with_name(f"{name}.js").read_text(encoding="utf-8")


CLICKS_JS, VIEWS_JS = script(__file__, "clicks"), script(__file__, "views")


def click_options(tab: str) -> dict[str, Any]:
    """How a tab answers clicks: one at a time, so that those of a visitor stay in order.

    Two cores are best spent on one picture anyway.
    """
    return {
        "concurrency_id": tab,
        "concurrency_limit": 1,
        "show_progress": "hidden",
        "api_visibility": "private",
        "trigger_mode": "multiple",
    }


@contextmanager
def columns(kind: str = ""):
    """Two columns side by side, as all tabs have them; gives their two blocks to lay out in."""
    with gr.Row(elem_classes=f"mix {kind}".strip(), equal_height=False):
        yield (
            gr.Column(elem_classes="stage", min_width=280),
            gr.Column(elem_classes="controls", min_width=280),
        )


class PortraitTab(ABC):
    """The components of a tab, what connects them, and the answers to events.

    A subclass lays out components with the methods below, names all that change in `outputs`, and says in `show` what
    they show.

    Args:
        name: of the tab, for its queue of events.
        models: to choose from.
        start: what a visitor finds.
        hand_over: by which pictures go from tab to tab.
    """

    outputs: list[Component]

    def __init__(self, name: str, models: Models, start: Visit, hand_over: HandOver):
        self.models, self.hand_over = models, hand_over
        self.click = click_options(name)
        # While a slider moves, or something is dragged, only its newest place matters.
        self.slide = {**self.click, "trigger_mode": "always_last"}
        self.session = gr.State(start)

    # Laying out -------------------------------------------------------------------------------------------------------

    def lay_out_tools(self, more: Callable[[], None] = lambda: None) -> None:
        """Back and forth, what `more` lays out, and the download."""
        with gr.Row(elem_classes="tools"):
            self.undo = gr.Button("Undo", size="sm", min_width=60)
            self.redo = gr.Button("Redo", size="sm", min_width=60)
            self.reset = gr.Button("Reset", size="sm", min_width=60)
            more()
            self.download = gr.DownloadButton("Download PNG", size="sm", variant="primary", min_width=120)

    def lay_out_giving(self) -> None:
        """A button that hands the picture over to be edited, where a tab takes it; inside a row of tools."""
        takes = self.hand_over.takes(self.models.first.name)
        self.give = gr.Button("Edit this face", size="sm", min_width=100, visible=takes)

    def lay_out_model(self) -> None:
        """The choice of the model, where there is one."""
        self.model = gr.Radio(
            self.models.choices, value=self.models.first.name, label="Model", visible=len(self.models) > 1,
            elem_classes="method", min_width=200,
        )  # fmt: skip

    def lay_out_gallery(self) -> None:
        """The portraits on offer."""
        self.gallery = gr.HTML([], thumbnails={}, html_template=gallery_template, js_on_load=CLICKS_JS, **PLAIN)

    def lay_out_surprise(self) -> None:
        """New portraits by chance; inside a row of tools."""
        self.surprise = gr.Button("Surprise me", size="sm", min_width=120)

    def lay_out_seed(self) -> None:
        """New portraits by seed; inside a row of tools."""
        self.seed = gr.Textbox(
            label="Seed number", placeholder="Seed", show_label=False, container=False, max_length=20,
            min_width=120, html_attributes=gr.InputHTMLAttributes(enterkeyhint="done", autocomplete="off"),
        )  # fmt: skip
        self.add = gr.Button("Add portrait", size="sm", min_width=120)

    def lay_out_rest(self, where: str) -> None:
        """The variety of the portraits, and saved pictures; `where` says where those were downloaded."""
        self.psi = gr.Slider(
            0.2, 1.2, 0.7, step=0.05, label="Variety of the portraits", buttons=[], elem_classes="slider"
        )
        with gr.Accordion("Open a saved picture, see the recipe of this one", open=False, elem_classes="later"):
            self.upload = gr.File(
                label=f"A PNG downloaded from {where}", show_label=False, file_types=[".png"], height=130
            )
            self.recipe = gr.JSON(label="Recipe", max_height=280)

    # Connecting -------------------------------------------------------------------------------------------------------

    def connect(self, page: gr.Blocks) -> None:
        """Connect what all such tabs have; `page` is that which is being built."""
        draw = random.SystemRandom()
        self.on_click([self.undo.click], lambda session: session.undo())
        self.on_click([self.redo.click], lambda session: session.redo())
        self.on_click([self.reset.click], lambda session: session.reset())
        self.on_click([self.surprise.click], lambda session: session.surprise(SURPRISES, draw))
        self.on_click([self.add.click, self.seed.submit], lambda session, text: session.add(text), self.seed)
        self.on_click([self.model.input], self.switched, self.model)
        self.on_slide(self.psi, lambda session, psi: session.set_psi(psi))
        restored = self.on_click([self.upload.upload], self.restored, self.upload)
        restored.then(lambda: None, None, self.upload, **self.click)
        page.load(self.start, [self.session], self.outputs, **self.click)

    def connect_giving(self, shown: Callable[[Visit], tuple[CachedModel, Sample]]) -> None:
        """Connect the button of `lay_out_giving`; `shown` says which picture of which model a visitor sees."""

        def give(session: Visit) -> Updates:
            with answer_in_turn():
                return self.hand_over.give(*shown(session))

        self.give.click(give, self.session, self.hand_over.outputs, **self.click)

    def on_click(self, triggers: list, transition: Callable[..., Visit], *inputs: Component) -> Any:
        """Show what a transition makes of what was chosen, and of the values of `inputs`."""

        def answer(session: Visit, *values: Any) -> Updates:
            with answer_in_turn():
                return self.show(session, transition(session, *values))

        return self.followed(gr.on(triggers, answer, [self.session, *inputs], self.outputs, **self.click))

    def on_slide(self, slider: gr.Slider, transition: Callable[[Visit, float], Visit]) -> None:
        """The same for a slider."""

        def answer(session: Visit, value: float) -> Updates:
            with answer_in_turn():
                updates = self.show(session, transition(session, round(value, 2)))
            # It has moved on by the time this answer arrives, which must not pull it back.
            updates.pop(slider, None)
            return updates

        self.followed(slider.input(answer, [self.session, slider], self.outputs, **self.slide))

    def followed(self, event: Any) -> Any:
        """An event, with what has to happen after every one."""
        return event

    # Answers ----------------------------------------------------------------------------------------------------------

    def start(self, session: Visit) -> Updates:
        """Everything, for somebody who has just come."""
        with answer_in_turn():
            return self.show(None, session)

    @abstractmethod
    def show(self, before: Visit | None, after: Visit) -> Updates:
        """What the components have to show now; those that stay as they are are left out.

        Args:
            before: what the visitor sees, None for nothing yet.
        """

    @abstractmethod
    def switched(self, session: Visit, name: str) -> Visit:
        """The same choices with another model."""

    @abstractmethod
    def restored(self, session: Visit, path: str) -> Visit:
        """What was chosen for a saved picture."""

    def way_back(self, visit: Visit) -> Updates:
        """Whether undo and redo can be clicked."""
        return {
            self.undo: gr.update(interactive=bool(visit.past)),
            self.redo: gr.update(interactive=bool(visit.future)),
        }
