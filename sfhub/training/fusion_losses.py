"""The losses of StyleFusion (Kafri et al., ACM TOG 2022, section 4.3), on batches and with soft masks.

Norms are taken per sample, as root mean squares where the paper has sums, so that no weight depends on the resolution,
on the number of style channels or on the batch; then they are averaged. Masks are a node's two regions,
`[2, B, H, W]` in [0, 1]; codes are in units of their channel's standard deviation.
"""

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, cross_entropy

__all__ = [
    "channel_weights",
    "contrastive_loss",
    "fusion_loss",
    "localization_loss",
    "mask_loss",
    "region_features",
    "region_masks",
]

# A region smaller than this share of the picture is divided by it instead of by its own area: a hat that nobody wears
# leaves a few uncertain pixels, which must not outweigh everything else.
MIN_AREA = 0.002

# Under the roots, whose slope is infinite at 0.
TINY = 1e-8


def region_masks(probability: Tensor, members: Tensor) -> Tensor:
    """Masks of two regions.

    Args:
        probability: of the catalog's regions, `[B, R, H, W]`.
        members: which of them make up each of the two, `[2, R]` of 0 and 1.

    Returns:
        `[2, B, H, W]` in [0, 1].
    """
    members = members.to(probability)[:, None, :, None, None]
    return (probability * members).sum(dim=2)  # no matrix product, which autocast would round


def mask_loss(masks: Tensor, layout_masks: Tensor) -> Tensor:
    """How far the regions lie from where the layout has them, as a share of their area (equation 3).

    Args:
        masks, layout_masks: of the result and of the layout's image, `[2, B, H, W]`.
    """
    difference = (masks - layout_masks).abs().mean(dim=(-2, -1)).sum(dim=0)
    return (difference / layout_masks.mean(dim=(-2, -1)).sum(dim=0).clamp(min=MIN_AREA)).mean()


def localization_loss(image: Tensor, perturbed: Tensor, masks: Tensor) -> Tensor:
    """Change of each region when the other's code is perturbed, root mean square over its pixels (equation 5).

    Args:
        image: the result, `[B, 3, H, W]`.
        perturbed: the result with the first, and with the second code perturbed, `[2, B, 3, H, W]`.
        masks: of the result, `[2, B, H, W]`. No gradient goes into them: a region that shrinks is no better.
    """
    change = (perturbed - image).square().mean(dim=2)
    others = masks.detach().flip(0)  # the second region must not heed the first code
    area = others.mean(dim=(-2, -1)).clamp(min=MIN_AREA)
    return ((change * others).mean(dim=(-2, -1)) / area + TINY).sqrt().sum(dim=0).mean()


def channel_weights(relevance: Tensor) -> Tensor:
    """How much each style channel is bound to each of two regions, `w = 2 max(M, 1/2) - 1` (equation 8).

    M is taken as a share within the two regions. For the two that make up the whole image, that is M itself; further
    down in the tree, where a region is a small part of the image, nothing would exceed one half otherwise.

    Args:
        relevance: of the channels for the two regions, `[2, S]`, 0 or more.

    Returns:
        `[2, S]` in [0, 1]; of a channel at most one is not 0.
    """
    share = relevance / relevance.sum(dim=0).clamp(min=torch.finfo(relevance.dtype).tiny)
    return 2 * share.clamp(min=0.5) - 1


def fusion_loss(code: Tensor, sources: Tensor, weights: Tensor) -> Tensor:
    """Distance of the result from each source in the channels bound to that source's region (equation 7).

    Args:
        code: the result, `[B, S]`, or one result for each source, `[2, B, S]`.
        sources: `[2, B, S]`.
        weights: see `channel_weights`, `[2, S]`.
    """
    power = weights.square()
    mean = ((code - sources).square() * power[:, None]).sum(dim=-1) / power.sum(dim=1, keepdim=True).clamp(min=TINY)
    return (mean + TINY).sqrt().sum(dim=0).mean()


def region_features(activation: Tensor, masks: Tensor) -> Tensor:
    """Mean activation `[2, B, C]` of two regions, from `[B, C, h, w]` and masks `[2, B, h, w]`."""
    area = masks.sum(dim=(-2, -1)).clamp(min=TINY)[..., None]
    return torch.einsum("bchw,nbhw->nbc", activation.to(masks), masks) / area


def contrastive_loss(result: Tensor, own: Tensor, others: Tensor, present: Tensor, temperature: float = 0.1) -> Tensor:
    """Is a region of the result more like that of its own source than like those of the other sources?

    Cross-entropy over cosines (InfoNCE, van den Oord et al. 2018). Not in the paper.

    Args:
        result, own: features of a region in the result and in its source, `[N, C]`.
        others: in the other sources, `[K, N, C]`.
        present: 1 where the result and all sources show the region, else 0, `[N]`.
        temperature: of the softmax.
    """
    similarity = torch.stack([cosine_similarity(result, feature, dim=1) for feature in (own, *others)], dim=1)
    target = torch.zeros(len(result), dtype=torch.int64, device=result.device)
    loss = cross_entropy(similarity / temperature, target, reduction="none")
    return (loss * present).sum() / present.sum().clamp(min=1)
