"""Training the networks that look at portraits, on renders: the parser, and the judge that only measures.

The mask is learned by cross-entropy, attributes by regression in units of their variance and, for kinds, by
cross-entropy in which every kind counts the same however rare it is. The networks later look at *generated* portraits,
a little blurred and noisy, so training images are degraded at random, and every second one is mirrored. The network can
be used after two minutes, and is written with a checkpoint every two minutes from then on.
"""

import json
import math
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from diffusers import ModelMixin
from torch import Tensor

from sfhub.metrics.attributes import attribute_scores
from sfhub.portraits import CLASSES, attribute_vector, attribute_visibility
from sfhub.portraits.parser import PortraitParser
from sfhub.training.attribute_loss import balanced_loss
from sfhub.training.data import BatchOrder, RenderedPortraits, mirror_signs
from sfhub.training.run import Run, step_generator

__all__ = ["PRESETS", "ParserTraining", "evaluate_parser", "train_parser"]

FREE_SETTINGS = ("log_every", "save_every")
"""Settings that a training may change when it goes on."""


@dataclass
class ParserTraining:
    """Settings of one training.

    Attributes:
        steps, batch_size: length of the training.
        learning_rate: highest of AdamW's one cycle.
        attribute_weight: weight of the attribute losses beside the mask's cross-entropy.
        max_gradient: longer gradients are cut to this norm.
        held_out: portraits at the end of the data set kept for `evaluate_parser`.
        log_every: steps between two lines of `log.jsonl`.
        save_every: seconds between two writings of network and checkpoint.
        seed: of the order, the mirroring and the degradations.
    """

    steps: int = 4_000
    batch_size: int = 16
    learning_rate: float = 4e-3
    attribute_weight: float = 2.0
    max_gradient: float = 5.0
    held_out: int = 1_000
    log_every: int = 25
    save_every: float = 120.0
    seed: int = 0


PRESETS: dict[str, ParserTraining] = {
    "parser": ParserTraining(),
    "judge": ParserTraining(steps=3_000, learning_rate=2.5e-3, seed=1),
}


def train_parser(
    config: ParserTraining,
    dataset: RenderedPortraits,
    out_dir: str | Path,
    *,
    network: ModelMixin | None = None,
    accelerator: Accelerator | None = None,
) -> ModelMixin:
    """Train a network on renders, or go on where a checkpoint in `out_dir` left off; return it in evaluation mode.

    Args:
        config: settings; those of a training that goes on may differ in `log_every` and `save_every` only.
        dataset: rendered portraits.
        out_dir: receives the network (its `from_pretrained` opens it), `metrics.json`, its figures on held-out renders
            (on the first 200 of them while the training runs), `log.jsonl`, the losses, and `checkpoint.safetensors`.
        network: image -> output with `attributes` `[B, A]`, and with `logits` of the mask if it has any; a new
            `PortraitParser` of the data set's size if None.
        accelerator: device and mixed precision; one process.

    Raises:
        InputError: for fewer portraits than one batch beside those held out, or a checkpoint of other settings.
    """
    accelerator = accelerator or Accelerator()
    device = accelerator.device

    # Build.
    torch.manual_seed(config.seed)
    torch.set_flush_denormal(True)
    network = PortraitParser(resolution=dataset.images.shape[-1]) if network is None else network
    network = network.to(device, memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=0.01, fused=True)
    known = slice(0, len(dataset) - config.held_out)
    attribute_loss = balanced_loss(*_vectors(dataset, known)).to(device)
    by_class = class_weights(torch.tensor(dataset.masks[:500])).to(device)

    def write_results(folder: Path, state: Mapping[str, Any]) -> None:
        network.save_pretrained(folder)
        (folder / "metrics.json").write_text(json.dumps(state["metrics"], indent=1), encoding="utf-8")

    run = Run(
        out_dir,
        accelerator,
        modules={"network": network},
        optimizers={"optimizer": optimizer},
        length=config.steps,
        counter="step",
        write_results=write_results,
        settings={name: value for name, value in asdict(config).items() if name not in FREE_SETTINGS},
    )
    state = run.restore()
    schedule = _one_cycle(optimizer, config, run.step)
    batches = _batches(config, dataset, device, run.step)
    saved = time.monotonic()
    start = saved - state.get("seconds", 0.0)
    while not run.is_done:
        image, mask, target, visible = next(batches)
        with accelerator.autocast():
            output = network(image)
        losses = {"attributes": attribute_loss(output.attributes, target, visible)}
        loss = config.attribute_weight * losses["attributes"]
        if hasattr(output, "logits"):
            losses["mask"] = F.cross_entropy(output.logits.contiguous().float(), mask, by_class)
            loss = loss + losses["mask"]
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(network.parameters(), config.max_gradient)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        schedule.step()
        run.note(**losses)
        run.advance()

        # Status, network and checkpoint.
        seconds = time.monotonic() - start
        if run.reaches(config.log_every):
            speed = run.step * config.batch_size / seconds
            run.log({"seconds": round(seconds, 1), "images_per_second": round(speed, 1)})
        if run.is_done or time.monotonic() - saved > config.save_every:
            metrics = evaluate_parser(network, dataset, config.held_out, limit=None if run.is_done else 200)
            run.save({"metrics": metrics | {"step": run.step}, "seconds": seconds})
            saved = time.monotonic()
    run.close()
    return network.eval()


