"""Portrait parser: image -> semantic mask and attribute values, trained on renders.

A small U-Net with a regression head; it works on 2x2 blocks of pixels (space to depth), which spares the
dearest level and keeps the mask's resolution. It names activation clusters, measures edits (which attributes moved,
where) and lends its features to the Fréchet distance on portraits, as Inception and face parsers do for photographs.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from sfhub.portraits.attributes import ATTRIBUTE_VECTOR_NAMES
from sfhub.portraits.classes import CLASSES

__all__ = ["ParserOutput", "PortraitParser"]


@dataclass
class ParserOutput:
    """What the parser sees.

    Attributes:
        logits: `[B, classes, H, W]` at the size of the input.
        attributes: `[B, A]`, in the order of `config.attribute_names` (see `attribute_vector`).
        features: `[B, F]`, the layer before the attributes.
    """

    logits: Tensor
    attributes: Tensor
    features: Tensor


class PortraitParser(ModelMixin, ConfigMixin):
    """Image `[B, 3, H, W]` in [-1, 1] -> class logits, attribute values and features.

    Args:
        resolution: images are resized to this side first, and the logits back.
        widths: channels per level, the first at half the image's side, each next at half the side of the one before.
        feature_dim: length F of the feature vector.
        class_names: semantic classes, in the order of the mask's numbers.
        attribute_names: entries of the attribute vector.
    """

    config_name = "config.json"

    @register_to_config
    def __init__(
        self,
        *,
        resolution: int = 128,
        widths: tuple[int, ...] = (24, 32, 48, 64),
        feature_dim: int = 128,
        class_names: tuple[str, ...] = CLASSES,
        attribute_names: tuple[str, ...] = ATTRIBUTE_VECTOR_NAMES,
    ):
        super().__init__()
        self.encoder = nn.ModuleList(
            _Block(before, width) for before, width in zip((12, *widths[:-1]), widths, strict=True)
        )
        self.decoder = nn.ModuleList(
            _Block(deep + shallow, shallow) for deep, shallow in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.classify = nn.Conv2d(widths[0], 4 * len(class_names), 1)
        side = resolution // 2 ** len(widths)
        self.squeeze = nn.Conv2d(widths[-1], 32, 1)
        self.embed = nn.Linear(32 * side * side, feature_dim)
        self.regress = nn.Linear(feature_dim, len(attribute_names))

    def forward(self, image: Tensor) -> ParserOutput:
        """Parse images `[B, 3, H, W]` in [-1, 1]."""
        size = image.shape[-2:]
        side = self.config.resolution
        x = image if tuple(size) == (side, side) else _resize(image, (side, side))
        x = F.pixel_unshuffle(x, 2)
        skips = []
        for level, block in enumerate(self.encoder):
            x = block(x if level == 0 else F.avg_pool2d(x, 2))
            skips.append(x)
        features = F.silu(self.embed(F.silu(self.squeeze(x)).flatten(1)))
        for block, skip in zip(self.decoder, skips[-2::-1], strict=True):
            x = block(torch.cat([F.interpolate(x, scale_factor=2.0, mode="nearest"), skip], dim=1))
        logits = F.pixel_shuffle(self.classify(x), 2)
        return ParserOutput(
            logits if logits.shape[-2:] == size else _resize(logits, size), self.regress(features), features
        )

    @torch.no_grad()
    def segment(self, image: Tensor) -> Tensor:
        """Class numbers `[B, H, W]`, uint8, of images `[B, 3, H, W]` in [-1, 1]."""
        return self(image).logits.argmax(dim=1).to(torch.uint8)


class _Block(nn.Sequential):
    """Two 3x3 convolutions with group normalisation."""

    def __init__(self, in_channels: int, channels: int):
        super().__init__(
            nn.Conv2d(in_channels, channels, 3, padding=1),
            nn.GroupNorm(8, channels),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.GroupNorm(8, channels),
            nn.SiLU(),
        )


def _resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(x.float(), size=tuple(size), mode="bilinear", antialias=True)
