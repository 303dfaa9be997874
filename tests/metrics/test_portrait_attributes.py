"""Which attributes generated portraits show, by judges that see everything, nothing or something else."""

import json
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from sfhub.errors import InputError
from sfhub.metrics.judge import PortraitJudge
from sfhub.metrics.portrait_attributes import (
    draw_latents,
    measure_shown,
    open_judge,
    pictures_of_latents,
    save_comparison,
    save_shown,
    summarise_shown,
)
from sfhub.models.stylegan2 import StyleGAN2Generator
from sfhub.portraits import ATTRIBUTE_VECTOR_NAMES, ATTRIBUTES, attribute_vector, render
from sfhub.portraits.latents import LATENT_DIM, attribute_code, attributes_from_latents
from sfhub.portraits.parser import PortraitParser


@pytest.fixture(scope="module")
def generator():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return StyleGAN2Generator(
            resolution=16, z_dim=LATENT_DIM, w_dim=256, num_mapping_layers=1, channels={"4": 8, "8": 8, "16": 8}
        ).eval()


def scored(pictures, attributes):
    """Scores by a judge that reads a "picture" as the attribute vector that it is."""
    return measure_shown(pictures, lambda image: SimpleNamespace(attributes=image), attributes, batch_size=64)


def test_scores_are_one_for_what_is_shown_and_zero_for_a_constant_guess():
    attributes = attributes_from_latents(draw_latents(300, 1))
    target = attribute_vector(attributes)
    guess = target.mean(dim=0).expand_as(target)
    scores = scored({"latent": lambda i: target[i], "render": lambda i: guess[i]}, attributes)
    assert all(score["latent"] == pytest.approx(1) for score in scores.values())
    kinds = {name: score["render"] for name, score in scores.items() if ATTRIBUTES[name].choices}
    assert kinds and all(abs(score) < 1e-4 for score in kinds.values())  # one kind right of K is chance
    assert abs(scores["yaw"]["render"]) < 1e-4


def test_what_generated_pictures_lack_is_named_and_what_the_judge_cannot_see_does_not_count(tmp_path):
    scores = {
        "yaw": {"latent": 0.9, "code": 0.95, "render": 1.0},
        "gaze_x": {"latent": 0.3, "code": 0.85, "render": 0.9},
        "blush": {"latent": 0.0, "code": 0.0, "render": 0.2},
    }
    assert summarise_shown(scores) == {"seen": 2, "shown": 1, "shown_from_code": 2, "short": ["gaze_x"]}
    text = save_shown(scores, tmp_path / "new", generator="g")
    assert (tmp_path / "new" / "attributes.md").read_text() == text
    assert "shown: 1 of 2" in text and "short: gaze_x" in text
    names = [line.split(" | ")[0].strip("| ") for line in text.splitlines() if line.startswith("|")][2:]
    assert names == ["gaze_x", "yaw", "blush"]
    found = json.loads((tmp_path / "new" / "attributes.json").read_text())
    assert found["generator"] == "g" and found["short"] == ["gaze_x"] and found["scores"]["yaw"] == scores["yaw"]


def test_renders_are_those_of_the_latents_and_the_code_is_w(generator):
    z = draw_latents(4, 2)
    pictures = pictures_of_latents(generator, z)
    index = torch.tensor([2, 0])
    attributes = {name: value[index] for name, value in attributes_from_latents(z).items()}
    assert torch.equal(pictures["render"](index), render(attributes, 16).image)
    with torch.no_grad():
        torch.testing.assert_close(pictures["latent"](index), generator(z[index]).clamp(-1, 1))
        w = torch.zeros(2, generator.num_ws, 256)
        w[:, :, : len(ATTRIBUTE_VECTOR_NAMES)] = attribute_code(attributes)[:, None]
        drawn = generator.synthesis(generator.styles(w)).clamp(-1, 1)
        torch.testing.assert_close(pictures["code"](index), drawn)
    assert not torch.allclose(pictures["code"](index), pictures["latent"](index))


def test_a_generator_without_room_for_codes_is_refused(tiny_generator):
    with pytest.raises(InputError, match="W of 32"):
        pictures_of_latents(tiny_generator, draw_latents(2, 0))


def test_the_comparison_shows_sixteen_latents_and_every_rare_kind(generator, tmp_path):
    z = draw_latents(40, 3)
    attributes, drawn = attributes_from_latents(z), []

    def grey(index):
        drawn.append(index)
        return torch.zeros(len(index), 3, 16, 16)

    path = save_comparison({"latent": grey, "render": grey}, attributes, tmp_path / "attributes.png")
    assert Image.open(path).size[0] > 1000
    assert len(drawn[0]) == 16 and drawn[0].equal(drawn[1])
    for name in ("hat", "beard", "glasses", "pattern", "earrings"):
        kinds = {int(value) for index in drawn[2:] for value in attributes[name][index]}
        assert kinds >= {int(value) for value in attributes[name]}


@pytest.mark.parametrize("kind", [PortraitJudge, PortraitParser])
def test_judges_and_parsers_open_from_their_folders_in_single_precision(kind, tmp_path):
    few = {"squeezed": 2} if kind is PortraitJudge else {"feature_dim": 8}
    network = kind(resolution=32, widths=(8, 8), **few).half()
    network.save_pretrained(tmp_path)
    opened = open_judge(tmp_path)
    assert type(opened) is kind and opened.dtype == torch.float32 and not opened.training
    assert opened(torch.zeros(2, 3, 40, 40)).attributes.shape == (2, len(ATTRIBUTE_VECTOR_NAMES))


def test_a_folder_without_a_judge_is_refused(tmp_path, generator):
    with pytest.raises(InputError, match="train_judge"):
        open_judge(tmp_path)
    generator.save_pretrained(tmp_path)
    with pytest.raises(InputError, match="train_judge"):
        open_judge(tmp_path)
