"""Transfer against selectivity for every region of a model: curves over both relevances, a table, a plot and JSON."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from sfhub.metrics.figures import make_folder, markdown, transfer_cell
from sfhub.models.parser import Parser
from sfhub.models.style_space import StyleGenerator
from sfhub.regions.build import candidate_queries
from sfhub.regions.catalog import METHODS, RegionCatalog
from sfhub.regions.separability import WANTED_SELECTIVITY, measure_queries

__all__ = ["markdown_table", "measure_curves", "plot_curves", "save_report"]

DEFAULT = "default"


def measure_curves(
    generator: StyleGenerator,
    catalog: RegionCatalog,
    parser: Parser | None = None,
    *,
    modes: Sequence[str] = ("threshold", "sequential"),
    pairs: int = 500,
    seed: int = 1000,
    truncation_psi: float = 0.7,
    batch_size: int = 64,
    progress: bool = True,
) -> list[dict]:
    """Transfer and selectivity of the default query and of a range of queries, for every region.

    Args:
        generator, catalog, parser, pairs, seed, truncation_psi, batch_size, progress: see
            `sfhub.regions.separability.measure_queries`; take another seed than those the catalog was built on.
        modes: kinds of query whose range is measured, see `RegionCatalog.query`.

    Returns:
        One row per region and query: `region`, `method` (`default` for the default query), `mode`, `params`, `channels`
        (number of styles that move), `transfer`, `selectivity`, `spill` and `pairs`.
    """
    plan: dict[str, list[tuple[dict, Tensor]]] = {}
    for region in catalog.regions:
        default = catalog.default_query(region)
        plan[region] = [({"method": DEFAULT, "mode": DEFAULT, "params": {}}, default)]
        for entry in candidate_queries(catalog, region, modes=modes):
            plan[region].append(({"method": entry.method, "mode": entry.mode, "params": entry.params}, entry.query))
    results = measure_queries(
        generator,
        catalog,
        {region: torch.stack([query for _, query in rows]) for region, rows in plan.items()},
        parser=parser,
        pairs=pairs,
        seed=seed,
        truncation_psi=truncation_psi,
        batch_size=batch_size,
        progress=progress,
    )
    return [
        {"region": region, **how, "channels": int((query > 0).sum()), **asdict(result)}
        for region, rows in plan.items()
        for (how, query), result in zip(rows, results[region], strict=True)
    ]


def markdown_table(rows: Iterable[dict]) -> str:
    """Per region the default query, and for each relevance the largest transfer at a selectivity of 4 : 1 or better.

    Args:
        rows: as `measure_curves` gives them.
    """
    rows = list(rows)
    header = [
        "region",
        "pairs",
        "default: transfer at selectivity",
        *(f"{method}: most at 4 : 1 or better" for method in METHODS),
    ]
    lines = []
    for region in dict.fromkeys(row["region"] for row in rows):
        own = [row for row in rows if row["region"] == region]
        cells = [region, str(own[0]["pairs"]), transfer_cell(next(row for row in own if row["method"] == DEFAULT))]
        for method in METHODS:
            enough = [row for row in own if row["method"] == method and row["selectivity"] >= WANTED_SELECTIVITY]
            cells.append(transfer_cell(max(enough, key=lambda row: row["transfer"])) if enough else "-")
        lines.append(cells)
    return markdown(header, lines)


def plot_curves(rows: Iterable[dict], path: str | Path) -> None:
    """Draw transfer against selectivity, one panel per region, as a PNG.

    Args:
        rows: as `measure_curves` gives them.
        path: of the picture.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import ScalarFormatter

    rows = [row for row in rows if row["pairs"] and row["channels"]]
    regions = list(dict.fromkeys(row["region"] for row in rows))
    figure = Figure(figsize=(3.4 * min(4, len(regions)), 3.2 * -(-len(regions) // 4)), layout="constrained")
    panels = figure.subplots(-(-len(regions) // 4), min(4, len(regions)), squeeze=False).flatten()
    for panel, region in zip(panels, regions, strict=False):
        for (method, mode), points in _curves(row for row in rows if row["region"] == region):
            # In the order of the rows, from cautious to bold.
            selectivity, transfer = [row["selectivity"] for row in points], [100 * row["transfer"] for row in points]
            style = (
                {"marker": "*", "markersize": 14, "linestyle": "", "color": "black"}
                if method == DEFAULT
                else {"marker": ".", "linestyle": "--" if method == "contribution" else "-"}
            )
            panel.plot(selectivity, transfer, label=method if method == DEFAULT else f"{method}, {mode}", **style)
        panel.axvline(WANTED_SELECTIVITY, color="grey", linewidth=0.8)
        panel.set_xscale("log", base=2)
        panel.xaxis.set_major_formatter(ScalarFormatter())
        panel.set(title=region, xlabel="selectivity (inside : outside)", ylabel="transfer (%)", ylim=(0, 105))
    for panel in panels[len(regions) :]:
        panel.set_axis_off()
    handles = {
        label: handle for panel in panels for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3)
    figure.savefig(path, dpi=110)


def save_report(rows: Sequence[dict], out_dir: str | Path, **settings: object) -> str:
    """Write `separability.json`, `separability.md` and `separability.png`; returns the table.

    Args:
        rows: as `measure_curves` gives them.
        out_dir: made if it is not there.
        settings: kept in the JSON beside the rows (pairs, seed, ...).
    """
    out_dir = make_folder(out_dir)
    table = markdown_table(rows)
    (out_dir / "separability.json").write_text(json.dumps({**settings, "rows": list(rows)}, indent=1))
    (out_dir / "separability.md").write_text(table)
    plot_curves(rows, out_dir / "separability.png")
    return table


def _curves(rows: Iterable[dict]) -> Iterable[tuple[tuple[str, str], list[dict]]]:
    """Rows grouped by method and mode."""
    groups: dict[tuple[str, str], list[dict]] = {}
    for row in rows:
        groups.setdefault((row["method"], row["mode"]), []).append(row)
    return groups.items()
