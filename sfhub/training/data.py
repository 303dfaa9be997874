"""Training images: rendered portraits or a folder of pictures, in an order that a resumed training repeats exactly."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm

from sfhub.errors import InputError
from sfhub.portraits import render, sample_attributes
from sfhub.portraits.latents import LATENT_DIM, attribute_code, attributes_from_latents, mean_code, truncate

__all__ = ["BatchOrder", "ImageFolder", "PairedPortraits", "RenderedPortraits", "image_batches"]

logger = logging.getLogger(__name__)

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}


class RenderedPortraits(Dataset):
    """Rendered portraits with masks, kept as uint8 arrays on disk so that each is rendered once.

    Args:
        count: how many.
        resolution: side in pixels.
        seed: of the attribute draw.
        cache_dir: where the arrays are kept; a later run with the same three numbers opens them again.

    Attributes:
        images: `[count, 3, H, W]`, uint8.
        masks: `[count, H, W]`, uint8 class numbers.
        attributes: what `sample_attributes` drew.
    """

    _kind = "portraits"

    def __init__(self, count: int, resolution: int, seed: int = 0, cache_dir: str | Path = "runs/data"):
        folder = Path(cache_dir) / f"{self._kind}-{resolution}-{count}-{seed}"
        self.attributes = self._draw(count, seed)
        if not folder.is_dir():
            _render_to(folder, self.attributes, resolution)
        self.images = np.load(folder / "images.npy", mmap_mode="r")
        self.masks = np.load(folder / "masks.npy", mmap_mode="r")

    def _draw(self, count: int, seed: int) -> dict[str, Tensor]:
        return sample_attributes(count, seed=seed)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        """Image `[3, H, W]`, uint8."""
        return torch.from_numpy(self.images[index].copy())


class PairedPortraits(RenderedPortraits):
    """Rendered portraits together with the latents and codes that a generator should make them from.

    Every second portrait is truncated by a random psi in [0.5, 1], so that a generator trained on the pairs also knows
    what truncation should give.

    Args:
        count, resolution, seed, cache_dir: as for `RenderedPortraits`.

    Attributes:
        latents: `[count, LATENT_DIM]`, see `sfhub.portraits.latents`.
        psi: `[count]`, 1 for the portraits that are not truncated.
        codes: `[count, A]`, attribute codes after truncation.
    """

    _kind = "paired"

    def _draw(self, count: int, seed: int) -> dict[str, Tensor]:
        random = torch.Generator().manual_seed(seed)
        self.latents = torch.randn(count, LATENT_DIM, generator=random)
        self.psi = 1 - 0.5 * torch.rand(count, generator=random)
        self.psi[::2] = 1
        attributes, mean = attributes_from_latents(self.latents), mean_code()
        self.codes = mean + self.psi[:, None] * (attribute_code(attributes) - mean)
        return truncate(attributes, mean, self.psi)


def _render_to(folder: Path, attributes: dict[str, Tensor], resolution: int, chunk: int = 64) -> None:
    """Render in chunks into a temporary folder that takes its name when complete."""
    count = len(next(iter(attributes.values())))
    partial = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
    partial.mkdir(parents=True)
    shape = (count, 3, resolution, resolution)
    images = np.lib.format.open_memmap(partial / "images.npy", mode="w+", dtype=np.uint8, shape=shape)
    masks = np.lib.format.open_memmap(partial / "masks.npy", mode="w+", dtype=np.uint8, shape=(count, *shape[2:]))
    with tqdm(total=count, desc="Rendering portraits", unit="image") as bar:
        for start in range(0, count, chunk):
            part = slice(start, min(start + chunk, count))
            rendered = render({name: values[part] for name, values in attributes.items()}, resolution=resolution)
            images[part] = ((rendered.image + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).numpy()
            masks[part] = rendered.mask.numpy()
            bar.update(part.stop - part.start)
    images.flush()
    masks.flush()
    os.replace(partial, folder)


class ImageFolder(Dataset):
    """All pictures below a folder, centre-cropped and resized.

    A picture that cannot be read is named in the log and replaced by the next one, so that one broken file among
    thousands does not end a training.

    Args:
        folder: searched recursively for PNG, JPEG, WebP and BMP.
        resolution: side in pixels after cropping to a square.

    Raises:
        InputError: if the folder does not exist or holds no picture.
    """

    def __init__(self, folder: str | Path, resolution: int):
        folder = Path(folder)
        if not folder.is_dir():
            raise InputError(f"There is no folder {str(folder)!r}; give one that holds training images.")
        self._paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
        if not self._paths:
            raise InputError(f"The folder {str(folder)!r} holds no PNG, JPEG, WebP or BMP image to train on.")
        self._resolution = resolution

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> Tensor:
        """Image `[3, H, W]`, uint8."""
        for offset in range(min(len(self), 100)):
            path = self._paths[(index + offset) % len(self)]
            try:
                with Image.open(path) as opened:
                    image = ImageOps.exif_transpose(opened).convert("RGB")
            except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
                logger.warning("Leaving out %s, which cannot be read: %s", path, error)
                continue
            image = ImageOps.fit(image, (self._resolution, self._resolution), Image.Resampling.LANCZOS)
            return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)
        raise InputError(f"A hundred images in a row from {self._paths[index]} on cannot be read; check the folder.")


class BatchOrder:
    """Endless batches of indices: a fresh permutation per epoch, a function of seed and step alone.

    Starting at `first_step` yields exactly what an uninterrupted run would yield from there.
    """

    def __init__(
        self, size: int, batch_size: int, *, seed: int = 0, first_step: int = 0, rank: int = 0, world: int = 1
    ):
        if size < batch_size * world:
            raise InputError(f"{size} images are fewer than one batch of {batch_size * world}; lower the batch size.")
        self.size, self.batch_size, self.seed = size, batch_size, seed
        self.first_step, self.rank, self.world = first_step, rank, world

    def __iter__(self) -> Iterator[list[int]]:
        per_step = self.batch_size * self.world
        steps_per_epoch = self.size // per_step
        step, epoch, order = self.first_step, -1, None
        while True:
            if step // steps_per_epoch != epoch:
                epoch = step // steps_per_epoch
                order = np.random.default_rng((self.seed, epoch)).permutation(self.size)
            start = (step % steps_per_epoch) * per_step + self.rank * self.batch_size
            yield order[start : start + self.batch_size].tolist()
            step += 1


def image_batches(dataset: Dataset, order: BatchOrder, *, workers: int = 0) -> Iterator[Tensor]:
    """Batches `[B, 3, H, W]`, uint8, in the given order."""
    return iter(DataLoader(dataset, batch_sampler=order, num_workers=workers))
