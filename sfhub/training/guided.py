"""Guided training: a StyleGAN2 that learns from pairs of code and picture, in one loop to be read from top to bottom.

The renderer of portraits knows which attributes made a picture, so a generator need not discover them. Three ideas:

1. *W is the attribute code.* The mapping network is first fitted, without any picture, to turn latents into attribute
   codes (`sfhub.portraits.latents`); the synthesis network then learns picture by picture from the code of each. The
   loss is the pixel difference, the difference in the discriminator's features (feature matching: Wang et al.,
   *pix2pixHD*, CVPR 2018, eq. 3), and the adversarial loss of StyleGAN2, without which the pictures stay blurred.
2. *A style channel belongs to one semantic group.* Every affine layer is masked so that each of its outputs sees the
   columns of one group of attributes: layout, face, eyes, hair and so on. In S space the regions of a portrait can
   then be exchanged almost independently, which is what all region edits live off.
3. *Truncation is part of the task*: half of the pairs are truncated portraits.

What results is an ordinary `StyleGAN2Generator`; nothing of this is seen at inference. For pictures without attributes
there is the plain loop in `sfhub.training.stylegan2`.
"""

import copy
import logging
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from sfhub.errors import InputError
from sfhub.models.layers import leaky_relu, normalize_second_moment
from sfhub.models.style_space import MappingNetwork, StyleLayout
from sfhub.models.stylegan2 import StyleGAN2Generator
from sfhub.models.stylegan2_discriminator import StyleGAN2Discriminator
from sfhub.portraits.latents import (
    CODE_GROUPS,
    LATENT_DIM,
    attribute_code,
    attributes_from_latents,
    latent_features,
)
from sfhub.portraits.parser import PortraitParser
from sfhub.training.checkpoint import load_checkpoint, load_matching, save_checkpoint
from sfhub.training.data import BatchOrder, image_batches
from sfhub.training.losses import discriminator_loss, feature_distance, generator_loss, r1_penalty
from sfhub.training.recorder import Recorder
from sfhub.training.stylegan2 import (
    WEIGHTS_STREAM,
    optimizer_step,
    passes,
    save_samples,
    set_mean_w,
    step_generator,
    update_average,
)

__all__ = ["GuidedTraining", "channel_groups", "fit_mapping", "train_guided"]

logger = logging.getLogger(__name__)

# Share of the channels of every layer that each group gets, in the order of ATTRIBUTE_GROUPS.
GROUP_SHARES = (0.20, 0.17, 0.11, 0.08, 0.17, 0.05, 0.06, 0.08, 0.08)

AFFINE_RATE = 4.0
"""Learning rate of the affine layers in units of the others'."""

RAMP = 0.06
"""Width, in a latent's standard deviations, of the ramp from one choice to the next."""

OFFSET = 6.0
"""More than any latent entry is below zero; keeps the linear units of the mapping network above zero."""

POOL = 64
"""Batches of latents that the fit of the mapping network draws at once."""


