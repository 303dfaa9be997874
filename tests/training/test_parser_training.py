"""Parser and judge learn to see: masks and attributes on renders they were not shown."""

import json

import pytest
import torch
from accelerate import Accelerator

from sfhub.metrics.judge import PortraitJudge
from sfhub.portraits import ATTRIBUTE_VECTOR_NAMES, CLASSES, attribute_vector, attribute_visibility, render
from sfhub.portraits.attributes import ATTRIBUTES, attribute_columns, flip_attributes
from sfhub.portraits.parser import PortraitParser
from sfhub.training import parser as training
from sfhub.training.data import RenderedPortraits, mirror_signs
from sfhub.training.parser import ParserTraining, attribute_loss, class_weights, column_weights, mirror, train_parser


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


def test_a_training_that_is_killed_leaves_a_network(dataset, tmp_path, monkeypatch):
    calls = []

    def loss(*arguments):
        calls.append(None)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return attribute_loss(*arguments)

    monkeypatch.setattr(training, "attribute_loss", loss)
    config = ParserTraining(steps=50, batch_size=4, held_out=32, save_every=0)
    network = PortraitParser(resolution=32, widths=(8, 8), feature_dim=8)
    with pytest.raises(KeyboardInterrupt):
        train_parser(config, dataset, tmp_path, network=network, accelerator=Accelerator(cpu=True))
    assert PortraitParser.from_pretrained(tmp_path).config.feature_dim == 8
    assert json.loads((tmp_path / "metrics.json").read_text())["step"] == 2


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


def test_attributes_that_cannot_be_seen_do_not_count():
    size = len(ATTRIBUTE_VECTOR_NAMES)
    target, visible, even = torch.zeros(2, size), torch.ones(2, size), torch.ones(size)
    right, wrong = torch.zeros(2, size), torch.zeros(2, size)
    column = ATTRIBUTE_VECTOR_NAMES.index("hat_red")
    wrong[:, column] = 5.0
    visible[:, column] = 0.0
    assert attribute_loss(wrong, target, visible, even) == attribute_loss(right, target, visible, even)
    visible[0, column] = 1.0
    assert attribute_loss(wrong, target, visible, even) > attribute_loss(right, target, visible, even)


def test_knowing_only_the_mean_costs_one_whatever_the_attribute(dataset):
    target, visible = attribute_vector(dataset.attributes), attribute_visibility(dataset.attributes)
    weights, columns = column_weights(target, visible), attribute_columns()
    guess = torch.zeros_like(target)
    for name, item in ATTRIBUTES.items():
        if not item.choices:
            column = columns[name].start
            guess[:, column] = target[visible[:, column] > 0, column].mean()
    assert attribute_loss(guess, target, visible, weights).item() == pytest.approx(1, abs=0.1)


def test_a_rare_kind_counts_as_much_as_a_common_one(dataset):
    target, visible = attribute_vector(dataset.attributes), attribute_visibility(dataset.attributes)
    weights, hat = column_weights(target, visible), attribute_columns()["hat"]
    totals = weights[hat] * target[:, hat].sum(dim=0)
    torch.testing.assert_close(totals, totals[:1].expand_as(totals), rtol=0.02, atol=0)


def test_small_classes_weigh_more_than_large_ones(dataset):
    weights = dict(zip(CLASSES, class_weights(torch.tensor(dataset.masks)).tolist(), strict=True))
    assert weights["brows"] > weights["hair"] > 0
