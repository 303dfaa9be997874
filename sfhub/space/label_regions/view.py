"""What the tab Label regions shows, as HTML: pure functions from clusters and names to markup.

Names come from visitors, so they are escaped. Clusters of one name share the colour of the first of them, so that a
merge can be seen.
"""

import colorsys

import numpy as np
from PIL import Image

from sfhub.space.common.markup import escaped
from sfhub.space.common.pictures import data_uri, enlarge, hex_colour
from sfhub.space.label_regions.state import OTHER, Labels
from sfhub.space.label_regions.work import Clusters

__all__ = ["EMPTY", "chips", "colours", "maps", "summary"]

DISPLAY_PIXELS = 256
CHOSEN, FADED = 0.85, 0.25
GOLDEN = 0.618034

EMPTY = '<div class="label-empty">No clusters yet. Choose how many and press <b>Find clusters</b>.</div>'


def colours(labels: Labels) -> list[tuple[int, int, int]]:
    """RGB of every cluster, that of the first one of its name; neighbours in the list are far apart in hue."""
    first = {name: labels.names.index(name) for name in labels.regions}
    return [_colour(first.get(name, index)) for index, name in enumerate(labels.names)]


def maps(clusters: Clusters, labels: Labels) -> str:
    """The pictures, each pixel in the colour of its cluster; the chosen clusters stand out."""
    palette = np.array(colours(labels), dtype=np.float32)
    strength = np.array([_strength(index, labels) for index in range(len(labels.names))], dtype=np.float32)
    pictures = (
        f'<img data-sample="{index}" src="{data_uri(_tinted(image, each, palette, strength), quality=82)}" '
        f'alt="Picture {index + 1} with its clusters in colours" draggable="false">'
        for index, (image, each) in enumerate(zip(clusters.images, clusters.labels, strict=True))
    )
    return f'<div class="label-maps">{"".join(pictures)}</div>'


def chips(clusters: Clusters, labels: Labels) -> str:
    """A button for every cluster, with its colour, name and share of the pictures."""
    shares = np.bincount(clusters.labels.flatten(), minlength=len(labels.names)) / clusters.labels.size
    buttons = (
        f'<button type="button" data-action="toggle" data-cluster="{index}" '
        f'aria-pressed="{str(index in labels.chosen).lower()}" '
        f'title="{escaped(name or "not named yet")}"><i style="background:{hex_colour(colour)}"></i>'
        f"<span>{escaped(name) or f'<small>cluster {index + 1}</small>'} <small>{share:.0%}</small></span></button>"
        for index, (name, colour, share) in enumerate(zip(labels.names, colours(labels), shares, strict=True))
    )
    return f'<div class="label-chips" role="group" aria-label="Clusters">{"".join(buttons)}</div>'


def summary(labels: Labels) -> str:
    """What would be saved now, and what to do next."""
    missing = sum(not name for name in labels.names)
    regions = ", ".join(f"<b>{escaped(name)}</b>" for name in labels.regions) or "none yet"
    rest = f" {missing} without a name will be the region <b>{OTHER}</b>." if missing else ""
    count = len(labels.chosen)
    chosen = (
        f"{count} chosen: type a name for {'it' if count == 1 else 'them'}." if count else "Choose clusters to name."
    )
    return f'<p class="hint" role="status">{chosen}<br>Regions: {regions}.{rest}</p>'


def _colour(index: int) -> tuple[int, int, int]:
    hue, value = index * GOLDEN % 1, (0.95, 0.7, 0.82)[index % 3]
    red, green, blue = colorsys.hsv_to_rgb(hue, (0.75, 0.55)[index % 2], value)
    return round(255 * red), round(255 * green), round(255 * blue)


def _strength(index: int, labels: Labels) -> float:
    """How much of its colour a cluster shows over the picture."""
    if not labels.chosen:
        return 0.6
    return CHOSEN if index in labels.chosen else FADED


def _tinted(image: Image.Image, labels: np.ndarray, palette: np.ndarray, strength: np.ndarray) -> Image.Image:
    """A greyed picture with every pixel tinted by its cluster."""
    large = enlarge(image, DISPLAY_PIXELS)
    # Clusters are told apart by their numbers, which may not be blended.
    index = np.asarray(Image.fromarray(labels.astype(np.int32)).resize(large.size, Image.Resampling.NEAREST))
    grey = np.asarray(large.convert("L").convert("RGB"), dtype=np.float32)
    weight = strength[index][..., None]
    return Image.fromarray((grey * (1 - weight) + palette[index] * weight).round().astype(np.uint8))
