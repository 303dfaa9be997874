"""The portrait parser learns to see: masks and attributes on renders it was not shown."""

import pytest
import torch
from accelerate import Accelerator

from sfhub.portraits import ATTRIBUTE_VECTOR_NAMES, CLASSES
from sfhub.portraits.parser import PortraitParser
from sfhub.training.data import RenderedPortraits
from sfhub.training.parser import ParserTraining, attribute_loss, train_parser


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parser")
    dataset = RenderedPortraits(160, 32, cache_dir=folder)
    config = ParserTraining(resolution=32, steps=60, batch_size=16, held_out=32)
    return train_parser(config, dataset, folder / "out", accelerator=Accelerator(cpu=True)), dataset, folder / "out"


def test_a_minute_of_training_beats_the_commonest_class(trained):
    parser, dataset, _ = trained
    images = torch.tensor(dataset.images[-32:]).float() / 127.5 - 1
    masks = torch.tensor(dataset.masks[-32:])
    found = parser.segment(images)
    assert found.dtype == torch.uint8
    assert (found == masks).float().mean() > (masks == 0).float().mean() + 0.15


def test_the_saved_parser_is_the_trained_one_and_carries_its_figures(trained):
    parser, dataset, out = trained
    images = torch.tensor(dataset.images[:4]).float() / 127.5 - 1
    loaded = PortraitParser.from_pretrained(out).eval()
    for field in ("logits", "attributes", "features"):
        torch.testing.assert_close(getattr(loaded(images), field), getattr(parser(images), field), rtol=1e-4, atol=1e-4)
    assert (out / "metrics.json").is_file()


def test_any_image_size_gets_logits_of_its_own_size(trained):
    parser, *_ = trained
    output = parser(torch.zeros(2, 3, 48, 40))
    assert output.logits.shape == (2, len(CLASSES), 48, 40)
    assert output.attributes.shape == (2, len(ATTRIBUTE_VECTOR_NAMES))


def test_attributes_that_cannot_be_seen_do_not_count():
    size = len(ATTRIBUTE_VECTOR_NAMES)
    target, visible = torch.zeros(2, size), torch.ones(2, size)
    right, wrong = torch.zeros(2, size), torch.zeros(2, size)
    column = ATTRIBUTE_VECTOR_NAMES.index("hat_red")
    wrong[:, column] = 5.0
    visible[:, column] = 0.0
    assert attribute_loss(wrong, target, visible) == attribute_loss(right, target, visible)
    visible[0, column] = 1.0
    assert attribute_loss(wrong, target, visible) > attribute_loss(right, target, visible)
