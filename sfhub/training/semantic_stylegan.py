"""Training SemanticStyleGAN, in one loop to be read from top to bottom.

Shi et al. (CVPR 2022), secs. 3.2 and 4: StyleGAN2's losses on image and mask together, mask regularisation (eq. 5), R1
apart for the image and the mask, style mixing within every local generator, path length regularisation. Adaptation to
images without masks (sec. 5.3) is the same loop with a discriminator that has lost its mask branch.

Optional guidance, ours: where the pictures are a function of known codes (`sfhub.portraits.latents`), a share of every
batch is generated from the codes of the real pictures and compared with them; see
`sfhub.training.semantic_guidance`. It makes a generator on two cores possible. Without it this is the paper's training.

As in `sfhub.training.stylegan2`, one set of generated images serves both updates of a step, progress is counted in
images, and all randomness is a function of seed and step, so that a killed training goes on to the very same weights.
"""

import copy
import logging
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import Dataset
from torchvision.utils import save_image

from sfhub.errors import InputError
from sfhub.models.semantic_stylegan import SemanticStyleGANGenerator, SemanticStyleGANOutput
from sfhub.models.semantic_stylegan_discriminator import SemanticStyleGANDiscriminator
from sfhub.models.style_space import NoiseMode, set_mean_w
from sfhub.portraits.classes import CLASSES, PALETTE
from sfhub.portraits.latents import LATENT_DIM, MAPPING_LAYERS, MAPPING_WIDTH, set_mapping, w_of_codes
from sfhub.portraits.parser import PortraitParser
from sfhub.training.checkpoint import load_checkpoint, load_matching, read_checkpoint, save_checkpoint
from sfhub.training.data import BatchOrder, image_batches
from sfhub.training.losses import discriminator_loss, generator_loss, path_lengths
from sfhub.training.pair_losses import measured_parser
from sfhub.training.recorder import Recorder
from sfhub.training.semantic_guidance import CodeMasks, guidance_loss, judge, matching_loss
from sfhub.training.stylegan2 import WEIGHTS_STREAM, optimizer_step, passes, step_generator, update_average

__all__ = ["PRESETS", "SemanticStyleGANTraining", "adaptation", "train_semantic_stylegan"]

logger = logging.getLogger(__name__)


@dataclass
class SemanticStyleGANTraining:
    """Settings of one training; the defaults are the paper's at 256 pixels.

    Attributes:
        resolution: side of the images in pixels.
        class_names, transparent_classes: of the masks, the background first; those that others show through.
        latent_dim: dimensions of Z and W.
        num_mapping_layers, mapping_width, mapping_lr_multiplier: of the mapping network; its depth, the width of its
            hidden layers (`latent_dim` if None) and its learning-rate multiplier.
        coarse_resolution, min_resolution, local_layers, base_layers, depth_layers, local_width, feature_width,
            channels: of the generator, see `SemanticStyleGANGenerator`.
        discriminator_channels: channels per resolution, of both branches.
        mask_resolution: side at which the discriminator sees masks.
        images: length of the training, in images shown to the discriminator.
        batch_size: images per step and process.
        learning_rate: of Adam, both networks; the discriminator's betas are (0, 0.99).
        final_learning_rate: what it falls to along a cosine; None keeps it.
        r1_gamma, r1_mask_gamma, r1_interval: weights of R1 on image and mask, and steps between evaluations.
        mask_weight: weight of mask regularisation (eq. 5).
        path_weight, path_interval: the same for path length, evaluated on half a batch; 0 switches it off.
        mixing_probability: how often a second latent takes over shapes and textures.
        noise: feed random noise to the render net.
        guidance: weight of the comparison with paired pictures, 0 for none; items then need a `code`.
        attribute_weight: with guidance and a parser, weight of what it reads beside the other comparisons.
        adversarial_weight: weight of the generator's adversarial loss.
        adversarial_from: with guidance, images after which the discriminator learns and counts.
        discriminator_interval: steps between updates of the discriminator; pairs guide the generator meanwhile.
        generator_momentum: first beta of the generator's Adam; comparing with pairs allows more than a game does.
        mapped_from: with guidance, images after which half of each batch comes from random latents.
        image_only: train without masks, for adaptation.
        freeze_shapes: keep mapping network, coordinates and everything that makes depths as they are.
        ema_images: half-life of the generator's moving average, at most a twentieth of the images so far.
        mirror: flip half of the pictures; not together with guidance, whose codes do not turn with them.
        seed: of everything random.
        save_images: images between checkpoints; `sample_images` between sample grids.
    """

    resolution: int = 256
    class_names: tuple[str, ...] = CLASSES
    transparent_classes: tuple[str, ...] = ("glasses", "earrings")
    latent_dim: int = 512
    num_mapping_layers: int = 8
    mapping_width: int | None = None
    mapping_lr_multiplier: float = 0.01
    coarse_resolution: int = 64
    min_resolution: int = 16
    local_layers: int = 10
    base_layers: int = 2
    depth_layers: int = 6
    local_width: int = 64
    feature_width: int = 512
    channels: dict[str, int] = field(default_factory=dict)
    discriminator_channels: dict[str, int] = field(default_factory=dict)
    mask_resolution: int = 256
    images: int = 4_800_000
    batch_size: int = 8
    learning_rate: float = 2e-3
    final_learning_rate: float | None = None
    r1_gamma: float = 10.0
    r1_mask_gamma: float = 1000.0
    r1_interval: int = 16
    mask_weight: float = 100.0
    path_weight: float = 0.5
    path_interval: int = 4
    mixing_probability: float = 0.3
    noise: bool = True
    guidance: float = 0.0
    attribute_weight: float = 0.3
    adversarial_weight: float = 1.0
    adversarial_from: int = 0
    discriminator_interval: int = 1
    generator_momentum: float = 0.0
    mapped_from: int = 0
    image_only: bool = False
    freeze_shapes: bool = False
    ema_images: int = 10_000
    mirror: bool = False
    seed: int = 0
    save_images: int = 4_000
    sample_images: int = 4_000

    @property
    def noise_mode(self) -> NoiseMode:
        """Noise of the generator while it trains."""
        return "random" if self.noise else "none"


