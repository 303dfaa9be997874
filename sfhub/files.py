"""JSON that comes from elsewhere, and files and folders that are replaced whole or not at all."""

import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from sfhub.errors import InputError, clipped
from sfhub.limits import check_file, limits

__all__ = ["first_line", "read_json", "replace_folder", "write_atomically"]
MAX_QUOTED = 240
"""Characters of a library's own words."""


def first_line(error: Exception) -> str:
    """What an error of a library says first, to be quoted inside a sentence; it may repeat what was sent."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    words = [clipped(word) for word in lines[0][:MAX_QUOTED].split()]
    return " ".join(words).rstrip(".")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        InputError: if the file is missing, no plain one, too large, not a JSON object, or of too many values.
    """
    bounds = limits()
    try:
        check_file(path, bounds.config_bytes)
        text = path.read_text(encoding="utf-8")
        value = json.loads(text)
    except InputError:
        raise
    except (OSError, ValueError, RecursionError) as error:  # ValueError: no UTF-8, no JSON, or a number too long
        raise InputError(f"{path} is missing or damaged ({first_line(error)}); get the model again.") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} is damaged, for it holds no JSON object; get the model again.")
    lengths = [len(each) for each in _containers(value)]
    if max(lengths) > bounds.config_list or sum(lengths) > bounds.config_values:
        raise InputError(
            f"{path} has lists of up to {max(lengths):,} entries and {sum(lengths):,} values, more than the "
            f"{bounds.config_list:,} and {bounds.config_values:,} that are read; get the model again."
        )
    return value


def _containers(value: dict | list) -> Iterator[dict | list]:
    """An object or list, and all those inside."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        yield each
        inside = each.values() if isinstance(each, dict) else each
        waiting += [entry for entry in inside if isinstance(entry, (dict, list))]


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file through a temporary sibling, so that a full disk leaves what was there before.

    Raises:
        InputError: if the folder does not exist or cannot be written to.
    """
    temporary = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    try:
        with open(temporary, "xb") as file:
            file.write(content)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError(
            f"{path} could not be written ({error.strerror or error}); choose a folder that exists and has room."
        ) from error


@contextmanager
def replace_folder(target: Path, stale: Collection[str] = ()) -> Iterator[Path]:
    """Write a model folder so that the old one stays as it is unless everything could be written.

    Yields a temporary folder to write into. When the block ends, its entries take the place of those of the same name
    in `target`; other files there are left alone. Renaming takes no room on the disk, so it does not fail half-way.

    Args:
        target: made if need be.
        stale: names of entries that go even if nothing new takes their place.

    Raises:
        InputError: if something could not be written; `target` is then unchanged.
    """
    existed = target.is_dir()
    work = None
    try:
        target.mkdir(parents=True, exist_ok=True)
        # Inside, because that is certain to be the same file system, and to be writable if anything is.
        work = Path(tempfile.mkdtemp(prefix=".saving-", dir=target))
        new, old = work / "new", work / "old"
        new.mkdir()
        old.mkdir()
        yield new
        _swap(new, target, old, stale)
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"{target} could not be written ({first_line(error)}) and is as it was; make room or choose another folder."
        ) from error
    finally:
        if work is not None:
            shutil.rmtree(work, ignore_errors=True)
        if not existed:
            _remove_if_empty(target)


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def _swap(new: Path, target: Path, old: Path, stale: Collection[str]) -> None:
    done: list[str] = []
    try:
        for name in sorted({*os.listdir(new), *stale}):
            if (target / name).exists():
                os.rename(target / name, old / name)
            done.append(name)
            if (new / name).exists():
                os.rename(new / name, target / name)
    except OSError:
        for name in done:
            if (target / name).exists():
                os.rename(target / name, new / name)
            if (old / name).exists():
                os.rename(old / name, target / name)
        raise
