"""A SemanticStyleGAN behind the pipelines' verbs: regions, shape and texture, compositions, recipes."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import sfhub
from sfhub.errors import InputError
from sfhub.images.pixels import to_pil
from sfhub.models.semantic_stylegan import SemanticStyleGANGenerator
from sfhub.pipelines.hub import ALIASES
from sfhub.pipelines.redo import redo
from sfhub.pipelines.semantic_stylegan import SemanticStyleGANPipeline, _within
from sfhub.pipelines.stylegan import StyleGANPipeline
from sfhub.portraits.classes import CLASSES
from sfhub.portraits.parser import PortraitParser
from sfhub.steps.assets import Asset
from sfhub.steps.recipe import check_recipe

REGIONS = ("background", "hair", "face", "eyes", "mouth", "clothes", "glasses", "hat", "earrings")


def pixels(sample):
    return np.asarray(sample.image)


@pytest.fixture(scope="module")
def abc(semantic_pipeline):
    return semantic_pipeline.sample([1, 2, 3])


@pytest.fixture(scope="module")
def folder(semantic_pipeline, tmp_path_factory):
    """The model, saved."""
    folder = tmp_path_factory.mktemp("models") / "semantic"
    semantic_pipeline.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def photograph():
    random = np.random.default_rng(0)
    return Image.fromarray(random.integers(0, 256, (40, 60, 3), dtype=np.uint8))


def changed(pipe, a, b) -> set[str]:
    """Which codes of W+ differ, such as "hair.shape"."""
    names = [f"base {k}" for k in range(pipe.generator.config.base_layers)]
    names += [f"{name}.{part}" for name in pipe.classes for part in ("shape", "texture")]
    differs = (pipe.w_plus(a) != pipe.w_plus(b)).any(dim=2)[0].tolist()
    return {name for name, different in zip(names, differs, strict=True) if different}


def codes_of(*classes, parts=("shape", "texture")) -> set[str]:
    return {f"{name}.{part}" for name in classes for part in parts}


# Sampling


def test_a_seed_gives_the_same_picture_in_any_batch(semantic_pipeline, abc):
    alone = semantic_pipeline.sample(2)[0]
    assert torch.equal(alone.s, abc[1].s) and np.array_equal(pixels(alone), pixels(abc[1]))
    assert not np.array_equal(pixels(abc[0]), pixels(abc[1]))
    assert abc[0].image.size == (32, 32) and abc[0].image.mode == "RGB"


def test_the_code_of_a_sample_is_its_w_plus(semantic_pipeline, abc):
    generator = semantic_pipeline.generator
    assert abc[0].s.shape == (1, generator.n_latent * generator.config.w_dim)
    assert torch.equal(semantic_pipeline.w_plus(abc[0]).flatten(1), abc[0].s)
    assert semantic_pipeline.arrangement(abc[0]).is_neutral


def test_there_are_no_classes_to_ask_for(semantic_pipeline):
    with pytest.raises(InputError, match="Label 1 cannot be used, for this model has no classes"):
        semantic_pipeline.sample(1, label=1)


# Regions


def test_the_regions_are_those_of_the_other_family_and_the_remaining_classes(semantic_pipeline):
    assert semantic_pipeline.regions == REGIONS
    assert semantic_pipeline.covered_by("face") == ("skin", "nose", "ears", "neck")
    assert semantic_pipeline.covered_by("eyes") == ("eyes", "brows")
    assert semantic_pipeline.covered_by("brows") == ("brows",)
    covered = [name for region in REGIONS for name in semantic_pipeline.covered_by(region)]
    assert sorted(covered) == sorted(CLASSES) and semantic_pipeline.classes == CLASSES
    with pytest.raises(InputError, match=r"There is no region 'hiar' in this model: did you mean 'hair'\?"):
        semantic_pipeline.covered_by("hiar")


def test_classes_without_names_are_numbered_and_others_keep_their_own(semantic_generator):
    config = {key: value for key, value in semantic_generator.config.items() if not key.startswith("_")}
    config = config | {"num_classes": 3, "transparent_classes": []}
    unnamed = SemanticStyleGANPipeline(SemanticStyleGANGenerator(**config | {"class_names": None}).eval())
    assert unnamed.regions == unnamed.classes == ("class 0", "class 1", "class 2")
    foreign = SemanticStyleGANPipeline(SemanticStyleGANGenerator(**config | {"class_names": ["sky", "face", "nose"]}))
    assert foreign.regions == ("sky", "face", "nose") and foreign.covered_by("face") == ("face",)
    a, b = unnamed.sample([1, 2])
    assert changed(unnamed, a, unnamed.mix(a, {"class 2": b})) == codes_of("class 2")


# Mixing


def test_a_region_brings_shape_and_texture_of_its_classes(semantic_pipeline, abc):
    a, b, _ = abc
    mixed = semantic_pipeline.mix(a, {"eyes": b})
    assert changed(semantic_pipeline, a, mixed) == codes_of("eyes", "brows")
    assert changed(semantic_pipeline, b, mixed).isdisjoint(codes_of("eyes", "brows"))
    assert not np.array_equal(pixels(mixed), pixels(a))
    assert torch.equal(semantic_pipeline(a, {"eyes": b}).s, mixed.s)


def test_shape_and_texture_can_have_different_sources_and_win_over_regions(semantic_pipeline, abc):
    a, b, c = abc
    mixed = semantic_pipeline.mix(a, {"brows": b, "hair": b}, shape={"eyes": c}, texture={"mouth": c})
    from_c = codes_of("eyes", "brows", parts=["shape"]) | codes_of("mouth", parts=["texture"])
    from_b = codes_of("brows", parts=["texture"]) | codes_of("hair")
    assert changed(semantic_pipeline, a, mixed) == from_b | from_c
    assert changed(semantic_pipeline, b, mixed).isdisjoint(from_b)
    assert changed(semantic_pipeline, c, mixed).isdisjoint(from_c)


@pytest.mark.parametrize("order", [["face", "nose"], ["nose", "face"]])
def test_a_class_wins_over_the_region_that_holds_it(semantic_pipeline, abc, order):
    a, b, c = abc
    sources = {"face": b, "nose": c}
    mixed = semantic_pipeline.mix(a, {name: sources[name] for name in order})
    assert changed(semantic_pipeline, c, mixed).isdisjoint(codes_of("nose"))
    assert changed(semantic_pipeline, b, mixed).isdisjoint(codes_of("skin", "ears", "neck"))


def test_the_layout_brings_the_base_codes_alone(semantic_pipeline, abc):
    a, b, c = abc
    posed = semantic_pipeline.mix(a, layout=b)
    assert changed(semantic_pipeline, a, posed) == {"base 0", "base 1"}
    half = semantic_pipeline.mix(a, {"hair": c}, layout=b, layout_strength=0.5)
    w_plus = semantic_pipeline.w_plus
    torch.testing.assert_close(w_plus(half)[:, :2], (w_plus(a)[:, :2] + w_plus(b)[:, :2]) / 2)


@settings(max_examples=20, deadline=None)
@given(regions=st.sets(st.sampled_from([*REGIONS, *CLASSES]), min_size=1), strength=st.floats(0, 1))
def test_a_picture_mixed_with_itself_is_that_picture(semantic_pipeline, abc, regions, strength):
    sources = dict.fromkeys(regions, abc[0])
    mixed = semantic_pipeline.mix(abc[0], sources, strength, shape=sources, texture=sources, layout=abc[0])
    assert torch.equal(mixed.s, abc[0].s)


@settings(max_examples=20, deadline=None)
@given(regions=st.sets(st.sampled_from([*REGIONS, *CLASSES]), min_size=1))
def test_strength_zero_is_the_identity(semantic_pipeline, abc, regions):
    mixed = semantic_pipeline.mix(abc[0], dict.fromkeys(regions, abc[1]), 0, layout=abc[2])
    assert torch.equal(mixed.s, abc[0].s) and np.array_equal(pixels(mixed), pixels(abc[0]))


def test_everything_from_one_source_is_that_picture(semantic_pipeline, abc):
    a, b, _ = abc
    mixed = semantic_pipeline.mix(a, dict.fromkeys(REGIONS, b), layout=b)
    assert torch.equal(mixed.s, b.s) and np.array_equal(pixels(mixed), pixels(b))


def test_strength_goes_straight_to_the_source(semantic_pipeline, abc):
    a, b, _ = abc
    mixed = semantic_pipeline.mix(a, {"hair": b}, {"hair": 0.25})
    k = semantic_pipeline.generator.shape_index(CLASSES.index("hair"))
    w_plus = semantic_pipeline.w_plus
    torch.testing.assert_close(w_plus(mixed)[0, k], torch.lerp(w_plus(a)[0, k], w_plus(b)[0, k], 0.25))


def test_batches_are_mixed_one_by_one(semantic_pipeline, abc):
    a, b, c = abc
    both = semantic_pipeline.mix([a, b], shape={"hair": c})
    each = [semantic_pipeline.mix(base, shape={"hair": c}) for base in (a, b)]
    assert all(torch.equal(x.s, y.s) for x, y in zip(both, each, strict=True))
    with pytest.raises(InputError, match=r"Batches of \[2, 3\] pictures do not go together"):
        semantic_pipeline.mix([a, b], texture={"hair": [a, b, c]})


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "No region was given a source; choose from background, hair, face"),
        ({"regions": {"tail": 1}}, "There is no region 'tail' in this model: it has background"),
        ({"shape": {"browz": 1}}, "There is no region 'browz' in this model: did you mean 'brows'"),
        ({"texture": {"hair": 1}, "strength": 2}, "Strength is 2; take a number from 0 to 1"),
        ({"texture": {"hair": 1}, "strength": {"hat": 1}}, "Region 'hat' has a strength but no source"),
        ({"regions": {"hair": "x"}}, "no Sample; make the pictures with this pipeline"),
    ],
)
def test_wrong_requests_to_mix_are_one_sentence(semantic_pipeline, abc, options, sentence):
    strength = options.get("strength", 1)
    sources = {
        key: {name: abc[1] if source == 1 else [source] for name, source in options[key].items()}
        for key in options.keys() - {"strength"}
    }
    with pytest.raises(InputError, match=sentence) as caught:
        semantic_pipeline.mix(abc[0], strength=strength, **sources)
    assert "\n" not in str(caught.value)


def test_pictures_of_the_other_family_are_refused(semantic_pipeline, tiny_pipeline, abc):
    with pytest.raises(InputError, match=r"A picture of model StyleGANPipeline .* cannot be used with model Semantic"):
        semantic_pipeline.mix(abc[0], {"hair": tiny_pipeline.sample(1)[0]})


# Films


def test_a_film_of_everything_goes_from_one_picture_to_the_other(semantic_pipeline, abc):
    film = semantic_pipeline.interpolate(abc[0], abc[1], steps=4)
    assert torch.equal(film[0].s, abc[0].s) and torch.equal(film[-1].s, abc[1].s)
    torch.testing.assert_close(film[1].s, torch.lerp(abc[0].s, abc[1].s, 1 / 3))


@pytest.mark.parametrize("part", ["both", "shape", "texture"])
def test_a_film_of_one_region_ends_at_the_mix(semantic_pipeline, abc, part):
    a, b, _ = abc
    film = semantic_pipeline.interpolate(a, b, 3, regions=["face"], part=part)
    keyword = {"both": "regions"}.get(part, part)
    assert torch.equal(film[-1].s, semantic_pipeline.mix(a, **{keyword: {"face": b}}).s)
    assert torch.equal(film[0].s, a.s)


def test_a_film_of_all_textures_keeps_every_shape(semantic_pipeline, abc):
    film = semantic_pipeline.interpolate(abc[0], abc[1], 2, part="texture")
    assert changed(semantic_pipeline, abc[0], film[-1]) == codes_of(*CLASSES, parts=["texture"])


def test_wrong_films_are_one_sentence(semantic_pipeline, abc):
    a, b, _ = abc
    with pytest.raises(InputError, match="There is no part 'colour' of a region; choose one of both, shape, texture"):
        semantic_pipeline.interpolate(a, b, 3, part="colour")
    with pytest.raises(InputError, match="There is no region 'tail'"):
        semantic_pipeline.interpolate(a, b, 3, ["tail"])
    with pytest.raises(InputError, match="No region was named to move"):
        semantic_pipeline.interpolate(a, b, 3, [])
    with pytest.raises(InputError, match="take a whole number from 2 to 1000"):
        semantic_pipeline.interpolate(a, b, 1)


# Masks and depths


def test_segmentation_is_the_class_with_the_largest_mask(semantic_pipeline, abc):
    found = semantic_pipeline.segment(abc[0])
    masks = semantic_pipeline.masks(abc[0])
    assert found.regions == CLASSES and found.labels.shape == (32, 32)
    assert masks.shape == (13, 32, 32) and masks.dtype == np.float32
    np.testing.assert_allclose(masks.sum(axis=0), 1, atol=1e-5)
    best = np.take_along_axis(masks, found.labels[None], axis=0)[0]
    assert (best == masks.max(axis=0)).all()
    assert len(semantic_pipeline.segment(abc)) == 3


def test_depths_are_those_of_the_local_generators(semantic_pipeline, abc):
    depths = semantic_pipeline.depths(abc[0])
    assert depths.shape == (13, 16, 16) and (depths[0] == 0).all() and depths[1:].std() > 0


# Compositions


def test_composing_nothing_is_the_picture_itself(semantic_pipeline, abc):
    same = semantic_pipeline.compose(abc[0], move={"hair": (0, 0)}, zoom={"face": 1})
    assert torch.equal(same.s, abc[0].s) and np.array_equal(pixels(same), pixels(abc[0]))


def test_what_is_left_out_is_gone_from_the_coarse_mask_and_can_be_left_out_of_mixes_and_films(semantic_pipeline, abc):
    a, b, _ = abc
    bare = semantic_pipeline.compose(a, without=["hair", "hat"])
    gone = [CLASSES.index("hair"), CLASSES.index("hat")]
    presence = semantic_pipeline.arrangement(bare).presence[0]
    assert [k for k, there in enumerate(presence) if there == 0] == gone
    coarse = semantic_pipeline.generator.synthesis(semantic_pipeline.w_plus(a), composition_mask=presence)
    assert (coarse.coarse_mask[0, gone] == -1).all()
    assert np.array_equal(pixels(bare), np.asarray(to_pil(coarse.image)[0]))
    mixed = semantic_pipeline.mix(bare, {"face": b})
    assert torch.equal(semantic_pipeline.arrangement(mixed).presence[0], presence)
    film = semantic_pipeline.interpolate(bare, b, 3)
    assert torch.equal(film[-1].s, b.s)
    assert semantic_pipeline.arrangement(film[1]).presence[0, gone].tolist() == [0.5, 0.5]


def test_places_add_up_and_the_narrower_name_wins(semantic_pipeline, abc):
    moved = semantic_pipeline.compose(abc[0], move={"nose": (0, 0.5), "face": (0.25, -0.25)})
    again = semantic_pipeline.compose(moved, zoom={"hair": 2}, without=["hat"])
    found = semantic_pipeline.arrangement(again)
    assert found.move[0, CLASSES.index("nose")].tolist() == [0, 0.5]
    assert found.move[0, CLASSES.index("neck")].tolist() == [0.25, -0.25]
    assert found.zoom[0, CLASSES.index("hair")] == 2 and found.presence[0, CLASSES.index("hat")] == 0
    coords = semantic_pipeline.generator.coordinates(found.move[0], found.zoom[0])
    depths = semantic_pipeline.generator.local(semantic_pipeline.w_plus(abc[0]), coords)[1]
    shown = semantic_pipeline.depths(again)
    there = shown > -10  # what lies far outside the learned positions is not
    assert there.mean() > 0.5 and np.array_equal(shown[there], depths[0].numpy()[there])


def test_a_moved_foreground_is_elsewhere_in_the_depths(semantic_pipeline, abc):
    pixel = 2 / 15  # of 16 coarse pixels, the outermost at -1 and 1
    there = semantic_pipeline.depths(semantic_pipeline.compose(abc[0], move={"hair": (3 * pixel, 0)}))
    hair = CLASSES.index("hair")
    np.testing.assert_allclose(there[hair][:, 3:], semantic_pipeline.depths(abc[0])[hair][:, :-3], atol=1e-4)


def test_the_background_of_another_picture_can_be_taken(semantic_pipeline, abc):
    a, b, _ = abc
    composed = semantic_pipeline.compose(a, background=b)
    assert changed(semantic_pipeline, a, composed) == codes_of("background")
    assert torch.equal(composed.s, semantic_pipeline.mix(a, {"background": b}).s)


def test_a_photograph_is_blended_in_by_the_background_mask(semantic_pipeline, abc):
    white = Image.new("RGB", (50, 30), "white")
    composed = semantic_pipeline.compose(abc[0], without=["hat"], background=white)
    without = semantic_pipeline.compose(abc[0], without=["hat"])
    share = semantic_pipeline.masks(without)[0][..., None]
    expected = pixels(without) * (1 - share) + 255 * share
    assert np.abs(pixels(composed).astype(float) - expected).max() <= 1
    assert np.array_equal(semantic_pipeline.masks(composed), semantic_pipeline.masks(without))


def test_a_picture_with_a_photograph_is_final(semantic_pipeline, abc, photograph):
    composed = semantic_pipeline.compose(abc[0], background=photograph)
    for make in (
        lambda: semantic_pipeline.mix(composed, {"hair": abc[1]}),
        lambda: semantic_pipeline.compose(composed, without=["hat"]),
        lambda: semantic_pipeline.grid([composed]),
    ):
        with pytest.raises(InputError, match="with a photograph behind it cannot be changed any further"):
            make()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"without": ["tail"]}, "There is no region 'tail'"),
        ({"without": "hair"}, "Regions were given as the text 'hair'; give a list"),
        ({"without": REGIONS}, "Nothing would be left of this picture"),
        ({"move": {"tail": (0, 0)}}, "There is no region 'tail'"),
        ({"move": {"hair": 1}}, "The move of 'hair' is 1; give two numbers"),
        ({"move": {"hair": (0, float("nan"))}}, "The move of 'hair' is nan; take a number from -2.0 to 2.0"),
        ({"zoom": {"hair": 0}}, "The zoom of 'hair' is 0; take a number from 0.0625 to 16.0"),
        ({"background": "photo.jpg"}, "'photo.jpg' is no Sample"),
    ],
)
def test_wrong_compositions_are_one_sentence(semantic_pipeline, abc, options, sentence):
    with pytest.raises(InputError, match=sentence) as caught:
        semantic_pipeline.compose(abc[0], **options)
    assert "\n" not in str(caught.value)


# Building up


def test_a_picture_builds_up_from_the_background_to_itself(semantic_pipeline, abc):
    steps = semantic_pipeline.build_up(abc[0])
    assert [step.name for step in steps[:4]] == ["background", "skin", "nose", "eyes"]
    assert sorted(step.name for step in steps) == sorted(CLASSES)
    assert np.array_equal(np.asarray(steps[-1].image), pixels(abc[0]))
    only = semantic_pipeline.compose(abc[0], without=[name for name in CLASSES if name != "background"])
    assert np.array_equal(np.asarray(steps[0].image), pixels(only))
    depths = semantic_pipeline.depths(abc[0])
    for step in steps:
        assert step.mask.shape == (32, 32) and step.mask.min() >= 0 and step.mask.max() <= 1
        assert np.array_equal(step.depth, depths[CLASSES.index(step.name)])
        grey = step.mask < 1e-3
        assert (np.abs(np.asarray(step.alone)[grey].astype(int) - 128) <= 1).all()


def test_components_keep_the_order_the_arrangement_and_the_regions_asked_for(semantic_pipeline, abc):
    bare = semantic_pipeline.compose(abc[0], without=["hat"], move={"hair": (0.5, 0)})
    assert "hat" not in [step.name for step in semantic_pipeline.build_up(bare)]
    assert np.array_equal(np.asarray(semantic_pipeline.build_up(bare)[-1].image), pixels(bare))
    first, second = semantic_pipeline.build_up(bare, ["face", "hair"])
    only = [name for name in CLASSES if name not in semantic_pipeline.covered_by("face")]
    assert np.array_equal(np.asarray(first.image), pixels(semantic_pipeline.compose(bare, without=only)))
    assert np.array_equal(second.depth, semantic_pipeline.depths(bare)[CLASSES.index("hair")])
    with pytest.raises(InputError, match="There is no region 'tail'"):
        semantic_pipeline.build_up(bare, ["tail"])
    with pytest.raises(InputError, match="No component was named to show"):
        semantic_pipeline.build_up(bare, [])


# Recipes and folders


def test_every_kind_of_picture_is_made_again_bit_for_bit(semantic_pipeline, folder, tmp_path, abc):
    pipe = sfhub.open_pipeline(folder)
    a, b, c = pipe.sample([1, 2, 3])
    sources = {"shape": {"hair": b}, "texture": {"hair": c}, "layout": c}
    mixed = pipe.mix(a, {"face": b}, {"hair": 0.6}, **sources, layout_strength=0.3)
    bare = pipe.compose(mixed, without=["hat"], move={"hair": (0.2, 0)}, zoom={"face": 1.5}, background=b)
    film = pipe.interpolate(bare, c, 3)[1]
    eyes = pipe.interpolate(film, c, 3, ["eyes"], part="shape")[1]
    grid = pipe.grid([a, bare, eyes], columns=3)
    for number, picture in enumerate([a, mixed, bare, film, eyes, grid]):
        check_recipe(json.loads(json.dumps(picture.recipe)))
        again = redo(picture.save(tmp_path / f"{number}.png"), folder)
        assert np.array_equal(pixels(again), pixels(picture))
        assert again.recipe == picture.recipe


def test_a_picture_with_a_photograph_is_made_again_from_that_photograph_only(
    semantic_pipeline, tmp_path, abc, photograph
):
    composed = semantic_pipeline.compose(abc[0], zoom={"hair": 1.5}, background=photograph)
    path = composed.save(tmp_path / "composed.png")
    assert np.array_equal(pixels(redo(path, semantic_pipeline, background=photograph)), pixels(composed))
    digest = Asset.of(photograph).sha256
    with pytest.raises(InputError, match=rf"a photograph of 60 x 40 pixels \(SHA-256 {digest}\), which its recipe"):
        redo(path, semantic_pipeline)
    with pytest.raises(InputError, match="another one was given"):
        redo(path, semantic_pipeline, background=photograph.rotate(180))
    with pytest.raises(InputError, match="has no photograph behind it"):
        redo(abc[0].save(tmp_path / "a.png"), semantic_pipeline, background=photograph)


def test_a_photograph_is_the_same_however_its_file_turns_it(photograph, tmp_path):
    turned = photograph.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as opened:
        assert Asset.of(opened) == Asset.of(photograph)


def test_recipes_of_the_other_family_are_one_sentence(semantic_pipeline, tiny_pipeline, tmp_path, abc):
    a, b = tiny_pipeline.sample([1, 2])
    path = tiny_pipeline.mix(a, {"hair": b}).save(tmp_path / "catalog.png")
    with pytest.raises(InputError, match="mixed by a StyleGAN, but this model is a SemanticStyleGAN"):
        redo(path, semantic_pipeline)
    for number, picture in enumerate(
        [semantic_pipeline.mix(abc[0], {"hair": abc[1]}), semantic_pipeline.compose(abc[0], without=["hat"])]
    ):
        with pytest.raises(InputError, match="mixed by a SemanticStyleGAN, but this model is a StyleGAN"):
            redo(picture.save(tmp_path / f"{number}.png"), tiny_pipeline)


SAMPLE = {"op": "sample", "inputs": [], "seed": 1, "truncation_psi": 0.7, "label": None}
MIX = {
    "op": "mix",
    "inputs": [0, 0, 0],
    "method": "semantic",
    "regions": ["hair", "hair"],
    "parts": ["shape", "texture"],
    "strengths": [1, 1],
    "layout": False,
}
COMPOSE = {"op": "compose", "inputs": [0], "without": ["hat"], "move": {"hair": [1, 0]}, "zoom": {}, "background": None}
FILM = {"op": "interpolate", "inputs": [0, 0], "position": 0.5, "method": "semantic", "regions": None, "part": "both"}
PHOTO = {"sha256": "0" * 64, "size": [4, 4]}


@pytest.mark.parametrize("step", [MIX, COMPOSE, FILM, {**COMPOSE, "background": PHOTO}])
def test_recipes_of_this_family_pass_the_check(semantic_pipeline, abc, step):
    check_recipe({**abc[0].recipe, "steps": [SAMPLE, step]})


@pytest.mark.parametrize(
    ("steps", "sentence"),
    [
        ([{**MIX, "parts": ["shape", "shape"]}], "regions of step 1 is .* each one once for the same part"),
        ([{**MIX, "parts": ["shape", "colour"]}], "parts of step 1"),
        ([{**MIX, "parts": ["shape"]}], "parts of step 1"),
        ([{**MIX, "regions": [["hair"], "hat"]}], "regions of step 1"),
        ([{**MIX, "method": "fusion", "regions": ["hair", "hat"]}], "parts of step 1"),
        ([{**MIX, "method": None}], "regions of step 1"),
        ([{**MIX, "query": {"method": "x"}}], "query of step 1"),
        ([{**FILM, "part": "colour"}], "part of step 1"),
        ([{**FILM, "method": None}], "part of step 1"),
        ([{**FILM, "method": "fusion"}], "method of step 1"),
        ([{**COMPOSE, "inputs": []}], "inputs of step 1"),
        ([{**COMPOSE, "without": None}], "without of step 1"),
        ([{**COMPOSE, "move": {"hair": [3, 0]}}], "move of step 1"),
        ([{**COMPOSE, "move": [0, 0]}], "move of step 1"),
        ([{**COMPOSE, "zoom": {"hair": 0}}], "zoom of step 1"),
        ([{**COMPOSE, "background": {**PHOTO, "sha256": "0" * 63}}], "background of step 1"),
        ([{**COMPOSE, "background": {**PHOTO, "path": "x"}}], "background of step 1"),
        ([{**COMPOSE, "background": PHOTO, "inputs": [0, 0]}], "background of step 1"),
        ([{**COMPOSE, "background": PHOTO}, {**COMPOSE, "inputs": [1]}], "step 1 is 'compose'"),
    ],
)
def test_damaged_recipes_of_this_family_say_what_is_wrong(abc, steps, sentence):
    with pytest.raises(InputError, match=sentence) as caught:
        check_recipe({**abc[0].recipe, "steps": [SAMPLE, *steps]})
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_a_saved_model_is_opened_by_the_pipeline_of_its_family(semantic_pipeline, folder, tiny_pipeline, tmp_path):
    pipe = sfhub.pipelines.open_pipeline(folder)
    assert type(pipe) is SemanticStyleGANPipeline
    assert np.array_equal(pixels(pipe.sample(1)[0]), pixels(semantic_pipeline.sample(1)[0]))
    semantic_pipeline.generator.save_pretrained(tmp_path / "bare")
    assert type(sfhub.open_pipeline(tmp_path / "bare")) is SemanticStyleGANPipeline
    tiny_pipeline.save_pretrained(tmp_path / "other")
    assert type(sfhub.open_pipeline(tmp_path / "other")) is StyleGANPipeline
    with pytest.raises(InputError, match="SemanticStyleGANGenerator, but StyleGAN2Generator is expected"):
        StyleGANPipeline.from_pretrained(folder)


def test_a_built_in_model_is_opened_and_made_again_by_its_alias(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(ALIASES, "portraits-semantic", folder)
    pipe = sfhub.open_pipeline("portraits-semantic")
    assert pipe.source.kind == "builtin" and pipe.source.name == "portraits-semantic"
    a, b = pipe.sample([1, 2])
    mixed = pipe.mix(a, texture={"hair": b})
    assert np.array_equal(pixels(redo(mixed.save(tmp_path / "mixed.png"))), pixels(mixed))
    monkeypatch.setitem(ALIASES, "portraits-semantic", tmp_path / "nowhere")
    with pytest.raises(InputError, match="The built-in model 'portraits-semantic' is missing from this installation"):
        sfhub.open_pipeline("portraits-semantic")


def test_half_precision_makes_nearly_the_same_picture(folder, abc):
    pipe = SemanticStyleGANPipeline.from_pretrained(folder, dtype=torch.bfloat16)
    a, b = pipe.sample([1, 2])
    assert np.abs(pixels(a).astype(int) - pixels(abc[0])).mean() < 8
    composed = pipe.compose(pipe.mix(a, {"hair": b}), without=["hat"], move={"hair": (0.25, 0)}, zoom={"face": 2})
    assert pipe.masks(composed).dtype == pipe.depths(composed).dtype == np.float32
    assert np.array_equal(np.asarray(pipe.build_up(composed)[-1].image), pixels(composed))


def test_a_model_of_no_family_is_one_sentence(tmp_path):
    PortraitParser(resolution=32, widths=(8, 8, 8)).save_pretrained(tmp_path / "parser")
    with pytest.raises(InputError, match="holds a PortraitParser, but a pipeline takes a StyleGAN2Generator or "):
        sfhub.open_pipeline(tmp_path / "parser")


def test_the_card_says_what_the_model_is(folder):
    card = (folder / "README.md").read_text()
    assert "semanticstylegan" in card and "W+ of 28 codes" in card and "transparent: glasses, earrings" in card
    assert "- stylegan2" not in card


def test_what_lies_far_outside_the_learned_positions_is_not_there():
    depths, coords = torch.ones(1, 2, 1, 3), torch.zeros(2, 2, 1, 3)
    coords[:, 0, 0] = torch.tensor([-2.0, 0.0, 1.1])
    shown = _within(depths, coords) > 0
    assert shown[0, 1, 0].tolist() == [False, True, True] and shown[0, 0].all()