_PORTRAITS = SemanticStyleGANTraining(
    resolution=128,
    latent_dim=LATENT_DIM,
    num_mapping_layers=MAPPING_LAYERS,
    mapping_width=MAPPING_WIDTH,
    mapping_lr_multiplier=1,
    coarse_resolution=32,
    min_resolution=16,
    local_layers=8,
    base_layers=3,
    depth_layers=6,
    local_width=32,
    feature_width=64,
    channels={"32": 64, "64": 32, "128": 24},
    # As in `sfhub.training.guided`, whose discriminator can judge here, too (`discriminator_from`).
    discriminator_channels={"4": 128, "8": 128, "16": 128, "32": 64, "64": 32, "128": 32},
    mask_resolution=64,
    images=40_000,
    batch_size=16,
    learning_rate=2.5e-3,
    final_learning_rate=2.5e-4,
    # What works for images of this size and networks this small, see `sfhub.training.stylegan2`.
    r1_gamma=0.2,
    r1_mask_gamma=2.0,
    mask_weight=10.0,
    path_weight=0.0,
    noise=False,
    guidance=1.0,
    adversarial_weight=0.2,
    adversarial_from=28_000,
    generator_momentum=0.9,
    mapped_from=1_000_000,
    ema_images=4_000,
)

PRESETS: dict[str, SemanticStyleGANTraining] = {
    # All but the last layers of the portraits generator, to see early whether it goes well.
    "portraits64": replace(_PORTRAITS, resolution=64, images=24_000, adversarial_from=24_001),
    # The shipped configuration; goes on from portraits64 (`--init-from`) or starts afresh.
    "portraits128": _PORTRAITS,
    # The paper's configuration, for CelebAMask-HQ.
    "celebamask256": SemanticStyleGANTraining(),
}


def adaptation(config: SemanticStyleGANTraining) -> SemanticStyleGANTraining:
    """Settings for fine-tuning a trained model on images without masks (sec. 5.3).

    The mask branch goes, guidance stops, and what makes shapes stays as it is, so that regions keep their places and
    local control; "hundreds of steps" are enough in the paper, a few thousand for a small network.
    """
    return replace(
        config,
        image_only=True,
        freeze_shapes=True,
        guidance=0.0,
        adversarial_weight=1.0,
        discriminator_interval=1,
        generator_momentum=0.0,
        images=6_000,
        learning_rate=1e-3,
        final_learning_rate=None,
        ema_images=2_000,
    )


