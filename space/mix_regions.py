"""The tab *Mix regions*: a base portrait, and for each of its regions another portrait to take it from.

One click chooses a region, the next one the portrait it comes from; the result, its regions and the difference from the
base follow at once. Another click makes the same choices with another model. `mixing.py` holds what was chosen,
`workbench.py` computes, `mix_regions_view.py` draws, and this file lays out the components and connects the events.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import gradio as gr
from gradio.components import Component

from sfhub.errors import InputError
from sfhub.pipelines.generator import GeneratorPipeline
from sfhub.pipelines.recipe import CATALOG, FUSION, SEMANTIC
from sfhub.pipelines.stylegan import StyleGANPipeline
from space import mix_regions_view as view
from space.files import saved
from space.mixing import BOTH, SHAPE, TEXTURE, Mix, Session, Source
from space.models import Models
from space.sentences import errors_as_sentences
from space.workbench import Workbench

__all__ = ["TITLE", "build", "suits"]

TITLE = "Mix regions"

FIRST_GALLERY = (10, 2, 21, 6, 27, 3, 7, 18, 5, 11, 8, 4)  # the first two make a mix that shows at once
FIRST_REGION = "hair"
SURPRISES = 6
METHODS = [("StyleFusion", FUSION), ("Editing in Style", CATALOG)]
PARTS = [("Shape and texture", BOTH), ("Shape only", SHAPE), ("Texture only", TEXTURE)]

# One at a time, so that a visitor's clicks stay in order; two cores are best spent on one picture anyway.
CLICK = {
    "concurrency_id": "mix_regions",
    "concurrency_limit": 1,
    "show_progress": "hidden",
    "api_visibility": "private",
    "trigger_mode": "multiple",
}
# While a slider moves, only its newest place matters.
SLIDE = {**CLICK, "trigger_mode": "always_last"}

# Our own markup, without Gradio's style for prose.
PLAIN = {"apply_default_css": False, "padding": False}

Updates = dict[Component, Any]

CLICKS_JS = """
element.addEventListener('click', (event) => {
    const button = event.target.closest('button[data-action]');
    if (button) trigger('click', {...button.dataset});
});
"""

# All four views are always there; a click swaps which of them is large, and only the browser needs to know.
VIEWS_JS = """
const enlarge = (view) => {
    element.dataset.large = view;
    for (const button of element.querySelectorAll('button[data-view]'))
        button.setAttribute('aria-pressed', button.dataset.view === view);
};
element.addEventListener('click', (event) => {
    const button = event.target.closest('button[data-view]');
    if (button) enlarge(button.dataset.view);
});
watch('value', () => enlarge(element.dataset.large));
enlarge('result');
"""


def suits(pipe: GeneratorPipeline) -> bool:
    """Whether the tab can show a model.

    Raises:
        InputError: if it lacks what every model of the page needs.
    """
    if isinstance(pipe, StyleGANPipeline) and pipe.catalog is None:
        raise InputError(
            f"The model {pipe.model_record['name']} has no region catalog, which the page needs to mix regions; "
            "build one with sfhub.regions.build and save it with the pipeline."
        )
    return True


def build(models: Models, page: gr.Blocks) -> None:
    """Lay out the tab inside `page`, which is being built.

    Args:
        models: those that the tab suits.
    """
    tab = _Tab(models)
    page.load(tab.start, [tab.session], tab.outputs, **CLICK)


def first_session(workbench: Workbench) -> Session:
    """What a visitor finds: one region already mixed, so that the page explains itself."""
    menu = workbench.menu
    region = FIRST_REGION if FIRST_REGION in menu.single else menu.single[0]
    mix = Mix(FIRST_GALLERY[0], sources=(Source(region, FIRST_GALLERY[1]),), method=menu.method, model=workbench.name)
    return Session(mix, FIRST_GALLERY, active=region)


class _Tab:
    """The components of the tab, what connects them, and the answers to events."""

    def __init__(self, models: Models):
        self.models = models
        self.session = gr.State(first_session(models.first))
        with gr.Row(elem_classes="mix", equal_height=False):
            with gr.Column(elem_classes="stage", min_width=280):
                self._lay_out_stage()
            with gr.Column(elem_classes="controls", min_width=280):
                self._lay_out_controls()
        self.outputs = [
            self.session, self.views, self.notes, self.download, self.recipe, self.reset, self.undo, self.redo,
            self.chips, self.gallery, self.strength, self.overall, self.psi, self.model, self.method, self.part,
        ]  # fmt: skip
        self._connect()

    def _lay_out_stage(self) -> None:
        self.views = gr.HTML(view.empty_views(), elem_classes="views-block", js_on_load=VIEWS_JS, **PLAIN)
        with gr.Row(elem_classes="tools"):
            self.undo = gr.Button("Undo", size="sm", min_width=60)
            self.redo = gr.Button("Redo", size="sm", min_width=60)
            self.reset = gr.Button("Reset", size="sm", min_width=60)
            self.download = gr.DownloadButton("Download PNG", size="sm", variant="primary", min_width=120)
        self.notes = gr.HTML(js_on_load=None, **PLAIN)

    def _lay_out_controls(self) -> None:
        menu = self.models.first.menu
        self.model = gr.Radio(
            self.models.choices, value=self.models.first.name, label="Model", visible=len(self.models) > 1,
            elem_classes="method", min_width=200,
        )  # fmt: skip
        self.method = gr.Radio(
            METHODS, value=menu.method, label="Mix by", visible=len(menu.methods) > 1, elem_classes="method",
            min_width=200,
        )  # fmt: skip
        self.chips = gr.HTML(js_on_load=CLICKS_JS, **PLAIN)
        self.part = gr.Radio(
            PARTS, value=BOTH, label="Take", visible=menu.method == SEMANTIC, elem_classes="method", min_width=200
        )
        with gr.Row(elem_classes="pair"):
            self.strength = gr.Slider(
                0, 1, 1, step=0.05, label="Strength", buttons=[], elem_classes="slider", min_width=150
            )
            self.overall = gr.Slider(
                0, 1, 1, step=0.05, label="Strength of everything", buttons=[], elem_classes="slider", min_width=150
            )
        self.gallery = gr.HTML([], thumbnails={}, html_template=view.gallery_template, js_on_load=CLICKS_JS, **PLAIN)
        with gr.Row(elem_classes="tools"):
            self.surprise = gr.Button("Surprise me", size="sm", min_width=120)
            self.randomise = gr.Button("Randomise all", size="sm", min_width=120)
            self.seed = gr.Textbox(
                label="Seed number", placeholder="Seed", show_label=False, container=False, max_length=20,
                min_width=120, html_attributes=gr.InputHTMLAttributes(enterkeyhint="done", autocomplete="off"),
            )  # fmt: skip
            self.add = gr.Button("Add portrait", size="sm", min_width=120)
        self.psi = gr.Slider(
            0.2, 1.2, 0.7, step=0.05, label="Variety of the portraits", buttons=[], elem_classes="slider"
        )
        with gr.Accordion("Open a saved picture, see the recipe of this one", open=False, elem_classes="later"):
            self.upload = gr.File(
                label="A PNG downloaded from this page", show_label=False, file_types=[".png"], height=130
            )
            self.recipe = gr.JSON(label="Recipe", max_height=280)

    def _connect(self) -> None:
        draw = random.SystemRandom()
        gr.on([self.chips.click, self.gallery.click], self.act, self.session, self.outputs, **CLICK)
        self._on_click([self.undo.click], Session.undo)
        self._on_click([self.redo.click], Session.redo)
        self._on_click([self.reset.click], Session.reset)
        self._on_click([self.surprise.click], lambda session: session.surprise(SURPRISES, draw))
        self._on_click(
            [self.randomise.click], lambda session: session.randomise(self._bench(session).menu.single, draw)
        )
        self._on_click([self.add.click, self.seed.submit], _with_seed, self.seed)
        self._on_click([self.model.input], self._switched, self.model)
        self._on_click([self.method.input], Session.set_method, self.method)
        self._on_click([self.part.input], Session.set_part, self.part)
        self._on_slide(self.strength, Session.set_strength)
        self._on_slide(self.overall, Session.set_overall)
        self._on_slide(self.psi, Session.set_psi)
        restored = self._on_click([self.upload.upload], self._restored, self.upload)
        restored.then(lambda: None, None, self.upload, **CLICK)

    def _on_click(self, triggers: list, transition: Callable[..., Session], *inputs: Component) -> gr.events.Dependency:
        def answer(session: Session, *values: Any) -> Updates:
            with errors_as_sentences():
                return self.show(session, transition(session, *values))

        return gr.on(triggers, answer, [self.session, *inputs], self.outputs, **CLICK)

    def _on_slide(self, slider: gr.Slider, transition: Callable[[Session, float], Session]) -> None:
        def answer(session: Session, value: float) -> Updates:
            with errors_as_sentences():
                updates = self.show(session, transition(session, round(value, 2)))
            # It has moved on by the time this answer arrives, which must not pull it back.
            updates.pop(slider, None)
            return updates

        slider.input(answer, [self.session, slider], self.outputs, **SLIDE)

    # Answers ----------------------------------------------------------------------------------------------------------

    def start(self, session: Session) -> Updates:
        """Everything, for somebody who has just come."""
        with errors_as_sentences():
            return self.show(None, session)

    def act(self, session: Session, event: gr.EventData) -> Updates:
        """A click on a region or on a portrait."""
        with errors_as_sentences():
            if event.action == "pick":
                return self.show(session, session.pick(int(event.seed)))
            if event.action == "choose":
                return self.show(session, session.choose(event.region))
            return self.show(session, session.clear(event.region))

    def _restored(self, session: Session, path: str) -> Session:
        workbench = self.models.maker(path)
        return session.restore(replace(workbench.read_mix(path), model=workbench.name))

    def _switched(self, session: Session, name: str) -> Session:
        menu = self.models[name].menu
        return session.set_model(name, menu.method, menu.regions)

    def _bench(self, session: Session) -> Workbench:
        return self.models[session.mix.model]

    def show(self, before: Session | None, after: Session) -> Updates:
        """What the components have to show now; those that stay as they are are left out.

        Args:
            before: what the visitor sees, None for nothing yet.
        """
        workbench = self._bench(after)
        mix, menu = after.mix, workbench.menu
        after = after.fitted(menu.regions)
        updates: Updates = {self.session: after}
        if before is None or mix != before.mix:
            comparison = workbench.compare(mix)
            updates[self.views] = view.views(comparison)
            updates[self.notes] = view.notes(comparison, mix)
            updates[self.recipe] = comparison.result.recipe
            updates[self.download] = saved(comparison.result)
            updates[self.reset] = gr.update(interactive=bool(mix.sources))
            updates[self.psi] = mix.psi
            updates[self.overall] = mix.strength
            updates[self.model] = mix.model
            updates[self.method] = gr.update(value=mix.method, visible=len(menu.methods) > 1)
        if before is None or _choices(after) != _choices(before):
            updates[self.chips] = view.chips(after, menu, thumbnails(workbench, mix.seeds, mix.psi))
            updates[self.gallery] = gr.update(value=view.gallery(after, menu))
        if before is None or _offered(after) != _offered(before):
            pictures = thumbnails(workbench, after.gallery, mix.psi)
            updates[self.gallery] = gr.update(value=view.gallery(after, menu), thumbnails=pictures)
        updates[self.undo] = gr.update(interactive=bool(after.past))
        updates[self.redo] = gr.update(interactive=bool(after.future))
        updates[self.strength] = _strength(after)
        updates[self.part] = gr.update(value=after.part, visible=mix.method == SEMANTIC)
        return updates


def thumbnails(workbench: Workbench, seeds: Sequence[int], psi: float) -> dict[str, str]:
    """The small pictures of some seeds, by seed as JSON has keys."""
    return view.thumbnails(dict(zip(seeds, workbench.samples(seeds, psi), strict=True)))


def _with_seed(session: Session, text: str) -> Session:
    """Offer the portrait whose seed was typed."""
    try:
        return session.add(int(text))
    except ValueError:
        return session.add(text)


def _choices(session: Session) -> tuple[Any, ...]:
    """All that the visitor chose by clicking, which the strengths are not."""
    mix = session.mix
    sources = [source._replace(strength=1.0) for source in mix.sources]
    return session.active, session.part, *_offered(session), mix.method, mix.base, sources


def _offered(session: Session) -> tuple[Any, ...]:
    """What the portraits in the gallery depend on."""
    return session.gallery, session.mix.psi, session.mix.model


def _strength(session: Session) -> dict[str, Any]:
    if session.strength is None:
        return gr.update(value=1.0, interactive=False, label="Strength")
    label = f"Strength of {view.label(session.active)}"
    return gr.update(value=session.strength, interactive=True, label=label)
