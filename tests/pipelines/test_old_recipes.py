"""Pictures that were saved before steps became types are made again as they were, byte for byte.

`recipes/` holds a recipe and its picture for every kind of step and every option, as sfhub 0.1.0 wrote them in November
2026 with the random toy models of `tests/conftest.py`. Never write them anew: that they stay is what they are for.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sfhub.models.stylegan2 import StyleGAN2Generator
from sfhub.pipelines.stylegan import StyleGANPipeline
from sfhub.steps.png import read_recipe
from sfhub.steps.recipe import check_recipe

FOLDER = Path(__file__).parent / "recipes"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))

# Another processor or PyTorch rounds otherwise, which moves a few pixels by a level.
HERE = f"{torch.__version__} {torch.backends.cpu.get_cpu_capability()}"
SAME_ROUNDING = (FOLDER / "made-with.txt").read_text().strip() == HERE


def conditional_pipeline() -> StyleGANPipeline:
    """A model of three classes."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        generator = StyleGAN2Generator(
            resolution=8, z_dim=8, w_dim=8, num_mapping_layers=1, channels={"4": 8, "8": 8}, num_classes=3
        )
    return StyleGANPipeline(generator.eval())


@pytest.mark.parametrize("name", NAMES)
def test_an_old_picture_is_made_again_from_its_recipe(request, name):
    kept = json.loads((FOLDER / f"{name}.json").read_text())
    recipe = kept["recipe"]
    model = kept["model"]
    pipe = conditional_pipeline() if model == "conditional_pipeline" else request.getfixturevalue(model)
    assert pipe.model_record == recipe["model"]
    photograph = Image.open(FOLDER / "photograph.png") if recipe["steps"][-1].get("background") else None
    again = pipe.redo(check_recipe(recipe), background=photograph)
    found, expected = np.asarray(again.image), np.asarray(Image.open(FOLDER / f"{name}.png"))
    if SAME_ROUNDING:
        assert np.array_equal(found, expected)
    else:
        assert found.shape == expected.shape and np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("name", NAMES)
def test_an_old_png_still_tells_its_recipe(name):
    assert read_recipe(FOLDER / f"{name}.png") == json.loads((FOLDER / f"{name}.json").read_text())["recipe"]


def test_every_kind_of_step_is_among_them():
    recipes = [json.loads((FOLDER / f"{name}.json").read_text())["recipe"] for name in NAMES]
    found = {(step["op"], step.get("method")) for recipe in recipes for step in recipe["steps"]}
    mixes = {("mix", method) for method in (None, "fusion", "semantic")}
    films = {("interpolate", method) for method in (None, "semantic")}
    assert found == {("sample", None), ("grid", None), ("compose", None), *mixes, *films}
