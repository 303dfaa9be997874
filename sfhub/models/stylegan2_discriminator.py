"""StyleGAN2 discriminator (residual architecture).

*Analyzing and Improving the Image Quality of StyleGAN* (Karras et al., CVPR 2020), with the projection of
StyleGAN2-ADA for class labels. Equal to NVIDIA's and rosinality's, whose residual blocks are the same computation.
"""

import math

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from sfhub.models.layers import EqualConv2d, EqualLinear, leaky_relu, normalize_second_moment
from sfhub.models.style_space import check_channels

__all__ = ["StyleGAN2Discriminator", "minibatch_stddev"]

SQRT_HALF = math.sqrt(0.5)


def minibatch_stddev(x: Tensor, group_size: int) -> Tensor:
    """Append one channel: the mean standard deviation over groups of the batch (Karras et al. 2018, sec. 3).

    Args:
        x: `[B, C, H, W]`; B is divided into groups of `min(group_size, B)`, which must divide B.

    Returns:
        `[B, C + 1, H, W]`.
    """
    batch, _, height, width = x.shape
    group = min(group_size, batch)
    y = x.float().reshape(group, -1, *x.shape[1:])
    deviation = (y.var(dim=0, correction=0) + 1e-8).sqrt().mean(dim=(1, 2, 3))
    plane = deviation.repeat(group)[:, None, None, None].expand(-1, 1, height, width)
    return torch.cat([x, plane.to(x.dtype)], dim=1)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, the second halving the resolution, beside a 1x1 skip; their sum has unit variance."""

    def __init__(self, in_channels: int, out_channels: int, conv_clamp: float | None):
        super().__init__()
        self.clamp = conv_clamp
        self.conv0 = EqualConv2d(in_channels, in_channels, 3)
        self.conv1 = EqualConv2d(in_channels, out_channels, 3, down=True)
        self.skip = EqualConv2d(in_channels, out_channels, 1, bias=False, down=True)

    def forward(self, x: Tensor) -> Tensor:
        skip = self.skip(x) * SQRT_HALF
        x = leaky_relu(self.conv0(x), clamp=self.clamp)
        clamp = None if self.clamp is None else self.clamp * SQRT_HALF
        return leaky_relu(self.conv1(x), gain=1.0, clamp=clamp) + skip  # gain sqrt(2) * sqrt(1/2)


class Epilogue(nn.Module):
    """The 4x4 end: minibatch standard deviation, a convolution and two linear layers."""

    def __init__(self, channels: int, out_features: int, mbstd_group_size: int, conv_clamp: float | None):
        super().__init__()
        self.mbstd_group_size = mbstd_group_size
        self.clamp = conv_clamp
        self.conv = EqualConv2d(channels + 1, channels, 3)
        self.fc = EqualLinear(channels * 16, channels)
        self.out = EqualLinear(channels, out_features)

    def forward(self, x: Tensor) -> Tensor:
        x = minibatch_stddev(x, self.mbstd_group_size)
        x = leaky_relu(self.conv(x), clamp=self.clamp)
        x = leaky_relu(self.fc(x.flatten(1)))
        return self.out(x)


class StyleGAN2Discriminator(ModelMixin, ConfigMixin):
    """Image `[B, 3, H, W]` -> realness logit `[B, 1]`.

    Args:
        resolution: side of the image in pixels, a power of two, 8 or more.
        channels: channels per resolution, `{"4": 512, ...}`; the official table if None.
        num_classes: classes of a conditional discriminator, 0 if unconditional.
        image_channels: channels of the image.
        conv_clamp: clamp of every layer's output, None for none.
        mbstd_group_size: group of the minibatch standard deviation.
        num_mapping_layers, mapping_lr_multiplier: label mapping of a conditional discriminator.

    Raises:
        InputError: for a resolution or a channel table that cannot be built.
    """

    config_name = "config.json"

    @register_to_config
    def __init__(
        self,
        *,
        resolution: int = 1024,
        channels: dict[str, int] | None = None,
        num_classes: int = 0,
        image_channels: int = 3,
        conv_clamp: float | None = None,
        mbstd_group_size: int = 4,
        num_mapping_layers: int = 8,
        mapping_lr_multiplier: float = 0.01,
    ):
        super().__init__()
        table = check_channels(resolution, channels)
        self.from_rgb = EqualConv2d(image_channels, table[resolution], 1)
        sides = [2**i for i in range(resolution.bit_length() - 1, 2, -1)]
        self.blocks = nn.ModuleDict(
            {str(side): ResidualBlock(table[side], table[side // 2], conv_clamp) for side in sides}
        )
        label_dim = table[4] if num_classes else 0
        self.epilogue = Epilogue(table[4], label_dim or 1, mbstd_group_size, conv_clamp)
        self.mapping = (
            _LabelMapping(num_classes, label_dim, num_mapping_layers, mapping_lr_multiplier) if num_classes else None
        )

    def forward(self, image: Tensor, label: Tensor | None = None) -> Tensor:
        """Realness logits `[B, 1]` of images `[B, 3, H, W]` in [-1, 1], given one-hot labels if conditional."""
        return self.judge(self.features(image)[-1], label)

    def features(self, image: Tensor) -> list[Tensor]:
        """Outputs of all residual blocks, from the finest to `[B, C, 4, 4]`."""
        x = leaky_relu(self.from_rgb(image), clamp=self.config.conv_clamp)
        features = []
        for block in self.blocks.values():
            x = block(x)
            features.append(x)
        return features

    def judge(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Realness logits `[B, 1]` from the output of the last block, `[B, C, 4, 4]`."""
        x = self.epilogue(x)
        if self.mapping is None:
            return x
        target = self.mapping(label.to(x.dtype))
        return (x * target).sum(dim=1, keepdim=True) / math.sqrt(target.shape[1])


class _LabelMapping(nn.Module):
    """One-hot label -> the direction on which a conditional discriminator projects."""

    def __init__(self, num_classes: int, width: int, num_layers: int, lr_multiplier: float):
        super().__init__()
        self.embed = EqualLinear(num_classes, width)
        self.layers = nn.ModuleList(EqualLinear(width, width, lr_multiplier=lr_multiplier) for _ in range(num_layers))

    def forward(self, label: Tensor) -> Tensor:
        x = normalize_second_moment(self.embed(label))
        for layer in self.layers:
            x = leaky_relu(layer(x))
        return x
