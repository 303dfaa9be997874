"""Guided training: a StyleGAN2 that learns from pairs of code and picture, in one loop to be read from top to bottom.

The renderer of portraits knows which attributes made a picture, so a generator need not discover them. Four ideas:

1. *W is the attribute code.* The mapping network turns latents into attribute codes exactly, by construction
   (`sfhub.portraits.latents.set_mapping`); the synthesis network learns picture by picture from the code of each.
2. *What a person looks at counts.* Pixels are weighted by their class, and a parser says whether the picture shows
   the attributes of its code (`sfhub.training.pair_losses`). That regression makes a picture that obeys, but is soft.
3. *Sharpness comes last, from a discriminator that is told the code* (projection: Miyato and Koyama, *cGANs with
   Projection Discriminator*, ICLR 2018): it asks for this portrait, not for any. Features of it are compared, too
   (feature matching: Wang et al., *pix2pixHD*, CVPR 2018, eq. 3).
4. *A style channel prefers one semantic group.* Every affine layer starts with each of its outputs hearing the columns
   of one group of attributes (layout, face, eyes, hair and so on), and what it hears of others decays a little with
   every step. `group_decay` of 0 leaves them free, of 1 forbids them.

What results is an ordinary `StyleGAN2Generator`; nothing of this is seen at inference. For pictures without attributes
there is the plain loop in `sfhub.training.stylegan2`.
"""

import copy
import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import Dataset

from sfhub.models.style_space import StyleLayout, set_mean_w, standard_channels
from sfhub.models.stylegan2 import StyleGAN2Generator
from sfhub.models.stylegan2_discriminator import StyleGAN2Discriminator
from sfhub.portraits.latents import (
    CODE_GROUPS,
    LATENT_DIM,
    MAPPING_LAYERS,
    MAPPING_WIDTH,
    W_DIM,
    set_mapping,
    w_of_codes,
)
from sfhub.portraits.parser import PortraitParser
from sfhub.training.losses import discriminator_loss, feature_distance, generator_loss, r1_penalty
from sfhub.training.pair_losses import measured_parser, pixel_loss, pixel_weights
from sfhub.training.run import Run, is_under_way, optimizer_step
from sfhub.training.samples import save_samples
from sfhub.training.stylegan2 import WEIGHTS_STREAM
from sfhub.training.surgery import start_from

__all__ = ["PRESETS", "GuidedTraining", "channel_groups", "train_growing", "train_guided"]

# Share of the channels of every layer that each group gets, in the order of ATTRIBUTE_GROUPS.
GROUP_SHARES = (0.18, 0.17, 0.13, 0.10, 0.15, 0.06, 0.07, 0.08, 0.06)

AFFINE_RATE = 3.0
"""Learning rate of the affine layers in units of the others'."""


