"""Public files of edit directions -> edits, without running anything that they carry.

Read are InterFaceGAN's boundaries (`.pt` and `.npy`, `[1, 512]`, `[512]`, `[18, 512]` or `[1, 18, 512]`), GANSpace's
components (`ffhq_pca.pt`: mean, comp and std) and, for texts, StyleCLIP's relevance of every style channel to CLIP
(`fs3.npy`). The files do not say which generator they are of, so lengths are compared and a file of another one is
refused by name.
"""

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sfhub.editing.edits import Direction
from sfhub.editing.ganspace import Components, ffhq_edits
from sfhub.editing.spaces import CodeSpace
from sfhub.errors import InputError
from sfhub.models.style_space import StyleLayout, standard_channels

from .files import safe_load

__all__ = ["load_clip_relevance", "load_components", "load_directions"]

RANGE = (-5.0, 5.0)
"""Of directions whose range nobody measured: the factors that encoder4editing offers."""

MAX_BYTES = 2**30
NUMPY = b"\x93NUMPY"


def load_directions(path: str | Path, space: CodeSpace, name: str | None = None) -> list[Direction]:
    """The edits in a public file of directions.

    Args:
        path: a `.pt`, `.npy` or `.safetensors` file: one direction, several by name, or GANSpace's components of FFHQ,
            which give the 44 edits that their authors named.
        space: of the generator that they are for. Rows for layers beyond those that it has, of more pixels, are left
            out; a direction of equal rows is one in W.
        name: of a single direction; the file's if None.

    Raises:
        InputError: if the file cannot be read, holds something else, or is for another generator.
    """
    path = Path(path)
    root = _read(path)
    if _is_components(root):
        components = _components(root, path.name)
        _check_width(components.vectors.shape[1], space, path.name)
        return list(ffhq_edits(components, space.num_ws))
    if isinstance(root, (Tensor, np.ndarray)):
        root = {name or path.stem: root}
    if (
        not isinstance(root, Mapping)
        or not root
        or not all(isinstance(each, (Tensor, np.ndarray)) for each in root.values())
    ):
        raise InputError(
            f"{path.name} holds no edit directions: give a tensor [1, 512] or [18, 512], or GANSpace's components."
        )
    return [_direction(str(key), torch.as_tensor(value).float(), space, path.name) for key, value in root.items()]


def load_components(path: str | Path) -> Components:
    """The components in a file of GANSpace: a dict of mean `[1, w_dim]`, comp `[n, 1, w_dim]` and std `[n]`.

    Raises:
        InputError: if the file cannot be read or holds something else.
    """
    path = Path(path)
    root = _read(path)
    if not _is_components(root):
        raise InputError(
            f"{path.name} holds no components of GANSpace, which are mean, comp and std; give ffhq_pca.pt or its like."
        )
    return _components(root, path.name)


def load_clip_relevance(path: str | Path, layout: StyleLayout) -> Tensor:
    """What StyleCLIP's `fs3.npy` knows: how moving each style channel of the convolutions moves CLIP's image embedding.

    Args:
        path: the file.
        layout: of the generator that it shall be for.

    Returns:
        `[conv_size, clip_dim]`, unit rows, in the order of S.

    Raises:
        InputError: if the file cannot be read, or is for a generator of other channels.
    """
    path = Path(path)
    found = _read(path)
    found = torch.as_tensor(found).float() if isinstance(found, (Tensor, np.ndarray)) else torch.zeros(0)
    if found.ndim != 2 or not bool(torch.isfinite(found).all()):
        raise InputError(f"{path.name} holds no matrix of channels by CLIP dimensions; give StyleCLIP's fs3.npy.")
    if len(found) != layout.conv_size:
        made_for = next(
            (f"one of {side} pixels" for side in (256, 512, 1024) if _conv_size(side) == len(found)), "another"
        )
        raise InputError(
            f"{path.name} is for a generator of {len(found)} convolution channels ({made_for}), but this one has "
            f"{layout.conv_size}; use the file that was made with this generator."
        )
    return found


def _conv_size(resolution: int) -> int:
    """Styles of the convolutions of the official configuration."""
    table = list(standard_channels(resolution).values())
    return table[0] + sum(before + here for before, here in itertools.pairwise(table))


def _read(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            start = file.read(len(NUMPY))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check the name and its permissions.") from error
    return _read_array(path) if start == NUMPY else safe_load(path)


def _read_array(path: Path) -> np.ndarray:
    """An array of plain numbers from a `.npy` file whose header has been compared with its length."""
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
            shape, _, dtype = header(file)
            size = int(np.prod(shape, dtype=np.float64)) * dtype.itemsize
            if dtype.kind not in "fiu" or size > MAX_BYTES or size > path.stat().st_size:
                raise ValueError(f"{dtype} of shape {shape}")
            file.seek(0)
            return np.lib.format.read_array(file, allow_pickle=False)
    except (ValueError, KeyError, OSError, SyntaxError, EOFError) as error:
        raise InputError(f"{path.name} was not opened because it is no array of plain numbers, or damaged.") from error


def _is_components(root: Any) -> bool:
    return isinstance(root, Mapping) and {"mean", "comp", "std"} <= root.keys()


def _components(root: Mapping[str, Any], name: str) -> Components:
    mean, comp, std = (torch.as_tensor(root[key]).float() for key in ("mean", "comp", "std"))
    mean, comp, std = mean.reshape(-1), comp.flatten(1), std.reshape(-1)
    fine = comp.ndim == 2 and comp.shape == (len(std), len(mean)) and all(map(_finite, (mean, comp, std)))
    if not fine:
        raise InputError(f"The components in {name} do not fit together; download it again.")
    return Components(mean, comp, std)


def _finite(x: Tensor) -> bool:
    return bool(torch.isfinite(x).all())


def _direction(name: str, value: Tensor, space: CodeSpace, file: str) -> Direction:
    value = value[0] if value.ndim == 3 and len(value) == 1 else value
    if value.ndim not in (1, 2) or not _finite(value):
        raise InputError(
            f"{name} in {file} has shape {list(value.shape)}; a direction is [1, w_dim] or [layers, w_dim]."
        )
    _check_width(value.shape[-1], space, file)
    rows = value[None] if value.ndim == 1 else value
    about = {"file": file}
    if bool((rows == rows[:1]).all()):
        return Direction(name, "w", rows[0].clone(), range=RANGE, about=about)
    if len(rows) < space.num_ws:
        raise InputError(
            f"{name} in {file} is for a generator of {len(rows)} layers, but this one has {space.num_ws}; use one made "
            "for this generator."
        )
    return Direction(name, "w+", rows[: space.num_ws].clone(), range=RANGE, about=about)


def _check_width(width: int, space: CodeSpace, file: str) -> None:
    if width != space.w_dim:
        raise InputError(
            f"{file} is for a generator whose w has {width} dimensions, but that of this one has {space.w_dim}; use a "
            "file made for this generator."
        )
