"""Train the portraits generator on pairs of attribute code and rendered picture.

    python scripts/train_guided.py --parser runs/parser --out runs/portraits
    python scripts/train_guided.py --parser runs/parser --out runs/portraits --set images=40000 --set seed=1
    OMP_NUM_THREADS=1 ACCELERATE_USE_CPU=true torchrun --nproc_per_node 2 scripts/train_guided.py --out runs/portraits

A training that was stopped goes on when the same command is given again.
"""

import logging
from pathlib import Path
from typing import Annotated

import typer
from accelerate import Accelerator
from torch.utils.data import ConcatDataset, Dataset

from sfhub.portraits.parser import PortraitParser
from sfhub.training.data import PairedPortraits
from sfhub.training.guided import PRESETS, train_growing
from sfhub.training.settings import choose_preset, with_settings


def main(
    out: Annotated[Path, typer.Option(help="Folder for checkpoints, samples and the log.")],
    preset: Annotated[str, typer.Option(help=f"One of {', '.join(PRESETS)}.")] = "cpu",
    renders: Annotated[int, typer.Option(help="Portraits to render per set; each serves mirrored, too.")] = 20_000,
    sets: Annotated[int, typer.Option(help="How many sets of renders; processes render them side by side.")] = 2,
    parser: Annotated[Path | None, typer.Option(help="Folder of a trained portrait parser, to judge pictures.")] = None,
    init_from: Annotated[Path | None, typer.Option(help="Checkpoint of a training to start from.")] = None,
    set_: Annotated[
        list[str], typer.Option("--set", help="NAME=VALUE, a setting of GuidedTraining with its value in JSON.")
    ] = (),
    mixed_precision: Annotated[str, typer.Option(help="no or bf16.")] = "bf16",
) -> None:
    """Train a generator on pairs, or go on where the checkpoint in OUT left off."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    config = with_settings(choose_preset(PRESETS, preset), set_)
    accelerator = Accelerator(mixed_precision=mixed_precision)

    def open_pairs(resolution: int) -> Dataset:
        for number in range(1 + accelerator.process_index, 1 + sets, accelerator.num_processes):
            PairedPortraits(renders, resolution, number)
        accelerator.wait_for_everyone()
        return ConcatDataset([PairedPortraits(renders, resolution, 1 + n, mirror=True) for n in range(sets)])

    reader = None if parser is None else PortraitParser.from_pretrained(parser)
    train_growing(config, open_pairs, out, parser=reader, accelerator=accelerator, init_from=init_from)


if __name__ == "__main__":
    typer.run(main)
