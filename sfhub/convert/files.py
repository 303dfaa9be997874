"""`safe_load`: any checkpoint file -> plain data, whatever the file would like to do.

Recognises the format by its first bytes: safetensors, torch.save's zip and legacy formats, and NVIDIA's plain pickles;
files of other kinds are refused by name (a web page saved instead of a download, a Git LFS pointer, a picture). The
pickle formats go through `unpickler.py`, safetensors through its own library, which holds no code.
"""

from __future__ import annotations

import json
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError

from sfhub.errors import InputError

from .arrays import ARRAYS
from .nvidia import PERSISTENT
from .torch_files import NESTED, is_legacy, read_legacy, read_zip
from .unpickler import CONTAINERS, Budget, Refusal, Unpickler

__all__ = ["safe_load"]

MAX_FILE = 4 * 2**30  # ten times NVIDIA's largest
ALLOWED_GLOBALS = {**CONTAINERS, **ARRAYS, **NESTED, **PERSISTENT}
OTHER_KINDS = (
    (b"version https://git-lfs", "is a Git LFS pointer and not the file itself; run `git lfs pull`"),
    (b"\x89PNG", "is a PNG picture"),
    (b"\xff\xd8\xff", "is a JPEG picture"),
    (b"\x89HDF", "is an HDF5 (Keras) file, which is not supported"),
    (b"\x93NUMPY", "is a NumPy array; a checkpoint of a network is needed"),
    (b"\x1f\x8b", "is compressed with gzip; unpack it first"),
    (b"BZh", "is compressed with bzip2; unpack it first"),
    (b"7z\xbc\xaf", "is a 7-Zip archive; unpack it first"),
    (b"Rar!", "is a RAR archive; unpack it first"),
    (b"GGUF", "is a GGUF language model"),
)


def safe_load(path: str | Path) -> object:
    """Read a checkpoint without running, importing or trusting anything in it.

    Args:
        path: a `.pt`, `.pth`, `.pkl` or `.safetensors` file.

    Returns:
        What it holds, out of dict, list, tuple, set, numbers, text, bytes, CPU tensors, arrays and, for NVIDIA's
        pickles, `PersistentObject` records.

    Raises:
        InputError: if the file is missing, damaged, of another kind, or holds anything but data.
    """
    path = Path(path)
    try:
        data = _read(path)
        _check_kind(path, data)
        return _decode(data)
    except InputError:
        raise
    except Refusal as refusal:
        raise InputError(f"{path.name} was not opened because {refusal}.") from None
    except MemoryError:
        raise InputError(f"{path.name} does not fit into memory; free some, or use a machine with more.") from None
    except Exception as error:  # the bytes are a stranger's: whatever reading them raises, they are at fault
        raise InputError(
            f"{path.name} was not opened because it is damaged ({type(error).__name__}); download it again."
        ) from error


def _read(path: Path) -> bytearray:
    if path.is_dir():
        raise InputError(f"{path} is a folder; give the checkpoint file inside it.")
    try:
        size = path.stat().st_size
        if not path.is_file() or size > MAX_FILE:
            raise InputError(f"{path} is no regular file of at most {MAX_FILE >> 30} GiB; give a checkpoint file.")
        data = bytearray(size)
        with path.open("rb") as file:
            read = file.readinto(data)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check the name and its permissions.") from error
    if read != size:
        raise InputError(f"{path} changed while it was being read; try again.")
    return data


def _check_kind(path: Path, data: bytearray) -> None:
    """Refuse files that are no checkpoint at all, saying what they are."""
    if not data:
        raise InputError(f"{path.name} is empty; download it again.")
    for start, sentence in OTHER_KINDS:
        if data.startswith(start):
            raise InputError(f"{path.name} {sentence}.")
    if data[257:262] == b"ustar":
        raise InputError(f"{path.name} is a tar archive; unpack it first.")
    if bytes(data[:512]).lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise InputError(f"{path.name} is a web page and not a checkpoint; the download failed, so try it again.")


def _decode(data: bytearray) -> object:
    view = memoryview(data).toreadonly()
    budget = Budget(tensor_bytes=len(data), nested_bytes=len(data))
    if data.startswith(b"PK"):
        return read_zip(view, ALLOWED_GLOBALS, budget)
    if _is_safetensors(data):
        return _read_safetensors(data)
    if is_legacy(view):
        return read_legacy(view, ALLOWED_GLOBALS, budget)
    if data[0] not in b"\x80c(}]":  # PROTO, or what a pickle without it usually begins with
        raise Refusal(
            f"it begins with {bytes(data[:8])!r}, unlike a checkpoint; give a .pt, .pth, .pkl or .safetensors file"
        )
    return Unpickler(view, 0, ALLOWED_GLOBALS, budget).load()


def _is_safetensors(data: bytearray) -> bool:
    return len(data) > 9 and data[8:9] == b"{" and int.from_bytes(data[:8], "little") <= len(data) - 8


def _read_safetensors(data: bytearray) -> dict:
    try:
        return safetensors.torch.load(bytes(data))
    except (SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise Refusal(f"its safetensors header is damaged ({type(error).__name__})") from error
