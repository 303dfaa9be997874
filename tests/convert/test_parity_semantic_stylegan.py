"""A SemanticStyleGAN file, saved, converted and loaded again, computes what the official code computed."""

import argparse

import numpy as np
import pytest
import torch

from sfhub.convert import convert_with_report, semantic_stylegan
from sfhub.errors import InputError
from sfhub.models.semantic_stylegan import SemanticStyleGANGenerator, position_features
from sfhub.models.semantic_stylegan_discriminator import SemanticStyleGANDiscriminator
from sfhub.portraits.classes import CLASSES

TOLERANCE = 2e-5


@pytest.fixture(scope="module")
def folder(fixtures_dir):
    return fixtures_dir / "semantic_stylegan"


@pytest.fixture(scope="module")
def expected(folder):
    return np.load(folder / "expected.npz")


@pytest.fixture(scope="module")
def checkpoint(folder, fill):
    """What the official training saves, with the settings that it was started with."""
    manifest = fill.load_manifest(folder / "manifest.json")
    settings = manifest["networks"]["generator"]["kwargs"] | {"latent": 128, "lr": 0.002, "distributed": False}
    return {
        "g_ema": fill.network_state(manifest, "generator"),
        "d": fill.network_state(manifest, "discriminator"),
        "args": argparse.Namespace(**settings),
    }


@pytest.fixture(scope="module")
def converted(checkpoint, tmp_path_factory):
    base = tmp_path_factory.mktemp("semantic")
    torch.save(checkpoint, base / "file.pt")
    return convert_with_report(base / "file.pt", base / "converted")


@pytest.fixture(scope="module")
def generator(converted, expected):
    generator = SemanticStyleGANGenerator.from_pretrained(converted.folder)
    generator.mapping_network.w_avg.copy_(torch.from_numpy(expected["mean_latent"])[0])
    return generator


@pytest.fixture(scope="module")
def computed(generator, expected):
    """Every array of the generator, by ours."""
    z, w_plus, mask, scale, shift = (
        torch.from_numpy(expected[name]) for name in ("z", "wplus", "composition_mask", "coords_scale", "coords_shift")
    )
    grid = generator.coordinates()[:1]
    coords = scale[:, None, None, None] * grid + shift[:, :, None, None]
    found = {}
    with torch.no_grad():
        runs = {
            "z": (generator.mapping(z), {}),
            "trunc": (generator.mapping(z, truncation_psi=0.7), {}),
            "wplus": (w_plus, {}),
            "mask": (w_plus, {"composition_mask": mask}),
            "coords": (w_plus, {"coords": coords}),
        }
        for name, (code, arguments) in runs.items():
            output = generator.synthesis(code, **arguments)
            found |= {
                f"{name}.rgb": output.image[:, :, ::4, ::4],
                f"{name}.seg": output.mask[:, :, ::4, ::4],
                f"{name}.seg_coarse": output.coarse_mask[:, :, ::2, ::2],
                f"{name}.depths": output.depths[:, :, ::2, ::2],
                f"{name}.latent": generator.expand(code).flatten(1, 2)[:, :, ::8],
            }
            if name == "wplus":
                found["wplus.rgb_crop"] = output.image[:, :, :24, :24]
        found["w"] = generator.mapping(z)[:, 0]
        position = position_features(generator.coordinates()[:1], generator.num_frequencies)
        position = generator.position_weight / position.shape[1] ** 0.5 @ position
        found["pos_embed"] = position.unflatten(2, (32, 32))[:, :, ::4, ::4]
        hidden, depths = generator.local(w_plus[:1])
        only_one = torch.zeros_like(depths).index_fill_(1, torch.tensor([1]), 1.0)
        features = generator.local_generators.features(hidden, only_one.flatten(2))
        found["local1_feat"] = features.unflatten(2, (32, 32))[:, :, ::4, ::4]
    return found


def test_every_recorded_array_of_the_generator_is_reproduced(computed, expected, relative_error):
    inputs = {"z", "wplus", "mean_latent", "composition_mask", "coords_scale", "coords_shift"}
    recorded = {name for name in expected.files if not name.startswith("d_")} - inputs
    assert recorded <= computed.keys()
    errors = {name: relative_error(computed[name], expected[name]) for name in recorded}
    assert max(errors.values()) < TOLERANCE, errors


