"""Losses and regularisers against values known in closed form."""

import math

import pytest
import torch

from sfhub.training.losses import discriminator_loss, effective_area, generator_loss, path_lengths, r1_penalty


def test_losses_at_undecided_logits():
    zero = torch.zeros(4, 1)
    assert generator_loss(zero).item() == pytest.approx(math.log(2))
    assert discriminator_loss(zero, zero).item() == pytest.approx(2 * math.log(2))


def test_r1_of_a_linear_discriminator_is_its_squared_norm():
    weight = torch.randn(3, 8, 8)
    images = torch.randn(5, 3, 8, 8, requires_grad=True)
    penalty = r1_penalty((images * weight).sum(dim=(1, 2, 3))[:, None], images)
    assert penalty.item() == pytest.approx(weight.square().sum().item(), rel=1e-5)


def test_path_length_scales_with_the_generator():
    w_plus = torch.randn(2, 3, 4, requires_grad=True)
    basis = torch.randn(4, 3 * 8 * 8)
    lengths = []
    for gain in (1.0, 2.0):
        images = gain * (w_plus.sum(dim=1) @ basis).view(2, 3, 8, 8)
        lengths.append(path_lengths(images, w_plus, torch.Generator().manual_seed(0)))
    torch.testing.assert_close(lengths[1], 2 * lengths[0])


@pytest.mark.parametrize("share", [1.0, 0.5, 0.25])
def test_effective_area_is_the_share_of_pixels_that_change(share):
    before = torch.zeros(2, 3, 16, 16)
    after = before.clone()
    after[:, :, : int(16 * share)] = 0.5
    torch.testing.assert_close(effective_area(before, after), torch.full((2,), share), rtol=1e-3, atol=0)


def test_effective_area_of_no_change_is_zero_with_a_finite_gradient():
    before = torch.rand(1, 3, 8, 8)
    after = before.clone().requires_grad_(True)
    area = effective_area(before, after)
    area.sum().backward()
    assert area.item() == 0 and torch.isfinite(after.grad).all()
