"""Figures, films, tables and JSON of SemanticStyleGAN: what its paper shows, and what `semantic_stylegan` measures.

save_components   components appearing one by one, with their pseudo-depths     figures 5 and 22
save_films        interpolation, as frames, GIF, MP4 and a strip of pictures    figure 7
place_foreground  the foreground moved and scaled before photographs            figure 8
mix_grid          one region after the other from several references            figure 18
save_samples      uncurated pictures beside their masks and depths              figures 6 and 21
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import imageio.v3 as imageio
import numpy as np
from PIL import Image

from sfhub.editing.semantic import BOTH, PARTS, SHAPE, TEXTURE
from sfhub.metrics.figures import make_folder, markdown, save_pictures, transfer_cell
from sfhub.metrics.semantic_stylegan import MaskAgreement
from sfhub.portraits.classes import PALETTE
from sfhub.steps.png import DIGITAL_SOURCE_TYPE

__all__ = [
    "PLACEMENTS",
    "film_regions",
    "locality_table",
    "mask_table",
    "mix_grid",
    "place_foreground",
    "save_components",
    "save_film",
    "save_films",
    "save_json",
    "save_locality",
    "save_masks",
    "save_samples",
]

PLACEMENTS: dict[str, tuple[float, float, float]] = {
    "as generated": (0, 0, 1),
    "left": (-0.35, 0, 1),
    "right, smaller": (0.3, 0.3, 0.7),
    "far away": (-0.4, 0.5, 0.5),
    "close": (0.1, 0.25, 1.3),
}
"""Places of the foreground by name: right and down in halves of the image, and zoom; the shoulders stay on the edge."""


class Picture(Protocol):
    """What the pipelines make: a picture that can be saved with its recipe."""

    image: Image.Image

    def save(self, path: str | Path) -> Path:
        """Write it as a PNG file."""


class Component(Protocol):
    """A step in building a picture, as the pipeline's `build_up` gives it."""

    name: str
    image: Image.Image
    alone: Image.Image
    depth: np.ndarray


STRIP = 8
"""Pictures of a film that its strip shows."""


# Figure 5 -----------------------------------------------------------------------------------------------------------


def save_components(faces: Sequence[Sequence[Component]], path: str | Path) -> Path:
    """Draw pictures as they grow component by component, pseudo-depth and the component alone below each step.

    Depths of one picture share one scale, from the background at zero to the foremost pixels; what lies behind the
    background is as dark as that.

    Args:
        faces: what `build_up` gives for each picture, as many components of each.
        path: of the PNG.
    """
    rows: dict[str, list] = {}
    for number, components in enumerate(faces, start=1):
        front = _foremost(np.stack([each.depth for each in components]))
        rows[f"picture {number}"] = [each.image for each in components]
        rows[f"depth {number}"] = [_grey(each.depth, front) for each in components]
        rows[f"alone {number}"] = [each.alone for each in components]
    return save_pictures(rows, path, titles=[each.name for each in faces[0]])


def _foremost(depth: np.ndarray) -> float:
    """A depth that hardly any pixel before the background exceeds; single spikes would darken all others."""
    before = depth[depth > 0]
    return float(np.quantile(before, 0.99)) if before.size else 1.0


def _grey(depth: np.ndarray, front: float) -> np.ndarray:
    """Pseudo-depths `[h, w]` -> `[h, w, 3]`: black for the background and what is behind it, white in front."""
    return np.repeat((depth / front).clip(0, 1)[..., None], 3, axis=2)


# Figure 7 -----------------------------------------------------------------------------------------------------------


def film_regions(names: Sequence[str]) -> dict[str, list[str] | None]:
    """What each film moves: everything, then each region, such as `hair`; several joined by `+` move together."""
    return {"everything": None, **{name: name.split("+") for name in names}}


def save_films(films: Mapping[str, Sequence[Picture]], out_dir: str | Path, frames_per_second: int = 24) -> Path:
    """Write every film (frames with their recipes, GIF, MP4) and one strip of pictures of each under each other.

    Returns:
        Path of the strips, `interpolation.png`.
    """
    out_dir = make_folder(out_dir)
    strips = {}
    for name, frames in films.items():
        folder = make_folder(out_dir / name.replace(" ", "_"))
        for number, frame in enumerate(frames):
            frame.save(folder / f"{number:04d}.png")
        save_film([frame.image for frame in frames], out_dir / folder.name, frames_per_second)
        chosen = np.linspace(0, len(frames) - 1, min(STRIP, len(frames))).round().astype(int)
        strips[name] = [frames[number].image for number in chosen]
    return save_pictures(strips, out_dir / "interpolation.png")


def save_film(images: Sequence[Image.Image], path: str | Path, frames_per_second: int = 24) -> list[Path]:
    """Write pictures of one size as a GIF and an MP4, both of which say that they are synthetic.

    Args:
        images: RGB, of even height and width.
        path: without suffix.
        frames_per_second: of both.
    """
    frames = np.stack([np.asarray(image.convert("RGB")) for image in images])
    gif, mp4 = (Path(path).with_name(Path(path).name + suffix) for suffix in (".gif", ".mp4"))
    imageio.imwrite(
        gif, frames, plugin="pillow", duration=1000 / frames_per_second, loop=0, comment=DIGITAL_SOURCE_TYPE.encode()
    )
    # Blocks of 2 pixels: the plugin's default of 16 would enlarge small pictures.
    metadata = ["-metadata", f"comment={DIGITAL_SOURCE_TYPE}"]
    imageio.imwrite(
        mp4, frames, plugin="FFMPEG", fps=frames_per_second, quality=8, macro_block_size=2, output_params=metadata
    )
    return [gif, mp4]


