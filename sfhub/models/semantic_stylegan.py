"""SemanticStyleGAN generator: one local generator per semantic class, composed by pseudo-depth.

*SemanticStyleGAN: Learning Compositional Generative Priors for Controllable Image Synthesis and Editing* (Shi et al.,
CVPR 2022). From latent to image and mask:

    z --mapping--> W+ [B, n_latent, w_dim] --local generators--> depths, hidden maps --composition (eqs. 3, 4, 7)-->
    feature map and coarse mask --render net--> image [B, 3, H, W] and mask [B, K, H, W]

W+ is factored as eq. 1 says: `base_layers` codes shared by the classes, then a shape and a texture code for each class.
Class 0 is the background: it ignores the base codes and lies at depth 0.

Numerically equal to the official `SemanticGenerator`, whose files enter through `sfhub.convert`, but the local
generators are one batched computation, and the map from their hidden layers to features, being linear, comes after the
sum of eq. 4 instead of before it, so that no full feature map of a single class is ever made.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from sfhub.errors import InputError, short
from sfhub.models.layers import SQRT2, upsample, upsampling_conv
from sfhub.models.style_space import MappingNetwork, NoiseMode, channel_table, check_latent, check_w_plus

__all__ = ["SemanticStyleGANGenerator", "SemanticStyleGANOutput", "position_features"]

EPSILON = 1e-8


@dataclass
class SemanticStyleGANOutput:
    """What the generator makes of a code.

    Attributes:
        image: `[B, 3, H, W]`, about [-1, 1] and not clamped.
        mask: `[B, K, H, W]`, refined logits of the classes; argmax over K gives labels.
        coarse_mask: `[B, K, h, w]`, the masks of eq. 3 scaled to [-1, 1], which the render net refines.
        depths: `[B, K, h, w]`, pseudo-depths, larger in front; those of class 0 are zero.
    """

    image: Tensor
    mask: Tensor
    coarse_mask: Tensor
    depths: Tensor


def position_features(coords: Tensor, num_frequencies: int) -> Tensor:
    """Fourier features of positions: x, y, then sin and cos of (x, y) times 1, 2, 4, ...

    Args:
        coords: `[..., 2, h, w]`, x first; [-1, 1] spans the picture.
        num_frequencies: number of powers of two.

    Returns:
        `[..., 2 + 4 num_frequencies, h w]`.
    """
    x = coords.flatten(-2)
    frequencies = 2.0 ** torch.arange(num_frequencies, device=x.device, dtype=x.dtype)
    angles = frequencies[:, None, None] * x[..., None, :, :]
    waves = torch.stack([angles.sin(), angles.cos()], dim=-3)  # [..., frequency, sin or cos, x or y, pixel]
    return torch.cat([x, waves.flatten(-4, -2)], dim=-2)


class LocalGenerators(nn.Module):
    """The local generators of all classes (fig. 4): modulated 1x1 layers, a depth head and a feature head each.

    Their weights are stacked, so that each layer of all classes and samples is one batched matrix product.

    Args:
        num_classes: K, the background first.
        num_layers: L, modulated layers.
        depth_layers: layers that make the shape; the depth head reads the last of them.
        width: C, channels of every layer.
        feature_width: channels of the feature map.
        w_dim: length of a code.
        detach_texture: stop the gradient between shape and texture layers, except for the background (app. A.2).
    """

    def __init__(
        self,
        num_classes: int,
        num_layers: int,
        depth_layers: int,
        width: int,
        feature_width: int,
        w_dim: int,
        detach_texture: bool,
    ):
        super().__init__()
        self.depth_layers = depth_layers
        self.detach_texture = detach_texture
        self.weight = nn.Parameter(torch.randn(num_layers, num_classes, width, width))
        self.bias = nn.Parameter(torch.zeros(num_layers, num_classes, width))
        self.affine_weight = nn.Parameter(torch.randn(num_layers, num_classes, width, w_dim))
        self.affine_bias = nn.Parameter(torch.ones(num_layers, num_classes, width))
        self.depth_weight = nn.Parameter(torch.randn(num_classes - 1, width))
        self.depth_modulation = nn.Parameter(torch.ones(num_classes - 1, width))
        self.depth_bias = nn.Parameter(torch.zeros(num_classes - 1))
        self.feature_weight = nn.Parameter(torch.randn(num_classes, feature_width, width))
        self.feature_modulation = nn.Parameter(torch.ones(num_classes, width))
        self.feature_bias = nn.Parameter(torch.zeros(num_classes, feature_width))

    def forward(self, position: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Hidden maps and depths (eq. 2).

        Args:
            position: `[1 or B, 1 or K, C, P]`, embedded positions of P pixels.
            codes: `[B, K, L, w_dim]`, one code for every layer.

        Returns:
            The last hidden layer `[B, K, C, P]` and the depths `[B, K, P]`.
        """
        batch, classes, num_layers, _ = codes.shape
        weights = self._modulated(codes).to(position.dtype).flatten(1, 2).unbind()
        biases = (self.bias * SQRT2).to(position.dtype)[:, None, :, :, None]
        biases = biases.expand(-1, batch, -1, -1, -1).flatten(1, 2).unbind()
        x = position.expand(batch, classes, -1, -1).flatten(0, 1)
        for i, (weight, bias) in enumerate(zip(weights, biases, strict=True), start=1):
            # The gain sqrt(2) of the activation is in weight and bias already.
            x = F.leaky_relu(torch.baddbmm(bias, weight, x), 0.2, inplace=True)
            if i == self.depth_layers:
                depths = self._depths(x.unflatten(0, (batch, classes)))
                if self.detach_texture and i < num_layers and torch.is_grad_enabled():
                    x = x.unflatten(0, (batch, classes))
                    x = torch.cat([x[:, :1], x[:, 1:].detach()], dim=1).flatten(0, 1)
        return x.unflatten(0, (batch, classes)), depths

    def _modulated(self, codes: Tensor) -> Tensor:
        """Modulated and demodulated weights of every layer, with the activation's gain, `[L, B, K, C, C]`."""
        num_layers, classes, width, w_dim = self.affine_weight.shape
        codes = codes.permute(2, 1, 0, 3).flatten(0, 1)  # [L K, B, w_dim]
        styles = torch.baddbmm(
            self.affine_bias.flatten(0, 1)[:, None],
            codes,
            self.affine_weight.flatten(0, 1).transpose(1, 2),
            alpha=1 / math.sqrt(w_dim),
        )
        styles = styles.unflatten(0, (num_layers, classes)).transpose(1, 2)  # [L, B, K, C]
        with torch.autocast(styles.device.type, enabled=False):  # a norm of many squares: keep it in full precision
            weight = self.weight.float()[:, None] * styles.float()[..., None, :] / math.sqrt(width)
            return weight * (SQRT2 * (weight.square().sum(dim=-1, keepdim=True) + EPSILON).rsqrt())

    def _depths(self, x: Tensor) -> Tensor:
        """Hidden maps `[B, K, C, P]` -> depths `[B, K, P]`, zero for the background."""
        weight = self.depth_weight * self.depth_modulation / math.sqrt(x.shape[2])
        depths = (weight.to(x.dtype)[:, None] @ x[:, 1:]).squeeze(2) + self.depth_bias.to(x.dtype)[:, None]
        return F.pad(depths, (0, 0, 1, 0))

    def features(self, hidden: Tensor, weights: Tensor) -> Tensor:
        """The sum over classes of eq. 4: hidden maps `[B, K, C, P]`, weights `[B, K, P]` -> `[B, feature_width, P]`."""
        batch, _, width, _ = hidden.shape
        weights = weights.to(hidden.dtype)
        matrix = (self.feature_weight * self.feature_modulation[:, None] / math.sqrt(width)).to(hidden.dtype)
        matrix = matrix.transpose(0, 1).flatten(1)  # [feature_width, K C]
        bias = self.feature_bias.to(hidden.dtype).T.expand(batch, -1, -1) @ weights
        return torch.baddbmm(bias, matrix.expand(batch, -1, -1), (hidden * weights[:, :, None]).flatten(1, 2))


