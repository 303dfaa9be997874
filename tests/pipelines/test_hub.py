"""Sharing and loading over HTTP: the real client of huggingface_hub against a stand-in Hub."""

import json
from types import SimpleNamespace

import huggingface_hub
import numpy as np
import pytest
from huggingface_hub import constants, file_download
from huggingface_hub.utils import _http, httpx
from safetensors.torch import load, save

from sfhub.errors import InputError
from sfhub.pipelines.redo import redo
from sfhub.pipelines.stylegan import StyleGANPipeline
from tests.pipelines.hub_server import TOKEN, RunningHub

FILE_PATH = "/{repo_id}/resolve/{revision}/{filename}"
WEIGHTS = "generator/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def server():
    with RunningHub() as hub:
        yield hub


@pytest.fixture
def hub(server, monkeypatch, tmp_path):
    """An empty Hub that the client talks to, with an empty cache and nobody logged in."""
    server.forget()
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.url + FILE_PATH)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    # The client sleeps before it tries again.
    impatient = SimpleNamespace(sleep=lambda seconds: None, time=file_download.time.time)
    monkeypatch.setattr(file_download, "time", impatient)
    monkeypatch.setattr(_http, "time", impatient)
    monkeypatch.setattr("sfhub.pipelines.hub.time", impatient)
    return server


@pytest.fixture(scope="module")
def model_files(tiny_pipeline, tmp_path_factory):
    """The files of a saved pipeline by path."""
    folder = tmp_path_factory.mktemp("model")
    tiny_pipeline.save_pretrained(folder)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def pixels(sample):
    return np.asarray(sample.image)


def test_what_was_pushed_is_what_is_pulled(hub, tiny_pipeline):
    info = tiny_pipeline.push_to_hub("tester/faces", token=TOKEN, commit_message="First faces")

    pulled = StyleGANPipeline.from_pretrained("tester/faces")

    assert np.array_equal(pixels(pulled.sample(3)[0]), pixels(tiny_pipeline.sample(3)[0]))
    assert pulled.regions == tiny_pipeline.regions
    assert hub.repos["tester/faces"].messages[-1] == "First faces"
    assert (pulled.source.kind, pulled.source.name, pulled.source.revision) == ("hub", "tester/faces", info.oid)


def test_a_fusion_hierarchy_is_pushed_and_pulled_with_its_model(hub, fusion_pipeline):
    fusion_pipeline.push_to_hub("tester/fused", token=TOKEN)
    pulled = StyleGANPipeline.from_pretrained("tester/fused")
    mixed = [pipe(a, {"face": b}, layout=b) for pipe in (pulled, fusion_pipeline) for a, b in [pipe.sample([1, 2])]]
    assert np.array_equal(pixels(mixed[0]), pixels(mixed[1]))


def test_weights_travel_through_lfs_and_the_card_says_how_to_load(hub, tiny_pipeline):
    tiny_pipeline.push_to_hub("tester/faces", token=TOKEN)

    repo = hub.repos["tester/faces"]
    files = repo.commits[repo.refs["main"]]
    assert repo.lfs_paths == {path for path in files if path.endswith(".safetensors")} != set()
    card = files["README.md"].decode()
    assert 'StyleGANPipeline.from_pretrained("tester/faces")' in card
    assert "library_name: sfhub" in card and "synthetic" in card and "hair" in card


def test_pushing_again_keeps_a_card_that_somebody_wrote(hub, tiny_pipeline):
    hub.add("tester/faces", {"README.md": b"# My own words"})

    tiny_pipeline.push_to_hub("tester/faces", token=TOKEN)

    repo = hub.repos["tester/faces"]
    assert repo.commits[repo.refs["main"]]["README.md"] == b"# My own words"


def test_push_makes_private_repositories_and_pull_requests(hub, tiny_pipeline):
    tiny_pipeline.push_to_hub("tester/secret", token=TOKEN, private=True)
    before = hub.repos["tester/secret"].refs["main"]
    info = tiny_pipeline.push_to_hub("tester/secret", token=TOKEN, create_pr=True, commit_message="Please")

    assert hub.repos["tester/secret"].private
    assert hub.repos["tester/secret"].refs["main"] == before
    assert info.pr_url.endswith("/discussions/1")
    with pytest.raises(InputError, match="no model tester/secret on the Hub, or it is private"):
        StyleGANPipeline.from_pretrained("tester/secret")
    assert StyleGANPipeline.from_pretrained("tester/secret", token=TOKEN).source.kind == "hub"