# Figures 8 and 18 ---------------------------------------------------------------------------------------------------


def place_foreground(
    compose: Callable[..., Picture],
    foreground: Sequence[str],
    samples: Sequence[Picture],
    photographs: Sequence[Image.Image],
    placements: Mapping[str, tuple[float, float, float]] = PLACEMENTS,
) -> list[list[Picture]]:
    """Put pictures in front of photographs, moved and scaled as a whole; one list of placements per pair.

    Args:
        compose: the pipeline's.
        foreground: names of all classes but the background.
        samples, photographs: as many of each.
        placements: name -> right, down (halves of the image) and zoom.
    """
    return [
        [
            compose(
                sample,
                move=dict.fromkeys(foreground, (right, down)),
                zoom=dict.fromkeys(foreground, zoom),
                background=photograph,
            )
            for right, down, zoom in placements.values()
        ]
        for sample, photograph in zip(samples, photographs, strict=True)
    ]


def mix_grid(
    mix: Callable[..., list[Picture]],
    bases: Sequence[Picture],
    references: Sequence[Picture],
    regions: Sequence[str],
    part: str = BOTH,
) -> dict[str, list[Image.Image]]:
    """One row per region: the base, then the base with that region of each reference; the references on top.

    Args:
        mix: the pipeline's.
        bases: taken in turn, a row each.
        references: columns.
        regions: rows; for `both` the coarse structure follows as the last, as in the paper.
        part: `both`, `shape` or `texture` of the region.
    """
    given = {BOTH: "regions", SHAPE: "shape", TEXTURE: "texture"}[part]
    changes = [(name, {given: {name: list(references)}}) for name in regions]
    changes += [("coarse structure", {"layout": list(references)})] if part == BOTH else []
    blank = Image.new("RGB", references[0].image.size, "white")
    rows = {"references": [blank, *(each.image for each in references)]}
    for number, (name, change) in enumerate(changes):
        base = bases[number % len(bases)]
        rows[name] = [base.image, *(each.image for each in mix(base, **change))]
    return rows


# Figures 6 and 21 ---------------------------------------------------------------------------------------------------


def save_samples(
    samples: Sequence[Picture],
    path: str | Path,
    *,
    segment: Callable[[Any], Any],
    depths: Callable[[Any], np.ndarray],
    columns: int = 4,
) -> Path:
    """Draw pictures, each with its refined mask and the pseudo-depth of what is foremost, pixel by pixel.

    Args:
        samples: as they come.
        path: of the PNG.
        segment, depths: the pipeline's, for one picture each.
        columns: samples in a row.
    """
    tiles = [np.concatenate(_beside(each, segment(each).labels, depths(each)), axis=1) for each in samples]
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % columns)
    rows = [np.concatenate(tiles[start : start + columns], axis=1) for start in range(0, len(tiles), columns)]
    path = make_folder(Path(path).parent) / Path(path).name
    Image.fromarray(np.concatenate(rows)).save(path)
    return path


def _beside(sample: Picture, labels: np.ndarray, depths: np.ndarray) -> list[np.ndarray]:
    """Picture, mask in colours and depth, uint8 `[H, W, 3]` each."""
    depth = depths.max(axis=0)
    grey = Image.fromarray((_grey(depth, _foremost(depth)) * 255).round().astype(np.uint8))
    mask = PALETTE.numpy()[labels % len(PALETTE)]
    return [np.asarray(sample.image), mask, np.asarray(grey.resize(sample.image.size, Image.Resampling.BILINEAR))]


# Measurements -------------------------------------------------------------------------------------------------------


def locality_table(rows: Sequence[dict]) -> str:
    """Transfer at selectivity of shape and texture together and apart, and how far the mask moves.

    Args:
        rows: as `measure_locality` gives them.
    """
    lines = []
    for region in dict.fromkeys(row["region"] for row in rows):
        own = {row["part"]: row for row in rows if row["region"] == region}
        moved = own[TEXTURE]["moved"]
        share = "-" if moved is None else f"{100 * moved:.2f}%"
        lines.append([region, str(own[BOTH]["pairs"]), *(transfer_cell(own[part]) for part in PARTS), share])
    header = ["region", "pairs", "shape and texture", "shape", "texture", "mask moved by texture"]
    return markdown(header, lines)


def save_locality(rows: Sequence[dict], out_dir: str | Path, **settings: object) -> str:
    """Write `locality.json` and `locality.md`; returns the table."""
    table = locality_table(rows)
    save_json({**settings, "rows": list(rows)}, out_dir, "locality.json")
    (Path(out_dir) / "locality.md").write_text(table)
    return table


def mask_table(agreement: MaskAgreement) -> str:
    """Mean IoU, accuracy and the IoU of every class in one row."""
    header = ["mean IoU of a picture", "pixels alike", *agreement.class_iou]
    values = [agreement.mean_iou, agreement.accuracy, *agreement.class_iou.values()]
    return markdown(header, [[f"{value:.3f}" for value in values]])


def save_masks(agreement: MaskAgreement, out_dir: str | Path, **settings: object) -> str:
    """Write `masks.json` and `masks.md`; returns the table."""
    table = mask_table(agreement)
    save_json({**settings, **asdict(agreement)}, out_dir, "masks.json")
    (Path(out_dir) / "masks.md").write_text(table)
    return table


def save_json(values: Mapping[str, object], out_dir: str | Path, name: str) -> Path:
    """Write measurements with their settings."""
    path = make_folder(out_dir) / name
    path.write_text(json.dumps(values, indent=1))
    return path
