"""Portrait parser: image -> semantic mask and attribute values, trained on renders.

A small U-Net; it works on 2x2 blocks of pixels (space to depth), which spares the dearest level and keeps the mask's
resolution, and its decoder adds what skips instead of concatenating it (as LinkNet does), which spares half of the
next. Attributes are read at three levels: the deepest and the next as they lie in the picture, which shows pose, hair
and clothes, and the decoder's finest through learned attention (`_Glances`), which finds eyes, brows and lips wherever
the head has them. The parser names activation clusters, measures edits (which attributes moved, where) and lends its
features to the Fréchet distance on portraits, as Inception and face parsers do for photographs.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers import ModelMixin  # noqa: F401 (diffusers loads a component only if its module has this name)
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from sfhub.models.parser import Parser
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


class PortraitParser(Parser):
    """Image `[B, 3, H, W]` in [-1, 1] -> class logits, attribute values and features.

    Args:
        resolution: images are resized to this side first, and the logits back.
        widths: channels per level, multiples of 8, the first at half the image's side, each next at half the side of
            the one before; two levels or more.
        squeezed: channels to which the deepest level and the one before are reduced for the attributes.
        glances: attention maps over the finest level.
        feature_dim: length F of the feature vector.
        class_names: semantic classes, in the order of the mask's numbers.
        attribute_names: entries of the attribute vector.
    """

    @register_to_config
    def __init__(
        self,
        *,
        resolution: int = 128,
        widths: tuple[int, ...] = (24, 32, 56, 80),
        squeezed: tuple[int, int] = (20, 14),
        glances: int = 16,
        feature_dim: int = 192,
        class_names: tuple[str, ...] = CLASSES,
        attribute_names: tuple[str, ...] = ATTRIBUTE_VECTOR_NAMES,
    ):
        super().__init__()
        self.encoder = nn.ModuleList(
            _Block(before, width) for before, width in zip((12, *widths[:-1]), widths, strict=True)
        )
        self.narrow = nn.ModuleList(
            nn.Conv2d(deep, shallow, 1) for deep, shallow in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.decoder = nn.ModuleList(_Block(width, width) for width in widths[-2::-1])
        self.classify = nn.Conv2d(widths[0], 4 * len(class_names), 1)
        side = resolution // 2 ** len(widths)
        self.squeeze = nn.Conv2d(widths[-1], squeezed[0], 1)
        self.squeeze_next = nn.Conv2d(widths[-2], squeezed[1], 1)
        self.glance = _Glances(widths[0], len(class_names), glances)
        self.embed = nn.Linear((squeezed[0] + 4 * squeezed[1]) * side**2 + self.glance.size, feature_dim)
        self.mix = nn.Linear(feature_dim, feature_dim)
        self.regress = nn.Linear(feature_dim, len(attribute_names))

    @property
    def largest_activation(self) -> int:
        """Numbers in the largest activation of one picture of the network's resolution."""
        blocks = (self.config.resolution // 2) ** 2
        levels = [max(12, 2 * width) * blocks // 4**level for level, width in enumerate(self.config.widths)]
        return max(4 * len(self.config.class_names) * blocks, *levels)

    def forward(self, image: Tensor) -> ParserOutput:
        """Parse images `[B, 3, H, W]` in [-1, 1]."""
        size = image.shape[-2:]
        side = self.config.resolution
        x = image if tuple(size) == (side, side) else _resize(image, (side, side))
        colours, x = F.avg_pool2d(x, 2), F.pixel_unshuffle(x, 2)
        skips = []
        for level, block in enumerate(self.encoder):
            x = block(x if level == 0 else F.avg_pool2d(x, 2))
            skips.append(x)
        levels = [x]
        for narrow, block, skip in zip(self.narrow, self.decoder, skips[-2::-1], strict=True):
            x = block(F.interpolate(narrow(x), scale_factor=2.0, mode="nearest") + skip)
            levels.append(x)
        blocks = self.classify(x)
        logits = F.pixel_shuffle(blocks, 2)
        seen = [F.silu(part).flatten(1) for part in (self.squeeze(levels[0]), self.squeeze_next(levels[1]))]
        seen.append(self.glance(x, colours, blocks[:, ::4]))  # one pixel of every block
        features = F.silu(self.mix(F.silu(self.embed(torch.cat(seen, dim=1)))))
        return ParserOutput(
            logits if logits.shape[-2:] == size else _resize(logits, size), self.regress(features), features
        )


class _Glances(nn.Module):
    """What lies where each semantic class is and where learned attention maps look (spatial softmax), and where it is.

    Every map gives mean features, centre and spread; classes also give mean colours and areas, all standardised. The
    classes are taken as they are: only their own loss teaches where they lie.
    """

    def __init__(self, channels: int, classes: int, count: int):
        super().__init__()
        self.attend = nn.Conv2d(channels, count, 1)
        self.standardise = nn.BatchNorm1d(9 * classes, eps=1e-3, affine=False)
        self.size = (classes + count) * channels + 9 * classes + 5 * count

    def forward(self, x: Tensor, colours: Tensor, classes: Tensor) -> Tensor:
        """Maps `[B, C, H, W]`, colours `[B, 3, H, W]` and class logits `[B, K, H, W]` -> `[B, size]`."""
        attention = self.attend(x).flatten(2).float().softmax(dim=2)
        areas = classes.detach().float().softmax(dim=1).flatten(2)
        shares = areas / (areas.sum(dim=2, keepdim=True) + 1)
        means = torch.cat([attention, shares], dim=1).to(x.dtype) @ x.permute(0, 2, 3, 1).flatten(1, 2)
        with torch.autocast(x.device.type, enabled=False):  # spreads are small differences
            known = [_places(shares, x.shape[-2:]), shares @ colours.float().flatten(2).mT]
            known = torch.cat([*known, areas.mean(dim=2, keepdim=True).sqrt()], dim=2).flatten(1)
            seen = [means.float().flatten(1), _places(attention, x.shape[-2:]).flatten(1), self.standardise(known)]
        return torch.cat(seen, dim=1)


def _places(weight: Tensor, size: tuple[int, int]) -> Tensor:
    """Centre, standard deviations and covariance of x and y under weights `[B, K, H W]` that sum to 1: `[B, K, 5]`.

    In eighths of the picture's side, from its middle.
    """
    rows, columns = (torch.linspace(-4, 4, side, device=weight.device) for side in size)
    places = torch.stack(torch.meshgrid(columns, rows, indexing="xy")).flatten(1)
    moments = weight @ torch.cat([places, places.square(), places.prod(dim=0, keepdim=True)]).mT
    centre, squares, product = moments.split([2, 2, 1], dim=2)
    spread = (squares - centre.square()).clamp(min=1e-3).sqrt()
    return torch.cat([centre, spread, product - centre.prod(dim=2, keepdim=True)], dim=2)


class _Block(nn.Sequential):
    """Two 3x3 convolutions with batch normalisation."""

    def __init__(self, in_channels: int, channels: int):
        super().__init__(
            nn.Conv2d(in_channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
            nn.SiLU(),
        )


def _resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(x.float(), size=tuple(size), mode="bilinear", antialias=True)
