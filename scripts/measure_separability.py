"""Measure how well each region of a model can be edited alone: transfer and selectivity (`sfhub.regions.separability`).

    python scripts/measure_separability.py --generator runs/portraits128/ema --catalog runs/catalog \\
        --parser runs/parser --out runs/separability

Writes separability.json, separability.md and separability.png.
"""

import logging
from pathlib import Path
from typing import Annotated

import torch
import typer

from sfhub.metrics.separability_report import measure_curves, save_report
from sfhub.pipelines import open_pipeline
from sfhub.regions.build import build_catalog
from sfhub.regions.catalog import RegionCatalog
from sfhub.regions.hub_parser import open_parser


def main(
    generator: Annotated[Path, typer.Option(help="Folder of the generator.")],
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    catalog: Annotated[Path | None, typer.Option(help="Folder of the region catalog; built here if not given.")] = None,
    parser: Annotated[Path | None, typer.Option(help="Folder of the parser; without it clusters are masks.")] = None,
    pairs: Annotated[int, typer.Option(help="Random pairs of images.")] = 500,
    mode: Annotated[list[str], typer.Option(help="Kind of query to range over; may be repeated.")] = (
        "threshold",
        "sequential",
    ),
    curves: Annotated[bool, typer.Option(help="Measure ranges of queries too, not the default ones alone.")] = True,
    seed: Annotated[int, typer.Option(help="Of the pairs; not one the catalog was built on.")] = 1000,
    psi: Annotated[float, typer.Option(help="Truncation of all images.")] = 0.7,
    device: Annotated[str, typer.Option(help="Where to compute, such as cpu or cuda.")] = "cpu",
) -> None:
    """Measure transfer against selectivity for every region."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    network = open_pipeline(generator).generator.to(device, memory_format=torch.channels_last)
    masks = open_parser(parser).to(device) if parser else None
    if catalog:
        regions = RegionCatalog.from_pretrained(catalog).to(device)
    else:
        regions = build_catalog(network, masks, truncation_psi=psi)
    rows = measure_curves(
        network, regions, masks, modes=mode if curves else (), pairs=pairs, seed=seed, truncation_psi=psi
    )
    table = save_report(rows, out, generator=str(generator), parser=str(parser), pairs=pairs, seed=seed, psi=psi)
    logging.info("Saved to %s:\n%s", out, table)


if __name__ == "__main__":
    typer.run(main)
