"""Train a StyleFlow for the attributes of portraits on samples of a model of either family.

    OMP_NUM_THREADS=1 python scripts/train_style_flow.py --model portraits --out runs/flow

The attributes are those that the parser sees in the samples' pictures.
"""

import logging
from pathlib import Path
from typing import Annotated

import torch
import typer
from accelerate import Accelerator
from tqdm.auto import tqdm

from sfhub.errors import InputError
from sfhub.pipelines.families import open_pipeline
from sfhub.portraits.parser import PortraitParser
from sfhub.training.settings import with_settings
from sfhub.training.style_flow import FlowTraining, portrait_values, train_style_flow


def main(
    out: Annotated[Path, typer.Option(help="Folder for the flow.")],
    model: Annotated[str, typer.Option(help="Alias, folder or Hub id of the model.")] = "portraits",
    parser: Annotated[str | None, typer.Option(help="Folder of a parser, if the model has none.")] = None,
    samples: Annotated[int, typer.Option(help="How many samples.")] = 4_000,
    set_: Annotated[
        list[str], typer.Option("--set", help="NAME=VALUE, a setting of FlowTraining with its value in JSON.")
    ] = (),
) -> None:
    """Train a StyleFlow."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    config, pipe = with_settings(FlowTraining(), set_), open_pipeline(model)
    reader = pipe.parser if parser is None else PortraitParser.from_pretrained(parser)
    if reader is None:
        raise InputError(f"The model {model} has no parser; name the folder of one with --parser.")
    codes, vectors = [], []
    with torch.no_grad():
        for start in tqdm(range(0, samples, 32), desc="Reading attributes", unit="batch"):
            draw = torch.Generator().manual_seed(start)
            z = torch.randn(min(32, samples - start), pipe.generator.config.z_dim, generator=draw)
            w_plus = pipe.generator.mapping(z)
            flat = w_plus.flatten(1) if pipe.FAMILY == "SemanticStyleGAN" else pipe.generator.styles(w_plus)
            vectors.append(reader(pipe.shown(flat)).attributes)
            codes.append(w_plus.mean(dim=1))
    values = portrait_values(torch.cat(vectors))
    train_style_flow(config, pipe.code_space, torch.cat(codes), values, out, accelerator=Accelerator(cpu=True))


if __name__ == "__main__":
    typer.run(main)
