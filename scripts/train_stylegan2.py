"""Train a StyleGAN2 generator on rendered portraits or on a folder of images.

    python scripts/train_stylegan2.py --preset portraits64 --out runs/portraits64
    python scripts/train_stylegan2.py --preset portraits128 --init-from runs/portraits64/checkpoint.safetensors \
        --out runs/portraits128
    accelerate launch scripts/train_stylegan2.py --images-folder photos --set resolution=256 --out runs/photos

A training that was stopped goes on when the same command is given again.
"""

import logging
from pathlib import Path
from typing import Annotated

import typer
from accelerate import Accelerator

from sfhub.images.folders import ImageFolder
from sfhub.training.data import RenderedPortraits
from sfhub.training.settings import choose_preset, with_settings
from sfhub.training.stylegan2 import PRESETS, train_stylegan2


def main(
    out: Annotated[Path, typer.Option(help="Folder for checkpoints, samples and the log.")],
    preset: Annotated[str, typer.Option(help=f"One of {', '.join(PRESETS)}.")] = "portraits128",
    images_folder: Annotated[
        Path | None, typer.Option(help="Train on these pictures, not on rendered portraits.")
    ] = None,
    renders: Annotated[int, typer.Option(help="How many portraits to render for training.")] = 30_000,
    init_from: Annotated[
        Path | None, typer.Option(help="Checkpoint of a lower-resolution training to start from.")
    ] = None,
    set_: Annotated[
        list[str], typer.Option("--set", help="NAME=VALUE, a setting of StyleGAN2Training with its value in JSON.")
    ] = (),
    mixed_precision: Annotated[str, typer.Option(help="no or bf16.")] = "bf16",
    workers: Annotated[int, typer.Option(help="Data loading processes.")] = 0,
) -> None:
    """Train StyleGAN2, or go on where the checkpoint in OUT left off."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    config = with_settings(choose_preset(PRESETS, preset), set_)
    accelerator = Accelerator(mixed_precision=mixed_precision)
    with accelerator.main_process_first():
        if images_folder is None:
            dataset = RenderedPortraits(renders, config.resolution)
        else:
            dataset = ImageFolder(images_folder, config.resolution)
    train_stylegan2(config, dataset, out, accelerator=accelerator, init_from=init_from, workers=workers)


if __name__ == "__main__":
    typer.run(main)
