"""The tab *Build a face*: the components of a SemanticStyleGAN, to be dragged, scaled, left out and seen one by one.

A person takes hold of a component in the picture itself: its outline follows the pointer at once, and the picture as
fast as it is computed. `build_face_state.py` holds what was done, `build_face_work.py` computes, `build_face_view.py`
draws, and this file lays out the components and connects the events.
"""

import random
from collections.abc import Callable
from typing import Any

import gradio as gr
from gradio.components import Component

from sfhub.pipelines.generator import GeneratorPipeline
from sfhub.pipelines.semantic_stylegan import SemanticStyleGANPipeline
from space import build_face_view as view
from space import mix_regions_view
from space.build_face_state import BACKGROUND, MAX_SIZE, MIN_SIZE, WHOLE, Building, Face
from space.build_face_work import FaceBuilder, backdrop
from space.files import saved
from space.menu import Menu
from space.mix_regions import CLICKS_JS, FIRST_GALLERY, PLAIN, SURPRISES, VIEWS_JS, thumbnails
from space.mixing import BASE, Mix, Session
from space.models import Models
from space.sentences import errors_as_sentences
from space.workbench import Memory

__all__ = ["TITLE", "build", "suits"]

TITLE = "Build a face"

CLICK = {
    "concurrency_id": "build_face",
    "concurrency_limit": 1,
    "show_progress": "hidden",
    "api_visibility": "private",
    "trigger_mode": "multiple",
}
# While something is dragged, only its newest place matters.
SLIDE = {**CLICK, "trigger_mode": "always_last"}

Updates = dict[Component, Any]

# A press that moves drags what is under it, or the whole person if that is chosen; one that does not move chooses. The
# outline follows the pointer at once: it is shifted by what lies between there and the place it was drawn for. One
# message is on its way at a time, then the newest; Gradio's `always_last` would repeat an older one.
DRAG_JS = """
let drag = null, gestures = 0, number = 0, sent = null, next = null;
const handles = () => element.querySelector('.handles');
const places = () => JSON.parse(handles().dataset.places);
const shift = () => {
    const chosen = element.querySelector('.chosen');
    if (!chosen || !drag?.moved) return;
    const path = drag.outline ?? chosen.querySelector('.grip').getAttribute('d');
    for (const each of chosen.querySelectorAll('path')) each.setAttribute('d', path);
    const drawn = places()[drag.part] ?? [0, 0], box = handles().viewBox.baseVal;
    const x = (drag.right - drawn[0]) * box.width / 2, y = (drag.down - drawn[1]) * box.height / 2;
    chosen.setAttribute('transform', `translate(${x} ${y})`);
};
const send = (done) => {
    drag.number = ++number;
    next = {part: drag.part, right: drag.right, down: drag.down, gesture: drag.gesture, number, done};
    post();
};
const post = () => {
    // An answer that failed never comes.
    if (!next || sent && performance.now() - sent.time < 5000) return;
    sent = {number: next.number, time: performance.now()};
    trigger(next.done ? 'release' : 'input', next);
    next = null;
};
element.addEventListener('pointerdown', (event) => {
    const path = event.target.closest('[data-part]');
    if (!path || event.button || drag && drag.id !== null) return;
    const active = handles().dataset.active, pressed = path.dataset.part;
    const part = active === '/person' && pressed !== '/background' ? active : pressed;
    const held = part === active ? null : path.getAttribute('d');
    const [right, down] = places()[part] ?? [0, 0];
    drag = {part, pressed, outline: held, from: [right, down], right, down, x: event.clientX, y: event.clientY,
            id: event.pointerId, gesture: `drag ${++gestures}`, moved: false};
    element.setPointerCapture(event.pointerId);
});
element.addEventListener('pointermove', (event) => {
    if (!drag || event.pointerId !== drag.id || drag.part === '/background') return;
    const box = handles().getBoundingClientRect();
    const x = event.clientX - drag.x, y = event.clientY - drag.y;
    if (!drag.moved && Math.hypot(x, y) < 4) return;
    drag.moved = true;
    element.dataset.dragging = '';
    drag.right = drag.from[0] + 2 * x / box.width;
    drag.down = drag.from[1] + 2 * y / box.height;
    shift();
    send(false);
});
const release = (event) => {
    if (!drag || event.pointerId !== drag.id) return;
    if (drag.moved) send(true);
    else if (event.type === 'pointerup') trigger('click', {action: 'choose', part: drag.pressed});
    if (!drag.moved) drag = null;
    else drag.id = null;
    delete element.dataset.dragging;
};
element.addEventListener('pointerup', release);
element.addEventListener('pointercancel', release);
// What the browser would do with a press on a picture.
element.addEventListener('dragstart', (event) => event.preventDefault());
const steps = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};
element.addEventListener('keydown', (event) => {
    const step = steps[event.key], svg = event.target.closest('.handles');
    if (!step || !svg || svg.dataset.active === '/background') return;
    event.preventDefault();
    const part = svg.dataset.active, drawn = places()[part];
    if (!drag || drag.part !== part) drag = {part, right: drawn[0], down: drawn[1], id: null, moved: true};
    drag.gesture = `keys ${gestures}`;
    drag.right += step[0] / 32;
    drag.down += step[1] / 32;
    shift();
    send(true);
});
element.addEventListener('keyup', () => gestures++);
watch('value', () => {
    const answered = Number(handles()?.dataset.answered ?? 0);
    if (answered === sent?.number) sent = null;
    post();
    if (drag && drag.id === null && (answered === drag.number || answered === 0)) drag = null;
    shift();
});
"""


