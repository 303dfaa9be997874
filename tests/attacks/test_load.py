"""Fifty visitors, one an attacker: the others wait at most twice as long, and everybody gets their own picture."""

import json
import threading
import time

import httpx
import numpy as np
import pytest
from PIL import Image

from sfhub.steps.recipe import make_recipe
from tests.attacks.test_page import png_with, sample_step, uploaded

CLIENTS, REQUESTS = 50, 20
pytestmark = pytest.mark.slow


class Visitor(threading.Thread):
    """Asks for mixes, one after the other, from an address of its own.

    Attributes:
        seconds: of each answer.
        wrong: pictures that were not those asked for, and errors.
    """

    def __init__(self, number, address, pipe):
        super().__init__()
        self.number, self.address, self.pipe = number, address, pipe
        self.client = httpx.Client(transport=httpx.HTTPTransport(local_address=f"127.0.1.{number + 1}"), timeout=600)
        self.seconds, self.wrong, self.answers = [], [], []

    def run(self):
        for request in range(REQUESTS):
            base, hair = 1000 * self.number + request, 1000 * self.number + 500 + request
            start = time.monotonic()
            data = [base, {"hair": hair}, 1, 0.7, None, None, None, None, None]
            asked = self.client.post(f"{self.address}gradio_api/call/mix", json={"data": data})
            if asked.status_code != 200:
                self.wrong.append((base, asked.text))
                continue
            event = asked.json()["event_id"]
            lines = self.client.get(f"{self.address}gradio_api/call/mix/{event}").text.splitlines()
            self.seconds.append(time.monotonic() - start)
            data = next((line for line in reversed(lines) if line.startswith("data: ")), "data: null")
            if "event: complete" not in lines:
                self.wrong.append((base, data))
                continue
            file, recipe = json.loads(data.removeprefix("data: "))
            seeds = [step.get("seed") for step in recipe["steps"][:2]]
            if seeds != [base, hair]:
                self.wrong.append((base, seeds))
            self.answers.append((base, hair, file["path"]))


def p95(visitors):
    return float(np.percentile([seconds for each in visitors for seconds in each.seconds], 95))


def attack(address, file, stop):
    """Jobs of much work, more requests than are taken, large bodies, and nobody to listen."""
    client = httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.0.66"), timeout=600)
    while not stop.is_set():
        for name, data in (
            ("redo", [file, None]),
            ("mix", [1, {f"region {k}": k for k in range(10_000)}] + [None] * 7),
        ):
            try:
                client.post(f"{address}gradio_api/call/{name}", json={"data": data})
            except httpx.HTTPError:
                continue
        time.sleep(0.05)


def everybody(address, pipe, first):
    visitors = [Visitor(first + number, address, pipe) for number in range(CLIENTS - 1)]
    for each in visitors:
        each.start()
    for each in visitors:
        each.join()
    return visitors


def test_an_attacker_does_not_make_the_others_wait(families_page_address, fusion_pipeline):
    alone = everybody(families_page_address, fusion_pipeline, 0)
    steps = [*(sample_step(k) for k in range(60)), {"op": "grid", "inputs": list(range(55)), "columns": 8}]
    content = png_with(make_recipe(fusion_pipeline.model_record, steps))
    file = uploaded(f"{families_page_address}gradio_api", content)
    stop = threading.Event()
    attacker = threading.Thread(target=attack, args=(families_page_address, file, stop))
    attacker.start()
    attacked = everybody(families_page_address, fusion_pipeline, 100)
    stop.set()
    attacker.join()
    print(f"p95 without {p95(alone):.2f} s, with the attacker {p95(attacked):.2f} s")
    assert [wrong for each in (*alone, *attacked) for wrong in each.wrong] == []
    assert sum(len(each.answers) for each in attacked) == (CLIENTS - 1) * REQUESTS
    assert p95(attacked) <= 2 * p95(alone)
    for each in attacked[::7]:
        for base, hair, path in each.answers[::5]:
            a, b = fusion_pipeline.sample([base, hair])
            expected = fusion_pipeline.mix(a, {"hair": b})
            with Image.open(path) as opened:
                assert opened.tobytes() == expected.image.tobytes()
