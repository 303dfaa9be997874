"""Train the portrait parser (image -> semantic mask and attribute values) on renders.

    OMP_NUM_THREADS=1 python scripts/train_parser.py --out runs/parser
    OMP_NUM_THREADS=1 python scripts/train_parser.py --out runs/parser --set steps=8000

`log.jsonl` and `metrics.json` in the folder tell how far it is; the parser in it is usable from the second minute on. A
training that was stopped goes on when the same command is given again.
"""

import logging
from pathlib import Path
from typing import Annotated

import typer
from accelerate import Accelerator

from sfhub.training.data import PairedPortraits
from sfhub.training.parser import PRESETS, train_parser
from sfhub.training.settings import with_settings


def main(
    out: Annotated[Path, typer.Option(help="Folder for the trained parser and its figures.")],
    resolution: Annotated[int, typer.Option(help="Side of the images in pixels.")] = 128,
    renders: Annotated[int, typer.Option(help="How many portraits to render, 1000 of which only test.")] = 20_000,
    data_seed: Annotated[int, typer.Option(help="Of the renders; 1 shares them with train_guided.py.")] = 1,
    set_: Annotated[
        list[str], typer.Option("--set", help="NAME=VALUE, a setting of ParserTraining with its value in JSON.")
    ] = (),
    mixed_precision: Annotated[str, typer.Option(help="no or bf16.")] = "bf16",
    cache_dir: Annotated[Path, typer.Option(help="Where renders are kept.")] = Path("runs/data"),
) -> None:
    """Train the portrait parser, or go on where the checkpoint in OUT left off."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    config = with_settings(PRESETS["parser"], set_)
    dataset = PairedPortraits(renders, resolution, data_seed, cache_dir)
    train_parser(config, dataset, out, accelerator=Accelerator(mixed_precision=mixed_precision))


if __name__ == "__main__":
    typer.run(main)