def _one_cycle(
    optimizer: torch.optim.Optimizer, config: ParserTraining, step: int
) -> torch.optim.lr_scheduler.OneCycleLR:
    """The schedule of learning rate and momentum, from that step on."""
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.learning_rate, total_steps=config.steps, pct_start=0.2
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the optimiser made these steps before it was restored
        for _ in range(step):
            schedule.step()
    return schedule


def _batches(
    config: ParserTraining, dataset: RenderedPortraits, device: torch.device, first_step: int = 0
) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Degraded images, masks, attribute vectors and their visibility, all but the held-out ones, again and again."""
    targets, visible = _vectors(dataset, slice(None))
    signs = mirror_signs()
    order = BatchOrder(len(dataset) - config.held_out, config.batch_size, seed=config.seed, first_step=first_step)
    for step, rows in enumerate(order, start=first_step):
        random = step_generator(config.seed, step, 0, torch.device("cpu"))
        index = torch.tensor(sorted(rows))  # the order in which they lie on disk
        turned = torch.rand(len(index), generator=random) < 0.5
        image, mask = _batch(dataset, index, device, turned)
        image = degrade(image, random).contiguous(memory_format=torch.channels_last)
        target = torch.where(turned[:, None], targets[index] * signs, targets[index])
        yield image, mask, target.to(device), visible[index].to(device)


def mirror(pictures: Tensor, turned: Tensor) -> Tensor:
    """Turn the chosen pictures or masks `[B, ..., W]` left to right; `turned` is `[B]` bool."""
    return torch.where(turned.view(-1, *[1] * (pictures.ndim - 1)), pictures.flip(-1), pictures)


def degrade(images: Tensor, random: torch.Generator) -> Tensor:
    """Half of the images `[B, 3, H, W]` blurred by down- and up-scaling, all with a little noise and gain."""
    batch, _, height, width = images.shape
    scale = 0.6 + 0.4 * torch.rand(1, generator=random).item()
    small = F.interpolate(
        images, (math.ceil(height * scale), math.ceil(width * scale)), mode="bilinear", antialias=True
    )
    blurred = F.interpolate(small, (height, width), mode="bilinear")
    choose = (torch.rand(batch, 1, 1, 1, generator=random) < 0.5).to(images.device)
    gain = 1 + 0.05 * torch.randn(batch, 3, 1, 1, generator=random)
    noise = 0.03 * torch.rand(batch, 1, 1, 1, generator=random) * torch.randn(images.shape, generator=random)
    return torch.where(choose, blurred, images) * gain.to(images.device) + noise.to(images.device)


def class_weights(masks: Tensor) -> Tensor:
    """Weight of every class in the mask's cross-entropy, `[classes]`, by its pixels in masks `[N, H, W]`, uint8.

    Small classes count a little more, so that brows and mouths are learned early; every pixel the same would leave
    them to the end.
    """
    share = torch.bincount(masks.flatten(), minlength=len(CLASSES)) / masks.numel()
    return share.clamp(min=1e-4) ** -0.4


@torch.no_grad()
def evaluate_parser(
    network: ModelMixin, dataset: RenderedPortraits, held_out: int, *, limit: int | None = None
) -> dict[str, dict[str, float]]:
    """What a network sees in the last `held_out` renders, or in the first `limit` of these.

    Returns:
        `attributes`: R^2 or balanced accuracy of every attribute where it is visible, see `attribute_scores`; `iou`:
        intersection over union per class, if the network has masks.
    """
    was_training = network.training
    network.eval()
    first = len(dataset) - held_out
    index = torch.arange(first, min(len(dataset), first + (limit or held_out)))
    targets, visible = _vectors(dataset, slice(first, first + len(index)))
    device = next(network.parameters()).device
    confusion, values = torch.zeros(len(CLASSES), len(CLASSES)), []
    for part in index.split(50):
        image, mask = _batch(dataset, part, device)
        output = network(image)
        values.append(output.attributes.cpu())
        if hasattr(output, "logits"):
            pairs = mask.flatten() * len(CLASSES) + output.logits.argmax(dim=1).flatten()
            confusion += torch.bincount(pairs.cpu(), minlength=confusion.numel()).view_as(confusion)
    network.train(was_training)
    metrics = {"attributes": attribute_scores(torch.cat(values), targets, visible)}
    if confusion.any():
        overlap = confusion.diag() / (confusion.sum(0) + confusion.sum(1) - confusion.diag()).clamp(min=1)
        metrics["iou"] = dict(zip(CLASSES, overlap.tolist(), strict=True))
    return metrics


def _vectors(dataset: RenderedPortraits, part: slice) -> tuple[Tensor, Tensor]:
    """Attribute vectors of some portraits and which of their columns show, `[N, A]`."""
    attributes = {name: value[part] for name, value in dataset.attributes.items()}
    return attribute_vector(attributes), attribute_visibility(attributes)


def _batch(
    dataset: RenderedPortraits, index: Tensor, device: torch.device, turned: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Images `[B, 3, H, W]` in [-1, 1] and masks `[B, H, W]` int64 of the given portraits, some of them mirrored."""
    image, mask = (torch.from_numpy(array[index.numpy()]) for array in (dataset.images, dataset.masks))
    if turned is not None:
        image, mask = mirror(image, turned), mirror(mask, turned)
    image = image.to(device).contiguous(memory_format=torch.channels_last)
    return image.float() / 127.5 - 1, mask.to(device).long()
