"""Training SemanticStyleGAN: it moves, resumes exactly, is guided by pairs, grows, and adapts without masks."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch.utils.data import Dataset

from sfhub.errors import InputError
from sfhub.models.semantic_stylegan import SemanticStyleGANGenerator
from sfhub.models.stylegan2_discriminator import StyleGAN2Discriminator
from sfhub.portraits import CLASSES
from sfhub.portraits.latents import (
    ATTRIBUTE_GROUPS,
    CODE_GROUPS,
    LATENT_DIM,
    MAPPING_LAYERS,
    MAPPING_WIDTH,
    W_DIM,
    unexplained_variance,
)
from sfhub.training.checkpoint import read_checkpoint, save_checkpoint
from sfhub.training.data import MaskedPortraits, PairedPortraits, StyledPortraits
from sfhub.training.semantic_guidance import CodeMasks
from sfhub.training.semantic_stylegan import (
    SemanticStyleGANTraining,
    _mixed_w,
    adaptation,
    build_networks,
    mask_regularisation,
    train_semantic_stylegan,
)
from sfhub.training.surgery import start_semantic_from, take_discriminator

ROOT = Path(__file__).resolve().parents[2]
CHANNELS = {"4": 8, "8": 8, "16": 8, "32": 8}
TINY = SemanticStyleGANTraining(
    resolution=16,
    class_names=("background", "disc", "ring"),
    transparent_classes=("ring",),
    latent_dim=16,
    num_mapping_layers=2,
    coarse_resolution=8,
    min_resolution=4,
    local_layers=4,
    base_layers=1,
    depth_layers=2,
    local_width=8,
    feature_width=8,
    channels=CHANNELS,
    discriminator_channels=CHANNELS,
    mask_resolution=16,
    batch_size=4,
    r1_interval=2,
    path_interval=3,
    save_images=16,
    sample_images=1000,
)
GUIDED = replace(
    TINY,
    class_names=CLASSES,
    transparent_classes=("glasses", "earrings"),
    latent_dim=LATENT_DIM,
    guidance=1.0,
    num_mapping_layers=MAPPING_LAYERS,
    mapping_width=MAPPING_WIDTH,
    mapping_lr_multiplier=1,
    adversarial_from=8,
    mapped_from=16,
)


class Discs(Dataset):
    """Coloured discs with a ring round them, and their masks."""

    def __init__(self, resolution=16):
        self.resolution = resolution

    def __len__(self):
        return 64

    def __getitem__(self, index):
        random = torch.Generator().manual_seed(index)
        axis = torch.linspace(-1, 1, self.resolution)
        centre = torch.rand(2, generator=random) - 0.5
        distance = (axis[:, None] - centre[0]) ** 2 + (axis[None] - centre[1]) ** 2
        mask = (distance < 0.3).to(torch.uint8) + (distance < 0.5) * (distance >= 0.3) * torch.tensor(2).to(torch.uint8)
        colours = torch.randint(80, 255, (3, 3), generator=random, dtype=torch.uint8)
        return {"image": colours[mask.long()].permute(2, 0, 1), "mask": mask}


def train(out, images, config=TINY, dataset=None, **options):
    config = replace(config, images=images)
    dataset = dataset or Discs(config.resolution)
    return train_semantic_stylegan(config, dataset, out, accelerator=Accelerator(cpu=True), **options)


def assert_same(a, b):
    for (name, x), y in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
        assert torch.equal(x, y), name


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return PairedPortraits(24, 16, seed=1, cache_dir=tmp_path_factory.mktemp("pairs"))


def test_stopped_training_goes_on_to_the_same_weights(tmp_path):
    whole = train(tmp_path / "whole", 32)
    train(tmp_path / "parts", 16)
    assert_same(train(tmp_path / "parts", 32), whole)


def test_stopped_guided_training_goes_on_to_the_same_weights(tmp_path, pairs):
    whole = train(tmp_path / "whole", 32, GUIDED, pairs)
    record = json.loads((tmp_path / "whole" / "log.jsonl").read_text().splitlines()[-1])
    assert {"pixel", "coarse", "fine", "feature", "loss_g", "loss_d"} <= record.keys()
    train(tmp_path / "parts", 16, GUIDED, pairs)
    assert_same(train(tmp_path / "parts", 32, GUIDED, pairs), whole)


def test_training_killed_by_the_system_resumes_from_a_whole_checkpoint(tmp_path):
    out = tmp_path / "killed"
    code = (
        "import sys; sys.path[:0] = [sys.argv[1]]\n"
        "from pathlib import Path\n"
        "from tests.training.test_semantic_stylegan import train\n"
        "train(Path(sys.argv[2]), 100_000)\n"
    )
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}  # like this process: threads change the last bits
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(ROOT), str(out)], cwd=ROOT, stderr=subprocess.DEVNULL, env=one_thread
    )
    deadline = time.monotonic() + 240
    while not (out / "checkpoint.safetensors").exists():
        assert process.poll() is None and time.monotonic() < deadline, "no checkpoint was written"
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    images = read_checkpoint(out / "checkpoint.safetensors")[1]["images"]
    assert_same(train(out, images + 16), train(tmp_path / "whole", images + 16))


@pytest.mark.slow
def test_two_processes_agree_on_one_model(tmp_path):
    code = (
        "import sys; sys.path[:0] = [sys.argv[1]]\n"
        "from pathlib import Path\n"
        "import torch\n"
        "from accelerate import Accelerator\n"
        "from tests.training.test_semantic_stylegan import TINY, Discs\n"
        "from sfhub.training.semantic_stylegan import train_semantic_stylegan\n"
        "from dataclasses import replace\n"
        "accelerator = Accelerator(cpu=True, mixed_precision='bf16')\n"
        "ema = train_semantic_stylegan(replace(TINY, images=32), Discs(), sys.argv[2], accelerator=accelerator)\n"
        "torch.save(ema.state_dict(), Path(sys.argv[2]) / f'{accelerator.process_index}.pt')\n"
    )
    (tmp_path / "run.py").write_text(code)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += [str(tmp_path / "run.py"), str(ROOT), str(tmp_path)]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=300)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    for name, value in first.items():
        assert value.isfinite().all() and torch.equal(value, second[name]), name


def test_training_writes_a_loadable_generator_samples_depths_and_losses(tmp_path):
    ema = train(tmp_path, 16)
    loaded = SemanticStyleGANGenerator.from_pretrained(tmp_path / "ema")
    z = torch.randn(2, 16)
    torch.testing.assert_close(loaded(z).mask, ema(z).mask)
    assert loaded.config.class_names == ["background", "disc", "ring"] and loaded.config.transparent_classes == [2]
    assert list((tmp_path / "samples").glob("*.png")) and list((tmp_path / "depths").glob("*.png"))
    record = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    assert {"loss_g", "loss_d", "r1", "r1_mask", "mask_residual", "path_length"} <= record.keys()


def test_mask_regularisation_is_zero_only_for_a_mask_that_refines_the_coarse_one():
    G, _ = build_networks(TINY)
    output = G(torch.randn(2, 16))
    output.mask = F.interpolate(output.coarse_mask, scale_factor=2)
    assert mask_regularisation(output) < 1e-10
    output.mask = output.mask + 0.5
    torch.testing.assert_close(mask_regularisation(output).item(), 0.25)


def test_style_mixing_stays_within_local_generators_and_keeps_base_codes():
    config = replace(TINY, mixing_probability=1.0, base_layers=2, depth_layers=3)
    G, _ = build_networks(config)
    random = torch.Generator().manual_seed(0)
    w_plus = _mixed_w(G, config, 64, random)
    first = w_plus[:, :1]
    assert torch.equal(w_plus[:, 1:2], first)
    foreign = (w_plus != first).any(dim=2)[:, 2:].unflatten(1, (3, 2))
    kinds = {tuple(row) for row in foreign.flatten(0, 1).tolist()}
    assert kinds == {(False, False), (False, True), (True, True)}
    alone = _mixed_w(G, replace(config, mixing_probability=0.0), 4, random)
    assert torch.equal(alone, alone[:, :1].expand_as(alone))


def test_guidance_learns_the_pictures_of_codes(tmp_path, pairs):
    config = replace(GUIDED, adversarial_from=10_000, mapped_from=10_000, learning_rate=1e-2, path_weight=0.0)
    errors = []
    for images in (8, 400):
        ema = train(tmp_path, images, config, pairs)
        code = F.pad(pairs.codes, (0, W_DIM - pairs.codes.shape[1]))
        fake = ema.synthesis(code[:, None].expand(-1, ema.n_latent, -1))
        labels = torch.tensor(pairs.masks).long()
        real = torch.tensor(pairs.images) / 127.5 - 1
        errors.append(((fake.image - real).abs().mean(), (fake.mask.argmax(dim=1) != labels).float().mean()))
    (picture_before, mask_before), (picture_after, mask_after) = errors
    assert picture_after < 0.88 * picture_before and mask_after < 0.7 * mask_before


def test_a_local_generator_hears_only_the_attributes_of_its_region():
    G, _ = build_networks(GUIDED)
    masks = CodeMasks(G)
    with torch.no_grad():
        G.local_generators.affine_weight.add_(1.0)
    masks.apply(G)
    hair = list(ATTRIBUTE_GROUPS).index("hair")
    code = torch.randn(1, W_DIM)
    other = torch.where(F.pad(torch.tensor(CODE_GROUPS) == hair, (0, W_DIM - len(CODE_GROUPS))), code + 1, code)
    depths = [G.synthesis(value[:, None].expand(-1, G.n_latent, -1)).depths for value in (code, other)]
    changed = (depths[0] - depths[1]).abs().amax(dim=(0, 2, 3)) > 1e-6
    assert {name for name, moved in zip(CLASSES, changed, strict=True) if moved} == {"hair", "brows"}


def test_guidance_without_codes_and_training_without_masks_are_refused_in_one_sentence(tmp_path):
    with pytest.raises(InputError, match="need code"):
        train(tmp_path, 16, replace(TINY, guidance=1.0))
    with pytest.raises(InputError, match="need mask"):
        train(tmp_path, 16, TINY, StyledPortraits(8, 16, "ink", cache_dir=tmp_path))
    with pytest.raises(InputError, match="Guidance knows the classes"):
        train(tmp_path, 16, replace(GUIDED, class_names=TINY.class_names, transparent_classes=()), PairedLike())


class PairedLike(Discs):
    """Discs that claim to be made from codes."""

    def __getitem__(self, index):
        return super().__getitem__(index) | {"code": torch.zeros(16)}


def test_adaptation_to_images_keeps_shapes_and_masks_while_pictures_change(tmp_path):
    config = replace(TINY, class_names=CLASSES, transparent_classes=("glasses", "earrings"))
    before = train(tmp_path / "base", 16, config, MaskedPortraits(8, 16, cache_dir=tmp_path))
    settings = replace(adaptation(config), learning_rate=1e-2, path_weight=0.5)
    after = train(
        tmp_path / "ink",
        64,
        settings,
        StyledPortraits(8, 16, "ink", cache_dir=tmp_path),
        init_from=tmp_path / "base" / "checkpoint.safetensors",
    )
    w_plus = before.mapping(torch.randn(4, 16))
    a, b = before.synthesis(w_plus), after.synthesis(w_plus)
    assert torch.equal(after.mapping_network.layers[0].weight, before.mapping_network.layers[0].weight)
    torch.testing.assert_close(a.depths, b.depths)
    assert (a.image - b.image).abs().mean() > 0.02
    assert not any("mask_branch" in key for key in read_checkpoint(tmp_path / "ink" / "checkpoint.safetensors")[0])


def test_higher_resolution_starts_with_the_same_masks_and_the_same_verdict(tmp_path):
    low = dict(zip(("ema", "discriminator"), build_networks(TINY), strict=True))
    save_checkpoint(tmp_path / "low.safetensors", low, {}, {})
    G, D = build_networks(replace(TINY, resolution=32))
    start_semantic_from(G, D, tmp_path / "low.safetensors")
    z = torch.randn(2, 16)
    a, b = low["ema"](z, noise_mode="none"), G(z, noise_mode="none")
    torch.testing.assert_close(a.depths, b.depths)
    torch.testing.assert_close(F.avg_pool2d(b.image, 2)[..., 2:-2, 2:-2], a.image[..., 2:-2, 2:-2], atol=0.5, rtol=0)
    small = torch.rand(4, 3, 4, 4).repeat_interleave(4, dim=2).repeat_interleave(4, dim=3) * 2 - 1
    large = small.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    mask = torch.rand(4, 3, 16, 16)
    torch.testing.assert_close(D(large, mask), low["discriminator"](small, mask), rtol=0.3, atol=0.1)


def test_checkpoint_of_other_sizes_is_refused_in_one_sentence(tmp_path):
    train(tmp_path, 16)
    with pytest.raises(InputError, match="other network settings"):
        train(tmp_path, 32, replace(TINY, latent_dim=8))


def test_the_latents_of_a_guided_training_give_attribute_codes_from_first_to_last(tmp_path, pairs):
    ema = train(tmp_path / "a", 24, GUIDED, pairs)
    assert unexplained_variance(ema.mapping_network) < 0.005
    with pytest.raises(InputError, match=f"num_mapping_layers={MAPPING_LAYERS}"):
        train(tmp_path / "b", 4, replace(GUIDED, num_mapping_layers=2), pairs)


def test_the_discriminator_of_a_stylegan_becomes_the_image_branch(tmp_path):
    _, D = build_networks(GUIDED)
    judge = StyleGAN2Discriminator(resolution=16, channels=CHANNELS)
    save_checkpoint(tmp_path / "judge.safetensors", {"discriminator": judge}, {}, {})
    take_discriminator(D, tmp_path / "judge.safetensors")
    image = torch.randn(4, 3, 16, 16)
    assert torch.equal(D(image), judge(image))


def test_a_discriminator_with_other_channels_is_refused(tmp_path):
    _, D = build_networks(GUIDED)
    judge = StyleGAN2Discriminator(resolution=16, channels=dict.fromkeys(CHANNELS, 4))
    save_checkpoint(tmp_path / "judge.safetensors", {"discriminator": judge}, {}, {})
    with pytest.raises(InputError, match="does not fit"):
        take_discriminator(D, tmp_path / "judge.safetensors")
