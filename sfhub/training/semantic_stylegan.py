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
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import Dataset

from sfhub.errors import InputError
from sfhub.models.semantic_stylegan import SemanticStyleGANGenerator, SemanticStyleGANOutput
from sfhub.models.semantic_stylegan_discriminator import SemanticStyleGANDiscriminator
from sfhub.models.style_space import set_mean_w
from sfhub.portraits.latents import set_mapping, w_of_codes
from sfhub.portraits.parser import PortraitParser
from sfhub.training.losses import discriminator_loss, generator_loss, path_lengths
from sfhub.training.pair_losses import measured_parser
from sfhub.training.run import Run, is_under_way, optimizer_step, step_generator
from sfhub.training.samples import save_semantic_samples
from sfhub.training.semantic_guidance import CodeMasks, guidance_loss, judge, matching_loss
from sfhub.training.semantic_settings import PRESETS, SemanticStyleGANTraining, adaptation
from sfhub.training.stylegan2 import WEIGHTS_STREAM
from sfhub.training.surgery import start_semantic_from, take_discriminator

__all__ = ["PRESETS", "SemanticStyleGANTraining", "adaptation", "train_semantic_stylegan"]


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
    device, per_step = accelerator.device, config.batch_size * accelerator.num_processes
    _check_items(dataset[0], config)

    # Build. The weights get a stream of their own: latents drawn from the same seed would repeat the first weights.
    torch.manual_seed(WEIGHTS_STREAM + config.seed)
    torch.set_flush_denormal(True)  # the moving average of tiny numbers would slow a CPU down many times
    G, D = build_networks(config)
    code_masks = CodeMasks(G) if config.guidance else None
    begins = not is_under_way(out_dir)
    if init_from is not None and begins:
        start_semantic_from(G, D, init_from)
    if discriminator_from is not None and begins:
        take_discriminator(D, discriminator_from)
    if config.guidance:  # w is the attribute code; there is nothing to learn about it
        set_mapping(G.mapping_network)
        G.mapping_network.requires_grad_(False)
    G, D = (network.to(device, memory_format=torch.channels_last).train() for network in (G, D))
    if config.freeze_shapes:
        _freeze_shapes(G)
    attribute_loss = measured_parser(parser, dataset, device) if parser is not None and config.guidance else None
    ema = copy.deepcopy(G).eval().requires_grad_(False)
    optimizers = {
        name: torch.optim.Adam(network.parameters(), lr=config.learning_rate, betas=(momentum, 0.99), fused=True)
        for name, network, momentum in (("optimizer_g", G, config.generator_momentum), ("optimizer_d", D, 0.0))
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
        callback=callback,
    )
    path_mean = torch.tensor(run.restore().get("path_mean", 0.0), device=device)
    batches = run.batches(dataset, config.batch_size, config.seed, workers)
    while not run.is_done:
        step, images = run.step, run.count
        random = step_generator(config.seed, step, accelerator.process_index, device)
        _set_learning_rate(config, optimizers, run.share)
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
            run.note(loss_d=loss, sign_real=real_logits.sign().mean())
            if step % config.r1_interval == 0:
                penalties = _r1_penalties(D, real)
                weights = (config.r1_gamma, config.r1_mask_gamma)
                weighted = sum(gamma / 2 * value for gamma, value in zip(weights, penalties, strict=False))
                accelerator.backward(weighted * config.r1_interval)
                run.note(**dict(zip(("r1", "r1_mask"), penalties, strict=False)))
            optimizer_step(optimizers["optimizer_d"], accelerator)

        # Generator: fool the discriminator, resemble the paired pictures, keep the mask near the coarse one (eq. 5).
        D.requires_grad_(False)
        with accelerator.autocast():
            residual = mask_regularisation(fake)
            loss = config.mask_weight * residual
            run.note(mask_residual=residual)
            if paired:
                guide, parts = guidance_loss(fake, real.image[:paired], real.mask, real.labels[:paired])
                loss = loss + config.guidance * guide
                run.note(**parts)
            if paired and attribute_loss is not None:
                seen = parser(fake.image[:paired]).attributes
                error = attribute_loss(seen, real.target[:paired], real.visible[:paired])
                loss = loss + config.guidance * config.attribute_weight * error
                run.note(attributes=error)
            if adversarial:
                logits, features = judge(D, fake.image, fake_mask)
                loss_g = generator_loss(logits.float())
                loss = loss + config.adversarial_weight * loss_g
                run.note(loss_g=loss_g)
                if paired:
                    feature = matching_loss(D, features, real.image[:paired], real.mask[:paired])
                    loss = loss + config.guidance * feature
                    run.note(feature=feature)
        accelerator.backward(loss)
        D.requires_grad_(True)
        if config.path_weight and step % config.path_interval == 0:
            lengths, path_mean = _path_regulariser(G, config, path_mean, random, accelerator)
            run.note(path_length=lengths)
        optimizer_step(optimizers["optimizer_g"], accelerator)
        if code_masks is not None:
            code_masks.apply(G)
        run.update_average(ema, G, config.ema_images)
        run.advance()

        # Status, samples and checkpoint.
        if run.reaches(1_000):
            run.log()
        if run.is_main and run.reaches(config.sample_images):
            save_semantic_samples(ema, run.out_dir, f"{run.count:07d}.png")
        if run.reaches(config.save_images):
            run.save({"path_mean": path_mean.item(), "config": asdict(config)})
    run.close()
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
