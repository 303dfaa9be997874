"""Pictures, tables and JSON of what `sfhub.metrics.edits` measures."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from sfhub.editing.edits import Direction
from sfhub.metrics.edits import CONSTRAINED, GLOBAL, Compared, Curve, Effect, put_on
from sfhub.metrics.figures import make_folder, make_panels, markdown, name_row, pixels, save_figure

if TYPE_CHECKING:
    from sfhub.pipelines.edits import EditingPipeline
    from sfhub.pipelines.sample import Sample

__all__ = ["save_comparison", "save_curves", "save_effects", "save_strips"]


def save_curves(curves: Sequence[Curve], out: str | Path, **about: object) -> str:
    """Write edit_curves.json and .png, and return a table: what is kept where half of the gain is reached."""
    from matplotlib.figure import Figure

    out = make_folder(out)
    (out / "edit_curves.json").write_text(json.dumps({"about": about, "curves": [asdict(c) for c in curves]}, indent=1))
    edits = list(dict.fromkeys(curve.edit for curve in curves))
    figure = Figure(figsize=(3.2 * len(edits), 6), layout="constrained")
    panels = figure.subplots(2, len(edits), squeeze=False)
    for column, edit in enumerate(edits):
        for row, kind in enumerate(("whole", "outside")):
            for curve in (each for each in curves if each.edit == edit):
                panels[row, column].plot(curve.gains, getattr(curve, kind), marker=".", label=curve.way)
            panels[row, column].set_title(f"{edit}, {kind}", fontsize=9)
            panels[row, column].set(xlabel="gain in score (std)", ylabel="1 - L1")
    panels[0, 0].legend(fontsize=8)
    save_figure(figure, out / "edit_curves.png")
    lines = [
        (
            curve.edit,
            curve.way,
            f"{max(curve.gains):.2f}",
            f"{_at_half(curve, 'whole'):.4f}",
            f"{_at_half(curve, 'outside'):.4f}",
        )
        for curve in curves
    ]
    return markdown(("edit", "way", "highest gain", "1 - L1 at half of it, whole", "outside"), lines)


def _at_half(curve: Curve, kind: str) -> float:
    half = max(curve.gains) / 2
    first = next(k for k, gain in enumerate(curve.gains) if gain >= half)
    return getattr(curve, kind)[first]


def save_effects(effects: Sequence[Effect], out: str | Path, **about: object) -> str:
    """Write edit_effects.json and edit_effects.md, and return the table."""
    out = make_folder(out)
    (out / "edit_effects.json").write_text(
        json.dumps({"about": about, "effects": [asdict(e) for e in effects]}, indent=1)
    )
    whole = {each.edit: each for each in effects if each.way == GLOBAL}
    lines = []
    for each in effects:
        reach = "" if each.drawn is None else f"{100 * each.gain / each.drawn:.0f}%"
        of_global = "" if each.way == GLOBAL else f"{100 * each.gain / whole[each.edit].gain:.0f}%"
        cells = (f"{each.gain:.2f}", of_global, reach, f"{100 * each.kept:.0f}%")
        lines.append((each.edit, each.way, *cells, f"{100 * each.changed:.0f}%", f"{each.mean_change:.2f}"))
    header = (
        "edit",
        "way",
        "gain",
        "of global",
        "of drawn",
        "other attributes kept",
        "pixels changed outside",
        "by (of 255)",
    )
    table = markdown(header, lines)
    (out / "edit_effects.md").write_text(table)
    return table


def save_comparison(
    found: Mapping[str, Sequence[Compared]], normals: Mapping[str, Direction], out: str | Path, **about: object
) -> str:
    """Write intervention.json and intervention.md: tables 1 (accuracy, sparsity) and 2 of Style Intervention."""
    out = make_folder(out)
    first = [
        (name, *(f"{100 * normal.about[key]:.1f}%" for key in ("train", "validation", "sparsity")))
        for name, normal in normals.items()
    ]
    second = [
        (name, each.way, f"{each.gain:.2f}", f"{each.mse:.5f}", f"{each.outside:.5f}", f"{each.identity:.3f}")
        for name, rows in found.items()
        for each in rows
    ]
    header = ("edit", "way", "gain", "MSE", "MSE outside", "identity (cosine of the parser's features)")
    text = markdown(("attribute", "train", "validation", "sparsity"), first) + "\n" + markdown(header, second)
    (out / "intervention.md").write_text(text)
    rows = {name: [asdict(each) for each in compared] for name, compared in found.items()}
    (out / "intervention.json").write_text(json.dumps({"about": about, "compared": rows}, indent=1))
    return text


@torch.no_grad()
def save_strips(
    pipe: "EditingPipeline", sample: "Sample", names: Sequence[str], path: str | Path, steps: int = 5
) -> Path:
    """Draw every edit at strengths over its range, the whole picture on the left, kept to its region on the right."""
    rows: dict[str, list[Sample]] = {}
    for name in names:
        low, high = pipe.edits[name].range
        strengths = [low + (high - low) * k / (steps - 1) for k in range(steps)]
        rows[name] = [put_on(pipe, [sample], name, t, way)[0] for way in (GLOBAL, CONSTRAINED) for t in strengths]
    figure, panels = make_panels(len(rows), 2 * steps)
    for line, (name, samples) in zip(panels, rows.items(), strict=True):
        for panel, each in zip(line, samples, strict=True):
            panel.imshow(pixels(each.image))
        name_row(line[0], name)
    panels[0, 0].set_title(GLOBAL, fontsize=8)
    panels[0, steps].set_title(CONSTRAINED, fontsize=8)
    return save_figure(figure, path)
