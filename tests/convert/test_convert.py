"""What `convert` recognises, infers and writes, and what it leaves alone."""

import argparse
import itertools
import json
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest
import safetensors.torch
import torch
import torch.nn.functional as F

from sfhub.convert import convert, convert_with_report, load_checkpoint, nvidia, safe_load
from sfhub.errors import InputError
from sfhub.models.stylegan2 import StyleGAN2Generator
from sfhub.models.stylegan2_discriminator import StyleGAN2Discriminator
from sfhub.pipelines.stylegan import StyleGANPipeline

FILTER = torch.outer(torch.tensor([1.0, 3.0, 3.0, 1.0]), torch.tensor([1.0, 3.0, 3.0, 1.0])) / 64


def generator_state(widths=(6, 5, 4), z_dim=7, w_dim=9, depth=3, image_channels=3, noise=True):
    """A state dict of rosinality's generator; `widths` are the channels at 4, 8, 16, ... pixels."""
    state = {"input.input": torch.randn(1, widths[0], 4, 4)}
    for i in range(depth):
        state[f"style.{i + 1}.weight"] = torch.randn(w_dim, w_dim if i else z_dim) * 100
        state[f"style.{i + 1}.bias"] = torch.randn(w_dim)

    def modulated(name, inputs, outputs, size):
        state[f"{name}.conv.weight"] = torch.randn(1, outputs, inputs, size, size)
        state[f"{name}.conv.modulation.weight"] = torch.randn(inputs, w_dim)
        state[f"{name}.conv.modulation.bias"] = torch.ones(inputs)

    def styled(name, inputs, outputs):
        modulated(name, inputs, outputs, 3)
        state[f"{name}.noise.weight"] = torch.randn(1)
        state[f"{name}.activate.bias"] = torch.randn(outputs)

    def to_rgb(name, inputs):
        modulated(name, inputs, image_channels, 1)
        state[f"{name}.bias"] = torch.randn(1, image_channels, 1, 1)

    styled("conv1", widths[0], widths[0])
    to_rgb("to_rgb1", widths[0])
    for k, (before, here) in enumerate(itertools.pairwise(widths)):
        styled(f"convs.{2 * k}", before, here)
        state[f"convs.{2 * k}.conv.blur.kernel"] = FILTER * 4
        styled(f"convs.{2 * k + 1}", here, here)
        to_rgb(f"to_rgbs.{k}", here)
        state[f"to_rgbs.{k}.upsample.kernel"] = FILTER * 4
    for i in range(2 * len(widths) - 1 if noise else 0):
        side = 4 * 2 ** ((i + 1) // 2)
        state[f"noises.noise_{i}"] = torch.randn(1, 1, side, side)
    return state


def discriminator_state(widths=(6, 5, 4)):
    """A state dict of rosinality's discriminator; `widths` as for the generator."""
    state = {"convs.0.0.weight": torch.randn(widths[-1], 3, 1, 1), "convs.0.1.bias": torch.randn(widths[-1])}
    for k, (here, after) in enumerate(itertools.pairwise(widths[::-1]), start=1):
        state |= {
            f"convs.{k}.conv1.0.weight": torch.randn(here, here, 3, 3),
            f"convs.{k}.conv1.1.bias": torch.randn(here),
            f"convs.{k}.conv2.0.kernel": FILTER,
            f"convs.{k}.conv2.1.weight": torch.randn(after, here, 3, 3),
            f"convs.{k}.conv2.2.bias": torch.randn(after),
            f"convs.{k}.skip.0.kernel": FILTER,
            f"convs.{k}.skip.1.weight": torch.randn(after, here, 1, 1),
        }
    return state | {
        "final_conv.0.weight": torch.randn(widths[0], widths[0] + 1, 3, 3),
        "final_conv.1.bias": torch.randn(widths[0]),
        "final_linear.0.weight": torch.randn(widths[0], widths[0] * 16),
        "final_linear.0.bias": torch.randn(widths[0]),
        "final_linear.1.weight": torch.randn(1, widths[0]),
        "final_linear.1.bias": torch.randn(1),
    }


@pytest.fixture
def file(tmp_path):
    """A small training checkpoint with a discriminator."""
    checkpoint = {
        "g": generator_state(),
        "d": discriminator_state(),
        "g_ema": generator_state(),
        "g_optim": torch.optim.Adam([torch.nn.Parameter(torch.ones(2))]).state_dict(),
        "args": argparse.Namespace(size=16, channel_multiplier=2, ckpt=None),
        "ada_aug_p": 0.25,
    }
    torch.save(checkpoint, tmp_path / "550000.pt")
    return tmp_path / "550000.pt"


def test_a_training_checkpoint_becomes_a_folder_that_everything_opens(file, tmp_path):
    report = convert_with_report(file, tmp_path / "out")
    generator = StyleGAN2Generator.from_pretrained(tmp_path / "out")
    discriminator = StyleGAN2Discriminator.from_pretrained(tmp_path / "out" / "discriminator")
    pipe = StyleGANPipeline.from_pretrained(tmp_path / "out")
    image = generator(torch.randn(2, 7))
    assert image.shape == (2, 3, 16, 16) and discriminator(image).shape == (2, 1)
    assert torch.equal(pipe.generator.convs[0].weight, generator.convs[0].weight)
    assert report.resolution == 16 and report.discriminator and "StyleGAN2 (rosinality), 16 px" in str(report)


def official_discriminator(state, x):
    """rosinality's `Discriminator.forward`, written out for the small network above."""

    def convolve(name, x, **arguments):
        weight = state[f"{name}.weight"]
        return F.conv2d(x, weight / weight[0].numel() ** 0.5, **arguments)

    def activate(x, bias):
        return F.leaky_relu(x + bias.reshape(1, -1, *[1] * (x.ndim - 2)), 0.2) * 2**0.5

    def blur(x, padding):
        return F.conv2d(F.pad(x, [padding] * 4), FILTER.expand(x.shape[1], 1, 4, 4), groups=x.shape[1])

    x = activate(convolve("convs.0.0", x), state["convs.0.1.bias"])
    for k in (1, 2):
        out = activate(convolve(f"convs.{k}.conv1.0", x, padding=1), state[f"convs.{k}.conv1.1.bias"])
        out = convolve(f"convs.{k}.conv2.1", blur(out, 2), stride=2)
        out = activate(out, state[f"convs.{k}.conv2.2.bias"])
        x = (out + convolve(f"convs.{k}.skip.1", blur(x, 1), stride=2)) / 2**0.5
    deviation = (x.reshape(min(len(x), 4), -1, *x.shape[1:]).var(0, unbiased=False) + 1e-8).sqrt().mean()
    x = torch.cat([x, deviation.expand(len(x), 1, 4, 4)], 1)
    x = activate(convolve("final_conv.0", x, padding=1), state["final_conv.1.bias"]).flatten(1)
    weight = state["final_linear.0.weight"]
    x = activate(F.linear(x, weight / weight.shape[1] ** 0.5), state["final_linear.0.bias"])
    weight = state["final_linear.1.weight"]
    return F.linear(x, weight / weight.shape[1] ** 0.5, state["final_linear.1.bias"])


def test_a_converted_discriminator_scores_as_the_official_one(file, tmp_path):
    state = torch.load(file, weights_only=False)["d"]
    discriminator = StyleGAN2Discriminator.from_pretrained(convert(file, tmp_path / "out") / "discriminator")
    image = torch.randn(4, 3, 16, 16)
    torch.testing.assert_close(discriminator(image), official_discriminator(state, image), rtol=1e-4, atol=1e-5)


def test_the_averaged_generator_is_preferred(file, tmp_path):
    saved = torch.load(file, weights_only=False)
    generator = load_checkpoint(file)
    assert torch.equal(generator.const, saved["g_ema"]["input.input"])


@pytest.mark.parametrize(
    "shape",
    [
        {"widths": (6, 5, 4), "z_dim": 7, "w_dim": 9, "depth": 3},
        {"widths": (3, 8), "z_dim": 4, "w_dim": 4, "depth": 1},
        {"widths": (8, 8, 8, 4, 2), "z_dim": 5, "w_dim": 3, "depth": 8, "image_channels": 1},
    ],
)
def test_every_hyper_parameter_shows_in_the_shapes(tmp_path, shape):
    torch.save(generator_state(**shape), tmp_path / "file.pt")
    config = load_checkpoint(tmp_path / "file.pt").config
    assert tuple(config.channels.values()) == shape["widths"]
    assert config.resolution == 4 * 2 ** (len(shape["widths"]) - 1)
    assert (config.z_dim, config.w_dim, config.num_mapping_layers) == (shape["z_dim"], shape["w_dim"], shape["depth"])
    assert config.image_channels == shape.get("image_channels", 3)


def test_formats_of_one_network_give_one_generator(tmp_path):
    state = generator_state()
    torch.save({"g_ema": state}, tmp_path / "zip.pt")
    torch.save({"g_ema": state}, tmp_path / "legacy.pt", _use_new_zipfile_serialization=False)
    torch.save(state, tmp_path / "bare.pth")
    torch.save({"g": {f"module.{key}": value for key, value in state.items()}}, tmp_path / "parallel.pt")
    safetensors.torch.save_file(state, tmp_path / "file.safetensors")
    first, *others = (load_checkpoint(path).state_dict() for path in sorted(tmp_path.iterdir()))
    assert len(others) == 4
    for other in others:
        assert all(torch.equal(other[key], value) for key, value in first.items())


@pytest.mark.parametrize("shape", [(9,), (1, 9), (5, 9)])
def test_a_stored_mean_latent_is_used(tmp_path, shape):
    mean = torch.randn(9)
    torch.save({"g_ema": generator_state(), "latent_avg": mean.expand(shape).clone()}, tmp_path / "file.pt")
    torch.testing.assert_close(load_checkpoint(tmp_path / "file.pt").mapping_network.w_avg, mean)


def test_a_missing_mean_latent_is_estimated_and_told(tmp_path):
    torch.save({"g_ema": generator_state()}, tmp_path / "file.pt")
    report = convert_with_report(tmp_path / "file.pt", tmp_path / "out")
    generator = StyleGAN2Generator.from_pretrained(tmp_path / "out")
    sampled = generator.mapping_network(torch.randn(20_000, 7)).detach()
    error = (generator.mapping_network.w_avg - sampled.mean(0)).abs() / sampled.std(0)
    assert error.max() < 0.1
    assert any("mean latent" in note for note in report.notes)


def test_missing_noise_images_are_drawn_alike_each_time(tmp_path):
    torch.save(generator_state(noise=False), tmp_path / "file.pt")
    first, second = (load_checkpoint(tmp_path / "file.pt") for _ in range(2))
    assert torch.equal(first.convs[2].noise_const, second.convs[2].noise_const)
    assert first.convs[2].noise_const.std() > 0.5


def test_half_precision_weights_are_taken(tmp_path):
    torch.save({key: value.half() for key, value in generator_state().items()}, tmp_path / "file.pt")
    assert load_checkpoint(tmp_path / "file.pt").const.dtype == torch.float32


def test_a_bare_nvidia_state_dict_is_taken(fixtures_dir, tmp_path):
    root = safe_load(fixtures_dir / "stylegan2_nvidia" / "network_cond.pkl")
    torch.save(nvidia.flatten(root["G_ema"])[0], tmp_path / "file.pt")
    expected = load_checkpoint(fixtures_dir / "stylegan2_nvidia" / "network_cond.pkl")
    got = load_checkpoint(tmp_path / "file.pt")
    assert all(torch.equal(value, expected.state_dict()[key]) for key, value in got.state_dict().items())
    assert got.config.conv_clamp == 256


def test_a_network_that_torch_saved_whole_is_taken(tmp_path, monkeypatch):
    """As PTI stores its tuned generators: NVIDIA's persistent object inside a zip file of torch.save."""
    persistence = types.ModuleType("torch_utils.persistence")
    persistence._reconstruct_persistent_obj = lambda meta: None
    persistence._reconstruct_persistent_obj.__module__ = "torch_utils.persistence"
    persistence._reconstruct_persistent_obj.__qualname__ = "_reconstruct_persistent_obj"
    monkeypatch.setitem(sys.modules, "torch_utils", types.ModuleType("torch_utils"))
    monkeypatch.setitem(sys.modules, "torch_utils.persistence", persistence)

    class Persistent:
        def __init__(self, module):
            self.module = module

        def __reduce__(self):
            children = {name: Persistent(child) for name, child in self.module.state.get("_modules", {}).items()}
            state = self.module.state | {"_modules": children}
            meta = {"class_name": self.module.class_name, "state": state, "module_src": "raise SystemExit"}
            return persistence._reconstruct_persistent_obj, (meta,)

    def tensor(*shape):
        return torch.nn.Parameter(torch.randn(shape))

    def module(class_name, tensors, children=None, **attributes):
        state = {"_parameters": tensors, "_buffers": {}, "_modules": children or {}, **attributes}
        return nvidia.PersistentObject(class_name, state)

    def styled(before, here, side, **more):
        tensors = {"weight": tensor(here, before, 3, 3), "bias": tensor(here), "noise_strength": tensor(), **more}
        affine = module("FullyConnectedLayer", {"weight": tensor(before, 9), "bias": tensor(before)})
        tensors["noise_const"] = tensor(side, side)
        return module("SynthesisLayer", tensors, {"affine": affine}, conv_clamp=128, activation="lrelu")

    def to_rgb(before):
        affine = module("FullyConnectedLayer", {"weight": tensor(before, 9), "bias": tensor(before)})
        return module("ToRGBLayer", {"weight": tensor(3, before, 1, 1), "bias": tensor(3)}, {"affine": affine})

    b4 = module("SynthesisBlock", {"const": tensor(6, 4, 4)}, {"conv1": styled(6, 6, 4), "torgb": to_rgb(6)})
    b8 = module("SynthesisBlock", {}, {"conv0": styled(6, 5, 8), "conv1": styled(5, 5, 8), "torgb": to_rgb(5)})
    fc0 = module("FullyConnectedLayer", {"weight": tensor(9, 7), "bias": tensor(9)}, bias_gain=0.02)
    network = module(
        "Generator",
        {},
        {
            "synthesis": module("SynthesisNetwork", {}, {"b4": b4, "b8": b8}),
            "mapping": module("MappingNetwork", {"w_avg": tensor(9)}, {"fc0": fc0}),
        },
    )
    torch.save(Persistent(network), tmp_path / "model_tuned.pt")
    generator = load_checkpoint(tmp_path / "model_tuned.pt")
    assert torch.equal(generator.to_rgbs[0].weight, b8.state["_modules"]["torgb"].state["_parameters"]["weight"])
    assert generator.config.conv_clamp == 128 and generator.config.mapping_lr_multiplier == 0.02


@pytest.mark.parametrize("change", ["missing", "wrong shape", "superfluous", "integer", "filter"])
def test_a_damaged_network_is_named_in_one_sentence(tmp_path, change):
    state = generator_state()
    if change == "missing":
        del state["convs.2.conv.modulation.weight"]
    elif change == "wrong shape":
        state["convs.2.conv.weight"] = torch.randn(1, 4, 4, 3, 3)
    elif change == "superfluous":
        state["convs.9.activate.bias"] = torch.randn(4)
    elif change == "integer":
        state["to_rgb1.bias"] = torch.zeros(1, 3, 1, 1, dtype=torch.int64)
    else:
        state["to_rgbs.0.upsample.kernel"] = torch.ones(4, 4)
    torch.save(state, tmp_path / "file.pt")
    with pytest.raises(InputError, match=r"^file\.pt: .*\.$"):
        convert(tmp_path / "file.pt", tmp_path / "out")
    assert not (tmp_path / "out").exists()


LOOKALIKES = {
    "fusionnet": ("fusion", "FusionNet"),
    "hierarchy_ffhq": ("face", "FusionNet"),
    "e4e": ("encoder", "e4e"),
    "restyle_psp": ("encoder", "pSp"),
    "styleclip_mapper": ("levels", "StyleCLIP"),
    "stylegan1": ("generator", "StyleGAN1"),
}


@pytest.mark.parametrize("name", LOOKALIKES)
def test_another_architecture_is_named(name, fixtures_dir, fill, tmp_path):
    network, family = LOOKALIKES[name]
    shapes = fill.load_manifest(fixtures_dir / name / "manifest.json")["networks"][network]["shapes"]
    torch.save({"g_ema": {key: torch.zeros(1) for key in shapes}}, tmp_path / "file.pt")
    with pytest.raises(InputError, match=f"looks like .*{family}.*, which cannot be converted"):
        convert(tmp_path / "file.pt", tmp_path / "out")


@pytest.mark.parametrize(
    ("keys", "family"),
    [
        (["encoder.styles.0.linear.weight", "encoder.input_layer.0.weight", "decoder.conv1.conv.weight"], "e4e or pSp"),
        (["synthesis.L0_36_512.weight", "synthesis.input.freqs", "mapping.fc0.weight"], "StyleGAN3"),
        (["generator.progression.0.conv1.weight", "style.1.weight"], "StyleGAN1"),
        (["conv1.affine.weight", "to_rgb1.affine.weight", "const"], "already converted"),
        (["local_generators.affine_weight", "position_weight"], "already converted"),
        (["local_nets.0.to_feat.bias", "render_net.convs.0.weight"], "SemanticStyleGAN"),
        (["layer4.0.conv1.weight", "fc.weight"], "ResNet"),
        (["model.diffusion_model.input_blocks.0.0.weight"], "Stable Diffusion"),
    ],
)
def test_other_projects_files_are_named(keys, family, tmp_path):
    torch.save({"state_dict": {key: torch.zeros(1) for key in keys}}, tmp_path / "file.pt")
    with pytest.raises(InputError, match=f"looks like .*{family}"):
        convert(tmp_path / "file.pt", tmp_path / "out")


def test_a_latent_that_would_fill_the_memory_is_refused(tmp_path):
    torch.save(generator_state(z_dim=200_000, w_dim=1, depth=1), tmp_path / "file.pt")
    with pytest.raises(InputError, match="200000 and 1 dimensions"):
        load_checkpoint(tmp_path / "file.pt")


def test_a_discriminator_of_another_kind_does_not_cost_the_generator(tmp_path):
    other = discriminator_state() | {"attention.weight": torch.ones(1)}
    torch.save({"g_ema": generator_state(), "d": other}, tmp_path / "file.pt")
    report = convert_with_report(tmp_path / "file.pt", tmp_path / "out")
    assert not report.discriminator and any("attention" in note for note in report.notes)
    assert StyleGAN2Generator.from_pretrained(tmp_path / "out").config.resolution == 16


def test_a_discriminator_alone_is_told(tmp_path):
    torch.save({"d": discriminator_state()}, tmp_path / "file.pt")
    with pytest.raises(InputError, match="discriminator alone"):
        convert(tmp_path / "file.pt", tmp_path / "out")


# Writing -------------------------------------------------------------------------------------------------------------


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_folder_of_other_files_is_left_alone(file, tmp_path):
    target = tmp_path / "mine"
    target.mkdir()
    (target / "notes.txt").write_text("precious")
    with pytest.raises(InputError, match="already holds other files"):
        convert(file, target)
    assert [path.name for path in target.iterdir()] == ["notes.txt"]


def test_another_model_of_the_same_file_names_is_left_alone(file, tmp_path):
    target = tmp_path / "other"
    target.mkdir()
    (target / "config.json").write_text(json.dumps({"_class_name": "UNet2DModel"}))
    with pytest.raises(InputError, match="already holds other files"):
        convert(file, target)


def test_an_earlier_conversion_is_replaced(file, tmp_path):
    target = convert(file, tmp_path / "out")
    torch.save(generator_state(widths=(3, 8)), tmp_path / "other.pt")
    convert(tmp_path / "other.pt", target)
    assert StyleGAN2Generator.from_pretrained(target).config.resolution == 8
    assert not (target / "discriminator").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["550000.pt", "other.pt", "out"]


def test_an_empty_folder_and_missing_parents_are_fine(file, tmp_path):
    (tmp_path / "empty").mkdir()
    assert convert(file, tmp_path / "empty") == tmp_path / "empty"
    assert StyleGAN2Generator.from_pretrained(convert(file, tmp_path / "a" / "b")).config.resolution == 16


def test_a_file_in_the_place_of_the_folder_is_left_alone(file):
    before = file.read_bytes()
    with pytest.raises(InputError, match="is a file"):
        convert(file, file)
    assert file.read_bytes() == before


def test_a_damaged_checkpoint_leaves_an_earlier_conversion_as_it_was(file, tmp_path):
    target = convert(file, tmp_path / "out")
    before = contents(target)
    (tmp_path / "cut.pt").write_bytes(file.read_bytes()[:5000])
    with pytest.raises(InputError, match="cut short"):
        convert(tmp_path / "cut.pt", target)
    assert contents(target) == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="limits of file sizes are those of POSIX")
def test_a_full_disk_leaves_an_earlier_conversion_as_it_was(file, tmp_path):
    target = convert(file, tmp_path / "out")
    before = contents(target)
    code = (
        "import resource, sys\n"
        "from sfhub.convert import convert\n"
        "from sfhub.errors import InputError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))\n"  # as a disk with no more room than that
        "try:\n    convert(sys.argv[1], sys.argv[2])\n"
        "except InputError as error:\n    sys.exit(str(error))\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    done = subprocess.run([sys.executable, "-c", code, file, target], env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and "could not be written" in done.stderr.splitlines()[-1], done.stderr
    assert contents(target) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["550000.pt", "out"]
