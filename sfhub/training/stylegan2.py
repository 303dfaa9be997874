"""Training StyleGAN2, in one loop to be read from top to bottom.

Non-saturating loss with lazy R1, path length regularisation, style mixing, exponential moving average and optional
ADA (Karras et al., CVPR 2020 and NeurIPS 2020), plus an optional regulariser of ours that keeps style channels local.
Progress is counted in images. All randomness is a function of seed and step, so a training that was killed goes on
from its last checkpoint to the very same weights.

Differences from the official loop: one set of generated images serves both updates of a step (saving a quarter of the
generator's work), and lazy regularisers share the main optimiser step.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import Dataset

from sfhub.models.style_space import NoiseMode, set_mean_w
from sfhub.models.stylegan2 import StyleGAN2Generator
from sfhub.models.stylegan2_discriminator import StyleGAN2Discriminator
from sfhub.training.augment import AdaptiveProbability, augment
from sfhub.training.losses import discriminator_loss, effective_area, generator_loss, path_lengths, r1_penalty
from sfhub.training.run import Run, is_under_way, optimizer_step, step_generator
from sfhub.training.samples import save_samples
from sfhub.training.surgery import start_from

__all__ = ["PRESETS", "StyleGAN2Training", "train_stylegan2"]


@dataclass
class StyleGAN2Training:
    """Settings of one training.

    Attributes:
        resolution: side of the images in pixels.
        latent_dim: dimensions of Z and W.
        num_mapping_layers: depth of the mapping network.
        channels, discriminator_channels: channels per resolution; the official table if empty.
        images: length of the training, in images shown to the discriminator.
        batch_size: images per step and process.
        learning_rate: of Adam with betas (0, 0.99), both networks.
        r1_gamma, r1_interval: weight of R1 and steps between its evaluations.
        path_weight, path_interval: the same for path length, evaluated on half a batch.
        locality_weight, locality_interval: the same for `effective_area`, likewise.
        mixing_probability: how often two latents make one image (style mixing).
        noise: feed random noise to every layer. Off, all detail has to come from the style code; a small generator
            otherwise imitates eyes and mouths by noise for a long time.
        ema_images: half-life of the generator's moving average, at most a twentieth of the images so far.
        ada_target: sign statistic that ADA holds, None for no augmentation.
        mirror: flip half of the training images.
        seed: of everything random.
        save_images: images between checkpoints; `sample_images` between sample grids.
    """

    resolution: int = 128
    latent_dim: int = 256
    num_mapping_layers: int = 4
    channels: dict[str, int] = field(default_factory=dict)
    discriminator_channels: dict[str, int] = field(default_factory=dict)
    images: int = 300_000
    batch_size: int = 16
    learning_rate: float = 2.5e-3
    r1_gamma: float = 1.0
    r1_interval: int = 16
    path_weight: float = 2.0
    path_interval: int = 8
    locality_weight: float = 0.0
    locality_interval: int = 4
    mixing_probability: float = 0.9
    noise: bool = True
    ema_images: int = 10_000
    ada_target: float | None = None
    mirror: bool = True
    seed: int = 0
    save_images: int = 4_000
    sample_images: int = 4_000

    @property
    def noise_mode(self) -> NoiseMode:
        """Noise of the generator while it trains."""
        return "random" if self.noise else "none"


WEIGHTS_STREAM = 3_141_592_653  # far from the seeds that users draw latents with; 32 bits, as CPU generators take

# Seen on one and the same training: with R1 weighted 1 and path length 2, eyes had not formed after 50,000 images at
# 64 px; with the weights below they had 30,000 images later. Noise imitated them by speckle until it was left out.
_PORTRAITS = StyleGAN2Training(
    channels={"4": 192, "8": 192, "16": 192, "32": 96, "64": 48, "128": 24},
    discriminator_channels={"4": 128, "8": 128, "16": 128, "32": 64, "64": 32, "128": 32},
    r1_gamma=0.2,
    path_weight=0.0,
    mixing_probability=0.5,
    noise=False,
)

PRESETS: dict[str, StyleGAN2Training] = {
    # The lower layers of the portraits generator; 64 px costs less per image and shows whether it goes well.
    "portraits64": replace(_PORTRAITS, resolution=64, images=100_000, r1_gamma=0.1),
    # The shipped generator: goes on from portraits64 (`--init-from`).
    "portraits128": _PORTRAITS,
}


def train_stylegan2(
    config: StyleGAN2Training,
    dataset: Dataset,
    out_dir: str | Path,
    *,
    accelerator: Accelerator | None = None,
    init_from: str | Path | None = None,
    workers: int = 0,
    callback: Callable[[dict[str, float]], None] | None = None,
) -> StyleGAN2Generator:
    """Train a generator, or go on where a checkpoint in `out_dir` left off.

    Args:
        config: settings; a resumed training must use the same network sizes.
        dataset: items are uint8 images `[3, resolution, resolution]`.
        out_dir: receives `checkpoint.safetensors`, `ema/` (loads with `StyleGAN2Generator.from_pretrained`),
            `samples/*.png` and `log.jsonl`.
        accelerator: device, mixed precision and processes; `Accelerator()` if None. With several processes each takes
            `batch_size` images per step.
        init_from: a checkpoint of a lower-resolution training whose layers this one starts from.
        workers: data loading processes.
        callback: gets every log record.

    Returns:
        The moving-average generator.

    Raises:
        InputError: for fewer images than one batch, or a checkpoint of other sizes.
    """
    accelerator = accelerator or Accelerator()
    device, per_step = accelerator.device, config.batch_size * accelerator.num_processes

    # Build. The weights get a stream of their own: latents drawn from the same seed would repeat the first weights.
    torch.manual_seed(WEIGHTS_STREAM + config.seed)
    torch.set_flush_denormal(True)  # the moving average of tiny numbers would slow a CPU down many times
    G = StyleGAN2Generator(
        resolution=config.resolution,
        z_dim=config.latent_dim,
        w_dim=config.latent_dim,
        num_mapping_layers=config.num_mapping_layers,
        channels=config.channels or None,
    )
    D = StyleGAN2Discriminator(resolution=config.resolution, channels=config.discriminator_channels or None)
    if init_from is not None and not is_under_way(out_dir):
        start_from(G, D, init_from)
    G, D = (network.to(device, memory_format=torch.channels_last).train() for network in (G, D))
    ema = copy.deepcopy(G).eval().requires_grad_(False)
    optimizers = {
        name: torch.optim.Adam(network.parameters(), lr=config.learning_rate, betas=(0.0, 0.99), fused=True)
        for name, network in (("optimizer_g", G), ("optimizer_d", D))
    }
    ada = AdaptiveProbability(config.ada_target)

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
        callback=callback,
    )
    state = run.restore()
    ada.p = state.get("ada_p", ada.p)
    path_mean = torch.tensor(state.get("path_mean", 0.0), device=device)
    batches = run.batches(dataset, config.batch_size, config.seed, workers)
    while not run.is_done:
        step = run.step
        random = step_generator(config.seed, step, accelerator.process_index, device)
        real = _prepare(next(batches).to(device), config.mirror, random)

        # One set of generated images for both updates.
        with accelerator.autocast():
            w_plus = _mixed_w(G, config, config.batch_size, random)
            fake = G.synthesis(G.styles(w_plus), config.noise_mode, generator=random)

        # Discriminator: real against generated, R1 every r1_interval steps.
        with accelerator.autocast():
            real_logits = D(augment(real, ada.p, random))
            loss = discriminator_loss(real_logits, D(augment(fake.detach(), ada.p, random)))
        accelerator.backward(loss)
        run.note(loss_d=loss, sign_real=real_logits.sign().mean())
        if step % config.r1_interval == 0:
            seen = augment(real, ada.p, random).requires_grad_(True)
            penalty = r1_penalty(D(seen), seen)
            accelerator.backward(penalty * (config.r1_gamma / 2 * config.r1_interval))
            run.note(r1=penalty)
        optimizer_step(optimizers["optimizer_d"], accelerator)

        # Generator: fool the discriminator; smooth paths and local style channels now and then.
        D.requires_grad_(False)
        with accelerator.autocast():
            loss = generator_loss(D(augment(fake, ada.p, random)))
        accelerator.backward(loss)
        run.note(loss_g=loss)
        D.requires_grad_(True)
        if config.path_weight and step % config.path_interval == 0:
            lengths, path_mean = _path_regulariser(G, config, path_mean, random, accelerator)
            run.note(path_length=lengths)
        if config.locality_weight and step % config.locality_interval == 0:
            run.note(effective_area=_locality_regulariser(G, config, random, accelerator))
        optimizer_step(optimizers["optimizer_g"], accelerator)

        # Moving average and augmentation strength.
        run.update_average(ema, G, config.ema_images)
        if config.ada_target is not None and step % 4 == 3:
            mean_sign = accelerator.reduce(run.last("sign_real", 4).mean(), "mean")
            ada.update(mean_sign.item(), 4 * per_step)
        run.advance()

        # Status, samples and checkpoint.
        if run.reaches(1_000):
            run.log({"ada_p": ada.p}, shown=("loss_g", "loss_d"))
        if run.is_main and run.reaches(config.sample_images):
            save_samples(ema, run.out_dir / "samples" / f"{run.count:07d}.png")
        if run.reaches(config.save_images):
            run.save({"ada_p": ada.p, "path_mean": path_mean.item(), "config": asdict(config)})
    run.close()
    set_mean_w(ema)
    return ema


def _prepare(images: Tensor, mirror: bool, random: torch.Generator) -> Tensor:
    """uint8 `[B, 3, H, W]` -> float in [-1, 1], half of them flipped if `mirror`."""
    images = images.float() / 127.5 - 1
    if mirror:
        flip = torch.rand(len(images), 1, 1, 1, generator=random, device=images.device) < 0.5
        images = torch.where(flip, images.flip(3), images)
    return images.contiguous(memory_format=torch.channels_last)


def _mixed_w(G: StyleGAN2Generator, config: StyleGAN2Training, batch: int, random: torch.Generator) -> Tensor:
    """W+ `[batch, num_ws, w_dim]` of random latents, with a second latent from a random layer on (style mixing)."""
    device = random.device
    z = torch.randn(2 * batch, config.latent_dim, generator=random, device=device)
    w_plus, other = G.mapping(z).chunk(2)
    cut = torch.randint(1, G.num_ws, (batch, 1, 1), generator=random, device=device)
    mix = torch.rand(batch, 1, 1, generator=random, device=device) < config.mixing_probability
    layer = torch.arange(G.num_ws, device=device)[None, :, None]
    return torch.where(mix & (layer >= cut), other, w_plus)


def _path_regulariser(
    G: StyleGAN2Generator,
    config: StyleGAN2Training,
    path_mean: Tensor,
    random: torch.Generator,
    accelerator: Accelerator,
) -> tuple[Tensor, Tensor]:
    """Back-propagate (||J_w^T y|| - a)^2, a being the running mean length; return mean length and the new a."""
    w_plus = _mixed_w(G, config, config.batch_size // 2, random)
    lengths = path_lengths(G.synthesis(G.styles(w_plus), config.noise_mode, generator=random), w_plus, random)
    path_mean = path_mean.lerp(accelerator.reduce(lengths.detach().mean(), "mean"), 0.02)
    penalty = (lengths - path_mean).square().mean()
    accelerator.backward(penalty * (config.path_weight * config.path_interval))
    return lengths.mean(), path_mean


def _locality_regulariser(
    G: StyleGAN2Generator, config: StyleGAN2Training, random: torch.Generator, accelerator: Accelerator
) -> Tensor:
    """Back-propagate the effective area of moving one random style channel by two standard deviations."""
    batch = config.batch_size // 2
    with accelerator.autocast():
        s = G.styles(_mixed_w(G, config, batch, random)).float()
        channel = torch.randint(s.shape[1], (batch, 1), generator=random, device=s.device)
        sign = 2.0 * torch.randint(2, (batch, 1), generator=random, device=s.device) - 1
        step = 2 * sign * s.detach().std(dim=0)[channel]
        both = torch.cat([s, s.scatter_add(1, channel, step)])
        before, after = G.synthesis(both, "const" if config.noise else "none").chunk(2)
        area = effective_area(before, after).mean()
    accelerator.backward(area * (config.locality_weight * config.locality_interval))
    return area
