"""Components and events of the tab *Build a face*.

A person takes hold of a component in the picture itself: its outline follows the pointer at once (`drag.js`), and the
picture as fast as it is computed.
"""

from typing import Any

import gradio as gr

from sfhub.pipelines.generator import GeneratorPipeline
from sfhub.pipelines.sample import Sample
from sfhub.pipelines.semantic_stylegan import SemanticStyleGANPipeline
from sfhub.space.build_face import view
from sfhub.space.build_face.state import BACKGROUND, MAX_SIZE, MIN_SIZE, WHOLE, Backdrop, Building, Face
from sfhub.space.build_face.work import FaceBuilder
from sfhub.space.common.cache import Cache
from sfhub.space.common.cached_model import CachedModel
from sfhub.space.common.files import saved
from sfhub.space.common.gallery import FIRST_GALLERY, offered, thumbnails
from sfhub.space.common.hand_over import HandOver
from sfhub.space.common.markup import empty_views
from sfhub.space.common.models import Models
from sfhub.space.common.picture_ref import PictureRef
from sfhub.space.common.sentences import answer_in_turn
from sfhub.space.common.tab import CLICKS_JS, PLAIN, VIEWS_JS, PortraitTab, Updates, columns, script

__all__ = ["TITLE", "build", "suits"]

TITLE = "Build a face"

DRAG_JS = script(__file__, "drag")


def suits(pipe: GeneratorPipeline) -> bool:
    """Whether a model puts its pictures together from components."""
    return isinstance(pipe, SemanticStyleGANPipeline)


def build(models: Models, page: gr.Blocks, hand_over: HandOver) -> None:
    """Lay out the tab inside `page`, which is being built.

    Args:
        models: those that the tab suits.
        hand_over: by which pictures go to another tab.
    """
    BuildTab(models, hand_over).connect(page)