@dataclass
class GuidedTraining:
    """Settings of one guided training.

    Attributes:
        resolution: side of the images in pixels.
        num_mapping_layers: depth of the mapping network.
        channels, discriminator_channels: channels per resolution.
        images: length of the training, in pairs seen.
        batch_size: pairs per step and process.
        learning_rate: of Adam, both networks; falls to a tenth along a cosine over the training.
        r1_gamma, r1_interval: weight of R1 and steps between its evaluations.
        pixel_weight: weight of the mean absolute pixel difference.
        feature_weight: weight of the difference in the discriminator's features.
        parse_weight: weight of the parser's cross-entropy to the true mask, if there is a parser.
        adversarial_weight: weight of the adversarial loss.
        discriminator_interval: steps between updates of the discriminator; the pairs guide the generator meanwhile.
        adversarial_from: images after which the discriminator learns and the adversarial loss counts.
        mapped_from: images after which half of each batch comes from latents through the mapping network, which
            learns from then on, too; never if None.
        mapping_steps: steps of the fit of the mapping network, of 512 latents each.
        ema_images: half-life of the generator's moving average, at most a twentieth of the images so far.
        seed: of everything random.
        save_images: images between checkpoints; `sample_images` between sample grids.
    """

    resolution: int = 128
    num_mapping_layers: int = 5
    channels: dict[str, int] = field(
        default_factory=lambda: {"4": 192, "8": 192, "16": 192, "32": 96, "64": 48, "128": 24}
    )
    discriminator_channels: dict[str, int] = field(
        default_factory=lambda: {"4": 128, "8": 128, "16": 128, "32": 64, "64": 32, "128": 32}
    )
    images: int = 240_000
    batch_size: int = 8
    learning_rate: float = 2.5e-3
    r1_gamma: float = 0.2
    r1_interval: int = 16
    pixel_weight: float = 4.0
    feature_weight: float = 4.0
    parse_weight: float = 0.3
    adversarial_weight: float = 1.0
    discriminator_interval: int = 2
    adversarial_from: int = 60_000
    mapped_from: int | None = None
    mapping_steps: int = 14_000
    ema_images: int = 4_000
    seed: int = 0
    save_images: int = 4_000
    sample_images: int = 4_000


def channel_groups(layout: StyleLayout, seed: int = 0) -> Tensor:
    """Semantic group of every style channel, `[S]` int64, indices into `ATTRIBUTE_GROUPS`.

    Within every layer each group gets its share of the channels, at least one, at random places.
    """
    random = torch.Generator().manual_seed(seed)
    edges = torch.tensor(GROUP_SHARES).cumsum(0) / sum(GROUP_SHARES)
    groups = []
    for entry in layout:
        rank = (torch.randperm(entry.width, generator=random) + 0.5) / entry.width
        groups.append(torch.bucketize(rank, edges).clamp(max=len(GROUP_SHARES) - 1))
    return torch.cat(groups)


class _AffineMasks:
    """Keeps every affine row zero outside the code columns of its channel's group."""

    def __init__(self, G: StyleGAN2Generator, seed: int):
        column_groups = torch.full((G.config.w_dim,), -1)
        column_groups[: len(CODE_GROUPS)] = torch.tensor(CODE_GROUPS)
        groups = channel_groups(G.style_layout, seed)
        self._weights, self._masks = [], []
        for entry in G.style_layout:
            weight = G.get_submodule(entry.name).affine.weight
            mask = groups[entry.start : entry.stop, None] == column_groups[None]
            self._weights.append(weight)
            self._masks.append(mask.to(weight))

    @torch.no_grad()
    def start(self) -> None:
        """Scale the first weights so that styles have a standard deviation of about one half."""
        for weight, mask in zip(self._weights, self._masks, strict=True):
            weight.mul_(mask * 0.5 * (weight.shape[1] / mask.sum(dim=1, keepdim=True)).sqrt())

    @torch.no_grad()
    def apply(self) -> None:
        torch._foreach_mul_(self._weights, self._masks)


def _parameter_groups(G: StyleGAN2Generator) -> list[dict]:
    """Parameters for Adam; those of the affine layers move faster.

    Equalised learning rate supposes that all of W feeds a style, but the masks leave a dozen of 256 columns.
    """
    is_affine = {name: name.endswith("affine.weight") for name, _ in G.named_parameters()}
    return [
        {"params": [p for name, p in G.named_parameters() if not is_affine[name]]},
        {"params": [p for name, p in G.named_parameters() if is_affine[name]], "rate_factor": AFFINE_RATE},
    ]


