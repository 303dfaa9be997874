"""One visitor cannot stop the page for the others: work has a price, takes turns, and ends when nobody waits for it."""

import ast
import io
import json
import threading
import time
from pathlib import Path

import httpx
import pytest
from PIL import Image, PngImagePlugin

import sfhub
from sfhub.errors import InputError
from sfhub.limits import Limits
from sfhub.pipelines.stylegan import StyleGANPipeline
from sfhub.space.common import visitors
from sfhub.space.common.turns import Turns
from sfhub.steps.png import CHUNK
from sfhub.steps.recipe import cost_of, make_recipe, read_steps

SEMANTIC = "SemanticStyleGANPipeline"


@pytest.fixture
def api(families_page_address):
    """Where the page's endpoints are."""
    return f"{families_page_address}gradio_api"


@pytest.fixture
def synthesised(monkeypatch):
    """The pictures that were made, one entry each."""
    made = []
    inner = StyleGANPipeline._synthesize

    def counting(self, codes):
        made.extend(codes)
        return inner(self, codes)

    monkeypatch.setattr(StyleGANPipeline, "_synthesize", counting)
    return made


def asked(api, name, *data, client=httpx) -> httpx.Response:
    return client.post(f"{api}/call/{name}", json={"data": list(data)}, timeout=60)


def answer(api, name, *data) -> tuple[str, str]:
    """How a call ended: the name of the last event, and what it says."""
    response = asked(api, name, *data)
    assert response.status_code == 200, response.text
    text = httpx.get(f"{api}/call/{name}/{response.json()['event_id']}", timeout=60).text
    lines = [line for line in text.splitlines() if line.startswith(("event: ", "data: "))]
    return lines[-2].removeprefix("event: "), lines[-1].removeprefix("data: ")


def sentence(api, name, *data) -> str:
    kind, said = answer(api, name, *data)
    assert kind == "error", said
    return json.loads(said)["error"]


def png_with(recipe) -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_itxt(CHUNK, json.dumps(recipe), zip=True)
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, format="PNG", pnginfo=info)
    return buffer.getvalue()


def uploaded(api, content: bytes) -> dict:
    response = httpx.post(f"{api}/upload", files={"files": ("stranger.png", content)}, timeout=60)
    assert response.status_code == 200, response.text
    return {"path": response.json()[0], "meta": {"_type": "gradio.FileData"}}


def sample_step(seed=1):
    return {"op": "sample", "inputs": [], "seed": seed, "truncation_psi": 0.7, "label": None}


def heavy(pipe, mixes=1022, pictures=400):
    """A small recipe of much work: a chain of fusion mixes and a grid of them."""
    steps = [sample_step(1)]
    for k in range(mixes):
        steps.append(
            {
                "op": "mix",
                "method": "fusion",
                "inputs": [k, 0],
                "regions": ["face"],
                "strengths": [0.5],
                "layout": False,
            }
        )
    steps.append({"op": "grid", "inputs": [len(steps) - 1] * pictures, "columns": 20})
    return make_recipe(pipe.model_record, steps)


# Check first


@pytest.mark.parametrize("count", [40, 10_000])
@pytest.mark.parametrize("field", ["regions", "shape"])
def test_invented_regions_are_refused_before_anything_is_made(api, synthesised, count, field):
    sources = {f"region {k}": 1000 + k for k in range(count)}
    data = [1, sources, 1, 0.7, None, None, None, None, None]
    if field == "shape":
        data[1], data[6:8] = {}, [SEMANTIC, sources]
    start = time.monotonic()
    said = sentence(api, "mix", *data)
    assert "There is no region 'region " in said or "more than the 64" in said
    assert synthesised == [] and time.monotonic() - start < 20


def test_the_rest_of_a_request_is_checked_first_too(api, synthesised):
    assert "no region 'wheel'" in sentence(api, "build_face", 1, ["wheel"], None, None, None, None, 0.7, None)
    assert "give two numbers" in sentence(api, "build_face", 1, [], {"hair": 1}, None, None, None, 0.7, None)
    assert "take a number from" in sentence(api, "build_face", 1, [], {}, {"hair": 99}, None, None, 0.7, None)
    assert "from 0 to 1" in sentence(api, "mix", 1, {"hair": {"seed": 2, "strength": 5}}, 1, 0.7, *[None] * 5)
    assert "no method 'magic'" in sentence(api, "mix", 1, {"hair": 2}, 1, 0.7, None, "magic", None, None, None)
    assert synthesised == []


def test_a_recipe_is_checked_against_the_model_before_any_step_is_followed(fusion_pipeline, synthesised):
    steps = [sample_step(k) for k in range(20)]
    steps.append({"op": "mix", "method": "fusion", "inputs": [0, 1], "regions": ["wheel"], "strengths": [1]})
    latents = []
    inner, fusion_pipeline.between_pictures = fusion_pipeline.between_pictures, lambda: latents.append(1)
    try:
        with pytest.raises(InputError, match="no region 'wheel'"):
            fusion_pipeline.redo(make_recipe(fusion_pipeline.model_record, steps))
    finally:
        fusion_pipeline.between_pictures = inner
    assert latents == []


