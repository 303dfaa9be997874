"""What all style-based generators share: the flat style code, the mapping network, channel tables and checks of shapes.

S is the flat style code of *StyleSpace Analysis* (Wu et al., CVPR 2021): the styles of all convolutions in network
order, then those of all toRGB layers; `StyleLayout` names the slices.
"""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from torch import Tensor, nn

from sfhub.errors import InputError, short
from sfhub.models.layers import EqualLinear, leaky_relu, normalize_second_moment

__all__ = [
    "INPUT",
    "MappingNetwork",
    "NoiseMode",
    "StyleGenerator",
    "StyleLayout",
    "StyleSlice",
    "channel_table",
    "check_channels",
    "check_latent",
    "check_same_layout",
    "check_w_plus",
    "set_mean_w",
    "standard_channels",
]

NoiseMode = Literal["const", "random", "none"]

INPUT = "input"
"""Stands among the names of layers for what the first convolution reads, such as StyleGAN2's learned constant."""

MEAN_SAMPLES = 10_000
"""Latents whose mean w truncation pulls towards."""


@dataclass(frozen=True)
class StyleSlice:
    """Where the style of one layer lies in S.

    Attributes:
        name: of the layer; StyleGAN2's are rosinality's: `conv1`, `convs.0`, ..., `to_rgb1`, `to_rgbs.0`, ...
        kind: `conv` or `to_rgb`.
        start, stop: the slice `s[:, start:stop]`; one value per *input* channel of the layer.
        resolution: height and width in pixels of what the layer puts out.
        w_index: which of the `num_ws` vectors of W+ makes this style.
        reads: the layer whose output the style scales, or `INPUT`.
    """

    name: str
    kind: Literal["conv", "to_rgb"]
    start: int
    stop: int
    resolution: int
    w_index: int
    reads: str

    @property
    def width(self) -> int:
        """Number of style channels."""
        return self.stop - self.start


class StyleLayout(Sequence[StyleSlice]):
    """Names and places of the layers in a flat style code, convolutions first, then toRGB layers."""

    def __init__(self, slices: Sequence[StyleSlice]):
        self._slices = tuple(slices)
        self._by_name = {entry.name: entry for entry in self._slices}

    def __getitem__(self, key):
        """A slice by position or by layer name."""
        if not isinstance(key, str):
            return self._slices[key]
        if key not in self._by_name:
            raise InputError(f"There is no layer {short(key)}; this generator has {', '.join(self._by_name)}.")
        return self._by_name[key]

    def __len__(self) -> int:
        return len(self._slices)

    def __iter__(self) -> Iterator[StyleSlice]:
        return iter(self._slices)

    @property
    def size(self) -> int:
        """Length S of the whole style code."""
        return self._slices[-1].stop

    @property
    def fingerprint(self) -> list[list]:
        """Name and width of every layer, by which another generator is told apart."""
        return [[entry.name, entry.width] for entry in self._slices]

    @property
    def conv_size(self) -> int:
        """Length of the first part, the styles of the convolutions."""
        return sum(entry.width for entry in self._slices if entry.kind == "conv")

    def split(self, s: Tensor) -> dict[str, Tensor]:
        """Cut `[..., S]` into `{layer name: [..., width]}` (views).

        Raises:
            InputError: if `s` has another length than this layout.
        """
        self.check(s)
        return {entry.name: s[..., entry.start : entry.stop] for entry in self._slices}

    def join(self, styles: Mapping[str, Tensor]) -> Tensor:
        """The inverse of `split`."""
        return torch.cat([styles[entry.name] for entry in self._slices], dim=-1)

    def check(self, s: Tensor) -> None:
        """Raise an InputError unless the last dimension of `s` is S."""
        if s.shape[-1] != self.size:
            raise InputError(
                f"A style code of length {s.shape[-1]} does not fit this generator, whose style space has "
                f"{self.size} dimensions; use codes made by the same generator."
            )


