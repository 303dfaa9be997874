"""Styles of portraits: deterministic, in range, drawn from the picture alone, and fair to every skin."""

import pytest
import torch

from sfhub.errors import InputError
from sfhub.portraits import CLASSES, render, sample_attributes
from sfhub.portraits.styles import STYLES, stylise


@pytest.fixture(scope="module")
def portraits():
    return render(sample_attributes(4, seed=0), resolution=64)


@pytest.mark.parametrize("style", STYLES)
def test_a_style_is_a_function_of_the_picture_alone(portraits, style):
    drawn = stylise(portraits.image, style)
    assert drawn.shape == portraits.image.shape and drawn.abs().max() <= 1
    torch.testing.assert_close(stylise(portraits.image[2:3], style), drawn[2:3])
    assert (drawn - portraits.image).abs().mean() > 0.05


def test_ink_draws_dark_lines_round_shapes_and_none_where_nothing_is():
    image = torch.full((1, 3, 64, 64), 0.6)
    image[:, :, 16:48, 16:48] = torch.tensor([0.2, -0.3, -0.2])[:, None, None]
    drawn = stylise(image, "ink").mean(dim=1)[0]
    edge, inside, outside = drawn[15:18, 20:44].amin(), drawn[28:36, 28:36].mean(), drawn[2:8, 2:8]
    assert edge < inside - 0.2 and edge < outside.mean() - 0.5
    assert outside.std() < 0.05


def test_ink_keeps_the_order_of_skin_tones():
    attributes = {"skin_tone": torch.tensor([0.05, 0.5, 0.95]), "hat": "none", "glasses": "none", "beard": "none"}
    portraits = render(attributes, resolution=64)
    skin = (portraits.mask == CLASSES.index("skin"))[:, None]
    drawn = stylise(portraits.image, "ink")
    light, middle, dark = (drawn * skin).sum(dim=(1, 2, 3)) / (3 * skin.sum(dim=(1, 2, 3)))
    assert light > middle + 0.15 and middle > dark + 0.15


def test_an_unknown_style_is_refused_in_one_sentence():
    with pytest.raises(InputError, match="choose one of ink"):
        stylise(torch.zeros(1, 3, 8, 8), "oil")
