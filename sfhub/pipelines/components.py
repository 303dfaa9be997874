"""Which classes the components of a pipeline may have."""

import inspect
from collections.abc import Iterator

from diffusers import ModelMixin

from sfhub.models.stylegan2 import StyleGAN2Generator
from sfhub.portraits.parser import PortraitParser
from sfhub.regions.hub_parser import HubParser

__all__ = ["BUILT_IN", "kinds_of"]

BUILT_IN = (StyleGAN2Generator, PortraitParser, HubParser)
"""Classes that pipelines name by their base only; imported here, so that `kinds_of` always finds them."""


def kinds_of(base: type[ModelMixin]) -> Iterator[type[ModelMixin]]:
    """A class and those derived from it that the program has imported, abstract ones left out.

    A model folder may name any of them: what is imported already runs no code that the folder brings along.
    """
    if not inspect.isabstract(base):
        yield base
    for kind in base.__subclasses__():
        yield from kinds_of(kind)