class Batch(NamedTuple):
    """Real pictures as the networks see them.

    Attributes:
        image: `[B, 3, H, W]` in [-1, 1].
        mask: `[B, K, h, w]` at the discriminator's resolution, 1 inside a class and -1 outside; None without masks.
        labels: `[B, H, W]` int64, or None.
        code, target, visible: `[B, A]`, attribute codes, attribute vectors and which columns show, or None.
    """

    image: Tensor
    mask: Tensor | None
    labels: Tensor | None
    code: Tensor | None
    target: Tensor | None = None
    visible: Tensor | None = None


def train_semantic_stylegan(
    config: SemanticStyleGANTraining,
    dataset: Dataset,
    out_dir: str | Path,
    *,
    accelerator: Accelerator | None = None,
    init_from: str | Path | None = None,
    parser: PortraitParser | None = None,
    discriminator_from: str | Path | None = None,
    workers: int = 0,
    callback: Callable[[dict[str, float]], None] | None = None,
) -> SemanticStyleGANGenerator:
    """Train or adapt a generator, or go on where a checkpoint in `out_dir` left off.

    Args:
        config: settings; a resumed training must use the same network sizes.
        dataset: items are dicts of uint8 `image` `[3, H, W]` and `mask` `[H, W]`, with guidance also `code` `[A]`;
            with `image_only`, dicts of `image` or plain images.
        out_dir: receives `checkpoint.safetensors`, `ema/` (loads with `SemanticStyleGANGenerator.from_pretrained`),
            `samples/*.png` (images and masks), `depths/*.png` and `log.jsonl`.
        accelerator: device, mixed precision and processes; `Accelerator()` if None. With several processes each takes
            `batch_size` images per step.
        init_from: a checkpoint to start from: of a lower resolution, or the model to adapt.
        parser: with guidance, reads whether pictures show the attributes of their codes.
        discriminator_from: a checkpoint of a StyleGAN2 whose discriminator, of the same channels, becomes the image
            branch: its features compare pictures well from the first step.
        workers: data loading processes.
        callback: gets every log record.

    Returns:
        The moving-average generator.

    Raises:
        InputError: for fewer images than one batch, a checkpoint of other sizes, items that lack a mask or a code, or
            guidance of a mapping network of other sizes than `set_mapping` needs.
    """
    accelerator = accelerator or Accelerator()
    device, world, out_dir = accelerator.device, accelerator.num_processes, Path(out_dir)
    per_step = config.batch_size * world
    _check_items(dataset[0], config)
    out_dir.mkdir(parents=True, exist_ok=True)

    # Build. The weights get a stream of their own: latents drawn from the same seed would repeat the first weights.
    torch.manual_seed(WEIGHTS_STREAM + config.seed)
    torch.set_flush_denormal(True)  # the moving average of tiny numbers would slow a CPU down many times
    G, D = build_networks(config)
    code_masks = CodeMasks(G) if config.guidance else None
    if init_from is not None:
        _start_from(G, D, init_from)
    if discriminator_from is not None:
        _take_discriminator(D, discriminator_from)
    if config.guidance:  # w is the attribute code; there is nothing to learn about it
        set_mapping(G.mapping_network)
        G.mapping_network.requires_grad_(False)
    checkpoint = out_dir / "checkpoint.safetensors"
    G, D = (network.to(device, memory_format=torch.channels_last).train() for network in (G, D))
    if config.freeze_shapes:
        _freeze_shapes(G)
    attribute_loss = measured_parser(parser, dataset, device) if parser is not None and config.guidance else None
    ema = copy.deepcopy(G).eval().requires_grad_(False)
    optimizers = {
        name: torch.optim.Adam(network.parameters(), lr=config.learning_rate, betas=(momentum, 0.99), fused=True)
        for name, network, momentum in (("optimizer_g", G, config.generator_momentum), ("optimizer_d", D, 0.0))
    }
    path_mean = torch.zeros([], device=device)

    # Restore.
    step = 0
    modules = {"generator": G, "discriminator": D, "ema": ema}
    if checkpoint.is_file():
        progress = load_checkpoint(checkpoint, modules, optimizers)
        step, path_mean = progress["images"] // per_step, torch.tensor(progress["path_mean"], device=device)
        logger.info("Going on from %s at %d images.", checkpoint, progress["images"])

    order = BatchOrder(
        len(dataset), config.batch_size, seed=config.seed, first_step=step, rank=accelerator.process_index, world=world
    )
    batches = image_batches(dataset, order, workers=workers)
    total_steps = math.ceil(config.images / per_step)
    recorder = Recorder(
        out_dir, accelerator, total=total_steps * per_step, initial=step * per_step, unit="image", callback=callback
    )
    while step < total_steps:
        images = step * per_step
        random = step_generator(config.seed, step, accelerator.process_index, device)
        _set_learning_rate(config, optimizers, step / total_steps)
        real = _prepare(next(batches), config, random, device)
        adversarial = not config.guidance or images >= config.adversarial_from
        paired = _paired_count(config, images)

        # One set of generated images for both updates: of the codes of real pictures, then of random latents.
        with accelerator.autocast():
            w_plus = _mixed_w(G, config, config.batch_size - paired, random)
            if paired:
                w_plus = torch.cat([w_of_codes(real.code[:paired], G.n_latent), w_plus])
            fake = G.synthesis(w_plus, config.noise_mode, generator=random)
            fake_mask = None if config.image_only else _resize(fake.mask, config.mask_resolution)

        # Discriminator: real against generated, R1 on image and mask every r1_interval steps.
        if adversarial and step % config.discriminator_interval == 0:
            with accelerator.autocast():
                real_logits = D(real.image, real.mask)
                fake_logits = D(fake.image.detach(), None if fake_mask is None else fake_mask.detach())
                loss = discriminator_loss(real_logits.float(), fake_logits.float())
            accelerator.backward(loss)
            recorder.add(loss_d=loss, sign_real=real_logits.sign().mean())
            if step % config.r1_interval == 0:
                penalties = _r1_penalties(D, real)
                weights = (config.r1_gamma, config.r1_mask_gamma)
                weighted = sum(gamma / 2 * value for gamma, value in zip(weights, penalties, strict=False))
                accelerator.backward(weighted * config.r1_interval)
                recorder.add(**dict(zip(("r1", "r1_mask"), penalties, strict=False)))
            optimizer_step(optimizers["optimizer_d"], accelerator)

        # Generator: fool the discriminator, resemble the paired pictures, keep the mask near the coarse one (eq. 5).
        D.requires_grad_(False)
        with accelerator.autocast():
            residual = mask_regularisation(fake)
            loss = config.mask_weight * residual
            recorder.add(mask_residual=residual)
            if paired:
                guide, parts = guidance_loss(fake, real.image[:paired], real.mask, real.labels[:paired])
                loss = loss + config.guidance * guide
                recorder.add(**parts)
            if paired and attribute_loss is not None:
                seen = attribute_loss.parser(fake.image[:paired]).attributes
                error = attribute_loss(seen, real.target[:paired], real.visible[:paired])
                loss = loss + config.guidance * config.attribute_weight * error
                recorder.add(attributes=error)
            if adversarial:
                logits, features = judge(D, fake.image, fake_mask)
                loss_g = generator_loss(logits.float())
                loss = loss + config.adversarial_weight * loss_g
                recorder.add(loss_g=loss_g)
                if paired:
                    feature = matching_loss(D, features, real.image[:paired], real.mask[:paired])
                    loss = loss + config.guidance * feature
                    recorder.add(feature=feature)
        accelerator.backward(loss)
        D.requires_grad_(True)
        if config.path_weight and step % config.path_interval == 0:
            lengths, path_mean = _path_regulariser(G, config, path_mean, random, accelerator)
            recorder.add(path_length=lengths)
        optimizer_step(optimizers["optimizer_g"], accelerator)
        if code_masks is not None:
            code_masks.apply(G)
        update_average(ema, G, 0.5 ** (per_step / max(min(config.ema_images, images / 20), 1e-8)))
        step += 1
        recorder.advance(per_step)

        # Status, samples and checkpoint.
        done = step == total_steps
        if passes(step, per_step, 1_000) or done:
            recorder.write({"images": step * per_step})
        if accelerator.is_main_process and (passes(step, per_step, config.sample_images) or done):
            save_samples(ema, out_dir, f"{step * per_step:07d}.png")
        if accelerator.is_main_process and (passes(step, per_step, config.save_images) or done):
            state = {"images": step * per_step, "path_mean": path_mean.item()}
            save_checkpoint(checkpoint, modules, optimizers, state | {"config": asdict(config)})
            set_mean_w(ema)
            ema.save_pretrained(out_dir / "ema")
    recorder.close()
    accelerator.wait_for_everyone()
    set_mean_w(ema)
    return ema


