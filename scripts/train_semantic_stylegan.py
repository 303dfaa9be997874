"""Train a SemanticStyleGAN on rendered portraits or on folders of images and masks, or adapt one to images alone.

    python scripts/train_semantic_stylegan.py --preset portraits128 --out runs/semantic128
    python scripts/train_semantic_stylegan.py --adapt-from runs/semantic128/checkpoint.safetensors --style ink \
        --out runs/semantic128-ink
    python scripts/prepare_celebamask_hq.py --source CelebAMask-HQ --out data/celebamask
    accelerate launch scripts/train_semantic_stylegan.py --preset celebamask256 --images-folder data/celebamask/images \
        --masks-folder data/celebamask/masks --out runs/celebamask

A training that was stopped goes on when the same command is given again. Two processes on a CPU:

    OMP_NUM_THREADS=1 ACCELERATE_USE_CPU=true torchrun --nproc_per_node 2 scripts/train_semantic_stylegan.py --out ...
"""

import logging
from pathlib import Path
from typing import Annotated

import typer
from accelerate import Accelerator
from torch.utils.data import Dataset

from sfhub.errors import InputError
from sfhub.images.folders import ImageFolder
from sfhub.portraits.parser import PortraitParser
from sfhub.portraits.styles import STYLES
from sfhub.training.data import ImageMaskFolder, MaskedPortraits, PairedPortraits, StyledPortraits
from sfhub.training.semantic_stylegan import PRESETS, SemanticStyleGANTraining, adaptation, train_semantic_stylegan
from sfhub.training.settings import choose_preset, with_settings


def main(
    out: Annotated[Path, typer.Option(help="Folder for checkpoints, samples and the log.")],
    preset: Annotated[str, typer.Option(help=f"One of {', '.join(PRESETS)}.")] = "portraits128",
    images_folder: Annotated[
        Path | None, typer.Option(help="Train on these pictures, not on rendered portraits.")
    ] = None,
    masks_folder: Annotated[Path | None, typer.Option(help="Their masks, under the same names.")] = None,
    renders: Annotated[int, typer.Option(help="How many portraits to render for training.")] = 20_000,
    init_from: Annotated[
        Path | None, typer.Option(help="Checkpoint of a lower-resolution training to start from.")
    ] = None,
    adapt_from: Annotated[
        Path | None, typer.Option(help="Checkpoint of a model to adapt to pictures without masks.")
    ] = None,
    style: Annotated[str, typer.Option(help=f"Style of portraits to adapt to: {', '.join(STYLES)}.")] = "ink",
    parser: Annotated[
        Path | None, typer.Option(help="With guidance, folder of a portrait parser that reads what pictures show.")
    ] = None,
    discriminator_from: Annotated[
        Path | None, typer.Option(help="Checkpoint of a StyleGAN2 training whose discriminator judges the images.")
    ] = None,
    set_: Annotated[
        list[str],
        typer.Option("--set", help="NAME=VALUE, a setting of SemanticStyleGANTraining with its value in JSON."),
    ] = (),
    mixed_precision: Annotated[str, typer.Option(help="no or bf16.")] = "bf16",
    workers: Annotated[int, typer.Option(help="Data loading processes.")] = 0,
) -> None:
    """Train or adapt SemanticStyleGAN, or go on where the checkpoint in OUT left off."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    if init_from is not None and adapt_from is not None:
        raise InputError("A training either continues at a higher resolution (--init-from) or adapts (--adapt-from).")
    config = choose_preset(PRESETS, preset)
    config = with_settings(config if adapt_from is None else adaptation(config), set_)
    accelerator = Accelerator(mixed_precision=mixed_precision)
    with accelerator.main_process_first():
        dataset = open_dataset(config, images_folder, masks_folder, renders, style)
    train_semantic_stylegan(
        config,
        dataset,
        out,
        accelerator=accelerator,
        init_from=adapt_from or init_from,
        parser=None if parser is None else PortraitParser.from_pretrained(parser),
        discriminator_from=discriminator_from,
        workers=workers,
    )


def open_dataset(
    config: SemanticStyleGANTraining, images: Path | None, masks: Path | None, renders: int, style: str
) -> Dataset:
    """The data that these settings need."""
    if images is not None and config.image_only:
        return ImageFolder(images, config.resolution)
    if images is not None:
        if masks is None:
            raise InputError("Training on folders needs masks, too; give their folder with --masks-folder.")
        return ImageMaskFolder(images, masks, config.resolution, config.class_names)
    if config.image_only:
        return StyledPortraits(renders, config.resolution, style)
    if config.guidance:
        return PairedPortraits(renders, config.resolution, seed=1, mirror=True)
    return MaskedPortraits(renders, config.resolution)


if __name__ == "__main__":
    typer.run(main)
