"""Pictures, tables and JSON of what `sfhub.metrics.stylefusion` measures."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from sfhub.metrics.stylefusion import EDITING_IN_STYLE, FUSION

__all__ = ["locality_table", "save_distances", "save_grid", "save_heat_maps", "save_locality", "save_strips"]

INCHES = 1.5
"""Side of a picture in a figure."""


def save_heat_maps(maps: Mapping[str, Mapping[str, Tensor]], bases: Mapping[str, Tensor], path: str | Path) -> Path:
    """Draw maps of colour difference, a row for each set of them, on one scale of colours.

    Args:
        maps: `{row: {region: Delta E [H, W]}}`.
        bases: for rows about one constant picture that picture, `[3, H, W]`.
        path: of the PNG; its folder is made.
    """
    regions = list(dict.fromkeys(region for row in maps.values() for region in row))
    figure, panels = _panels(len(maps), len(regions) + bool(bases), 1.2)
    # The brightest pixels of the loudest map would hide all others.
    top = max(float(np.quantile(each.cpu().numpy(), 0.995)) for row in maps.values() for each in row.values())
    for line, (name, row) in zip(panels, maps.items(), strict=True):
        if name in bases:
            line[0].imshow(_picture(bases[name]))
        for panel, region in zip(line[bool(bases) :], regions, strict=True):
            shown = panel.imshow(row[region].cpu().numpy(), cmap="magma", vmin=0, vmax=max(top, 1e-6))
            panel.set_title(f"{region} ({float(row[region].mean()):.1f})", fontsize=8)
        _name_row(line[0], name)
    figure.colorbar(shown, ax=panels, shrink=0.8, label="mean ΔE")
    return _save(figure, path)


def save_grid(references: Tensor, grid: Tensor, path: str | Path) -> Path:
    """Draw what `transfer_grid` returns: references in the top row, one pose in each row below."""
    blank = np.ones((*grid.shape[-2:], 3))
    top = [blank, *(_picture(image) for image in references)]
    return _save_pictures({"": top, **{f"pose {row + 1}": images for row, images in enumerate(grid)}}, path)


def save_strips(strips: Mapping[str, Tensor], base: Tensor, path: str | Path) -> Path:
    """Draw strips of images `[K, 3, H, W]` under each other, each after the picture `[3, H, W]` they started from."""
    return _save_pictures({name: [base, *images] for name, images in strips.items()}, path)


def save_distances(distances: Mapping[str, float], out_dir: str | Path, **settings: object) -> str:
    """Write `frechet.json` and `frechet.md`; returns the table, laid out as table 1 of the paper."""
    out_dir = _folder(out_dir)
    table = _markdown(["", *distances], [["Fréchet distance", *(f"{value:.2f}" for value in distances.values())]])
    (out_dir / "frechet.json").write_text(json.dumps({**settings, "frechet_distance": dict(distances)}, indent=1))
    (out_dir / "frechet.md").write_text(table)
    return table


def locality_table(rows: Sequence[dict]) -> str:
    """Transfer at leak of both ways of mixing, per region and set of pairs.

    Args:
        rows: as `measure_locality` gives them.
    """
    header = ["region", "pairs", FUSION, EDITING_IN_STYLE]
    curves = any("leak_at_same_transfer" in row for row in rows)
    header += [f"{EDITING_IN_STYLE}, best leak at the transfer of {FUSION}"] if curves else []
    tables = []
    for name in dict.fromkeys(row["pairs_with"] for row in rows):
        lines = []
        own = [row for row in rows if row["pairs_with"] == name]
        for region in dict.fromkeys(row["region"] for row in own):
            fused, edited = (
                next(row for row in own if (row["region"], row["method"]) == (region, method))
                for method in (FUSION, EDITING_IN_STYLE)
            )
            best = edited.get("leak_at_same_transfer")
            extra = ["-" if best is None else f"{best:.1f} : 1"] if curves else []
            lines.append([region, str(fused["pairs"]), _cell(fused), _cell(edited), *extra])
        tables.append(f"Pairs with {name}:\n\n{_markdown(header, lines)}")
    return "\n".join(tables)


def save_locality(rows: Sequence[dict], out_dir: str | Path, **settings: object) -> str:
    """Write `locality.json`, `locality.md` and `locality.png`; returns the table.

    Args:
        rows: as `measure_locality` gives them.
        out_dir: made if it is not there.
        settings: kept in the JSON beside the rows (pairs, seed, ...).
    """
    out_dir, table = _folder(out_dir), locality_table(rows)
    (out_dir / "locality.json").write_text(json.dumps({**settings, "rows": list(rows)}, indent=1))
    (out_dir / "locality.md").write_text(table)
    _plot_locality(rows, out_dir / "locality.png")
    return table


def _plot_locality(rows: Sequence[dict], path: Path) -> None:
    """Bars of transfer and of leak, both methods side by side, one row of panels per set of pairs."""
    from matplotlib.figure import Figure

    sets = list(dict.fromkeys(row["pairs_with"] for row in rows))
    figure = Figure(figsize=(10, 3.2 * len(sets)), layout="constrained")
    panels = figure.subplots(len(sets), 2, squeeze=False)
    for line, name in zip(panels, sets, strict=True):
        for panel, (measure, factor, unit) in zip(
            line, [("transfer", 100, "%"), ("leak", 1, "inside : outside")], strict=True
        ):
            for shift, method in ((-0.2, FUSION), (0.2, EDITING_IN_STYLE)):
                own = [row for row in rows if (row["pairs_with"], row["method"]) == (name, method)]
                places = [place + shift for place in range(len(own))]
                panel.bar(places, [factor * row[measure] for row in own], 0.4, label=method)
                panel.set_xticks(range(len(own)), [row["region"] for row in own], rotation=30, ha="right")
            panel.set(title=f"{measure}, {name}", ylabel=f"{measure} ({unit})")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    _save(figure, path)


def _save_pictures(rows: Mapping[str, Sequence[Tensor | np.ndarray]], path: str | Path) -> Path:
    """Rows of pictures of one length, with their names beside them."""
    figure, panels = _panels(len(rows), max(map(len, rows.values())))
    for line, (name, images) in zip(panels, rows.items(), strict=True):
        for panel, image in zip(line, images, strict=True):
            panel.imshow(image if isinstance(image, np.ndarray) else _picture(image))
        _name_row(line[0], name)
    return _save(figure, path)


def _panels(rows: int, columns: int, height: float = 1.0):
    """A figure and its panels `[rows, columns]`, without axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(INCHES * columns + 0.8, INCHES * rows * height), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False)
    for panel in panels.flat:
        panel.set(xticks=[], yticks=[])
        panel.spines[:].set_visible(False)
    return figure, panels


def _name_row(panel, name: str) -> None:
    panel.set_ylabel(name, fontsize=8)


def _picture(image: Tensor) -> np.ndarray:
    """`[3, H, W]` in [-1, 1] -> `[H, W, 3]` in [0, 1]."""
    return ((image.detach().float().clamp(-1, 1) + 1) / 2).permute(1, 2, 0).cpu().numpy()


def _save(figure, path: str | Path) -> Path:
    path = _folder(Path(path).parent) / Path(path).name
    figure.savefig(path, dpi=130)
    return path


def _folder(path: str | Path) -> Path:
    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    return path


def _markdown(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *lines)) + "\n"


def _cell(row: dict) -> str:
    return f"{100 * row['transfer']:.0f}% at {row['leak']:.1f} : 1" if row["pairs"] else "-"