def test_the_discriminator_scores_as_recorded(converted, expected, relative_error):
    discriminator = SemanticStyleGANDiscriminator.from_pretrained(converted.folder / "discriminator")
    image, mask = (
        torch.from_numpy(expected[name]).repeat_interleave(8, 2).repeat_interleave(8, 3) for name in ("d_img", "d_seg")
    )
    with torch.no_grad():
        scores = {
            "d_score": discriminator(image, mask),
            "d_score_2": discriminator(image[:2], mask[:2]),
            "d_score_noseg": discriminator(image),
        }
    errors = {name: relative_error(score, expected[name]) for name, score in scores.items()}
    assert max(errors.values()) < TOLERANCE, errors


def test_the_configuration_is_read_off_shapes_and_settings(converted, generator):
    expected = {
        "resolution": 128,
        "num_classes": 5,
        "transparent_classes": [3],
        "coarse_resolution": 32,
        "min_resolution": 8,
        "local_layers": 6,
        "base_layers": 2,
        "depth_layers": 4,
        "local_width": 32,
        "feature_width": 64,
        "residual_refine": True,
        "detach_texture": True,
    }
    assert {name: generator.config[name] for name in expected} == expected
    assert converted.discriminator and converted.num_classes == 5 and converted.style_dimensions == 12 * 128
    assert str(converted).startswith("SemanticStyleGAN, 128 px")


def test_a_bare_state_dict_gets_the_official_settings_and_says_so(checkpoint):
    assert semantic_stylegan.detect(checkpoint["g_ema"])
    loaded = semantic_stylegan.load(checkpoint["g_ema"])
    assert (loaded.generator.config.base_layers, loaded.generator.config.depth_layers) == (2, 6)
    assert any("settings" in note for note in loaded.notes) and loaded.discriminator is None


def test_a_discriminator_of_another_kind_does_not_cost_the_generator(checkpoint):
    loaded = semantic_stylegan.load({"g": checkpoint["g_ema"], "d": {"convs.0.0.weight": torch.zeros(4, 3, 1, 1)}})
    assert loaded.discriminator is None and any("discriminator was left out" in note for note in loaded.notes)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"seg_dim": 13}, "give seg_dim as 13 but its weights are for 5"),
        ({"depth_layers": "six"}, "give depth_layers as six"),
        ({"depth_layers": 7}, "2 base, 7 depth and 6 layers"),
        ({"transparent_dims": [9]}, "Class 9 cannot be transparent"),
        ({"transparent_dims": "all"}, "give transparent_dims as all"),
    ],
)
def test_settings_that_do_not_fit_the_weights_are_named(checkpoint, settings, sentence):
    with pytest.raises(InputError, match=sentence):
        semantic_stylegan.load({"g_ema": checkpoint["g_ema"], "args": settings})


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ("local_nets.2.linears.3.activate.bias", "lacks some of the tensors that become local_generators.bias"),
        ("local_nets.4.to_depth.conv.weight", r"has \(3, 32\) for local_generators.depth_weight"),
        ("render_net.to_segs.1.bias", "has nothing for render_net.to_masks.1.bias"),
        ("render_net.convs.4.weight", "lacks the tensor that becomes render_net.convs.4.weight"),
    ],
)
def test_a_missing_tensor_is_named(checkpoint, key, sentence):
    state = {name: value for name, value in checkpoint["g_ema"].items() if name != key}
    with pytest.raises(InputError, match=sentence):
        semantic_stylegan.load({"g_ema": state})


def test_a_tensor_that_the_architecture_has_not_is_named(checkpoint):
    state = checkpoint["g_ema"] | {"local_nets.1.attention.weight": torch.zeros(1)}
    with pytest.raises(InputError, match=r"'local_nets\.1\.attention\.weight', which SemanticStyleGAN does not"):
        semantic_stylegan.load({"g_ema": state})


@pytest.mark.parametrize(("transparent", "names"), [((10, 12), list(CLASSES)), ((3,), None)])
def test_thirteen_classes_are_named_only_where_they_are_those_of_celebamask_hq(transparent, names):
    found = semantic_stylegan._classes(13, transparent, notes := [])
    assert found == {"transparent_classes": list(transparent), "class_names": names} and bool(notes) == bool(names)
