"""StyleGAN2 generator with its style space as the interface.

*Analyzing and Improving the Image Quality of StyleGAN* (Karras et al., CVPR 2020), skip architecture. The path from
latent to image is cut in three, so that everything in between can be edited:

    z --mapping--> W+ [B, num_ws, w_dim] --styles--> S [B, S] --synthesis--> image [B, 3, H, W]

S is the flat style code of *StyleSpace Analysis* (Wu et al., CVPR 2021): the styles of all convolutions in network
order, then those of all toRGB layers; `StyleLayout` names the slices. Numerically equal to rosinality's
stylegan2-pytorch and to NVIDIA's StyleGAN2-ADA / StyleGAN3 repositories; their files enter through `sfhub.convert`.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from sfhub.errors import InputError
from sfhub.models.layers import EqualLinear, leaky_relu, modulated_conv, normalize_second_moment, upsample

__all__ = ["NoiseMode", "StyleGAN2Generator", "StyleLayout", "StyleSlice", "standard_channels"]

NoiseMode = Literal["const", "random", "none"]


@dataclass(frozen=True)
class StyleSlice:
    """Where the style of one layer lies in S.

    Attributes:
        name: layer, as rosinality names it: `conv1`, `convs.0`, ..., `to_rgb1`, `to_rgbs.0`, ...
        kind: `conv` or `to_rgb`.
        start, stop: the slice `s[:, start:stop]`; one value per *input* channel of the layer.
        resolution: height and width in pixels of what the layer puts out.
        w_index: which of the `num_ws` vectors of W+ makes this style.
    """

    name: str
    kind: Literal["conv", "to_rgb"]
    start: int
    stop: int
    resolution: int
    w_index: int

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
            raise InputError(f"There is no layer {key!r}; this generator has {', '.join(self._by_name)}.")
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
    table = {int(key): int(value) for key, value in (channels or standard_channels(resolution)).items()}
    missing = [2**i for i in range(2, resolution.bit_length()) if 2**i not in table]
    if missing:
        raise InputError(f"The channel table {table} lacks resolution {missing[0]}; give one entry per power of two.")
    return table


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


class SynthesisLayer(nn.Module):
    """Modulated 3x3 convolution, noise, bias, leaky ReLU; doubles the resolution when `up`."""

    def __init__(self, in_channels: int, out_channels: int, w_dim: int, resolution: int, *, up: bool):
        super().__init__()
        self.up = up
        self.resolution = resolution
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.noise_strength = nn.Parameter(torch.zeros([]))
        self.register_buffer("noise_const", torch.randn(resolution, resolution))
        self.affine = EqualLinear(w_dim, in_channels, bias_init=1.0)

    def forward(self, x: Tensor, style: Tensor, noise: Tensor | None, clamp: float | None) -> Tensor:
        x = modulated_conv(x, self.weight, style, up=self.up)
        if noise is not None:
            x = x + (noise * self.noise_strength).to(x.dtype)
        return leaky_relu(x + self.bias.to(x.dtype)[:, None, None], clamp=clamp)


class ToRGB(nn.Module):
    """Modulated 1x1 convolution without demodulation: activations -> image channels."""

    def __init__(self, in_channels: int, image_channels: int, w_dim: int):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(image_channels, in_channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(image_channels))
        self.affine = EqualLinear(w_dim, in_channels, bias_init=1.0)

    def forward(self, x: Tensor, style: Tensor, clamp: float | None) -> Tensor:
        x = modulated_conv(x, self.weight, style, demodulate=False) + self.bias.to(x.dtype)[:, None, None]
        return x if clamp is None else x.clamp(-clamp, clamp)


class StyleGAN2Generator(ModelMixin, ConfigMixin):
    """StyleGAN2 generator (skip architecture) with S space as a first-class interface.

    Args:
        resolution: side of the image in pixels, a power of two, 8 or more.
        z_dim, w_dim: dimensions of Z and W.
        num_mapping_layers: depth of the mapping network.
        mapping_lr_multiplier: its learning-rate multiplier.
        mapping_width: output features of its layers but the last, which puts out w; `w_dim` if None.
        channels: output channels of the convolutions per resolution, `{"4": 512, ...}`; the official table if None.
        num_classes: classes of a conditional generator, 0 if unconditional.
        image_channels: channels of the image.
        conv_clamp: clamp of every layer's output, None for none (NVIDIA's mixed-precision networks use 256).

    Raises:
        InputError: for a resolution or a channel table that cannot be built.
    """

    config_name = "config.json"

    @register_to_config
    def __init__(
        self,
        *,
        resolution: int = 1024,
        z_dim: int = 512,
        w_dim: int = 512,
        num_mapping_layers: int = 8,
        mapping_lr_multiplier: float = 0.01,
        mapping_width: int | None = None,
        channels: dict[str, int] | None = None,
        num_classes: int = 0,
        image_channels: int = 3,
        conv_clamp: float | None = None,
    ):
        super().__init__()
        table = check_channels(resolution, channels)
        self.mapping_network = MappingNetwork(
            z_dim, w_dim, num_mapping_layers, mapping_lr_multiplier, num_classes, mapping_width
        )
        self.const = nn.Parameter(torch.randn(1, table[4], 4, 4))
        self.conv1 = SynthesisLayer(table[4], table[4], w_dim, 4, up=False)
        self.to_rgb1 = ToRGB(table[4], image_channels, w_dim)
        self.convs = nn.ModuleList()
        self.to_rgbs = nn.ModuleList()
        for i in range(3, resolution.bit_length()):
            side, before, here = 2**i, table[2 ** (i - 1)], table[2**i]
            self.convs.append(SynthesisLayer(before, here, w_dim, side, up=True))
            self.convs.append(SynthesisLayer(here, here, w_dim, side, up=False))
            self.to_rgbs.append(ToRGB(here, image_channels, w_dim))
        self.num_ws = 2 * len(self.to_rgbs) + 2
        self.style_layout = self._make_layout()

    def _make_layout(self) -> StyleLayout:
        rows = [("conv1", "conv", self.conv1, 4, 0)]
        rows += [(f"convs.{k}", "conv", layer, layer.resolution, k + 1) for k, layer in enumerate(self.convs)]
        rows += [("to_rgb1", "to_rgb", self.to_rgb1, 4, 1)]
        rows += [(f"to_rgbs.{k}", "to_rgb", layer, 8 * 2**k, 2 * k + 3) for k, layer in enumerate(self.to_rgbs)]
        slices, start = [], 0
        for name, kind, layer, resolution, w_index in rows:
            width = layer.weight.shape[1]
            slices.append(StyleSlice(name, kind, start, start + width, resolution, w_index))
            start += width
        return StyleLayout(slices)

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
        z_dim, num_classes = self.config.z_dim, self.config.num_classes
        if z.ndim != 2 or z.shape[1] != z_dim:
            raise InputError(f"A latent of shape {list(z.shape)} does not fit; this generator takes [batch, {z_dim}].")
        expected = (len(z), num_classes) if num_classes else None
        if (None if label is None else tuple(label.shape)) != expected:
            given = "no label" if label is None else f"a label of shape {list(label.shape)}"
            wanted = f"one-hot labels of shape {list(expected)}" if expected else "no label, being unconditional"
            raise InputError(f"The generator was given {given} but takes {wanted}.")
        w = self.mapping_network(z, label)
        w_plus = w[:, None].repeat(1, self.num_ws, 1)
        if truncation_psi != 1:
            stop = self.num_ws if truncation_cutoff is None else truncation_cutoff
            mean = self.mapping_network.w_avg
            w_plus[:, :stop] = mean.lerp(w_plus[:, :stop], truncation_psi)
        return w_plus

    def styles(self, w_plus: Tensor) -> Tensor:
        """W+ `[B, num_ws, w_dim]` -> flat style code `[B, S]` (the outputs of all affine layers, see `style_layout`).

        Raises:
            InputError: if `w_plus` has another shape.
        """
        if w_plus.ndim != 3 or w_plus.shape[1:] != (self.num_ws, self.config.w_dim):
            raise InputError(
                f"A W+ code of shape {list(w_plus.shape)} does not fit; this generator takes "
                f"[batch, {self.num_ws}, {self.config.w_dim}]."
            )
        return torch.cat(
            [self.get_submodule(entry.name).affine(w_plus[:, entry.w_index]) for entry in self.style_layout], dim=1
        )

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
                bias and leaky ReLU `[B, C, h, w]`, of a toRGB layer the skip image so far `[B, 3, h, w]`.

        Returns:
            The image `[B, 3, H, W]`, about [-1, 1] and not clamped; with `return_activations` a pair
            `(image, {name: tensor})`.

        Raises:
            InputError: for a code of another length, an unknown noise mode, layer or resolution.
        """
        styles = self.style_layout.split(s)
        resolution = resolution or self.config.resolution
        sides = [4 * 2**k for k in range(len(self.to_rgbs) + 1)]
        if resolution not in sides:
            raise InputError(f"There is no skip image of {resolution} pixels; choose one of {sides}.")
        if noise_mode not in ("const", "random", "none"):
            raise InputError(f"Noise mode {noise_mode!r} is unknown; choose const, random or none.")
        for name in return_activations:
            if self.style_layout[name].resolution > resolution:
                raise InputError(f"Layer {name} lies above {resolution} pixels, where the synthesis was told to stop.")

        clamp = self.config.conv_clamp
        found: dict[str, Tensor] = {}

        def keep(name: str, value: Tensor) -> Tensor:
            if name in return_activations:
                found[name] = value
            return value

        def convolve(name: str, layer: SynthesisLayer, x: Tensor) -> Tensor:
            noise = _noise(layer, len(x), noise_mode, generator)
            return keep(name, layer(x, styles[name], noise, clamp))

        x = self.const.to(s.dtype).expand(len(s), -1, -1, -1)
        x = convolve("conv1", self.conv1, x)
        image = keep("to_rgb1", self.to_rgb1(x, styles["to_rgb1"], clamp).float())
        for k in range(sides.index(resolution)):
            x = convolve(f"convs.{2 * k}", self.convs[2 * k], x)
            x = convolve(f"convs.{2 * k + 1}", self.convs[2 * k + 1], x)
            rgb = self.to_rgbs[k](x, styles[f"to_rgbs.{k}"], clamp)
            image = keep(f"to_rgbs.{k}", upsample(image) + rgb.float())
        return (image, found) if return_activations else image

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


def _noise(layer: SynthesisLayer, batch: int, mode: NoiseMode, generator: torch.Generator | None) -> Tensor | None:
    """Noise `[1 or B, 1, h, w]` for a layer, None for none."""
    if mode == "none":
        return None
    if mode == "const":
        return layer.noise_const[None, None]
    shape = (batch, 1, layer.resolution, layer.resolution)
    device = generator.device if generator is not None else layer.noise_const.device
    return torch.randn(shape, generator=generator, device=device).to(layer.noise_const.device)
