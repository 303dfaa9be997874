"""What the losses of pairs count, and what they leave alone."""

import pytest
import torch

from sfhub.portraits import ATTRIBUTES, CLASSES, attribute_vector, attribute_visibility, sample_attributes
from sfhub.portraits.attributes import attribute_columns
from sfhub.portraits.parser import ParserOutput
from sfhub.training.pair_losses import AttributeLoss, pixel_loss, pixel_weights


def test_an_error_in_the_eyes_counts_more_than_one_in_the_background():
    mask = torch.zeros(1, 16, 16, dtype=torch.uint8)
    mask[:, 4:8, 4:8] = CLASSES.index("eyes")
    real = torch.zeros(1, 3, 16, 16)
    weight = pixel_weights(mask)
    assert weight.mean() == pytest.approx(1)
    eyes, wall = real.clone(), real.clone()
    eyes[:, :, 4:8, 4:8] = 0.5
    wall[:, :, 12:16, 12:16] = 0.5
    assert pixel_loss(eyes, real, weight) > 10 * pixel_loss(wall, real, weight)
    assert pixel_loss(real, real, weight) == 0


def test_noise_that_averages_out_costs_less_than_a_shift_of_colour():
    real = torch.zeros(1, 3, 16, 16)
    weight = torch.ones(1, 1, 16, 16)
    checker = (torch.arange(16)[:, None] + torch.arange(16)) % 2 * 2.0 - 1
    noise, shift = (0.1 * checker).expand(1, 3, 16, 16), torch.full((1, 3, 16, 16), 0.1)
    assert pixel_loss(shift, real, weight) > 3 * pixel_loss(noise, real, weight)


class _Reader:
    """Reads the attributes that were painted into the first row of a picture, but is blind to some columns."""

    def __init__(self, blind: slice):
        self._blind = blind

    def __call__(self, image: torch.Tensor) -> ParserOutput:
        seen = image[:, 0, 0].clone()
        seen[:, self._blind] = 0
        return ParserOutput(seen[:, :1], seen, seen)


def test_what_the_parser_cannot_see_teaches_nothing():
    drawn = sample_attributes(200, seed=0)
    target, visible = attribute_vector(drawn), attribute_visibility(drawn)
    images = target[:, None, None].expand(-1, 3, 2, -1)
    smile = attribute_columns()["smile"]
    loss = AttributeLoss(_Reader(smile), images, target, visible)
    wrong_smile, wrong_yaw = target.clone(), target.clone()
    wrong_smile[:, smile] *= -1
    wrong_yaw[:, attribute_columns()["yaw"]] *= -1
    right = loss(target, target, visible)
    assert loss(wrong_smile, target, visible) == pytest.approx(right.item())
    assert loss(wrong_yaw, target, visible) > right + 0.01


def test_what_the_picture_cannot_show_does_not_count():
    drawn = sample_attributes(200, seed=0) | {"hat": torch.zeros(200)}
    target, visible = attribute_vector(drawn), attribute_visibility(drawn)
    loss = AttributeLoss(_Reader(slice(0, 0)), target[:, None, None].expand(-1, 3, 2, -1), target, visible)
    other = target.clone()
    other[:, attribute_columns()["hat_red"]] += 1
    assert loss(other, target, visible) == pytest.approx(loss(target, target, visible).item())


def test_a_wrong_kind_costs():
    drawn = sample_attributes(200, seed=0)
    target, visible = attribute_vector(drawn), attribute_visibility(drawn)
    loss = AttributeLoss(_Reader(slice(0, 0)), 8 * target[:, None, None].expand(-1, 3, 2, -1), target, visible)
    for name, item in ATTRIBUTES.items():
        if item.choices:
            wrong = 8 * target
            wrong[:, attribute_columns()[name]] = wrong[:, attribute_columns()[name]].roll(1, dims=1)
            assert loss(wrong, target, visible) > loss(8 * target, target, visible) + 0.02, name
