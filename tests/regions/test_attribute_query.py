"""Attribute queries: that of the layout turns heads and leaves the looks of people alone, on the built-in portraits."""

import pytest
import torch

from sfhub.errors import InputError
from sfhub.pipelines.stylegan import StyleGANPipeline
from sfhub.portraits.attributes import ATTRIBUTE_VECTOR_NAMES
from sfhub.regions.attribute_query import LAYOUT, attribute_query
from sfhub.regions.sampling import sample_styles

YAW, SKIN, HAIR = (ATTRIBUTE_VECTOR_NAMES.index(name) for name in ("yaw", "skin_tone", "hair_red"))


@pytest.fixture(scope="module")
def pipe():
    pipe = StyleGANPipeline.from_pretrained("portraits")
    for network in (pipe.generator, pipe.parser):
        network.requires_grad_(False)
    return pipe


def test_the_query_carries_the_turn_of_the_head_and_no_colours(pipe):
    query = attribute_query(pipe.generator, pipe.parser, LAYOUT, steps=100, batch_size=8, pool=100, progress=False)
    assert query.shape == (pipe.generator.style_layout.size,) and set(query.unique().tolist()) <= {0.0, 1.0}
    base, other = sample_styles(pipe.generator, 48, seed=77, truncation_psi=0.7).chunk(2)
    seen = {
        name: pipe.parser(pipe.generator.synthesis(code)).attributes
        for name, code in (("base", base), ("other", other), ("mixed", base + query * (other - base)))
    }

    def way(column):
        """How far the mix has gone from base to other: the slope of one change over the other."""
        moved, whole = (seen[name][:, column] - seen["base"][:, column] for name in ("mixed", "other"))
        return ((moved * whole).sum() / whole.square().sum()).item()

    assert way(YAW) > 0.6
    assert abs(way(SKIN)) < 0.2 and abs(way(HAIR)) < 0.2


def test_without_a_parser_that_sees_attributes_it_is_refused(pipe):
    with pytest.raises(InputError, match="only the portrait parser sees"):
        attribute_query(pipe.generator, None, LAYOUT)


def test_an_unknown_group_is_refused(pipe):
    with pytest.raises(InputError, match="'ears'"):
        attribute_query(pipe.generator, pipe.parser, "ears")


def test_the_same_seed_finds_the_same_query(pipe):
    few = {"steps": 2, "batch_size": 2, "pool": 4, "progress": False}
    first, second = (attribute_query(pipe.generator, pipe.parser, LAYOUT, **few) for _ in range(2))
    assert torch.equal(first, second)
