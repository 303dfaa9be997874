"""Every command of the SemanticStyleGAN evaluation leaves its results, for a model from a folder."""

import importlib.util
import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from sfhub.errors import InputError
from sfhub.portraits.parser import PortraitParser
from tests.halves_semantic import semantic_halves_generator

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "evaluate_semantic_stylegan.py"


@pytest.fixture(scope="module")
def app():
    spec = importlib.util.spec_from_file_location("evaluate_semantic_stylegan", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.app


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    semantic_halves_generator().save_pretrained(folder / "generator")
    PortraitParser(resolution=32, widths=(8, 8), feature_dim=4, class_names=("west", "east")).save_pretrained(
        folder / "parser"
    )
    Image.new("RGB", (40, 30), "red").save(folder / "beach.png")
    return folder


@pytest.mark.parametrize(
    ("command", "options", "expected"),
    [
        ("grid", ["--count", "3"], ["grid.png"]),
        ("components", ["--count", "2"], ["components.png"]),
        (
            "interpolate",
            ["--steps", "3", "--region", "east", "--part", "shape"],
            ["interpolation/everything.mp4", "interpolation/east.gif", "interpolation/interpolation.png"],
        ),
        ("background", ["--photo", "beach.png"], ["background.png"]),
        ("mixing", ["--references", "2"], ["mixing_both.png", "mixing_shape.png", "mixing_texture.png"]),
        ("locality", ["--pairs", "4", "--parser", "parser"], ["locality.json", "locality.md"]),
        ("masks", ["--count", "4", "--parser", "parser"], ["masks.json", "masks.md"]),
        ("fid", ["--count", "20", "--parser", "parser", "--beside", ""], ["frechet.json"]),
    ],
)
def test_a_command_leaves_its_results(command, options, expected, app, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    result = CliRunner().invoke(app, [command, "--model", "generator", "--out", str(tmp_path), *options])
    assert result.exception is None
    for name in expected:
        assert (tmp_path / name).stat().st_size > 0


def test_the_distance_stands_beside_that_of_a_stylegan2(app, folder, tmp_path, tiny_generator):
    tiny_generator.save_pretrained(folder / "stylegan2")
    options = ["--model", str(folder / "generator"), "--parser", str(folder / "parser"), "--count", "20"]
    result = CliRunner().invoke(app, ["fid", *options, "--beside", str(folder / "stylegan2"), "--out", str(tmp_path)])
    assert result.exception is None
    found = json.loads((tmp_path / "frechet.json").read_text())
    distances = found["frechet_distance"]
    assert distances["other renders"] < distances["generator"]
    assert found["ratio"] == pytest.approx(distances["generator"] / distances[str(folder / "stylegan2")])


def test_what_is_missing_is_named(app, folder, tmp_path):
    model = ["--model", str(folder / "generator"), "--out", str(tmp_path)]
    result = CliRunner().invoke(app, ["fid", *model])
    assert isinstance(result.exception, InputError) and "--parser" in str(result.exception)
    result = CliRunner().invoke(app, ["background", *model, "--photo", str(folder / "no.png")])
    assert isinstance(result.exception, InputError) and "no.png" in str(result.exception)
