"""Attribute scores, on attribute vectors of known agreement and on the built-in portraits."""

import pytest
import torch

from sfhub.errors import InputError
from sfhub.metrics.attributes import attribute_scores, measure_attributes
from sfhub.pipelines.stylegan import StyleGANPipeline
from sfhub.portraits import sample_attributes
from sfhub.portraits.attributes import (
    ATTRIBUTE_VECTOR_NAMES,
    ATTRIBUTES,
    attribute_columns,
    attribute_vector,
    attribute_visibility,
    attributes_from_vector,
)


def test_attributes_survive_the_way_through_their_vector():
    drawn = sample_attributes(50, seed=3)
    found = attributes_from_vector(attribute_vector(drawn))
    assert all(torch.allclose(found[name], drawn[name], atol=1e-4) for name in ATTRIBUTES)


def test_equal_vectors_score_one_and_mean_vectors_score_zero_on_continuous_attributes():
    drawn = sample_attributes(200, seed=3)
    target = attribute_vector(drawn)
    everywhere = torch.ones_like(target)
    assert all(score == 1 for score in attribute_scores(target, target, everywhere).values())
    mean = attribute_scores(target.mean(dim=0).expand_as(target), target, everywhere)
    assert all(abs(score) < 1e-4 for name, score in mean.items() if not ATTRIBUTES[name].choices)


def test_missing_every_rare_kind_costs_its_share_of_the_kinds():
    hat = attribute_columns()["hat"]
    target = torch.zeros(100, len(ATTRIBUTE_VECTOR_NAMES))
    target[:97, hat.start] = 1
    target[97:99, hat.start + 1] = 1
    target[99, hat.start + 2] = 1
    found = target.clone()
    found[97:, hat] = target[0, hat]
    everywhere = torch.ones_like(target)
    assert attribute_scores(found, target, everywhere)["hat"] == pytest.approx(1 / 3)
    found[98:] = target[98:]
    assert attribute_scores(found, target, everywhere)["hat"] == pytest.approx((1 + 0.5 + 1) / 3)


def test_pictures_that_hide_an_attribute_do_not_count():
    target = attribute_vector(sample_attributes(300, seed=4))
    visible = attribute_visibility(attributes_from_vector(target))
    column = attribute_columns()["hair_length"].start
    found = target.clone()
    found[visible[:, column] == 0, column] = 9.0
    assert attribute_scores(found, target, visible)["hair_length"] == 1
    assert "hair_length" not in attribute_scores(found, target, torch.zeros_like(visible))


def test_attribute_columns_cover_the_vector_once():
    columns = list(attribute_columns().values())
    assert [c.start for c in columns[1:]] == [c.stop for c in columns[:-1]]
    assert columns[-1].stop == len(ATTRIBUTE_VECTOR_NAMES)


def test_hair_of_the_built_in_portraits_brings_its_colour_along_and_leaves_the_skin():
    pipe = StyleGANPipeline.from_pretrained("portraits")
    arguments = {"regions": ["hair"], "pairs": 40, "progress": False}
    scores = measure_attributes(pipe.generator, pipe.fusion, pipe.parser, **arguments)
    assert set(scores) == {"hair", "layout"}
    transferred, kept = scores["hair"]["transferred"], scores["hair"]["kept"]
    assert {name.startswith(("hair", "fringe")) for name in transferred} == {True}
    assert transferred["hair_green"] > 0.5 and kept["skin_tone"] > 0.8
    drawn = scores["hair"]["drawn"]
    assert set(drawn) == set(transferred) and drawn["hair_green"] > 0.8 and drawn["hair_style"] > 0.7
    assert scores["layout"]["transferred"]["yaw"] > 0.5 and scores["layout"]["kept"]["hair_green"] > 0.5


def test_attributes_of_an_unknown_region_are_refused():
    pipe = StyleGANPipeline.from_pretrained("portraits")
    with pytest.raises(InputError, match="nose"):
        measure_attributes(pipe.generator, pipe.fusion, pipe.parser, regions=["nose"], pairs=1, progress=False)
