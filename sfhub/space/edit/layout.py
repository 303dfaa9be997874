"""Components and events of the tab *Edit*.

One click puts an edit on the picture; a slider below it follows live, for which only the result is computed; all that
is beside it follows once the slider rests. Little pictures of what every edit does, and of the active one at several
strengths, come one by one while anything else is answered first.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gradio as gr

from sfhub.pipelines.generator import GeneratorPipeline
from sfhub.space.common.files import saved
from sfhub.space.common.gallery import FIRST_GALLERY, offered, thumbnails
from sfhub.space.common.hand_over import Handed, HandOver
from sfhub.space.common.little_pictures import LittlePictures
from sfhub.space.common.markup import empty_views
from sfhub.space.common.models import Models
from sfhub.space.common.repertoire import takes_text
from sfhub.space.common.sentences import answer_in_turn
from sfhub.space.common.tab import CLICKS_JS, PLAIN, VIEWS_JS, PortraitTab, Updates, columns, script
from sfhub.space.edit import view
from sfhub.space.edit.state import EditedPicture, Editing
from sfhub.space.edit.work import Editor, clicked

__all__ = ["TITLE", "build", "suits"]

TITLE = "Edit"

COMPARE_JS = script(__file__, "compare")


def suits(pipe: GeneratorPipeline) -> bool:
    """Whether a model has edits."""
    return bool(getattr(pipe, "edits", None))


def build(models: Models, page: gr.Blocks, hand_over: HandOver) -> None:
    """Lay out the tab inside `page`, which is being built.

    Args:
        models: those that the tab suits.
        hand_over: by which pictures come from other tabs.
    """
    EditTab(models, hand_over).connect(page)


class EditTab(PortraitTab):
    """The components of the tab, what connects them, and the answers to events."""

    def __init__(self, models: Models, hand_over: HandOver):
        start = Editing(EditedPicture(FIRST_GALLERY[0], model=models.first.name), FIRST_GALLERY)
        super().__init__("edit", models, start, hand_over)
        self.editors = {name: Editor(model) for name, model in models.items()}
        # What little pictures are made of, to notice when that is something else.
        self.tried, self.filmed = gr.State(None), gr.State(None)
        self.little = LittlePictures()
        with columns("edit") as (stage, controls):
            with stage:
                self._lay_out_stage()
            with controls:
                self._lay_out_controls()
        self.outputs = [
            self.session, self.views, self.notes, self.download, self.recipe, self.reset, self.undo, self.redo,
            self.strength, self.film, self.pills, self.lock, self.stack, self.catalogue, self.gallery, self.psi,
            self.model, self.tried, self.filmed, self.writing,
        ]  # fmt: skip

    def _lay_out_stage(self) -> None:
        self.views = gr.HTML(
            empty_views(view.VIEWS), elem_classes="views-block", js_on_load=VIEWS_JS + COMPARE_JS, **PLAIN
        )
        self.lay_out_tools()
        with gr.Column(elem_classes="dial"):
            self.strength = gr.Slider(-1, 1, 0, label="Strength", buttons=[], elem_classes="slider", visible=False)
            self.film = gr.HTML([], pictures="", now=0, html_template=view.film_template, js_on_load=CLICKS_JS, **PLAIN)
            self.pills = gr.HTML(js_on_load=CLICKS_JS, **PLAIN)
            self.lock = gr.Checkbox(True, label="Keep everything else exactly as it is", container=False)
            self.notes = gr.HTML(js_on_load=None, **PLAIN)

    def _lay_out_controls(self) -> None:
        self.lay_out_model()
        self.lay_out_gallery()
        with gr.Row(elem_classes="tools", visible=takes_text(self.models.first.pipe)) as self.writing:
            self.text = gr.Textbox(
                label="Say what should change", placeholder="Say what should change: curly red hair ...",
                show_label=False, container=False, max_length=200, min_width=160, scale=3,
                html_attributes=gr.InputHTMLAttributes(enterkeyhint="done", autocomplete="off"),
            )  # fmt: skip
            self.write = gr.Button("Change it", size="sm", min_width=80, scale=1)
        self.search = gr.Textbox(
            label="Find an edit", placeholder="Find an edit: smile, hair, age ...", show_label=False, container=False,
            max_length=40, elem_classes="search",
            html_attributes=gr.InputHTMLAttributes(enterkeyhint="search", autocomplete="off"),
        )  # fmt: skip
        self.catalogue = gr.HTML(
            [], thumbnails="", query="", html_template=view.catalogue_template, js_on_load=CLICKS_JS, **PLAIN
        )
        self.stack = gr.HTML(js_on_load=CLICKS_JS, elem_classes="layers", **PLAIN)
        with gr.Row(elem_classes="tools"):
            self.lay_out_surprise()
            self.lay_out_seed()
        self.lay_out_rest("this page")

    def connect(self, page: gr.Blocks) -> None:
        """As `PortraitTab.connect`, and with what comes from other tabs."""
        super().connect(page)
        parts = (self.views, self.film, self.pills, self.stack, self.catalogue, self.gallery)
        gr.on([each.click for each in parts], self.act, self.session, self.outputs, **self.click)
        self.views.release(self.settle, self.session, self.outputs, **self.click)
        self.strength.input(self.slide_along, [self.session, self.strength], self.outputs, **self.slide)
        self.on_click([self.text.submit, self.write.click], self.written, self.text)
        self.on_click([self.lock.input], Editing.set_lock, self.lock)
        self.on_click([self.hand_over.picture.change], self.received, self.hand_over.picture)
        find = {**self.slide, "concurrency_id": "edit_search"}
        self.search.change(lambda text: gr.update(query=text.strip().lower()), self.search, self.catalogue, **find)
        # In a queue of their own, so that clicks do not wait for them.
        little = {**self.click, "concurrency_id": "edit_little_pictures", "concurrency_limit": 4}
        self.hand_over.tabs.select(self.looked_at, [self.session, self.tried], self.tried, **little)
        self.tried.change(self.try_all, self.tried, self.catalogue, **little)
        self.filmed.change(self.run_film, self.filmed, self.film, **little)

    # Answers ----------------------------------------------------------------------------------------------------------

    def act(self, session: Editing, event: gr.EventData) -> Updates:
        """A click on a portrait, an edit, a region or a strength, or on what the stack offers."""
        with answer_in_turn():
            return self.show(session, clicked(session, self._editor(session.picture), event))

    def slide_along(self, session: Editing, strength: float) -> Updates:
        """The slider on its way: only the result follows."""
        with answer_in_turn():
            if session.layer is None:
                return {self.session: session}
            strength = self._editor(session.picture).edits.within(session.layer, strength)
            return self.show(session, session.set_strength(strength), live=True)

    def settle(self, session: Editing) -> Updates:
        """The slider at rest: all else follows; the slider itself may have moved on."""
        updates = self.start(session)
        updates.pop(self.strength, None)
        return updates

    def written(self, session: Editing, text: str) -> Editing:
        """A text that asks for a change."""
        return session.put_on(self._editor(session.picture).edits.written(text))

    def received(self, session: Editing, handed: Handed) -> Editing:
        """A picture from another tab: a fresh start, with its model."""
        return session.restore(EditedPicture(handed.picture, handed.psi, model=handed.model))

    def show(self, before: Editing | None, after: Editing, live: bool = False) -> Updates:
        """As `PortraitTab.show`.

        Args:
            before: what the visitor sees, None for nothing yet.
            live: whether a slider is moving, so that all but the result can wait.
        """
        picture = after.picture
        editor = self._editor(picture)
        stages = editor.stages(picture)
        updates: Updates = self.way_back(after)
        updates[self.stack] = view.stack(after, editor.little(stages, picture))
        if live:
            beside = editor.compare(after.settled or picture)
            updates[self.views] = view.views(beside, after, stages[-1].image)
            updates[self.film] = gr.update(now=after.layer.strength)
            return updates | {self.session: after}
        after, comparison = replace(after, settled=picture), editor.compare(picture)
        aimed = before is not None and (before.active, before.regions) != (after.active, after.regions)
        updates |= {
            self.session: after,
            self.views: view.views(comparison, after, lit=aimed),
            self.notes: view.notes(comparison, after),
            self.pills: view.pills(after, editor),
            self.filmed: after.filmed,
        }
        updates |= self._controls(after, editor)
        if before is None or picture != before.picture:
            updates[self.recipe] = stages[-1].recipe
            updates[self.download] = saved(stages[-1])
            updates[self.reset] = gr.update(interactive=bool(picture.stack))
            updates[self.psi], updates[self.model] = picture.psi, picture.model
            updates[self.writing] = gr.update(visible=takes_text(editor.pipe))
            updates[self.catalogue] = gr.update(value=view.catalogue(after, editor))
            updates |= {} if before is None else {self.tried: after.tried}
        if before is None or after.offered != before.offered:
            shown = [ref for ref in after.gallery if editor.model.knows(ref)]
            portraits = offered(shown, picture.portrait, {picture.portrait: [("the base", "")]})
            pictures = thumbnails(editor.model, shown, picture.psi)
            updates[self.gallery] = gr.update(value=portraits, thumbnails=pictures)
        return updates

    def _controls(self, session: Editing, editor: Editor) -> Updates:
        """The slider, the film and the lock of the active edit."""
        layer = session.layer
        if layer is None:
            lock = gr.update(value=session.lock, interactive=True)
            return {self.strength: gr.update(visible=False), self.film: gr.update(value=[]), self.lock: lock}
        low, high = editor.edits.range(layer)
        step = float(f"{(high - low) / 100:.1g}") or 0.01
        frames = view.film(editor.edits.strengths(layer))
        return {
            self.strength: gr.update(
                minimum=low, maximum=high, step=step, value=layer.strength, visible=True,
                label=f"Strength of {layer.title}",
            ),
            self.film: gr.update(value=frames, now=layer.strength),
            self.lock: gr.update(value=layer.lock, interactive=bool(layer.regions)),
        }  # fmt: skip

    # Little pictures --------------------------------------------------------------------------------------------------

    def looked_at(self, session: Editing, tried: Any, event: gr.SelectData) -> Any:
        """Edits are tried once somebody looks at the tab."""
        return session.tried if event.value == TITLE else tried

    def try_all(self, tried: Any, request: gr.Request) -> Iterator[Any]:
        """What each edit does to the picture, a few at a time; no more of a picture that is no longer looked at."""
        if tried is not None:
            model, portrait, psi = tried
            pictures = self.editors[model].thumbnails(portrait, psi)
            yield from self.little.sent(pictures, "thumbnails", request)

    def run_film(self, filmed: Any, request: gr.Request) -> Iterator[Any]:
        """The picture at several strengths of the active edit, likewise."""
        if filmed is not None:
            picture, index = filmed
            frames = self._editor(picture).film(picture, index)
            yield from self.little.sent(frames, "pictures", request)

    # Other models and saved pictures ----------------------------------------------------------------------------------

    def switched(self, session: Editing, name: str) -> Editing:
        """As `PortraitTab.switched`."""
        return session.set_model(self.models[name].name, self.editors[name].edits.fitted)

    def restored(self, session: Editing, path: str) -> Editing:
        """As `PortraitTab.restored`."""
        model, recipe = self.models.opened(path)
        return session.restore(self.editors[model.name].laid_out(recipe))

    def _editor(self, picture: EditedPicture) -> Editor:
        return self.editors[self.models[picture.model].name]
