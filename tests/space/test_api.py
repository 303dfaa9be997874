"""The endpoints, called over HTTP with the real client."""

import httpx
import pytest
from PIL import Image

from sfhub.steps.png import DIGITAL_SOURCE_TYPE, read_recipe

gradio_client = pytest.importorskip("gradio_client", reason="gradio_client is not installed; run `make test`")


@pytest.fixture(scope="module")
def client(page_address, tmp_path_factory):
    return gradio_client.Client(page_address, verbose=False, download_files=tmp_path_factory.mktemp("downloads"))


def pixels(source) -> bytes:
    return (source if isinstance(source, Image.Image) else Image.open(source)).tobytes()


def test_regions_are_those_of_the_model(client, tiny_pipeline):
    assert client.predict(api_name="/regions") == list(tiny_pipeline.regions)


def test_sample_gives_the_pipelines_picture_with_its_recipe_inside(client, tiny_pipeline):
    path, recipe = client.predict(seed=3, api_name="/sample")
    expected = tiny_pipeline.sample(3)[0]
    assert pixels(path) == pixels(expected.image)
    assert recipe == expected.recipe == read_recipe(path)


def test_mix_takes_seeds_or_seeds_with_strengths(client, tiny_pipeline):
    path, recipe = client.predict(
        base=1,
        regions={"hair": 2, "mouth": {"seed": 3, "strength": 0.25}},
        strength=0.5,
        truncation_psi=0.9,
        api_name="/mix",
    )
    base, hair, mouth = tiny_pipeline.sample([1, 2, 3], truncation_psi=0.9)
    expected = tiny_pipeline.mix(base, {"hair": hair, "mouth": mouth}, strength={"hair": 0.5, "mouth": 0.25})
    assert pixels(path) == pixels(expected.image)
    assert recipe == expected.recipe


def test_mix_takes_a_method_and_a_layout_where_the_model_has_a_hierarchy(
    fusion_page_address, fusion_pipeline, tmp_path
):
    client = gradio_client.Client(fusion_page_address, verbose=False, download_files=tmp_path)
    a, b, c = fusion_pipeline.sample([1, 2, 3])
    calls = [
        ({}, fusion_pipeline.mix(a, {"face": b})),
        ({"layout": 3, "strength": 0.5}, fusion_pipeline.mix(a, {"face": b}, 0.5, layout=c)),
        ({"method": "catalog"}, fusion_pipeline.mix(a, {"face": b}, method="catalog")),
    ]
    for options, expected in calls:
        path, recipe = client.predict(base=1, regions={"face": 2}, **options, api_name="/mix")
        assert pixels(path) == pixels(expected.image)
        assert recipe == expected.recipe
    assert client.predict(api_name="/regions") == ["skin", "mouth", "background", "hair", "face", "rest"]


def test_downloads_state_that_they_are_synthetic(client):
    path, _ = client.predict(base=1, regions={"hair": 2}, api_name="/mix")
    assert DIGITAL_SOURCE_TYPE in Image.open(path).info["XML:com.adobe.xmp"]


def test_redo_makes_a_picture_again_from_its_file(client):
    path, recipe = client.predict(base=1, regions={"hair": 2}, api_name="/mix")
    again, recipe_again = client.predict(image=gradio_client.handle_file(path), api_name="/redo")
    assert pixels(again) == pixels(path)
    assert recipe_again == recipe


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        ({"seed": -1, "api_name": "/sample"}, "Seed -1 cannot be used"),
        ({"seed": 1, "truncation_psi": 9, "api_name": "/sample"}, "Truncation psi is 9"),
        ({"base": 1, "regions": {"hare": 2}, "api_name": "/mix"}, "did you mean 'hair'"),
        ({"base": 1, "regions": {"hair": 2}, "layout": 3, "api_name": "/mix"}, "A layout needs a fusion hierarchy"),
        ({"base": 1, "regions": {"hair": 2}, "method": "fusion", "api_name": "/mix"}, "has no fusion hierarchy"),
        ({"base": 1, "regions": {"hair": "x"}, "api_name": "/mix"}, "Seed 'x' cannot be used"),
        ({"base": 1, "regions": {"hair": {"seed": 1, "strength": 4}}, "api_name": "/mix"}, "take a number from 0 to 1"),
        ({"base": 1, "regions": {"hair": {"seed": 1, "strength": []}}, "api_name": "/mix"}, "strength from 0 to 1"),
        ({"base": 1, "regions": ["hair"], "api_name": "/mix"}, "give an object such as"),
    ],
)
def test_bad_input_gets_the_sentence_that_says_what_to_do(client, call, sentence):
    with pytest.raises(gradio_client.exceptions.AppError, match=sentence):
        client.predict(**call)


