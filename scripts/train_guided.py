"""Train the portraits generator on pairs of attribute code and rendered picture.

    python scripts/train_guided.py --out runs/guided128
    OMP_NUM_THREADS=1 ACCELERATE_USE_CPU=true torchrun --nproc_per_node 2 scripts/train_guided.py --out runs/guided128

A training that was stopped goes on when the same command is given again.
"""

import dataclasses
import logging
from pathlib import Path
from typing import Annotated

import typer
from accelerate import Accelerator
from torch.utils.data import ConcatDataset

from sfhub.portraits.parser import PortraitParser
from sfhub.training.data import PairedPortraits
from sfhub.training.guided import GuidedTraining, train_guided


def main(
    out: Annotated[Path, typer.Option(help="Folder for checkpoints, samples and the log.")],
    renders: Annotated[int, typer.Option(help="How many portraits to render per set.")] = 12_000,
    sets: Annotated[int, typer.Option(help="How many sets of renders; processes render them side by side.")] = 2,
    parser: Annotated[Path | None, typer.Option(help="Folder of a trained portrait parser, to judge masks.")] = None,
    init_from: Annotated[
        Path | None, typer.Option(help="Checkpoint of a plain training whose convolutions this one starts from.")
    ] = None,
    mapping_from: Annotated[
        Path | None, typer.Option(help="Generator whose mapping network is fitted already.")
    ] = None,
    images: Annotated[int | None, typer.Option(help="Length of the training in images.")] = None,
    resolution: Annotated[int | None, typer.Option(help="Side of the images in pixels.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Pairs per step and process.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Of both networks, at the start.")] = None,
    adversarial_from: Annotated[
        int | None, typer.Option(help="Images after which the adversarial loss counts.")
    ] = None,
    mapped_from: Annotated[
        int | None, typer.Option(help="Images after which half of the batch comes from latents.")
    ] = None,
    mixed_precision: Annotated[str, typer.Option(help="no or bf16.")] = "bf16",
    seed: Annotated[int | None, typer.Option(help="Of everything random.")] = None,
) -> None:
    """Train a generator on pairs, or go on where the checkpoint in OUT left off."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    given = {
        "images": images,
        "resolution": resolution,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "adversarial_from": adversarial_from,
        "mapped_from": mapped_from,
        "seed": seed,
    }
    config = dataclasses.replace(GuidedTraining(), **{key: value for key, value in given.items() if value is not None})
    accelerator = Accelerator(mixed_precision=mixed_precision)
    for number in range(1 + accelerator.process_index, 1 + sets, accelerator.num_processes):
        PairedPortraits(renders, config.resolution, number)
    accelerator.wait_for_everyone()
    dataset = ConcatDataset([PairedPortraits(renders, config.resolution, 1 + number) for number in range(sets)])
    judge = None if parser is None else PortraitParser.from_pretrained(parser)
    train_guided(
        config,
        dataset,
        out,
        parser=judge,
        accelerator=accelerator,
        init_from=init_from,
        mapping_from=mapping_from,
    )


if __name__ == "__main__":
    typer.run(main)
