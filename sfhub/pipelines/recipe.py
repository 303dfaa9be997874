"""Recipes: how a picture was made, as plain data that travels inside the picture.

A recipe names the model and lists *steps*; each step refers to earlier ones by index and the last one is the picture,
so mixes of mixes are expressed without repeating anything:

    {"format": "sfhub-recipe", "version": 1, "package": {"name": "sfhub", "version": "0.1.0"},
     "model": {"kind": "builtin", "name": "portraits", "revision": "sha256:...", "dtype": "float32"},
     "steps": [{"op": "sample", "inputs": [], "seed": 1, "truncation_psi": 0.7, "label": null},
               {"op": "sample", "inputs": [], "seed": 2, "truncation_psi": 0.7, "label": null},
               {"op": "mix", "inputs": [0, 1], "regions": ["hair"], "strengths": [0.8], "query": null}]}

A mix by a fusion hierarchy says so; with a layout its picture is the last input and its strength the last strength:

    {"op": "mix", "inputs": [0, 1, 2], "method": "fusion", "regions": ["hair"], "strengths": [0.8, 1.0], "layout": true}

A SemanticStyleGAN says for each region what comes from its source, and puts classes elsewhere or leaves them out:

    {"op": "mix", "inputs": [0, 1, 2], "method": "semantic", "regions": ["hair", "hair"], "parts": ["shape", "texture"],
     "strengths": [1.0, 1.0], "layout": false}
    {"op": "compose", "inputs": [3], "without": ["hat"], "move": {"hair": [0.1, 0.0]}, "zoom": {}, "background": null}

A photograph as background is noted by size and digest only (`sfhub.pipelines.photograph`); that step is the last one.

In a PNG it lies in an iTXt chunk named `sfhub:recipe`, beside an XMP packet with IPTC's statement that the picture is
synthetic (`Iptc4xmpExt:DigitalSourceType`). Pictures come from anywhere, so `check_recipe` bounds and types everything
before anything is computed, and nothing in a recipe is ever evaluated or imported.
"""

import io
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from PIL import Image, PngImagePlugin

from sfhub import __version__
from sfhub.errors import InputError

__all__ = [
    "CATALOG",
    "DIGITAL_SOURCE_TYPE",
    "FUSION",
    "MAX_GRID",
    "MAX_MOVE",
    "MAX_SEED",
    "MAX_ZOOM",
    "PARTS",
    "SEMANTIC",
    "check_query",
    "check_recipe",
    "check_seed",
    "extend",
    "is_final",
    "make_recipe",
    "png_bytes",
    "read_recipe",
]

DIGITAL_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
FORMAT, VERSION = "sfhub-recipe", 1
FUSION = "fusion"
"""The method that mixes with a fusion hierarchy; steps without a method are Editing in Style."""

CATALOG = "catalog"
"""The method that mixes with each region's measured query of the catalog, whatever relevance that is made from."""

SEMANTIC = "semantic"
"""The method that mixes with the codes of a SemanticStyleGAN."""

PARTS = ("both", "shape", "texture")
"""What of a region a SemanticStyleGAN can take from a source."""

MAX_MOVE, MAX_ZOOM = 2.0, 16.0
"""How far a class can be moved, in halves of the image, and made larger or, as a fraction of one, smaller."""

CHUNK = "sfhub:recipe"
XMP_CHUNK = "XML:com.adobe.xmp"
MAX_SEED = 2**32 - 1
MAX_STEPS = 1024
MAX_GRID = 400
MAX_NAMES = 64
MAX_CHARACTERS = 2**20
MODEL_KINDS = ("builtin", "hub", "folder", "memory")
DTYPES = ("float32", "float16", "bfloat16", "float64")

Recipe = dict[str, Any]
Step = dict[str, Any]


# Making recipes -----------------------------------------------------------------------------------------------------


