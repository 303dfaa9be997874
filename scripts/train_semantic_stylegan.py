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

import dataclasses
import logging
from pathlib import Path
from typing import Annotated

import typer
from accelerate import Accelerator
from torch.utils.data import Dataset

from sfhub.errors import InputError
from sfhub.images.folders import ImageFolder
from sfhub.models.stylegan2 import StyleGAN2Generator
from sfhub.portraits.styles import STYLES
from sfhub.training.data import ImageMaskFolder, MaskedPortraits, PairedPortraits, StyledPortraits
from sfhub.training.semantic_stylegan import PRESETS, SemanticStyleGANTraining, adaptation, train_semantic_stylegan


def main(
    out: Annotated[Path, typer.Option(help="Folder for checkpoints, samples and the log.")],
    preset: Annotated[str, typer.Option(help=f"One of {', '.join(PRESETS)}.")] = "portraits128",
    images_folder: Annotated[
        Path | None, typer.Option(help="Train on these pictures, not on rendered portraits.")
    ] = None,
    masks_folder: Annotated[Path | None, typer.Option(help="Their masks, under the same names.")] = None,
    renders: Annotated[int, typer.Option(help="How many portraits to render for training.")] = 24_000,
    init_from: Annotated[
        Path | None, typer.Option(help="Checkpoint of a lower-resolution training to start from.")
    ] = None,
    adapt_from: Annotated[
        Path | None, typer.Option(help="Checkpoint of a model to adapt to pictures without masks.")
    ] = None,
    style: Annotated[str, typer.Option(help=f"Style of portraits to adapt to: {', '.join(STYLES)}.")] = "ink",
    mapping_from: Annotated[
        Path | None, typer.Option(help="Generator folder whose mapping network makes attribute codes.")
    ] = None,
    discriminator_from: Annotated[
        Path | None, typer.Option(help="Checkpoint of a StyleGAN2 training whose discriminator judges the images.")
    ] = None,
    guidance: Annotated[
        float | None, typer.Option(help="Weight of the comparison with paired renders, 0 for none.")
    ] = None,
    images: Annotated[int | None, typer.Option(help="Length of the training in images.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images per step and process.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Of both networks, at the start.")] = None,
    r1_gamma: Annotated[float | None, typer.Option(help="Weight of R1 on images.")] = None,
    r1_mask_gamma: Annotated[float | None, typer.Option(help="Weight of R1 on masks.")] = None,
    mask_weight: Annotated[float | None, typer.Option(help="Weight of mask regularisation.")] = None,
    path_weight: Annotated[
        float | None, typer.Option(help="Weight of path length regularisation, 0 to switch off.")
    ] = None,
    adversarial_from: Annotated[
        int | None, typer.Option(help="With guidance, images after which the adversarial loss counts.")
    ] = None,
    mapped_from: Annotated[
        int | None, typer.Option(help="With guidance, images after which half a batch comes from latents.")
    ] = None,
    freeze_shapes: Annotated[bool | None, typer.Option(help="Keep all that makes shapes as it is.")] = None,
    ema_images: Annotated[int | None, typer.Option(help="Half-life of the moving average in images.")] = None,
    mixed_precision: Annotated[str, typer.Option(help="no or bf16.")] = "bf16",
    workers: Annotated[int, typer.Option(help="Data loading processes.")] = 0,
    seed: Annotated[int | None, typer.Option(help="Of everything random.")] = None,
) -> None:
    """Train or adapt SemanticStyleGAN, or go on where the checkpoint in OUT left off."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    if preset not in PRESETS:
        raise InputError(f"There is no preset {preset!r}; choose one of {', '.join(PRESETS)}.")
    if init_from is not None and adapt_from is not None:
        raise InputError("A training either continues at a higher resolution (--init-from) or adapts (--adapt-from).")
    config = PRESETS[preset] if adapt_from is None else adaptation(PRESETS[preset])
    given = {
        "guidance": guidance,
        "images": images,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "r1_gamma": r1_gamma,
        "r1_mask_gamma": r1_mask_gamma,
        "mask_weight": mask_weight,
        "path_weight": path_weight,
        "adversarial_from": adversarial_from,
        "mapped_from": mapped_from,
        "freeze_shapes": freeze_shapes,
        "ema_images": ema_images,
        "seed": seed,
    }
    config = dataclasses.replace(config, **{key: value for key, value in given.items() if value is not None})
    accelerator = Accelerator(mixed_precision=mixed_precision)
    with accelerator.main_process_first():
        dataset = open_dataset(config, images_folder, masks_folder, renders, style)
    train_semantic_stylegan(
        config,
        dataset,
        out,
        accelerator=accelerator,
        init_from=adapt_from or init_from,
        mapping_from=None if mapping_from is None else StyleGAN2Generator.from_pretrained(mapping_from),
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
    return (PairedPortraits if config.guidance else MaskedPortraits)(renders, config.resolution)


if __name__ == "__main__":
    typer.run(main)
