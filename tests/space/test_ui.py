import pytest

from sfhub.errors import InputError
from sfhub.pipelines.stylegan import StyleGANPipeline
from space.ui import build_app


def test_a_model_without_a_region_catalog_is_refused_in_one_sentence(tiny_generator):
    with pytest.raises(InputError, match="has no region catalog, which the page needs to mix regions"):
        build_app(StyleGANPipeline(tiny_generator))


def test_only_the_named_endpoints_can_be_called_from_outside(tiny_pipeline):
    page = build_app(tiny_pipeline)
    public = {fn.api_name for fn in page.fns.values() if fn.api_visibility == "public"}
    assert public == {"regions", "sample", "mix", "redo"}
