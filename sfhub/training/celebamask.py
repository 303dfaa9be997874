"""CelebAMask-HQ (Lee et al., CVPR 2020) as image and mask folders with the 13 classes of SemanticStyleGAN.

The data set has 19 labels; left and right, lips and mouth, neck and necklace become one class each (Shi et al., CVPR
2022). Read from the Hub through the `datasets` library, or from the folder of the official release, whose masks are one
file per part. Pairs that are written are not made again, so preparing goes on where it was stopped.
"""

import io
import logging
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps
from tqdm.auto import tqdm

from sfhub.errors import InputError
from sfhub.files import write_atomically
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
PNG_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"
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
    """Write `images/*.png` and `masks/*.png` of one size, ready for `ImageMaskFolder`, or go on with doing so.

    Args:
        source: folder of the official release (with `CelebA-HQ-img` and `CelebAMask-HQ-mask-anno`), or what
            `datasets.load_dataset` takes, with columns `image` and `mask` (19 labels in the official order).
        out: folder to write to.
        resolution: side in pixels.
        split: of the data set on the Hub; the release has one.

    Returns:
        How many pairs there are; broken ones are named and left out.

    Raises:
        InputError: if the data set lacks a column, its masks are not label pictures, or OUT holds pairs of another
            size.
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

    count, size = 0, (resolution, resolution)
    for index in tqdm(range(len(dataset)), desc="Preparing pairs", unit="pair"):
        paths = [out / name / f"{index:05d}.png" for name in ("images", "masks")]
        if all(_is_whole(path, size) for path in paths):
            count += 1
            continue
        try:
            item = dataset[index]
            image, mask = item["image"], item["mask"]
            image.load(), mask.load()
        except OSError as error:
            logger.warning("Leaving out item %d of %s, which cannot be read: %s", index, source, error)
            continue
        if len(mask.getbands()) != 1:
            raise InputError(f"Mask {index} of {source!r} is in colours ({mask.mode}); give masks with label numbers.")
        image = ImageOps.fit(image.convert("RGB"), size, Image.Resampling.LANCZOS)
        labels = remap_labels(np.asarray(ImageOps.fit(mask, size, Image.Resampling.NEAREST)))
        for path, picture in zip(paths, (image, Image.fromarray(labels)), strict=True):
            buffer = io.BytesIO()
            picture.save(buffer, "PNG")
            write_atomically(path, buffer.getvalue())
        count += 1
    return count


def _is_whole(path: Path, size: tuple[int, int]) -> bool:
    """Whether a picture was written to its end.

    Raises:
        InputError: if it has another size.
    """
    if not path.is_file():
        return False
    try:
        with Image.open(path) as opened:
            found = opened.size
    except OSError:
        return False
    if found != size:
        raise InputError(
            f"{path} measures {found[0]} x {found[1]} pixels where {size[0]} x {size[1]} are asked for now; choose "
            "another folder, or remove what is in this one."
        )
    with open(path, "rb") as file:
        file.seek(-len(PNG_END), io.SEEK_END)
        return file.read() == PNG_END


class _Release:
    """The official release in the form of a data set of the Hub."""

    column_names = ("image", "mask")

    def __init__(self, folder: Path):
        self._masks = folder / "CelebAMask-HQ-mask-anno"
        self._images = sorted((folder / "CelebA-HQ-img").glob("*.jpg"), key=lambda path: int(path.stem))

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> dict[str, Image.Image]:
        path = self._images[index]
        return {"image": Image.open(path), "mask": merge_parts(self._masks, int(path.stem))}


def _open(source: str, split: str) -> Any:
    """The data set with columns `image` and `mask`."""
    release = Path(source)
    if (release / "CelebAMask-HQ-mask-anno").is_dir():
        return _Release(release)
    import datasets  # only this needs it

    return datasets.load_dataset(source, split=split)
