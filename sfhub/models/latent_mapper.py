"""StyleCLIP's latent mappers: small networks that turn a style code into a displacement for one text.

*StyleCLIP: Text-Driven Manipulation of StyleGAN Imagery* (Patashnik et al., ICCV 2021), section 5, numerically equal to
the official repository (orpatashnik/StyleCLIP), whose weights enter through `sfhub.convert`:

    LatentMapper       W+; one network for each group of layers (coarse, medium, fine), or one for all
    StyleSpaceMapper   S; one network for each convolution, none for the toRGB layers

Training is in `sfhub.training.latent_mapper`.
"""

import itertools
from collections.abc import Mapping, Sequence

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from sfhub.errors import InputError, short
from sfhub.models.layers import EqualLinear, leaky_relu

__all__ = ["LEVELS", "MAPPER_STEP", "LatentMapper", "StyleSpaceMapper"]

LEVELS = {"coarse": (0, 4), "medium": (4, 8), "fine": (8, None)}
"""The paper's groups of layers, by first and last but excluded row of W+."""

MAPPER_STEP = 0.1
"""What the official code multiplies a displacement with at inference."""

LEARNING_RATE_MULTIPLIER = 0.01
DEPTH = 4

LAYERS, CHANNELS = "layers", "channels"


class _Rows(nn.Module):
    """Normalisation and equalised linear layers of one width, each followed by the leaky ReLU, the last one too."""

    def __init__(self, width: int, normalize: str):
        super().__init__()
        self.dim = 1 if normalize == LAYERS else -1
        self.layers = nn.ModuleList(
            EqualLinear(width, width, lr_multiplier=LEARNING_RATE_MULTIPLIER) for _ in range(DEPTH)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x * (x.square().mean(dim=self.dim, keepdim=True) + 1e-8).rsqrt()
        for layer in self.layers:
            x = leaky_relu(layer(x))
        return x


class LatentMapper(ModelMixin, ConfigMixin):
    """W+ `[B, L, D]` -> displacement `[B, L, D]`, zero in the rows of no group.

    Args:
        w_dim: width D.
        groups: name -> first and last but excluded row, None for all that follow. A group that is left out stays as it
            is: without the fine one an edit keeps the colours.
        normalize: what the input of a group is scaled over: "layers" as in the official code (every channel over the
            rows of its group), or "channels" (every row), which also tells apart codes whose rows are all alike.
        text: what the mapper was trained for.

    Raises:
        InputError: for an unknown normalisation, no group, or groups that overlap.
    """

    config_name = "config.json"

    @register_to_config
    def __init__(
        self,
        *,
        w_dim: int = 512,
        groups: Mapping[str, Sequence[int | None]] = LEVELS,
        normalize: str = LAYERS,
        text: str | None = None,
    ):
        super().__init__()
        if normalize not in (LAYERS, CHANNELS):
            raise InputError(f"A mapper cannot normalise over {short(normalize)}; choose {LAYERS} or {CHANNELS}.")
        ranges = sorted((first, float("inf") if stop is None else stop) for first, stop in groups.values())
        if not ranges or any(first >= stop for first, stop in ranges):
            raise InputError(f"A mapper needs groups with at least one row each, which {dict(groups)} are not.")
        if any(stop > first for (_, stop), (first, _) in itertools.pairwise(ranges)):
            raise InputError(f"The groups {dict(groups)} of a mapper overlap; give each row to one of them.")
        self.nets = nn.ModuleDict({name: _Rows(w_dim, normalize) for name in groups})

    def forward(self, w_plus: Tensor) -> Tensor:
        """The displacement `[B, L, D]` of codes `[B, L, D]`, before it is multiplied with a step.

        Raises:
            InputError: for codes of another width, or with too few rows for a group.
        """
        if w_plus.ndim != 3 or w_plus.shape[2] != self.config.w_dim:
            raise InputError(
                f"A W+ code of shape {list(w_plus.shape)} does not fit this mapper, which takes [batch, layers, "
                f"{self.config.w_dim}]; use the mapper of this generator."
            )
        moved = torch.zeros_like(w_plus)
        for name, (first, stop) in self.config.groups.items():
            if first >= w_plus.shape[1] or (stop or 0) > w_plus.shape[1]:
                raise InputError(
                    f"The group {short(name)} of this mapper takes rows {first} to {stop or 'the last'}, but the "
                    "code has "
                    f"{w_plus.shape[1]}; use the mapper of this generator."
                )
            moved[:, first:stop] = self.nets[name](w_plus[:, first:stop])
        return moved


class StyleSpaceMapper(ModelMixin, ConfigMixin):
    """S `[B, S]` -> displacement `[B, S]`, zero for the toRGB layers.

    Args:
        style_layers: name and width of every style layer of the generator, in the order of its `style_layout`; those
            whose name starts with `to_rgb` have no network.
        text: what the mapper was trained for.
    """

    config_name = "config.json"

    @register_to_config
    def __init__(self, *, style_layers: Sequence[Sequence], text: str | None = None):
        super().__init__()
        self.nets = nn.ModuleDict(
            {_key(name): _Rows(width, CHANNELS) for name, width in style_layers if not name.startswith("to_rgb")}
        )

    def forward(self, s: Tensor) -> Tensor:
        """The displacement `[B, S]` of codes `[B, S]`, before it is multiplied with a step.

        Raises:
            InputError: for codes of another generator.
        """
        widths = [width for _, width in self.config.style_layers]
        if s.ndim != 2 or s.shape[1] != sum(widths):
            raise InputError(
                f"A style code of shape {list(s.shape)} does not fit this mapper, which takes [batch, {sum(widths)}]; "
                "use the mapper of this generator."
            )
        names = [name for name, _ in self.config.style_layers]
        moved = [
            self.nets[_key(name)](part) if _key(name) in self.nets else torch.zeros_like(part)
            for name, part in zip(names, s.split(widths, dim=1), strict=True)
        ]
        return torch.cat(moved, dim=1)


def _key(name: str) -> str:
    """The name of a layer as a module may have it."""
    return name.replace(".", "_")
