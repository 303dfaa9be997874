"""The judge: a second network that reads attributes in portraits, for measurements only.

The parser helps to train generators, so a generator might please the parser with pictures in which a person sees
something else. The judge is another architecture (patches and wide blocks as in ConvNeXt, Liu et al., CVPR 2022, but
in groups of eight channels, which CPUs train faster than single ones; no masks), was trained on other renders, and
takes part in no loss.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from sfhub.portraits.attributes import ATTRIBUTE_VECTOR_NAMES

__all__ = ["JudgeOutput", "PortraitJudge"]


@dataclass
class JudgeOutput:
    """What the judge sees: `attributes` `[B, A]`, in the order of `config.attribute_names` (see `attribute_vector`)."""

    attributes: Tensor


class PortraitJudge(ModelMixin, ConfigMixin):
    """Image `[B, 3, H, W]` in [-1, 1] -> attribute values.

    Args:
        resolution: images are resized to this side first.
        widths: channels at a quarter and at an eighth of the image's side, multiples of 8.
        depths: blocks at both.
        squeezed: channels per place of the finer half of the head, which sees the map at an eighth as it lies.
        glances: attention maps of the other half, which sees the mean of the map where each of them looks.
        hidden: units of the head.
        attribute_names: entries of the attribute vector.
    """

    config_name = "config.json"

    @register_to_config
    def __init__(
        self,
        *,
        resolution: int = 128,
        widths: tuple[int, int] = (64, 128),
        depths: tuple[int, int] = (2, 4),
        squeezed: int = 8,
        glances: int = 12,
        hidden: int = 192,
        attribute_names: tuple[str, ...] = ATTRIBUTE_VECTOR_NAMES,
    ):
        super().__init__()
        fine, coarse = widths
        self.body = nn.Sequential(
            nn.Conv2d(3, fine, 6, stride=4, padding=1),
            nn.BatchNorm2d(fine),
            *(_Block(fine, 5) for _ in range(depths[0])),
            nn.Conv2d(fine, coarse, 2, stride=2),
            nn.BatchNorm2d(coarse),
            *(_Block(coarse, 7) for _ in range(depths[1])),
            nn.BatchNorm2d(coarse),
        )
        self.squeeze = nn.Conv2d(coarse, squeezed, 1)
        self.attend = nn.Conv2d(coarse, glances, 1)
        self.head = nn.Sequential(
            nn.Linear(squeezed * (resolution // 8) ** 2 + glances * coarse, hidden),
            nn.SiLU(),
            nn.Linear(hidden, len(attribute_names)),
        )

    def forward(self, image: Tensor) -> JudgeOutput:
        """Judge images `[B, 3, H, W]` in [-1, 1]."""
        side = self.config.resolution
        if tuple(image.shape[-2:]) != (side, side):
            image = F.interpolate(image.float(), size=(side, side), mode="bilinear", antialias=True)
        x = self.body(image)
        places = F.silu(self.squeeze(x)).flatten(1)
        means = self.attend(x).flatten(2).softmax(dim=2) @ x.permute(0, 2, 3, 1).flatten(1, 2)
        return JudgeOutput(self.head(torch.cat([places, means.to(places.dtype).flatten(1)], dim=1)))


class _Block(nn.Module):
    """A wide convolution in groups of eight channels, then every place by itself, added to what came in."""

    def __init__(self, channels: int, kernel: int):
        super().__init__()
        self.change = nn.Sequential(
            nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels // 8),
            nn.BatchNorm2d(channels),
            nn.Conv2d(channels, 3 * channels, 1),
            nn.SiLU(),
            nn.Conv2d(3 * channels, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.change(x)
