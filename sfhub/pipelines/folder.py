"""Model folders: what makes one ours, whether it is whole, and its digest for recipes.

A folder from elsewhere is looked at here before diffusers touches it. It may only name component classes that the
pipeline's signature names, its weights have to be safetensors, and every weight has to be there in the shape that the
configuration calls for (the network is built on the meta device, so a configuration that asks for terabytes costs
nothing). What passes can be loaded without importing or executing anything that the folder brings along.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import ModelMixin
from safetensors import SafetensorError, safe_open

from sfhub.errors import InputError
from sfhub.files import first_line, read_json

__all__ = [
    "CONFIG",
    "INDEX",
    "check_component",
    "check_components",
    "check_description",
    "component_classes",
    "content_hash",
    "is_bare",
    "keep_other_variants",
    "strip_origin",
]

INDEX = "model_index.json"
CONFIG = "config.json"
WEIGHTS = "diffusion_pytorch_model"
# Key of a configuration for figures that say how good a component is and change nothing in its pictures.
MEASURED = "measured"
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")
# Above every count, width and resolution in a configuration; a million layers take long to build even without weights.
MAX_INTEGER = 2**16


# What is it? --------------------------------------------------------------------------------------------------------


def is_bare(folder: Path) -> bool:
    """Whether a folder holds one network without a pipeline around it."""
    return not (folder / INDEX).is_file()


def check_description(folder: Path, name: str) -> None:
    """Look at `model_index.json` or `config.json` and refuse what is not a model of this package.

    Args:
        folder: needs to hold no more than that one file.
        name: what the user called it.

    Raises:
        InputError: naming what the folder looks like.
    """
    if not is_bare(folder):
        description = read_json(folder / INDEX)
        components = component_classes(description)
        ours = all(library.startswith("sfhub.") for library, _ in components.values())
        # A list for a class name is how diffusers asks for code from the folder.
        if not components or not ours or not isinstance(description.get("_class_name"), str):
            raise InputError(
                f"{name} is not a model of sfhub: it looks like a {_text(description.get('_class_name'))} with "
                f"{', '.join(sorted({library for library, _ in components.values()})) or 'no'} components; open it "
                "with the library it was made for."
            )
    elif (folder / CONFIG).is_file():
        description = read_json(folder / CONFIG)
        if "_class_name" not in description:
            kind = description.get("model_type") or description.get("architectures") or "an unknown network"
            raise InputError(
                f"{name} is not a model of sfhub: its {CONFIG} describes {_text(kind)}; open it with the library it "
                "was made for."
            )
    else:
        pickles = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES)
        remedy = f"turn {pickles[0]} into one with 'sfhub convert'" if pickles else "check the path"
        raise InputError(f"{name} is not a model of sfhub, for it has neither {INDEX} nor {CONFIG}; {remedy}.")


def component_classes(description: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Component -> (library, class) of a `model_index.json`, those that are null left out."""
    pairs = {
        key: value
        for key, value in description.items()
        if not key.startswith("_") and isinstance(value, list) and len(value) == 2
    }
    return {key: (str(value[0]), str(value[1])) for key, value in pairs.items() if value[0] is not None}


def check_components(
    folder: Path,
    slots: Mapping[str, tuple[type, ...]],
    *,
    ignore: Collection[str] = (),
    variant: str | None = None,
) -> None:
    """Refuse a pipeline folder that names other classes than `slots` allows, or that is not whole.

    Args:
        folder: with a `model_index.json`.
        slots: component -> classes it may have.
        ignore: components that will not be loaded.
        variant: of the weights, as in diffusers.

    Raises:
        InputError: naming the component and what is wrong with it.
    """
    for name, (library, class_name) in component_classes(read_json(folder / INDEX)).items():
        if name in ignore:
            continue
        allowed = {(cls.__module__, cls.__name__): cls for cls in slots.get(name, ())}
        if (library, class_name) not in allowed:
            expected = " or ".join(cls.__name__ for cls in slots.get(name, ())) or "no such component"
            raise InputError(
                f"Component {_text(name)!r} in {folder.name} is a {_text(f'{library}.{class_name}')}, but {expected} "
                "is expected there; nothing of it was loaded, use a model made by sfhub."
            )
        check_component(folder / name, allowed[library, class_name], variant)


