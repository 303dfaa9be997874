import gradio as gr
import pytest

from sfhub.errors import InputError
from sfhub.pipelines.stylegan import StyleGANPipeline
from sfhub.space.page import build_app


def test_a_model_without_a_region_catalog_is_refused_in_one_sentence(tiny_generator):
    with pytest.raises(InputError, match="has no region catalog, which the page needs to mix regions"):
        build_app(StyleGANPipeline(tiny_generator))


def test_only_the_named_endpoints_can_be_called_from_outside(tiny_pipeline):
    page = build_app(tiny_pipeline)
    public = {fn.api_name for fn in page.fns.values() if fn.api_visibility == "public"}
    assert public == {"models", "regions", "sample", "mix", "redo"}


def test_a_model_of_components_adds_its_tab_and_its_endpoint(tiny_pipeline, semantic_pipeline):
    def tabs(*pipes) -> list[str]:
        return [block.label for block in build_app(pipes).blocks.values() if isinstance(block, gr.Tab)]

    assert tabs(tiny_pipeline) == ["Mix regions", "Label regions"]
    assert tabs(tiny_pipeline, semantic_pipeline) == ["Mix regions", "Build a face", "Label regions"]
    assert tabs(semantic_pipeline) == ["Mix regions", "Build a face"]
    page = build_app([tiny_pipeline, semantic_pipeline])
    assert "build_face" in {fn.api_name for fn in page.fns.values() if fn.api_visibility == "public"}


def test_the_picker_is_there_where_there_is_something_to_pick(tiny_pipeline, semantic_pipeline):
    def pickers(*pipes) -> list[bool]:
        radios = [block for block in build_app(pipes).blocks.values() if isinstance(block, gr.Radio)]
        return [radio.visible for radio in radios if radio.label == "Model"]

    assert pickers(tiny_pipeline) == [False]
    # That of the tab Build a face has one model to offer.
    assert pickers(tiny_pipeline, semantic_pipeline) == [True, False]


def test_two_models_of_one_name_are_refused(tiny_pipeline):
    with pytest.raises(InputError, match="Two models of this page are called 'StyleGANPipeline'"):
        build_app([tiny_pipeline, tiny_pipeline])