def fit_mapping(G: StyleGAN2Generator, steps: int, seed: int = 0, batch: int = 512) -> float:
    """Fit the mapping network to turn latents into attribute codes, and columns of W beyond the code to be zero.

    Its first two layers are set to the features of `latent_features`, the jumps being ramps of width `RAMP`; the
    layers after them are trained. Without them choices stay blurred: gradient descent finds no steep functions.

    Returns:
        The share of the codes' variance that is left unexplained on fresh latents.

    Raises:
        InputError: for a mapping network of less than three layers, or too narrow for the features.
    """
    mapping = G.mapping_network
    if len(mapping.layers) < 3:
        raise InputError(f"A mapping network of {len(mapping.layers)} layers cannot be fitted; give it 3 or more.")
    count = _set_features(mapping)
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        sample = _features(mapping, torch.randn(4096, LATENT_DIM, generator=random))[:, :count]
    mean, scale = sample.mean(dim=0), sample.std(dim=0)
    spread = _wanted_w(G, torch.randn(4096, LATENT_DIM, generator=random)).var(dim=0) + 0.05  # rare hats count, too
    trained = nn.ModuleList(mapping.layers[2:])
    optimizer = torch.optim.Adam(trained.parameters(), betas=(0.9, 0.99), fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=max(steps, 2), pct_start=0.1)
    for step in tqdm(range(steps), desc="Fitting the mapping network", unit="step"):
        if step % POOL == 0:  # large pools: drawing attributes costs the same for one as for a thousand
            with torch.no_grad():
                z = torch.randn(POOL * batch, LATENT_DIM, generator=random)
                pool = (_features(mapping, z)[:, :count] - mean) / scale
                wanted = _wanted_w(G, z)
        part = slice(step % POOL * batch, (step % POOL + 1) * batch)
        x = F.pad(pool[part], (0, G.config.w_dim - count))
        for layer in trained:
            x = leaky_relu(layer(x))
        optimizer.zero_grad(set_to_none=True)
        ((x - wanted[part]).square() / spread).sum(dim=1).mean().backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():  # the centring becomes part of the first trained layer
        first = trained[0]
        first.weight[:, :count] /= scale
        first.bias -= first.weight[:, :count] @ mean * (first.weight_gain / first.bias_gain)
        z = torch.randn(4096, LATENT_DIM, generator=random)
        wanted = _wanted_w(G, z)
        return ((mapping(z) - wanted).square().mean(dim=0).sum() / wanted.var(dim=0).sum()).item()


def _wanted_w(G: StyleGAN2Generator, z: Tensor) -> Tensor:
    """Attribute codes of latents, padded with zeros to `[B, w_dim]`."""
    code = attribute_code(attributes_from_latents(z))
    return F.pad(code, (0, G.config.w_dim - code.shape[1]))


def _features(mapping: MappingNetwork, z: Tensor) -> Tensor:
    """What the first two layers make of latents."""
    x = normalize_second_moment(z)
    for layer in mapping.layers[:2]:
        x = leaky_relu(layer(x))
    return x


@torch.no_grad()
def _set_features(mapping: MappingNetwork) -> int:
    """Set the first two layers so that the second puts out `latent_features`; return how many there are.

    Units of the second layer never see negative sums, so it is linear: a ramp is the difference of two units.
    """
    linear, bends, steps = latent_features()
    units = [(column, 1.0, OFFSET) for column in linear]
    units += [(column, 1.0, -place) for column, place in bends]
    features = [([index], OFFSET / 3 if index >= len(linear) else 0.0) for index in range(len(units))]
    for column, place in steps:
        features.append(([len(units), len(units) + 1], 0.0))
        units += [(column, 1 / RAMP, half - place / RAMP) for half in (0.5, -0.5)]
    first, second = mapping.layers[:2]
    if len(units) > len(first.weight):
        raise InputError(f"{len(first.weight)} units are too few for {len(units)} features; widen the mapping network.")
    for layer in (first, second):
        layer.weight.zero_()
        layer.bias.zero_()
    for row, (column, slope, offset) in enumerate(units):
        first.weight[row, column] = slope / first.weight_gain
        first.bias[row] = offset / first.bias_gain
    for row, (sources, offset) in enumerate(features):
        for sign, source in zip((1.0, -1.0), sources, strict=False):
            second.weight[row, source] = sign / math.sqrt(2) / second.weight_gain
        second.bias[row] = offset / second.bias_gain
    return len(features)


