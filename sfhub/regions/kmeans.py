"""Spherical k-means: clusters of directions, the unsupervised step of *Editing in Style* (appendix A).

Points and centres live on the unit sphere and the sum of cosines between each point and its centre is maximised. Full
batches of plain matrix products: on the tens of thousands of activation vectors that a catalog needs this takes
seconds and runs on whatever device the activations are on. (scikit-learn's `KMeans` minimises Euclidean inertia with
centres inside the sphere, another objective, and only on the CPU.)
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from sfhub.errors import InputError

__all__ = ["SphericalClusters", "check_num_clusters", "nearest_center", "spherical_kmeans"]


class SphericalClusters(NamedTuple):
    """What `spherical_kmeans` found.

    Attributes:
        centers: `[K, C]`, unit length.
        labels: `[P]`, int64, the nearest centre of each point.
        objective: sum over the points of the cosine to their centre.
    """

    centers: Tensor
    labels: Tensor
    objective: float


def spherical_kmeans(
    points: Tensor,
    num_clusters: int,
    *,
    n_init: int = 8,
    max_iterations: int = 100,
    generator: torch.Generator | None = None,
) -> SphericalClusters:
    """Cluster the directions of `points`; the best of several random starts.

    Args:
        points: `[P, C]`, not necessarily of unit length.
        num_clusters: K.
        n_init: number of k-means++ starts.
        max_iterations: limit of each run, which otherwise ends when no label changes.
        generator: source of the random starts (a CPU generator).

    Raises:
        InputError: if there are fewer points than clusters.
    """
    check_num_clusters(num_clusters, points)
    points = normalize(points, dim=1)
    runs = (_run(points, _plus_plus(points, num_clusters, generator), max_iterations) for _ in range(n_init))
    return max(runs, key=lambda run: run.objective)


def check_num_clusters(num_clusters: int, points: Tensor) -> None:
    """Raise an InputError unless so many clusters can be made of the points `[P, C]`."""
    if not 1 <= num_clusters <= len(points):
        raise InputError(
            f"{num_clusters} clusters cannot be made of {len(points)} points; ask for at least 1 and at most one per "
            "point."
        )


def nearest_center(points: Tensor, centers: Tensor) -> Tensor:
    """Index `[P]` of the centre `[K, C]` with the largest cosine to each point `[P, C]` (any length)."""
    return (points @ centers.T).argmax(dim=1)


def _plus_plus(points: Tensor, num_clusters: int, generator: torch.Generator | None) -> Tensor:
    """k-means++ start (Arthur & Vassilvitskii 2007): each further centre drawn by its distance to those so far.

    For unit vectors the squared distance is `2 * (1 - cosine)`.
    """
    first = torch.randint(len(points), (1,), generator=generator).item()
    centers = [points[first]]
    distance = 1 - points @ centers[0]
    for _ in range(num_clusters - 1):
        # The tiny floor lets a start succeed when fewer distinct directions than clusters exist.
        total = distance.clamp(min=1e-12).double().cumsum(0)
        target = torch.rand((), generator=generator, dtype=torch.float64).to(total) * total[-1]
        centers.append(points[torch.searchsorted(total, target).clamp(max=len(points) - 1)])
        distance = torch.minimum(distance, 1 - points @ centers[-1])
    return torch.stack(centers)


def _run(points: Tensor, centers: Tensor, max_iterations: int) -> SphericalClusters:
    """Lloyd's iterations: assign to the nearest centre, move the centre to the mean direction."""
    labels = nearest_center(points, centers)
    for _ in range(max_iterations):
        sums = torch.zeros_like(centers).index_add_(0, labels, points)
        # A cluster that lost all its points keeps its centre.
        centers = torch.where(sums.norm(dim=1, keepdim=True) > 0, normalize(sums, dim=1), centers)
        updated = nearest_center(points, centers)
        if torch.equal(updated, labels):
            break
        labels = updated
    objective = (points * centers[labels]).sum(dtype=torch.float64).item()
    return SphericalClusters(centers, labels, objective)
