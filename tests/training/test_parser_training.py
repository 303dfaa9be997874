"""Parser and judge learn to see: masks and attributes on renders they were not shown."""

import json
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator

from sfhub.errors import InputError
from sfhub.metrics.judge import PortraitJudge
from sfhub.portraits import ATTRIBUTE_VECTOR_NAMES, CLASSES, attribute_vector, render
from sfhub.portraits.attributes import flip_attributes
from sfhub.portraits.parser import PortraitParser
from sfhub.training import parser as training
from sfhub.training.data import RenderedPortraits, mirror_signs
from sfhub.training.parser import ParserTraining, class_weights, mirror, train_parser


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return RenderedPortraits(192, 32, cache_dir=tmp_path_factory.mktemp("renders"))


@pytest.fixture(scope="module")
def trained(dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("parser")
    config = ParserTraining(steps=160, batch_size=16, held_out=32, log_every=40)
    network = PortraitParser(resolution=32, widths=(16, 24, 32), feature_dim=32)
    return train_parser(config, dataset, folder, network=network, accelerator=Accelerator(cpu=True)), folder


def images(dataset, part):
    return torch.tensor(dataset.images[part]).float() / 127.5 - 1


def test_a_short_training_beats_the_commonest_class(trained, dataset):
    parser, _ = trained
    masks = torch.tensor(dataset.masks[-32:])
    found = parser.segment(images(dataset, slice(-32, None)))
    assert found.dtype == torch.uint8
    assert (found == masks).float().mean() > (masks == 0).float().mean() + 0.15


def test_a_short_training_begins_to_see_skin(trained):
    _, out = trained
    assert json.loads((out / "metrics.json").read_text())["attributes"]["skin_tone"] > 0.1


def test_the_saved_parser_is_the_trained_one_and_carries_its_figures(trained, dataset):
    parser, out = trained
    loaded = PortraitParser.from_pretrained(out).eval()
    few = images(dataset, slice(4))
    for field in ("logits", "attributes", "features"):
        torch.testing.assert_close(getattr(loaded(few), field), getattr(parser(few), field), rtol=1e-4, atol=1e-4)
    assert set(json.loads((out / "metrics.json").read_text())["iou"]) == set(CLASSES)


def test_the_log_tells_how_far_the_training_is(trained):
    _, out = trained
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [40, 80, 120, 160]
    assert lines[-1]["mask"] < lines[0]["mask"] and lines[-1]["attributes"] < lines[0]["attributes"]


def test_any_image_size_gets_logits_of_its_own_size(trained):
    parser, _ = trained
    output = parser(torch.zeros(2, 3, 48, 40))
    assert output.logits.shape == (2, len(CLASSES), 48, 40)
    assert output.attributes.shape == (2, len(ATTRIBUTE_VECTOR_NAMES))
    assert output.features.shape == (2, parser.config.feature_dim)


def test_what_the_parser_sees_in_a_picture_does_not_depend_on_the_others(trained, dataset):
    parser, _ = trained
    few = images(dataset, slice(3))
    torch.testing.assert_close(parser(few).attributes[:1], parser(few[:1]).attributes, rtol=1e-4, atol=1e-4)


def test_the_default_networks_are_small():
    assert 2 * sum(weight.numel() for weight in PortraitParser().parameters()) < 3.1e6
    assert sum(weight.numel() for weight in PortraitJudge().parameters()) < 1.5e6


def test_a_network_without_masks_trains_by_the_same_loop(dataset, tmp_path):
    judge = PortraitJudge(resolution=32, widths=(16, 16), depths=(1, 1), squeezed=4, glances=2, hidden=16)
    config = ParserTraining(steps=30, batch_size=16, held_out=32, log_every=10)
    judge = train_parser(config, dataset, tmp_path, network=judge, accelerator=Accelerator(cpu=True))
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert "mask" not in log[0] and log[-1]["attributes"] < log[0]["attributes"]
    assert "iou" not in json.loads((tmp_path / "metrics.json").read_text())
    few = images(dataset, slice(4))
    loaded = PortraitJudge.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(loaded(few).attributes, judge(few).attributes, rtol=1e-4, atol=1e-4)


class Killed(Exception):
    pass


class Short(RenderedPortraits):
    """Serves so many batches and dies; `cache` is the folder of the renders of another data set."""

    def __init__(self, batches, cache):
        super().__init__(192, 32, cache_dir=cache)
        self.left, self.images = batches, Watched(self.images, self)


class Watched:
    """Pictures that count the batches of sixteen taken from them."""

    def __init__(self, images, owner):
        self.images, self.owner, self.shape = images, owner, images.shape

    def __getitem__(self, index):
        if len(index) == 16:
            self.owner.left -= 1
            if self.owner.left < 0:
                raise Killed
        return self.images[index]

    def __len__(self):
        return len(self.images)


NETWORKS = {
    "parser": lambda: PortraitParser(resolution=32, widths=(8, 8), feature_dim=8),
    "judge": lambda: PortraitJudge(resolution=32, widths=(8, 8), depths=(1, 1), squeezed=4, glances=2, hidden=16),
}


def short_training(name, dataset, out, **changes):
    config = ParserTraining(**{"steps": 9, "batch_size": 16, "held_out": 32, "save_every": 0, "log_every": 2} | changes)
    torch.manual_seed(5)
    return train_parser(config, dataset, out, network=NETWORKS[name](), accelerator=Accelerator(cpu=True))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_killed_training_leaves_a_network_and_goes_on_to_the_same_weights(dataset, tmp_path, name):
    whole = short_training(name, dataset, tmp_path / "whole")
    out, cache = tmp_path / "killed", Path(dataset.images.filename).parents[1]
    with pytest.raises(Killed):
        short_training(name, Short(5, cache), out)
    assert type(whole).from_pretrained(out).config.resolution == 32
    assert json.loads((out / "metrics.json").read_text())["step"] == 5
    resumed = short_training(name, dataset, out)
    for key, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key]), key
    figures = [json.loads((folder / "metrics.json").read_text()) for folder in (out, tmp_path / "whole")]
    assert figures[0] == figures[1] and figures[0]["step"] == 9
    assert [json.loads(line)["step"] for line in (out / "log.jsonl").read_text().splitlines()] == [2, 4, 6, 8, 9]


