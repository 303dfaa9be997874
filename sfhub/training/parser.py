"""Training the portrait parser on renders: cross-entropy for the mask, regression and cross-entropy for attributes.

The parser later looks at *generated* portraits, a little blurred and noisy, so training images are degraded at random.
It trains from nothing in well under an hour on two CPU cores, so there is no resume: a crash costs the run.
"""

import json
import logging
import math
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor
from tqdm.auto import tqdm

from sfhub.metrics.attributes import attribute_scores
from sfhub.portraits import ATTRIBUTES, CLASSES, attribute_vector, attribute_visibility
from sfhub.portraits.attributes import attribute_columns
from sfhub.portraits.parser import ParserOutput, PortraitParser
from sfhub.training.data import RenderedPortraits

__all__ = ["ParserTraining", "evaluate_parser", "train_parser"]

logger = logging.getLogger(__name__)


@dataclass
class ParserTraining:
    """Settings of one training.

    Attributes:
        resolution: side of the images in pixels.
        steps, batch_size, learning_rate: of Adam with a cosine schedule.
        attribute_weight: weight of the attribute losses beside the mask's cross-entropy.
        held_out: portraits at the end of the data set kept for `evaluate_parser`.
        seed: of the order and the degradations.
    """

    resolution: int = 128
    steps: int = 4_000
    batch_size: int = 16
    learning_rate: float = 2e-3
    attribute_weight: float = 1.0
    held_out: int = 1_000
    seed: int = 0


def train_parser(
    config: ParserTraining, dataset: RenderedPortraits, out_dir: str | Path, *, accelerator: Accelerator | None = None
) -> PortraitParser:
    """Train a parser on renders, write it to `out_dir` with `metrics.json`, and return it.

    Args:
        config: settings.
        dataset: rendered portraits at `config.resolution`.
        out_dir: receives the network (`PortraitParser.from_pretrained`) and its figures on held-out renders.
        accelerator: device and mixed precision.
    """
    accelerator = accelerator or Accelerator()
    device = accelerator.device
    torch.manual_seed(config.seed)
    torch.set_flush_denormal(True)
    parser = PortraitParser(resolution=config.resolution).to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(parser.parameters(), lr=config.learning_rate, weight_decay=1e-3, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, total_steps=config.steps)
    targets, visible = attribute_vector(dataset.attributes), attribute_visibility(dataset.attributes)
    random = torch.Generator().manual_seed(config.seed)
    bar = tqdm(range(config.steps), unit="step", disable=not accelerator.is_main_process)
    for _ in bar:
        index = torch.randint(len(dataset) - config.held_out, (config.batch_size,), generator=random)
        index = index.sort().values  # the order in which they lie on disk
        image, mask = _batch(dataset, index, device)
        with accelerator.autocast():
            output = parser(degrade(image, random))
        mask_loss = F.cross_entropy(output.logits.float(), mask)
        value_loss = attribute_loss(output.attributes.float(), targets[index].to(device), visible[index].to(device))
        accelerator.backward(mask_loss + config.attribute_weight * value_loss)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        schedule.step()
        bar.set_postfix(mask=f"{mask_loss.item():.3f}", attributes=f"{value_loss.item():.3f}", refresh=False)
    parser.eval()
    metrics = evaluate_parser(parser, dataset, config.held_out)
    if accelerator.is_main_process:
        parser.save_pretrained(out_dir)
        (Path(out_dir) / "metrics.json").write_text(json.dumps(metrics, indent=1))
    return parser


def degrade(images: Tensor, random: torch.Generator) -> Tensor:
    """Half of the images `[B, 3, H, W]` blurred by down- and up-scaling, all with a little noise and gain."""
    batch, _, height, width = images.shape
    scale = 0.4 + 0.6 * torch.rand(1, generator=random).item()
    small = F.interpolate(
        images, (math.ceil(height * scale), math.ceil(width * scale)), mode="bilinear", antialias=True
    )
    blurred = F.interpolate(small, (height, width), mode="bilinear")
    choose = (torch.rand(batch, 1, 1, 1, generator=random) < 0.5).to(images.device)
    gain = 1 + 0.05 * torch.randn(batch, 3, 1, 1, generator=random)
    noise = 0.03 * torch.rand(batch, 1, 1, 1, generator=random) * torch.randn(images.shape, generator=random)
    return torch.where(choose, blurred, images) * gain.to(images.device) + noise.to(images.device)


def attribute_loss(values: Tensor, target: Tensor, visible: Tensor) -> Tensor:
    """Mean over attributes of squared error (continuous) or cross-entropy (categorical).

    Args:
        values, target: predicted and true attribute vectors, `[B, A]`.
        visible: `[B, A]`, 0 where the picture does not show an attribute (the colour of a hat that is not worn).
    """
    losses = []
    for name, columns in attribute_columns().items():
        seen = visible[:, columns.start]
        if ATTRIBUTES[name].choices:
            error = F.cross_entropy(values[:, columns], target[:, columns].argmax(dim=1), reduction="none")
        else:
            error = 4 * (values[:, columns.start] - target[:, columns.start]).square()
        losses.append((error * seen).sum() / seen.sum().clamp(min=1))
    return torch.stack(losses).mean()


@torch.no_grad()
def evaluate_parser(parser: PortraitParser, dataset: RenderedPortraits, held_out: int) -> dict[str, dict[str, float]]:
    """Intersection over union per class; R^2 or accuracy per visible attribute; on the last `held_out` renders."""
    attributes = {name: value[-held_out:] for name, value in dataset.attributes.items()}
    targets, visible = attribute_vector(attributes), attribute_visibility(attributes)
    device = next(parser.parameters()).device
    confusion = torch.zeros(len(CLASSES), len(CLASSES))
    values = []
    for index in torch.arange(len(dataset) - held_out, len(dataset)).split(50):
        image, mask = _batch(dataset, index, device)
        output: ParserOutput = parser(image)
        pairs = mask.flatten() * len(CLASSES) + output.logits.argmax(dim=1).flatten()
        confusion += torch.bincount(pairs.cpu(), minlength=confusion.numel()).view_as(confusion)
        values.append(output.attributes.cpu())
    overlap = confusion.diag() / (confusion.sum(0) + confusion.sum(1) - confusion.diag()).clamp(min=1)
    scores = attribute_scores(torch.cat(values), targets, visible)
    return {"iou": dict(zip(CLASSES, overlap.tolist(), strict=True)), "attributes": scores}


def _batch(dataset: RenderedPortraits, index: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
    """Images `[B, 3, H, W]` in [-1, 1] and masks `[B, H, W]` int64 of the given portraits."""
    image = torch.from_numpy(dataset.images[index.numpy()]).to(device).float() / 127.5 - 1
    mask = torch.from_numpy(dataset.masks[index.numpy()]).to(device).long()
    return image.contiguous(memory_format=torch.channels_last), mask
