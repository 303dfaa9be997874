"""Dual-branch discriminator of SemanticStyleGAN: judges an image together with its semantic mask.

*SemanticStyleGAN* (Shi et al., CVPR 2022), sec. 3.2 and fig. 15: two stacks of StyleGAN2's residual blocks, one for the
image and one for the mask, whose outputs are summed before the minibatch standard deviation, so that the gradients of
the two can be penalised apart. Without a mask it is StyleGAN2's discriminator, which is how a model is adapted to
images alone (sec. 5.3). Equal to the official `DualBranchDiscriminator`.
"""

from collections.abc import Mapping

from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from sfhub.errors import InputError
from sfhub.models.layers import EqualConv2d, leaky_relu
from sfhub.models.style_space import check_channels
from sfhub.models.stylegan2_discriminator import Epilogue, ResidualBlock

__all__ = ["SemanticStyleGANDiscriminator"]


class Branch(nn.Module):
    """`[B, C, resolution, resolution]` -> `[B, channels[4], 4, 4]`: a 1x1 convolution, then halving residual blocks."""

    def __init__(self, in_channels: int, resolution: int, channels: Mapping[int, int]):
        super().__init__()
        self.entry = EqualConv2d(in_channels, channels[resolution], 1)
        sides = [2**i for i in range(resolution.bit_length() - 1, 2, -1)]
        self.blocks = nn.ModuleDict(
            {str(side): ResidualBlock(channels[side], channels[side // 2], conv_clamp=None) for side in sides}
        )

    def forward(self, x: Tensor) -> Tensor:
        x = leaky_relu(self.entry(x))
        for block in self.blocks.values():
            x = block(x)
        return x


class SemanticStyleGANDiscriminator(ModelMixin, ConfigMixin):
    """Image `[B, 3, H, W]` and mask `[B, K, h, w]` -> realness logit `[B, 1]`.

    Args:
        resolution: side of the image in pixels, a power of two, 8 or more.
        mask_resolution: side of the mask, as the image if None.
        num_classes: K, channels of the mask.
        channels: channels per resolution, `{"4": 512, ...}`; the official table if None.
        image_channels: channels of the image.
        mbstd_group_size: group of the minibatch standard deviation.

    Raises:
        InputError: for a resolution or a channel table that cannot be built.
    """

    config_name = "config.json"

    @register_to_config
    def __init__(
        self,
        *,
        resolution: int = 256,
        mask_resolution: int | None = None,
        num_classes: int = 13,
        channels: dict[str, int] | None = None,
        image_channels: int = 3,
        mbstd_group_size: int = 4,
    ):
        super().__init__()
        self.mask_resolution = mask_resolution or resolution
        table = check_channels(resolution, channels)
        mask_table = check_channels(self.mask_resolution, channels)
        self.image_branch = Branch(image_channels, resolution, table)
        self.mask_branch = Branch(num_classes, self.mask_resolution, mask_table)
        self.epilogue = Epilogue(table[4], 1, mbstd_group_size, conv_clamp=None)

    def forward(self, image: Tensor, mask: Tensor | None = None) -> Tensor:
        """Realness logits.

        Args:
            image: `[B, 3, H, W]` in [-1, 1].
            mask: `[B, K, h, w]`, 1 inside a class and -1 outside, or a generator's logits; None judges the image alone.

        Returns:
            `[B, 1]`.

        Raises:
            InputError: if image or mask have another shape.
        """
        side = self.config.resolution
        _check_shape("image", image, (len(image), self.config.image_channels, side, side))
        x = self.image_branch(image)
        if mask is not None:
            side = self.mask_resolution
            _check_shape("mask", mask, (len(image), self.config.num_classes, side, side))
            x = x + self.mask_branch(mask)
        return self.epilogue(x)


def _check_shape(what: str, value: Tensor, expected: tuple[int, ...]) -> None:
    if tuple(value.shape) != expected:
        raise InputError(
            f"This discriminator's {what} has shape {list(value.shape)} where {list(expected)} was expected; give "
            "images and masks of one batch in the sizes that it was built for."
        )
