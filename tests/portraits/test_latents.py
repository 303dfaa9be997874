"""Latents and attribute codes of portraits, and the mapping network from one to the other."""

import copy

import pytest
import torch

from sfhub.errors import InputError
from sfhub.models.layers import normalize_second_moment
from sfhub.models.style_space import MappingNetwork
from sfhub.portraits.attributes import ATTRIBUTE_VECTOR_NAMES, attribute_vector
from sfhub.portraits.circuit import evaluate
from sfhub.portraits.latents import (
    ATTRIBUTE_GROUPS,
    CODE_GROUPS,
    LATENT_DIM,
    MAPPING_LAYERS,
    MAPPING_WIDTH,
    W_DIM,
    attribute_code,
    attributes_from_latents,
    code_values,
    mean_code,
    sample_attributes,
    set_mapping,
    truncate,
    unexplained_variance,
)


def latents(count: int) -> torch.Tensor:
    return torch.randn(count, LATENT_DIM, generator=torch.Generator().manual_seed(5))


def test_a_latent_gives_the_same_portrait_in_any_batch():
    z = latents(9)
    together, alone = attributes_from_latents(z), attributes_from_latents(z[4:5])
    for name, value in alone.items():
        assert together[name][4] == value[0], name


def test_sampled_attributes_are_those_of_normal_latents():
    sampled = sample_attributes(7, generator=torch.Generator().manual_seed(5))
    drawn = attributes_from_latents(latents(7))
    assert all(torch.equal(sampled[name], value) for name, value in drawn.items())


def test_the_length_of_a_latent_does_not_count():
    short, long = (attribute_vector(attributes_from_latents(scale * latents(50))) for scale in (0.1, 3.0))
    torch.testing.assert_close(short, long, atol=1e-4, rtol=0)


def test_formulas_of_the_code_agree_with_the_code_of_attributes():
    z = latents(5_000)
    code = torch.stack(evaluate(code_values(), normalize_second_moment(z)), dim=1)
    torch.testing.assert_close(code, attribute_code(attributes_from_latents(z)), atol=1e-5, rtol=0)


def new_mapping(**changed: int) -> MappingNetwork:
    sizes = {"z_dim": LATENT_DIM, "w_dim": W_DIM, "num_layers": MAPPING_LAYERS, "lr_multiplier": 1, "num_classes": 0}
    return MappingNetwork(**sizes | {"width": MAPPING_WIDTH} | changed).requires_grad_(False)


@pytest.fixture(scope="module")
def mapping() -> MappingNetwork:
    network = new_mapping()
    set_mapping(network)
    return network


def test_a_set_mapping_network_makes_attribute_codes_of_latents(mapping):
    assert unexplained_variance(new_mapping()) > 0.5
    assert unexplained_variance(mapping) < 0.0015
    z = latents(2_000)
    code = attribute_code(attributes_from_latents(z))
    wrong = (mapping(z)[:, : code.shape[1]] - code).abs() > 0.1
    assert wrong.float().mean(dim=0).max() < 0.01  # of every column, rare ones, too
    assert (mapping(z)[:, code.shape[1] :] == 0).all()


def test_weights_of_a_set_mapping_network_survive_half_precision(mapping):
    assert max(parameter.abs().max() for parameter in mapping.parameters()) < 6e4
    halved = copy.deepcopy(mapping).half().float()
    for parameter, other in zip(mapping.parameters(), halved.parameters(), strict=True):
        assert torch.equal(parameter, other)


def test_a_set_mapping_network_works_in_half_precision_and_under_autocast(mapping):
    halved = copy.deepcopy(mapping).half()
    assert halved(latents(2).half()).dtype == torch.float16
    assert unexplained_variance(halved) < 0.0015
    with torch.autocast("cpu", torch.bfloat16):
        assert unexplained_variance(mapping) < 0.0015


@pytest.mark.parametrize(
    "changed", [{"num_layers": 4}, {"width": 64}, {"w_dim": 256}, {"z_dim": 64}, {"lr_multiplier": 0.01}]
)
def test_a_mapping_network_of_other_sizes_is_refused_and_left_alone(changed):
    network = new_mapping(**changed)
    before = network.layers[0].weight.clone()
    with pytest.raises(InputError, match=f"z_dim={LATENT_DIM}, w_dim={W_DIM}, .*mapping_lr_multiplier=1"):
        set_mapping(network)
    assert torch.equal(network.layers[0].weight, before)


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
