"""From a name to a local folder: built-in aliases, folders and Hub repositories.

`diffusers.DiffusionPipeline.download` refuses components of other packages, so `resolve` fetches the snapshot itself
and diffusers then loads a folder. Only JSON, safetensors and text ever come down: no code, no pickles. What a
repository is shows in its `model_index.json` (or the `config.json` of a bare network), which is fetched and checked
before any weights are.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from huggingface_hub import hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import httpx, validate_repo_id

import sfhub
from sfhub.errors import InputError, short
from sfhub.files import finish_saving
from sfhub.pipelines.folder import CONFIG, INDEX, check_description, content_hash

__all__ = ["ALIASES", "ModelSource", "explain_hub_errors", "identify", "resolve"]

logger = logging.getLogger(__name__)

_PORTRAITS = Path(sfhub.__file__).parent / "portraits"
ALIASES = {
    "portraits": _PORTRAITS / "weights",
    "portraits-semantic": _PORTRAITS / "semantic_weights",
    "portraits-semantic-ink": _PORTRAITS / "semantic_ink_weights",
}
"""Names of built-in models and their folders. A folder of the same name is reached as `./portraits`."""

ALLOW = ["*.json", "*.safetensors", "*.txt", "*.md"]
# What the client raises when a connection is refused, cut or silent, and what is told by such an error but is none.
BROKEN = (httpx.TransportError, ConnectionError, TimeoutError)
KNOWN = (OfflineModeIsEnabled, HfHubHTTPError)
PAUSES = (0.5, 1.0, 2.0, 4.0)
"""Seconds before each new try."""

Fetched = TypeVar("Fetched")

# `diffusion_pytorch_model.fp16.safetensors`: fetched only if its variant is asked for.
VARIANT_WEIGHTS = "*.*.safetensors"


@dataclass(frozen=True)
class ModelSource:
    """Where a model comes from, as recipes record it.

    Attributes:
        kind: `builtin`, `hub`, `folder`, or `memory` for networks that were never loaded from anywhere.
        name: alias, repo id, the folder's own name (never its path, which is nobody's business) or class name.
        revision: commit hash of a Hub snapshot, else `sha256:` and a digest of configuration and weights.
    """

    kind: Literal["builtin", "hub", "folder", "memory"]
    name: str
    revision: str


def resolve(
    name_or_path: str | os.PathLike[str],
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
    force_download: bool = False,
    variant: str | None = None,
) -> Path:
    """Find a model, downloading it if need be.

    Args:
        name_or_path: an alias (`portraits`), a folder, or a repo id on the Hub (`owner/name`).
        revision: branch, tag or commit hash on the Hub; `main` if None.
        token: access token, True for the stored one, False for none.
        cache_dir: where snapshots are kept, instead of the Hub's usual cache.
        local_files_only: look in the cache only.
        force_download: download again what is in the cache.
        variant: weights to fetch, such as `fp16`, beside those without variant.

    Returns:
        A folder whose description (`model_index.json` or `config.json`) is that of a model of this package.

    Raises:
        InputError: if there is no such model, it is not ours, or it cannot be reached.
    """
    name = os.fspath(name_or_path)
    folder = ALIASES.get(name, Path(name).expanduser())
    if folder.is_dir():
        finish_saving(folder)
        check_description(folder, name)
        return folder
    if name in ALIASES:
        raise InputError(f"The built-in model {short(name)} is missing from this installation; install sfhub again.")
    _check_repo_id(name, folder)
    where = {
        "token": token,
        "cache_dir": cache_dir,
        "local_files_only": local_files_only,
        "force_download": force_download,
        "library_name": "sfhub",
        "library_version": sfhub.__version__,
    }
    with explain_hub_errors(name, revision):
        description = _persistently(lambda: _fetch_description(name, revision, where))
        check_description(description.parent, name)
        # The commit the description came from, so that a push in between cannot mix two revisions.
        wanted = {
            "revision": description.parent.name,
            "allow_patterns": ALLOW,
            "ignore_patterns": None if variant else [VARIANT_WEIGHTS],
        }
        return Path(_persistently(lambda: snapshot_download(name, **wanted, **where)))


def _persistently(fetch: Callable[[], Fetched]) -> Fetched:
    """What `fetch` gives, which is tried again when the connection breaks; what came down is kept."""
    for pause in PAUSES:
        try:
            return fetch()
        except Exception as error:
            if not any(isinstance(each, BROKEN) and not isinstance(each, KNOWN) for each in _causes(error)):
                raise
            logger.info("The connection to the Hub broke; trying again in %g s", pause)
            time.sleep(pause)
    return fetch()


def _built_in() -> str:
    """The aliases whose model is installed, for a sentence."""
    return ", ".join(name for name, folder in ALIASES.items() if folder.is_dir())


def _check_repo_id(name: str, path: Path) -> None:
    if path.is_file():
        raise InputError(
            f"{name} is a file, not a model folder; turn an official checkpoint into one with 'sfhub convert {name} "
            "OUT_DIR'."
        )
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise InputError(
            f"{short(name)} is neither a folder, nor a built-in model ({_built_in()}), nor a repo id such as "
            "'owner/name'; check the spelling."
        ) from error


def _fetch_description(name: str, revision: str | None, where: dict[str, Any]) -> Path:
    """Path of `model_index.json`, or of the `config.json` of a bare network, in the cache."""
    try:
        return Path(hf_hub_download(name, INDEX, revision=revision, **where))
    except LocalEntryNotFoundError:
        # Without a connection the two cases cannot be told apart: a bare network, or nothing in the cache.
        return Path(hf_hub_download(name, CONFIG, revision=revision, **where))
    except EntryNotFoundError as error:
        try:
            return Path(hf_hub_download(name, CONFIG, revision=revision, **where))
        except EntryNotFoundError:
            raise InputError(
                f"{name} is not a model of sfhub, for it has neither {INDEX} nor {CONFIG}; official checkpoints become "
                "one with 'sfhub convert'."
            ) from error


@contextmanager
def explain_hub_errors(name: str, revision: str | None = None) -> Iterator[None]:
    """Turn what the Hub's client raises into one sentence for the user.

    Raises:
        InputError: in place of any error of the Hub, the connection or the cache's disk.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        sentence = next(filter(None, (_explain(each, name, revision) for each in _causes(error))), None)
        if sentence is None and isinstance(error, LocalEntryNotFoundError):
            sentence = f"The model {name} is not (completely) in the local cache; load it once with a connection."
        if sentence is None:
            raise
        raise InputError(sentence) from error


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those that led to it; the client wraps the telling ones."""
    while error is not None:
        yield error
        error = error.__cause__


def _explain(error: BaseException, name: str, revision: str | None) -> str | None:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, GatedRepoError):
        return (
            f"The model {name} is gated: ask for access on its page on the Hub, then log in with 'hf auth login' or "
            "give a token."
        )
    if isinstance(error, RepositoryNotFoundError):
        return (
            f"There is no model {name} on the Hub, or it is private; check the spelling, give a token that may read "
            f"it, or use a built-in model ({_built_in()})."
        )
    if isinstance(error, RevisionNotFoundError):
        return f"The model {name} has no revision {short(revision)}; give a branch, tag or full commit hash of it."
    if isinstance(error, LocalEntryNotFoundError):
        return None
    if isinstance(error, OfflineModeIsEnabled):
        return (
            f"The model {name} is not (completely) in the local cache and HF_HUB_OFFLINE forbids the Hub; load it once "
            "without that variable."
        )
    if status in (401, 403):
        return f"The Hub refused access to {name} (status {status}); give a token that may do this."
    if isinstance(error, (HfHubHTTPError, httpx.HTTPStatusError)):
        return f"The Hub answered for {name} with status {status}; try again later."
    if isinstance(error, (httpx.HTTPError, ConnectionError, TimeoutError)):
        return f"The connection to the Hub broke while {name} was transferred ({type(error).__name__}); try again."
    if isinstance(error, OSError):
        return f"The files of {name} could not be transferred ({error.strerror or error}); check disk and connection."
    return None


def identify(name_or_path: str | os.PathLike[str], folder: Path) -> ModelSource:
    """The record of a model that `resolve` found in `folder`."""
    name = os.fspath(name_or_path)
    if folder.parent.name == "snapshots" and not Path(name).expanduser().is_dir():
        return ModelSource("hub", name, folder.name)
    digest = content_hash(folder)
    if name in ALIASES:
        return ModelSource("builtin", name, digest)
    return ModelSource("folder", folder.resolve().name, digest)
