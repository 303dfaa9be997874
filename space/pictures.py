"""How results are drawn: upscaled pictures, coloured regions, heat maps, all as small data URIs."""

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageFilter

from sfhub.pipelines.sample import Segmentation

__all__ = ["DIFFERENCE_SCALE", "colour_of", "data_uri", "enlarge", "heat_map", "heat_stops", "hex_colour", "overlay"]

DISPLAY_PIXELS = 384
THUMBNAIL_PIXELS = 128

# From the schemes "bright" and "muted" of Paul Tol (Colour Schemes, SRON, 2021), made for all kinds of colour vision.
REGION_COLOURS = (
    (68, 119, 170),
    (238, 102, 119),
    (34, 136, 51),
    (204, 187, 68),
    (102, 204, 238),
    (170, 51, 119),
    (238, 153, 85),
    (136, 136, 148),
    (51, 34, 136),
    (153, 153, 51),
    (136, 34, 85),
    (68, 170, 153),
)

DIFFERENCE_SCALE = 30.0
"""Delta E at the dark end of the heat map; fixed, so that two heat maps can be compared."""

# Light to dark in even steps of lightness; white is no change.
HEAT = np.array([(255, 255, 255), (254, 224, 139), (253, 154, 80), (226, 75, 64), (158, 1, 66), (66, 3, 61)])


def colour_of(index: int) -> tuple[int, int, int]:
    """RGB colour of the region with this index."""
    return REGION_COLOURS[index % len(REGION_COLOURS)]


def hex_colour(colour: Sequence[float]) -> str:
    """`#rrggbb`."""
    return "#" + "".join(f"{round(channel):02x}" for channel in colour)


def heat_stops() -> list[str]:
    """The colours of the heat map from 0 to `DIFFERENCE_SCALE`, evenly spaced."""
    return [hex_colour(colour) for colour in HEAT]


def enlarge(image: Image.Image, side: int = DISPLAY_PIXELS) -> Image.Image:
    """A small picture scaled up smoothly (Lanczos); one that is large enough stays as it is."""
    if min(image.size) >= side:
        return image
    factor = side / min(image.size)
    return image.resize([round(length * factor) for length in image.size], Image.Resampling.LANCZOS)


def thumbnail(image: Image.Image) -> Image.Image:
    """A picture no larger than a place in the gallery needs."""
    if max(image.size) <= THUMBNAIL_PIXELS:
        return image
    return image.resize((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS), Image.Resampling.LANCZOS)


def data_uri(image: Image.Image, quality: int = 88) -> str:
    """A picture as WebP in a `data:` URI, 2 to 20 kB for what this page shows."""
    buffer = io.BytesIO()
    image.save(buffer, format="WEBP", quality=quality, method=2)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def overlay(image: Image.Image, segmentation: Segmentation) -> Image.Image:
    """The regions in their colours over the greyed picture, with white borders between them."""
    large = enlarge(image)
    labels = _smooth_labels(segmentation, large.size)
    colours = np.array([colour_of(i) for i in range(len(segmentation.regions))], dtype=np.uint8)
    grey = large.convert("L").convert("RGB")
    mixed = np.array(Image.blend(grey, Image.fromarray(colours[labels]), 0.62))
    mixed[_borders(labels)] = 255
    return Image.fromarray(mixed)


def heat_map(difference: np.ndarray, changed: np.ndarray) -> Image.Image:
    """Colour differences `[H, W]` as colours, with an outline around the regions meant to change (bool `[H, W]`)."""
    side = Image.fromarray(difference.astype(np.float32))
    large = np.asarray(enlarge(side)).clip(0, DIFFERENCE_SCALE) / DIFFERENCE_SCALE * (len(HEAT) - 1)
    places = np.arange(len(HEAT))
    channels = [np.interp(large, places, channel) for channel in HEAT.T]
    heat = np.stack(channels, axis=-1).round().astype(np.uint8)
    inside = _smooth_labels(Segmentation(changed.astype(np.int64), ("outside", "inside")), heat.shape[1::-1])
    heat[_borders(inside)] = (90, 90, 110)
    return Image.fromarray(heat)


def _smooth_labels(segmentation: Segmentation, size: tuple[int, int]) -> np.ndarray:
    """A label map scaled up with smooth outlines: each region's mask is blurred on the way, and the strongest wins."""
    blur = ImageFilter.GaussianBlur(size[0] / segmentation.labels.shape[1] / 2)
    present = np.unique(segmentation.labels)
    masks = [Image.fromarray((segmentation.labels == index).astype(np.uint8) * 255) for index in present]
    large = [np.asarray(mask.resize(size, Image.Resampling.BICUBIC).filter(blur)) for mask in masks]
    return present[np.argmax(large, axis=0)]


def _borders(labels: np.ndarray) -> np.ndarray:
    """Pixels whose right or lower neighbour has another label, and that neighbour, bool `[H, W]`."""
    borders = np.zeros(labels.shape, dtype=bool)
    down, right = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    borders[1:] |= down
    borders[:-1] |= down
    borders[:, 1:] |= right
    borders[:, :-1] |= right
    return borders
