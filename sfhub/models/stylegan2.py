"""StyleGAN2 generator with its style space as the interface.

*Analyzing and Improving the Image Quality of StyleGAN* (Karras et al., CVPR 2020), skip architecture. The path from
latent to image is cut in three, so that everything in between can be edited:

    z --mapping--> W+ [B, num_ws, w_dim] --styles--> S [B, S] --synthesis--> image [B, 3, H, W]

S is the flat style code of `sfhub.models.style_space`. Numerically equal to rosinality's
stylegan2-pytorch and to NVIDIA's StyleGAN2-ADA / StyleGAN3 repositories; their files enter through `sfhub.convert`.
"""

import itertools
from collections.abc import Sequence

import torch
from diffusers import ModelMixin  # noqa: F401 (diffusers loads a component only if its module has this name)
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from sfhub.errors import InputError, short
from sfhub.models.layers import EqualLinear, leaky_relu, modulated_conv, upsample
from sfhub.models.style_space import (
    INPUT,
    MappingNetwork,
    NoiseMode,
    StyleGenerator,
    StyleLayout,
    StyleSlice,
    check_channels,
    check_latent,
    check_w_plus,
)

__all__ = ["StyleGAN2Generator"]


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


class StyleGAN2Generator(StyleGenerator):
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

    @property
    def largest_activation(self) -> int:
        """Numbers in the largest activation of one picture."""
        layers = [self.conv1, *self.convs]
        widths = {layer.resolution: max(layer.weight.shape[:2]) for layer in layers}
        image = self.config.image_channels * self.config.resolution**2
        return max(image, *(width * side**2 for side, width in widths.items()))

    def _make_layout(self) -> StyleLayout:
        convolutions = ["conv1", *(f"convs.{k}" for k in range(len(self.convs)))]
        sides = [4, *(layer.resolution for layer in self.convs)]
        rows = list(zip(convolutions, itertools.repeat("conv"), sides, itertools.count(), [INPUT, *convolutions]))
        rows += [("to_rgb1", "to_rgb", 4, 1, "conv1")]
        rows += [
            (f"to_rgbs.{k}", "to_rgb", 8 * 2**k, 2 * k + 3, f"convs.{2 * k + 1}") for k in range(len(self.to_rgbs))
        ]
        slices, start = [], 0
        for name, kind, resolution, w_index, reads in rows:
            width = self.get_submodule(name).weight.shape[1]
            slices.append(StyleSlice(name, kind, start, start + width, resolution, w_index, reads))
            start += width
        return StyleLayout(slices)

    def mapping(
        self,
        z: Tensor,
        label: Tensor | None = None,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
    ) -> Tensor:
        """As `StyleGenerator.mapping`."""
        z_dim, num_classes = self.config.z_dim, self.config.num_classes
        check_latent(z, z_dim)
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
        """As `StyleGenerator.styles`."""
        check_w_plus(w_plus, self.num_ws, self.config.w_dim)
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
        """As `StyleGenerator.synthesis`."""
        styles = self.style_layout.split(s)
        resolution = resolution or self.config.resolution
        sides = [4 * 2**k for k in range(len(self.to_rgbs) + 1)]
        if resolution not in sides:
            raise InputError(f"There is no skip image of {resolution} pixels; choose one of {sides}.")
        if noise_mode not in ("const", "random", "none"):
            raise InputError(f"Noise mode {short(noise_mode)} is unknown; choose const, random or none.")
        for name in return_activations:
            if name != INPUT and self.style_layout[name].resolution > resolution:
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

        x = keep(INPUT, self.const.to(s.dtype).expand(len(s), -1, -1, -1))
        x = convolve("conv1", self.conv1, x)
        image = keep("to_rgb1", self.to_rgb1(x, styles["to_rgb1"], clamp).float())
        for k in range(sides.index(resolution)):
            x = convolve(f"convs.{2 * k}", self.convs[2 * k], x)
            x = convolve(f"convs.{2 * k + 1}", self.convs[2 * k + 1], x)
            rgb = self.to_rgbs[k](x, styles[f"to_rgbs.{k}"], clamp)
            image = keep(f"to_rgbs.{k}", upsample(image) + rgb.float())
        return (image, found) if return_activations else image


def _noise(layer: SynthesisLayer, batch: int, mode: NoiseMode, generator: torch.Generator | None) -> Tensor | None:
    """Noise `[1 or B, 1, h, w]` for a layer, None for none."""
    if mode == "none":
        return None
    if mode == "const":
        return layer.noise_const[None, None]
    shape = (batch, 1, layer.resolution, layer.resolution)
    device = generator.device if generator is not None else layer.noise_const.device
    return torch.randn(shape, generator=generator, device=device).to(layer.noise_const.device)