def build_networks(
    config: SemanticStyleGANTraining,
) -> tuple[SemanticStyleGANGenerator, SemanticStyleGANDiscriminator]:
    """Generator and discriminator with random weights; without masks the discriminator has no mask branch."""
    unknown = [name for name in config.transparent_classes if name not in config.class_names]
    if unknown:
        raise InputError(f"The transparent class {unknown[0]!r} is none of {', '.join(config.class_names)}.")
    G = SemanticStyleGANGenerator(
        resolution=config.resolution,
        z_dim=config.latent_dim,
        w_dim=config.latent_dim,
        num_mapping_layers=config.num_mapping_layers,
        mapping_width=config.mapping_width,
        mapping_lr_multiplier=config.mapping_lr_multiplier,
        num_classes=len(config.class_names),
        class_names=list(config.class_names),
        transparent_classes=[config.class_names.index(name) for name in config.transparent_classes],
        coarse_resolution=config.coarse_resolution,
        min_resolution=config.min_resolution,
        local_layers=config.local_layers,
        base_layers=config.base_layers,
        depth_layers=config.depth_layers,
        local_width=config.local_width,
        feature_width=config.feature_width,
        channels=config.channels or None,
    )
    D = SemanticStyleGANDiscriminator(
        resolution=config.resolution,
        mask_resolution=config.mask_resolution,
        num_classes=len(config.class_names),
        channels=config.discriminator_channels or None,
    )
    if config.image_only:
        D.mask_branch = None
    return G, D


