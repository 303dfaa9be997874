"""StyleCLIP's mappers and global directions against the recorded behaviour of the official code."""

import numpy as np
import pytest
import torch

from sfhub.convert import convert, load_checkpoint
from sfhub.editing.text_directions import global_direction, relevance, text_direction
from sfhub.errors import InputError
from sfhub.models.latent_mapper import LatentMapper, StyleSpaceMapper

TOLERANCE, ARITHMETIC = 2e-5, 1e-5


@pytest.fixture(scope="module")
def mapper(fixtures_dir, fill):
    folder = fixtures_dir / "styleclip_mapper"
    return fill.load_manifest(folder / "manifest.json"), np.load(folder / "expected.npz")


def opened(fill, manifest, name, tmp_path, wrap=lambda state: state):
    torch.save(wrap(fill.network_state(manifest, name)), tmp_path / f"{name}.pt")
    return load_checkpoint(tmp_path / f"{name}.pt")


@pytest.mark.parametrize("suffix", ["", "14"])
def test_the_levels_mapper_of_a_training_converts(fill, mapper, tmp_path, relative_error, suffix):
    manifest, expected = mapper

    def training(state):
        decoder = {"decoder.input.input": torch.zeros(1, 4, 4, 4), "decoder.convs.0.conv.weight": torch.zeros(1)}
        return {"state_dict": {f"mapper.{key}": value for key, value in state.items()} | decoder, "opts": {"lr": 0.5}}

    network = opened(fill, manifest, "levels", tmp_path, training)
    got = network(torch.from_numpy(expected[f"wplus{suffix}"]))
    assert relative_error(got, expected[f"levels.out{suffix}"]) < TOLERANCE


def test_without_the_fine_mapper_those_layers_stay(fill, mapper, tmp_path, relative_error):
    manifest, expected = mapper
    network = opened(
        fill,
        manifest,
        "levels",
        tmp_path,
        lambda state: {key: value for key, value in state.items() if not key.startswith("fine")},
    )
    got = network(torch.from_numpy(expected["wplus"]))
    assert relative_error(got, expected["levels_nofine.out"]) < TOLERANCE
    assert not got[:, 8:].any()


def test_the_single_mapper_converts(fill, mapper, tmp_path, relative_error):
    manifest, expected = mapper
    network = opened(fill, manifest, "single", tmp_path)
    assert relative_error(network(torch.from_numpy(expected["wplus"])), expected["single.out"]) < TOLERANCE


def test_the_style_space_mapper_converts(fill, mapper, tmp_path, relative_error):
    manifest, expected = mapper
    torch.save(fill.network_state(manifest, "stylespace"), tmp_path / "stylespace.pt")
    network = StyleSpaceMapper.from_pretrained(convert(tmp_path / "stylespace.pt", tmp_path / "mapper"))
    # Recorded interleaved, one toRGB layer after every second convolution; here they come last.
    widths = manifest["stylespace_dimensions"]
    order = [k for k in range(26) if k % 3 != 1] + [k for k in range(26) if k % 3 == 1]

    def sorted_out(values):
        parts = np.split(values, np.cumsum(widths)[:-1], axis=1)
        return np.concatenate([parts[k] for k in order], axis=1)

    got = network(torch.from_numpy(sorted_out(expected["style_space"])))
    assert relative_error(got, sorted_out(expected["stylespace.out"])) < TOLERANCE


def test_a_mapper_refuses_codes_of_another_generator():
    mapper = LatentMapper(w_dim=8)
    with pytest.raises(InputError, match="takes \\[batch, layers, 8\\]"):
        mapper(torch.zeros(1, 18, 16))
    with pytest.raises(InputError, match="the code has 6"):
        mapper(torch.zeros(1, 6, 8))
    with pytest.raises(InputError, match="overlap"):
        LatentMapper(w_dim=8, groups={"a": (0, 4), "b": (3, None)})
    with pytest.raises(InputError, match="takes \\[batch, 5\\]"):
        StyleSpaceMapper(style_layers=[["conv1", 3], ["to_rgb1", 2]])(torch.zeros(1, 6))


def test_a_damaged_mapper_is_named(fill, mapper, tmp_path):
    manifest, _ = mapper
    with pytest.raises(InputError, match=r"levels.pt: the checkpoint has nothing for nets.coarse.layers.1.bias"):
        opened(
            fill,
            manifest,
            "levels",
            tmp_path,
            lambda state: {key: value for key, value in state.items() if key != "course_mapping.mapping.2.bias"},
        )


@pytest.fixture(scope="module")
def recorded(fixtures_dir, fill):
    folder = fixtures_dir / "styleclip_global"
    arrays = np.load(folder / "expected.npz")
    return fill.load_manifest(folder / "manifest.json"), {key: torch.from_numpy(arrays[key]) for key in arrays}


def far(got, expected):
    return float((got - expected).abs().max() / expected.abs().max())


def spread(manifest, channels):
    """The channels of the convolutions among those of all layers."""
    sizes = [manifest["style_dims"][k] for k in manifest["non_rgb_layers"]]
    parts = dict(zip(manifest["non_rgb_layers"], channels.split(sizes), strict=True))
    return torch.cat([parts.get(k, torch.zeros(size)) for k, size in enumerate(manifest["style_dims"])])


def gathered(manifest, channels):
    parts = channels.split(manifest["style_dims"])
    return torch.cat([parts[k] for k in manifest["non_rgb_layers"]])


def test_text_directions_and_relevance_are_the_official_ones(recorded):
    _, expected = recorded
    got = text_direction(*expected["text_embeddings"])
    assert far(got, expected["delta_t_from_text"]) < ARITHMETIC
    got = relevance(expected["features"][:, :, 0], expected["features"][:, :, 1])
    assert far(got, expected["fs3_from_features"]) < ARITHMETIC


@pytest.mark.parametrize(("name", "beta"), [("direction", None), ("direction_beta0", 0.0)])
def test_global_directions_are_the_official_ones(recorded, name, beta):
    manifest, expected = recorded
    std = gathered(manifest, expected["style_std"])
    got = global_direction(expected["fs3"], expected["delta_t"], std, manifest["beta"] if beta is None else beta)
    assert far(spread(manifest, got), expected[name]) < ARITHMETIC
    if beta is None:
        assert int((got != 0).sum()) == manifest["channels_changed"]
        edited = expected["style_samples"][:3, None] + torch.tensor(manifest["alphas"])[:, None] * spread(manifest, got)
        assert far(edited, expected["edited"]) < ARITHMETIC


def test_a_text_that_no_channel_is_about_is_named(recorded):
    manifest, expected = recorded
    std = gathered(manifest, expected["style_std"])
    with pytest.raises(InputError, match="No style channel reaches beta 1"):
        global_direction(expected["fs3"], expected["delta_t"], std, 1.0)
    with pytest.raises(InputError, match="means the same"):
        text_direction(expected["text_embeddings"][0], expected["text_embeddings"][0])
