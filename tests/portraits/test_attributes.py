"""Attributes: their mirror, their vector, what hides them, and the checks of what users pass in."""

import math

import pytest
import torch

from sfhub.errors import InputError
from sfhub.portraits import (
    ATTRIBUTE_VECTOR_NAMES,
    ATTRIBUTES,
    attribute_vector,
    attribute_visibility,
    flip_attributes,
    sample_attributes,
)
from sfhub.portraits.attributes import check_attributes


@pytest.fixture(scope="module")
def many() -> dict[str, torch.Tensor]:
    return sample_attributes(6000, seed=0)


def test_same_seed_draws_the_same_people():
    first, second, other = (sample_attributes(16, seed=seed) for seed in (7, 7, 8))
    assert all(torch.equal(first[name], second[name]) for name in ATTRIBUTES)
    assert not torch.equal(first["yaw"], other["yaw"])


def test_a_generator_draws_what_its_seed_draws():
    drawn = sample_attributes(4, generator=torch.Generator().manual_seed(5))
    assert torch.equal(attribute_vector(drawn), attribute_vector(sample_attributes(4, seed=5)))


def test_flipping_twice_changes_nothing_and_once_mirrors_the_pose(many):
    flipped = flip_attributes(many)
    assert torch.equal(flipped["yaw"], -many["yaw"]) and torch.equal(flipped["smile"], many["smile"])
    assert all(torch.equal(value, many[name]) for name, value in flip_attributes(flipped).items())


def test_attribute_vector_scales_ranges_to_one_and_choices_to_one_hot(many):
    vector = attribute_vector(many)
    assert vector.shape == (6000, len(ATTRIBUTE_VECTOR_NAMES))
    assert vector.abs().max() <= 1
    column = ATTRIBUTE_VECTOR_NAMES.index
    assert torch.allclose(vector[:, column("yaw")] * 35, many["yaw"], atol=1e-4)
    assert torch.allclose(vector[:, column("age")], 2 * many["age"] - 1, atol=1e-6)
    hats = vector[:, [column(f"hat={choice}") for choice in ATTRIBUTES["hat"].choices]]
    assert torch.equal(hats.argmax(dim=1).float(), many["hat"]) and (hats.sum(dim=1) == 1).all()


def test_visibility_hides_the_colour_of_a_hat_that_nobody_wears():
    seen = attribute_visibility({"hat": torch.tensor([0.0, 1.0]), "fringe": "straight"})
    column = ATTRIBUTE_VECTOR_NAMES.index
    assert seen[:, column("hat_red")].tolist() == [0, 1]
    assert seen[:, column("fringe=straight")].tolist() == [1, 0]
    assert seen[:, column("hat=beanie")].tolist() == [1, 1]
    assert seen[:, column("smile")].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("attributes", "hidden"),
    [
        ({"hair_style": "bald"}, ["hair_length", "hair_volume", "hair_part", "fringe=side"]),
        ({"hair_style": "afro"}, ["fringe=none"]),
        ({"hair_style": "bob"}, ["ear_size"]),
        ({"glasses": "none"}, ["glasses_red"]),
        ({"earrings": "none"}, ["earring_gold"]),
        ({"pattern": "plain"}, ["pattern_contrast"]),
        ({"background": "flat"}, ["background2_blue", "background_x", "background_y"]),
        ({"hat": "cap", "hair_style": "buzz"}, ["fringe=straight"]),
    ],
)
def test_visibility_hides_what_leaves_no_trace(attributes, hidden):
    everything = {"glasses": "round", "hat": "none", "earrings": "hoop", "pattern": "dots", "background": "bokeh"}
    with_all = attribute_visibility(everything | {"hair_style": "ponytail"})[0]
    without = attribute_visibility(everything | {"hair_style": "ponytail"} | attributes)[0]
    column = ATTRIBUTE_VECTOR_NAMES.index
    assert all(with_all[column(name)] == 1 and without[column(name)] == 0 for name in hidden)
    assert without[column("background_red")] == without[column("hair_red")] == without[column("glasses=none")] == 1


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"smiel": 1.0}, "'smiel' is no portrait attribute; did you mean one of smile"),
        ({"smile": 1.5}, "'smile' is 1.5; give a number from -1 to 1"),
        ({"smile": float("nan")}, "'smile' is nan"),
        ({"yaw": torch.tensor([0.0, math.inf])}, "'yaw' is inf"),
        ({"hat": "crown"}, "'crown' is no value of attribute 'hat'; give one of none, beanie, cap, brimmed"),
        ({"hat": 0.5}, "'hat' is 0.5; give an integer code from 0 to 3"),
        ({"smile": "wide"}, "'wide' is no value of attribute 'smile'; give a number from -1 to 1"),
        ({"smile": None}, "'smile' got None"),
        ({"smile": torch.zeros(2, 2)}, r"'smile' has shape \[2, 2\]"),
        ({"smile": torch.zeros(0)}, r"'smile' has shape \[0\]"),
        ({"smile": torch.zeros(2), "yaw": torch.zeros(3)}, "'smile' has 2 values where others have 3"),
    ],
)
def test_bad_attributes_are_refused_in_one_sentence(attributes, message):
    with pytest.raises(InputError, match=message):
        check_attributes(attributes)


def test_no_portraits_and_two_sources_of_chance_are_refused():
    with pytest.raises(InputError, match="Cannot draw 0 portraits"):
        sample_attributes(0)
    with pytest.raises(InputError, match="only one"):
        sample_attributes(1, seed=0, generator=torch.Generator())