def mask_regularisation(output: SemanticStyleGANOutput) -> Tensor:
    """Eq. 5, as the official code computes it: mean squared difference of reduced fine mask and coarse mask."""
    reduced = F.adaptive_avg_pool2d(output.mask.float(), output.coarse_mask.shape[-2:])
    return (reduced - output.coarse_mask.float()).square().mean()


def _check_items(item: dict[str, Tensor] | Tensor, config: SemanticStyleGANTraining) -> None:
    names = item.keys() if isinstance(item, dict) else {"image"}
    wanted = ["image"] + ["mask"] * (not config.image_only) + ["code"] * bool(config.guidance)
    missing = [name for name in wanted if name not in names]
    if missing:
        raise InputError(
            f"The training items hold {', '.join(names)}, but these settings need {missing[0]}, too; give such data, "
            "or switch off what needs it (guidance for codes; adapt a trained model for images without masks)."
        )
    if config.guidance and config.mirror:
        raise InputError("Guidance excludes mirroring; let the data set turn pictures and codes together.")


def _prepare(
    batch: dict[str, Tensor] | Tensor, config: SemanticStyleGANTraining, random: torch.Generator, device: torch.device
) -> Batch:
    """uint8 pictures and labels -> what the networks take, half of them flipped if `mirror`."""
    batch = batch if isinstance(batch, dict) else {"image": batch}
    image = batch["image"].to(device).float() / 127.5 - 1
    labels = None if config.image_only else batch["mask"].to(device).long()
    if config.mirror:
        flip = torch.rand(len(image), 1, 1, generator=random, device=device) < 0.5
        image = torch.where(flip[:, None], image.flip(3), image)
        labels = labels if labels is None else torch.where(flip, labels.flip(2), labels)
    image = image.contiguous(memory_format=torch.channels_last)
    mask = None
    if labels is not None:
        mask = F.one_hot(labels, len(config.class_names)).permute(0, 3, 1, 2).float() * 2 - 1
        mask = _resize(mask, config.mask_resolution).contiguous(memory_format=torch.channels_last)
    codes = [batch[name].to(device) for name in ("code", "target", "visible") if config.guidance and name in batch]
    return Batch(image, mask, labels, *codes or [None])


