"""CelebAMask-HQ (Lee et al., CVPR 2020) as image and mask folders with the 13 classes of SemanticStyleGAN.

The data set has 19 labels; left and right, lips and mouth, neck and necklace become one class each (Shi et al., CVPR
2022). Read through the `datasets` library, either from the Hub or from the folder of the official release, whose masks
are one file per part.
"""

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from sfhub.errors import InputError
from sfhub.portraits.classes import CLASSES

__all__ = ["PARTS", "merge_parts", "prepare_celebamask_hq", "remap_labels"]

logger = logging.getLogger(__name__)

PARTS: dict[str, str] = {
    "background": "background",
    "skin": "skin",
    "nose": "nose",
    "eye_g": "glasses",
    "l_eye": "eyes",
    "r_eye": "eyes",
    "l_brow": "brows",
    "r_brow": "brows",
    "l_ear": "ears",
    "r_ear": "ears",
    "mouth": "mouth",
    "u_lip": "mouth",
    "l_lip": "mouth",
    "hair": "hair",
    "hat": "hat",
    "ear_r": "earrings",
    "neck_l": "neck",
    "neck": "neck",
    "cloth": "clothes",
}
"""Label names of CelebAMask-HQ in the order of their numbers, and the class of each."""

# Where the parts of the release overlap, the later one wins; glasses come before eyes, which are seen through them.
PAINTING_ORDER = (
    *("skin", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "mouth", "l_lip", "u_lip", "nose", "hair"),
    *("l_ear", "r_ear", "neck", "neck_l", "cloth", "hat", "ear_r"),
)
_CLASS_OF_LABEL = np.array([CLASSES.index(name) for name in PARTS.values()], dtype=np.uint8)


def remap_labels(labels: np.ndarray) -> np.ndarray:
    """The 19 labels of CelebAMask-HQ -> indices of `CLASSES`, uint8 of the same shape.

    Raises:
        InputError: for labels out of range.
    """
    if labels.max(initial=0) >= len(PARTS):
        raise InputError(
            f"A mask holds label {labels.max()}, but CelebAMask-HQ has {len(PARTS)}, 0 to {len(PARTS) - 1}; give masks "
            "with its label numbers."
        )
    return _CLASS_OF_LABEL[labels]


def merge_parts(folder: Path, number: int) -> Image.Image:
    """One label picture of the part masks of an image in `CelebAMask-HQ-mask-anno`.

    Raises:
        InputError: if the image has no part masks.
    """
    merged = None
    for part in PAINTING_ORDER:
        path = folder / str(number // 2000) / f"{number:05d}_{part}.png"
        if path.is_file():
            with Image.open(path) as opened:
                drawn = np.asarray(opened.convert("L")) > 127
            merged = np.zeros(drawn.shape, np.uint8) if merged is None else merged
            merged[drawn] = list(PARTS).index(part)
    if merged is None:
        raise InputError(f"There are no part masks of image {number} in {str(folder)!r}; unpack the whole release.")
    return Image.fromarray(merged)


def prepare_celebamask_hq(source: str, out: str | Path, resolution: int, split: str = "train") -> int:
    """Write `images/*.png` and `masks/*.png` of one size, ready for `ImageMaskFolder`.

    Args:
        source: folder of the official release (with `CelebA-HQ-img` and `CelebAMask-HQ-mask-anno`), or what
            `datasets.load_dataset` takes, with columns `image` and `mask` (19 labels in the official order).
        out: folder to write to.
        resolution: side in pixels.
        split: of the data set on the Hub; the release has one.

    Returns:
        How many pairs were written; broken ones are named and left out.

    Raises:
        InputError: if the data set lacks a column or its masks are not label pictures.
    """
    out = Path(out)
    for name in ("images", "masks"):
        (out / name).mkdir(parents=True, exist_ok=True)
    dataset = _open(source, split)
    missing = {"image", "mask"} - set(dataset.column_names)
    if missing:
        raise InputError(
            f"The data set {source!r} has the columns {', '.join(dataset.column_names)}, but image and mask are "
            "needed; name another, or give the folder of the official release."
        )

    written = 0
    for index in range(len(dataset)):
        try:
            item = dataset[index]
            image, mask = item["image"], item["mask"]
            image.load(), mask.load()
        except OSError as error:
            logger.warning("Leaving out item %d of %s, which cannot be read: %s", index, source, error)
            continue
        if len(mask.getbands()) != 1:
            raise InputError(f"Mask {index} of {source!r} is in colours ({mask.mode}); give masks with label numbers.")
        size = (resolution, resolution)
        image = ImageOps.fit(image.convert("RGB"), size, Image.Resampling.LANCZOS)
        labels = remap_labels(np.asarray(ImageOps.fit(mask, size, Image.Resampling.NEAREST)))
        image.save(out / "images" / f"{index:05d}.png")
        Image.fromarray(labels).save(out / "masks" / f"{index:05d}.png")
        written += 1
    return written


def _open(source: str, split: str):
    """The data set with columns `image` and `mask`."""
    import datasets  # only this needs it

    release = Path(source)
    if not (release / "CelebAMask-HQ-mask-anno").is_dir():
        return datasets.load_dataset(source, split=split)
    features = datasets.Features({"image": datasets.Image(), "mask": datasets.Image()})
    return datasets.Dataset.from_generator(_release_pairs, features=features, gen_kwargs={"release": str(release)})


def _release_pairs(release: str) -> Iterator[dict]:
    images = sorted((Path(release) / "CelebA-HQ-img").glob("*.jpg"), key=lambda path: int(path.stem))
    for path in images:
        yield {"image": str(path), "mask": merge_parts(Path(release) / "CelebAMask-HQ-mask-anno", int(path.stem))}