def check_component(folder: Path, cls: type[ModelMixin], variant: str | None = None) -> None:
    """Refuse a network folder whose configuration and weights do not fit `cls` and each other.

    Raises:
        InputError: naming the file and what is wrong with it.
    """
    config = read_json(folder / CONFIG)
    if "quantization_config" in config:
        raise InputError(f"{folder / CONFIG} asks for quantised weights, which sfhub does not load; use plain ones.")
    if (largest := max(_integers(config), default=0)) > MAX_INTEGER:
        raise InputError(f"{folder / CONFIG} contains {_text(largest)}, more than a network has; get the model again.")
    shapes = _stored_shapes(folder, variant)
    try:
        with torch.device("meta"):
            expected = {key: list(value.shape) for key, value in cls.from_config(config).state_dict().items()}
    except Exception as error:
        raise InputError(
            f"{folder / CONFIG} describes no {cls.__name__} that can be built ({first_line(error)}); "
            "get the model again."
        ) from error
    for key, shape in expected.items():
        if shapes.get(key) != shape:
            found = f"with shape {shapes[key]}" if key in shapes else "missing"
            raise InputError(
                f"The weights in {folder} do not fit their {CONFIG}: {key} is {found} where shape {shape} is expected; "
                "get the model again."
            )


def _integers(value: Any) -> Iterator[int]:
    """Magnitudes of all integers in decoded JSON."""
    if isinstance(value, int):
        yield abs(value)
    elif isinstance(value, (dict, list)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _integers(each)


def _stored_shapes(folder: Path, variant: str | None) -> dict[str, list[int]]:
    """Shape of every tensor in the safetensors files of a network."""
    shapes: dict[str, list[int]] = {}
    for file in _weight_files(folder, variant):
        try:
            # Reads the header and compares it with the length of the file, so a truncated one shows here.
            with safe_open(file, framework="pt") as opened:
                names = opened.keys()
                shapes |= {name: opened.get_slice(name).get_shape() for name in names}
        except (OSError, SafetensorError) as error:
            raise InputError(f"{file} is truncated or damaged ({first_line(error)}); get the model again.") from error
    return shapes


def _weight_files(folder: Path, variant: str | None) -> list[Path]:
    for tag in [f".{variant}", ""] if variant else [""]:
        index = folder / f"{WEIGHTS}.safetensors.index{tag}.json"
        if index.is_file():
            names = set(map(str, dict(read_json(index).get("weight_map") or {}).values()))
            if any(Path(name).name != name or not (folder / name).is_file() for name in names):
                raise InputError(f"{index} names weight files that are not beside it; get the model again.")
            return sorted(folder / name for name in names)
        if (folder / f"{WEIGHTS}{tag}.safetensors").is_file():
            return [folder / f"{WEIGHTS}{tag}.safetensors"]
    pickles = [path.name for path in folder.iterdir() if path.suffix in PICKLES]
    if pickles:
        raise InputError(
            f"{folder} has its weights in {pickles[0]}, a pickle, which may run code when opened; "
            "use a model with safetensors."
        )
    raise InputError(f"{folder} has no {WEIGHTS}.safetensors; get the model again.")


# What is it worth? --------------------------------------------------------------------------------------------------


def content_hash(folder: Path) -> str:
    """`sha256:` and a digest of all that determines the results of a model folder.

    Weights and configurations count; cards, what was measured of a component (`measured` in its configuration), and
    what saving writes into configurations by the way (the version of diffusers, where the model was loaded from), do
    not.
    """
    names = component_classes(read_json(folder / INDEX)) if not is_bare(folder) else [""]
    digest = hashlib.sha256()
    for component, name in sorted((folder / name, name) for name in names):
        config = {
            key: value
            for key, value in read_json(component / CONFIG).items()
            if not key.startswith("_") and key != MEASURED
        }
        digest.update(json.dumps([name, config], sort_keys=True).encode())
        for file in sorted(component.glob("*.safetensors")):
            with open(file, "rb") as opened:
                while block := opened.read(2**20):
                    digest.update(block)
    return f"sha256:{digest.hexdigest()[:32]}"


# Saving one ---------------------------------------------------------------------------------------------------------


def strip_origin(folder: Path) -> None:
    """Drop from the configurations where the networks were loaded from: a path of this machine, or somebody's cache."""
    for file in [*folder.glob("*.json"), *folder.glob("*/config.json")]:
        config = read_json(file)
        if config.pop("_name_or_path", None) is not None:
            file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def keep_other_variants(target: Path, new: Path, variant: str | None) -> None:
    """Link the weights of other variants from the components in `target` into those about to replace them in `new`."""
    for file in target.glob("*/*.safetensors*"):
        tag = file.name.split(".")[1].split("-")[0]
        link = new / file.parent.name / file.name
        if (None if tag == "safetensors" else tag) != variant and link.parent.is_dir() and not link.exists():
            _link(file, link)


def _link(file: Path, link: Path) -> None:
    try:
        os.link(file, link)
    except OSError:  # a file system without hard links
        shutil.copy2(file, link)


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
