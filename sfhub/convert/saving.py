"""Writing a converted model so that its folder is either the old one or the whole new one, never half of each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from diffusers import ModelMixin

from sfhub.errors import InputError
from sfhub.files import SAVING, finish_saving, replace_folder

OUR_FILES = {"config.json", "diffusion_pytorch_model.safetensors", "discriminator"}
OUR_NETWORKS = {
    "FusionHierarchy",
    "LatentMapper",
    "SemanticStyleGANGenerator",
    "StyleFlow",
    "StyleGAN2Generator",
    "StyleSpaceMapper",
}


def check_target(folder: Path) -> None:
    """Raise an InputError unless `folder` is new, empty, or an earlier conversion that may be replaced."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise InputError(f"{folder} is a file; name a folder that is new or empty.")
    finish_saving(folder)
    names = {entry.name for entry in folder.iterdir() if not entry.name.startswith(SAVING)}
    if names and not (names <= OUR_FILES and _is_ours(folder / "config.json")):
        raise InputError(f"{folder} already holds other files; name a folder that is new or empty.")


def save(networks: Mapping[str, ModelMixin], folder: Path) -> None:
    """Write networks into a folder, in place of an earlier conversion.

    Args:
        networks: by subfolder; that of the folder itself has the name "".
        folder: where to.

    Raises:
        InputError: if something else is there, or writing fails (a full disk); what was there before stays as it was.
    """
    check_target(folder)
    with replace_folder(folder, stale=OUR_FILES) as new:
        for name, network in networks.items():
            network.save_pretrained(new / name)


def _is_ours(config: Path) -> bool:
    try:
        return json.loads(config.read_text(encoding="utf-8")).get("_class_name") in OUR_NETWORKS
    except (OSError, ValueError, AttributeError):
        return False
