"""Parsers from the Hub: any semantic segmentation network of transformers, such as a SegFormer trained on faces.

    parser = HubParser.from_pretrained("jonathandinu/face-parsing")
    catalog = build_catalog(generator, parser, regions=regions_for(parser.config.class_names))

It names clusters and finds regions wherever the portraits' own parser would. Only safetensors are read and no code of
the repository is run.
"""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from transformers import AutoModelForSemanticSegmentation, PreTrainedModel
from transformers.image_processing_utils import BaseImageProcessor
from transformers.utils.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from sfhub.errors import InputError

__all__ = ["HubParser"]


class HubParser(nn.Module):
    """Image `[B, 3, H, W]` in [-1, 1] -> class logits and masks.

    Args:
        network: of transformers, whose result has `logits`.
        side: images are resized to this many pixels first; None leaves them as they are.
        mean, std: of the colours, in [0, 1], with which the network was trained.

    Attributes:
        config.class_names: names of the classes, in the order of the mask's numbers.
    """

    def __init__(
        self,
        network: PreTrainedModel,
        side: int | None = 512,
        mean: tuple[float, ...] = tuple(IMAGENET_DEFAULT_MEAN),
        std: tuple[float, ...] = tuple(IMAGENET_DEFAULT_STD),
    ):
        super().__init__()
        self.network, self.side = network, side
        names = network.config.id2label
        self.config = SimpleNamespace(class_names=tuple(str(names[index]) for index in range(len(names))))
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)

    @classmethod
    def from_pretrained(cls, name: str | Path, **kwargs: Any) -> "HubParser":
        """Load a parser by Hub id or from a folder; in evaluation mode.

        Args:
            name: such as `jonathandinu/face-parsing`.
            **kwargs: `revision`, `token`, `cache_dir` and `local_files_only`, as everywhere in transformers.

        Raises:
            InputError: if it cannot be loaded as a segmentation network.
        """
        try:
            network = AutoModelForSemanticSegmentation.from_pretrained(
                name, use_safetensors=True, trust_remote_code=False, **kwargs
            )
        except (OSError, ValueError) as error:
            reason = str(error).strip().splitlines()[0].rstrip(".")
            raise InputError(
                f"The parser {str(name)!r} could not be loaded ({reason}); give the Hub id or folder of a semantic "
                "segmentation model of transformers with safetensors."
            ) from error
        return cls(network.eval(), **_preparation(name, kwargs))

    def forward(self, image: Tensor) -> SimpleNamespace:
        """`logits` `[B, classes, H, W]` at the size of the input."""
        x = ((image.to(self.mean) + 1) / 2 - self.mean) / self.std
        if self.side is not None:
            x = interpolate(x, size=(self.side, self.side), mode="bilinear", antialias=True)
        logits = self.network(pixel_values=x).logits
        return SimpleNamespace(logits=interpolate(logits, size=image.shape[-2:], mode="bilinear"))

    @torch.no_grad()
    def segment(self, image: Tensor) -> Tensor:
        """Class numbers `[B, H, W]`, int64, of images `[B, 3, H, W]` in [-1, 1]."""
        return self(image).logits.argmax(dim=1)


def _preparation(name: str | Path, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Size and colours that the repository wants its images in; what it does not say is left out."""
    try:
        wanted, _ = BaseImageProcessor.get_image_processor_dict(name, **kwargs)
    except OSError:
        return {}
    found: dict[str, Any] = {key: wanted[f"image_{key}"] for key in ("mean", "std") if f"image_{key}" in wanted}
    size = wanted.get("size")
    if isinstance(size, dict):
        size = size.get("height") or size.get("shortest_edge")
    return found | ({"side": int(size)} if size and wanted.get("do_resize", True) else {})
