"""Train the portrait parser (image -> semantic mask and attribute values) on renders.

    OMP_NUM_THREADS=1 python scripts/train_parser.py --out runs/parser

`log.jsonl` and `metrics.json` in the folder tell how far it is; the parser in it is usable from the second minute on.
"""

import logging
from pathlib import Path
from typing import Annotated

import typer
from accelerate import Accelerator

from sfhub.training.data import PairedPortraits
from sfhub.training.parser import ParserTraining, train_parser


def main(
    out: Annotated[Path, typer.Option(help="Folder for the trained parser and its figures.")],
    resolution: Annotated[int, typer.Option(help="Side of the images in pixels.")] = 128,
    renders: Annotated[int, typer.Option(help="How many portraits to render, 1000 of which only test.")] = 20_000,
    data_seed: Annotated[int, typer.Option(help="Of the renders; 1 shares them with train_guided.py.")] = 1,
    steps: Annotated[int, typer.Option(help="Length of the training.")] = ParserTraining.steps,
    batch_size: Annotated[int, typer.Option(help="Images per step.")] = ParserTraining.batch_size,
    learning_rate: Annotated[float, typer.Option(help="The highest of the one cycle.")] = ParserTraining.learning_rate,
    attribute_weight: Annotated[float, typer.Option(help="Beside the mask's 1.")] = ParserTraining.attribute_weight,
    mixed_precision: Annotated[str, typer.Option(help="no or bf16.")] = "bf16",
    cache_dir: Annotated[Path, typer.Option(help="Where renders are kept.")] = Path("runs/data"),
) -> None:
    """Train the portrait parser."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    config = ParserTraining(
        steps=steps, batch_size=batch_size, learning_rate=learning_rate, attribute_weight=attribute_weight
    )
    dataset = PairedPortraits(renders, resolution, data_seed, cache_dir)
    train_parser(config, dataset, out, accelerator=Accelerator(mixed_precision=mixed_precision))


if __name__ == "__main__":
    typer.run(main)
