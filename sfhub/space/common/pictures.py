"""How results are drawn: upscaled pictures, coloured regions, heat maps, outlines, all as small data URIs or SVG."""

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageFilter

from sfhub.pipelines.sample import Segmentation

__all__ = [
    "DIFFERENCE_SCALE",
    "colour_of",
    "cut_out",
    "data_uri",
    "depth_map",
    "enlarge",
    "heat_map",
    "heat_stops",
    "hex_colour",
    "outline",
    "overlay",
    "thumbnail",
]

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

# From far to near: dark to light, as depth is usually drawn, on the way from the page's indigo to a warm white.
DEPTH = np.array([(24, 22, 58), (62, 56, 128), (120, 108, 178), (190, 170, 196), (250, 240, 226)])

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


def overlay(
    image: Image.Image, segmentation: Segmentation, colours: Sequence[tuple[int, int, int]] | None = None
) -> Image.Image:
    """The regions in their colours (`colour_of` unless given) over the greyed picture, with white borders between."""
    large = enlarge(image)
    labels = _smooth_labels(segmentation, large.size)
    colours = np.array(colours or [colour_of(i) for i in range(len(segmentation.regions))], dtype=np.uint8)
    grey = large.convert("L").convert("RGB")
    mixed = np.array(Image.blend(grey, Image.fromarray(colours[labels]), 0.62))
    mixed[_borders(labels)] = 255
    return Image.fromarray(mixed)


def heat_map(difference: np.ndarray, changed: np.ndarray) -> Image.Image:
    """Colour differences `[H, W]` as colours, with an outline around the regions meant to change (bool `[H, W]`)."""
    side = Image.fromarray(difference.astype(np.float32))
    large = np.asarray(enlarge(side)).clip(0, DIFFERENCE_SCALE) / DIFFERENCE_SCALE * (len(HEAT) - 1)
    heat = _coloured(large, HEAT)
    inside = _smooth_labels(Segmentation(changed.astype(np.int64), ("outside", "inside")), heat.shape[1::-1])
    heat[_borders(inside)] = (90, 90, 110)
    return Image.fromarray(heat)


def depth_map(depth: np.ndarray) -> Image.Image:
    """Pseudo-depths `[h, w]` as colours, the nearest the lightest, from the farthest to the nearest of them."""
    large = np.asarray(enlarge(Image.fromarray(depth.astype(np.float32))))
    low, high = depth.min(), depth.max()
    return Image.fromarray(_coloured((large - low).clip(0) / max(high - low, 1e-6) * (len(DEPTH) - 1), DEPTH))


def cut_out(image: Image.Image, mask: np.ndarray, side: int = 48) -> Image.Image:
    """What a mask, bool `[H, W]`, leaves of a picture, as a small square with nothing around it."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    half = max(bottom - top, right - left) / 2 + 1
    middle = (left + right) / 2, (top + bottom) / 2
    box = [round(centre + sign * half) for sign in (-1, 1) for centre in middle]
    alpha = Image.fromarray(mask.astype(np.uint8) * 255)
    cut = image.convert("RGB")
    cut.putalpha(alpha)
    return cut.crop(box).resize((side, side), Image.Resampling.LANCZOS)


def outline(mask: np.ndarray) -> str:
    """The outline of a mask, bool `[H, W]`, as path data of SVG in pixels, holes included; corners are rounded."""
    loops = (_rounded(loop) for loop in _loops(np.pad(mask, 1)))
    return "".join("M" + "L".join(f"{x:g} {y:g}" for x, y in loop) + "Z" for loop in loops)


def _loops(padded: np.ndarray) -> list[np.ndarray]:
    """Closed chains of pixel corners `[N, 2]` (x, y) around the places where a padded mask is true."""
    rows, columns = np.nonzero(padded)
    following: dict[tuple[int, int], list[tuple[int, int]]] = {}
    # Each side of a pixel that has no neighbour there, clockwise.
    sides = (((-1, 0), (0, 0), (1, 0)), ((0, 1), (1, 0), (1, 1)), ((1, 0), (1, 1), (0, 1)), ((0, -1), (0, 1), (0, 0)))
    for (down, right), start, end in sides:
        free = ~padded[rows + down, columns + right]
        for y, x in zip(rows[free].tolist(), columns[free].tolist(), strict=True):
            following.setdefault((x + start[0] - 1, y + start[1] - 1), []).append((x + end[0] - 1, y + end[1] - 1))
    loops = []
    while following:
        first = corner = next(iter(following))
        loop = []
        while corner != first or not loop:
            loop.append(corner)
            ways = following[corner]
            corner_next = ways.pop()
            if not ways:
                del following[corner]
            corner = corner_next
        loops.append(np.array(loop, dtype=np.float64))
    return loops


def _rounded(loop: np.ndarray) -> np.ndarray:
    """A chain of pixel corners without its stairs: every other point of a running mean of five."""
    width = 2 if len(loop) > 8 else 0
    smooth = sum(np.roll(loop, shift, axis=0) for shift in range(-width, width + 1)) / (2 * width + 1)
    return smooth[:: 2 if width else 1].round(1)


def _coloured(values: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Values from 0 to the number of colours less one -> `[H, W, 3]`, between the colours where they are between."""
    channels = [np.interp(values, np.arange(len(colours)), channel) for channel in colours.T]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


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
