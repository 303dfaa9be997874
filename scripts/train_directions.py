"""Find the named edits of a portraits model: smile, age, glasses and so on, with the range in which each works.

    python scripts/train_directions.py --model portraits --out runs/directions
    python scripts/train_directions.py --model portraits-semantic --out runs/directions-semantic
    python scripts/train_directions.py --model runs/mine --out runs/directions --model-out runs/mine-with-edits

Writes the component (config.json, safetensors) and `measured.json`; with --model-out also the whole model with it.
"""

import logging
from pathlib import Path
from typing import Annotated

import typer

from sfhub.pipelines.families import open_pipeline
from sfhub.pipelines.folder import copy_with_component
from sfhub.pipelines.hub import resolve
from sfhub.portraits.parser import PortraitParser
from sfhub.training.directions import DirectionTraining, train_directions
from sfhub.training.settings import with_settings


def main(
    out: Annotated[Path, typer.Option(help="Folder for the component.")],
    model: Annotated[str, typer.Option(help="Built-in model, model folder, or repo id on the Hub.")] = "portraits",
    parser: Annotated[Path | None, typer.Option(help="Folder of the parser; that of portraits if not given.")] = None,
    set_: Annotated[list[str], typer.Option("--set", help="NAME=VALUE of a setting, such as pictures=500.")] = [],  # noqa: B006
    sparse_out: Annotated[
        Path | None, typer.Option(help="Folder for the sparse normals in S that Style Intervention takes.")
    ] = None,
    model_out: Annotated[Path | None, typer.Option(help="Folder for the model with the component.")] = None,
    device: Annotated[str, typer.Option(help="Where to compute, such as cpu or cuda.")] = "cpu",
) -> None:
    """Find and measure the edits of a model."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    pipe = open_pipeline(model).to_device(device)
    reader = open_pipeline("portraits").parser if parser is None else PortraitParser.from_pretrained(parser)
    component = train_directions(
        pipe, reader.float().to(device).eval(), out, with_settings(DirectionTraining(), set_), sparse_out=sparse_out
    )
    if model_out is not None:
        copy_with_component(resolve(model), model_out, "directions", component)


if __name__ == "__main__":
    typer.run(main)
