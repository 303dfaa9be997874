"""The named endpoints for edits: `/edits`, what there is, and `/edit`, a portrait with some of them."""

from typing import Any

import gradio as gr

from sfhub.errors import InputError, short
from sfhub.pipelines.generator import check_number
from sfhub.space.common.files import saved
from sfhub.space.common.models import Models
from sfhub.space.common.picture_ref import PictureRef
from sfhub.space.common.region_pills import Regions
from sfhub.space.common.repertoire import Layer, Repertoire
from sfhub.space.common.sentences import answer_in_turn
from sfhub.space.edit import suits
from sfhub.space.edit.state import MAX_LAYERS, EditedPicture
from sfhub.space.edit.work import Editor
from sfhub.steps.checks import is_names

__all__ = ["add_edit_endpoints"]

KEYS = {"edit", "text", "strength", "region", "lock"}


def add_edit_endpoints(models: Models, options: dict[str, Any]) -> None:
    """Add `/edits` and `/edit` to the `gr.Blocks` that is being built, if any model has edits; `options` say how."""
    editors = {name: Editor(model) for name, model in models.items() if suits(model.pipe)}
    if not editors:
        return

    def found(model: str | None) -> Editor:
        name = models[model].name if model else next(iter(editors))
        if name not in editors:
            raise InputError(f"The model {name} has no edits; choose {next(iter(editors))}.")
        return editors[name]

    def edits(model: str | None = None) -> dict:
        """The edits of a model by name: regions where each shows (none for the whole picture), range, and space."""
        with answer_in_turn():
            has = found(model).edits
            return {
                name: {"regions": list(has.found(name).regions), "range": list(edit.range), "space": edit.space}
                for name, edit in has.edits.items()
            }

    def edit(
        seed: int, edits: list, truncation_psi: float = 0.7, lock: bool = False, model: str | None = None
    ) -> tuple[str, dict]:
        """The portrait of a seed with edits, one upon another: ["smile"] or [{"edit": "smile", "strength": 1.5,
        "region": "mouth"}], where region is a name, a list, or null for the whole picture, and the edit's own if it is
        left out; {"text": "a green hat"} where the model takes texts. Lock leaves all pixels outside as they are.
        """
        with answer_in_turn():
            editor = found(model)
            layers = tuple(_layer(each, editor.edits, lock) for each in _as_list(edits))
            psi = check_number(truncation_psi, -2, 2, "Truncation psi")
            picture = editor.result(EditedPicture(PictureRef.of_seed(seed), psi, layers, editor.model.name))
            return saved(picture), picture.recipe

    gr.api(edits, api_name="edits", **options)
    with gr.Column(visible=False):
        image, recipe = gr.File(label="picture"), gr.JSON(label="recipe")
        seed, asked = gr.Number(0, precision=0, label="seed"), gr.JSON([], label="edits")
        psi, locked = gr.Number(0.7, label="truncation_psi"), gr.Checkbox(False, label="lock")
        name = gr.Textbox(None, label="model")
        gr.on([], edit, [seed, asked, psi, locked, name], [image, recipe], api_name="edit", **options)


def _as_list(edits: Any) -> list:
    if not isinstance(edits, list) or len(edits) > MAX_LAYERS:
        raise InputError(f'Give a list of at most {MAX_LAYERS} edits, such as ["smile"] or [{{"edit": "smile"}}].')
    return edits


def _layer(asked: Any, has: Repertoire, lock: bool) -> Layer:
    """One entry of `edits`."""
    asked = {"edit": asked} if isinstance(asked, str) else asked
    if not isinstance(asked, dict) or not set(asked) <= KEYS or ("edit" in asked) == ("text" in asked):
        raise InputError(
            f'{short(asked)} is no edit; give a name, or {{"edit": "smile", "strength": 1, "region": "mouth"}}.'
        )
    layer = has.written(asked["text"]) if "text" in asked else has.found(asked["edit"])
    if "strength" in asked:
        layer = layer._replace(strength=has.within(layer, asked["strength"]))
    if "region" in asked:
        layer = layer._replace(regions=_regions(asked["region"]))
    return layer._replace(lock=bool(asked.get("lock", lock)))


def _regions(region: Any) -> Regions:
    names = [] if region is None else [region] if isinstance(region, str) else region
    if not is_names(names) and names != []:
        raise InputError(f"{short(region)} is no region; give a name, a list of names, or null for everything.")
    return tuple(names)
