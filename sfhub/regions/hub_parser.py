"""Parsers from the Hub: any semantic segmentation network of transformers, such as a SegFormer trained on faces.

    parser = open_parser("jonathandinu/face-parsing")
    catalog = build_catalog(generator, parser, regions=regions_for(parser.config.class_names))

It names clusters and finds regions wherever the portraits' own parser would, and can be a component of a pipeline,
saved and pushed with it. Only safetensors are read and no code of the repository is run.
"""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from diffusers import ModelMixin  # noqa: F401 (diffusers loads a component only if its module has this name)
from diffusers.configuration_utils import register_to_config
from torch import Tensor
from torch.nn.functional import interpolate
from transformers import AutoConfig, AutoModelForSemanticSegmentation, PreTrainedModel
from transformers.image_processing_utils import BaseImageProcessor
from transformers.utils.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from typing_extensions import Self

from sfhub.errors import InputError, short
from sfhub.files import first_line, read_json
from sfhub.models.parser import Parser
from sfhub.portraits.parser import PortraitParser

__all__ = ["HubParser", "open_parser"]

# Entries of a configuration by which transformers would fetch code or weights from the Hub, or compute otherwise.
NOT_KEPT = {
    "auto_map",
    "backbone",
    "backbone_kwargs",
    "dtype",
    "quantization_config",
    "torch_dtype",
    "use_kernels",
    "use_pretrained_backbone",
    "use_timm_backbone",
}


def open_parser(name: str | Path, **kwargs: Any) -> Parser:
    """Load a parser; in evaluation mode.

    Args:
        name: folder of a parser of this package, or Hub id or folder of a network of transformers.
        **kwargs: `revision`, `token`, `cache_dir` and `local_files_only`, as everywhere on the Hub.

    Raises:
        InputError: if there is no such parser.
    """
    kind = PortraitParser if _class_name(name) == PortraitParser.__name__ else HubParser
    return kind.from_pretrained(name, **kwargs).eval()


class HubParser(Parser):
    """Image `[B, 3, H, W]` in [-1, 1] -> class logits and masks.

    Args:
        network_config: of a segmentation network of transformers; what would fetch anything is not kept.
        class_names: names of its classes, in the order of the mask's numbers.
        side: images are resized to this many pixels first; None leaves them as they are.
        mean, std: of the colours, in [0, 1], with which the network was trained.

    Raises:
        InputError: if there is no such network.
    """

    @register_to_config
    def __init__(
        self,
        network_config: dict[str, Any],
        class_names: tuple[str, ...],
        side: int | None = 512,
        mean: tuple[float, ...] = tuple(IMAGENET_DEFAULT_MEAN),
        std: tuple[float, ...] = tuple(IMAGENET_DEFAULT_STD),
    ):
        super().__init__()
        try:
            config = AutoConfig.for_model(**_harmless(network_config))
            self.network = AutoModelForSemanticSegmentation.from_config(config, trust_remote_code=False)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"No segmentation network can be built from the parser's configuration ({first_line(error)}); get the "
                "parser again."
            ) from error

    @property
    def largest_activation(self) -> int:
        """Numbers in the largest activation of one picture, about: 256 features per pixel."""
        return 256 * (self.config.side or 0) ** 2

    @classmethod
    def around(cls, network: PreTrainedModel, **preparation: Any) -> Self:
        """A parser around a network of transformers; `preparation` is `side`, `mean` and `std` where they differ."""
        config = _harmless(json.loads(network.config.to_json_string(use_diff=False)))
        names = [str(network.config.id2label[index]) for index in range(len(network.config.id2label))]
        with torch.device("meta"):  # the weights are those of the network
            parser = cls(config, tuple(names), **preparation)
        parser.network = network
        return parser

    @classmethod
    def from_pretrained(cls, name: str | Path, **kwargs: Any) -> Self:
        """Load such a parser from a folder, or a network of transformers by Hub id or from a folder.

        Args:
            name: such as `jonathandinu/face-parsing`.
            **kwargs: as for `open_parser`; of such a parser, as in diffusers.

        Raises:
            InputError: if it cannot be loaded as a segmentation network.
        """
        if _class_name(name) is not None:
            return super().from_pretrained(name, **kwargs)
        try:
            network = AutoModelForSemanticSegmentation.from_pretrained(
                name, use_safetensors=True, trust_remote_code=False, **kwargs
            )
        except (OSError, ValueError) as error:
            raise InputError(
                f"The parser {short(str(name))} could not be loaded ({first_line(error)}); give the Hub id or "
                "folder of a "
                "semantic segmentation model of transformers with safetensors."
            ) from error
        return cls.around(network.eval(), **_preparation(name, kwargs)).eval()

    def forward(self, image: Tensor) -> SimpleNamespace:
        """As `Parser.forward`."""
        mean, std = (image.new_tensor(values)[:, None, None] for values in (self.config.mean, self.config.std))
        x = ((image + 1) / 2 - mean) / std
        if self.config.side is not None:
            x = interpolate(x, size=(self.config.side, self.config.side), mode="bilinear", antialias=True)
        logits = self.network(pixel_values=x.to(self.dtype)).logits
        return SimpleNamespace(logits=interpolate(logits, size=image.shape[-2:], mode="bilinear"))


def _harmless(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration of transformers, also those inside it, without what is not kept."""
    return {
        key: _harmless(value) if isinstance(value, dict) else value
        for key, value in config.items()
        if key not in NOT_KEPT and not key.startswith("_") and not key.endswith("_implementation")
    }


def _class_name(name: str | Path) -> str | None:
    """The class of the component in a folder, None for anything else."""
    config = Path(name, Parser.config_name)
    return read_json(config).get("_class_name") if config.is_file() else None


def _preparation(name: str | Path, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Size and colours that the repository wants its images in; what it does not say is left out."""
    try:
        wanted, _ = BaseImageProcessor.get_image_processor_dict(name, **kwargs)
    except OSError:
        return {}
    found: dict[str, Any] = {key: tuple(wanted[f"image_{key}"]) for key in ("mean", "std") if f"image_{key}" in wanted}
    size = wanted.get("size")
    if isinstance(size, dict):
        size = size.get("height") or size.get("shortest_edge")
    return found | ({"side": int(size)} if size and wanted.get("do_resize", True) else {})