@dataclass
class GuidedTraining:
    """Settings of one guided training.

    Attributes:
        resolution: side of the images in pixels.
        channels, discriminator_channels: channels per resolution.
        images: length of the training, in pairs seen.
        growth: pairs seen before at lower resolutions, where a step costs a fraction: `{"32": 60000, ...}`.
        batch_size: pairs per step and process.
        learning_rate: of the generator's Adam; falls to a tenth along a cosine over the training. High, and for small
            batches: what counts in a short regression is the number of steps and their length.
        discriminator_rate: learning rate of the discriminator's Adam; it stays.
        r1_gamma, r1_interval: weight of R1 and steps between its evaluations.
        pixel_weight: weight of `pixel_loss`.
        attribute_weight: weight of the parser's attribute error, if there is a parser.
        parse_weight: weight of the parser's cross-entropy to the true mask.
        adversarial_from: images after which the discriminator learns and counts.
        adversarial_weight: weight of the adversarial loss.
        feature_weight: weight of the difference in the discriminator's features.
        discriminator_interval: steps between updates of the discriminator.
        group_decay: share of what a style channel hears of other groups that each step takes away, 0 to 1.
        ema_images: half-life of the generator's moving average, at most a twentieth of the images so far.
        seed: of everything random.
        save_images: images between checkpoints; `sample_images` between sample grids.
    """

    resolution: int = 128
    channels: dict[str, int] = field(
        default_factory=lambda: {"4": 128, "8": 128, "16": 128, "32": 128, "64": 64, "128": 32}
    )
    discriminator_channels: dict[str, int] = field(
        default_factory=lambda: {"4": 128, "8": 128, "16": 128, "32": 64, "64": 32, "128": 24}
    )
    images: int = 52_000
    growth: dict[str, int] = field(default_factory=lambda: {"32": 32_000, "64": 30_000})
    batch_size: int = 8
    learning_rate: float = 1.5e-2
    discriminator_rate: float = 2.5e-3
    r1_gamma: float = 0.2
    r1_interval: int = 16
    pixel_weight: float = 1.0
    attribute_weight: float = 0.3
    parse_weight: float = 0.05
    adversarial_from: int = 34_000
    adversarial_weight: float = 0.2
    feature_weight: float = 1.0
    discriminator_interval: int = 1
    group_decay: float = 0.01
    ema_images: int = 4_000
    seed: int = 0
    save_images: int = 4_000
    sample_images: int = 4_000


