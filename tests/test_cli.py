"""The command line: pictures come out, and what goes wrong is one sentence and status 2."""

import logging
import sys

import numpy as np
import pytest
from PIL import Image

from sfhub.cli import main, parse_seeds, parse_strengths
from sfhub.convert import load_checkpoint
from sfhub.errors import InputError
from sfhub.pipelines import open_pipeline
from sfhub.steps.png import read_recipe


@pytest.fixture(scope="module")
def model(tiny_pipeline, tmp_path_factory):
    """The tiny model in a folder."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tiny_pipeline.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def semantic_model(semantic_pipeline, tmp_path_factory):
    """The tiny SemanticStyleGAN in a folder."""
    folder = tmp_path_factory.mktemp("models") / "semantic"
    semantic_pipeline.save_pretrained(folder)
    return str(folder)


@pytest.fixture(autouse=True)
def _in_tmp(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


def sfhub(*arguments) -> int:
    """Exit status of `sfhub ...`."""
    with pytest.raises(SystemExit) as caught:
        main([str(each) for each in arguments])
    return caught.value.code


def refusal(capsys, *arguments) -> str:
    """The one sentence that a command prints before it exits with status 2."""
    assert sfhub(*arguments) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1
    return output.err


def pixels(path):
    return np.asarray(Image.open(path))


def test_sample_writes_one_picture_per_seed(model, tmp_path, tiny_pipeline, capsys):
    assert sfhub("sample", "--seeds", "1-2,9", "--out", "faces", "--model", model) == 0
    assert sorted(path.name for path in (tmp_path / "faces").iterdir()) == ["seed-1.png", "seed-2.png", "seed-9.png"]
    assert np.array_equal(pixels("faces/seed-9.png"), np.asarray(tiny_pipeline.sample(9)[0].image))
    assert capsys.readouterr().out.split() == ["faces/seed-1.png", "faces/seed-2.png", "faces/seed-9.png"]


def test_sample_writes_a_grid_that_can_be_made_again(model, tmp_path):
    assert sfhub("sample", "--seeds", "1-8", "--psi", "0.5", "--grid", "grid.png", "-m", model) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["grid.png"]
    assert pixels("grid.png").shape == (96, 96, 3)
    assert sfhub("redo", "grid.png", "again.png", "-m", model) == 0
    assert np.array_equal(pixels("again.png"), pixels("grid.png"))


def test_mix_takes_seeds_strengths_and_earlier_pictures(model, tiny_pipeline):
    arguments = ["--base", 1, "--region", "hair=2", "--region", "mouth=3", "--strength", "hair=0.8", "-m", model]
    assert sfhub("mix", *arguments, "mixed.png") == 0
    a, b, c = tiny_pipeline.sample([1, 2, 3])
    expected = tiny_pipeline.mix(a, {"hair": b, "mouth": c}, {"hair": 0.8})
    assert np.array_equal(pixels("mixed.png"), np.asarray(expected.image))

    assert sfhub("mix", "--base", "mixed.png", "--region", "face=2", "-m", model, "more.png") == 0
    assert np.array_equal(pixels("more.png"), np.asarray(tiny_pipeline.mix(expected, {"face": b}).image))
    assert [step["op"] for step in read_recipe("more.png")["steps"]].count("mix") == 2


def test_mix_takes_shapes_textures_and_a_layout_of_a_semantic_model(semantic_model, semantic_pipeline):
    arguments = ["--base", 1, "--region", "mouth=2", "--shape", "hair=2", "--texture", "hair=3", "--layout", 3]
    assert sfhub("mix", *arguments, "--strength", "hair=0.5", "-m", semantic_model, "mixed.png") == 0
    a, b, c = semantic_pipeline.sample([1, 2, 3])
    expected = semantic_pipeline.mix(a, {"mouth": b}, {"hair": 0.5}, shape={"hair": b}, texture={"hair": c}, layout=c)
    assert np.array_equal(pixels("mixed.png"), np.asarray(expected.image))


def test_redo_takes_the_photograph_behind_a_picture(semantic_model, tmp_path, capsys):
    Image.new("RGB", (20, 30), "teal").save("photo.jpg")
    pipe = open_pipeline(semantic_model)
    with Image.open("photo.jpg") as photograph:
        composed = pipe.compose(pipe.sample(1)[0], background=photograph)
    composed.save("composed.png")
    assert sfhub("redo", "composed.png", "again.png", "-m", semantic_model, "--background", "photo.jpg") == 0
    assert np.array_equal(pixels("again.png"), np.asarray(composed.image))
    capsys.readouterr()
    assert "takes a photograph of 20 x 30" in refusal(capsys, "redo", "composed.png", "again.png", "-m", semantic_model)
    bad = ["--background", "composed.txt", "-m", semantic_model]
    assert "composed.txt cannot be read as a picture" in refusal(capsys, "redo", "composed.png", "again.png", *bad)


def test_redo_makes_a_picture_again(model):
    assert sfhub("sample", "--seeds", "4", "-m", model) == 0
    assert sfhub("redo", "seed-4.png", "again.png", "--model", model) == 0
    assert np.array_equal(pixels("again.png"), pixels("seed-4.png"))


def test_what_a_command_wrote_says_that_it_is_synthetic(model, tmp_path):
    sfhub("sample", "--seeds", "4", "-m", model)
    assert b"digitalsourcetype/trainedAlgorithmicMedia" in (tmp_path / "seed-4.png").read_bytes()


def test_convert_turns_a_checkpoint_into_a_model_that_samples(fixtures_dir, capsys):
    checkpoint = fixtures_dir / "stylegan2_nvidia" / "network.pkl"
    assert sfhub("convert", checkpoint, "converted") == 0
    assert "converted" in capsys.readouterr().out
    assert sfhub("sample", "--seeds", "1", "--grid", "grid.png", "-m", "converted") == 0
    side = load_checkpoint(checkpoint).config.resolution
    assert pixels("grid.png").shape == (side, side, 3)


@pytest.mark.parametrize("command", ["sample", "mix", "convert", "demo", "redo"])
def test_help_shows_an_example(command, capsys):
    assert sfhub(command, "--help") == 0
    assert f"Example:  sfhub {command} " in capsys.readouterr().out


def test_without_arguments_the_commands_are_listed(capsys):
    sfhub()
    output = capsys.readouterr()
    assert all(name in output.out + output.err for name in ("sample", "mix", "convert", "demo", "redo"))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["sample", "--seeds", "1-x"], "Seeds '1-x' cannot be read; write them as 7, 1-8 or 1,5,10-12."),
        (["sample", "--seeds", "4294967296"], "Seed 4294967296 cannot be used"),
        (["sample", "--psi", "9", "--model", "MODEL"], "Truncation psi is 9.0; take a number from -2 to 2."),
        (["sample", "--model", "./nowhere"], "'./nowhere' is neither a folder, nor a built-in model"),
        (["sample", "--device", "abacus", "--model", "MODEL"], "Device 'abacus' cannot be used"),
        (["sample", "--seeds", "1", "--grid", "face.jpg", "--model", "MODEL"], "'face.jpg' is no name for a PNG file"),
        (["mix", "--base", "1", "--region", "tail=2", "--model", "MODEL", "o.png"], "There is no region 'tail'"),
        (["mix", "--base", "1", "--region", "tail", "o.png"], "--region 'tail' cannot be read; write it as hair=2."),
        (["mix", "--base", "x.png", "--region", "hair=2", "-m", "MODEL", "o.png"], "x.png cannot be read as a PNG"),
        (
            ["mix", "--base", "1", "--shape", "hair=2", "-m", "MODEL", "o.png"],
            "--shape cannot be used with the model tiny",
        ),
        (["mix", "--base", "1", "--texture", "hair", "o.png"], "--texture 'hair' cannot be read; write it as hair=2."),
        (
            ["mix", "--base", "1", "--method", "fusion", "-m", "SEMANTIC", "o.png"],
            "--method cannot be used with the mod",
        ),
        (["mix", "--base", "1", "--shape", "tail=2", "-m", "SEMANTIC", "o.png"], "There is no region 'tail'"),
        (["redo", "x.png", "o.png"], "x.png cannot be read as a PNG file"),
        (["convert", "x.pt", "out"], "x.pt"),
    ],
)
def test_what_goes_wrong_is_one_sentence(model, semantic_model, capsys, arguments, sentence):
    arguments = [{"MODEL": model, "SEMANTIC": semantic_model}.get(each, each) for each in arguments]
    assert sentence in refusal(capsys, *arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ["mix", "--base", "1", "--region", "tail=2", "-m", "MODEL", "o.png"],
        ["mix", "--base", "1", "--region", "hair=2", "-m", "MODEL", "o.jpg"],
        ["mix", "--base", "1", *(f"--region=region {k}=2" for k in range(200)), "-m", "MODEL", "o.png"],
        ["edit", "--base", "1", "--edit", "frown", "-m", "MODEL", "o.png"],
        ["edit", "--base", "1", "--edit", "frown", "-m", "MODEL", "o.jpg"],
        ["sample", "--seeds", "1-900", "--grid", "o.png", "-m", "MODEL"],
        ["sample", "--seeds", "1-900", "--grid", "o.jpg", "-m", "MODEL"],
    ],
)
def test_a_command_is_checked_before_the_first_picture_is_made(model, capsys, monkeypatch, arguments):
    made = []
    monkeypatch.setattr("sfhub.pipelines.stylegan.StyleGANPipeline._synthesize", lambda *codes: made.append(codes))
    assert refusal(capsys, *(model if each == "MODEL" else each for each in arguments))
    assert made == []


def test_redo_asks_for_a_model_that_is_not_built_in(model, capsys):
    sfhub("sample", "--seeds", "4", "-m", model)
    capsys.readouterr()
    assert "say where that model is with --model" in refusal(capsys, "redo", "seed-4.png", "again.png")


def test_redo_with_another_model_warns(model, tiny_generator, tmp_path, caplog):
    tiny_generator.save_pretrained(tmp_path / "bare")
    sfhub("sample", "--seeds", "4", "-m", model)
    with caplog.at_level(logging.WARNING):
        assert sfhub("redo", "seed-4.png", "again.png", "-m", "bare") == 0
    assert "comes out differently" in caplog.text


def test_demo_without_gradio_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gradio", None)
    for name in [name for name in sys.modules if name.startswith("sfhub.space")]:
        monkeypatch.delitem(sys.modules, name)
    assert "pip install 'sfhub[demo]'" in refusal(capsys, "demo")


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("7", [7]), ("1-3", [1, 2, 3]), ("1, 5,10-12", [1, 5, 10, 11, 12]), ("0,4294967295", [0, 2**32 - 1])],
)
def test_seeds_are_numbers_and_ranges(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "-1", "3-1", "1-4000000000", "1;2", "١-x", "1.5"])
def test_other_seeds_are_refused(text):
    with pytest.raises(InputError, match=r"^Seeds? "):
        parse_seeds(text)


def test_a_strength_is_for_all_regions_or_for_one():
    assert parse_strengths([], ["hair", "mouth"]) == {"hair": 1, "mouth": 1}
    assert parse_strengths(["0.5", "hair=0.8"], ["hair", "mouth"]) == {"hair": 0.8, "mouth": 0.5}
    with pytest.raises(InputError, match="Region 'eyes' has a strength but no source"):
        parse_strengths(["eyes=1"], ["hair"])
    with pytest.raises(InputError, match="Strength 'much' cannot be read"):
        parse_strengths(["much"], ["hair"])
