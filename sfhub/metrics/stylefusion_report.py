"""Pictures, tables and JSON of what `sfhub.metrics.stylefusion` measures."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

import numpy as np
from torch import Tensor

from sfhub.metrics.figures import (
    make_folder,
    make_panels,
    markdown,
    name_row,
    pixels,
    save_figure,
    save_pictures,
    transfer_cell,
)
from sfhub.metrics.stylefusion import EDITING_IN_STYLE, STYLE_FUSION

__all__ = [
    "locality_table",
    "save_attributes",
    "save_distances",
    "save_grid",
    "save_heat_maps",
    "save_locality",
    "save_strips",
]


def save_heat_maps(maps: Mapping[str, Mapping[str, Tensor]], bases: Mapping[str, Tensor], path: str | Path) -> Path:
    """Draw maps of colour difference, a row for each set of them, on one scale of colours.

    Args:
        maps: `{row: {region: Delta E [H, W]}}`.
        bases: for rows about one constant picture that picture, `[3, H, W]`.
        path: of the PNG; its folder is made.
    """
    regions = list(dict.fromkeys(region for row in maps.values() for region in row))
    figure, panels = make_panels(len(maps), len(regions) + bool(bases), 1.2)
    # The brightest pixels of the loudest map would hide all others.
    top = max(float(np.quantile(each.cpu().numpy(), 0.995)) for row in maps.values() for each in row.values())
    for line, (name, row) in zip(panels, maps.items(), strict=True):
        if name in bases:
            line[0].imshow(pixels(bases[name]))
        for panel, region in zip(line[bool(bases) :], regions, strict=True):
            shown = panel.imshow(row[region].cpu().numpy(), cmap="magma", vmin=0, vmax=max(top, 1e-6))
            panel.set_title(f"{region} ({float(row[region].mean()):.1f})", fontsize=8)
        name_row(line[0], name)
    figure.colorbar(shown, ax=panels, shrink=0.8, label="mean ΔE")
    return save_figure(figure, path)


def save_grid(references: Tensor, grid: Tensor, path: str | Path) -> Path:
    """Draw what `transfer_grid` returns: references in the top row, one pose in each row below."""
    blank = np.ones((*grid.shape[-2:], 3))
    top = [blank, *(pixels(image) for image in references)]
    return save_pictures({"": top, **{f"pose {row + 1}": images for row, images in enumerate(grid)}}, path)


def save_strips(strips: Mapping[str, Tensor], base: Tensor, path: str | Path) -> Path:
    """Draw strips of images `[K, 3, H, W]` under each other, each after the picture `[3, H, W]` they started from."""
    return save_pictures({name: [base, *images] for name, images in strips.items()}, path)


def save_distances(distances: Mapping[str, float], out_dir: str | Path, **settings: object) -> str:
    """Write `frechet.json` and `frechet.md`; returns the table, laid out as table 1 of the paper."""
    out_dir = make_folder(out_dir)
    table = markdown(["", *distances], [["Fréchet distance", *(f"{value:.2f}" for value in distances.values())]])
    (out_dir / "frechet.json").write_text(json.dumps({**settings, "frechet_distance": dict(distances)}, indent=1))
    (out_dir / "frechet.md").write_text(table)
    return table


def locality_table(rows: Sequence[dict]) -> str:
    """Transfer at selectivity of both ways of mixing, per region and set of pairs.

    Args:
        rows: as `measure_locality` gives them.
    """
    header = ["region", "pairs", STYLE_FUSION, EDITING_IN_STYLE]
    curves = any("selectivity_at_same_transfer" in row for row in rows)
    header += [f"{EDITING_IN_STYLE}, best selectivity at the transfer of {STYLE_FUSION}"] if curves else []
    tables = []
    for name in dict.fromkeys(row["pairs_with"] for row in rows):
        lines = []
        own = [row for row in rows if row["pairs_with"] == name]
        for region in dict.fromkeys(row["region"] for row in own):
            fused, edited = (
                next(row for row in own if (row["region"], row["method"]) == (region, method))
                for method in (STYLE_FUSION, EDITING_IN_STYLE)
            )
            best = edited.get("selectivity_at_same_transfer")
            extra = ["-" if best is None else f"{best:.1f} : 1"] if curves else []
            lines.append([region, str(fused["pairs"]), transfer_cell(fused), transfer_cell(edited), *extra])
        tables.append(f"Pairs with {name}:\n\n{markdown(header, lines)}")
    return "\n".join(tables)


def save_locality(rows: Sequence[dict], out_dir: str | Path, **settings: object) -> str:
    """Write `locality.json`, `locality.md` and `locality.png`; returns the table.

    Args:
        rows: as `measure_locality` gives them.
        out_dir: made if it is not there.
        settings: kept in the JSON beside the rows (pairs, seed, ...).
    """
    out_dir, table = make_folder(out_dir), locality_table(rows)
    (out_dir / "locality.json").write_text(json.dumps({**settings, "rows": list(rows)}, indent=1))
    (out_dir / "locality.md").write_text(table)
    _plot_locality(rows, out_dir / "locality.png")
    return table


def save_attributes(
    scores: Mapping[str, Mapping[str, Mapping[str, float]]], out_dir: str | Path, **settings: object
) -> str:
    """Write `attributes.json` and `attributes.md`; returns the table of medians, one row per region.

    Args:
        scores: as `sfhub.metrics.attributes.measure_attributes` gives them.
        out_dir: made if it is not there.
        settings: kept in the JSON beside the scores.
    """
    out_dir = make_folder(out_dir)
    lines = []
    for region, parts in scores.items():
        kept = parts["kept"]
        worst = min(kept, key=kept.get, default=None)
        medians = [f"{median(part.values()):.2f}" if part else "-" for part in parts.values()]
        lines.append([region, *medians, f"{worst} {kept[worst]:.2f}" if kept else "-"])
    head = ["region", "of the source: median", "the same swap drawn", "kept: median", "lowest"]
    table = markdown(head, lines)
    own = [
        [name, region, f"{score:.2f}", f"{parts['drawn'][name]:.2f}" if name in parts["drawn"] else "-"]
        for region, parts in scores.items()
        for name, score in parts["transferred"].items()
    ]
    details = markdown(["attribute", "mixed region", "R² or accuracy against the source", "the same swap drawn"], own)
    (out_dir / "attributes.json").write_text(json.dumps({**settings, "scores": scores}, indent=1))
    (out_dir / "attributes.md").write_text(f"{table}\n{details}")
    return table


def _plot_locality(rows: Sequence[dict], path: Path) -> None:
    """Bars of transfer and of selectivity, both methods side by side, one row of panels per set of pairs."""
    from matplotlib.figure import Figure

    sets = list(dict.fromkeys(row["pairs_with"] for row in rows))
    figure = Figure(figsize=(10, 3.2 * len(sets)), layout="constrained")
    panels = figure.subplots(len(sets), 2, squeeze=False)
    for line, name in zip(panels, sets, strict=True):
        for panel, (measure, factor, unit) in zip(
            line, [("transfer", 100, "%"), ("selectivity", 1, "inside : outside")], strict=True
        ):
            for shift, method in ((-0.2, STYLE_FUSION), (0.2, EDITING_IN_STYLE)):
                own = [row for row in rows if (row["pairs_with"], row["method"]) == (name, method)]
                places = [place + shift for place in range(len(own))]
                panel.bar(places, [factor * row[measure] for row in own], 0.4, label=method)
                panel.set_xticks(range(len(own)), [row["region"] for row in own], rotation=30, ha="right")
            panel.set(title=f"{measure}, {name}", ylabel=f"{measure} ({unit})")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    save_figure(figure, path)
