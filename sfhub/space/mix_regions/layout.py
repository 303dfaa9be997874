"""Components and events of the tab *Mix regions*.

One click chooses a region, the next one the portrait it comes from; the result, its regions and the difference from the
base follow at once. Another click makes the same choices with another model.
"""

from typing import Any

import gradio as gr

from sfhub.errors import InputError
from sfhub.pipelines.generator import GeneratorPipeline
from sfhub.pipelines.sample import Sample
from sfhub.pipelines.stylegan import StyleGANPipeline
from sfhub.space.common.cached_model import CachedModel
from sfhub.space.common.files import saved
from sfhub.space.common.gallery import FIRST_GALLERY, thumbnails
from sfhub.space.common.hand_over import HandOver
from sfhub.space.common.markup import empty_views
from sfhub.space.common.models import Models
from sfhub.space.common.picture_ref import PictureRef
from sfhub.space.common.sentences import answer_in_turn
from sfhub.space.common.tab import CLICKS_JS, PLAIN, VIEWS_JS, PortraitTab, Updates, columns
from sfhub.space.mix_regions import view
from sfhub.space.mix_regions.state import BOTH, SHAPE, TEXTURE, Mix, Session, Source
from sfhub.space.mix_regions.work import Mixer
from sfhub.steps.mix_by_catalog import MixByCatalog
from sfhub.steps.mix_by_fusion import MixByFusion

__all__ = ["TITLE", "build", "first_session", "suits"]

TITLE = "Mix regions"

FIRST_REGION = "hair"
METHODS = [(way.TITLE, way.NAME) for way in (MixByFusion, MixByCatalog)]
PARTS = [("Shape and texture", BOTH), ("Shape only", SHAPE), ("Texture only", TEXTURE)]


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


def build(models: Models, page: gr.Blocks, hand_over: HandOver) -> None:
    """Lay out the tab inside `page`, which is being built.

    Args:
        models: those that the tab suits.
        hand_over: by which pictures go to another tab.
    """
    MixTab(models, hand_over).connect(page)


def first_session(model: CachedModel) -> Session:
    """What a visitor finds: one region already mixed, so that the page explains itself."""
    menu = model.menu
    region = FIRST_REGION if FIRST_REGION in menu.single else menu.single[0]
    mix = Mix(FIRST_GALLERY[0], sources=(Source(region, FIRST_GALLERY[1]),), method=menu.method, model=model.name)
    return Session(mix, FIRST_GALLERY, active=region)


