"""Training StyleGAN2: it moves, it is logged, and a killed training goes on to the same weights."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from accelerate import Accelerator

from sfhub.errors import InputError
from sfhub.models.layers import blur_downsample
from sfhub.models.stylegan2 import StyleGAN2Generator
from sfhub.models.stylegan2_discriminator import StyleGAN2Discriminator
from sfhub.training.augment import AdaptiveProbability, augment
from sfhub.training.checkpoint import read_checkpoint, save_checkpoint
from sfhub.training.stylegan2 import StyleGAN2Training, train_stylegan2
from sfhub.training.surgery import start_from

TINY = {
    "resolution": 16,
    "latent_dim": 16,
    "num_mapping_layers": 2,
    "channels": {"4": 16, "8": 16, "16": 8},
    "discriminator_channels": {"4": 16, "8": 16, "16": 8},
    "batch_size": 4,
    "r1_interval": 2,
    "path_interval": 3,
    "locality_weight": 1.0,
    "save_images": 16,
    "sample_images": 1000,
}


class Discs(torch.utils.data.Dataset):
    """Coloured discs on black: enough to train on."""

    def __init__(self, count=64, resolution=16):
        self.count, self.resolution = count, resolution

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        random = torch.Generator().manual_seed(index)
        axis = torch.linspace(-1, 1, self.resolution)
        centre = torch.rand(2, generator=random) - 0.5
        disc = ((axis[:, None] - centre[0]) ** 2 + (axis[None] - centre[1]) ** 2) < 0.2
        colour = torch.randint(80, 255, (3, 1, 1), generator=random)
        return (disc * colour).to(torch.uint8)


def train(out, images, **changes):
    config = StyleGAN2Training(**{**TINY, "images": images, **changes})
    return train_stylegan2(config, Discs(resolution=config.resolution), out, accelerator=Accelerator(cpu=True))


def test_stopped_training_goes_on_to_the_same_weights(tmp_path):
    whole = train(tmp_path / "whole", 48)
    train(tmp_path / "parts", 32)
    parts = train(tmp_path / "parts", 48)
    for (name, a), b in zip(whole.state_dict().items(), parts.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_training_killed_by_the_system_resumes_from_a_whole_checkpoint(tmp_path):
    out = tmp_path / "killed"
    code = (
        "import sys; sys.path[:0] = sys.argv[1:3]\n"
        "from pathlib import Path\n"
        "from tests.training.test_stylegan2_training import train\n"
        "train(Path(sys.argv[3]), 100_000)\n"
    )
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}  # like this process: threads change the last bits
    process = subprocess.Popen(
        [sys.executable, "-c", code, root, root, str(out)], cwd=root, stderr=subprocess.DEVNULL, env=one_thread
    )
    deadline = time.monotonic() + 240
    while not (out / "checkpoint.safetensors").exists():
        assert process.poll() is None and time.monotonic() < deadline, "no checkpoint was written"
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    images = read_checkpoint(out / "checkpoint.safetensors")[1]["images"]
    resumed = train(out, images + 16)
    whole = train(tmp_path / "whole", images + 16)
    for (name, a), b in zip(resumed.state_dict().items(), whole.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_training_writes_a_loadable_generator_samples_and_losses(tmp_path):
    ema = train(tmp_path, 16)
    loaded = StyleGAN2Generator.from_pretrained(tmp_path / "ema")
    z = torch.randn(2, 16)
    torch.testing.assert_close(loaded(z), ema(z))
    assert list((tmp_path / "samples").glob("*.png"))
    record = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    assert record["images"] == 16 and {"loss_g", "loss_d", "r1", "path_length", "effective_area"} <= record.keys()


def test_higher_resolution_starts_as_the_lower_one_enlarged(tmp_path):
    low = train(tmp_path / "low", 32)
    channels = {"channels": {**TINY["channels"], "32": 8}, "discriminator_channels": {**TINY["channels"], "32": 8}}
    config = StyleGAN2Training(**{**TINY, **channels, "resolution": 32, "images": 4, "learning_rate": 0.0})
    high = train_stylegan2(
        config,
        Discs(resolution=32),
        tmp_path / "high",
        accelerator=Accelerator(cpu=True),
        init_from=tmp_path / "low" / "checkpoint.safetensors",
    )
    z = torch.randn(2, 16)
    w_plus = high.mapping(z)
    torch.testing.assert_close(high.synthesis(high.styles(w_plus), resolution=16), low(z), rtol=1e-4, atol=1e-5)
    skip = high.synthesis(high.styles(w_plus), resolution=16)
    full = high.synthesis(high.styles(w_plus))
    torch.testing.assert_close(
        torch.nn.functional.avg_pool2d(full, 2)[..., 2:-2, 2:-2], skip[..., 2:-2, 2:-2], atol=0.3, rtol=0
    )


def test_checkpoint_of_other_sizes_is_refused_in_one_sentence(tmp_path):
    train(tmp_path, 16)
    with pytest.raises(InputError, match="other network settings"):
        train(tmp_path, 32, latent_dim=8)


def test_truncated_checkpoint_is_refused_in_one_sentence(tmp_path):
    train(tmp_path, 16)
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InputError, match="no complete training checkpoint"):
        train(tmp_path, 32)


def test_augmentation_off_is_the_identity_and_on_keeps_gradients():
    images = torch.rand(4, 3, 16, 16).requires_grad_(True)
    assert augment(images, 0.0) is images
    out = augment(images, 1.0, torch.Generator().manual_seed(0))
    assert out.shape == images.shape and not torch.allclose(out, images)
    (gradient,) = torch.autograd.grad(out.square().sum(), images)
    assert gradient.abs().sum() > 0


def test_adaptive_probability_rises_while_the_discriminator_overfits_and_falls_after():
    ada = AdaptiveProbability(0.6, images_to_one=1000)
    ada.update(0.9, 100)
    assert ada.p == pytest.approx(0.1)
    ada.update(0.1, 50)
    assert ada.p == pytest.approx(0.05)
    off = AdaptiveProbability(None)
    off.update(1.0, 1000)
    assert off.p == 0.0


def test_higher_resolution_discriminator_starts_with_the_old_verdict_on_the_reduced_picture(tmp_path):
    sizes = {"z_dim": 8, "w_dim": 8, "num_mapping_layers": 2}
    low = {
        "ema": StyleGAN2Generator(resolution=16, channels=TINY["channels"], **sizes),
        "discriminator": StyleGAN2Discriminator(resolution=16, channels=TINY["channels"]),
    }
    save_checkpoint(tmp_path / "low.safetensors", low, {}, {})
    channels = {**TINY["channels"], "32": TINY["channels"]["16"]}
    G = StyleGAN2Generator(resolution=32, channels=channels, **sizes)
    D = StyleGAN2Discriminator(resolution=32, channels=channels)
    start_from(G, D, tmp_path / "low.safetensors")
    images = torch.rand(4, 3, 4, 4).repeat_interleave(8, dim=2).repeat_interleave(8, dim=3) * 2 - 1
    torch.testing.assert_close(D(images), low["discriminator"](blur_downsample(images)), rtol=0.2, atol=0.05)


def test_latents_of_the_training_seed_do_not_repeat_the_first_weights(tmp_path):
    ema = train(tmp_path, 4, learning_rate=0.0)
    z = torch.randn(16, 16, generator=torch.Generator().manual_seed(0))
    weight = ema.mapping_network.layers[0].weight
    cosine = torch.nn.functional.cosine_similarity(z, weight, dim=1)
    assert cosine.abs().max() < 0.9
