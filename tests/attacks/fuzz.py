"""Mutated recipes, pictures and model folders, each made from a seed, and what happens when they are opened.

python tests/attacks/fuzz.py 3000 7 results.json
"""

import copy
import io
import json
import random
import resource
import shutil
import struct
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image, PngImagePlugin

from sfhub.errors import InputError
from sfhub.images.pixels import open_picture
from sfhub.models.region_tree import RegionTree
from sfhub.pipelines.families import open_pipeline
from sfhub.pipelines.redo import redo
from sfhub.steps.png import CHUNK, read_recipe

STRANGE = [
    None, True, -1, 0, 1.5, 2**16, 2**40, 10**400, float("nan"), float("inf"), "", "x", "A" * 5000, "../x", "\0", "<b>",
    [], {}, [[]], [None] * 3, {"self": 1}, [1] * 5000, {"a": {"a": {}}}, "float16", ["sfhub.models.stylegan2", "x"],
]  # fmt: skip

Change = Callable[[random.Random], None]


def mutated(value: Any, rng: random.Random) -> Any:
    """Decoded JSON with one to three places changed, removed, doubled or moved."""
    value = copy.deepcopy(value)
    for _ in range(rng.randint(1, 3)):
        places = list(_places(value))
        if not places:
            return rng.choice(STRANGE)
        holder, key = rng.choice(places)
        kind = rng.randrange(5)
        if kind == 0 and isinstance(holder, dict):
            del holder[key]
        elif kind == 1 and isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))
        elif kind == 2:
            other, other_key = rng.choice(places)
            holder[key] = copy.deepcopy(other[other_key])
        elif kind == 3 and isinstance(holder[key], (int, float)) and not isinstance(holder[key], bool):
            holder[key] = rng.choice([-holder[key], holder[key] * 2, holder[key] + 1, holder[key] / 3])
        else:
            holder[key] = copy.deepcopy(rng.choice(STRANGE))
    return value


def _places(value: Any):
    waiting = [value]
    while waiting:
        each = waiting.pop()
        keys = list(each) if isinstance(each, dict) else range(len(each)) if isinstance(each, list) else ()
        for key in keys:
            yield each, key
            waiting.append(each[key])


def damaged(content: bytes, rng: random.Random) -> bytes:
    """A file with some bytes changed, cut off, doubled or put in."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) or 1)
        kind = rng.randrange(4)
        if kind == 0 and data:
            data[at] = rng.randrange(256)
        elif kind == 1:
            del data[at : at + rng.choice([1, 4, len(data)])]
        elif kind == 2:
            data[at:at] = data[at : at + rng.randint(1, 64)]
        else:
            data[at:at] = struct.pack(">I", rng.choice([0, 1, 2**16, 2**31 - 1, 2**32 - 1]))
    return bytes(data)


class Fuzzer:
    """What is mutated, and how each is opened.

    Args:
        models: folders of models, and a picture that each of them made.
        work: empty folder.
    """

    def __init__(self, models: dict[Path, Path], work: Path):
        self.models, self.work = models, work
        self.pipes = {folder: open_pipeline(folder) for folder in models}
        for pipe in self.pipes.values():
            pipe.set_progress_bar_config(disable=True)

    def recipe(self, rng: random.Random) -> None:
        """A mutated recipe, made again."""
        folder, picture = rng.choice(list(self.models.items()))
        text = json.dumps(mutated(read_recipe(picture), rng))
        info = PngImagePlugin.PngInfo()
        info.add_itxt(CHUNK, text)
        buffer = io.BytesIO()
        Image.new("RGB", (4, 4)).save(buffer, format="PNG", pnginfo=info)
        path = self.work / "stranger.png"
        path.write_bytes(buffer.getvalue())
        redo(path, self.pipes[folder])

    def picture(self, rng: random.Random) -> None:
        """A damaged PNG with a recipe, and the same as a photograph."""
        path = self.work / "stranger.png"
        path.write_bytes(damaged(rng.choice(list(self.models.values())).read_bytes(), rng))
        for read in (read_recipe, open_picture):
            try:
                read(path)
            except InputError:
                continue

    def photograph(self, rng: random.Random) -> None:
        """A damaged photograph."""
        buffer = io.BytesIO()
        image = Image.new("RGB", (rng.randint(1, 40), rng.randint(1, 40)), (rng.randrange(256), 80, 60))
        image.save(buffer, format=rng.choice(["PNG", "JPEG", "WEBP", "BMP", "GIF"]))
        path = self.work / "photo"
        path.write_bytes(damaged(buffer.getvalue(), rng))
        open_picture(path, 16)

    def folder(self, rng: random.Random) -> None:
        """A model folder with a mutated file, opened and used."""
        source = rng.choice(list(self.models))
        target = self.work / "model"
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)
        path = rng.choice(sorted(each for each in target.rglob("*") if each.suffix in (".json", ".safetensors")))
        if path.suffix == ".json" and rng.random() < 0.85:
            path.write_text(json.dumps(mutated(json.loads(path.read_text()), rng)))
        else:
            path.write_bytes(damaged(path.read_bytes(), rng))
        pipe = open_pipeline(target)
        pipe.set_progress_bar_config(disable=True)
        use(pipe)

    def tree(self, rng: random.Random) -> None:
        """A mutated tree of regions."""
        tree = RegionTree.load(rng.choice(["ffhq", "car", "portraits"])).to_config()
        path = self.work / "tree.json"
        path.write_text(json.dumps(mutated(tree, rng)))
        RegionTree.load(path)


def use(pipe: Any) -> None:
    """Whatever a page does with a model."""
    a, b = pipe.sample([1, 2])
    regions = pipe.regions
    for region in regions[:2]:
        pipe.covered_by(region)
    if regions:
        pipe.mix(a, {regions[0]: b}, 0.5)
        pipe.segment(a)
    for name in list(pipe.edits)[:2]:
        pipe.edit(a, name, 0.5, region=None)
    pipe.redo(a.recipe)


def run(count: int, seed: int, models: dict[Path, Path]) -> dict[str, Any]:
    """Open so many mutations.

    Returns:
        `refused`, `opened`, `failures` (what was raised that is no sentence), `seconds` and `peak_mib`.
    """
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    start, result = time.monotonic(), {"refused": 0, "opened": 0, "failures": []}
    with tempfile.TemporaryDirectory() as work:
        fuzzer = Fuzzer(models, Path(work))
        kinds = (
            [fuzzer.recipe] * 8 + [fuzzer.picture] * 5 + [fuzzer.photograph] * 5 + [fuzzer.folder] * 4 + [fuzzer.tree]
        )
        for number in range(count):
            rng = random.Random(f"{seed} {number}")
            kind = rng.choice(kinds)
            try:
                kind(rng)
                result["opened"] += 1
            except InputError as error:
                result["refused"] += 1
                if "\n" in str(error) or "A" * 81 in str(error):
                    result["failures"].append([number, kind.__name__, f"no sentence: {error}"])
            except Exception:
                result["failures"].append([number, kind.__name__, traceback.format_exc()])
    result["seconds"] = time.monotonic() - start
    result["processor_seconds"] = time.process_time()
    result["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return result


def main(count: str, seed: str, out: str, models: str) -> None:
    """Write what `run` gives as JSON; `models` is a JSON object of folders and pictures."""
    found = run(int(count), int(seed), {Path(key): Path(value) for key, value in json.loads(models).items()})
    Path(out).write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main(*sys.argv[1:])
