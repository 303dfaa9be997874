"""Renders that are kept on disk: made once, gone on with where a killed run stopped, never taken for those of today.

A folder holds `images.npy`, `masks.npy`, `attributes.npy` and what else belongs to the pictures. Its name says which
portraits they are, but not by which version of `sfhub.portraits` they were drawn, so whoever opens it draws the
attributes again and renders a few of the pictures (about a hundredth of the work of a large set). If they are not those
in the folder, it is left alone, because an older checkout may train on it, and the new pictures go into a folder
beside it, `NAME.1`, `NAME.2` and so on.
"""

import json
import logging
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from filelock import FileLock
from torch import Tensor
from tqdm.auto import tqdm

from sfhub.files import write_atomically
from sfhub.portraits import ATTRIBUTES, attribute_visibility, render
from sfhub.portraits.attributes import attribute_columns
from sfhub.portraits.styles import stylise

__all__ = ["rendered_folder"]

logger = logging.getLogger(__name__)

CHUNK = 64
"""Portraits rendered at a time; a killed run loses as many at most."""

PROBES = 64
"""Pictures that are rendered again when a folder is opened."""

SAME_LEVELS, SAME_SHARE = 2, 1e-4
"""Pictures are the same if no more than that share of their values is further apart: another number of threads or
another processor rounds differently."""

COLUMN_SHARE = 1e-3
"""The same for each attribute: among thousands of portraits, rounding may give one another kind."""

FORGOTTEN = 7 * 24 * 3600
"""Seconds after which nobody will go on with an unfinished folder."""

PROGRESS = "progress.json"