def make_recipe(model: Mapping[str, str], steps: Sequence[Step]) -> Recipe:
    """A recipe from the description of a model (`SfhubPipeline.model_record`) and its steps."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "package": {"name": "sfhub", "version": __version__},
        "model": dict(model),
        "steps": list(steps),
    }


def extend(recipes: Sequence[Recipe], step: Step) -> Recipe:
    """The recipe of a picture made from other pictures.

    Args:
        recipes: those of the pictures that went in, all of one model.
        step: what was done, without `inputs`, which is filled in here.

    Returns:
        All steps of `recipes`, equal ones kept once, followed by `step`.

    Raises:
        InputError: if the result has more steps than a recipe may have.
    """
    steps: list[Step] = []
    index_of: dict[str, int] = {}

    def add(entry: Step) -> int:
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
    steps.append({**step, "inputs": ends})
    if len(steps) > MAX_STEPS:
        raise InputError(
            f"This picture would take {len(steps)} steps to make, more than the {MAX_STEPS} of a recipe; "
            "start again from a fresh sample."
        )
    return make_recipe(recipes[0]["model"], steps)


# Checking recipes ---------------------------------------------------------------------------------------------------


def check_seed(seed: Any) -> int:
    """`seed` as an int.

    Raises:
        InputError: unless it is an integer from 0 to 2**32 - 1.
    """
    if isinstance(seed, bool) or not hasattr(seed, "__index__") or not 0 <= int(seed) <= MAX_SEED:
        raise InputError(f"Seed {seed!r} cannot be used; take a whole number from 0 to {MAX_SEED}.")
    return int(seed)


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
            f"The recipe has version {_short(recipe.get('version'))}, but sfhub {__version__} reads version {VERSION}; "
            "install the sfhub that made the picture, or a newer one."
        )
    package, model = recipe.get("package"), recipe.get("model")
    _need(isinstance(package, dict) and _is_text(package.get("version")), "package", package, "a name and a version")
    _need(
        isinstance(model, dict)
        and model.get("kind") in MODEL_KINDS
        and all(_is_text(model.get(key)) for key in ("name", "revision"))
        and model.get("dtype") in DTYPES,
        "model",
        model,
        f"kind ({', '.join(MODEL_KINDS)}), name, revision and dtype",
    )
    steps = recipe.get("steps")
    _need(isinstance(steps, list) and 1 <= len(steps) <= MAX_STEPS, "steps", steps, f"a list of 1 to {MAX_STEPS} steps")
    for index, step in enumerate(steps):
        _check_step(index, step)
        _need(
            not is_final(step) or index == len(steps) - 1,
            f"step {index}",
            step["op"],
            "a single picture that others can be made of before the last step",
        )
    return recipe


def is_final(step: Step) -> bool:
    """Whether no other picture can be made of what a step makes: a grid, or one with a photograph in it."""
    return step["op"] == "grid" or step.get("background") is not None


def _check_step(index: int, step: Any) -> None:
    _need(isinstance(step, dict) and step.get("op") in _CHECKS, f"step {index}", step, f"op {', '.join(_CHECKS)}")
    inputs = step.get("inputs")
    _need(
        isinstance(inputs, list) and all(_is_int(i) and 0 <= i < index for i in inputs),
        f"inputs of step {index}",
        inputs,
        "a list of earlier steps",
    )
    check, keys = _CHECKS[step["op"]]
    unknown = sorted(set(step) - {"op", "inputs", *keys})
    _need(not unknown, f"step {index}", unknown, f"nothing but op, inputs, {', '.join(keys)}")
    check(f"step {index}", step)


def _check_sample(where: str, step: Step) -> None:
    _need(not step["inputs"], f"inputs of {where}", step["inputs"], "none for a sample")
    check_seed(step.get("seed"))
    psi, label = step.get("truncation_psi"), step.get("label")
    _need(_is_number(psi, -2, 2), f"truncation_psi of {where}", psi, "a number from -2 to 2")
    fine = label is None or (_is_int(label) and 0 <= label < 2**31)
    _need(fine, f"label of {where}", label, "a class number or null")


def _check_mix(where: str, step: Step) -> None:
    regions, strengths = step.get("regions"), step.get("strengths")
    method, layout = step.get("method"), step.get("layout", False)
    _need(method in (None, FUSION, SEMANTIC), f"method of {where}", method, f"{FUSION}, {SEMANTIC} or none")
    _need(isinstance(layout, bool), f"layout of {where}", layout, "true or false")
    _need(not layout or method, f"layout of {where}", layout, "none without a method")
    if method == SEMANTIC:
        _check_parts(where, step)
    else:
        _need(_is_names(regions), f"regions of {where}", regions, "a list of different names")
        _need("parts" not in step, f"parts of {where}", step.get("parts"), f"none without the method {SEMANTIC}")
    _need(regions or layout, f"regions of {where}", regions, "a list of different names")
    count = len(regions) + layout
    _need(len(step["inputs"]) == count + 1, f"inputs of {where}", step["inputs"], "a base and one per region or layout")
    fine = isinstance(strengths, list) and len(strengths) == count
    fine = fine and all(_is_number(value, 0, 1) for value in strengths)
    _need(fine, f"strengths of {where}", strengths, "one number from 0 to 1 per region or layout")
    _need(method is None or step.get("query") is None, f"query of {where}", step.get("query"), f"none for {method}")
    check_query(step.get("query"))


def _check_parts(where: str, step: Step) -> None:
    """Regions and what is taken of them; a region may be there twice, for its shape and for its texture."""
    regions, parts = step.get("regions"), step.get("parts")
    fine = isinstance(regions, list) and len(regions) <= MAX_NAMES and all(map(_is_text, regions))
    _need(fine, f"regions of {where}", regions, "a list of names")
    fine = isinstance(parts, list) and len(parts) == len(regions) and all(part in PARTS for part in parts)
    _need(fine, f"parts of {where}", parts, f"{', '.join(PARTS)} per region")
    fine = len(set(zip(regions, parts, strict=True))) == len(regions)
    _need(fine, f"regions of {where}", regions, "each one once for the same part")


def _check_interpolate(where: str, step: Step) -> None:
    _need(len(step["inputs"]) == 2, f"inputs of {where}", step["inputs"], "two steps")
    _need(_is_number(step.get("position"), 0, 1), f"position of {where}", step.get("position"), "a number from 0 to 1")
    regions, method, part = step.get("regions"), step.get("method"), step.get("part")
    fine = regions is None or (_is_names(regions) and regions)
    _need(fine, f"regions of {where}", regions, "a list of different names or null")
    _need(method in (None, SEMANTIC), f"method of {where}", method, f"{SEMANTIC} or none")
    allowed = (None,) if method is None else PARTS
    _need(part in allowed, f"part of {where}", part, f"{', '.join(PARTS)}, and none without the method {SEMANTIC}")
    _need(method is None or step.get("query") is None, f"query of {where}", step.get("query"), f"none for {method}")
    check_query(step.get("query"))


def _check_compose(where: str, step: Step) -> None:
    _need(len(step["inputs"]) in (1, 2), f"inputs of {where}", step["inputs"], "a picture, and one for the background")
    without, move, zoom, photo = (step.get(key) for key in ("without", "move", "zoom", "background"))
    _need(_is_names(without), f"without of {where}", without, "a list of different names")
    fine = _is_named(move) and all(
        isinstance(value, list) and len(value) == 2 and all(_is_number(each, -MAX_MOVE, MAX_MOVE) for each in value)
        for value in move.values()
    )
    _need(fine, f"move of {where}", move, f"two numbers from {-MAX_MOVE} to {MAX_MOVE} by name")
    fine = _is_named(zoom) and all(_is_number(value, 1 / MAX_ZOOM, MAX_ZOOM) for value in zoom.values())
    _need(fine, f"zoom of {where}", zoom, f"a number from {1 / MAX_ZOOM} to {MAX_ZOOM} by name")
    _need(photo is None or _is_photograph(photo), f"background of {where}", photo, "null, or a SHA-256 and a size")
    _need(photo is None or len(step["inputs"]) == 1, f"background of {where}", photo, "a photograph or a picture")


def _check_grid(where: str, step: Step) -> None:
    _need(1 <= len(step["inputs"]) <= MAX_GRID, f"inputs of {where}", step["inputs"], f"1 to {MAX_GRID} steps")
    columns = step.get("columns")
    _need(_is_int(columns) and 1 <= columns <= MAX_GRID, f"columns of {where}", columns, f"1 to {MAX_GRID}")


def check_query(settings: Any) -> dict[str, str | float] | None:
    """Settings for `RegionCatalog.query` as they came in, None for the catalog's defaults.

    Raises:
        InputError: unless they are a few named numbers, and words for `method` and `mode`.
    """
    if settings is None:
        return None
    fine = isinstance(settings, dict) and len(settings) <= 8
    if not fine or not all(
        _is_text(value) if key in ("method", "mode") else key != "region" and _is_number(value, -1e6, 1e6)
        for key, value in settings.items()
    ):
        raise InputError(
            f"The query settings {_short(settings)} cannot be used; give method and mode as words and their parameters "
            "as numbers, as RegionCatalog.query takes them."
        )
    return settings


# What each kind of step is checked by, and what it holds beside op and inputs.
_CHECKS = {
    "sample": (_check_sample, ("seed", "truncation_psi", "label")),
    "mix": (_check_mix, ("regions", "strengths", "query", "method", "layout", "parts")),
    "interpolate": (_check_interpolate, ("position", "regions", "query", "method", "part")),
    "grid": (_check_grid, ("columns",)),
    "compose": (_check_compose, ("without", "move", "zoom", "background")),
}


def _need(fine: Any, what: str, value: Any, expected: str) -> None:
    if not fine:
        raise InputError(f"The recipe is damaged: {what} is {_short(value)} where {expected} is expected.")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any, low: float, high: float) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 500 and value.isprintable()


def _is_names(value: Any) -> bool:
    fine = isinstance(value, list) and len(value) <= MAX_NAMES and all(map(_is_text, value))
    return fine and len(set(value)) == len(value)


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and _is_names(list(value))


def _is_photograph(value: Any) -> bool:
    if not isinstance(value, dict) or value.keys() != {"sha256", "size"}:
        return False
    digest, size = value["sha256"], value["size"]
    fine = isinstance(size, list) and len(size) == 2 and all(_is_int(side) and 0 < side < 2**20 for side in size)
    return fine and isinstance(digest, str) and re.fullmatch("[0-9a-f]{64}", digest) is not None


# In and out of PNG files --------------------------------------------------------------------------------------------


def png_bytes(image: Image.Image, recipe: Recipe) -> bytes:
    """`image` as a PNG file that carries `recipe` and the statement that it is synthetic."""
    info = PngImagePlugin.PngInfo()
    info.add_itxt(CHUNK, json.dumps(recipe, separators=(",", ":")))
    info.add_itxt(XMP_CHUNK, _xmp_packet(recipe))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", pnginfo=info)
    return buffer.getvalue()


def _xmp_packet(recipe: Recipe) -> str:
    model = recipe["model"]
    tool = f"sfhub {recipe['package']['version']}, model {model['name']}, revision {model['revision']}"
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
        ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
        f" Iptc4xmpExt:DigitalSourceType={quoteattr(DIGITAL_SOURCE_TYPE)} xmp:CreatorTool={quoteattr(tool)}/>"
        '</rdf:RDF></x:xmpmeta>\n<?xpacket end="r"?>'
    )


def read_recipe(image: str | os.PathLike[str] | Image.Image) -> Recipe:
    """The checked recipe inside a picture.

    Args:
        image: a PNG file, or a picture opened from one.

    Raises:
        InputError: if the file cannot be read, carries no recipe, or a damaged one.
    """
    name = "The picture" if isinstance(image, Image.Image) else Path(image).name
    try:
        if isinstance(image, Image.Image):
            text = image.info.get(CHUNK)
        else:
            with Image.open(image, formats=["PNG"]) as opened:
                text = opened.info.get(CHUNK)
    except (OSError, SyntaxError, ValueError) as error:
        # Pillow: OSError for no file or no PNG, SyntaxError for broken chunks, ValueError for text chunks too large.
        raise InputError(
            f"{name} cannot be read as a PNG file; give a picture that sfhub saved, unchanged by other programs."
        ) from error
    if not isinstance(text, str):
        raise InputError(
            f"{name} carries no recipe; only PNG files saved by sfhub do, and other programs drop it on saving again."
        )
    if len(text) > MAX_CHARACTERS:
        raise InputError(f"The recipe in {name} has {len(text)} characters, more than the {MAX_CHARACTERS} allowed.")
    try:
        recipe = json.loads(text)
    except (ValueError, RecursionError) as error:
        # ValueError: no JSON, or a number of more digits than Python converts.
        raise InputError(f"The recipe in {name} is damaged: it is not JSON; use the file as sfhub saved it.") from error
    return check_recipe(recipe)