def test_pushing_without_permission_is_one_sentence(hub, tiny_pipeline):
    with pytest.raises(InputError, match=r"refused access to tester/faces \(status 40[13]\)") as caught:
        tiny_pipeline.push_to_hub("tester/faces", token="hf_" + "y" * 34)
    assert "\n" not in str(caught.value)


def test_a_pinned_revision_stays_what_it_was(hub, model_files):
    repo = hub.add("tester/faces", model_files)
    pinned = repo.refs["main"]
    repo.commit({"catalog/config.json": b"{}", "model_index.json": b"{}"}, message="Break it")

    assert StyleGANPipeline.from_pretrained("tester/faces", revision=pinned).source.revision == pinned
    with pytest.raises(InputError, match="not a model of sfhub"):
        StyleGANPipeline.from_pretrained("tester/faces")


def test_only_data_is_downloaded_and_variants_only_on_demand(hub, model_files):
    variant = WEIGHTS.replace(".safetensors", ".fp16.safetensors")
    half = save({name: value.half() for name, value in load(model_files[WEIGHTS]).items()})
    extra = {"run_me.py": b"raise SystemExit", "generator/weights.bin": b"x", variant: half}
    hub.add("tester/faces", {**model_files, **extra})

    StyleGANPipeline.from_pretrained("tester/faces")
    assert set(hub.downloads) == set(model_files)

    StyleGANPipeline.from_pretrained("tester/faces", variant="fp16")
    assert set(hub.downloads) == {*model_files, variant}


def test_a_repository_of_another_library_is_refused_before_its_weights_come_down(hub):
    index = {"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet2DConditionModel"]}
    files = {"model_index.json": json.dumps(index).encode(), "unet/diffusion_pytorch_model.safetensors": b"x" * 1000}
    hub.add("someone/diffusion", files)

    with pytest.raises(InputError, match="someone/diffusion is not a model of sfhub: it looks like a StableDiffusion"):
        StyleGANPipeline.from_pretrained("someone/diffusion")
    assert hub.downloads == ["model_index.json"]


def test_a_bare_generator_loads_as_a_pipeline_without_regions(hub, model_files, tiny_pipeline):
    hub.add("tester/converted", {path.split("/")[1]: model_files[path] for path in model_files if "generator/" in path})

    pipe = StyleGANPipeline.from_pretrained("tester/converted")

    assert pipe.regions == ()
    assert np.array_equal(pixels(pipe.sample(3)[0]), pixels(tiny_pipeline.sample(3)[0]))


@pytest.mark.parametrize(
    ("repo_id", "revision", "sentence"),
    [
        ("tester/nothing", None, "no model tester/nothing on the Hub, or it is private"),
        ("tester/gated", None, "tester/gated is gated: ask for access"),
        ("tester/faces", "v99", "tester/faces has no revision 'v99'"),
        ("tester/empty", None, "tester/empty is not a model of sfhub, for it has neither model_index.json nor config"),
    ],
)
def test_what_cannot_be_had_is_explained_in_one_sentence(hub, model_files, repo_id, revision, sentence):
    hub.add("tester/faces", model_files)
    hub.add("tester/gated", model_files, gated=True)
    hub.add("tester/empty", {"README.md": b""})

    with pytest.raises(InputError, match=sentence) as caught:
        StyleGANPipeline.from_pretrained(repo_id, revision=revision)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is not None


def test_a_hub_that_is_down_is_explained(hub, model_files):
    hub.add("tester/faces", model_files)
    hub.down = True
    with pytest.raises(InputError, match="The Hub answered for tester/faces with status 503; try again later"):
        StyleGANPipeline.from_pretrained("tester/faces")


def test_a_hub_that_cannot_be_reached_is_explained(hub, monkeypatch):
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", "http://127.0.0.1:9" + FILE_PATH)
    with pytest.raises(InputError, match="The connection to the Hub broke"):
        StyleGANPipeline.from_pretrained("tester/faces")


