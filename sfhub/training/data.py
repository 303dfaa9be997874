"""Training images: rendered portraits or a folder of pictures, in an order that a resumed training repeats exactly.

Items are uint8 images `[3, H, W]`, or, for networks that know regions, dicts of `image` with `mask` (uint8 class
numbers `[H, W]`) and, where the picture is known as a function of a code, that `code` (`PairedPortraits`).
"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from sfhub.errors import InputError
from sfhub.images.folders import UNREADABLE, first_readable, image_paths, read_image
from sfhub.portraits import (
    ATTRIBUTE_VECTOR_NAMES,
    ATTRIBUTES,
    CLASSES,
    attribute_vector,
    attribute_visibility,
    sample_attributes,
)
from sfhub.portraits.latents import LATENT_DIM, attribute_code, attributes_from_latents, mean_code, truncate
from sfhub.training.render_cache import rendered_folder

__all__ = [
    "BatchOrder",
    "ImageMaskFolder",
    "MaskedPortraits",
    "PairedPortraits",
    "RenderedPortraits",
    "StyledPortraits",
    "image_batches",
    "mirror_signs",
    "with_even_kinds",
]

logger = logging.getLogger(__name__)

SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that exchange width and height

Item = dict[str, Tensor]


class RenderedPortraits(Dataset):
    """Rendered portraits with masks, kept as uint8 arrays on disk so that each is rendered once.

    Args:
        count: how many.
        resolution: side in pixels.
        seed: of the attribute draw.
        cache_dir: where the arrays are kept; a later run with the same three numbers opens them again, unless the
            portraits are drawn differently now (`sfhub.training.render_cache`).

    Attributes:
        images: `[count, 3, H, W]`, uint8.
        masks: `[count, H, W]`, uint8 class numbers.
        attributes: of every portrait, by name, `[count]`.
    """

    _kind = "portraits"
    _style: str | None = None

    def __init__(self, count: int, resolution: int, seed: int = 0, cache_dir: str | Path = "runs/data"):
        folder = Path(cache_dir) / f"{self._kind}-{resolution}-{count}-{seed}"
        folder = rendered_folder(folder, *self._draw(count, seed), resolution, self._style)
        self.attributes = _columns(folder / "attributes.npy", ATTRIBUTES)
        self.images = np.load(folder / "images.npy", mmap_mode="r")
        self.masks = np.load(folder / "masks.npy", mmap_mode="r")

    def _draw(self, count: int, seed: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Attributes `[count]` by name, and arrays `[count, ...]` to be kept beside the pictures."""
        return sample_attributes(count, seed=seed), {}

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        """Image `[3, H, W]`, uint8."""
        return torch.from_numpy(self.images[index].copy())


