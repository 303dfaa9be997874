"""Recipes: how a picture was made, as plain data that travels inside the picture.

A recipe names the model and lists *steps*; each step refers to earlier ones by index and the last one is the picture,
so mixes of mixes are expressed without repeating anything:

    {"format": "sfhub-recipe", "version": 1, "package": {"name": "sfhub", "version": "0.1.0"},
     "model": {"kind": "builtin", "name": "portraits", "revision": "sha256:...", "dtype": "float32"},
     "steps": [{"op": "sample", "inputs": [], "seed": 1, "truncation_psi": 0.7, "label": null},
               {"op": "sample", "inputs": [], "seed": 2, "truncation_psi": 0.7, "label": null},
               {"op": "mix", "inputs": [0, 1], "regions": ["hair"], "strengths": [0.8], "query": null}]}

What else a step holds says its type (`sfhub.steps.registry`), which also checks it. Pictures come from anywhere, so
everything is bounded and typed before anything is computed, and nothing in a recipe is ever evaluated or imported.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sfhub import __version__
from sfhub.errors import InputError, short
from sfhub.steps.assets import Asset, EditAsset
from sfhub.steps.checks import is_integer, is_text, need
from sfhub.steps.registry import step_from_json
from sfhub.steps.step import Step

__all__ = [
    "Placed",
    "Recipe",
    "assets_of",
    "check_recipe",
    "cost_of",
    "extend",
    "last_step",
    "make_recipe",
    "read_steps",
    "shown_steps",
]

FORMAT, VERSION = "sfhub-recipe", 1
MAX_STEPS = 1024
MODEL_KINDS = ("builtin", "hub", "folder", "memory")
DTYPES = ("float32", "float16", "bfloat16", "float64")

Recipe = dict[str, Any]


@dataclass(frozen=True)
class Placed:
    """A step of a recipe, and the indices of the steps whose pictures go in."""

    step: Step
    inputs: tuple[int, ...]


# Making recipes -----------------------------------------------------------------------------------------------------


def make_recipe(model: Mapping[str, str], steps: Sequence[Mapping[str, Any]]) -> Recipe:
    """A recipe from the description of a model (`SfhubPipeline.model_record`) and the JSON of its steps."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "package": {"name": "sfhub", "version": __version__},
        "model": dict(model),
        "steps": list(steps),
    }


def extend(recipes: Sequence[Recipe], step: Step, model: Mapping[str, str]) -> Recipe:
    """The recipe of a picture made from other pictures, or from none.

    Args:
        recipes: those of the pictures that went in, all of one model.
        step: what was done.
        model: as for `make_recipe`, for a picture that nothing goes into.

    Returns:
        All steps of `recipes`, equal ones kept once, followed by `step`.

    Raises:
        InputError: if the result has more steps than a recipe may have.
    """
    steps: list[dict[str, Any]] = []
    index_of: dict[str, int] = {}

    def add(entry: dict[str, Any]) -> int:
        key = json.dumps(entry, sort_keys=True)
        if key not in index_of:
            index_of[key] = len(steps)
            steps.append(entry)
        return index_of[key]

    ends = []
    for recipe in recipes:
        places: list[int] = []
        for entry in recipe["steps"]:
            places.append(add({**entry, "inputs": [places[i] for i in entry["inputs"]]}))
        ends.append(places[-1])
    # The new step goes last even if an equal one exists: the last step is the picture.
    steps.append({"op": step.OP, "inputs": ends} | step.to_json())
    if len(steps) > MAX_STEPS:
        raise InputError(
            f"This picture would take {len(steps)} steps to make, more than the {MAX_STEPS} of a recipe; "
            "start again from a fresh sample."
        )
    return make_recipe(recipes[0]["model"] if recipes else model, steps)


# Reading recipes ----------------------------------------------------------------------------------------------------


def check_recipe(recipe: Any) -> Recipe:
    """Check every type, size and reference of a recipe that came from outside.

    Args:
        recipe: the decoded JSON.

    Returns:
        The recipe itself.

    Raises:
        InputError: naming the first thing that is wrong.
    """
    if not isinstance(recipe, dict) or recipe.get("format") != FORMAT:
        raise InputError(f"This is not a recipe of sfhub, which is a JSON object with format {FORMAT!r}.")
    if recipe.get("version") != VERSION or isinstance(recipe.get("version"), bool):
        raise InputError(
            f"The recipe has version {short(recipe.get('version'))}, but sfhub {__version__} reads version {VERSION}; "
            "install the sfhub that made the picture, or a newer one."
        )
    package, model = recipe.get("package"), recipe.get("model")
    need(isinstance(package, dict) and is_text(package.get("version")), "package", package, "a name and a version")
    need(
        isinstance(model, dict)
        and model.get("kind") in MODEL_KINDS
        and all(is_text(model.get(key)) for key in ("name", "revision"))
        and model.get("dtype") in DTYPES,
        "model",
        model,
        f"kind ({', '.join(MODEL_KINDS)}), name, revision and dtype",
    )
    read_steps(recipe)
    return recipe


def read_steps(recipe: Mapping[str, Any]) -> list[Placed]:
    """The steps of a recipe.

    Raises:
        InputError: naming the first thing that is wrong with them.
    """
    steps = recipe.get("steps")
    need(isinstance(steps, list) and 1 <= len(steps) <= MAX_STEPS, "steps", steps, f"a list of 1 to {MAX_STEPS} steps")
    placed = [_placed(data, index) for index, data in enumerate(steps)]
    for index, each in enumerate(placed[:-1]):
        need(
            not each.step.is_final,
            f"step {index}",
            each.step.OP,
            "a single picture that others can be made of before the last step",
        )
    return placed


def shown_steps(steps: Sequence[Placed]) -> list[int]:
    """The steps whose pictures are made for that of the last one, rising: itself and those that it takes more of than
    their codes."""
    shown = {len(steps) - 1}
    for k in reversed(range(len(steps))):
        shown |= set(steps[k].inputs) if k in shown and steps[k].step.needs_before else set()
    return sorted(shown)


def cost_of(steps: Sequence[Placed]) -> float:
    """What making the picture of some steps takes, in pictures of their model; known before anything is computed."""
    codes = sum(each.step.CODE_COST for each in steps)
    return codes + sum(steps[k].step.picture_cost(len(steps[k].inputs)) for k in shown_steps(steps))


def last_step(recipe: Mapping[str, Any]) -> Step:
    """The step that made the picture itself."""
    return _placed(recipe["steps"][-1], len(recipe["steps"]) - 1).step


def assets_of(steps: Sequence[Placed]) -> list[Asset | EditAsset]:
    """What steps refer to by digest, each once."""
    return list(dict.fromkeys(asset for placed in steps for asset in placed.step.assets))


def _placed(data: Any, index: int) -> Placed:
    inputs = data.get("inputs") if isinstance(data, dict) else None
    fine = isinstance(inputs, list) and all(is_integer(i) and 0 <= i < index for i in inputs)
    need(fine or not isinstance(data, dict), f"inputs of step {index}", inputs, "a list of earlier steps")
    return Placed(step_from_json(data, f"step {index}"), tuple(inputs))
