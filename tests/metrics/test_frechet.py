"""Fréchet distance: zero for the same set, symmetric, and the closed form for Gaussians that commute."""

import numpy as np
import pytest
import torch

from sfhub.metrics.frechet import feature_statistics, frechet_distance


def test_distance_of_diagonal_gaussians_has_its_closed_form():
    first = (np.array([0.0, 1.0]), np.diag([1.0, 4.0]))
    second = (np.array([3.0, 1.0]), np.diag([9.0, 1.0]))
    assert frechet_distance(first, second) == pytest.approx(9 + (1 - 3) ** 2 + (2 - 1) ** 2)
    assert frechet_distance(second, first) == pytest.approx(frechet_distance(first, second))
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-9)


def test_statistics_do_not_depend_on_the_batches():
    images = torch.randn(40, 3, 4, 4)
    features = lambda x: x.mean(dim=(2, 3))  # noqa: E731
    (mean1, cov1), (mean2, cov2) = (feature_statistics(images.split(size), features) for size in (40, 7))
    np.testing.assert_allclose(mean1, mean2)
    np.testing.assert_allclose(cov1, cov2)
