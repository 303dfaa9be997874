"""The named endpoints: what the page does, for programs (`gradio_client`, curl, agents).

    from gradio_client import Client
    client = Client("http://127.0.0.1:7860")
    picture, recipe = client.predict(base=1, regions={"hair": 2}, api_name="/mix")

Pictures come as PNG files with their recipe and the statement that they are synthetic inside.
"""

from typing import Any

import gradio as gr

from sfhub.errors import InputError, short
from sfhub.pipelines.generator import check_number
from sfhub.space import build_face as building
from sfhub.space.api_edits import add_edit_endpoints
from sfhub.space.build_face.state import Backdrop
from sfhub.space.build_face.work import FaceBuilder
from sfhub.space.common.cached_model import CachedModel, check_cost
from sfhub.space.common.files import saved
from sfhub.space.common.models import Models
from sfhub.space.common.picture_ref import PictureRef
from sfhub.space.common.sentences import answer_in_turn, errors_as_sentences
from sfhub.space.mix_regions.state import BOTH, POSE, SHAPE, TEXTURE, Mix, Source
from sfhub.space.mix_regions.work import Mixer
from sfhub.steps.checks import MAX_NAMES
from sfhub.steps.registry import mix_named

__all__ = ["add_endpoints"]

ENDPOINT = {"concurrency_id": "api", "concurrency_limit": 32}
"""Many may be begun at once, for one of them computes at a time (`sfhub.space.common.turns`)."""


def add_endpoints(models: Models) -> None:
    """Add `/models`, `/regions`, `/sample`, `/mix`, `/redo` and, where a model can, `/build_face`, `/edits` and `/edit`
    to the `gr.Blocks` that is being built."""

    mixers = {name: Mixer(model) for name, model in models.items()}
    builders = {name: FaceBuilder(model) for name, model in models.items() if building.suits(model.pipe)}

    def found(model: str | None) -> CachedModel:
        return models[model] if model else models.first

    def names() -> list[str]:
        """Names of the models; where none is given, the first is used."""
        return list(models)

    def regions(model: str | None = None) -> list[str]:
        """Names of the regions that can be mixed."""
        with errors_as_sentences():
            return list(found(model).menu.regions)

    def sample(seed: int, truncation_psi: float = 0.7, model: str | None = None) -> tuple[str, dict]:
        """The portrait of a seed (0 to 4294967295), and its recipe; truncation_psi 0 is the average, 1 full variety."""
        with answer_in_turn():
            picture = found(model).samples([PictureRef.of_seed(seed)], _psi(truncation_psi))[0]
            return saved(picture), picture.recipe

    def mix(
        base: int,
        regions: dict,
        strength: float = 1.0,
        truncation_psi: float = 0.7,
        layout: int | None = None,
        method: str | None = None,
        model: str | None = None,
        shape: dict | None = None,
        texture: dict | None = None,
    ) -> tuple[str, dict]:
        """The portrait of seed `base` with regions of others: {"hair": 2} or {"hair": {"seed": 2, "strength": 0.5}}.

        A model with a fusion hierarchy, and a SemanticStyleGAN, can take the pose of seed `layout`; of the latter,
        `shape` and `texture` give a region's shape or texture alone. Method is fusion, catalog (Editing in Style),
        influence or contribution, by default the first that the model has.
        """
        with answer_in_turn():
            chosen = found(model)
            mix = _mix(chosen, base, truncation_psi, method)
            strength = check_number(strength, 0, 1, "Strength")
            if layout is not None:
                if not mix.way.TAKES_LAYOUT:
                    raise InputError("A layout needs a fusion hierarchy and method 'fusion'; leave it out.")
                mix = mix.with_source(_source(POSE, layout, strength, BOTH))
            for part, given in ((BOTH, regions), (SHAPE, shape), (TEXTURE, texture)):
                for name, value in _as_mapping(given or {}, "regions" if part == BOTH else part).items():
                    if part != BOTH and not mix.way.TAKES_PARTS:
                        raise InputError(f"A {part} by itself needs a SemanticStyleGAN; give it as a region.")
                    mix = mix.with_source(_source(name, value, strength, part))
            names = {source.region for source in mix.sources} - {POSE}
            chosen.pipe.check_mix(sorted(names), mix.method)
            check_cost(len(mix.pictures) + 1)
            picture = mixers[chosen.name].compare(mix).result
            return saved(picture), picture.recipe

    def redo(image: str, model: str | None = None) -> tuple[str, dict]:
        """A picture saved by this page, made again from its recipe, by the model that made it unless one is given."""
        with answer_in_turn():
            if not image:
                raise InputError("No picture was given; upload a PNG file that this page saved.")
            maker, recipe = models.opened(image)
            picture = (models[model] if model else maker).redo(recipe)
            return saved(picture), picture.recipe

    def build_face(
        seed: int,
        without: list | None = None,
        move: dict | None = None,
        zoom: dict | None = None,
        background: int | None = None,
        picture: str | None = None,
        truncation_psi: float = 0.7,
        model: str | None = None,
    ) -> tuple[str, dict]:
        """The portrait of a seed with components left out (["glasses"]), moved ({"eyes": [0.1, -0.2]}, right and down
        in halves of the image) and scaled ({"mouth": 1.5}, about the middle of the image).

        It stands in front of the background of seed `background`, or of a picture file.
        """
        with answer_in_turn():
            name = models[model].name if model else next(iter(builders))
            if name not in builders:
                raise InputError(f"The model {name} has no components; choose {next(iter(builders))}.")
            psi = _psi(truncation_psi)
            done = {
                "without": _as_list(without),
                "move": _as_mapping(move or {}, "move"),
                "zoom": _as_mapping(zoom or {}, "zoom"),
            }
            behind = None if picture is None else Backdrop.opened(picture).image
            builders[name].pipe.compose_step(**done)
            base = models[name].samples([PictureRef.of_seed(seed)], psi)[0]
            if behind is None and background is not None:
                behind = models[name].samples([PictureRef.of_seed(background)], psi)[0]
            made = builders[name].compose(base, **done, background=behind)
            return saved(made), made.recipe

    gr.api(names, api_name="models", **ENDPOINT)
    gr.api(regions, api_name="regions", **ENDPOINT)
    with gr.Column(visible=False):
        image, recipe = gr.File(label="picture"), gr.JSON(label="recipe")
        psi = gr.Number(0.7, label="truncation_psi")
        seed = gr.Number(0, precision=0, label="seed")
        sources, shapes, textures = (gr.JSON({}, label=label) for label in ("regions", "shape", "texture"))
        strength = gr.Number(1.0, label="strength")
        layout = gr.Number(None, precision=0, label="layout")
        method, model = gr.Textbox(None, label="method"), gr.Textbox(None, label="model")
        upload = gr.File(label="image", type="filepath", file_types=[".png"])
        outputs = [image, recipe]
        gr.on([], sample, [seed, psi, model], outputs, api_name="sample", **ENDPOINT)
        given = [seed, sources, strength, psi, layout, method, model, shapes, textures]
        gr.on([], mix, given, outputs, api_name="mix", **ENDPOINT)
        gr.on([], redo, [upload, model], outputs, api_name="redo", **ENDPOINT)
        if builders:
            without, move, zoom = (gr.JSON(None, label=label) for label in ("without", "move", "zoom"))
            background = gr.Number(None, precision=0, label="background")
            photograph = gr.File(label="picture", type="filepath", file_types=["image"])
            given = [seed, without, move, zoom, background, photograph, psi, model]
            gr.on([], build_face, given, outputs, api_name="build_face", **ENDPOINT)
    add_edit_endpoints(models, ENDPOINT)


