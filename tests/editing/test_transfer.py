"""Queries and interpolation of Editing in Style: algebra by property, numbers against the recorded outputs."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sfhub.editing.transfer import interpolate_styles, sequential_query, simultaneous_query, threshold_query
from sfhub.errors import InputError

codes = arrays(np.float32, (2, 7), elements=st.floats(-50, 50, width=32)).map(torch.from_numpy)
relevances = arrays(np.float32, 9, elements=st.floats(0, 1, width=32)).map(torch.from_numpy)


@pytest.fixture(scope="module")
def recorded(fixtures_dir):
    manifest = json.loads((fixtures_dir / "editing_in_style" / "manifest.json").read_text())
    return manifest, {
        key: torch.from_numpy(value)
        for key, value in np.load(fixtures_dir / "editing_in_style" / "expected.npz").items()
    }


@given(codes, codes)
def test_a_query_of_zeros_keeps_the_target_and_one_of_ones_gives_the_reference(target, reference):
    assert torch.equal(interpolate_styles(target, reference, torch.zeros(7)), target)
    assert torch.equal(interpolate_styles(target, reference, torch.ones(7)), reference)


@given(codes, codes, arrays(np.float32, 7, elements=st.floats(0, 1, width=32)).map(torch.from_numpy))
def test_strength_zero_is_the_identity_and_equal_codes_stay_what_they_are(target, reference, query):
    assert torch.equal(interpolate_styles(target, reference, query, strength=0.0), target)
    assert torch.allclose(interpolate_styles(target, target, query), target)


def test_strength_may_differ_per_sample():
    target, reference = torch.zeros(3, 4), torch.ones(3, 4)
    strength = torch.tensor([[0.0], [0.5], [1.0]])
    assert torch.equal(interpolate_styles(target, reference, torch.ones(4), strength), strength.expand(3, 4))


def test_codes_of_another_generator_are_refused():
    with pytest.raises(InputError, match="lengths 4, 5 and 4"):
        interpolate_styles(torch.zeros(1, 4), torch.zeros(1, 5), torch.zeros(4))


@given(relevances, st.floats(0, 12), st.floats(0, 12), st.floats(0, 1))
def test_a_larger_budget_never_drops_a_channel(relevance, one, other, rho):
    small, large = sorted((one, other))
    assert (sequential_query(relevance, small, rho) <= sequential_query(relevance, large, rho)).all()


@given(relevances, st.floats(0, 12), st.floats(0, 1))
def test_a_sequential_query_stays_in_its_budget_and_above_rho(relevance, epsilon, rho):
    query = sequential_query(relevance, epsilon, rho)
    assert ((1 - relevance) * query).double().sum() <= epsilon + 1e-5
    assert (relevance[query > 0] > rho).all()


@given(relevances, st.floats(0, 30), st.floats(0, 30))
def test_a_larger_gain_never_lowers_a_simultaneous_query(relevance, one, other):
    small, large = sorted((one, other))
    assert (simultaneous_query(relevance, small) <= simultaneous_query(relevance, large)).all()
    assert simultaneous_query(relevance, large).max() <= 1


@given(relevances, st.floats(0, 1), st.floats(0, 1))
def test_a_higher_threshold_never_adds_a_channel(relevance, one, other):
    small, large = sorted((one, other))
    assert (threshold_query(relevance, large) <= threshold_query(relevance, small)).all()


def test_a_negative_gain_is_refused():
    with pytest.raises(InputError, match="-1"):
        simultaneous_query(torch.ones(3), -1)


def per_layer(value, layer):
    return value[layer] if isinstance(value, list) else value


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("name", ["q1", "q2", "q3"])
def test_sequential_queries_are_exactly_the_published_ones(recorded, name, layer):
    manifest, expected = recorded
    query = manifest["queries"][name]
    row = expected[f"M{layer}"][list(manifest["annotations"]).index(query["label"])]
    got = sequential_query(row, per_layer(query["epsilon"], layer), per_layer(query["rho"], layer))
    assert torch.equal(got, expected[f"{name}.q{layer}"])


def test_the_simultaneous_query_follows_the_paper(recorded):
    manifest, expected = recorded
    row = expected["M0"][list(manifest["annotations"]).index("eyes")]
    got = simultaneous_query(row, expected["simultaneous_lambda"].item())
    assert torch.allclose(got, expected["simultaneous.q0"], rtol=1e-6, atol=0)


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("name", ["q1", "q2", "q3"])
def test_interpolated_styles_are_the_published_ones(recorded, name, layer):
    _, expected = recorded
    target, reference = (expected[f"{role}{layer}"][..., 0, 0] for role in ("target", "reference"))
    query = expected[f"{name}.q{layer}"]
    scale = interpolate_styles(target[:, 0], reference[:, 0], query)
    bias = interpolate_styles(target[:, 1], reference[:, 1], query)
    kept = target[:, 1].expand_as(bias)
    for half, suffix in ((kept, ""), (bias, "_bias")):
        wanted = expected[f"{name}.y{layer}{suffix}"][..., 0, 0]
        assert (torch.stack([scale, half], dim=1) - wanted).abs().max() <= 1e-5 * wanted.abs().max()


def test_styles_without_a_bias_half_are_the_published_ones(recorded):
    _, expected = recorded
    target, reference = (expected[f"{role}0"][:, 0, :, 0, 0] for role in ("target", "reference"))
    assert torch.allclose(interpolate_styles(target, reference, expected["q1.q0"]), expected["q1.y0_2d"], rtol=1e-5)