class RenderLayer(nn.Module):
    """3x3 convolution whose modulation is learned instead of made from a code, noise, bias, leaky ReLU."""

    def __init__(self, in_channels: int, out_channels: int, resolution: int, *, up: bool):
        super().__init__()
        self.up = up
        self.resolution = resolution
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 3, 3))
        self.modulation = nn.Parameter(torch.ones(in_channels))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.noise_strength = nn.Parameter(torch.zeros([]))
        self.register_buffer("noise_const", torch.randn(resolution, resolution))

    def forward(self, x: Tensor, noise_mode: NoiseMode, generator: torch.Generator | None) -> Tensor:
        weight = self.weight * self.modulation[:, None, None]
        x = upsampling_conv(x, weight) if self.up else F.conv2d(x, weight, padding=1)
        with torch.autocast(x.device.type, enabled=False):
            gain = 1 / math.sqrt(weight[0].numel())
            scale = SQRT2 * gain * (weight.float().square().sum(dim=(1, 2, 3)) * gain**2 + EPSILON).rsqrt()
            shift = SQRT2 * self.bias[:, None, None]
            noise = self._noise(len(x), noise_mode, generator)
            if noise is not None:
                shift = shift + SQRT2 * self.noise_strength * noise.to(shift.dtype)
            # Demodulation, bias, noise and the activation's gain in one pass over the activations.
            x = torch.addcmul(shift.to(x.dtype), x, scale.to(x.dtype)[:, None, None])
        return F.leaky_relu(x, 0.2, inplace=True)

    def _noise(self, batch: int, mode: NoiseMode, generator: torch.Generator | None) -> Tensor | None:
        if mode == "none":
            return None
        if mode == "const":
            return self.noise_const
        device = self.noise_const.device if generator is None else generator.device
        noise = torch.randn(batch, 1, self.resolution, self.resolution, generator=generator, device=device)
        return noise.to(self.noise_const.device)