class MappingNetwork(nn.Module):
    """z (and a class label) -> w: normalisation and equalised linear layers with leaky ReLU.

    Computes in float32 whatever the type of its weights, as the official code does: it costs nothing beside the
    synthesis, and steep functions of z lose their meaning in half precision. Keeps `w_avg`, the running mean of w
    that truncation pulls towards.
    """

    def __init__(
        self,
        z_dim: int,
        w_dim: int,
        num_layers: int,
        lr_multiplier: float,
        num_classes: int,
        width: int | None = None,
    ):
        super().__init__()
        self.embed = EqualLinear(num_classes, w_dim) if num_classes else None
        widths = [z_dim + (w_dim if num_classes else 0)] + [width or w_dim] * (num_layers - 1) + [w_dim]
        self.layers = nn.ModuleList(
            EqualLinear(a, b, lr_multiplier=lr_multiplier) for a, b in itertools.pairwise(widths)
        )
        self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """z `[B, z_dim]`, one-hot label `[B, num_classes]` -> w `[B, w_dim]`."""
        with torch.autocast(z.device.type, enabled=False):
            x = normalize_second_moment(z.float())
            if self.embed is not None:
                x = torch.cat([x, normalize_second_moment(_linear(self.embed, label.float()))], dim=1)
            for layer in self.layers:
                x = leaky_relu(_linear(layer, x))
        return x.to(self.w_avg.dtype)


def _linear(layer: EqualLinear, x: Tensor) -> Tensor:
    """What the layer makes of float32 `x`, in float32 even if its weights are not."""
    return F.linear(x, layer.weight.float() * layer.weight_gain, layer.bias.float() * layer.bias_gain)


@torch.no_grad()
def set_mean_w(generator: nn.Module, samples: int = MEAN_SAMPLES) -> None:
    """Set `w_avg` of a generator, which truncation pulls towards, to the mean over latents of a fixed seed."""
    mean = generator.mapping_network.w_avg
    source = torch.Generator(mean.device).manual_seed(0)
    z = torch.randn(samples, generator.config.z_dim, generator=source, device=mean.device)
    mean.copy_(generator.mapping_network(z).mean(dim=0))


