"""Recipes in pictures: they say what was done, they are enough to do it again, and strangers' ones are harmless."""

import json
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

import sfhub
from sfhub.errors import InputError
from sfhub.pipelines.redo import redo
from sfhub.pipelines.stylegan import StyleGANPipeline
from sfhub.steps.grid import GridStep
from sfhub.steps.png import CHUNK, DIGITAL_SOURCE_TYPE, read_recipe
from sfhub.steps.recipe import check_recipe, extend, make_recipe

RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"
XMP = "{http://ns.adobe.com/xap/1.0/}"
MODEL = {"kind": "builtin", "name": "portraits", "revision": "sha256:0", "dtype": "float32"}


def pixels(sample):
    return np.asarray(sample.image)


def sample_step(seed=1, **changes):
    return {"op": "sample", "inputs": [], "seed": seed, "truncation_psi": 0.7, "label": None, **changes}


def mix_step(inputs=(0, 1), **changes):
    step = {"op": "mix", "inputs": list(inputs), "regions": ["hair"], "strengths": [0.5], "query": None}
    return {**step, **changes}


def png_with(tmp_path, text):
    """A PNG file that carries `text` as its recipe."""
    info = PngImagePlugin.PngInfo()
    info.add_itxt(CHUNK, text)
    path = tmp_path / "stranger.png"
    Image.new("RGB", (4, 4)).save(path, pnginfo=info)
    return path