class PairedPortraits(RenderedPortraits):
    """Rendered portraits together with the codes that a generator should make them from.

    Every second portrait is truncated by a random psi in [0.5, 1], so that a generator trained on the pairs also knows
    what truncation should give. In a third of the portraits the kinds (hat, beard, pattern, ...) are drawn evenly, so
    that rare ones are learned, too. With `mirror` the second half of the data set is the first one turned left to
    right.

    Args:
        count, resolution, seed, cache_dir: as for `RenderedPortraits`.
        mirror: serve the mirrored portraits, too, which doubles the length.

    Attributes:
        codes: `[count, A]`, attribute codes after truncation; kept beside the pictures that were rendered from them.
        targets, visible: `[count, A]`, attribute vectors, and which of their columns the picture shows.
    """

    _kind = "paired"

    def __init__(
        self,
        count: int,
        resolution: int,
        seed: int = 0,
        cache_dir: str | Path = "runs/data",
        mirror: bool = False,
    ):
        super().__init__(count, resolution, seed, cache_dir)
        self.codes = torch.from_numpy(np.load(Path(self.images.filename).with_name("codes.npy")))
        self.targets, self.visible = attribute_vector(self.attributes), attribute_visibility(self.attributes)
        self.mirror = mirror
        self._turned = mirror_signs()

    def _draw(self, count: int, seed: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        random = torch.Generator().manual_seed(seed)
        attributes = attributes_from_latents(torch.randn(count, LATENT_DIM, generator=random))
        attributes = with_even_kinds(attributes, torch.rand(count, generator=random) < 1 / 3, random)
        psi = 1 - 0.5 * torch.rand(count, generator=random)
        psi[::2] = 1
        mean = mean_code()
        codes = mean + psi[:, None] * (attribute_code(attributes) - mean)
        return truncate(attributes, mean, psi), {"codes": codes}

    def __len__(self) -> int:
        return len(self.images) * (2 if self.mirror else 1)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """`image` `[3, H, W]` and `mask` `[H, W]`, uint8; `code`, `target` and `visible` `[A]`."""
        turned, index = divmod(index, len(self.images))
        image, mask = torch.from_numpy(self.images[index].copy()), torch.from_numpy(self.masks[index].copy())
        signs = self._turned if turned else torch.ones(())
        return {
            "image": image.flip(-1) if turned else image,
            "mask": mask.flip(-1) if turned else mask,
            "code": self.codes[index] * signs,
            "target": self.targets[index] * signs,
            "visible": self.visible[index],
        }


def mirror_signs() -> Tensor:
    """Factor of every column of an attribute vector or code, `[A]`, that belongs to the mirrored portrait."""
    signs = [-1.0 if ATTRIBUTES.get(name) and ATTRIBUTES[name].odd else 1.0 for name in ATTRIBUTE_VECTOR_NAMES]
    return torch.tensor(signs)


def with_even_kinds(attributes: dict[str, Tensor], chosen: Tensor, random: torch.Generator) -> dict[str, Tensor]:
    """Attributes of which each kind (hat, beard, ...) of the chosen portraits is, as often as not, drawn evenly.

    Args:
        attributes: of B portraits.
        chosen: `[B]` bool.
        random: source of the draws.
    """
    changed = dict(attributes)
    for name, item in ATTRIBUTES.items():
        if item.choices:
            drawn = torch.randint(len(item.choices), chosen.shape, generator=random).float()
            taken = chosen & (torch.rand(chosen.shape, generator=random) < 0.5)
            changed[name] = torch.where(taken, drawn, attributes[name])
    tall = [ATTRIBUTES["hair_style"].choices.index(style) for style in ("afro", "bun")]
    changed["hat"] = changed["hat"].masked_fill(torch.isin(changed["hair_style"], torch.tensor(tall)), 0)
    return changed


class MaskedPortraits(RenderedPortraits):
    """Rendered portraits whose items are `{"image", "mask"}`."""

    def __getitem__(self, index: int) -> Item:
        """Image `[3, H, W]` and mask `[H, W]`, both uint8."""
        return {"image": super().__getitem__(index), "mask": torch.from_numpy(self.masks[index].copy())}


class StyledPortraits(RenderedPortraits):
    """Rendered portraits in another style, images only: what a model is adapted to.

    Args:
        count, resolution, seed, cache_dir: as for `RenderedPortraits`.
        style: a name of `sfhub.portraits.styles.STYLES`.
    """

    def __init__(self, count: int, resolution: int, style: str, seed: int = 0, cache_dir: str | Path = "runs/data"):
        self._kind, self._style = f"portraits-{style}", style
        super().__init__(count, resolution, seed, cache_dir)


def _columns(path: Path, names: Sequence[str]) -> dict[str, Tensor]:
    """The columns of a stored array `[count, names]` by name."""
    return dict(zip(names, torch.from_numpy(np.load(path)).T.contiguous(), strict=True))


class ImageMaskFolder(Dataset):
    """Pictures and their masks, matched by file name, cropped and resized together.

    An image that cannot be read, or whose mask cannot, is named in the log and replaced by the next one.

    Args:
        images: folder searched recursively.
        masks: folder with one mask per image at the same relative path, in PNG or BMP: one label per pixel.
        resolution: side in pixels after cropping to a square.
        classes: names of the classes; labels are their indices.

    Raises:
        InputError: if a folder does not exist or is empty, if a mask is missing or differs in size from its image;
            when an item is read, for a mask with colours or with labels out of range.
    """

    def __init__(self, images: str | Path, masks: str | Path, resolution: int, classes: Sequence[str] = CLASSES):
        images, masks = Path(images), Path(masks)
        paths = image_paths(images)
        found = {path.relative_to(masks).with_suffix(""): path for path in image_paths(masks)}
        keys = [path.relative_to(images).with_suffix("") for path in paths]
        missing = [path for path, key in zip(paths, keys, strict=True) if key not in found]
        if missing:
            raise InputError(
                f"{len(missing)} of {len(paths)} images have no mask in {str(masks)!r}, the first is "
                f"{str(missing[0])!r}; give every image a mask of the same name."
            )
        self._paths = [(path, found[key]) for path, key in zip(paths, keys, strict=True)]
        self._resolution, self._classes = resolution, tuple(classes)
        for image, mask in self._paths:
            _check_sizes(image, mask)

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> Item:
        """Image `[3, H, W]` and mask `[H, W]`, both uint8."""
        return first_readable(self._paths, index, self._read)

    def _read(self, paths: tuple[Path, Path]) -> Item:
        image = read_image(paths[0], self._resolution)
        with Image.open(paths[1]) as opened:
            if len(opened.getbands()) != 1:
                raise InputError(
                    f"The mask {str(paths[1])!r} is in colours ({opened.mode}); give one with a label from 0 to "
                    f"{len(self._classes) - 1} in each pixel."
                )
            labels = ImageOps.fit(opened, (self._resolution, self._resolution), Image.Resampling.NEAREST)
        labels = np.asarray(labels)
        if labels.max() >= len(self._classes):
            raise InputError(
                f"The mask {str(paths[1])!r} holds label {labels.max()}, but there are {len(self._classes)} classes, "
                f"0 to {len(self._classes) - 1}; remap the labels or name more classes."
            )
        return {"image": image, "mask": torch.from_numpy(labels.astype(np.uint8))}


def _check_sizes(image: Path, mask: Path) -> None:
    """Compare sizes by the headers alone, so that thirty thousand pairs take seconds."""
    try:
        with Image.open(image) as a, Image.open(mask) as b:
            size, mask_size = a.size, b.size
            if a.getexif().get(ExifTags.Base.Orientation) in SIDEWAYS:
                size = size[::-1]
    except UNREADABLE:
        return  # named and left out when its turn comes
    if size != mask_size:
        raise InputError(
            f"The image {str(image)!r} measures {size[0]} x {size[1]} pixels and its mask {mask_size[0]} x "
            f"{mask_size[1]}; give masks of the size of their images."
        )


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


def image_batches(dataset: Dataset, order: BatchOrder, *, workers: int = 0) -> Iterator[Tensor | dict[str, Tensor]]:
    """Batches `[B, 3, H, W]`, uint8, in the given order (dictionaries of batches if the items are dictionaries)."""
    return iter(DataLoader(dataset, batch_sampler=order, num_workers=workers))
