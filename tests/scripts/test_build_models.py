"""The one command that builds all models: a fast build goes through every stage, and its models open and draw."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import build_models
from sfhub import open_pipeline
from sfhub.errors import InputError
from sfhub.pipelines.hub import ALIASES
from sfhub.text.encoder import SHIPPED as SHIPPED_CLIP
from sfhub.training.guided import PRESETS

SCRIPT = Path(build_models.__file__)
SHIPPED = [stage.name for stage in build_models.shipped("cpu")]


def build(folder, *arguments):
    """Run the script in a folder, where it leaves its renders, too; return what it printed."""
    command = [sys.executable, str(SCRIPT), "--fast", "--out", "models", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("build")
    printed = build(folder)
    table = printed[printed.index("| stage | time | result | MB |") :]
    assert [line.split("|")[1].strip() for line in table.splitlines()[2:]] == [*SHIPPED, "all"]
    return folder


@pytest.mark.parametrize("name", ["portraits", "portraits-semantic", "portraits-semantic-ink"])
def test_a_built_model_opens_draws_and_mixes(built, name):
    stage = next(stage for stage in build_models.shipped("cpu") if stage.name == name)
    pipe = open_pipeline(stage.result_in(built / "models"))
    base, other = pipe.sample([1, 2])
    assert base.image.size == (32, 32)
    assert pipe(base, regions={"hair": other}, layout=other).image.size == (32, 32)


def test_a_second_build_has_nothing_to_do(built):
    assert build(built).count("skipped") == len(SHIPPED)
    assert build(built, "--dry-run").count("is done") == len(SHIPPED)


@pytest.mark.slow
def test_built_models_can_be_measured(built):
    table = build(built, "--evaluate").splitlines()
    measured = [stage.name for stage in build_models.evaluations("cpu")]
    assert measured and all(any(line.startswith(f"| {name} |") for line in table) for name in measured)


@pytest.mark.parametrize("preset", build_models.DEVICES)
def test_stages_have_their_own_names_and_come_after_what_they_need(preset):
    assert preset in PRESETS
    seen = set()
    for stage in build_models.shipped(preset) + build_models.evaluations(preset):
        assert stage.name not in seen and seen.issuperset(stage.needs), stage.name
        assert all(f"{{out}}/{need}" in stage.command for need in stage.needs), stage.name
        seen.add(stage.name)


def test_what_is_built_is_what_the_package_opens():
    installed = {
        stage.name: build_models.ROOT / stage.install for stage in build_models.shipped("cpu") if stage.install
    }
    assert installed.pop("judge") == SCRIPT.parent / "portraits_judge"
    assert installed.pop("clip") == SHIPPED_CLIP
    assert installed == ALIASES


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "tpu"}, "no preset 'tpu'; choose one of cpu, gpu"),
        ({"only": ["painter"]}, "no stage 'painter'; choose among parser, judge, "),
        ({"first": "painter"}, "no stage 'painter'"),
        ({"fast": True, "installing": True}, "leave out --fast or --install"),
        ({"only": ["catalog"]}, "'catalog' needs 'portraits-generator', which was not run yet"),
    ],
)
def test_what_cannot_work_is_refused_in_one_sentence(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        build_models.main(tmp_path / "models", **options)
    assert not list(tmp_path.iterdir())
