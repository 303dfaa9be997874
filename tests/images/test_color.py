"""Colour differences: against scikit-image, and the published variant against its recorded outputs."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skimage.color import rgb2lab

from sfhub.images.color import color_difference, published_lab, published_squared_error, rgb_to_lab


@pytest.fixture(scope="module")
def expected(fixtures_dir):
    return {
        key: torch.from_numpy(value)
        for key, value in np.load(fixtures_dir / "editing_in_style" / "expected.npz").items()
    }


def relative_error(got, wanted):
    return ((got - wanted).abs().max() / wanted.abs().max()).item()


def test_lab_equals_scikit_image():
    image = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    image[0, :, 0, :4] = torch.tensor([[-1, 1, 0, -0.99]])
    wanted = rgb2lab(((image + 1) / 2).double().numpy(), channel_axis=1)
    assert np.abs(rgb_to_lab(image).numpy() - wanted).max() < 1e-3


def test_white_and_grey_have_no_hue_and_black_no_lightness():
    lab = rgb_to_lab(torch.tensor([-1.0, 0.0, 1.0]).view(3, 1, 1, 1).expand(3, 3, 1, 1)).flatten(1)
    assert lab[:, 1:].abs().max() < 0.02
    assert lab[0, 0].abs() < 1e-4 and (lab[2, 0] - 100).abs() < 1e-3


@given(st.integers(0, 2**32), st.floats(1, 5))
def test_difference_is_a_distance_that_ignores_what_a_saved_image_would_clip(seed, excess):
    a, b = (torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(seed)) * 2 - 1).split(1)
    assert torch.equal(color_difference(a, a), torch.zeros(1, 4, 4))
    assert torch.equal(color_difference(a, b), color_difference(b, a))
    assert torch.equal(rgb_to_lab(a * excess), rgb_to_lab((a * excess).clamp(-1, 1)))


def test_difference_has_finite_gradients_for_black_and_white():
    image = torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1).repeat(1, 3, 2, 2).requires_grad_()
    rgb_to_lab(image).sum().backward()
    assert image.grad.isfinite().all()


def test_published_lab_is_reproduced(expected):
    assert relative_error(published_lab(expected["image1"]), expected["lab1"]) < 1e-5
    shifted = published_lab(expected["image1"]) * torch.tensor([2.55, 1, 1])[:, None, None]
    shifted[:, 1:] += 128
    assert relative_error(shifted, expected["lab1_shift"]) < 1e-5


def test_published_squared_error_is_reproduced(expected):
    got = published_squared_error(expected["image1"], expected["image2"])
    assert relative_error(got, expected["lab_error"]) < 1e-5
    assert relative_error(got * 255**2, expected["lab_error_raw"]) < 1e-5


def test_the_fixture_was_read_whole(expected, fixtures_dir):
    manifest = json.loads((fixtures_dir / "editing_in_style" / "manifest.json").read_text())
    assert set(expected) == set(manifest["arrays"])
