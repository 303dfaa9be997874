"""Closed-form directions are the published ones, layer by layer."""

import json

import numpy as np
import pytest
import torch

from sfhub.convert import load_checkpoint
from sfhub.editing.sefa import closed_form, factorize, layer_numbers, style_weights
from sfhub.errors import InputError


@pytest.fixture(scope="module")
def expected(fixtures_dir):
    return {name: torch.from_numpy(value) for name, value in np.load(fixtures_dir / "sefa" / "expected.npz").items()}


@pytest.fixture(scope="module")
def manifest(fixtures_dir):
    return json.loads((fixtures_dir / "sefa" / "manifest.json").read_text())


@pytest.fixture(scope="module")
def generator(fixtures_dir, fill, tmp_path_factory):
    manifest = fill.load_manifest(fixtures_dir / "sefa" / "manifest.json")
    path = tmp_path_factory.mktemp("sefa") / "file.pt"
    torch.save({"g_ema": fill.network_state(manifest, "generator")}, path)
    return load_checkpoint(path)


def test_directions_are_the_published_ones(expected, manifest, generator):
    for layers in manifest["layer_strings"]:
        vectors, values = closed_form(generator, layers)
        assert layer_numbers(layers, 8) == expected[f"layers/{layers}"].tolist()
        torch.testing.assert_close(values, expected[f"values/{layers}"], atol=1e-4, rtol=1e-5)
        cosines = (vectors[:16] * expected[f"vectors/{layers}"]).sum(dim=1)
        assert cosines.abs().min() > 1 - 1e-5 and (cosines > 0).all()
    edit = manifest["edit"]
    vector = closed_form(generator, edit["layers"])[0][edit["index"]]
    moved = expected["wplus"].clone()
    moved[:, layer_numbers(edit["layers"], 8)] += edit["distance"] * vector
    torch.testing.assert_close(moved, expected["edited"], atol=1e-3, rtol=1e-3)


def test_any_weight_can_be_factorized(expected, fill, fixtures_dir):
    manifest = fill.load_manifest(fixtures_dir / "sefa" / "manifest.json")
    weight = torch.as_tensor(fill.network_state(manifest, "pggan")["layer0.weight"])
    weight = weight.flip(2, 3).permute(1, 0, 2, 3).flatten(1)
    vectors, values = factorize(weight.double())
    torch.testing.assert_close(values, expected["pggan.values"], atol=1e-4, rtol=1e-4)
    assert (vectors[:16] * expected["pggan.vectors"]).sum(dim=1).min() > 1 - 1e-5


def test_directions_of_a_semantic_stylegan_read_the_layers_of_its_local_generators(semantic_generator):
    assert [tuple(weight.shape) for weight in style_weights(semantic_generator)] == [(16, 13 * 8)] * 5
    vectors, values = closed_form(semantic_generator, "0-2")
    torch.testing.assert_close(vectors @ vectors.T, torch.eye(16), atol=1e-5, rtol=1e-5)
    assert (values.diff() <= 0).all()
    with pytest.raises(InputError, match="this generator has 0 to 4"):
        closed_form(semantic_generator, "3-5")
    with pytest.raises(InputError, match="write all, 6 or 0-1,6"):
        closed_form(semantic_generator, "first")
