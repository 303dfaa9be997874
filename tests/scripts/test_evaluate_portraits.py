"""Judge and evaluation of portraits by their commands: train, measure, look."""

import json

import pytest
import torch
from typer.testing import CliRunner

from scripts import evaluate_portraits, train_judge, train_parser
from sfhub.metrics.judge import PortraitJudge
from sfhub.models.stylegan2 import StyleGAN2Generator
from sfhub.portraits.latents import LATENT_DIM
from sfhub.portraits.parser import PortraitParser


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    StyleGAN2Generator(
        resolution=16, z_dim=LATENT_DIM, w_dim=256, num_mapping_layers=1, channels={"4": 8, "8": 8, "16": 8}
    ).save_pretrained(folder / "generator")
    PortraitParser(resolution=16, widths=(8, 8), feature_dim=8).save_pretrained(folder / "parser")
    PortraitJudge(resolution=16, widths=(8, 8), depths=(1, 1)).half().save_pretrained(folder / "judge")
    return folder


def run(command, folder, *options):
    arguments = [command, "--generator", str(folder / "generator"), *map(str, options)]
    return CliRunner().invoke(evaluate_portraits.app, arguments)


def test_frechet_leaves_a_grid_and_distances(folder, tmp_path):
    result = run("frechet", folder, "--parser", folder / "parser", "--out", tmp_path, "--count", 20)
    assert result.exception is None
    found = json.loads((tmp_path / "metrics.json").read_text())["frechet_distance"]
    assert found["other renders"] < found["generator"]
    assert (tmp_path / "grid.png").stat().st_size > 0


@pytest.mark.parametrize("judge", ["judge", "parser"])
def test_attributes_leaves_tables_and_a_picture(judge, folder, tmp_path):
    result = run("attributes", folder, "--judge", folder / judge, "--out", tmp_path, "--count", 30)
    assert result.exception is None
    found = json.loads((tmp_path / "attributes.json").read_text())
    assert found["count"] == 30 and found["seen"] >= found["shown"]
    assert set(found["scores"]["yaw"]) == {"latent", "code", "render"}
    assert "shown:" in (tmp_path / "attributes.md").read_text()
    assert (tmp_path / "attributes.png").stat().st_size > 0


def test_the_judge_is_trained_by_one_command_and_kept_in_half_precision_too(tmp_path):
    arguments = {"resolution": 32, "renders": 1_040, "mixed_precision": "no"}
    settings = ["steps=2", "batch_size=4", "learning_rate=0.001"]
    train_judge.main(
        tmp_path / "judge",
        **arguments,
        data_seed=3,
        set_=settings,
        cache_dir=tmp_path / "data",
        half=tmp_path / "half",
    )
    kept = PortraitJudge.from_pretrained(tmp_path / "half", torch_dtype=torch.float16)
    whole = PortraitJudge.from_pretrained(tmp_path / "judge")
    weight = "head.0.weight"
    assert kept.dtype == torch.float16
    torch.testing.assert_close(kept.state_dict()[weight].float(), whole.state_dict()[weight], rtol=1e-3, atol=1e-4)
    assert json.loads((tmp_path / "judge" / "metrics.json").read_text())["step"] == 2
    train_parser.main(
        tmp_path / "parser",
        **arguments,
        data_seed=3,
        set_=[*settings, "attribute_weight=1"],
        cache_dir=tmp_path / "data",
    )
    assert PortraitParser.from_pretrained(tmp_path / "parser").config.resolution == 32
