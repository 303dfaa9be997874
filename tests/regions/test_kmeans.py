"""Spherical k-means: reaches the published objective, is seeded, and finds what is plainly there."""

import json

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score
from torch.nn.functional import normalize

from sfhub.errors import InputError
from sfhub.regions.kmeans import spherical_kmeans


def blobs(count=60, seed=0):
    """Three tight bundles of directions whose lengths vary by a factor of a hundred."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(3).repeat_interleave(count)
    points = torch.eye(3, 8)[labels] + 0.1 * torch.randn(3 * count, 8, generator=generator)
    return points * (10 ** (2 * torch.rand(3 * count, 1, generator=generator))), labels


def test_reaches_the_objective_of_the_best_published_run(fixtures_dir):
    recorded = json.loads((fixtures_dir / "editing_in_style" / "manifest.json").read_text())["kmeans"]
    expected = np.load(fixtures_dir / "editing_in_style" / "expected.npz")
    points = torch.from_numpy(expected["kmeans_data"])
    found = spherical_kmeans(points, recorded["K"], generator=torch.Generator().manual_seed(0))
    assert found.objective >= recorded["best_sum_of_cosines"] * (1 - 1e-6)
    inertia = (normalize(points, dim=1) - found.centers[found.labels]).square().sum().item()
    assert inertia <= recorded["best_inertia"] * (1 + 1e-5)
    assert adjusted_rand_score(expected["kmeans_labels"], found.labels) > 0.98


def test_clusters_directions_whatever_their_lengths():
    points, labels = blobs()
    found = spherical_kmeans(points, 3, generator=torch.Generator().manual_seed(1))
    assert adjusted_rand_score(labels, found.labels) == 1
    assert torch.allclose(found.centers.norm(dim=1), torch.ones(3))


def test_the_same_seed_gives_the_same_clusters():
    points, _ = blobs()
    one, two = (spherical_kmeans(points, 5, generator=torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(one.centers, two.centers) and torch.equal(one.labels, two.labels)


def test_more_starts_are_never_worse():
    points = torch.randn(200, 6, generator=torch.Generator().manual_seed(3))
    one, many = (
        spherical_kmeans(points, 12, n_init=n, generator=torch.Generator().manual_seed(4)).objective for n in (1, 10)
    )
    assert many >= one


def test_fewer_directions_than_clusters_still_ends():
    found = spherical_kmeans(torch.eye(2).repeat(10, 1), 4, generator=torch.Generator().manual_seed(0))
    assert found.objective == pytest.approx(20)
    assert found.centers.isfinite().all()


@pytest.mark.parametrize("num_clusters", [0, 6])
def test_an_impossible_number_of_clusters_is_refused(num_clusters):
    with pytest.raises(InputError, match=f"{num_clusters} clusters"):
        spherical_kmeans(torch.randn(5, 3), num_clusters)