def rendered_folder(
    folder: Path, attributes: Mapping[str, Tensor], beside: Mapping[str, Tensor], resolution: int, style: str | None
) -> Path:
    """The folder with these renders; they are made, or finished, if there is none.

    Args:
        folder: where they belong. Several processes may ask at once; one of them renders.
        attributes: of N portraits, by name, `[N]`.
        beside: further arrays `[N, ...]` that are kept as `NAME.npy`.
        resolution: side in pixels.
        style: a name of `sfhub.portraits.styles.STYLES`, or None.

    Returns:
        `folder`, or one beside it if that holds pictures of another version.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    arrays = {"attributes": torch.stack([attributes[name] for name in ATTRIBUTES], dim=1), **beside}
    with FileLock(folder.with_name(f".{folder.name}.lock")):
        candidates = [folder, *(folder.with_name(f"{folder.name}.{number}") for number in range(1, 100))]
        for candidate in filter(Path.is_dir, candidates):
            if _shows(candidate, attributes, arrays, resolution, style, len(arrays["attributes"])):
                return candidate
            logger.warning(
                "The pictures in %s were drawn by another version of the renderer and are left alone; remove the "
                "folder if nothing trains on it any more.",
                candidate,
            )
        target = next(candidate for candidate in candidates if not candidate.exists())
        partial = folder.with_name(f"{folder.name}.partial")
        _sweep(folder, partial)
        _render_into(partial, attributes, arrays, resolution, style)
        os.replace(partial, target)
        (target / PROGRESS).unlink()
    return target


def _render_into(
    partial: Path, attributes: Mapping[str, Tensor], arrays: Mapping[str, Tensor], resolution: int, style: str | None
) -> None:
    """Render all portraits into a folder, or those that a killed run has left over."""
    count = len(arrays["attributes"])
    done = _rendered_so_far(partial)
    if not (done and _shows(partial, attributes, arrays, resolution, style, done)):
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        for name, values in arrays.items():
            np.save(partial / f"{name}.npy", values.numpy())
        done, shape = 0, (count, 3, resolution, resolution)
        np.lib.format.open_memmap(partial / "images.npy", mode="w+", dtype=np.uint8, shape=shape)
        np.lib.format.open_memmap(partial / "masks.npy", mode="w+", dtype=np.uint8, shape=(count, *shape[2:]))
    images, masks = (np.load(partial / f"{name}.npy", mmap_mode="r+") for name in ("images", "masks"))
    with tqdm(total=count, initial=done, desc="Rendering portraits", unit="image") as bar:
        for start in range(done, count, CHUNK):
            part = slice(start, min(start + CHUNK, count))
            images[part], masks[part] = _rendered(attributes, part, resolution, style)
            images.flush()
            masks.flush()
            write_atomically(partial / PROGRESS, json.dumps({"rendered": part.stop}).encode())
            bar.update(part.stop - part.start)


def _rendered_so_far(partial: Path) -> int:
    try:
        return json.loads((partial / PROGRESS).read_text())["rendered"]
    except (OSError, ValueError):
        return 0


def _rendered(
    attributes: Mapping[str, Tensor], part: slice | Tensor, resolution: int, style: str | None
) -> tuple[np.ndarray, np.ndarray]:
    """Images `[n, 3, H, W]` and masks `[n, H, W]` of some portraits, both uint8."""
    values = {name: values[part] for name, values in attributes.items()}
    rendered = render(values, resolution=resolution)
    image = rendered.image
    if style is not None:  # drawn at twice the size, for smooth lines
        image = F.avg_pool2d(stylise(render(values, resolution=2 * resolution).image, style), 2)
    return ((image + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).numpy(), rendered.mask.numpy()


def _shows(
    folder: Path,
    attributes: Mapping[str, Tensor],
    arrays: Mapping[str, Tensor],
    resolution: int,
    style: str | None,
    done: int,
) -> bool:
    """Whether the first `done` pictures of a folder are those that would be rendered today."""
    try:
        stored = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in (*arrays, "images", "masks")}
    except (OSError, ValueError):
        return False
    for name, values in arrays.items():
        if stored[name].shape != tuple(values.shape):
            return False
        differs = np.abs(stored[name] - values.numpy()) > 1e-3
        if differs.mean(axis=0).max() > COLUMN_SHARE:
            return False
    probes = _probes(attributes, done)
    images, masks = _rendered(attributes, probes, resolution, style)
    if stored["images"].shape[1:] != images.shape[1:] or len(stored["images"]) != len(arrays["attributes"]):
        return False
    return _same(stored["images"][probes], images, SAME_LEVELS) and _same(stored["masks"][probes], masks, 0)


def _probes(attributes: Mapping[str, Tensor], done: int) -> Tensor:
    """Which pictures are looked at: one of every kind (hat, beard, ...) that shows, and others spread evenly."""
    known = {name: values[:done] for name, values in attributes.items()}
    visible = attribute_visibility(known)
    chosen = torch.linspace(0, done - 1, min(done, PROBES)).long().tolist()
    for name, columns in attribute_columns().items():
        for code in range(len(ATTRIBUTES[name].choices)):
            shown = ((known[name] == code) & (visible[:, columns.start] > 0)).nonzero()
            chosen += shown[:1, 0].tolist()
    return torch.tensor(sorted(set(chosen)))


def _same(stored: np.ndarray, wanted: np.ndarray, tolerance: float) -> bool:
    """Whether all but a tiny share of the values agree."""
    return (np.abs(stored.astype(np.float32) - wanted) > tolerance).mean() <= SAME_SHARE


def _sweep(folder: Path, partial: Path) -> None:
    """Remove what killed runs have left and nobody goes on with: folders not written to for a week, and unfinished
    ones of the same portraits that carry the number of a process, as earlier versions made them, once it has ended."""
    for path in folder.parent.glob("*.partial"):
        if path == partial or not path.is_dir():
            continue
        process = path.name.removeprefix(f"{folder.name}.").removesuffix(".partial")
        if (process.isdecimal() and not _is_alive(int(process))) or time.time() - path.stat().st_mtime > FORGOTTEN:
            logger.info("Removing %s, which a killed run has left.", path)
            shutil.rmtree(path, ignore_errors=True)


def _is_alive(process: int) -> bool:
    import psutil  # comes with accelerate

    return psutil.pid_exists(process)
