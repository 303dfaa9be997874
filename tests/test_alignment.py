"""The square around a face, against FFHQ's recipe, and the portraits that it frames."""

import numpy as np
import pytest
import torch

from sfhub.alignment import face_square
from sfhub.portraits import CLASSES, render, sample_attributes


def recipe(left, right, mouth):
    """The recipe as FFHQ's authors give it, in numpy and for one face; the corners in order."""
    eye_avg, eye_to_eye = (left + right) * 0.5, right - left
    eye_to_mouth = mouth - eye_avg
    x = eye_to_eye - np.flipud(eye_to_mouth) * [-1, 1]
    x /= np.hypot(*x)
    x *= max(np.hypot(*eye_to_eye) * 2.0, np.hypot(*eye_to_mouth) * 1.8)
    y = np.flipud(x) * [-1, 1]
    c = eye_avg + eye_to_mouth * 0.1
    return np.stack([c - x - y, c - x + y, c + x + y, c + x - y])


@pytest.mark.parametrize("seed", range(5))
def test_the_square_is_that_of_the_recipe(seed):
    random = np.random.default_rng(seed)
    points = np.array([[40.0, 50.0], [80.0, 52.0], [61.0, 95.0]]) + random.normal(0, 6, (3, 2))
    centre, edge = face_square(*torch.from_numpy(points))
    down = torch.stack([-edge[1], edge[0]])
    corners = torch.stack([centre - edge - down, centre - edge + down, centre + edge + down, centre + edge - down])
    assert np.allclose(corners.numpy(), recipe(*points))


def test_squares_of_a_batch_are_those_of_its_faces():
    points = torch.randn(3, 4, 2)
    together = face_square(*points)
    for index in range(4):
        alone = face_square(*points[:, index])
        assert torch.allclose(together[0][index], alone[0]) and torch.allclose(together[1][index], alone[1])


def _middle(mask: torch.Tensor, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Median over portraits of the middle of a class, x and y as shares of the picture."""
    inside = (mask == CLASSES.index(name)).float()
    axis = (torch.arange(mask.shape[-1]) + 0.5) / mask.shape[-1]
    total = inside.sum(dim=(1, 2)).clamp(min=1)
    return ((inside.sum(dim=1) * axis).sum(1) / total).median(), ((inside.sum(dim=2) * axis).sum(1) / total).median()


def test_portraits_are_framed_as_ffhq_frames_faces():
    bare = sample_attributes(300, seed=4) | {"hat": "none", "glasses": "none", "fringe": "none"}
    mask = render(bare, 128).mask
    x, y = _middle(mask, "eyes")
    assert x == pytest.approx(0.5, abs=0.01) and y == pytest.approx(0.47, abs=0.02)
    assert _middle(mask, "mouth")[1] == pytest.approx(0.73, abs=0.02)
    column = torch.arange(128)
    left, right = (_middle(mask.masked_fill(half, 0), "eyes")[0] for half in (column >= 64, column < 64))
    assert right - left == pytest.approx(0.25, abs=0.015)