@pytest.fixture(scope="module")
def folder(tiny_pipeline, tmp_path_factory):
    """The tiny model, saved."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tiny_pipeline.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def pipe(folder):
    return StyleGANPipeline.from_pretrained(folder)


# What is written


def test_a_saved_picture_says_how_it_was_made_and_that_it_is_synthetic(pipe, tmp_path):
    a, b = pipe.sample([1, 2], truncation_psi=0.5)
    path = pipe.mix(a, {"hair": b}, 0.8).save(tmp_path / "mixed.png")

    opened = Image.open(path)
    recipe = json.loads(opened.text["sfhub:recipe"])
    assert recipe["package"] == {"name": "sfhub", "version": sfhub.__version__}
    assert recipe["model"] == {"kind": "folder", "name": "tiny", "revision": pipe.source.revision, "dtype": "float32"}
    assert recipe["steps"] == [
        sample_step(1, truncation_psi=0.5),
        sample_step(2, truncation_psi=0.5),
        mix_step(strengths=[0.8]),
    ]
    description = next(ElementTree.fromstring(opened.info["xmp"]).iter(RDF + "Description"))
    assert description.get(IPTC + "DigitalSourceType") == DIGITAL_SOURCE_TYPE
    assert pipe.source.revision in description.get(XMP + "CreatorTool")


def test_a_recipe_gives_away_no_path_of_the_machine(pipe, folder):
    assert str(folder.parent) not in json.dumps(pipe.sample(1)[0].recipe)


def test_equal_steps_are_kept_once_so_nested_mixes_stay_small(pipe):
    a, b = pipe.sample([1, 2])
    for _ in range(20):
        a = pipe.mix(a, {"hair": b, "mouth": a}, 0.3)
    assert len(a.recipe["steps"]) == 22


def test_a_recipe_cannot_grow_without_bound():
    recipe = make_recipe(MODEL, [sample_step(seed) for seed in range(1024)])
    with pytest.raises(InputError, match="take 1025 steps to make, more than the 1024"):
        extend([recipe], GridStep(columns=1), MODEL)


@pytest.mark.parametrize("name", ["face.jpg", "face"])
def test_only_png_files_are_written(pipe, tmp_path, name):
    with pytest.raises(InputError, match=r"is no name for a PNG file, which keeps the recipe; end it in \.png"):
        pipe.sample(1)[0].save(tmp_path / name)


def test_saving_into_a_missing_folder_is_one_sentence(pipe, tmp_path):
    with pytest.raises(InputError, match=r"could not be written .* choose a folder that exists"):
        pipe.sample(1)[0].save(tmp_path / "nowhere" / "face.png")
    assert list(tmp_path.iterdir()) == []


# Doing it again


def test_every_kind_of_picture_is_made_again_bit_for_bit(pipe, folder, tmp_path):
    a, b, c = pipe.sample([1, 2, 3])
    mixed = pipe.mix(a, {"hair": b, "mouth": c}, {"hair": 0.8})
    nested = pipe.mix(mixed, {"face": mixed, "hair": pipe.mix(c, {"hair": a})}, method="influence", threshold=0.4)
    film = pipe.interpolate(nested, b, 3, regions=["hair", "face"])[1]
    grid = pipe.grid([a, mixed, nested, film], columns=3)
    for number, picture in enumerate([a, mixed, nested, film, pipe.interpolate(a, b, 4)[2], grid]):
        again = redo(picture.save(tmp_path / f"{number}.png"), folder)
        assert np.array_equal(pixels(again), pixels(picture))
        assert again.recipe == picture.recipe


def test_another_process_makes_the_same_picture(pipe, folder, tmp_path):
    a, b = pipe.sample([1, 2])
    mixed = pipe.mix(a, {"hair": b}, 0.8)
    path = mixed.save(tmp_path / "mixed.png")
    script = f"import sys; sys.path[:] = {sys.path!r}; import sfhub; sfhub.redo(*sys.argv[1:3]).save(sys.argv[3])"
    subprocess.run([sys.executable, "-c", script, path, folder, tmp_path / "again.png"], check=True)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "again.png")), pixels(mixed))


def test_a_picture_that_is_open_already_can_be_made_again(pipe, tmp_path):
    face = pipe.sample(1)[0]
    with Image.open(face.save(tmp_path / "face.png")) as opened:
        assert np.array_equal(pixels(redo(opened, pipe)), pixels(face))


def test_a_model_folder_has_to_be_named(pipe, tmp_path):
    path = pipe.sample(1)[0].save(tmp_path / "face.png")
    with pytest.raises(InputError, match=r"made with a model folder named tiny .*; say where that model is with --mod"):
        redo(path)


def test_a_changed_model_is_used_if_named_and_warned_about(pipe, folder, tmp_path, caplog):
    bare = StyleGANPipeline(pipe.generator)
    path = pipe.sample(1)[0].save(tmp_path / "face.png")
    assert np.array_equal(pixels(redo(path, bare)), pixels(pipe.sample(1)[0]))
    assert "comes out differently" in caplog.text


def test_a_recipe_for_regions_that_the_model_lacks_is_one_sentence(pipe, tmp_path):
    a, b = pipe.sample([1, 2])
    path = pipe.mix(a, {"hair": b}).save(tmp_path / "mixed.png")
    with pytest.raises(InputError, match="this model has no region catalog"):
        redo(path, StyleGANPipeline(pipe.generator))


def test_what_a_step_leaves_empty_it_may_leave_out(pipe):
    a, b = pipe.sample([1, 2])
    for picture in (pipe.mix(a, {"hair": b}), pipe.interpolate(a, b, 3)[1]):
        steps = [{key: value for key, value in step.items() if value is not None} for step in picture.recipe["steps"]]
        short = check_recipe({**picture.recipe, "steps": steps})
        assert np.array_equal(pixels(pipe.redo(short)), pixels(picture))


# What comes from strangers


def test_a_picture_without_recipe_is_one_sentence(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "photo.png")
    with pytest.raises(InputError, match=r"photo\.png carries no recipe"):
        read_recipe(tmp_path / "photo.png")


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n" + b"\0" * 50])
def test_a_file_that_is_no_picture_is_one_sentence(tmp_path, content):
    (tmp_path / "file.png").write_bytes(content)
    with pytest.raises(InputError, match=r"file\.png cannot be read as a PNG file"):
        read_recipe(tmp_path / "file.png")


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.png cannot be read as a PNG file"):
        read_recipe(tmp_path / "nothing.png")


@pytest.mark.parametrize(
    "text",
    [
        "not json",
        "[" * 100_000,
        '{"format": ' + "9" * 5000 + "}",
        "null",
        "[]",
        '{"format": "other"}',
        "__import__('os').system('true')",
    ],
)
def test_a_recipe_that_is_no_recipe_is_one_sentence(tmp_path, text):
    with pytest.raises(InputError, match=r"damaged: it is not JSON|not a recipe of sfhub") as caught:
        read_recipe(png_with(tmp_path, text))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_a_huge_recipe_is_refused_unread(tmp_path):
    with pytest.raises(InputError, match=r"more than the 1048576 allowed|cannot be read as a PNG"):
        read_recipe(png_with(tmp_path, " " * (2**20 + 1)))


def test_a_text_bomb_in_a_picture_is_refused(tmp_path):
    info = PngImagePlugin.PngInfo()
    info.add_itxt(CHUNK, " " * 2**26, zip=True)
    Image.new("RGB", (4, 4)).save(tmp_path / "bomb.png", pnginfo=info)
    with pytest.raises(InputError, match=r"bomb\.png cannot be read as a PNG file"):
        read_recipe(tmp_path / "bomb.png")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"version": 2}, "The recipe has version 2, but sfhub .* reads version 1"),
        ({"version": True}, "The recipe has version True"),
        ({"package": None}, "package is None"),
        ({"model": {**MODEL, "kind": "url"}}, "model is"),
        ({"model": {**MODEL, "dtype": "load"}}, "model is"),
        ({"model": {**MODEL, "name": "a\nb"}}, "model is"),
        ({"steps": []}, r"steps is \[\]"),
        ({"steps": [sample_step()] * 1025}, "a list of 1 to 1024 steps"),
        ({"steps": [{"op": "exec", "inputs": []}]}, "step 0 is .* op sample, mix, interpolate, grid"),
        ({"steps": [sample_step(code="1")]}, r"step 0 is \['code'\]"),
        ({"steps": [sample_step(-1)]}, "Seed -1 cannot be used"),
        ({"steps": [sample_step(True)]}, "Seed True cannot be used"),
        ({"steps": [sample_step(truncation_psi=float("nan"))]}, "truncation_psi of step 0 is nan"),
        ({"steps": [sample_step(label=-1)]}, "label of step 0 is -1"),
        ({"steps": [sample_step(inputs=[0])]}, "inputs of step 0"),
        ({"steps": [sample_step(), mix_step([0, 1])]}, "inputs of step 1"),
        ({"steps": [sample_step(), mix_step([0, -1])]}, "inputs of step 1"),
        ({"steps": [sample_step(), mix_step([0])]}, "inputs of step 1"),
        ({"steps": [sample_step(), mix_step([0, 0], strengths=[2])]}, "strengths of step 1"),
        ({"steps": [sample_step(), mix_step([0, 0], strengths=["1"])]}, "strengths of step 1"),
        ({"steps": [sample_step(), mix_step([0, 0, 0], regions=["a", "a"])]}, "regions of step 1"),
        ({"steps": [sample_step(), mix_step([0, 0], regions=[1])]}, "regions of step 1"),
        ({"steps": [sample_step(), mix_step([0, 0], query={"region": 1})]}, "The query settings"),
        ({"steps": [sample_step(), mix_step([0, 0], query={"epsilon": [1]})]}, "The query settings"),
        ({"steps": [sample_step(), {"op": "interpolate", "inputs": [0, 0], "position": 2}]}, "position of step 1"),
        ({"steps": [sample_step(), {"op": "grid", "inputs": [0] * 401, "columns": 1}]}, "inputs of step 1"),
        ({"steps": [sample_step(), {"op": "grid", "inputs": [0], "columns": 1}, mix_step([1, 1])]}, "step 1 is 'grid'"),
    ],
)
def test_a_damaged_recipe_says_what_is_wrong(changes, sentence):
    recipe = {**make_recipe(MODEL, [sample_step()]), **changes}
    with pytest.raises(InputError, match=sentence) as caught:
        check_recipe(recipe)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_a_strangers_model_is_not_downloaded_unasked(tmp_path):
    recipe = make_recipe({**MODEL, "kind": "hub", "name": "someone/faces"}, [sample_step()])
    with pytest.raises(InputError, match="if you trust it, name it to load it: --model someone/faces"):
        redo(png_with(tmp_path, json.dumps(recipe)))


def test_a_built_in_model_can_only_be_one_of_ours(tmp_path):
    recipe = make_recipe({**MODEL, "name": "someone/faces"}, [sample_step()])
    with pytest.raises(InputError, match="the built-in model 'someone/faces', which this sfhub lacks"):
        redo(png_with(tmp_path, json.dumps(recipe)))