def test_a_file_without_a_recipe_is_refused(client, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "plain.png")
    with pytest.raises(gradio_client.exceptions.AppError, match="carries no recipe"):
        client.predict(image=gradio_client.handle_file(tmp_path / "plain.png"), api_name="/redo")


def test_redo_reads_no_file_of_the_server_that_was_not_uploaded(page_address, tmp_path, tiny_pipeline):
    # By hand, for the client would upload the file first.
    secret = tiny_pipeline.sample(1)[0].save(tmp_path / "secret.png")
    named = {"path": str(secret), "meta": {"_type": "gradio.FileData"}}
    call = f"{page_address}gradio_api/call/redo"
    event = httpx.post(call, json={"data": [named]}).json()["event_id"]
    answer = httpx.get(f"{call}/{event}").text
    assert "event: error" in answer
    assert "recipe" not in answer


# Several models


@pytest.fixture(scope="module")
def families(families_page_address, tmp_path_factory):
    folder = tmp_path_factory.mktemp("downloads")
    return gradio_client.Client(families_page_address, verbose=False, download_files=folder)


SEMANTIC = "SemanticStyleGANPipeline"


def test_models_are_chosen_by_name_and_the_first_is_used_without_one(families, fusion_pipeline, semantic_pipeline):
    assert families.predict(api_name="/models") == ["StyleGANPipeline", SEMANTIC]
    assert families.predict(model=SEMANTIC, api_name="/regions") == list(semantic_pipeline.regions)
    for model, pipe in ((SEMANTIC, semantic_pipeline), (None, fusion_pipeline)):
        path, recipe = families.predict(seed=3, model=model, api_name="/sample")
        assert pixels(path) == pixels(pipe.sample(3)[0].image)
        assert families.predict(image=gradio_client.handle_file(path), api_name="/redo")[1] == recipe


def test_mix_takes_shape_and_texture_from_two_portraits(families, semantic_pipeline):
    path, recipe = families.predict(
        base=1, regions={"mouth": 2}, shape={"hair": 2}, texture={"hair": 3}, layout=3, model=SEMANTIC, api_name="/mix"
    )
    a, b, c = semantic_pipeline.sample([1, 2, 3])
    expected = semantic_pipeline.mix(a, {"mouth": b}, shape={"hair": b}, texture={"hair": c}, layout=c)
    assert pixels(path) == pixels(expected.image)
    assert recipe == expected.recipe


def test_build_face_composes_and_takes_backgrounds(families, semantic_pipeline, tmp_path):
    green = Image.new("RGB", (40, 30), (10, 200, 30))
    green.save(tmp_path / "green.png")
    a, b = semantic_pipeline.sample([1, 2])
    calls = [
        ({}, {}),
        ({"background": 2}, {"background": b}),
        ({"picture": gradio_client.handle_file(tmp_path / "green.png")}, {"background": green}),
    ]
    done = {"without": ["glasses"], "move": {"hair": [0.25, -0.5]}, "zoom": {"mouth": 1.5}}
    for options, theirs in calls:
        path, recipe = families.predict(seed=1, **done, **options, api_name="/build_face")
        expected = semantic_pipeline.compose(a, **done, **theirs)
        assert pixels(path) == pixels(expected.image)
        assert recipe == expected.recipe


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        ({"seed": 1, "model": "cars", "api_name": "/sample"}, "There is no model 'cars' on this page"),
        ({"base": 1, "regions": {}, "shape": {"hair": 2}, "api_name": "/mix"}, "A shape by itself needs a Semantic"),
        (
            {"base": 1, "regions": {"hair": 2}, "method": "fusion", "model": SEMANTIC, "api_name": "/mix"},
            "cannot mix by method 'fusion'",
        ),
        ({"seed": 1, "model": "StyleGANPipeline", "api_name": "/build_face"}, "has no components"),
        ({"seed": 1, "without": ["wheel"], "api_name": "/build_face"}, "There is no region 'wheel'"),
        ({"seed": 1, "without": "hair", "api_name": "/build_face"}, "give a list such as"),
        ({"seed": 1, "move": {"hair": 1}, "api_name": "/build_face"}, "give two numbers"),
        ({"seed": 1, "zoom": {"hair": 0}, "api_name": "/build_face"}, "take a number from"),
    ],
)
def test_bad_input_for_one_of_several_models_gets_its_sentence(families, call, sentence):
    with pytest.raises(gradio_client.exceptions.AppError, match=sentence):
        families.predict(**call)
