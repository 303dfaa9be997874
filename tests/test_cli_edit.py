"""`sfhub edits` and `sfhub edit`: a list with ranges, edits one after the other, one sentence for what goes wrong."""

import numpy as np
import pytest
import torch
from PIL import Image

from sfhub.cli import main, parse_edit
from sfhub.editing.directions import EditDirections
from sfhub.editing.edits import Direction
from sfhub.errors import InputError
from sfhub.pipelines.families import open_pipeline
from sfhub.pipelines.stylegan import StyleGANPipeline


@pytest.fixture(scope="module")
def model(tiny_generator, tiny_catalog, tmp_path_factory):
    """A model with two edits, in a folder."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    pipe = StyleGANPipeline(tiny_generator, tiny_catalog)
    edits = [
        Direction("smile", "w", torch.ones(32), "mouth", (-1.0, 2.5)),
        Direction("age", "w", torch.linspace(-1, 1, 32), range=(0.0, 2.0)),
    ]
    pipe.directions = EditDirections.of(edits, pipe.code_space)
    pipe.save_pretrained(folder)
    return str(folder)


@pytest.fixture(autouse=True)
def _in_tmp(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


def sfhub(*arguments) -> int:
    with pytest.raises(SystemExit) as caught:
        main([str(each) for each in arguments])
    return caught.value.code


def pixels(path):
    return np.asarray(Image.open(path))


def test_edits_are_listed_with_their_ranges(model, capsys):
    assert sfhub("edits", model) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[1:] == [["smile", "-1", "to", "2.5", "mouth", "w"], ["age", "0", "to", "2", "everywhere", "w"]]


def test_edits_are_put_on_one_after_the_other(model, capsys):
    arguments = ["--edit", "smile=1.5@mouth+hair", "--edit", "age", "--lock", "-m", model]
    assert sfhub("edit", "--base", 1, *arguments, "out.png") == 0
    assert "smile: 0% of the pixels outside changed, by 0.0 of 255 on average" in capsys.readouterr().err
    pipe = open_pipeline(model)
    expected = pipe.edit(pipe.edit(pipe.sample(1)[0], "smile", 1.5, ["mouth", "hair"], lock=True), "age")
    assert np.array_equal(pixels("out.png"), np.asarray(expected.image))
    assert sfhub("redo", "out.png", "again.png", "-m", model) == 0
    assert np.array_equal(pixels("again.png"), pixels("out.png"))


def test_public_files_of_directions_can_be_used_and_are_asked_for_again(model, capsys):
    torch.save(torch.linspace(-1, 1, 32)[None], "grin.pt")
    assert sfhub("edit", "--base", 1, "--edit", "grin=2@mouth", "--directions", "grin.pt", "-m", model, "out.png") == 0
    assert sfhub("redo", "out.png", "again.png", "-m", model) == 2
    assert "takes the edit 'grin'" in capsys.readouterr().err
    assert sfhub("redo", "out.png", "again.png", "-m", model, "--directions", "grin.pt") == 0
    assert np.array_equal(pixels("again.png"), pixels("out.png"))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "No edit was given"),
        (["--edit", "smiel"], "did you mean 'smile'"),
        (["--edit", "smile=much"], "--edit 'smile=much' cannot be read"),
        (["--edit", "smile@"], "--edit 'smile@' cannot be read"),
        (["--edit", "smile@moth"], "did you mean 'mouth'"),
        (["--edit", "smile=nan"], "give a finite number"),
        (["--edit", "smile", "--directions", "no.pt"], "no.pt cannot be read"),
    ],
)
def test_what_goes_wrong_is_one_sentence(model, capsys, arguments, sentence):
    assert sfhub("edit", "--base", 1, *arguments, "-m", model, "out.png") == 2
    assert sentence in capsys.readouterr().err


def test_a_model_without_edits_says_so(tiny_pipeline, tmp_path, capsys):
    tiny_pipeline.save_pretrained(tmp_path / "plain")
    assert sfhub("edits", tmp_path / "plain") == 2
    assert "has no edits of its own" in capsys.readouterr().err


def test_how_an_edit_is_written():
    assert parse_edit("smile") == ("smile", 1.0, "default")
    assert parse_edit("mouth open=-0.5@mouth") == ("mouth open", -0.5, ["mouth"])
    assert parse_edit("age=2@face+hair") == ("age", 2.0, ["face", "hair"])
    assert parse_edit("age@everywhere") == ("age", 1.0, None)
    with pytest.raises(InputError, match="cannot be read"):
        parse_edit("=3")
