"""Names for clusters: which semantic region each cluster of activations belongs to.

*Editing in Style* (appendix A) has a person look at the clusters, name them and merge those of one part. Here the masks
of a parser take that place: every cluster gets the region for which the merged clusters agree best with the masks.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from sfhub.errors import InputError, short

__all__ = [
    "CLASS_GROUPS",
    "FACE_REGIONS",
    "PORTRAIT_REGIONS",
    "class_to_region",
    "name_clusters",
    "region_overlap",
    "regions_for",
]

CLASS_GROUPS: dict[str, tuple[str, ...]] = {
    "background": ("background",),
    "hair": ("hair",),
    "face": ("skin", "nose", "ears", "neck"),
    "eyes": ("eyes", "brows"),
    "mouth": ("mouth",),
    "clothes": ("clothes",),
    "glasses": ("glasses",),
    "hat": ("hat",),
}
"""The regions people mix in portraits, and which of the parser's classes make up each; earrings are in none."""

PORTRAIT_REGIONS = CLASS_GROUPS | {"face": (*CLASS_GROUPS["face"], "earrings")}
"""The same for catalogs. Earrings are too small for clusters of their own, so a catalog has them in the face, where a
SemanticStyleGAN, which has codes for them, lets them have another source."""

FACE_REGIONS: dict[str, tuple[str, ...]] = {
    "background": ("background",),
    "hair": ("hair",),
    "face": ("skin", "nose", "l_ear", "r_ear", "ear_r", "neck", "neck_l"),
    "eyes": ("l_eye", "r_eye", "l_brow", "r_brow"),
    "mouth": ("mouth", "u_lip", "l_lip"),
    "clothes": ("cloth",),
    "glasses": ("eye_g",),
    "hat": ("hat",),
}
"""The same regions out of the nineteen classes of CelebAMask-HQ (Lee et al., CVPR 2020), as parsers of faces have
them."""


def regions_for(classes: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """The regions that a parser's classes make up: those of portraits or faces, else one for every class."""
    for regions in (PORTRAIT_REGIONS, FACE_REGIONS):
        if set(classes) == {name for names in regions.values() for name in names}:
            return regions
    return {name: (name,) for name in classes}


def class_to_region(classes: Sequence[str], regions: Mapping[str, Sequence[str]]) -> list[int]:
    """For every class of a parser the index of its region in `regions`.

    Raises:
        InputError: if a class belongs to no region.
    """
    owner = {name: index for index, names in enumerate(regions.values()) for name in names}
    missing = [name for name in classes if name not in owner]
    if missing:
        raise InputError(f"The class {short(missing[0])} belongs to no region; add it to one of {', '.join(regions)}.")
    return [owner[name] for name in classes]


def region_overlap(clusters: Tensor, regions: Tensor, num_clusters: int, num_regions: int) -> Tensor:
    """Number of positions `[K, R]`, float64, that lie in both, from two integer label maps of one shape."""
    pairs = clusters.flatten().long() * num_regions + regions.flatten().long()
    return torch.bincount(pairs, minlength=num_clusters * num_regions).view(num_clusters, num_regions).double()


def mean_iou(overlap: Tensor, names: Tensor) -> float:
    """Intersection over union of merged clusters and regions, averaged over the regions that occur.

    Args:
        overlap: `[K, R]`, see `region_overlap`.
        names: region of each cluster, int64 `[K]`.
    """
    member = one_hot(names, overlap.shape[1]).to(overlap)
    shared = (member * overlap).sum(dim=0)
    area = overlap.sum(dim=0)
    union = area + member.T @ overlap.sum(dim=1) - shared
    return (shared / union.clamp(min=1))[area > 0].mean().item()


def name_clusters(overlap: Tensor) -> tuple[Tensor, float]:
    """Give every cluster the region for which merged clusters and masks agree best.

    Agreement is the mean intersection over union, in which a small region (a mouth) weighs as much as a large one, so
    that the cluster around it is named after it although most of the cluster's positions may be skin. Starts from the
    largest overlap and changes one name at a time while that helps.

    Args:
        overlap: positions shared by each cluster and region, `[K, R]`.

    Returns:
        Region of each cluster, int64 `[K]`, and the mean intersection over union reached.
    """
    names = overlap.argmax(dim=1)
    best = mean_iou(overlap, names)
    improved = True
    while improved:
        improved = False
        for cluster in range(overlap.shape[0]):
            for region in range(overlap.shape[1]):
                trial = names.clone()
                trial[cluster] = region
                score = mean_iou(overlap, trial)
                if score > best:
                    names, best, improved = trial, score, True
    return names, best
