"""JSON that comes from elsewhere, and files and folders that are replaced whole or not at all."""

import glob
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

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

__all__ = ["SAVING", "finish_saving", "first_line", "read_json", "replace_folder", "write_atomically"]
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
    """Write a file through a temporary sibling, so that a full disk or a kill leaves what was there before.

    What killed processes left behind of earlier attempts is removed.

    Raises:
        InputError: if the folder does not exist or cannot be written to.
    """
    for abandoned in path.parent.glob(f".{glob.escape(path.name)}-{'[0-9a-f]' * 32}"):
        with suppress(OSError), open(abandoned, "rb") as file:
            if _lock(file.fileno(), wait=False):
                abandoned.unlink()
    temporary = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    try:
        with open(temporary, "xb") as file:
            _lock(file.fileno())
            file.write(content)
            file.flush()
            os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError(
            f"{path} could not be written ({error.strerror or error}); choose a folder that exists and has room."
        ) from error


# Folders ------------------------------------------------------------------------------------------------------------

SAVING, SAVED = ".saving-", ".saved-"
INDICES = ("model_index.json", "config.json")
"""Without these nobody opens a model."""


@contextmanager
def replace_folder(target: Path, stale: Collection[str] = ()) -> Iterator[Path]:
    """Write a model folder so that it is the old one or the new one, whatever happens in between, a kill included.

    Yields a temporary folder to write into. When the block ends, that folder gets another name, and with this one step
    the new model is saved: its entries then take the places of those of the same name in `target`, and should that be
    cut off, whoever opens or saves the model next finishes it (`finish_saving`). Other files there are left alone.

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
        with _held(target):
            _finish(target)
            # Inside, because that is certain to be the same file system, and to be writable if anything is.
            work = Path(tempfile.mkdtemp(prefix=SAVING, dir=target))
            new = work / "new"
            new.mkdir()
            (work / "old").mkdir()
            yield new
            (work / "stale").write_text(json.dumps(sorted({*stale} - {*os.listdir(new)})), encoding="utf-8")
            _flush(work)
            work = work.rename(target / work.name.replace(SAVING, SAVED))
            _put_in_place(work, target)
            work = work.rename(target / work.name.replace(SAVED, SAVING))
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"{target} could not be written ({first_line(error)}) and is as it was; make room or choose another folder."
        ) from error
    finally:
        if work is not None:
            with suppress(OSError):  # so that it is not taken for a model while it goes
                work = work.rename(target / work.name.replace(SAVED, SAVING))
            shutil.rmtree(work, ignore_errors=True)
        if not existed:
            _remove_if_empty(target)


def finish_saving(target: Path) -> None:
    """Finish a save that was cut off after its model was written, and clear away what other ones left.

    Raises:
        InputError: if a model has to be put in place and cannot be.
    """
    if not any(target.glob(f"{SAVED}*")) and not any(target.glob(f"{SAVING}*")):
        return
    try:
        # Whoever saved it may be about to finish it; what is only being written is of no concern.
        with _held(target, wait=any(target.glob(f"{SAVED}*"))) as held:
            if held:
                _finish(target)
    except OSError as error:
        raise InputError(
            f"A save of {target} was cut off and cannot be finished ({first_line(error)}); open the model once from an "
            "account that may write there."
        ) from error


def _finish(target: Path) -> None:
    """`finish_saving`, by who holds the folder."""
    for work in sorted(target.glob(f"{SAVED}*")):
        _put_in_place(work, target)
        work.rename(target / work.name.replace(SAVED, SAVING))
    for work in target.glob(f"{SAVING}*"):
        shutil.rmtree(work, ignore_errors=True)


def _put_in_place(work: Path, target: Path) -> None:
    """Move what was there out and what is new in; to be cut off anywhere and begun again.

    In between there is no index, so that programs that know nothing of this open the old model, the new one or none.
    """
    new, old = work / "new", work / "old"
    stale = json.loads((work / "stale").read_text(encoding="utf-8"))
    names = sorted(os.listdir(new), key=lambda name: (name not in INDICES, name))
    moved: list[tuple[Path, Path]] = []
    try:
        for name in (*names, *stale):
            if (target / name).exists():
                moved.append((target / name, old / name))
                os.rename(*moved[-1])
        for name in reversed(names):
            moved.append((new / name, target / name))
            os.rename(*moved[-1])
    except OSError:
        for source, place in reversed(moved):
            if place.exists() and not source.exists():
                os.rename(place, source)
        raise


def _flush(folder: Path) -> None:
    """Wait until the files below a folder are on the disk."""
    for path in folder.rglob("*"):
        if path.is_file():
            with open(path, "rb") as file:
                os.fsync(file.fileno())


@contextmanager
def _held(folder: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold a folder until the block or its process ends; gives whether that was possible."""
    if fcntl is None:
        yield wait
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        yield _lock(number, wait=wait) or wait
    finally:
        os.close(number)


def _lock(number: int, *, wait: bool = True) -> bool:
    """Lock an open file or folder until it is closed; whether that was possible."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(number, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:  # somebody holds it, or the file system knows no locks
        return False
    return True


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()
