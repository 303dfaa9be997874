"""Train a StyleGAN2 generator on rendered portraits or on a folder of images.

    python scripts/train_stylegan2.py --preset portraits64 --out runs/portraits64
    python scripts/train_stylegan2.py --preset portraits128 --init-from runs/portraits64/checkpoint.safetensors \
        --out runs/portraits128
    accelerate launch scripts/train_stylegan2.py --images-folder photos --resolution 256 --out runs/photos

A training that was stopped goes on when the same command is given again.
"""

import dataclasses
import logging
from pathlib import Path
from typing import Annotated

import typer
from accelerate import Accelerator

from sfhub.errors import InputError
from sfhub.images.folders import ImageFolder
from sfhub.training.data import RenderedPortraits
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
    images: Annotated[int | None, typer.Option(help="Length of the training in images.")] = None,
    resolution: Annotated[int | None, typer.Option(help="Side of the images in pixels.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images per step and process.")] = None,
    locality_weight: Annotated[
        float | None, typer.Option(help="Weight of the locality regulariser, 0 to switch off.")
    ] = None,
    path_weight: Annotated[
        float | None, typer.Option(help="Weight of path length regularisation, 0 to switch off.")
    ] = None,
    r1_gamma: Annotated[float | None, typer.Option(help="Weight of R1.")] = None,
    ada_target: Annotated[float | None, typer.Option(help="Switch ADA on with this target, 0.6 in the paper.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Of both networks.")] = None,
    ema_images: Annotated[int | None, typer.Option(help="Half-life of the moving average in images.")] = None,
    mixed_precision: Annotated[str, typer.Option(help="no or bf16.")] = "bf16",
    workers: Annotated[int, typer.Option(help="Data loading processes.")] = 0,
    seed: Annotated[int | None, typer.Option(help="Of everything random.")] = None,
) -> None:
    """Train StyleGAN2, or go on where the checkpoint in OUT left off."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    if preset not in PRESETS:
        raise InputError(f"There is no preset {preset!r}; choose one of {', '.join(PRESETS)}.")
    given = {
        "images": images,
        "resolution": resolution,
        "batch_size": batch_size,
        "locality_weight": locality_weight,
        "path_weight": path_weight,
        "r1_gamma": r1_gamma,
        "ada_target": ada_target,
        "learning_rate": learning_rate,
        "ema_images": ema_images,
        "seed": seed,
    }
    config = dataclasses.replace(PRESETS[preset], **{key: value for key, value in given.items() if value is not None})
    accelerator = Accelerator(mixed_precision=mixed_precision)
    with accelerator.main_process_first():
        if images_folder is None:
            dataset = RenderedPortraits(renders, config.resolution)
        else:
            dataset = ImageFolder(images_folder, config.resolution)
    train_stylegan2(config, dataset, out, accelerator=accelerator, init_from=init_from, workers=workers)


if __name__ == "__main__":
    typer.run(main)
