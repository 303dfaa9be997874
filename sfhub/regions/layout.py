"""Which style channels carry the layout: pose, place of the head and light, but nobody's looks.

Ours, not StyleFusion's, whose align blender has to find them by the masks alone (equation 3): there the shape of the
hair pulls as strongly as the pose of the head. A parser that sees attributes tells the two apart. The layout query is
the mixture of channels by which a portrait takes over the layout attributes of another one and keeps all of its own.
"""

import torch
from torch import Tensor
from tqdm.auto import tqdm

from sfhub.editing.transfer import interpolate_styles
from sfhub.errors import InputError
from sfhub.models.stylegan2 import StyleGAN2Generator
from sfhub.portraits.attributes import ATTRIBUTE_VECTOR_NAMES
from sfhub.portraits.latents import ATTRIBUTE_GROUPS
from sfhub.portraits.parser import PortraitParser
from sfhub.regions.sampling import sample_styles

__all__ = ["layout_query"]

# Weight of keeping what is no layout; above 1, since many channels each disturb looks a little.
KEEP = 2.0
# Weight of the mean of the query, so that channels without effect stay out.
SPARSITY = 1.0


def layout_query(
    generator: StyleGAN2Generator,
    parser: PortraitParser | None,
    *,
    steps: int = 150,
    batch_size: int = 8,
    pool: int = 200,
    learning_rate: float = 0.2,
    seed: int = 3,
    truncation_psi: float = 0.7,
    progress: bool = True,
) -> Tensor:
    """Find the layout query by gradient.

    Args:
        generator: of portraits.
        parser: of portraits.
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
        InputError: if the parser does not see the attributes of portraits.
    """
    if not isinstance(parser, PortraitParser) or tuple(parser.config.attribute_names) != ATTRIBUTE_VECTOR_NAMES:
        raise InputError("Which channels carry the layout is told by attributes, which only the portrait parser sees.")
    is_layout = torch.tensor([name.startswith(ATTRIBUTE_GROUPS["layout"]) for name in ATTRIBUTE_VECTOR_NAMES])
    codes = sample_styles(generator, pool, seed, truncation_psi)
    with torch.no_grad():
        seen = torch.cat([parser(generator.synthesis(part)).attributes for part in codes.split(50)])
    spread = seen.var(dim=0).clamp(min=1e-4)
    is_layout = is_layout.to(seen.device)
    source = torch.Generator().manual_seed(seed)
    logits = torch.full_like(codes[0], -0.5).requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in tqdm(range(steps), desc="Layout", disable=not progress):
        base = torch.randint(pool, (batch_size,), generator=source)
        other = (base + torch.randint(1, pool, (batch_size,), generator=source)) % pool
        mixed = interpolate_styles(codes[base], codes[other], logits.sigmoid())
        found = parser(generator.synthesis(mixed)).attributes
        wanted = torch.where(is_layout, seen[other], seen[base])
        error = ((found - wanted).square() / spread).mean(dim=0)
        loss = error[is_layout].mean() + KEEP * error[~is_layout].mean() + SPARSITY * logits.sigmoid().mean()
        (logits.grad,) = torch.autograd.grad(loss, [logits])
        optimizer.step()
        schedule.step()
    return (logits.detach() > 0).to(codes.dtype)