# A price before work


def test_a_small_picture_of_much_work_is_refused_at_once(api, fusion_pipeline, synthesised):
    content = png_with(heavy(fusion_pipeline))
    assert len(content) < 20_000
    start = time.monotonic()
    said = sentence(api, "redo", uploaded(api, content), None)
    assert "would take as long as" in said and f"more than the {Limits.request_cost} that this page makes" in said
    assert synthesised == [] and time.monotonic() - start < 20


def test_what_a_page_makes_for_one_request_can_be_set(api, fusion_pipeline, monkeypatch):
    content = png_with(heavy(fusion_pipeline, mixes=2, pictures=3))
    monkeypatch.setenv("SFHUB_REQUEST_COST", "2")
    assert "more than the 2 that this page makes" in sentence(api, "redo", uploaded(api, content), None)
    monkeypatch.setenv("SFHUB_REQUEST_COST", "3")
    kind, said = answer(api, "redo", uploaded(api, content), None)
    assert kind == "complete", said


def test_the_price_grows_with_what_is_made(fusion_pipeline):
    a, b, c = fusion_pipeline.sample([1, 2, 3])
    mixed = fusion_pipeline.mix(a, {"face": b, "hair": c})
    prices = [
        cost_of(read_steps(picture.recipe))
        for picture in (
            a,
            mixed,
            fusion_pipeline.grid([a, b, c]),
            fusion_pipeline.grid(fusion_pipeline.sample(list(range(9)))),
        )
    ]
    assert prices == sorted(prices) and 1 <= prices[0] < 1.5 and prices[-1] > 9


def test_a_body_of_sixty_megabytes_is_not_read(api):
    def body():
        for _ in range(60):
            yield b"x" * 2**20

    for kwargs in ({"content": b'{"data": ["' + b"x" * 60 * 2**20 + b'"]}'}, {"content": body()}):
        try:
            response = httpx.post(f"{api}/call/mix", headers={"content-type": "application/json"}, timeout=60, **kwargs)
        except httpx.TransportError:
            continue  # the connection was closed while it was still being sent
        assert response.status_code in (400, 413, 422, 500)
    assert httpx.get(f"{api}/info", timeout=60).status_code == 200


def test_uploads_of_a_visitor_are_throttled(api, monkeypatch):
    monkeypatch.setenv("SFHUB_UPLOAD_BYTES_PER_MINUTE", "300000")
    client = httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.0.77"))
    other = httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.0.78"))
    files = {"files": ("a.png", b"x" * 100_000)}
    statuses = [client.post(f"{api}/upload", files=files, timeout=60).status_code for _ in range(5)]
    assert statuses[:2] == [200, 200] and 429 in statuses
    assert other.post(f"{api}/upload", files=files, timeout=60).status_code == 200


def test_a_visitor_cannot_fill_the_queue_nor_keep_others_waiting(
    api, families_page_address, monkeypatch, fusion_pipeline
):
    monkeypatch.setattr(visitors, "PATIENCE", 1.0)
    attacker = httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.0.66"))
    recipe = make_recipe(
        fusion_pipeline.model_record,
        [*(sample_step(k) for k in range(60)), {"op": "grid", "inputs": list(range(50)), "columns": 8}],
    )
    file = uploaded(api, png_with(recipe))
    inner = StyleGANPipeline._synthesize

    def slow(self, codes):
        time.sleep(0.1)
        return inner(self, codes)

    monkeypatch.setattr(StyleGANPipeline, "_synthesize", slow)
    statuses = [asked(api, "redo", file, None, client=attacker).status_code for _ in range(60)]
    assert statuses.count(429) >= 40 and 1 <= statuses.count(200) <= 20
    start = time.monotonic()
    assert answer(api, "sample", int(time.time()) % 10**6, 0.7, None)[0] == "complete"
    assert time.monotonic() - start < 5  # of the 5 seconds that each of the attacker's jobs takes, several at a time


def test_work_that_nobody_waits_for_ends(api, synthesised, monkeypatch, fusion_pipeline):
    monkeypatch.setattr(visitors, "PATIENCE", 0.2)
    inner = StyleGANPipeline._synthesize

    def slow(self, codes):
        time.sleep(0.05)
        return inner(self, codes)

    monkeypatch.setattr(StyleGANPipeline, "_synthesize", slow)
    steps = [*(sample_step(k) for k in range(70, 130)), {"op": "grid", "inputs": list(range(55)), "columns": 8}]
    file = uploaded(api, png_with(make_recipe(fusion_pipeline.model_record, steps)))
    event = asked(api, "redo", file, None).json()["event_id"]
    with (
        pytest.raises(httpx.ReadTimeout),
        httpx.stream("GET", f"{api}/call/redo/{event}", timeout=httpx.Timeout(60, read=0.5)) as stream,
    ):
        for _ in stream.iter_lines():
            pass
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        before = len(synthesised)
        time.sleep(1)
        if len(synthesised) == before:
            break
    assert len(synthesised) < 55


# Turns


