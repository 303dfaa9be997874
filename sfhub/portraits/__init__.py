"""The built-in domain: stylised portraits rendered from named attributes, with exact masks and captions."""

from sfhub.portraits.attributes import (
    ATTRIBUTE_VECTOR_NAMES,
    ATTRIBUTES,
    attribute_vector,
    attribute_visibility,
    flip_attributes,
)
from sfhub.portraits.captions import captions
from sfhub.portraits.classes import CLASSES, PALETTE
from sfhub.portraits.latents import sample_attributes
from sfhub.portraits.renderer import PortraitBatch, render

__all__ = [
    "ATTRIBUTES",
    "ATTRIBUTE_VECTOR_NAMES",
    "CLASSES",
    "PALETTE",
    "PortraitBatch",
    "attribute_vector",
    "attribute_visibility",
    "captions",
    "flip_attributes",
    "render",
    "sample_attributes",
]
