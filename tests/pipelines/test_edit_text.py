"""`edit_text` on both families: kept to the region that the text names, locked, stopped, and made again."""

import pytest
import torch

from sfhub.errors import InputError
from sfhub.pipelines.redo import redo
from sfhub.pipelines.semantic_stylegan import SemanticStyleGANPipeline
from sfhub.pipelines.stylegan import StyleGANPipeline
from sfhub.steps.edit_by_text import EditByText
from sfhub.text.relevance import TextRelevance


def relevance(pipe, encoder):
    """Made up: every dimension of W is about something."""
    space = pipe.code_space
    found = TextRelevance(
        basis="w",
        channels=space.w_dim,
        dim=encoder.dim,
        size=space.w_dim,
        encoder=encoder.name,
        encoder_digest=encoder.digest,
        layers=space.layers,
        resolution=space.resolution,
        beta=0.0,
    )
    draw = torch.Generator().manual_seed(0)
    found.relevance.copy_(torch.nn.functional.normalize(torch.randn(found.relevance.shape, generator=draw), dim=1))
    found.places.copy_(torch.arange(space.w_dim))
    found.std.fill_(1.0)
    found.low.fill_(-3.0)
    found.high.fill_(3.0)
    return found.eval()


@pytest.fixture
def by_fusion(tiny_generator, tiny_catalog, tiny_hierarchy, tiny_pipeline, tiny_encoder):
    made = relevance(tiny_pipeline, tiny_encoder)
    return StyleGANPipeline(tiny_generator, tiny_catalog, fusion=tiny_hierarchy, text_relevance=made)


@pytest.fixture
def by_classes(semantic_generator, semantic_pipeline, tiny_encoder):
    return SemanticStyleGANPipeline(semantic_generator, text_relevance=relevance(semantic_pipeline, tiny_encoder))


@pytest.fixture(params=["by_fusion", "by_classes"])
def pipe(request, tiny_encoder):
    found = request.getfixturevalue(request.param)
    found.use_text_encoder(tiny_encoder)
    return found


def same(a, b):
    return a.image.tobytes() == b.image.tobytes()


@pytest.mark.parametrize("options", [{"way": "direction"}, {"way": "optimisation", "steps": 3}])
def test_a_text_changes_its_region_and_the_recipe_makes_it_again(pipe, options, tmp_path):
    (base,) = pipe.sample([1])
    edited = pipe.edit_text(base, "curly red hair", **options)
    step = edited.recipe["steps"][-1]
    assert step["regions"] == ["hair"] and step["edit"] == "curly red hair"
    assert not torch.equal(edited.s, base.s)
    edited.save(tmp_path / "edited.png")
    assert same(redo(tmp_path / "edited.png", pipe), edited)
    assert same(pipe.edit_text(base, "curly red hair", 0.0, **options), base)


def test_the_region_can_be_overridden_and_locked(pipe):
    (base,) = pipe.sample([1])
    assert pipe.text_region("curly red hair") == "hair"
    locked = pipe.edit_text(base, "curly red hair", region="mouth", lock=True)
    assert locked.recipe["steps"][-1]["regions"] == ["mouth"]
    assert locked.outside.share == 0
    whole = pipe.edit_text(base, "curly red hair", region=None)
    assert whole.recipe["steps"][-1]["regions"] is None and whole.outside is None
    assert not same(whole, base)


def test_strength_scales_and_a_batch_gives_a_batch(pipe):
    bases = pipe.sample([1, 2])
    half, full = (pipe.edit_text(bases, "sad", strength, None) for strength in (0.5, 1.0))
    assert len(half) == len(full) == 2
    for base, some, all_of_it in zip(bases, half, full, strict=True):
        assert 0 < (some.s - base.s).norm() < (all_of_it.s - base.s).norm()


