"""Boundaries are those of the published tools, and can be freed of others."""

import json

import numpy as np
import pytest
import torch
from torch.nn.functional import cosine_similarity

from sfhub.editing.interfacegan import find_boundary, interpolate, project
from sfhub.errors import InputError


@pytest.fixture(scope="module")
def expected(fixtures_dir):
    return {
        name: torch.from_numpy(value) for name, value in np.load(fixtures_dir / "interfacegan" / "expected.npz").items()
    }


def test_boundaries_are_the_published_ones(expected, fixtures_dir):
    parameters = json.loads((fixtures_dir / "interfacegan" / "manifest.json").read_text())["parameters"]
    codes = expected["codes"]
    whole = find_boundary(codes, expected["scores"], chosen=parameters["ratio"], split=1.0)
    assert cosine_similarity(whole.normal[None], expected["boundary_all"]).item() > 0.9999
    assert np.isnan(whole.validation_accuracy)
    some = find_boundary(codes, expected["scores_invalid"], chosen=parameters["num"], split=1.0, invalid=-1)
    assert cosine_similarity(some.normal[None], expected["boundary_invalid"]).item() > 0.9999
    parted = find_boundary(codes, expected["scores"], chosen=parameters["ratio"])
    assert cosine_similarity(parted.normal[None], expected["boundary_all"]).item() > 0.97
    assert parted.validation_accuracy > 0.8


def test_directions_freed_of_others_are_the_published_ones(expected):
    conditions = [expected[f"cond{k}"][0] for k in (1, 2, 3)]
    for count in range(4):
        found = project(expected["primal"][0], *conditions[:count])
        torch.testing.assert_close(found[None], expected[f"project{count}"], atol=2e-6, rtol=1e-5)
        assert all(abs(float(found @ condition)) < 1e-6 for condition in conditions[:count])
    with pytest.raises(InputError, match="Nothing is left"):
        project(conditions[0], conditions[0], conditions[1])


def test_steps_along_a_boundary_are_the_published_ones(expected):
    normal = expected["primal"][0]
    torch.testing.assert_close(
        interpolate(expected["latent"], normal, -3, 3, 7), expected["interp_z"], atol=1e-5, rtol=1e-5
    )
    torch.testing.assert_close(
        interpolate(expected["latent_wp"], normal, -2, 5, 4), expected["interp_wplus"], atol=1e-5, rtol=1e-5
    )


def test_a_sparse_machine_finds_the_few_channels_that_decide():
    draw = torch.Generator().manual_seed(0)
    codes = torch.randn(2000, 60, generator=draw)
    scores = codes[:, 3] - 2 * codes[:, 7]
    found = find_boundary(codes, scores, chosen=0.5, sparse=True, C=0.01)
    assert found.sparsity > 0.8
    assert found.normal.abs().topk(2).indices.sort().values.tolist() == [3, 7]
    assert found.validation_accuracy > 0.95


def test_labels_of_one_class_only_and_damaged_codes_are_refused():
    codes = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    with pytest.raises(InputError, match="one label only"):
        find_boundary(codes, torch.ones(50), chosen=0.5)
    with pytest.raises(InputError, match="one label only"):
        find_boundary(codes, torch.arange(50.0), chosen=0.001)
    with pytest.raises(InputError, match="not finite"):
        find_boundary(codes, torch.full((50,), float("nan")))
    with pytest.raises(InputError, match="do not go with 3 scores"):
        find_boundary(codes, torch.ones(3))