class StyleGenerator(ModelMixin, ConfigMixin, ABC):
    """A generator with a style space, whatever its architecture: all that regions, metrics and pipelines ask of one.

    Any subclass can be the component `generator` of a `StyleGANPipeline`. Its configuration gives at least
    `resolution`, `z_dim`, `w_dim` and `num_classes` (0 if unconditional). Its module has to import `ModelMixin`, or
    diffusers does not load it.

    Attributes:
        style_layout: names and places of the layers in S.
        num_ws: vectors of W+.
    """

    config_name = "config.json"

    style_layout: StyleLayout
    num_ws: int

    @abstractmethod
    def mapping(
        self,
        z: Tensor,
        label: Tensor | None = None,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
    ) -> Tensor:
        """Z -> W+, truncated towards the mean w.

        Args:
            z: `[B, z_dim]`, standard normal.
            label: one-hot `[B, num_classes]` of a conditional generator, else None.
            truncation_psi: 1 keeps w, 0 gives the mean.
            truncation_cutoff: truncate the first so many of the `num_ws` vectors only; all if None.

        Returns:
            `[B, num_ws, w_dim]`.

        Raises:
            InputError: for a z of another length, or a label that is missing, superfluous or of the wrong shape.
        """

    @abstractmethod
    def styles(self, w_plus: Tensor) -> Tensor:
        """W+ `[B, num_ws, w_dim]` -> flat style code `[B, S]` (the outputs of all affine layers, see `style_layout`).

        Raises:
            InputError: if `w_plus` has another shape.
        """

    @abstractmethod
    def synthesis(
        self,
        s: Tensor,
        noise_mode: NoiseMode = "const",
        *,
        generator: torch.Generator | None = None,
        resolution: int | None = None,
        return_activations: Sequence[str] = (),
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        """Flat style code -> image.

        Args:
            s: `[B, S]`.
            noise_mode: `const` adds each layer's stored noise, `random` fresh noise, `none` nothing.
            generator: source of the `random` noise.
            resolution: stop here (4, 8, ...) and return the skip image of that size; the full image if None.
            return_activations: layer names whose results are wanted too: of a convolution its output after noise,
                bias and leaky ReLU `[B, C, h, w]`, of a toRGB layer the skip image so far `[B, 3, h, w]`; `INPUT` for
                what the first convolution reads.

        Returns:
            The image `[B, 3, H, W]`, about [-1, 1] and not clamped; with `return_activations` a pair
            `(image, {name: tensor})`.

        Raises:
            InputError: for a code of another length, an unknown noise mode, layer or resolution.
        """

    def forward(
        self,
        z: Tensor,
        label: Tensor | None = None,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        noise_mode: NoiseMode = "const",
    ) -> Tensor:
        """Z `[B, z_dim]` -> image `[B, 3, H, W]`: mapping, styles and synthesis in one go."""
        w_plus = self.mapping(z, label, truncation_psi, truncation_cutoff)
        return self.synthesis(self.styles(w_plus), noise_mode)


def standard_channels(resolution: int, base: int = 32768, maximum: int = 512) -> dict[str, int]:
    """Channels per resolution of the official configuration: `min(maximum, base / resolution)`."""
    return {str(2**i): min(maximum, base // 2**i) for i in range(2, resolution.bit_length())}


def check_channels(resolution: int, channels: Mapping[str, int] | None) -> dict[int, int]:
    """Channels per resolution with integer keys, `standard_channels` if None is given.

    Raises:
        InputError: if `resolution` is no power of two from 8 up, or `channels` misses a resolution.
    """
    if resolution < 8 or resolution & (resolution - 1):
        raise InputError(f"Resolution {resolution} cannot be built; take a power of two, 8 or more.")
    return channel_table(resolution, channels, 4)


def channel_table(resolution: int, channels: Mapping[str, int] | None, lowest: int) -> dict[int, int]:
    """Channels for every power of two from `lowest` to `resolution`, in rising order and by integer keys.

    Args:
        resolution, lowest: powers of two.
        channels: by resolution; `standard_channels` if None.

    Raises:
        InputError: if `channels` misses one.
    """
    table = {int(key): int(value) for key, value in (channels or standard_channels(resolution)).items()}
    sides = [2**i for i in range(lowest.bit_length() - 1, resolution.bit_length())]
    missing = [side for side in sides if side not in table]
    if missing:
        raise InputError(f"The channel table {table} lacks resolution {missing[0]}; give one entry per power of two.")
    return {side: table[side] for side in sides}


def check_latent(z: Tensor, z_dim: int) -> None:
    """Raise an InputError unless `z` has the shape `[batch, z_dim]`."""
    if z.ndim != 2 or z.shape[1] != z_dim:
        raise InputError(f"A latent of shape {list(z.shape)} does not fit; this generator takes [batch, {z_dim}].")


def check_w_plus(w_plus: Tensor, count: int, w_dim: int, meaning: str = "") -> None:
    """Raise an InputError unless `w_plus` has the shape `[batch, count, w_dim]`; `meaning` says what the codes are."""
    if w_plus.ndim != 3 or w_plus.shape[1:] != (count, w_dim):
        raise InputError(
            f"A W+ code of shape {list(w_plus.shape)} does not fit; this generator takes [batch, {count}, {w_dim}]"
            f"{meaning}."
        )


def check_same_layout(
    generator: StyleGenerator, style_layers: Sequence[Sequence], resolution: int, what: str, remedy: str
) -> None:
    """Refuse a generator for which something was not made.

    Args:
        generator: with a `style_layout`.
        style_layers: name and width of every style layer of the one it was made for.
        resolution: side of the image of that one.
        what, remedy: for the sentence.

    Raises:
        InputError: unless names and widths of the layers are the same.
    """
    layers = generator.style_layout.fingerprint
    if layers != [list(row) for row in style_layers]:
        raise InputError(
            f"This {what} was made for a generator of {resolution} pixels with {sum(row[1] for row in style_layers)} "
            f"styles and does not fit one of {generator.config.resolution} pixels with {generator.style_layout.size} "
            f"styles in {len(layers)} layers; {remedy}."
        )
