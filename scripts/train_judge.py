"""Train the portrait judge, which measures what generated portraits show and takes part in no training of theirs.

    OMP_NUM_THREADS=1 python scripts/train_judge.py --out runs/judge

A training that was stopped goes on when the same command is given again. The weights that `evaluate_portraits.py
attributes` takes lie in `scripts/portraits_judge`, in half precision.
"""

import logging
from pathlib import Path
from typing import Annotated

import torch
import typer
from accelerate import Accelerator

from sfhub.metrics.judge import PortraitJudge
from sfhub.training.data import RenderedPortraits
from sfhub.training.parser import PRESETS, train_parser
from sfhub.training.settings import with_settings


def main(
    out: Annotated[Path, typer.Option(help="Folder for the trained judge and its figures.")],
    resolution: Annotated[int, typer.Option(help="Side of the images in pixels.")] = 128,
    renders: Annotated[int, typer.Option(help="How many portraits to render, 1000 of which only test.")] = 24_000,
    data_seed: Annotated[int, typer.Option(help="Of the renders; not one that a parser or generator saw.")] = 40_000,
    set_: Annotated[
        list[str], typer.Option("--set", help="NAME=VALUE, a setting of ParserTraining with its value in JSON.")
    ] = (),
    mixed_precision: Annotated[str, typer.Option(help="no or bf16.")] = "bf16",
    cache_dir: Annotated[Path, typer.Option(help="Where renders are kept.")] = Path("runs/data"),
    half: Annotated[Path | None, typer.Option(help="Folder for a copy in half precision.")] = None,
) -> None:
    """Train the portrait judge, or go on where the checkpoint in OUT left off."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    config = with_settings(PRESETS["judge"], set_)
    torch.manual_seed(config.seed)
    network = PortraitJudge(resolution=resolution)
    dataset = RenderedPortraits(renders, resolution, data_seed, cache_dir)
    accelerator = Accelerator(mixed_precision=mixed_precision)
    judge = train_parser(config, dataset, out, network=network, accelerator=accelerator)
    if half is not None:
        judge.half().save_pretrained(half)


if __name__ == "__main__":
    typer.run(main)
