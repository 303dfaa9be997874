"""Model folders: what makes one ours, whether it is whole, and its digest for recipes.

A folder from elsewhere is looked at here before diffusers touches it. It may only name component classes that the
pipeline's signature names, and each of them is checked by `sfhub.pipelines.network`. What passes can be loaded without
importing or executing anything that the folder brings along, and without filling the memory.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from diffusers import ModelMixin

from sfhub.errors import InputError, clipped, short
from sfhub.files import read_json, replace_folder
from sfhub.pipelines.network import CONFIG, PICKLES, check_component, check_no_code, check_sizes

__all__ = [
    "CONFIG",
    "INDEX",
    "check_component",
    "check_components",
    "check_description",
    "component_classes",
    "content_hash",
    "copy_with_component",
    "is_bare",
    "keep_other_variants",
    "strip_origin",
]

INDEX = "model_index.json"
# Key of a configuration for figures that say how good a component is and change nothing in its pictures.
MEASURED = "measured"


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
        # Others are looked at one by one, when it is known which classes they may have (`check_components`).
        ours = any(library.startswith("sfhub.") for library, _ in components.values())
        # A list for a class name is how diffusers asks for code from the folder.
        if not ours or not isinstance(description.get("_class_name"), str):
            libraries = clipped(", ".join(sorted({library for library, _ in components.values()}))) or "no"
            raise InputError(
                f"{name} is not a model of sfhub: it looks like a {_named(description.get('_class_name'))} with "
                f"{libraries} components; open it with the library it was made for."
            )
    elif (folder / CONFIG).is_file():
        description = read_json(folder / CONFIG)
        if "_class_name" not in description:
            kind = description.get("model_type") or description.get("architectures") or "an unknown network"
            raise InputError(
                f"{name} is not a model of sfhub: its {CONFIG} describes {_named(kind)}; open it with the library it "
                "was made for."
            )
    else:
        pickles = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES)
        remedy = f"turn {clipped(pickles[0])} into one with 'sfhub convert'" if pickles else "check the path"
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
    check_no_code(folder)
    description = read_json(folder / INDEX)
    odd = next((name for name in slots if not _is_component(description.get(name))), None)
    if odd is not None:
        raise InputError(
            f"Component {short(odd)} in {folder.name} is {short(description[odd])} where library and class are "
            "expected, "
            "so nothing of it was loaded; use a model made by sfhub."
        )
    for name, (library, class_name) in component_classes(description).items():
        if name in ignore:
            continue
        allowed = {(cls.__module__, cls.__name__): cls for cls in slots.get(name, ())}
        if (library, class_name) not in allowed:
            ours = (cls.__name__ for cls in slots.get(name, ()) if cls.__module__.startswith("sfhub."))
            expected = " or ".join(ours) or "no such component"
            raise InputError(
                f"Component {short(name)} in {folder.name} is a {_named(f'{library}.{class_name}')}, but {expected} "
                "is expected there; nothing of it was loaded, use a model made by sfhub."
            )
        check_component(folder / name, allowed[library, class_name], variant)


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
        for file in check_sizes(sorted(component.glob("*.safetensors"))):
            with open(file, "rb") as opened:
                while block := opened.read(2**20):
                    digest.update(block)
    return f"sha256:{digest.hexdigest()[:32]}"


# Saving one ---------------------------------------------------------------------------------------------------------


def copy_with_component(folder: Path, target: Path, name: str, component: ModelMixin) -> None:
    """Copy a model folder and put one more component into the copy; all other weights stay as they are stored.

    Args:
        folder: of a whole pipeline.
        target: made if need be.
        name: of the component in the pipeline.
        component: to save.
    """
    with replace_folder(target) as made:
        shutil.copytree(folder, made, dirs_exist_ok=True, ignore=shutil.ignore_patterns(name))
        component.save_pretrained(made / name)
        index = read_json(made / INDEX) | {name: [type(component).__module__, type(component).__name__]}
        (made / INDEX).write_text(json.dumps(dict(sorted(index.items())), indent=2) + "\n", encoding="utf-8")


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


def _is_component(value: Any) -> bool:
    """Whether it is null, or a library and a class as `model_index.json` has them."""
    return value is None or (isinstance(value, list) and len(value) == 2 and len(set(map(type, value))) == 1)


def _named(value: Any) -> str:
    """What a description says, for a sentence."""
    return clipped(value) if isinstance(value, str) else short(value)
