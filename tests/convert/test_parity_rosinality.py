"""A rosinality file, saved, converted and loaded again, computes what the official code computed."""

import numpy as np
import pytest
import torch

from sfhub.convert import convert
from sfhub.models.stylegan2 import StyleGAN2Generator

TOLERANCE = 2e-5


@pytest.fixture(scope="module")
def expected(fixtures_dir):
    return np.load(fixtures_dir / "stylegan2_rosinality" / "expected.npz")


@pytest.fixture(scope="module")
def generator(fixtures_dir, fill, expected, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rosinality")
    manifest = fill.load_manifest(fixtures_dir / "stylegan2_rosinality" / "manifest.json")
    state = fill.network_state(manifest, "generator")
    torch.save({"g_ema": state, "latent_avg": torch.from_numpy(expected["mean_latent"])[0]}, folder / "file.pt")
    return StyleGAN2Generator.from_pretrained(convert(folder / "file.pt", folder / "converted"))


@pytest.fixture(scope="module")
def computed(generator, expected):
    """Every array of the fixture, by our generator."""
    z, z2, w_plus = (torch.from_numpy(expected[name]) for name in ("z", "z2", "wplus"))
    with torch.no_grad():
        s = generator.styles(w_plus)
        image, activations = generator.synthesis(s, return_activations=("conv1", "convs.1", "convs.2", "to_rgbs.0"))
        earlier = w_plus.clone()  # StyleFusion's generator reads to_rgbs.k one latent earlier
        earlier[:, 3::2] = w_plus[:, 2:-1:2]
        s_conv, s_rgb = s.split([generator.style_layout.conv_size, s.shape[1] - generator.style_layout.conv_size], 1)
        s_rgb_stylefusion = generator.styles(earlier)[:, generator.style_layout.conv_size :]
        mixed = torch.cat([generator.mapping(z)[:, :4], generator.mapping(z2)[:, 4:]], 1)

        def image_of(code):
            return generator.synthesis(code)[:, :, ::2, ::2]

        return {
            "w": generator.mapping(z)[:, 0],
            "w_trunc": generator.mapping(z, truncation_psi=0.7)[:, 0],
            "s_conv": s_conv,
            "s_rgb": s_rgb,
            "s_rgb_stylefusion": s_rgb_stylefusion,
            "image_z_trunc": image_of(generator.styles(generator.mapping(z, truncation_psi=0.7))),
            "image_wplus": image,
            "image_from_s": image_of(torch.cat([s_conv, s_rgb], 1)),
            "image_from_s_stylefusion": image_of(torch.cat([s_conv, s_rgb_stylefusion], 1)),
            "image_mix": image_of(generator.styles(mixed)),
            "act_conv1": activations["conv1"][:, ::8],
            "act_convs1": activations["convs.1"][:, ::16],
            "act_convs2": activations["convs.2"][:, ::64],
            "rgb_skip_8": activations["to_rgbs.0"],
        }


def test_every_recorded_array_is_reproduced(computed, expected, relative_error):
    inputs = {"z", "z2", "wplus", "mean_latent"}
    assert computed.keys() == set(expected.files) - inputs
    errors = {name: relative_error(value, expected[name]) for name, value in computed.items()}
    assert max(errors.values()) < TOLERANCE, errors


def test_the_style_layout_has_the_official_widths(generator, fixtures_dir, fill):
    manifest = fill.load_manifest(fixtures_dir / "stylegan2_rosinality" / "manifest.json")
    for kind, recorded in (("conv", "conv"), ("to_rgb", "rgb")):
        widths = [entry.width for entry in generator.style_layout if entry.kind == kind]
        assert widths == manifest["s_widths"][recorded]
