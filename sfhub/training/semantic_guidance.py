"""Guidance for SemanticStyleGAN: learning from pairs of attribute code and picture.

Ours, not the paper's. The renderer of portraits knows which attributes made a picture (`sfhub.portraits.latents`).
W is then the attribute code, and three things follow:

1. A picture generated from the code of a real one is compared with it: pixels by their class, masks (cross-entropy of
   the depths, which are logits by eq. 3, and of the refined mask), what a parser reads in it
   (`sfhub.training.pair_losses`) and, once the discriminator plays, its features (feature matching: Wang et al.,
   *pix2pixHD*, CVPR 2018, eq. 3).
2. Every local generator hears only what concerns it: its own layers the attributes of its region, the shared base
   layers pose, light and face. Exchanging the codes of one region then changes that region and no other.
3. What the mask says about the renders is exact, so depths take shape within the first thousands of images.

What results is an ordinary `SemanticStyleGANGenerator`; nothing of this is seen at inference.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from sfhub.errors import InputError
from sfhub.models.layers import leaky_relu
from sfhub.models.semantic_stylegan import SemanticStyleGANGenerator, SemanticStyleGANOutput
from sfhub.models.semantic_stylegan_discriminator import Branch, SemanticStyleGANDiscriminator
from sfhub.portraits.latents import ATTRIBUTE_GROUPS, CODE_GROUPS
from sfhub.training.losses import feature_distance
from sfhub.training.pair_losses import pixel_loss, pixel_weights

__all__ = ["CLASS_GROUPS", "CodeMasks", "guidance_loss", "judge", "matching_loss"]

BASE_GROUPS = ("layout", "face")

CLASS_GROUPS: dict[str, tuple[str, ...]] = {
    "background": ("layout", "background"),  # without base codes it has to hear of the light itself
    "skin": ("face",),
    "eyes": ("eyes",),
    "brows": ("eyes", "hair"),  # brows have the colour of the hair
    "mouth": ("mouth",),
    "nose": ("face",),
    "ears": ("face",),
    "hair": ("hair",),
    "neck": ("face",),
    "clothes": ("clothes",),
    "glasses": ("glasses",),
    "hat": ("hat",),
    "earrings": ("face",),
}
"""Groups of attributes (`ATTRIBUTE_GROUPS`) that the shape and texture codes of each class stand for."""

MASK_WEIGHT = 0.5
FEATURE_WEIGHT = 1.0
LOGIT_SCALE = 4.0  # refined masks are trained towards -1 and 1; four times that makes cross-entropy content


class CodeMasks:
    """Keeps the affine weights of every layer of every class zero outside the code columns it may hear.

    Building one also scales the first weights up, so that styles vary as much as they would with all columns.

    Args:
        G: a generator whose W is the attribute code.

    Raises:
        InputError: if the generator's classes are not those of portraits.
    """

    @torch.no_grad()
    def __init__(self, G: SemanticStyleGANGenerator):
        self._mask = columns_read(G)
        weight = G.local_generators.affine_weight
        weight.mul_(self._mask * 0.5 * (weight.shape[-1] / self._mask.sum(dim=-1, keepdim=True)).sqrt())

    @torch.no_grad()
    def apply(self, G: SemanticStyleGANGenerator) -> None:
        """Set to zero what an update has put where nothing may be."""
        weight = G.local_generators.affine_weight
        self._mask = self._mask.to(weight)
        weight.mul_(self._mask)


def columns_read(G: SemanticStyleGANGenerator) -> Tensor:
    """Columns of the code that each layer of each class reads: 0 or 1, `[local_layers, K, 1, w_dim]`."""
    names = G.config.class_names
    if names is None or any(name not in CLASS_GROUPS for name in names):
        raise InputError(f"Guidance knows the classes {', '.join(CLASS_GROUPS)}; train others without it.")
    group = torch.full((G.config.w_dim,), -1)
    group[: len(CODE_GROUPS)] = torch.tensor(CODE_GROUPS)
    columns = {name: group == index for index, name in enumerate(ATTRIBUTE_GROUPS)}
    mask = torch.zeros(G.config.local_layers, len(names), 1, G.config.w_dim)
    for k, name in enumerate(names):
        shared = G.config.base_layers if k else 0
        mask[:shared, k] = sum(columns[heard] for heard in BASE_GROUPS).float()
        mask[shared:, k] = sum(columns[heard] for heard in CLASS_GROUPS[name]).float()
    return mask


def judge(D: SemanticStyleGANDiscriminator, image: Tensor, mask: Tensor | None) -> tuple[Tensor, list[Tensor]]:
    """Logits `[B, 1]` as `D` gives them, and the output of every residual block of both branches."""
    x, features = _through(D.image_branch, image)
    if mask is not None:
        y, more = _through(D.mask_branch, mask)
        x, features = x + y, features + more
    return D.epilogue(x), features


def _through(branch: Branch, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    x = leaky_relu(branch.entry(x))
    features = []
    for block in branch.blocks.values():
        x = block(x)
        features.append(x)
    return x, features


def guidance_loss(
    fake: SemanticStyleGANOutput, image: Tensor, mask: Tensor, labels: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """How far generated pictures and masks are from the real ones of the same codes.

    Args:
        fake: what the generator made; its first P items are compared.
        image: `[P, 3, H, W]`, the real pictures.
        mask: `[P or more, K, h, w]`, their masks as the discriminator takes them.
        labels: `[P, H, W]`, int64, the same as class numbers.

    Returns:
        The loss, and its parts by name.
    """
    count = len(image)
    share = F.adaptive_avg_pool2d((mask[:count].float() + 1) / 2, fake.depths.shape[-2:])
    parts = {
        "pixel": pixel_loss(fake.image[:count], image, pixel_weights(labels)),
        "coarse": F.cross_entropy(fake.depths[:count].float(), share),
        "fine": F.cross_entropy(LOGIT_SCALE * fake.mask[:count].float(), labels),
    }
    return parts["pixel"] + MASK_WEIGHT * (parts["coarse"] + parts["fine"]), parts


def matching_loss(D: SemanticStyleGANDiscriminator, features: list[Tensor], image: Tensor, mask: Tensor) -> Tensor:
    """Distance between the discriminator's features of generated pictures, as `judge` gives them, and of real ones.

    Args:
        D: discriminator, without gradients of its own.
        features: of generated pictures, the first P of which are compared.
        image, mask: `[P, ...]`, the real ones.
    """
    with torch.no_grad():
        _, real_features = judge(D, image, mask)
    return FEATURE_WEIGHT * feature_distance([feature[: len(image)] for feature in features], real_features)