class OutputLayer(nn.Module):
    """1x1 convolution with learned modulation and no demodulation: activations -> image channels or class logits."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 1, 1))
        self.modulation = nn.Parameter(torch.ones(in_channels))
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def effective_weight(self) -> Tensor:
        """The weights `[out, in, 1, 1]` that the convolution uses."""
        return self.weight * (self.modulation[:, None, None] / math.sqrt(len(self.modulation)))


class RenderNet(nn.Module):
    """Feature map -> image and refined mask (fig. 14): a StyleGAN2 skip generator without codes.

    It starts from the feature map averaged down to `min_resolution` and sees it again in full at its own size.
    """

    def __init__(
        self, feature_width: int, channels: Mapping[int, int], coarse: int, num_classes: int, image_channels: int
    ):
        super().__init__()
        self.min_resolution = min(channels) // 2
        self.convs = nn.ModuleList()
        self.to_rgbs = nn.ModuleList()
        self.to_masks = nn.ModuleList()
        before = feature_width
        for side, width in channels.items():
            before += feature_width if side // 2 == coarse else 0
            self.convs.append(RenderLayer(before, width, side, up=True))
            self.convs.append(RenderLayer(width, width, side, up=False))
            self.to_rgbs.append(OutputLayer(width, image_channels))
            self.to_masks.append(OutputLayer(width, num_classes))
            before = width

    def forward(
        self,
        features: Tensor,
        coarse_mask: Tensor | None,
        noise_mode: NoiseMode,
        generator: torch.Generator | None,
    ) -> tuple[Tensor, Tensor]:
        """Features `[B, C, h, w]` -> image and mask; `coarse_mask` `[B, K, h, w]` or None is refined."""
        coarse = features.shape[-1]
        image_channels = len(self.to_rgbs[0].bias)
        x = F.avg_pool2d(features, coarse // self.min_resolution)
        outputs = None  # image and mask side by side, so that both cost one convolution and one upsampling
        for k, (to_rgb, to_mask) in enumerate(zip(self.to_rgbs, self.to_masks, strict=True)):
            if x.shape[-1] == coarse:
                x = torch.cat([x, features], dim=1)
            for layer in self.convs[2 * k : 2 * k + 2]:
                x = layer(x, noise_mode, generator)
            weight = torch.cat([to_rgb.effective_weight(), to_mask.effective_weight()])
            new = F.conv2d(x, weight, torch.cat([to_rgb.bias, to_mask.bias])).float()
            outputs = new if outputs is None else new + upsample(outputs)
            if coarse_mask is not None and x.shape[-1] == coarse:
                outputs = outputs + F.pad(coarse_mask, (0, 0, 0, 0, image_channels, 0))
        return outputs[:, :image_channels], outputs[:, image_channels:]


class SemanticStyleGANGenerator(ModelMixin, ConfigMixin):
    """SemanticStyleGAN generator; the defaults are the paper's 256-pixel configuration.

    Args:
        resolution: side of the image in pixels, a power of two.
        z_dim, w_dim: dimensions of Z and W.
        num_mapping_layers: depth of the mapping network.
        mapping_lr_multiplier: its learning-rate multiplier.
        mapping_width: output features of its layers but the last, which puts out w; `w_dim` if None.
        num_classes: K, number of semantic classes, the background first.
        class_names: their names, None if unknown.
        transparent_classes: indices of classes that others show through (glasses, earrings), eq. 7.
        coarse_resolution: side of depths, coarse masks and feature map, a power of two below `resolution`.
        min_resolution: side at which the render net starts, a power of two below `coarse_resolution`.
        local_layers: modulated layers of a local generator.
        base_layers: the first of them that take the base codes.
        depth_layers: the first of them that make the shape; the others make the texture.
        local_width: channels of the local generators.
        feature_width: channels of the composed feature map.
        channels: channels of the render net per resolution, `{"32": 512, ...}`; the official table if None.
        image_channels: channels of the image.
        residual_refine: add the coarse mask to the mask that the render net makes.
        detach_texture: stop gradients from texture to shape layers, except in the background.

    Raises:
        InputError: for resolutions, layers or classes that do not fit together.
    """

    config_name = "config.json"

    @register_to_config
    def __init__(
        self,
        *,
        resolution: int = 256,
        z_dim: int = 512,
        w_dim: int = 512,
        num_mapping_layers: int = 8,
        mapping_lr_multiplier: float = 0.01,
        mapping_width: int | None = None,
        num_classes: int = 13,
        class_names: Sequence[str] | None = None,
        transparent_classes: Sequence[int] = (),
        coarse_resolution: int = 64,
        min_resolution: int = 16,
        local_layers: int = 10,
        base_layers: int = 2,
        depth_layers: int = 6,
        local_width: int = 64,
        feature_width: int = 512,
        channels: dict[str, int] | None = None,
        image_channels: int = 3,
        residual_refine: bool = True,
        detach_texture: bool = True,
    ):
        super().__init__()
        table = _check_resolutions(resolution, coarse_resolution, min_resolution, channels)
        _check_layers(base_layers, depth_layers, local_layers)
        _check_classes(num_classes, class_names, transparent_classes)
        self.mapping_network = MappingNetwork(
            z_dim, w_dim, num_mapping_layers, mapping_lr_multiplier, num_classes=0, width=mapping_width
        )
        self.num_frequencies = resolution.bit_length() - 1
        self.position_weight = nn.Parameter(torch.randn(local_width, 2 + 4 * self.num_frequencies))
        self.local_generators = LocalGenerators(
            num_classes, local_layers, depth_layers, local_width, feature_width, w_dim, detach_texture
        )
        self.render_net = RenderNet(feature_width, table, coarse_resolution, num_classes, image_channels)
        self.n_latent = base_layers + 2 * num_classes

    @property
    def largest_activation(self) -> int:
        """Numbers in the largest activation of one picture."""
        config, coarse = self.config, self.config.coarse_resolution**2
        position = self.position_weight.shape[1]
        maps = max(config.num_classes * max(config.local_width, position), config.feature_width) * coarse
        sides = channel_table(config.resolution, config.channels, 2 * config.min_resolution)
        outputs = (config.image_channels + config.num_classes) * config.resolution**2
        return max(maps, outputs, *((width + config.feature_width) * side**2 for side, width in sides.items()))

    def shape_index(self, class_index: int) -> int:
        """Where in W+ the shape code of a class lies."""
        return self.config.base_layers + 2 * class_index

    def texture_index(self, class_index: int) -> int:
        """Where in W+ the texture code of a class lies."""
        return self.config.base_layers + 2 * class_index + 1

    def mapping(self, z: Tensor, truncation_psi: float = 1.0) -> Tensor:
        """Z -> W+, all codes alike, truncated towards the mean w.

        Args:
            z: `[B, z_dim]`, standard normal.
            truncation_psi: 1 keeps w, 0 gives the mean.

        Returns:
            `[B, n_latent, w_dim]`: base codes, then shape and texture of each class.

        Raises:
            InputError: for a z of another length.
        """
        check_latent(z, self.config.z_dim)
        w = self.mapping_network(z)
        if truncation_psi != 1:
            w = self.mapping_network.w_avg.lerp(w, truncation_psi)
        return w[:, None].repeat(1, self.n_latent, 1)

    def expand(self, w_plus: Tensor) -> Tensor:
        """W+ `[B, n_latent, w_dim]` -> the code of every local layer `[B, K, local_layers, w_dim]`.

        Class 0 takes its shape code, then its texture code; the others take the base codes first.

        Raises:
            InputError: if `w_plus` has another shape.
        """
        config = self.config
        meaning = f", which is {config.base_layers} base codes and two for each of {config.num_classes} classes"
        check_w_plus(w_plus, self.n_latent, config.w_dim, meaning)
        base, depth, layers = config.base_layers, config.depth_layers, config.local_layers
        index = []
        for k in range(self.config.num_classes):
            shared = list(range(base)) if k else []
            index += shared + [self.shape_index(k)] * (depth - len(shared)) + [self.texture_index(k)] * (layers - depth)
        index = torch.tensor(index, device=w_plus.device)
        return w_plus.index_select(1, index).unflatten(1, (self.config.num_classes, layers))

    def coordinates(self, move: Tensor | None = None, zoom: Tensor | None = None) -> Tensor:
        """Positions for `synthesis(coords=...)` that place classes elsewhere (fig. 8).

        Args:
            move: `[K, 2]`, how far (right, down) each class moves, in halves of the image; None for nowhere.
            zoom: `[K]`, how many times larger each class becomes; None for once.

        Returns:
            `[K, 2, h, w]`.

        Raises:
            InputError: if `move` or `zoom` are not for K classes, or a zoom is not positive.
        """
        classes = self.config.num_classes
        grid = self._grid()
        move = torch.zeros(classes, 2) if move is None else move
        zoom = torch.ones(classes) if zoom is None else zoom
        if move.shape != (classes, 2) or zoom.shape != (classes,) or not bool((zoom > 0).all()):
            raise InputError(
                f"Moves of shape {list(move.shape)} and zooms of shape {list(zoom.shape)} do not fit; give "
                f"[{classes}, 2] and [{classes}] for the {classes} classes, zooms above zero."
            )
        return (grid - move.to(grid)[:, :, None, None]) / zoom.to(grid)[:, None, None, None]

    def synthesis(
        self,
        w_plus: Tensor,
        noise_mode: NoiseMode = "const",
        composition_mask: Tensor | None = None,
        coords: Tensor | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> SemanticStyleGANOutput:
        """W+ -> image and mask.

        Args:
            w_plus: `[B, n_latent, w_dim]`, or `[B, K, local_layers, w_dim]` with a code for every layer (`expand`).
            noise_mode: `const` adds each layer's stored noise, `random` fresh noise, `none` nothing.
            composition_mask: `[K]` or `[B, K]`, how much of each class is there: 0 leaves it out, 1 takes it.
            coords: `[K, 2, h, w]` or `[B, K, 2, h, w]`, the positions that each class is made for (`coordinates`).
            generator: source of the `random` noise.

        Raises:
            InputError: if codes, mask or coordinates have another shape, or the noise mode is unknown.
        """
        if noise_mode not in ("const", "random", "none"):
            raise InputError(f"Noise mode {short(noise_mode)} is unknown; choose const, random or none.")
        hidden, depths = self.local(w_plus, coords)
        return self.assemble(hidden, depths, composition_mask, noise_mode, generator=generator)

    def assemble(
        self,
        hidden: Tensor,
        depths: Tensor,
        composition_mask: Tensor | None = None,
        noise_mode: NoiseMode = "const",
        *,
        generator: torch.Generator | None = None,
    ) -> SemanticStyleGANOutput:
        """All of `synthesis` that follows `local`, whose hidden maps and depths it takes."""
        masks, weights = self.compose(depths, composition_mask)
        features = self.local_generators.features(hidden, weights.flatten(2)).unflatten(2, depths.shape[2:])
        image, mask, coarse_mask = self.render(features, masks, noise_mode, generator=generator)
        return SemanticStyleGANOutput(image, mask, coarse_mask, depths)

    def local(self, w_plus: Tensor, coords: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """First step of `synthesis`: the hidden maps `[B, K, C, h w]` and depths `[B, K, h, w]` of all classes."""
        codes = self._codes(w_plus)
        side = self.config.coarse_resolution
        coords = self._grid()[None, None] if coords is None else self._check_coords(coords, len(codes))
        position = position_features(coords, self.num_frequencies).to(codes.dtype)
        weight = self.position_weight / math.sqrt(self.position_weight.shape[1])
        hidden, depths = self.local_generators(weight @ position, codes)
        return hidden, depths.unflatten(2, (side, side))

    def compose(self, depths: Tensor, composition_mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Second step of `synthesis`: masks (eq. 3) and the weights of the classes' features (eq. 7).

        Args:
            depths: `[B, K, h, w]`.
            composition_mask: as for `synthesis`.

        Returns:
            Masks in [0, 1] and weights, both `[B, K, h, w]`; they differ if there are transparent classes.
        """
        masks = depths.float().softmax(dim=1)
        if composition_mask is not None:
            masks = _normalized(masks * self._check_mask(composition_mask, len(depths)).to(masks)[:, :, None, None])
        if not self.config.transparent_classes:
            return masks, masks
        opaque = torch.ones(self.config.num_classes)
        opaque[list(self.config.transparent_classes)] = 0
        opaque = opaque.to(masks)[:, None, None]
        return masks, _normalized(masks * opaque) + masks * (1 - opaque)

    def render(
        self,
        features: Tensor,
        masks: Tensor,
        noise_mode: NoiseMode = "const",
        *,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Last step of `synthesis`: composed features and masks of eq. 3 -> image, refined mask, coarse mask."""
        coarse_mask = 2 * masks - 1
        skip = coarse_mask if self.config.residual_refine else None
        image, mask = self.render_net(features, skip, noise_mode, generator)
        return image, mask, coarse_mask

    def forward(
        self, z: Tensor, truncation_psi: float = 1.0, noise_mode: NoiseMode = "const"
    ) -> SemanticStyleGANOutput:
        """Z `[B, z_dim]` -> image and mask: mapping and synthesis in one go."""
        return self.synthesis(self.mapping(z, truncation_psi), noise_mode)

    def _grid(self) -> Tensor:
        """Positions of the coarse pixels, `[2, h, w]`, the outermost at -1 and 1."""
        # In full precision whatever the weights are: the highest frequency needs it.
        line = torch.linspace(-1, 1, self.config.coarse_resolution, device=self.position_weight.device)
        return torch.stack(torch.meshgrid(line, line, indexing="xy"))

    def _codes(self, w_plus: Tensor) -> Tensor:
        expected = (self.config.num_classes, self.config.local_layers, self.config.w_dim)
        return w_plus if w_plus.ndim == 4 and w_plus.shape[1:] == expected else self.expand(w_plus)

    def _check_coords(self, coords: Tensor, batch: int) -> Tensor:
        side = self.config.coarse_resolution
        expected = (self.config.num_classes, 2, side, side)
        if tuple(coords.shape) not in (expected, (batch, *expected)):
            raise InputError(
                f"Coordinates of shape {list(coords.shape)} do not fit; this generator takes {list(expected)}, or one "
                f"such tensor for each of {batch} codes."
            )
        return coords if coords.ndim == 5 else coords[None]

    def _check_mask(self, mask: Tensor, batch: int) -> Tensor:
        classes = self.config.num_classes
        if tuple(mask.shape) not in ((classes,), (1, classes), (batch, classes)):
            raise InputError(
                f"A composition mask of shape {list(mask.shape)} does not fit; this generator takes "
                f"[{batch}, {classes}] or [{classes}], a number for each class."
            )
        return mask.expand(batch, classes)


def _normalized(masks: Tensor) -> Tensor:
    """Masks `[B, K, h, w]` scaled to a sum of one, or left at zero where nothing is."""
    return masks / (masks.sum(dim=1, keepdim=True) + EPSILON)


def _check_resolutions(
    resolution: int, coarse: int, minimum: int, channels: Mapping[str, int] | None
) -> dict[int, int]:
    """Channels of the render net per resolution, in rising order."""
    sides = (minimum, coarse, resolution)
    if any(side < 1 or side & (side - 1) for side in sides) or not minimum < coarse < resolution:
        raise InputError(
            f"A render net from {minimum} over {coarse} to {resolution} pixels cannot be built; take three powers of "
            "two in rising order."
        )
    return channel_table(resolution, channels, 2 * minimum)


def _check_layers(base: int, depth: int, layers: int) -> None:
    if not 0 <= base <= depth <= layers or depth < 1:
        raise InputError(
            f"Local generators with {base} base, {depth} depth and {layers} layers in all cannot be built; take "
            "0 <= base <= depth <= all and at least one depth layer."
        )


def _check_classes(classes: int, names: Sequence[str] | None, transparent: Sequence[int]) -> None:
    if classes < 2:
        raise InputError(f"A generator of {classes} classes cannot be composed; take the background and at least one.")
    if names is not None and len(names) != classes:
        raise InputError(f"There are {len(names)} class names for {classes} classes; give one name for each.")
    wrong = [index for index in transparent if not 0 < index < classes]
    if wrong:
        raise InputError(
            f"Class {wrong[0]} cannot be transparent; of {classes} classes, 1 to {classes - 1} can, the background not."
        )
