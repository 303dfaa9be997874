"""Which style channels carry which attributes of a portrait: the layout's, or those of one region.

Ours, not StyleFusion's, whose align blender has to find pose by the masks alone (equation 3), where the shape of the
hair pulls as strongly as the turn of the head. A parser that sees attributes tells the two apart. An attribute query is
the mixture of channels by which a portrait takes over one group of attributes of another one and keeps all others.
"""

import torch
from torch import Tensor

from sfhub.editing.transfer import interpolate_styles
from sfhub.errors import InputError, short
from sfhub.models.style_space import StyleGenerator
from sfhub.portraits.attributes import ATTRIBUTE_VECTOR_NAMES
from sfhub.portraits.latents import ATTRIBUTE_GROUPS
from sfhub.portraits.parser import PortraitParser
from sfhub.regions.query_search import minimise
from sfhub.regions.sampling import sample_styles

__all__ = ["LAYOUT", "attribute_query"]

LAYOUT = "layout"
"""The group of attributes that belongs to no region: pose, place of the head and light."""

# Weight of keeping what is not to change; above 1, since many channels each disturb looks a little.
KEEP = 2.0
# Weight of the mean of the query, so that channels without effect stay out.
SPARSITY = 1.0


def attribute_query(
    generator: StyleGenerator,
    parser: PortraitParser | None,
    group: str,
    *,
    steps: int = 150,
    batch_size: int = 8,
    pool: int = 200,
    learning_rate: float = 0.2,
    seed: int = 3,
    truncation_psi: float = 0.7,
    progress: bool = True,
) -> Tensor:
    """Find the query of a group of attributes by gradient.

    Args:
        generator: of portraits.
        parser: of portraits.
        group: `LAYOUT`, or a region, of `sfhub.portraits.latents.ATTRIBUTE_GROUPS`.
        steps: of Adam.
        batch_size: pairs per step.
        pool: number of random images from which the pairs are drawn.
        learning_rate: of Adam, for the logits of the query; falls to 0 along a cosine.
        seed: of images and pairs.
        truncation_psi: of the images.
        progress: show a bar.

    Returns:
        `[S]` of zeros and ones.

    Raises:
        InputError: if there is no such group, or the parser does not see the attributes of portraits.
    """
    if not isinstance(parser, PortraitParser) or tuple(parser.config.attribute_names) != ATTRIBUTE_VECTOR_NAMES:
        raise InputError("Which channels carry what is told by attributes, which only the portrait parser sees.")
    if group not in ATTRIBUTE_GROUPS:
        raise InputError(f"No attributes belong to {short(group)}; groups of them are {', '.join(ATTRIBUTE_GROUPS)}.")
    own = torch.tensor([name.startswith(ATTRIBUTE_GROUPS[group]) for name in ATTRIBUTE_VECTOR_NAMES])
    codes = sample_styles(generator, pool, seed, truncation_psi)
    with torch.no_grad():
        seen = torch.cat([parser(generator.synthesis(part)).attributes for part in codes.split(50)])
    spread = seen.var(dim=0).clamp(min=1e-4)
    own = own.to(seen.device)
    source = torch.Generator().manual_seed(seed)

    def loss(logits: Tensor, done: float) -> Tensor:
        base = torch.randint(pool, (batch_size,), generator=source)
        other = (base + torch.randint(1, pool, (batch_size,), generator=source)) % pool
        mixed = interpolate_styles(codes[base], codes[other], logits.sigmoid())
        found = parser(generator.synthesis(mixed)).attributes
        wanted = torch.where(own, seen[other], seen[base])
        error = ((found - wanted).square() / spread).mean(dim=0)
        return error[own].mean() + KEEP * error[~own].mean() + SPARSITY * logits.sigmoid().mean()

    start = torch.full_like(codes[0], -0.5)
    options = {"steps": steps, "learning_rate": learning_rate, "progress": progress}
    return (minimise(start, loss, title=f"Attributes of {group}", **options) > 0).to(codes.dtype)
