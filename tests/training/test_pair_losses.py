"""What the losses of pairs count, and what they leave alone."""

import pytest
import torch

from sfhub.portraits import CLASSES
from sfhub.training.pair_losses import pixel_loss, pixel_weights


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
