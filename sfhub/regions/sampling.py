"""Random style codes on which generators are measured."""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from sfhub.models.style_space import StyleGenerator

__all__ = ["sample_styles"]


@torch.no_grad()
def sample_styles(generator: StyleGenerator, count: int, seed: int, truncation_psi: float = 0.7) -> Tensor:
    """Style codes `[count, S]` of random latents (and random classes), on the generator's device.

    Args:
        generator: whose mapping network and affine layers are used.
        count: how many.
        seed: the same seed gives the same codes on every device.
        truncation_psi: see `StyleGenerator.mapping`.
    """
    source = torch.Generator().manual_seed(seed)
    z = torch.randn(count, generator.config.z_dim, generator=source).to(generator.device, generator.dtype)
    label = None
    if generator.config.num_classes:
        classes = torch.randint(generator.config.num_classes, (count,), generator=source)
        label = one_hot(classes, generator.config.num_classes).to(z)
    return generator.styles(generator.mapping(z, label, truncation_psi=truncation_psi))