def test_a_cut_connection_is_explained_and_the_next_try_is_clean(hub, model_files, tiny_pipeline):
    hub.add("tester/faces", model_files)
    hub.cuts = [1000] + [0] * 200

    with pytest.raises(InputError, match="The connection to the Hub broke while tester/faces was") as caught:
        StyleGANPipeline.from_pretrained("tester/faces")
    assert "\n" not in str(caught.value)

    hub.cuts = []
    pipe = StyleGANPipeline.from_pretrained("tester/faces")
    assert np.array_equal(pixels(pipe.sample(3)[0]), pixels(tiny_pipeline.sample(3)[0]))


@pytest.fixture
def dropping(hub):
    """The requests that were begun and then lose their connection: set `left` to how many still shall."""
    state = SimpleNamespace(left=0, seen=[])

    class Dropping(httpx.HTTPTransport):
        def handle_request(self, request):
            state.seen.append(request.method)
            if state.left > 0:
                state.left -= 1
                raise httpx.RemoteProtocolError("Server disconnected without sending a response.", request=request)
            return super().handle_request(request)

    huggingface_hub.set_client_factory(lambda: httpx.Client(transport=Dropping(), follow_redirects=False))
    huggingface_hub.close_session()
    yield state
    huggingface_hub.set_client_factory(_http.default_client_factory)
    huggingface_hub.close_session()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_dropped_request_is_tried_again_wherever_it_was(hub, dropping, model_files, tiny_pipeline, count):
    hub.add("tester/faces", model_files)
    dropping.left = count
    pipe = StyleGANPipeline.from_pretrained("tester/faces")
    assert dropping.left == 0 and dropping.seen[0] == "HEAD"
    assert np.array_equal(pixels(pipe.sample(3)[0]), pixels(tiny_pipeline.sample(3)[0]))


def test_a_connection_that_breaks_all_the_time_is_explained(hub, dropping, model_files):
    hub.add("tester/faces", model_files)
    dropping.left = 10_000
    with pytest.raises(InputError, match="The connection to the Hub broke while tester/faces was transferred"):
        StyleGANPipeline.from_pretrained("tester/faces")
    assert 3 < len(dropping.seen) < 100


def test_what_the_hub_refuses_is_not_asked_again(hub, dropping):
    with pytest.raises(InputError, match="no model tester/nothing on the Hub"):
        StyleGANPipeline.from_pretrained("tester/nothing")
    assert len(dropping.seen) <= 2


def test_after_a_pull_the_model_loads_without_the_hub(hub, model_files):
    hub.add("tester/faces", model_files)
    online = StyleGANPipeline.from_pretrained("tester/faces")
    hub.down = True
    hub.downloads.clear()

    offline = StyleGANPipeline.from_pretrained("tester/faces", local_files_only=True)

    assert offline.source == online.source
    assert hub.downloads == []


def test_a_half_downloaded_model_is_not_mistaken_for_a_whole_one(hub, model_files):
    hub.add("tester/faces", model_files)
    hub.cuts = [0] * 200
    with pytest.raises(InputError):
        StyleGANPipeline.from_pretrained("tester/faces")

    with pytest.raises(InputError, match="not \\(completely\\) in the local cache"):
        StyleGANPipeline.from_pretrained("tester/faces", local_files_only=True)


def test_offline_mode_uses_the_cache_and_says_when_it_is_empty(hub, model_files, tmp_path, monkeypatch):
    hub.add("tester/faces", model_files)
    StyleGANPipeline.from_pretrained("tester/faces", cache_dir=tmp_path / "full")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.downloads.clear()

    assert StyleGANPipeline.from_pretrained("tester/faces", cache_dir=tmp_path / "full").source.name == "tester/faces"
    with pytest.raises(InputError, match="in the local cache and HF_HUB_OFFLINE forbids the Hub; load it once"):
        StyleGANPipeline.from_pretrained("tester/faces", cache_dir=tmp_path / "empty")
    assert hub.downloads == []


def test_a_picture_is_made_again_at_the_revision_it_was_made_with(hub, model_files, tiny_pipeline, tmp_path):
    repo = hub.add("tester/faces", model_files)
    picture = StyleGANPipeline.from_pretrained("tester/faces").sample(3)[0]
    path = picture.save(tmp_path / "face.png")
    repo.commit({"model_index.json": b"{}"}, message="Break it")

    with pytest.raises(InputError, match="if you trust it, name it to load it: --model tester/faces"):
        redo(path)
    assert np.array_equal(pixels(redo(path, "tester/faces")), pixels(picture))