def test_an_optimisation_shows_its_pictures_and_can_be_stopped(pipe):
    (base,) = pipe.sample([3])
    told = []
    stopped = pipe.edit_text(
        base, "sad", way="optimisation", steps=9, region=None, callback=lambda each: told.append(each) or each.step < 2
    )
    assert [each.step for each in told] == [1, 2] and told[0].steps == 9
    assert stopped.recipe["steps"][-1]["stopped"] == 2
    assert same(pipe.redo(stopped.recipe), stopped)
    finished = pipe.edit_text(base, "sad", way="optimisation", steps=9, region=None)
    assert finished.recipe["steps"][-1]["stopped"] is None
    assert not torch.equal(finished.s, stopped.s)


def test_a_sequence_of_texts_builds_a_face_from_the_average_one(pipe):
    (face,) = pipe.sample([0], truncation_psi=0)
    for text in ("an afro", "a smile"):
        face = pipe.edit_text(face, text)
    assert [step.get("regions") for step in face.recipe["steps"][1:]] == [["hair"], ["mouth"]]
    assert same(pipe.redo(face.recipe), face)


def test_a_mixed_picture_can_be_edited(pipe):
    base, other = pipe.sample([1, 2])
    mixed = pipe.mix(base, {"hair": other})
    assert not same(pipe.edit_text(mixed, "sad", region=None), mixed)
    assert not torch.equal(pipe.edit_text(mixed, "sad", region=None, way="optimisation", steps=2).s, mixed.s)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"text": ""}, "The text is empty"),
        ({"text": "sad", "region": "wheels"}, "wheels"),
        ({"text": "sad", "region": []}, "No region was named"),
        ({"text": "sad", "strength": float("nan")}, "finite number"),
        ({"text": "sad", "way": "magic"}, "no way 'magic'"),
        ({"text": "sad", "beta": 2}, "Beta is 2"),
        ({"text": "sad", "way": "optimisation", "steps": 0}, "0 steps"),
        ({"text": "sad", "neutral": " "}, "The text is empty"),
    ],
)
def test_bad_input_gets_one_sentence(pipe, options, sentence):
    (base,) = pipe.sample([1])
    with pytest.raises(InputError, match=sentence):
        pipe.edit_text(base, **options)


def test_a_strength_outside_is_clamped_and_said(pipe, caplog):
    (base,) = pipe.sample([1])
    far, end = (pipe.edit_text(base, "sad", strength, None) for strength in (30, 3))
    assert same(far, end) and "strength 30 was taken as 3" in caplog.text


def test_a_model_without_encoder_or_with_another_says_so(tiny_pipeline, pipe, tiny_encoder):
    (base,) = tiny_pipeline.sample([1])
    with pytest.raises(InputError, match="No text encoder was chosen"):
        tiny_pipeline.edit_text(base, "sad")
    (base,) = pipe.sample([1])
    edited = pipe.edit_text(base, "sad")
    other = type(tiny_encoder)(tiny_encoder.network, tiny_encoder.tokenizer, "other")
    other.digest = "1" * 64
    pipe.use_text_encoder(other)
    with pytest.raises(InputError, match="understood by the encoder"):
        pipe.redo(edited.recipe)


@pytest.mark.parametrize(
    ("key", "value"),
    [("way", "magic"), ("steps", 0), ("stopped", 10**9), ("beta", 3), ("encoder", ""), ("strength", 50)],
)
def test_a_stranger_s_recipe_is_checked(pipe, key, value):
    (base,) = pipe.sample([1])
    recipe = pipe.edit_text(base, "sad").recipe
    recipe = {**recipe, "steps": [*recipe["steps"][:-1], {**recipe["steps"][-1], key: value}]}
    with pytest.raises(InputError, match="damaged"):
        pipe.redo(recipe)


def test_the_step_survives_json(pipe):
    (base,) = pipe.sample([1])
    data = pipe.edit_text(base, "a hat", 0.7, "hair", lock=True).recipe["steps"][-1]
    step = EditByText.from_json(data, "step 1")
    assert {"op": "edit", "inputs": data["inputs"]} | step.to_json() == data