class BuildTab(PortraitTab):
    """The components of the tab, what connects them, and the answers to events."""

    def __init__(self, models: Models, hand_over: HandOver):
        start = Building(Face(FIRST_GALLERY[0], model=models.first.name), FIRST_GALLERY)
        super().__init__("build_face", models, start, hand_over)
        self.builders = {name: FaceBuilder(model) for name, model in models.items()}
        self._drawings = Cache(64)
        self.opened = gr.State(False)
        with columns("build") as (stage, controls):
            with stage:
                self._lay_out_stage()
            with controls:
                self._lay_out_controls()
        self.outputs = [
            self.session, self.views, self.notes, self.download, self.recipe, self.reset, self.undo, self.redo,
            self.chips, self.size, self.gallery, self.psi, self.model, self.give,
        ]  # fmt: skip

    def _lay_out_stage(self) -> None:
        self.views = gr.HTML(
            empty_views(view.VIEWS), elem_classes="views-block", js_on_load=VIEWS_JS + DRAG_JS, **PLAIN
        )
        self.lay_out_tools(self.lay_out_giving)
        self.notes = gr.HTML(js_on_load=None, **PLAIN)
        with gr.Accordion(
            "Step by step: components and their depths", open=False, elem_classes="later"
        ) as self.unfolding:
            self.steps = gr.HTML(js_on_load=None, **PLAIN)

    def _lay_out_controls(self) -> None:
        self.lay_out_model()
        self.chips = gr.HTML(js_on_load=CLICKS_JS, **PLAIN)
        self.size = gr.Slider(
            MIN_SIZE, MAX_SIZE, 1, step=0.05, label="Size of the whole person", buttons=[], elem_classes="slider"
        )
        self.lay_out_gallery()
        with gr.Row(elem_classes="tools"):
            self.picture = gr.UploadButton(
                "Your background", size="sm", min_width=120, file_types=["image"], type="filepath"
            )
            self.lay_out_surprise()
            self.lay_out_seed()
        self.lay_out_rest("this tab")

    def connect(self, page: gr.Blocks) -> None:
        """As `PortraitTab.connect`."""
        super().connect(page)
        triggers = [self.chips.click, self.gallery.click, self.views.click]
        self.followed(gr.on(triggers, self.act, self.session, self.outputs, **self.click))
        self.views.input(self.drag, self.session, self.outputs, **self.click)
        self.followed(self.views.release(self.drag, self.session, self.outputs, **self.click))
        self.on_click([self.picture.upload], _in_front_of, self.picture)
        self.on_slide(self.size, Building.resize)
        self.connect_giving(self._shown)
        self.unfolding.expand(self._unfold, self.session, [self.opened, self.steps], **self.click)
        self.unfolding.collapse(lambda: False, None, self.opened, **self.click)

    def followed(self, event: Any) -> Any:
        """The steps follow everything, as long as somebody looks at them."""
        return event.then(self._follow, [self.session, self.opened], self.steps, **self.slide)

    # Answers ----------------------------------------------------------------------------------------------------------

    def act(self, session: Building, event: gr.EventData) -> Updates:
        """A click on a component, on what its tile offers, or on a portrait."""
        with answer_in_turn():
            if event.action == "pick":
                return self.show(session, session.pick(PictureRef.read(event.picture)))
            after = session.choose(event.part)
            if event.action == "toggle":
                after = after.show_only(self._builder(session.face).toggled(session.face, event.part))
            if event.action == "clear":
                after = after.set_background(None) if event.part == BACKGROUND else after.put_back(event.part)
            return self.show(session, after)

    def drag(self, session: Building, event: gr.EventData) -> Updates:
        """A component on its way, or where it was let go; on the way only the picture follows."""
        with answer_in_turn():
            self._builder(session.face)
            after = session.drag(str(event.part), float(event.right), float(event.down), str(event.gesture))
            return self.show(session, after, live=not event.done, answered=int(event.number))

    def show(self, before: Building | None, after: Building, live: bool = False, answered: int = 0) -> Updates:
        """As `PortraitTab.show`.

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
        drawn = self._drawing(builder, after.past[-1] if live and after.past else face)
        updates: Updates = {
            self.session: after,
            self.views: view.views(sample.image, drawn, self._alone(builder, drawn, active, live), after, answered),
        }
        if live:
            return updates
        updates[self.notes] = view.notes(after, drawn)
        updates |= self.way_back(after)
        updates[self.size] = gr.update(
            value=face.place(active).size, interactive=active != BACKGROUND, label=f"Size of the {view.label(active)}"
        )
        pictures = thumbnails(builder.model, face.pictures, face.psi)
        plain = self._drawing(builder, face.plain)
        updates[self.chips] = view.chips(after, plain, pictures, builder.effective(face))
        # What was let go where it was dragged to last has its picture, but nothing else yet.
        if before is None or face != before.face or answered:
            updates[self.recipe] = sample.recipe
            updates[self.download] = saved(sample)
            updates[self.reset] = gr.update(interactive=face != face.plain)
            updates[self.psi] = face.psi
            updates[self.model] = face.model
            updates[self.give] = gr.update(visible=self.hand_over.takes(face.model))
        if before is None or _offered(after) != _offered(before):
            offered = thumbnails(builder.model, after.gallery, face.psi)
            updates[self.gallery] = gr.update(value=_portraits(after), thumbnails=offered)
        elif (face.pictures, active) != (before.face.pictures, before.active):
            updates[self.gallery] = gr.update(value=_portraits(after))
        return updates

    def _unfold(self, session: Building) -> tuple[bool, str]:
        return True, view.steps(self._builder(session.face).steps(session.face))

    def _follow(self, session: Building, opened: bool) -> Any:
        return self._unfold(session)[1] if opened else gr.skip()

    def _shown(self, session: Building) -> tuple[CachedModel, Sample]:
        builder = self._builder(session.face)
        return builder.model, builder.build(session.face)

    def _builder(self, face: Face) -> FaceBuilder:
        return self.builders[self.models[face.model].name]

    def _drawing(self, builder: FaceBuilder, face: Face) -> view.Drawing:
        return self._drawings.get_or(face, lambda: view.Drawing(face, builder.dissection(face)))

    def _alone(self, builder: FaceBuilder, drawing: view.Drawing, active: str, live: bool) -> Any:
        # A component by itself shows what others cover; that can wait.
        cut = live or active in (WHOLE, BACKGROUND)
        return drawing.alone(active) if cut else builder.alone(drawing.face, active).alone

    def switched(self, session: Building, name: str) -> Building:
        """As `PortraitTab.switched`."""
        return session.set_model(name, self.builders[self.models[name].name].components)

    def restored(self, session: Building, path: str) -> Building:
        """As `PortraitTab.restored`."""
        model, recipe = self.models.opened(path)
        face, photograph = self.builders[model.name].laid_out(recipe)
        if photograph:
            gr.Info("The picture behind this face is not in the file; add it again with Your background.")
        return session.restore(face)


def _in_front_of(session: Building, path: str) -> Building:
    return session.choose(BACKGROUND).set_background(Backdrop.opened(path))


def _portraits(building: Building) -> list[dict[str, Any]]:
    """What each portrait on offer is used for: the one that a click would replace."""
    behind = building.face.background
    picked = behind if building.active == BACKGROUND and behind is not None else building.face.portrait
    shown = picked if isinstance(picked, PictureRef) else None
    return offered(building.gallery, shown, {shown: [("the base", "")]})


def _offered(building: Building) -> tuple[Any, ...]:
    """What the portraits in the gallery depend on."""
    return building.gallery, building.face.psi, building.face.model
