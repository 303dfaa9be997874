"""What a step makes: the style code of a picture."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sfhub.editing.spaces import Latent

__all__ = ["Code"]


@dataclass(frozen=True, eq=False)
class Code:
    """The style code of one picture, or of the pictures of a grid.

    Attributes:
        s: flat style code `[1, S]`, of a grid `[N, S]`; of a SemanticStyleGAN its W+, then what was composed.
        w_plus: the W+ code `[1, num_ws, w_dim]` that `s` was made from or started from, where there is one. A direction
            in W is a displacement in S, so it can be applied to mixes as well; they keep that of their base.
        latent: where it began in Z, likewise.
    """

    s: Tensor
    w_plus: Tensor | None = None
    latent: Latent | None = None

    def with_s(self, s: Tensor) -> "Code":
        """Another style code that started from this one."""
        return replace(self, s=s)

    def with_latent(self, latent: Latent | None) -> "Code":
        """The same code, which is said to have begun elsewhere."""
        return replace(self, latent=latent)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> "Code":
        """The same on a device, in a precision."""
        return Code(*(None if each is None else each.to(device, dtype) for each in (self.s, self.w_plus, self.latent)))