class MixTab(PortraitTab):
    """The components of the tab, what connects them, and the answers to events."""

    def __init__(self, models: Models, hand_over: HandOver):
        super().__init__("mix_regions", models, first_session(models.first), hand_over)
        self.mixers = {name: Mixer(model) for name, model in models.items()}
        with columns() as (stage, controls):
            with stage:
                self.views = gr.HTML(empty_views(view.VIEWS), elem_classes="views-block", js_on_load=VIEWS_JS, **PLAIN)
                self.lay_out_tools(self.lay_out_giving)
                self.notes = gr.HTML(js_on_load=None, **PLAIN)
            with controls:
                self._lay_out_controls()
        self.outputs = [
            self.session, self.views, self.notes, self.download, self.recipe, self.reset, self.undo, self.redo,
            self.chips, self.gallery, self.strength, self.overall, self.psi, self.model, self.method, self.part,
            self.give,
        ]  # fmt: skip

    def _lay_out_controls(self) -> None:
        menu = self.models.first.menu
        self.lay_out_model()
        self.method = gr.Radio(
            METHODS, value=menu.method, label="Mix by", visible=len(menu.ways) > 1, elem_classes="method",
            min_width=200,
        )  # fmt: skip
        self.chips = gr.HTML(js_on_load=CLICKS_JS, **PLAIN)
        self.part = gr.Radio(
            PARTS, value=BOTH, label="Take", visible=menu.ways[0].TAKES_PARTS, elem_classes="method", min_width=200
        )
        with gr.Row(elem_classes="pair"):
            self.strength = gr.Slider(
                0, 1, 1, step=0.05, label="Strength", buttons=[], elem_classes="slider", min_width=150
            )
            self.overall = gr.Slider(
                0, 1, 1, step=0.05, label="Strength of everything", buttons=[], elem_classes="slider", min_width=150
            )
        self.lay_out_gallery()
        with gr.Row(elem_classes="tools"):
            self.lay_out_surprise()
            self.randomise = gr.Button("Randomise all", size="sm", min_width=120)
            self.lay_out_seed()
        self.lay_out_rest("this page")

    def connect(self, page: gr.Blocks) -> None:
        """As `PortraitTab.connect`."""
        super().connect(page)
        gr.on([self.chips.click, self.gallery.click], self.act, self.session, self.outputs, **self.click)
        self.on_click([self.randomise.click], lambda session: session.randomise(self._model(session).menu.single))
        self.on_click([self.method.input], Session.set_method, self.method)
        self.on_click([self.part.input], Session.set_part, self.part)
        self.on_slide(self.strength, Session.set_strength)
        self.on_slide(self.overall, Session.set_overall)
        self.connect_giving(
            lambda session: (self._model(session), self.mixers[session.mix.model].compare(session.mix).result)
        )

    # Answers ----------------------------------------------------------------------------------------------------------

    def act(self, session: Session, event: gr.EventData) -> Updates:
        """A click on a region or on a portrait."""
        with answer_in_turn():
            if event.action == "pick":
                return self.show(session, session.pick(PictureRef.read(event.picture)))
            if event.action == "choose":
                return self.show(session, session.choose(event.region))
            return self.show(session, session.clear(event.region))

    def restored(self, session: Session, path: str) -> Session:
        """As `PortraitTab.restored`."""
        model, recipe = self.models.opened(path)
        return session.restore(self.mixers[model.name].laid_out(recipe))

    def switched(self, session: Session, name: str) -> Session:
        """As `PortraitTab.switched`."""
        menu = self.models[name].menu
        return session.set_model(name, menu.ways[0], menu.regions)

    def _shown(self, session: Session) -> tuple[CachedModel, Sample]:
        model = self._model(session)
        return model, self.mixers[model.name].compare(session.mix).result

    def _model(self, session: Session) -> CachedModel:
        return self.models[session.mix.model]

    def show(self, before: Session | None, after: Session) -> Updates:
        """As `PortraitTab.show`."""
        model = self._model(after)
        mix, menu = after.mix, model.menu
        after = after.fitted(menu.regions)
        updates: Updates = {self.session: after}
        if before is None or mix != before.mix:
            comparison = self.mixers[model.name].compare(mix)
            updates[self.views] = view.views(comparison)
            updates[self.notes] = view.notes(comparison, mix)
            updates[self.recipe] = comparison.result.recipe
            updates[self.download] = saved(comparison.result)
            updates[self.reset] = gr.update(interactive=bool(mix.sources))
            updates[self.psi] = mix.psi
            updates[self.overall] = mix.strength
            updates[self.model] = mix.model
            updates[self.give] = gr.update(visible=self.hand_over.takes(mix.model))
            updates[self.method] = gr.update(value=mix.method, visible=len(menu.ways) > 1)
        if before is None or _choices(after) != _choices(before):
            updates[self.chips] = view.chips(after, menu, thumbnails(model, mix.pictures, mix.psi))
            updates[self.gallery] = gr.update(value=view.gallery(after, menu))
        if before is None or _offered(after) != _offered(before):
            pictures = thumbnails(model, after.gallery, mix.psi)
            updates[self.gallery] = gr.update(value=view.gallery(after, menu), thumbnails=pictures)
        updates[self.strength] = _strength(after)
        updates[self.part] = gr.update(value=after.part, visible=mix.way.TAKES_PARTS)
        return updates | self.way_back(after)


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