def test_others_get_their_turn_between_two_pictures():
    turns, order = Turns(), []
    begun = threading.Event()

    def work(visitor, pictures):
        with turns.job(visitor):
            for _ in range(pictures):
                order.append(visitor)
                begun.set()
                time.sleep(0.02)
                turns.pause()

    attackers = [threading.Thread(target=work, args=("attacker", 30)) for _ in range(6)]
    for thread in attackers:
        thread.start()
    begun.wait()
    others = [threading.Thread(target=work, args=(name, 2)) for name in "abc"]
    for thread in others:
        thread.start()
    for thread in others + attackers:
        thread.join(60)
    assert order.count("attacker") == 180
    last = max(k for k, visitor in enumerate(order) if visitor != "attacker")
    assert last < 30, "after six rounds everybody else is done"


def test_a_job_that_nobody_waits_for_gives_its_turn_back():
    turns = Turns()
    with pytest.raises(InputError, match="Nobody waited"), turns.job("a", lambda: False):
        pass
    with turns.job("b"), turns.job("b"):
        turns.pause()
    turns.pause()


# A sentence, never a traceback


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("mix", ["x", {"hair": 2}, 1, 0.7, None, None, None, None, None]),
        ("mix", [1, {"hair": 2}, 1, 0.7, "x", None, None, None, None]),
        ("mix", [[1], {"hair": 2}, 1, 0.7, None, None, None, None, None]),
        ("mix", [1, {"hair": {"seed": {}}}, 1, 0.7, None, None, None, None, None]),
        ("mix", [1, {"hair": {"seed": 2, "strength": True}}, 1, 0.7, None, None, None, None, None]),
        ("mix", [1, {"hair": 2}, "much", 0.7, None, None, None, None, None]),
        ("mix", [1, {"hair": 2}, 1, {}, None, None, None, None, None]),
        ("mix", [1, 7, 1, 0.7, None, None, None, None, None]),
        ("mix", [1, {"hair": 10**25}, 1, 0.7, None, None, None, None, None]),
        ("mix", [1]),
        ("sample", ["x", 0.7, None]),
        ("sample", [1, 0.7, ["cars"]]),
        ("sample", [None, None, None]),
        ("redo", [5, None]),
        ("redo", ["/etc/passwd", None]),
        ("redo", [None, None]),
        ("redo", [{"path": "/etc/passwd"}, None]),
        ("build_face", [1, [{}], None, None, None, None, 0.7, None]),
        ("build_face", [1, [[]], None, None, None, None, 0.7, None]),
        ("build_face", [1, ["hat"] * 1000, None, None, None, None, 0.7, None]),
        ("build_face", [1, None, {"hair": ["a", "b"]}, None, None, None, 0.7, None]),
        ("build_face", [1, None, {"hair": {"0": 1, "1": 2}}, None, None, None, 0.7, None]),
        ("build_face", [1, None, None, {"hair": []}, None, None, 0.7, None]),
        ("build_face", [1, None, None, None, "x", None, 0.7, None]),
        ("build_face", [1, None, None, None, None, [], 0.7, None]),
    ],
)
def test_every_wrong_value_is_answered_with_a_sentence(api, name, data):
    response = asked(api, name, *data)
    if response.status_code != 200:
        assert response.json()["detail"]
        return
    kind, said = answer(api, name, *data)
    assert kind == "error"
    text = json.loads(said)["error"]
    assert isinstance(text, str) and text.endswith(".") and "Traceback" not in text


def test_what_is_long_is_not_sent_back(api):
    long = "A" * 5000
    for data in (
        [1, {long: 2}, 1, 0.7, None, None, None, None, None],
        [1, {"hair": long}, 1, 0.7, None, None, None, None, None],
        [1, {"hair": {long: 1}}, 1, 0.7, None, None, None, None, None],
        [1, {"hair": 2}, 1, 0.7, None, long, None, None, None],
        [1, {"hair": 2}, 1, 0.7, None, None, long, None, None],
        [1, long, 1, 0.7, None, None, None, None, None],
        [long, {"hair": 2}, 1, 0.7, None, None, None, None, None],
    ):
        assert "A" * 81 not in sentence(api, "mix", *data)


# Markup


def test_a_strangers_recipe_shows_no_elements_in_the_error(api):
    trap = "<img src=x onerror=alert(1)><a href=//evil>click</a>"
    for kind in ("hub", "folder"):
        model = {"kind": kind, "name": trap, "revision": trap, "dtype": "float32"}
        said = sentence(api, "redo", uploaded(api, png_with(make_recipe(model, [sample_step()]))), None)
        assert "<" not in said and "&lt;img" in said
    assert "<" not in sentence(api, "mix", 1, {trap: 2}, 1, 0.7, None, None, None, None, None)
    assert "<" not in sentence(api, "sample", 1, 0.7, trap)


def test_one_function_lets_names_into_markup():
    space = Path(sfhub.__file__).parent / "space"
    importing = {
        path.relative_to(space).as_posix()
        for path in space.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom | ast.Import)
        and ("html" in {alias.name for alias in node.names} or getattr(node, "module", None) == "html")
    }
    assert importing == {"common/markup.py"}