def train_guided(
    config: GuidedTraining,
    dataset: Dataset,
    out_dir: str | Path,
    *,
    parser: PortraitParser | None = None,
    accelerator: Accelerator | None = None,
    init_from: str | Path | None = None,
    mapping_from: str | Path | None = None,
) -> StyleGAN2Generator:
    """Train a generator on pairs, or go on where a checkpoint in `out_dir` left off.

    Args:
        config: settings; a resumed training must use the same network sizes.
        dataset: items as `sfhub.training.data.PairedPortraits` gives them.
        out_dir: receives `checkpoint.safetensors`, `ema/`, `samples/*.png` and `log.jsonl`.
        parser: judges whether the semantic classes are where they should be.
        accelerator: device, mixed precision and processes; `Accelerator()` if None.
        init_from: a checkpoint whose convolutions and discriminator this training starts from.
        mapping_from: a folder with a generator whose mapping network is fitted already.

    Returns:
        The moving-average generator.

    Raises:
        InputError: for fewer pairs than one batch, or a checkpoint of other sizes.
    """
    accelerator = accelerator or Accelerator()
    device, world, out_dir = accelerator.device, accelerator.num_processes, Path(out_dir)
    per_step = config.batch_size * world
    out_dir.mkdir(parents=True, exist_ok=True)

    # Build.
    torch.manual_seed(WEIGHTS_STREAM + config.seed)
    torch.set_flush_denormal(True)
    G = StyleGAN2Generator(
        resolution=config.resolution,
        z_dim=LATENT_DIM,
        w_dim=LATENT_DIM,
        num_mapping_layers=config.num_mapping_layers,
        channels=config.channels,
    )
    D = StyleGAN2Discriminator(resolution=config.resolution, channels=config.discriminator_channels)
    checkpoint = out_dir / "checkpoint.safetensors"
    if not checkpoint.is_file():
        if init_from is not None:
            _take_convolutions(G, D, init_from)
        if mapping_from is not None:
            G.mapping_network.load_state_dict(
                StyleGAN2Generator.from_pretrained(mapping_from).mapping_network.state_dict()
            )
        else:
            logger.info(
                "Mapping network: %.1f%% of the variance unexplained.", 100 * fit_mapping(G, config.mapping_steps)
            )
    G, D = (network.to(device, memory_format=torch.channels_last).train() for network in (G, D))
    if parser is not None:
        parser = parser.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)
    masks = _AffineMasks(G, config.seed)
    if not checkpoint.is_file():
        masks.start()
    ema = copy.deepcopy(G).eval().requires_grad_(False)
    optimizers = {
        "optimizer_g": torch.optim.Adam(_parameter_groups(G), betas=(0.5, 0.99), fused=True),
        "optimizer_d": torch.optim.Adam(D.parameters(), betas=(0.0, 0.99), fused=True),
    }

    # Restore.
    step = 0
    modules = {"generator": G, "discriminator": D, "ema": ema}
    if checkpoint.is_file():
        progress = load_checkpoint(checkpoint, modules, optimizers)
        step = progress["images"] // per_step
        logger.info("Going on from %s at %d images.", checkpoint, progress["images"])

    order = BatchOrder(
        len(dataset), config.batch_size, seed=config.seed, first_step=step, rank=accelerator.process_index, world=world
    )
    batches = image_batches(dataset, order)
    total_steps = math.ceil(config.images / per_step)
    recorder = Recorder(out_dir, accelerator, total=total_steps * per_step, initial=step * per_step, unit="image")
    while step < total_steps:
        images = step * per_step
        random = step_generator(config.seed, step, accelerator.process_index, device)
        rate = config.learning_rate * (0.55 + 0.45 * math.cos(math.pi * step / total_steps))
        for optimizer in optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = rate * group.get("rate_factor", 1)
        adversarial, mapped = images >= config.adversarial_from, images >= (config.mapped_from or math.inf)
        batch = {name: value.to(device) for name, value in next(batches).items()}
        real = (batch["image"].float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)
        code, true_mask = batch["code"], batch["mask"].long()

        # Pictures of the codes; later half of them of latents, which have no picture to be compared with.
        paired = config.batch_size // 2 if mapped else config.batch_size
        w = F.pad(code, (0, LATENT_DIM - code.shape[1]))
        if mapped:
            z = torch.randn(config.batch_size - paired, LATENT_DIM, generator=random, device=device)
            w = torch.cat([w[:paired], G.mapping_network(z)])
        with accelerator.autocast():
            fake = G.synthesis(G.styles(w[:, None].expand(-1, G.num_ws, -1)), "none")

        # Generator: look like the paired picture, to the eye, the discriminator and the parser.
        D.requires_grad_(False)
        with accelerator.autocast():
            with torch.no_grad():
                real_features, _ = discriminator_features(D, real[:paired])
            fake_features, fake_logits = discriminator_features(D, fake)
            fake_features = [feature[:paired] for feature in fake_features]
            pixel = F.l1_loss(fake[:paired].float(), real[:paired])
            feature = feature_distance(fake_features, real_features)
            loss = config.pixel_weight * pixel + config.feature_weight * feature
            recorder.add(pixel=pixel, feature=feature)
            if parser is not None and config.parse_weight:
                parse = F.cross_entropy(parser(fake[:paired]).logits.float(), true_mask[:paired])
                loss = loss + config.parse_weight * parse
                recorder.add(parse=parse)
            if adversarial:
                loss_g = generator_loss(fake_logits.float())
                loss = loss + config.adversarial_weight * loss_g
                recorder.add(loss_g=loss_g)
        accelerator.backward(loss)
        D.requires_grad_(True)
        optimizer_step(optimizers["optimizer_g"], accelerator)
        masks.apply()

        # Discriminator: real against generated, R1 every r1_interval steps.
        if adversarial and step % config.discriminator_interval == 0:
            with accelerator.autocast():
                real_logits = D(real)
                loss_d = discriminator_loss(real_logits.float(), D(fake.detach()).float())
            accelerator.backward(loss_d)
            recorder.add(loss_d=loss_d, sign_real=real_logits.sign().mean())
            if step % config.r1_interval == 0:
                seen = real.detach().requires_grad_(True)
                penalty = r1_penalty(D(seen), seen)
                accelerator.backward(penalty * (config.r1_gamma / 2 * config.r1_interval))
                recorder.add(r1=penalty)
            optimizer_step(optimizers["optimizer_d"], accelerator)

        update_average(ema, G, 0.5 ** (per_step / max(min(config.ema_images, images / 20), 1e-8)))
        step += 1
        recorder.advance(per_step)

        # Status, samples and checkpoint.
        done = step == total_steps
        if passes(step, per_step, 1_000) or done:
            recorder.write({"images": step * per_step})
        if accelerator.is_main_process and (passes(step, per_step, config.sample_images) or done):
            save_samples(ema, out_dir / "samples" / f"{step * per_step:07d}.png")
        if accelerator.is_main_process and (passes(step, per_step, config.save_images) or done):
            save_checkpoint(checkpoint, modules, optimizers, {"images": step * per_step, "config": asdict(config)})
            set_mean_w(ema)
            ema.save_pretrained(out_dir / "ema")
    recorder.close()
    accelerator.wait_for_everyone()
    set_mean_w(ema)
    return ema


def _take_convolutions(G: StyleGAN2Generator, D: StyleGAN2Discriminator, checkpoint: str | Path) -> None:
    """Take over a plain training's convolutions, mean styles and discriminator, but not how it uses W."""
    own = {
        name: value.clone()
        for name, value in G.state_dict().items()
        if name.startswith("mapping_network") or name.endswith("affine.weight")
    }
    load_matching(G, checkpoint, "ema")
    G.load_state_dict(own, strict=False)
    load_matching(D, checkpoint, "discriminator")


def discriminator_features(D: StyleGAN2Discriminator, image: Tensor) -> tuple[list[Tensor], Tensor]:
    """Outputs of all residual blocks, and the logits `[B, 1]`."""
    x = leaky_relu(D.from_rgb(image), clamp=D.config.conv_clamp)
    features = []
    for block in D.blocks.values():
        x = block(x)
        features.append(x)
    return features, D.epilogue(x)