def _resize(mask: Tensor, side: int) -> Tensor:
    """Masks `[B, K, H, W]` averaged down to `side`."""
    return mask if mask.shape[-1] == side else F.adaptive_avg_pool2d(mask, side)


def _paired_count(config: SemanticStyleGANTraining, images: int) -> int:
    """How many of a batch are generated from codes of real pictures."""
    if not config.guidance:
        return 0
    return config.batch_size if images < config.mapped_from else config.batch_size // 2


def _mixed_w(
    G: SemanticStyleGANGenerator, config: SemanticStyleGANTraining, batch: int, random: torch.Generator
) -> Tensor:
    """W+ `[batch, n_latent, w_dim]` of random latents, mixed within every local generator (sec. 3.1).

    In an image that is mixed, each class keeps all codes, takes its texture or takes shape and texture from a second
    latent, one as often as the other; the base codes stay the first's.
    """
    device, classes = random.device, G.config.num_classes
    z = torch.randn(2 * batch, config.latent_dim, generator=random, device=device)
    w_plus, other = G.mapping(z).chunk(2)
    mix = torch.rand(batch, 1, 1, generator=random, device=device) < config.mixing_probability
    share = torch.randint(3, (batch, classes, 1), generator=random, device=device)
    taken = torch.cat([share == 2, share >= 1], dim=2).flatten(1)[:, :, None]  # shape and texture of class 0, 1, ...
    base = torch.zeros(batch, G.config.base_layers, 1, dtype=torch.bool, device=device)
    return torch.where(mix & torch.cat([base, taken], dim=1), other, w_plus)


def _r1_penalties(D: SemanticStyleGANDiscriminator, real: Batch) -> list[Tensor]:
    """Mean squared norms of the gradient of D at real images and, with masks, at their masks."""
    inputs = [value.detach().requires_grad_(True) for value in (real.image, real.mask) if value is not None]
    gradients = torch.autograd.grad(D(*inputs).sum(), inputs, create_graph=True)
    return [gradient.square().sum(dim=(1, 2, 3)).mean() for gradient in gradients]


