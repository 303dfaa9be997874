"""The named endpoints: what the page does, for programs (`gradio_client`, curl, agents).

    from gradio_client import Client
    client = Client("http://127.0.0.1:7860")
    picture, recipe = client.predict(base=1, regions={"hair": 2}, api_name="/mix")

Pictures come as PNG files with their recipe and the statement that they are synthetic inside.
"""

from typing import Any

import gradio as gr

from sfhub.errors import InputError
from sfhub.pipelines.recipe import FUSION, check_seed
from space.files import saved
from space.mixing import LAYOUT, Mix, Source
from space.sentences import errors_as_sentences
from space.workbench import Workbench

__all__ = ["add_endpoints"]

ENDPOINT = {"concurrency_id": "api", "concurrency_limit": 1}


def add_endpoints(workbench: Workbench) -> None:
    """Add `/regions`, `/sample`, `/mix` and `/redo` to the `gr.Blocks` that is being built."""

    def regions() -> list[str]:
        """Names of the regions that can be mixed."""
        return list(workbench.regions)

    def sample(seed: int, truncation_psi: float = 0.7) -> tuple[str, dict]:
        """The portrait of a seed (0 to 4294967295), and its recipe; truncation_psi 0 is the average, 1 full variety."""
        with errors_as_sentences():
            found = workbench.samples([check_seed(seed)], truncation_psi)[0]
            return saved(found), found.recipe

    def mix(
        base: int,
        regions: dict,
        strength: float = 1.0,
        truncation_psi: float = 0.7,
        layout: int | None = None,
        method: str | None = None,
    ) -> tuple[str, dict]:
        """The portrait of seed `base` with regions of others: {"hair": 2} or {"hair": {"seed": 2, "strength": 0.5}}.

        A model with a fusion hierarchy can take the pose of seed `layout`; method is fusion, catalog (Editing in
        Style), influence or activation, by default the first that the model has.
        """
        with errors_as_sentences():
            choice = Mix(check_seed(base), truncation_psi, method=method or workbench.menu.method)
            if layout is not None:
                if choice.method != FUSION:
                    raise InputError("A layout needs a fusion hierarchy and method 'fusion'; leave it out.")
                choice = choice.with_source(_source(LAYOUT, layout, strength))
            for name, value in _as_mapping(regions).items():
                choice = choice.with_source(_source(name, value, strength))
            found = workbench.compare(choice).result
            return saved(found), found.recipe

    def redo(image: str) -> tuple[str, dict]:
        """A picture saved by this page, made again from its recipe."""
        with errors_as_sentences():
            found = workbench.remake(image)
            return saved(found), found.recipe

    gr.api(regions, api_name="regions", **ENDPOINT)
    with gr.Column(visible=False):
        picture, recipe = gr.File(label="picture"), gr.JSON(label="recipe")
        psi = gr.Number(0.7, label="truncation_psi")
        seed = gr.Number(0, precision=0, label="seed")
        sources = gr.JSON({}, label="regions")
        strength = gr.Number(1.0, label="strength")
        layout = gr.Number(None, precision=0, label="layout")
        method = gr.Textbox(None, label="method")
        upload = gr.File(label="image", type="filepath", file_types=[".png"])
        outputs = [picture, recipe]
        gr.on([], sample, [seed, psi], outputs, api_name="sample", **ENDPOINT)
        gr.on([], mix, [seed, sources, strength, psi, layout, method], outputs, api_name="mix", **ENDPOINT)
        gr.on([], redo, [upload], outputs, api_name="redo", **ENDPOINT)


def _as_mapping(regions: Any) -> dict[str, Any]:
    if not isinstance(regions, dict):
        raise InputError(f'The regions {regions!r} cannot be used; give an object such as {{"hair": 2}}.')
    return regions


def _source(region: str, value: Any, strength: float) -> Source:
    """One entry of `regions`, which may carry a strength of its own."""
    if not isinstance(value, dict):
        value = {"seed": value}
    strength = value.get("strength", strength)
    if not set(value) <= {"seed", "strength"} or not isinstance(strength, (int, float)):
        raise InputError(
            f"The source {value!r} of region {region!r} cannot be used; give a seed, or one and a strength from 0 to 1."
        )
    return Source(region, check_seed(value.get("seed")), float(strength))