_OFFICIAL_HALVED = {side: width // 2 for side, width in standard_channels(256).items()}

PRESETS: dict[str, GuidedTraining] = {
    # What ships: hours on one CPU core.
    "cpu": GuidedTraining(),
    # The better model, for whoever has a GPU for half an hour.
    "gpu": replace(
        GuidedTraining(),
        resolution=256,
        channels=_OFFICIAL_HALVED,
        discriminator_channels=_OFFICIAL_HALVED,
        images=600_000,
        growth={"32": 400_000, "64": 300_000, "128": 300_000},
        batch_size=64,
        learning_rate=1e-2,
        adversarial_from=300_000,
        ema_images=10_000,
        save_images=20_000,
        sample_images=20_000,
    ),
}


def channel_groups(layout: StyleLayout, seed: int = 0) -> Tensor:
    """Semantic group that every style channel prefers, `[S]` int64, indices into `ATTRIBUTE_GROUPS`.

    Within every layer each group gets its share of the channels, at least one, at random places.
    """
    edges = torch.tensor(GROUP_SHARES).cumsum(0) / sum(GROUP_SHARES)
    groups = []
    for entry in layout:
        random = torch.Generator().manual_seed(zlib.crc32(f"{entry.name} {seed}".encode()))  # whatever the resolution
        rank = (torch.randperm(entry.width, generator=random) + 0.5) / entry.width
        groups.append(torch.bucketize(rank, edges).clamp(max=len(GROUP_SHARES) - 1))
    return torch.cat(groups)


class _GroupPreference:
    """Lets every affine row prefer the code columns of its channel's group."""

    def __init__(self, G: StyleGAN2Generator, seed: int, decay: float):
        column_groups = torch.full((G.config.w_dim,), -1)
        column_groups[: len(CODE_GROUPS)] = torch.tensor(CODE_GROUPS)
        groups = channel_groups(G.style_layout, seed)
        self._weights, self._own, self._factors = [], [], []
        for entry in G.style_layout:
            weight = G.get_submodule(entry.name).affine.weight
            own = groups[entry.start : entry.stop, None] == column_groups[None]
            self._weights.append(weight)
            self._own.append(own.to(weight))
            self._factors.append(torch.where(own, 1.0, 1.0 - decay).to(weight))

    @torch.no_grad()
    def start(self) -> None:
        """Keep the group's own columns only, at a scale that gives styles a standard deviation of about one half."""
        for weight, own in zip(self._weights, self._own, strict=True):
            weight.mul_(own * 0.5 * (weight.shape[1] / own.sum(dim=1, keepdim=True)).sqrt())

    @torch.no_grad()
    def decay(self) -> None:
        """Take a share of what was learned of other groups away."""
        torch._foreach_mul_(self._weights, self._factors)


def _parameter_groups(G: StyleGAN2Generator) -> list[dict]:
    """Parameters for Adam: the mapping network is exact and stays; the affine layers move faster.

    Equalised learning rate supposes that all of W feeds a style, but a dozen of its columns do most of it.
    """
    named = [(name, p) for name, p in G.named_parameters() if not name.startswith("mapping_network")]
    return [
        {"params": [p for name, p in named if not name.endswith("affine.weight")]},
        {"params": [p for name, p in named if name.endswith("affine.weight")], "rate_factor": AFFINE_RATE},
    ]


def build_generator(config: GuidedTraining) -> StyleGAN2Generator:
    """A generator with random weights and the exact mapping network."""
    G = StyleGAN2Generator(
        resolution=config.resolution,
        z_dim=LATENT_DIM,
        w_dim=W_DIM,
        num_mapping_layers=MAPPING_LAYERS,
        mapping_width=MAPPING_WIDTH,
        mapping_lr_multiplier=1.0,
        channels=config.channels,
    )
    set_mapping(G.mapping_network)
    G.mapping_network.requires_grad_(False)
    return G


def train_guided(
    config: GuidedTraining,
    dataset: Dataset,
    out_dir: str | Path,
    *,
    parser: PortraitParser | None = None,
    accelerator: Accelerator | None = None,
    init_from: str | Path | None = None,
) -> StyleGAN2Generator:
    """Train a generator on pairs, or go on where a checkpoint in `out_dir` left off.

    Args:
        config: settings; a resumed training must use the same network sizes.
        dataset: items as `sfhub.training.data.PairedPortraits` gives them.
        out_dir: receives `checkpoint.safetensors`, `ema/`, `samples/*.png` and `log.jsonl`.
        parser: reads attributes and masks.
        accelerator: device, mixed precision and processes; `Accelerator()` if None.
        init_from: a checkpoint of a training whose layers of the same shape this one starts from.

    Returns:
        The moving-average generator.

    Raises:
        InputError: for fewer pairs than one batch, or a checkpoint of other sizes.
    """
    accelerator = accelerator or Accelerator()
    device, per_step = accelerator.device, config.batch_size * accelerator.num_processes

    # Build.
    torch.manual_seed(WEIGHTS_STREAM + config.seed)
    torch.set_flush_denormal(True)
    G = build_generator(config)
    D = StyleGAN2Discriminator(
        resolution=config.resolution,
        channels=config.discriminator_channels,
        num_classes=len(CODE_GROUPS),
        num_mapping_layers=0,
    )
    G, D = (network.to(device, memory_format=torch.channels_last).train() for network in (G, D))
    preference = _GroupPreference(G, config.seed, config.group_decay)
    preference.start()
    if init_from is not None and not is_under_way(out_dir):
        start_from(G, D, init_from)
        set_mapping(G.mapping_network)
    attribute_loss = None if parser is None else measured_parser(parser, dataset, device)
    ema = copy.deepcopy(G).eval().requires_grad_(False)
    optimizers = {
        "optimizer_g": torch.optim.Adam(_parameter_groups(G), betas=(0.9, 0.99), fused=True),
        "optimizer_d": torch.optim.Adam(D.parameters(), lr=config.discriminator_rate, betas=(0.0, 0.99), fused=True),
    }

    def write_results(folder: Path, state: Mapping[str, Any]) -> None:
        set_mean_w(ema)
        ema.save_pretrained(folder / "ema")

    run = Run(
        out_dir,
        accelerator,
        modules={"generator": G, "discriminator": D, "ema": ema},
        optimizers=optimizers,
        length=config.images,
        per_step=per_step,
        write_results=write_results,
    )
    run.restore()
    batches = run.batches(dataset, config.batch_size, config.seed)
    while not run.is_done:
        step, adversarial = run.step, run.count >= config.adversarial_from
        rate = config.learning_rate * (0.55 + 0.45 * math.cos(math.pi * step / run.total_steps))
        for group in optimizers["optimizer_g"].param_groups:
            group["lr"] = rate * group.get("rate_factor", 1)
        batch = {name: value.to(device) for name, value in next(batches).items()}
        real = (batch["image"].float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)
        code = batch["code"]

        # Generator: look like the paired picture, to the eye, the parser and the discriminator.
        with accelerator.autocast():
            fake = G.synthesis(G.styles(w_of_codes(code, G.num_ws)), "none")
            pixel = pixel_loss(fake, real, pixel_weights(batch["mask"]))
            loss = config.pixel_weight * pixel
            run.note(pixel=pixel)
            if attribute_loss is not None:
                seen = parser(fake)
                attributes = attribute_loss(seen.attributes, batch["target"], batch["visible"])
                parse = F.cross_entropy(seen.logits.float(), batch["mask"].long())
                loss = loss + config.attribute_weight * attributes + config.parse_weight * parse
                run.note(attributes=attributes, parse=parse)
            if adversarial:
                D.requires_grad_(False)
                with torch.no_grad():
                    real_features = D.features(real)
                fake_features = D.features(fake)
                feature = feature_distance(fake_features, real_features)
                loss_g = generator_loss(D.judge(fake_features[-1], code).float())
                loss = loss + config.feature_weight * feature + config.adversarial_weight * loss_g
                run.note(feature=feature, loss_g=loss_g)
                D.requires_grad_(True)
        accelerator.backward(loss)
        optimizer_step(optimizers["optimizer_g"], accelerator)
        preference.decay()

        # Discriminator: real against generated, both with their code; R1 every r1_interval steps.
        if adversarial and step % config.discriminator_interval == 0:
            with accelerator.autocast():
                real_logits, fake_logits = D(real, code), D(fake.detach(), code)
                loss_d = discriminator_loss(real_logits.float(), fake_logits.float())
            accelerator.backward(loss_d)
            run.note(loss_d=loss_d, sign_real=real_logits.sign().mean())
            if step % config.r1_interval == 0:
                sample = real.detach().requires_grad_(True)
                penalty = r1_penalty(D(sample, code), sample)
                accelerator.backward(penalty * (config.r1_gamma / 2 * config.r1_interval))
                run.note(r1=penalty)
            optimizer_step(optimizers["optimizer_d"], accelerator)

        run.update_average(ema, G, config.ema_images)
        run.advance()

        # Status, samples and checkpoint.
        if run.reaches(1_000):
            run.log()
        if run.is_main and run.reaches(config.sample_images):
            save_samples(ema, run.out_dir / "samples" / f"{run.count:07d}.png")
        if run.reaches(config.save_images):
            run.save({"config": asdict(config)})
    run.close()
    set_mean_w(ema)
    return ema


def train_growing(
    config: GuidedTraining,
    open_pairs: Callable[[int], Dataset],
    out_dir: str | Path,
    *,
    parser: PortraitParser | None = None,
    accelerator: Accelerator | None = None,
    init_from: str | Path | None = None,
) -> StyleGAN2Generator:
    """`train_guided`, after regression at the lower resolutions of `config.growth`, each from where the last one ended.

    Args:
        config, out_dir, parser, accelerator, init_from: as for `train_guided`; lower resolutions go to `OUT/growth`.
        open_pairs: the data set of pairs at a resolution.
    """
    for resolution, images in config.growth.items():
        folder = Path(out_dir) / "growth" / resolution
        lower = replace(
            config,
            resolution=int(resolution),
            images=images,
            adversarial_from=images + 1,
            save_images=max(config.save_images, images // 4),
            sample_images=max(config.sample_images, images // 4),
        )
        train_guided(lower, open_pairs(int(resolution)), folder, accelerator=accelerator, init_from=init_from)
        init_from = folder / "checkpoint.safetensors"
    pairs = open_pairs(config.resolution)
    return train_guided(config, pairs, out_dir, parser=parser, accelerator=accelerator, init_from=init_from)
