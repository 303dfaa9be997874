"""Fréchet distance between two sets of images in the feature space of any network (Heusel et al., NeurIPS 2017).

For photographs the customary features are Inception's, for portraits the parser's. The statistics of a set are its mean
and covariance; the distance is |mu1 - mu2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)).
"""

from collections.abc import Callable, Iterable

import numpy as np
import torch
from scipy import linalg
from torch import Tensor

__all__ = ["FeatureStatistics", "feature_statistics", "frechet_distance"]

FeatureStatistics = tuple[np.ndarray, np.ndarray]
"""Mean `[F]` and covariance `[F, F]`."""


@torch.no_grad()
def feature_statistics(batches: Iterable[Tensor], features: Callable[[Tensor], Tensor]) -> FeatureStatistics:
    """Mean and covariance of `features(images)` `[B, F]` over batches of images `[B, 3, H, W]`."""
    rows = torch.cat([features(images).double().cpu() for images in batches]).numpy()
    return rows.mean(axis=0), np.cov(rows, rowvar=False)


def frechet_distance(first: FeatureStatistics, second: FeatureStatistics) -> float:
    """Squared Fréchet distance between two Gaussians; 0 for equal statistics, symmetric."""
    (mean1, cov1), (mean2, cov2) = first, second
    # The eigenvalues of C1 C2 are real and non-negative; their roots sum to the trace of its square root.
    eigenvalues = linalg.eigvals(cov1 @ cov2)
    trace = np.sqrt(np.clip(eigenvalues.real, 0, None)).sum()
    return float(np.square(mean1 - mean2).sum() + np.trace(cov1) + np.trace(cov2) - 2 * trace)
