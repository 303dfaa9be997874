"""The influence catalog: which region a style channel changes, measured by moving it.

M (`sfhub.regions.contribution`) looks at where a channel is active; what a style does to the picture also depends on
all that follows. Here each channel is moved by two standard deviations on a few images, and the influence on a region
is the mean squared CIELAB change inside it as a share of the sum of the means inside and outside. Means, not sums, so
that a mouth counts as much as a background: 0.5 is a change that is spread evenly.
"""

import torch
from torch import Tensor
from torch.nn.functional import one_hot
from tqdm.auto import tqdm

from sfhub.images.color import rgb_to_lab
from sfhub.models.style_space import StyleGenerator
from sfhub.regions.masks import MIN_SHARE

__all__ = ["pick_covering", "style_influence"]


def pick_covering(shares: Tensor, count: int) -> list[int]:
    """Choose images so that rare regions (hats, glasses) are among them as often as they can be.

    Each step takes the first image left that shows the region seen least so far.

    Args:
        shares: share of each picture that each region takes, `[N, R]`.
        count: how many images.

    Returns:
        Indices of the images, at most N.
    """
    shows = shares > MIN_SHARE
    left = list(range(len(shares)))
    chosen: list[int] = []
    while left and len(chosen) < count:
        available = shows[left].any(dim=0)
        seen = shows[chosen].sum(dim=0).float().masked_fill(~available, torch.inf)
        rarest = seen.argmin()
        pick = next((index for index in left if shows[index, rarest]), left[0])
        left.remove(pick)
        chosen.append(pick)
    return chosen


@torch.no_grad()
def style_influence(
    generator: StyleGenerator,
    s: Tensor,
    labels: Tensor,
    num_regions: int,
    *,
    mean: Tensor,
    std: Tensor,
    batch_size: int = 96,
    progress: bool = True,
) -> Tensor:
    """Influence of every style channel on every region.

    Args:
        generator: whose styles are moved.
        s: codes of the images to move them on, `[N, S]`.
        labels: regions of those images, int64 `[N, H, W]`.
        num_regions: R.
        mean, std: of each channel over random codes, `[S]`. A channel moves by two standard deviations towards its
            mean, so that it stays among the values that occur.
        batch_size: images in one synthesis.
        progress: show a bar.

    Returns:
        `[R, S]` float32 in [0, 1]; 0 for a region that none of the images shows and for a channel that changes nothing.
    """
    members = one_hot(labels.flatten(1), num_regions).to(s.dtype)
    present = (members.mean(dim=1) > MIN_SHARE).to(s.dtype)
    inside, outside = (part / part.sum(dim=1, keepdim=True).clamp(min=1) for part in (members, 1 - members))
    lab = rgb_to_lab(generator.synthesis(s))
    step = 2 * std * torch.where(s < mean, 1.0, -1.0)
    rows = []
    channels = torch.arange(s.shape[1], device=s.device).split(max(1, batch_size // len(s)))
    for chunk in tqdm(channels, desc="Influence of styles", disable=not progress):
        moved = s.expand(len(chunk), -1, -1).clone()
        moved[torch.arange(len(chunk)), :, chunk] += step[:, chunk].T
        image = generator.synthesis(moved.flatten(0, 1)).unflatten(0, moved.shape[:2])
        change = (rgb_to_lab(image) - lab).square().sum(dim=-3).flatten(-2)
        mean_inside, mean_outside = (
            torch.einsum("cnp,npr,nr->rc", change, weight, present) for weight in (inside, outside)
        )
        rows.append(mean_inside / (mean_inside + mean_outside).clamp(min=torch.finfo(s.dtype).tiny))
    return torch.cat(rows, dim=1).float()
