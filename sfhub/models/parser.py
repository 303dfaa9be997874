"""What all parsers share: networks that say of every pixel of a picture which semantic class it belongs to."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from diffusers import ConfigMixin, ModelMixin
from torch import Tensor

__all__ = ["Parser"]


class Parser(ModelMixin, ConfigMixin, ABC):
    """Base of the parsers; any subclass can be the component `parser` of a pipeline.

    Its configuration has `class_names`, in the order of the numbers in masks. Its module has to import `ModelMixin`, or
    diffusers does not load it.
    """

    config_name = "config.json"

    @abstractmethod
    def forward(self, image: Tensor) -> Any:
        """Parse images `[B, 3, H, W]` in [-1, 1].

        Returns:
            An object whose `logits` are `[B, classes, H, W]`, at the size of the images.
        """

    @torch.no_grad()
    def segment(self, image: Tensor) -> Tensor:
        """Class numbers, integers `[B, H, W]`, of images `[B, 3, H, W]` in [-1, 1]."""
        logits = self(image).logits
        return logits.argmax(dim=1).to(torch.uint8 if logits.shape[1] <= 256 else torch.int64)
