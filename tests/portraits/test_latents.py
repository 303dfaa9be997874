"""Latents and attribute codes of portraits."""

import pytest
import torch

from sfhub.errors import InputError
from sfhub.portraits.attributes import ATTRIBUTE_VECTOR_NAMES, attribute_vector, sample_attributes
from sfhub.portraits.latents import (
    ATTRIBUTE_GROUPS,
    CODE_GROUPS,
    LATENT_DIM,
    attribute_code,
    attributes_from_latents,
    mean_code,
    truncate,
)


def latents(count: int) -> torch.Tensor:
    return torch.randn(count, LATENT_DIM, generator=torch.Generator().manual_seed(5))


def test_a_latent_gives_the_same_portrait_in_any_batch():
    z = latents(9)
    together, alone = attributes_from_latents(z), attributes_from_latents(z[4:5])
    for name, value in alone.items():
        assert together[name][4] == value[0], name


def test_latents_give_the_distribution_of_sampled_attributes():
    drawn = attribute_vector(attributes_from_latents(latents(8_000)))
    sampled = attribute_vector(sample_attributes(8_000, seed=1))
    assert (drawn.mean(0) - sampled.mean(0)).abs().max() < 0.1
    assert (drawn.std(0) - sampled.std(0)).abs().max() < 0.1


def test_truncation_of_attributes_is_truncation_of_the_code():
    attributes, mean = attributes_from_latents(latents(50)), mean_code(2_000)
    code = attribute_code(attributes)
    moved = attribute_code(truncate(attributes, mean, torch.full((50,), 0.6)))
    continuous = torch.tensor(["=" not in name for name in ATTRIBUTE_VECTOR_NAMES])
    visible = code != 0
    wanted = mean + 0.6 * (code - mean)
    assert torch.allclose(moved[visible & continuous], wanted[visible & continuous], atol=1e-4)
    assert torch.equal(moved[:, ~continuous], code[:, ~continuous])


def test_truncation_by_one_keeps_the_portrait():
    attributes = attributes_from_latents(latents(5))
    kept = truncate(attributes, mean_code(500), torch.ones(5))
    assert all(torch.allclose(kept[name], value, atol=1e-5) for name, value in attributes.items())


def test_every_column_of_the_code_has_the_group_of_its_attribute():
    by_name = dict(zip(ATTRIBUTE_VECTOR_NAMES, CODE_GROUPS, strict=True))
    names = list(ATTRIBUTE_GROUPS)
    assert names[by_name["hat=cap"]] == "hat"
    assert names[by_name["head_size"]] == "layout"
    assert names[by_name["hair_red"]] == "hair"
    assert names[by_name["brow_angle"]] == "eyes"


def test_latents_of_another_length_are_refused():
    with pytest.raises(InputError, match=r"\[2, 7\]"):
        attributes_from_latents(torch.zeros(2, 7))
