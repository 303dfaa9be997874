"""Sets of images, batch by batch, whose features the Fréchet distance compares: rendered, generated, from a folder."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from sfhub.images.folders import ImageFolder
from sfhub.portraits import render, sample_attributes
from sfhub.portraits.styles import stylise

__all__ = ["folder_images", "generated", "half_resolution", "renders"]

BATCH = 50


def renders(count: int, resolution: int, seed: int, style: str | None = None) -> Iterator[Tensor]:
    """Fresh portraits `[B, 3, H, W]` in [-1, 1]; take a seed that nothing was trained on.

    Args:
        count: how many in all.
        resolution: side in pixels.
        seed: of the attributes.
        style: a name of `sfhub.portraits.styles.STYLES`; as they are rendered if None.
    """
    attributes = sample_attributes(count, seed=seed)
    for start in tqdm(range(0, count, BATCH), desc=f"Renders of seed {seed}"):
        chunk = {name: values[start : start + BATCH] for name, values in attributes.items()}
        image = render(chunk, resolution=resolution).image
        yield image if style is None else stylise(image, style)


@torch.no_grad()
def generated(
    draw: Callable[[Tensor], Tensor], z_dim: int, count: int, seed: int, device: str | torch.device = "cpu"
) -> Iterator[Tensor]:
    """Images that a generator makes of random latents, clamped to [-1, 1] as they are when saved.

    Args:
        draw: latents `[B, z_dim]` -> images `[B, 3, H, W]`.
        z_dim: length of a latent.
        count: how many in all.
        seed: of the latents; not that of the renders to compare with, which are of the latents of their seed.
        device: where `draw` takes them.
    """
    source = torch.Generator().manual_seed(seed)
    for start in tqdm(range(0, count, BATCH), desc="Samples"):
        z = torch.randn(min(BATCH, count - start), z_dim, generator=source)
        yield draw(z.to(device)).clamp(-1, 1)


def half_resolution(batches: Iterable[Tensor]) -> Iterator[Tensor]:
    """The same images without their finest octave."""
    for images in batches:
        yield F.interpolate(F.avg_pool2d(images, 2), scale_factor=2, mode="bilinear")


def folder_images(folder: str | Path, count: int, resolution: int) -> Iterator[Tensor]:
    """The first `count` images of a folder, `[B, 3, H, W]` in [-1, 1]."""
    loaded = 0
    for batch in DataLoader(ImageFolder(folder, resolution), batch_size=BATCH):
        yield batch[: count - loaded] / 127.5 - 1
        loaded += len(batch)
        if loaded >= count:
            return
