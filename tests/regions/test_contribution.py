"""The contribution catalog M: equation 1 against recorded numbers, and which style reads which activation."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sfhub.models.stylegan2 import StyleGAN2Generator
from sfhub.regions.contribution import (
    contribution,
    contribution_from_moments,
    resize_labels,
    style_moments,
)


@pytest.fixture(scope="module")
def recorded(fixtures_dir):
    manifest = json.loads((fixtures_dir / "editing_in_style" / "manifest.json").read_text())
    return manifest, {
        key: torch.from_numpy(value)
        for key, value in np.load(fixtures_dir / "editing_in_style" / "expected.npz").items()
    }


@pytest.fixture(scope="module")
def generator():
    torch.manual_seed(0)
    channels = {"4": 6, "8": 5, "16": 4}
    network = StyleGAN2Generator(resolution=16, z_dim=8, w_dim=8, num_mapping_layers=1, channels=channels)
    return network.requires_grad_(False)


def merged_labels(manifest, expected):
    cluster_to_label = torch.empty(6, dtype=torch.long)
    for index, clusters in enumerate(manifest["annotations"].values()):
        cluster_to_label[clusters] = index
    return cluster_to_label[expected["cluster_labels"].long()]


@pytest.mark.parametrize("layer", [0, 1])
def test_contribution_is_equation_1(recorded, layer):
    manifest, expected = recorded
    got = contribution(expected[f"act{layer}"], merged_labels(manifest, expected), 3)
    assert (got - expected[f"M{layer}"]).abs().max() <= 1e-5 * expected[f"M{layer}"].max()


@pytest.mark.parametrize("layer", [0, 1])
def test_regions_of_a_layer_are_the_recorded_ones(recorded, layer):
    manifest, expected = recorded
    heatmap = expected[f"heatmap{layer}"]
    got = resize_labels(merged_labels(manifest, expected), heatmap.shape[-2:])
    assert torch.equal(got, heatmap.argmax(dim=1))


@given(st.integers(0, 2**32), st.integers(1, 4), st.sampled_from([2, 4, 8]))
def test_contributions_of_a_channel_sum_to_one(seed, num_regions, side):
    source = torch.Generator().manual_seed(seed)
    activations = torch.randn(3, 5, side, side, generator=source) * 30 + 7
    labels = torch.randint(num_regions, (3, 4, 4), generator=source)
    m = contribution(activations, labels, num_regions)
    assert torch.allclose(m.sum(dim=0), torch.ones(5), atol=1e-5) and m.min() >= 0


def test_a_channel_that_never_varies_contributes_nowhere():
    assert torch.equal(contribution(torch.full((2, 1, 4, 4), 3.0), torch.zeros(2, 4, 4), 2), torch.zeros(2, 1))


def test_the_row_of_a_style_is_made_of_what_its_layer_reads(generator):
    layout, read = generator.style_layout, {}
    hooks = [
        generator.get_submodule(entry.name).register_forward_pre_hook(
            lambda module, inputs, name=entry.name: read.update({name: inputs[0]})
        )
        for entry in layout
    ]
    names = {entry.reads for entry in layout}
    _, activations = generator.synthesis(torch.randn(2, layout.size), return_activations=names)
    for hook in hooks:
        hook.remove()
    for entry in layout:
        got = activations[entry.reads]
        assert torch.equal(got, read[entry.name]) and got.shape[1] == entry.width


def test_batches_add_up_to_the_contribution_of_all_images(generator):
    layout = generator.style_layout
    names = {entry.reads for entry in layout}
    s = torch.randn(4, layout.size, generator=torch.Generator().manual_seed(1))
    labels = torch.randint(3, (4, 16, 16), generator=torch.Generator().manual_seed(2))

    def moments(part):
        _, activations = generator.synthesis(s[part], return_activations=names)
        return activations, style_moments(layout, activations, labels[part], 3)

    activations, whole = moments(slice(0, 4))
    parts = moments(slice(0, 3))[1] + moments(slice(3, 4))[1]
    m = contribution_from_moments(parts)
    assert torch.allclose(m, contribution_from_moments(whole), atol=1e-5)
    assert torch.allclose(m.sum(dim=0), torch.ones(layout.size), atol=1e-5)
    entry = layout["to_rgbs.0"]
    wanted = contribution(activations["convs.1"], labels, 3)
    assert torch.allclose(m[:, entry.start : entry.stop], wanted, atol=1e-5)
