"""Train the portraits CLIP: texts such as "curly red hair" and portraits into one space.

    OMP_NUM_THREADS=1 python scripts/train_clip.py --out runs/clip
    OMP_NUM_THREADS=1 python scripts/train_clip.py --out runs/clip --set steps=6000

`runs/clip/clip` is a folder in open_clip's format; `metrics.json` tells how well its texts tell portraits apart. A
training that was stopped goes on when the same command is given again.
"""

import logging
from pathlib import Path
from typing import Annotated

import typer
from accelerate import Accelerator

from sfhub.training.clip import ClipTraining, SpokenPortraits, train_clip
from sfhub.training.settings import with_settings


def main(
    out: Annotated[Path, typer.Option(help="Folder for the trained encoder and its figures.")],
    renders: Annotated[int, typer.Option(help="How many portraits to render, 1000 of which only test.")] = 12_000,
    data_seed: Annotated[int, typer.Option(help="Of the renders.")] = 7,
    set_: Annotated[
        list[str], typer.Option("--set", help="NAME=VALUE, a setting of ClipTraining with its value in JSON.")
    ] = (),
    mixed_precision: Annotated[str, typer.Option(help="no or bf16.")] = "bf16",
    cache_dir: Annotated[Path, typer.Option(help="Where renders are kept.")] = Path("runs/data"),
) -> None:
    """Train the portraits CLIP, or go on where the checkpoint in OUT left off."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    config = with_settings(ClipTraining(), set_)
    dataset = SpokenPortraits(renders, config.image_size, data_seed, cache_dir)
    train_clip(config, dataset, out, accelerator=Accelerator(mixed_precision=mixed_precision))


if __name__ == "__main__":
    typer.run(main)