def _path_regulariser(
    G: SemanticStyleGANGenerator,
    config: SemanticStyleGANTraining,
    path_mean: Tensor,
    random: torch.Generator,
    accelerator: Accelerator,
) -> tuple[Tensor, Tensor]:
    """Back-propagate (||J_w^T y|| - a)^2, a being the running mean length; return mean length and the new a."""
    w_plus = _mixed_w(G, config, max(1, config.batch_size // 2), random).requires_grad_(True)
    lengths = path_lengths(G.synthesis(w_plus, config.noise_mode, generator=random).image, w_plus, random)
    path_mean = path_mean.lerp(accelerator.reduce(lengths.detach().mean(), "mean"), 0.01)
    penalty = (lengths - path_mean).square().mean()
    accelerator.backward(penalty * (config.path_weight * config.path_interval))
    return lengths.mean(), path_mean


def _set_learning_rate(
    config: SemanticStyleGANTraining, optimizers: dict[str, torch.optim.Optimizer], progress: float
) -> None:
    """Let the rate fall along half a cosine, `progress` from 0 to 1."""
    if config.final_learning_rate is None:
        return
    low, high = config.final_learning_rate, config.learning_rate
    for optimizer in optimizers.values():
        for group in optimizer.param_groups:
            group["lr"] = low + (high - low) * (0.5 + 0.5 * math.cos(math.pi * progress))


@torch.no_grad()
def _start_from(G: SemanticStyleGANGenerator, D: SemanticStyleGANDiscriminator, checkpoint: str | Path) -> None:
    """Take over the layers of another training so that both networks start where they stopped.

    At a higher resolution new output layers start at zero, so the picture is the old one enlarged; the new frequency
    of the position features starts unheard; and a new first block of the discriminator that keeps the number of
    channels starts as plain down-sampling, so that the verdict is the old one on the small picture.
    """
    missing = load_matching(G, checkpoint, "ema")
    if len(missing) == len(G.state_dict()):
        raise InputError(f"Nothing in {checkpoint} fits this generator; start from a training with the same channels.")
    for name in missing:
        if name.startswith(("render_net.to_rgbs", "render_net.to_masks")) and name.endswith(".weight"):
            nn.init.zeros_(G.get_parameter(name))
    if "position_weight" in missing:
        stored = read_checkpoint(checkpoint)[0]["ema/position_weight"]
        heard = min(stored.shape[1], G.position_weight.shape[1])
        G.position_weight.zero_()  # its columns are divided by the square root of their number at run time
        G.position_weight[:, :heard] = stored[:, :heard] * math.sqrt(G.position_weight.shape[1] / stored.shape[1])
    new = set(load_matching(D, checkpoint, "discriminator"))
    for name, block in D.image_branch.blocks.items():
        if f"image_branch.blocks.{name}.skip.weight" in new and "image_branch.entry.weight" not in new:
            nn.init.zeros_(block.conv1.weight)
            gain = block.skip.weight_gain * math.sqrt(0.5)  # equalisation and the block's own scaling
            block.skip.weight.copy_(torch.eye(len(block.skip.weight))[:, :, None, None] / gain)


def _take_discriminator(D: SemanticStyleGANDiscriminator, checkpoint: str | Path) -> None:
    """Start image branch and epilogue from the discriminator of a StyleGAN2 training."""
    prefix = "discriminator/"
    tensors = read_checkpoint(checkpoint)[0]
    stored = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
    own = D.state_dict()
    renamed = {}
    for name in own:
        source = name.removeprefix("image_branch.").replace("entry.", "from_rgb.")
        if source in stored and stored[source].shape == own[name].shape:
            renamed[name] = stored[source]
    wanted = [name for name in own if name.startswith(("image_branch.", "epilogue."))]
    missing = [name for name in wanted if name not in renamed]
    if missing:
        raise InputError(
            f"The discriminator in {checkpoint} does not fit: {missing[0]} is missing or has another shape; "
            "take a checkpoint of the same resolution and channels."
        )
    D.load_state_dict(renamed, strict=False)


def _freeze_shapes(G: SemanticStyleGANGenerator) -> None:
    """Let no gradient reach what decides on depths: mapping, coordinates, shape layers, depth heads."""
    G.mapping_network.requires_grad_(False)
    G.position_weight.requires_grad_(False)
    local = G.local_generators
    for parameter in (local.depth_weight, local.depth_modulation, local.depth_bias):
        parameter.requires_grad_(False)
    texture = torch.arange(len(local.weight)) >= local.depth_layers
    for parameter in (local.weight, local.bias, local.affine_weight, local.affine_bias):
        keep = texture.to(parameter).view(-1, *[1] * (parameter.ndim - 1))
        parameter.register_hook(lambda gradient, keep=keep: gradient * keep)


@torch.no_grad()
def save_samples(
    G: SemanticStyleGANGenerator,
    out_dir: Path,
    name: str,
    *,
    count: int = 32,
    seed: int = 1_000,
    truncation_psi: float = 0.7,
) -> None:
    """Write uncurated samples, the same latents every time: `samples/` holds images beside their masks, `depths/`
    the first eight images beside the pseudo-depths of all classes (fig. 22), dark behind and light in front."""
    set_mean_w(G)
    z = torch.randn(count, G.config.z_dim, generator=torch.Generator().manual_seed(seed)).to(G.position_weight.device)
    outputs = [G(part, truncation_psi=truncation_psi) for part in z.split(8)]
    image = torch.cat([output.image for output in outputs]).cpu().clamp(-1, 1) / 2 + 0.5
    labels = torch.cat([output.mask.argmax(dim=1) for output in outputs]).cpu()
    colours = PALETTE[labels % len(PALETTE)].permute(0, 3, 1, 2) / 255
    _save_grid(torch.cat([image, colours], dim=3), out_dir / "samples" / name, columns=4)

    depths = outputs[0].depths.float().cpu()
    low, high = depths.amin(dim=(1, 2, 3), keepdim=True), depths.amax(dim=(1, 2, 3), keepdim=True)
    depths = F.interpolate((depths - low) / (high - low).clamp(min=1e-6), image.shape[-2:])
    rows = torch.cat([image[: len(depths), None], depths[:, :, None].expand(-1, -1, 3, -1, -1)], dim=1)
    _save_grid(rows.flatten(0, 1), out_dir / "depths" / name, columns=rows.shape[1])


def _save_grid(images: Tensor, path: Path, columns: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_image(images, path, nrow=columns)