def suits(pipe: GeneratorPipeline) -> bool:
    """Whether a model puts its pictures together from components."""
    return isinstance(pipe, SemanticStyleGANPipeline)


def build(models: Models, page: gr.Blocks) -> None:
    """Lay out the tab inside `page`, which is being built.

    Args:
        models: those that the tab suits.
    """
    tab = _Tab(models)
    page.load(tab.start, [tab.session], tab.outputs, **CLICK)


class _Tab:
    """The components of the tab, what connects them, and the answers to events."""

    def __init__(self, models: Models):
        self.models = models
        self.builders = {name: FaceBuilder(bench) for name, bench in models.items()}
        self._looks = Memory(64)
        self.session = gr.State(Building(Face(FIRST_GALLERY[0], model=models.first.name), FIRST_GALLERY))
        self.opened = gr.State(False)
        with gr.Row(elem_classes="mix build", equal_height=False):
            with gr.Column(elem_classes="stage", min_width=280):
                self._lay_out_stage()
            with gr.Column(elem_classes="controls", min_width=280):
                self._lay_out_controls()
        self.outputs = [
            self.session, self.views, self.notes, self.download, self.recipe, self.reset, self.undo, self.redo,
            self.chips, self.size, self.gallery, self.psi, self.model,
        ]  # fmt: skip
        self._connect()

    def _lay_out_stage(self) -> None:
        self.views = gr.HTML(
            view.empty_views(), elem_classes="views-block", js_on_load=VIEWS_JS + DRAG_JS, **PLAIN
        )
        with gr.Row(elem_classes="tools"):
            self.undo = gr.Button("Undo", size="sm", min_width=60)
            self.redo = gr.Button("Redo", size="sm", min_width=60)
            self.reset = gr.Button("Reset", size="sm", min_width=60)
            self.download = gr.DownloadButton("Download PNG", size="sm", variant="primary", min_width=120)
        self.notes = gr.HTML(js_on_load=None, **PLAIN)
        with gr.Accordion(
            "Step by step: components and their depths", open=False, elem_classes="later"
        ) as self.unfolding:
            self.steps = gr.HTML(js_on_load=None, **PLAIN)

    def _lay_out_controls(self) -> None:
        self.model = gr.Radio(
            self.models.choices, value=self.models.first.name, label="Model", visible=len(self.models) > 1,
            elem_classes="method", min_width=200,
        )  # fmt: skip
        self.chips = gr.HTML(js_on_load=CLICKS_JS, **PLAIN)
        self.size = gr.Slider(
            MIN_SIZE, MAX_SIZE, 1, step=0.05, label="Size of the whole person", buttons=[], elem_classes="slider"
        )
        self.gallery = gr.HTML(
            [], thumbnails={}, html_template=mix_regions_view.gallery_template, js_on_load=CLICKS_JS, **PLAIN
        )
        with gr.Row(elem_classes="tools"):
            self.picture = gr.UploadButton(
                "Your background", size="sm", min_width=120, file_types=["image"], type="filepath"
            )
            self.surprise = gr.Button("Surprise me", size="sm", min_width=120)
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
                label="A PNG downloaded from this tab", show_label=False, file_types=[".png"], height=130
            )
            self.recipe = gr.JSON(label="Recipe", max_height=280)

    def _connect(self) -> None:
        draw = random.SystemRandom()
        triggers = [self.chips.click, self.gallery.click, self.views.click]
        self._followed(gr.on(triggers, self.act, self.session, self.outputs, **CLICK))
        self.views.input(self.drag, self.session, self.outputs, **CLICK)
        self._followed(self.views.release(self.drag, self.session, self.outputs, **CLICK))
        self._on_click([self.undo.click], Building.undo)
        self._on_click([self.redo.click], Building.redo)
        self._on_click([self.reset.click], Building.reset)
        self._on_click([self.surprise.click], lambda session: session.surprise(SURPRISES, draw))
        self._on_click([self.add.click, self.seed.submit], _with_seed, self.seed)
        self._on_click([self.model.input], self._switched, self.model)
        self._on_click([self.picture.upload], _in_front_of, self.picture)
        self._on_slide(self.size, Building.resize)
        self._on_slide(self.psi, Building.set_psi)
        restored = self._on_click([self.upload.upload], self._restored, self.upload)
        restored.then(lambda: None, None, self.upload, **CLICK)
        self.unfolding.expand(self._unfold, self.session, [self.opened, self.steps], **CLICK)
        self.unfolding.collapse(lambda: False, None, self.opened, **CLICK)

    def _on_click(self, triggers: list, transition: Callable[..., Building], *inputs: Component) -> Any:
        def answer(session: Building, *values: Any) -> Updates:
            with errors_as_sentences():
                return self.show(session, transition(session, *values))

        return self._followed(gr.on(triggers, answer, [self.session, *inputs], self.outputs, **CLICK))

    def _on_slide(self, slider: gr.Slider, transition: Callable[[Building, float], Building]) -> None:
        def answer(session: Building, value: float) -> Updates:
            with errors_as_sentences():
                updates = self.show(session, transition(session, round(value, 2)))
            # It has moved on by the time this answer arrives, which must not pull it back.
            updates.pop(slider, None)
            return updates

        self._followed(slider.input(answer, [self.session, slider], self.outputs, **SLIDE))

    def _followed(self, event: Any) -> Any:
        """The steps follow everything, as long as somebody looks at them."""
        return event.then(self._follow, [self.session, self.opened], self.steps, **SLIDE)

    # Answers ----------------------------------------------------------------------------------------------------------

    def start(self, session: Building) -> Updates:
        """Everything, for somebody who has just come."""
        with errors_as_sentences():
            return self.show(None, session)

    def act(self, session: Building, event: gr.EventData) -> Updates:
        """A click on a component, on what its tile offers, or on a portrait."""
        with errors_as_sentences():
            if event.action == "pick":
                return self.show(session, session.pick(int(event.seed)))
            after = session.choose(event.part)
            if event.action == "toggle":
                after = after.show_only(self._builder(session.face).toggled(session.face, event.part))
            if event.action == "clear":
                after = after.set_background(None) if event.part == BACKGROUND else after.put_back(event.part)
            return self.show(session, after)

    def drag(self, session: Building, event: gr.EventData) -> Updates:
        """A component on its way, or where it was let go; on the way only the picture follows."""
        with errors_as_sentences():
            self._builder(session.face)
            after = session.drag(str(event.part), float(event.right), float(event.down), str(event.gesture))
            return self.show(session, after, live=not event.done, answered=int(event.number))

    def show(self, before: Building | None, after: Building, live: bool = False, answered: int = 0) -> Updates:
        """What the components have to show now; those that stay as they are are left out.

        Args:
            before: what the visitor sees, None for nothing yet.
            live: whether something is being dragged, so that all but the picture can wait.
            answered: number of the browser's message about that.
        """
        builder = self._builder(after.face)
        after = after.fitted(builder.components)
        face, active = after.face, after.active
        sample = builder.build(face)
        # Outlines and maps stay as they were before the drag began.
        drawn = self._look(builder, after.past[-1] if live and after.past else face)
        updates: Updates = {
            self.session: after,
            self.views: view.views(sample.image, drawn, self._alone(builder, drawn, active, live), after, answered),
        }
        if live:
            return updates
        updates[self.notes] = view.notes(after, drawn)
        updates[self.undo] = gr.update(interactive=bool(after.past))
        updates[self.redo] = gr.update(interactive=bool(after.future))
        updates[self.size] = gr.update(
            value=face.place(active).size, interactive=active != BACKGROUND, label=f"Size of the {view.label(active)}"
        )
        pictures = thumbnails(builder.workbench, face.seeds, face.psi)
        plain = self._look(builder, face.plain)
        updates[self.chips] = view.chips(after, plain, pictures, builder.effective(face))
        # What was let go where it was dragged to last has its picture, but nothing else yet.
        if before is None or face != before.face or answered:
            updates[self.recipe] = sample.recipe
            updates[self.download] = saved(sample)
            updates[self.reset] = gr.update(interactive=face != face.plain)
            updates[self.psi] = face.psi
            updates[self.model] = face.model
        if before is None or _offered(after) != _offered(before):
            offered = thumbnails(builder.workbench, after.gallery, face.psi)
            updates[self.gallery] = gr.update(value=_portraits(after), thumbnails=offered)
        elif (face.seeds, active) != (before.face.seeds, before.active):
            updates[self.gallery] = gr.update(value=_portraits(after))
        return updates

    def _unfold(self, session: Building) -> tuple[bool, str]:
        return True, view.steps(self._builder(session.face).steps(session.face))

    def _follow(self, session: Building, opened: bool) -> Any:
        return self._unfold(session)[1] if opened else gr.skip()

    def _builder(self, face: Face) -> FaceBuilder:
        return self.builders[self.models[face.model].name]

    def _look(self, builder: FaceBuilder, face: Face) -> view.Look:
        return self._looks.get(face) or self._looks.put(face, view.Look(face, builder.anatomy(face)))

    def _alone(self, builder: FaceBuilder, look: view.Look, active: str, live: bool) -> Any:
        # A component by itself shows what others cover; that can wait.
        cut = live or active in (WHOLE, BACKGROUND)
        return look.alone(active) if cut else builder.alone(look.face, active).alone

    def _switched(self, session: Building, name: str) -> Building:
        return session.set_model(name, self.builders[self.models[name].name].components)

    def _restored(self, session: Building, path: str) -> Building:
        builder = self.builders[self.models.maker(path).name]
        face, photograph = builder.read_face(path)
        if photograph:
            gr.Info("The picture behind this face is not in the file; add it again with Your background.")
        return session.restore(face)


def _with_seed(session: Building, text: str) -> Building:
    """Offer the portrait whose seed was typed."""
    try:
        return session.add(int(text))
    except ValueError:
        return session.add(text)


def _in_front_of(session: Building, path: str) -> Building:
    return session.choose(BACKGROUND).set_background(backdrop(path))


def _portraits(building: Building) -> list[dict[str, Any]]:
    """What each portrait on offer is used for, as on the other tab."""
    behind = building.face.background
    picked = behind if building.active == BACKGROUND and behind is not None else building.face.seed
    return mix_regions_view.gallery(Session(Mix(picked), building.gallery, active=BASE), Menu(()))


def _offered(building: Building) -> tuple[Any, ...]:
    """What the portraits in the gallery depend on."""
    return building.gallery, building.face.psi, building.face.model
