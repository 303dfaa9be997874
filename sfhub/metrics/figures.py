"""What the reports share: figures of pictures in rows, tables in Markdown, folders that are made when needed."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

__all__ = [
    "make_folder",
    "make_panels",
    "markdown",
    "name_row",
    "pixels",
    "save_figure",
    "save_pictures",
    "transfer_cell",
]

INCHES = 1.5
"""Side of a picture in a figure."""

Picture = Tensor | np.ndarray | Image.Image
"""`[3, H, W]` in [-1, 1], `[H, W, 3]` in [0, 1], or a PIL image."""


def save_pictures(rows: Mapping[str, Sequence[Picture]], path: str | Path, titles: Sequence[str] = ()) -> Path:
    """Draw rows of pictures of one length, with their names beside them and titles above the columns."""
    figure, panels = make_panels(len(rows), max(map(len, rows.values())))
    for line, (name, images) in zip(panels, rows.items(), strict=True):
        for panel, image in zip(line, images, strict=True):
            panel.imshow(pixels(image))
        name_row(line[0], name)
    for panel, title in zip(panels[0], titles, strict=False):
        panel.set_title(title, fontsize=8)
    return save_figure(figure, path)


def make_panels(rows: int, columns: int, height: float = 1.0):
    """A figure and its panels `[rows, columns]`, without axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(INCHES * columns + 0.8, INCHES * rows * height), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False)
    for panel in panels.flat:
        panel.set(xticks=[], yticks=[])
        panel.spines[:].set_visible(False)
    return figure, panels


def name_row(panel, name: str) -> None:
    """Write a name beside the first panel of a row."""
    panel.set_ylabel(name, fontsize=8)


def pixels(image: Picture) -> np.ndarray:
    """What matplotlib shows of a picture: `[H, W, 3]` in [0, 1]."""
    if isinstance(image, Image.Image):
        return np.asarray(image.convert("RGB")) / 255
    if isinstance(image, np.ndarray):
        return image
    return ((image.detach().float().clamp(-1, 1) + 1) / 2).permute(1, 2, 0).cpu().numpy()


def save_figure(figure, path: str | Path) -> Path:
    """Write a figure as a PNG whose folder is made if it is not there."""
    path = make_folder(Path(path).parent) / Path(path).name
    figure.savefig(path, dpi=130)
    return path


def make_folder(path: str | Path) -> Path:
    """A folder, made if it is not there."""
    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    return path


def markdown(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *lines)) + "\n"


def transfer_cell(row: Mapping) -> str:
    """Transfer at selectivity of one row of `sfhub.regions.separability`, `-` if no pair counted."""
    return f"{100 * row['transfer']:.0f}% at {row['selectivity']:.1f} : 1" if row["pairs"] else "-"
