"""Train the portrait parser (image -> semantic mask and attribute values) on renders.

    python scripts/train_parser.py --out runs/parser
"""

import logging
from pathlib import Path
from typing import Annotated

import typer
from accelerate import Accelerator

from sfhub.training.data import RenderedPortraits
from sfhub.training.parser import ParserTraining, train_parser


def main(
    out: Annotated[Path, typer.Option(help="Folder for the trained parser and its figures.")],
    resolution: Annotated[int, typer.Option(help="Side of the images in pixels.")] = 128,
    renders: Annotated[int, typer.Option(help="How many portraits to render.")] = 30_000,
    steps: Annotated[int, typer.Option(help="Length of the training.")] = 4_000,
    mixed_precision: Annotated[str, typer.Option(help="no or bf16.")] = "bf16",
) -> None:
    """Train the portrait parser."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    config = ParserTraining(resolution=resolution, steps=steps)
    dataset = RenderedPortraits(renders, resolution)
    train_parser(config, dataset, out, accelerator=Accelerator(mixed_precision=mixed_precision))


if __name__ == "__main__":
    typer.run(main)
