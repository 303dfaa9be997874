"""Prepare CelebAMask-HQ for training: images and masks of one size, with 13 classes.

    python scripts/prepare_celebamask_hq.py --source CelebAMask-HQ --resolution 256 --out data/celebamask
    python scripts/prepare_celebamask_hq.py --source eurecom-ds/celeba_hq_mask --resolution 256 --out data/celebamask

The source is the unpacked official release or a data set of the Hub. Preparing that was stopped goes on when the same
command is given again. Needs `pip install sfhub[train]`. The data set is for non-commercial research and education
only; read its terms first.
"""

import logging
from pathlib import Path
from typing import Annotated

import typer

from sfhub.training.celebamask import prepare_celebamask_hq


def main(
    source: Annotated[str, typer.Option(help="Folder of the official release, or a data set of the Hub.")],
    out: Annotated[Path, typer.Option(help="Folder for images/ and masks/.")],
    resolution: Annotated[int, typer.Option(help="Side in pixels.")] = 256,
    split: Annotated[str, typer.Option(help="Split of a data set of the Hub.")] = "train",
) -> None:
    """Write images and 13-class masks to OUT."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    count = prepare_celebamask_hq(source, out, resolution, split)
    logging.info("There are %d pairs in %s.", count, out)


if __name__ == "__main__":
    typer.run(main)