def test_a_training_of_other_settings_is_refused_in_one_sentence(dataset, tmp_path):
    short_training("parser", dataset, tmp_path, steps=2)
    short_training("parser", dataset, tmp_path, steps=2, log_every=1)
    with pytest.raises(InputError, match=r"another steps \(2 where 3"):
        short_training("parser", dataset, tmp_path, steps=3)


def test_mirrored_portraits_have_the_attributes_of_the_mirrored_picture(dataset):
    attributes = {name: values[:4] for name, values in dataset.attributes.items()}
    turned = torch.tensor([True, False, True, False])
    mirrored = {
        name: torch.where(turned, flipped, attributes[name]) for name, flipped in flip_attributes(attributes).items()
    }
    drawn, wanted = render(attributes, 32), render(mirrored, 32)
    torch.testing.assert_close(mirror(drawn.image, turned), wanted.image, rtol=0, atol=0.02)
    assert (mirror(drawn.mask, turned) == wanted.mask).float().mean() > 0.99
    signed = torch.where(turned[:, None], attribute_vector(attributes) * mirror_signs(), attribute_vector(attributes))
    torch.testing.assert_close(signed, attribute_vector(mirrored))


def test_batches_hold_out_the_last_portraits_and_mirror_half_of_the_others(dataset):
    config = ParserTraining(batch_size=16, held_out=176)
    image, mask, target, visible = next(training._batches(config, dataset, torch.device("cpu")))
    yaw = ATTRIBUTE_VECTOR_NAMES.index("yaw")
    known = attribute_vector({name: values[:16] for name, values in dataset.attributes.items()})
    torch.testing.assert_close(target[:, yaw].abs(), known[:, yaw].abs())
    turned = target[:, yaw] != known[:, yaw]
    assert 0 < turned.sum() < 16
    assert torch.equal(mask.to(torch.uint8), mirror(torch.tensor(dataset.masks[:16]), turned))
    assert image.shape == (16, 3, 32, 32) and visible.shape == target.shape


def test_small_classes_weigh_more_than_large_ones(dataset):
    weights = dict(zip(CLASSES, class_weights(torch.tensor(dataset.masks)).tolist(), strict=True))
    assert weights["brows"] > weights["hair"] > 0
