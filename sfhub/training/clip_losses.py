"""What a small CLIP of portraits learns from: pairs that match, attributes, and an anchor for each statement.

Used by `sfhub.training.clip`, which says why.
"""

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sfhub.portraits import ATTRIBUTE_VECTOR_NAMES
from sfhub.portraits.statements import FALSE, STATEMENTS, TRUE, UNCLEAR

if TYPE_CHECKING:
    from sfhub.training.clip import ClipTraining

__all__ = ["Anchors", "Readers", "contrastive_loss", "matches"]


def contrastive_loss(seen: Tensor, meant: Tensor, true: Tensor, logit_scale: Tensor) -> Tensor:
    """Cross-entropy of pictures given texts and of texts given pictures; all that match share the target.

    Args:
        seen: unit image embeddings `[B, D]`.
        meant: unit text embeddings `[T, D]`.
        true: int8 `[T, B]`, which text is true of which picture (`matches`); unclear pairs do not count.
        logit_scale: logarithm of the scale of the cosines.
    """
    logits = logit_scale.exp() * meant @ seen.mT
    logits = logits.masked_fill(true == UNCLEAR, float("-inf"))
    target = (true == TRUE).float()
    losses = []
    for dim in (1, 0):
        counts = target.sum(dim=dim)
        shares = target / counts.clamp(min=1).unsqueeze(dim)
        error = -(shares * logits.log_softmax(dim=dim).masked_fill(target == 0, 0.0)).sum(dim=dim)
        # A text that is true of all pictures teaches nothing, and neither does a picture of which no text is true.
        others = (true == FALSE).any(dim=dim) & (counts > 0)
        losses.append(error[others].mean() if others.any() else error.sum() * 0)
    return (losses[0] + losses[1]) / 2


class Readers(nn.Module):
    """Read the attributes from the image embedding, and from the maps before it, place by place.

    The second teaches the convolutions what to look for long before the attention above them knows where to look.
    """

    def __init__(self, visual: nn.Module, config: "ClipTraining"):
        super().__init__()
        count, side = len(ATTRIBUTE_VECTOR_NAMES), config.image_size // 32
        self.embedded = nn.Linear(config.embed_dim, count)
        self.squeeze = nn.Conv2d(config.image_width * 32, 64, 1)
        self.squeeze_next = nn.Conv2d(config.image_width * 16, 24, 1)
        self.placed = nn.Sequential(nn.Linear((64 + 4 * 24) * side**2, 192), nn.SiLU(), nn.Linear(192, count))

    def forward(self, visual: nn.Module, image: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures `[B, 3, H, W]` -> embeddings `[B, D]` as `visual` gives them, and attributes `[2 B, A]`."""
        maps = visual.layer3(visual.layer2(visual.layer1(visual.stem(image))))
        deepest = visual.layer4(maps)
        embedded = visual.attnpool(deepest)
        placed = [F.silu(squeeze(x)).flatten(1) for squeeze, x in ((self.squeeze, deepest), (self.squeeze_next, maps))]
        return embedded, torch.cat([self.embedded(embedded), self.placed(torch.cat(placed, dim=1))])


class Anchors(nn.Module):
    """A unit vector for each statement, and one for texts that say nothing."""

    def __init__(self, width: int, known: Tensor):
        super().__init__()
        self.vectors = nn.Parameter(torch.randn(len(STATEMENTS) + 1, width) / width**0.5)
        self.scale = nn.Parameter(torch.tensor(2.3))
        shares = (known == TRUE).float().mean(dim=0)
        self.bias = nn.Parameter(torch.full((len(STATEMENTS),), -1.0))
        # True and false count alike, however rare a statement is (ten times at most).
        self.register_buffer("weight_true", 0.5 / shares.clamp(min=0.05))
        self.register_buffer("weight_false", 0.5 / (1 - shares).clamp(min=0.05))

    def pictures(self, seen: Tensor, known: Tensor) -> Tensor:
        """Binary cross-entropy of all statements that are clear, of unit image embeddings `[B, D]`."""
        logits = self.scale.exp() * seen @ F.normalize(self.vectors[:-1], dim=1).mT + self.bias
        weight = torch.where(known == TRUE, self.weight_true, self.weight_false) * (known != UNCLEAR)
        error = F.binary_cross_entropy_with_logits(logits, (known == TRUE).float(), weight, reduction="sum")
        return error / weight.sum()

    def texts(self, meant: Tensor, made: Tensor) -> Tensor:
        """One minus the cosine of unit text embeddings `[T, D]` with the sum of the anchors of what they say."""
        said = torch.cat([made, (made.sum(dim=1, keepdim=True) == 0).to(made)], dim=1)
        return 2 * (1 - (meant * F.normalize(said @ F.normalize(self.vectors, dim=1), dim=1)).sum(dim=1)).mean()


def matches(made: Tensor, known: Tensor) -> Tensor:
    """Which texts are true of which portraits.

    Args:
        made: `[T, len(STATEMENTS)]`, 1 where a text makes a statement, else 0.
        known: int8 `[B, len(STATEMENTS)]` as `truths` gives it.

    Returns:
        int8 `[T, B]`: FALSE if any statement is, else UNCLEAR if any is, else TRUE.
    """
    wrong, unclear = (made @ (known == value).float().mT > 0 for value in (FALSE, UNCLEAR))
    return torch.where(wrong, FALSE, torch.where(unclear, UNCLEAR, TRUE)).to(torch.int8)
