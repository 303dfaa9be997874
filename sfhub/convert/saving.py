"""Writing a converted model so that its folder is either the old one or the whole new one, never half of each."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from diffusers import ModelMixin
from safetensors import SafetensorError

from sfhub.errors import InputError

OUR_FILES = {"config.json", "diffusion_pytorch_model.safetensors", "discriminator"}
OUR_NETWORKS = {"FusionHierarchy", "SemanticStyleGANGenerator", "StyleGAN2Generator"}


def check_target(folder: Path) -> None:
    """Raise an InputError unless `folder` is new, empty, or an earlier conversion that may be replaced."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise InputError(f"{folder} is a file; name a folder that is new or empty.")
    names = {entry.name for entry in folder.iterdir()}
    if names and not (names <= OUR_FILES and _is_ours(folder / "config.json")):
        raise InputError(f"{folder} already holds other files; name a folder that is new or empty.")


def save(networks: Mapping[str, ModelMixin], folder: Path) -> None:
    """Write networks beside `folder` and then put them in its place.

    Args:
        networks: by subfolder; that of the folder itself has the name "".
        folder: where to.

    Raises:
        InputError: if something else is there, or writing fails (a full disk); what was there before stays as it was.
    """
    check_target(folder)
    staging = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        new, old = staging / "new", staging / "old"
        for name, network in networks.items():
            network.save_pretrained(new / name)
        _replace(folder, new, old)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error).strip().rstrip(".")
        raise InputError(
            f"{folder} could not be written ({reason}) and was left as it was; free some space or name another folder."
        ) from error
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)


def _replace(folder: Path, new: Path, old: Path) -> None:
    if not folder.exists():
        new.rename(folder)
        return
    folder.rename(old)
    try:
        new.rename(folder)
    except OSError:
        old.rename(folder)
        raise


def _is_ours(config: Path) -> bool:
    try:
        return json.loads(config.read_text(encoding="utf-8")).get("_class_name") in OUR_NETWORKS
    except (OSError, ValueError, AttributeError):
        return False