def _mix(model: CachedModel, base: Any, psi: float, method: str | None) -> Mix:
    """A mix of nothing yet, by the method that is asked for.

    Raises:
        InputError: for a seed out of range, or a method of another family of models.
    """
    method = method or model.menu.method
    if mix_named(method).FAMILY != model.pipe.FAMILY:
        raise InputError(f"The model {model.name} cannot mix by method {short(method)}; leave the method out.")
    return Mix(PictureRef.of_seed(base), _psi(psi), method=method, model=model.name)


def _psi(value: Any) -> float:
    return check_number(value, -2, 2, "Truncation psi")


def _as_mapping(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f'The {what} {short(value)} cannot be used; give an object such as {{"hair": 2}}.')
    if len(value) > MAX_NAMES:
        raise InputError(f"The {what} are {len(value):,}, more than the {MAX_NAMES} that a picture can have.")
    return value


def _as_list(names: Any) -> list[str]:
    if not isinstance(names or [], list) or len(names or []) > MAX_NAMES:
        raise InputError(f'The components {short(names)} cannot be left out; give a list such as ["glasses"].')
    return names or []


def _source(region: str, value: Any, strength: float, part: str) -> Source:
    """One entry of `regions`, `shape` or `texture`, which may carry a strength of its own."""
    if not isinstance(value, dict):
        value = {"seed": value}
    strength = value.get("strength", strength)
    if not set(value) <= {"seed", "strength"} or not isinstance(strength, (int, float)):
        raise InputError(
            f"The source {short(value)} of region {short(region)} cannot be used; give a seed, or one and a strength "
            "from 0 to 1."
        )
    strength = check_number(strength, 0, 1, f"The strength of {short(region)}")
    return Source(region, PictureRef.of_seed(value.get("seed")), strength, part)
