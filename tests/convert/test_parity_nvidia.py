"""NVIDIA's pickles, converted and loaded again, compute what the official code computed."""

import numpy as np
import pytest
import torch

from sfhub.convert import convert
from sfhub.convert.nvidia import _layer_name
from sfhub.models.stylegan2 import StyleGAN2Generator
from sfhub.models.stylegan2_discriminator import StyleGAN2Discriminator

TOLERANCE = 2e-5


@pytest.fixture(scope="module", params=["network.pkl", "network_cond.pkl"])
def case(request, fixtures_dir, tmp_path_factory):
    """(generator, discriminator, expected arrays without their prefix, label or None) of one pickle."""
    folder = convert(fixtures_dir / "stylegan2_nvidia" / request.param, tmp_path_factory.mktemp("nvidia") / "converted")
    arrays = np.load(fixtures_dir / "stylegan2_nvidia" / "expected.npz")
    conditional = request.param == "network_cond.pkl"
    expected = {
        name.removeprefix("cond."): arrays[name] for name in arrays.files if name.startswith("cond.") == conditional
    }
    label = torch.from_numpy(expected["c"]) if conditional else None
    generator = StyleGAN2Generator.from_pretrained(folder)
    discriminator = StyleGAN2Discriminator.from_pretrained(folder / "discriminator")
    return generator, discriminator, expected, label


@torch.no_grad()
def test_every_recorded_array_is_reproduced(case, relative_error):
    generator, discriminator, expected, label = case
    z = torch.from_numpy(expected["z"])
    w_plus = generator.mapping(z, label)
    truncated = generator.mapping(z, label, truncation_psi=0.7)
    s = generator.styles(truncated)
    by_layer = generator.style_layout.split(s)
    image = generator.synthesis(s, noise_mode="const")
    computed = {
        "w": w_plus[:, 0],
        "w_trunc": truncated[:, 0],
        "ws_cutoff": generator.mapping(z, label, truncation_psi=0.7, truncation_cutoff=3),
        "image_const": image,
        "image_none": generator.synthesis(s, noise_mode="none"),
        "d_score": discriminator(image, label),
    }
    for name in expected:
        if name.startswith("s."):
            _, block, part, _ = name.split(".")
            computed[name] = by_layer[_layer_name(int(block[1:]), part)]
    assert computed.keys() == expected.keys() - {"z", "c"}
    errors = {name: relative_error(value, expected[name]) for name, value in computed.items()}
    assert max(errors.values()) < TOLERANCE, errors


def test_hyper_parameters_come_from_the_file(case, fixtures_dir, fill):
    generator, discriminator, _, label = case
    manifest = fill.load_manifest(fixtures_dir / "stylegan2_nvidia" / "manifest.json")
    official = manifest["networks"]["G_ema" if label is None else "cond.G_ema"]["kwargs"]
    config = generator.config
    assert (config.resolution, config.z_dim, config.w_dim) == (
        official["img_resolution"],
        official["z_dim"],
        official["w_dim"],
    )
    assert config.num_classes == discriminator.config.num_classes == official["c_dim"]
    assert config.num_mapping_layers == official["mapping_kwargs"]["num_layers"]
    assert config.conv_clamp == discriminator.config.conv_clamp == official["conv_clamp"]
    for side, width in config.channels.items():
        assert width == min(official["channel_max"], official["channel_base"] // int(side))
