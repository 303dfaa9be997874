"""Train a StyleCLIP mapper: one network that does to any portrait what one text says.

    python scripts/train_mapper.py --text "curly red hair" --region hair --out runs/curly
    python scripts/train_mapper.py --text "a mohawk" --keep-colours --out runs/mohawk

    pipe.edit(sample, MapperEdit(LatentMapper.from_pretrained("runs/curly")), 1.0, "hair")

With a region the mapper is trained on pictures in which only that region changes (StyleFusion, section 6.1).
"""

import logging
from pathlib import Path
from typing import Annotated

import torch
import typer
from accelerate import Accelerator

from sfhub.pipelines.families import open_pipeline
from sfhub.steps.code import Code
from sfhub.steps.edit import EditStep, constraints_of
from sfhub.text.encoder import PORTRAITS, checked_text
from sfhub.training.latent_mapper import MapperTraining, mapper_groups, train_mapper
from sfhub.training.settings import with_settings


def main(
    text: Annotated[str, typer.Option(help="What pictures shall show.")],
    out: Annotated[Path, typer.Option(help="Folder for the mapper.")],
    model: Annotated[str, typer.Option(help="Alias, folder or Hub id of the model.")] = "portraits",
    region: Annotated[list[str], typer.Option(help="Change only this region; repeat for more.")] = (),
    encoder: Annotated[str, typer.Option(help="Text encoder: a name, a folder or a Hub id.")] = PORTRAITS,
    samples: Annotated[int, typer.Option(help="How many pictures it is trained on.")] = 256,
    set_: Annotated[
        list[str], typer.Option("--set", help="NAME=VALUE, a setting of MapperTraining with its value in JSON.")
    ] = (),
    keep_colours: Annotated[bool, typer.Option("--keep-colours", help="Without the mapper of fine layers.")] = False,
) -> None:
    """Train a mapper."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    config, text, pipe = with_settings(MapperTraining(), set_), checked_text(text), open_pipeline(model)
    opened, space = pipe.use_text_encoder(encoder), pipe.code_space
    step = None
    if region:
        step = EditStep(text, 1.0, tuple(region), constraints_of(pipe)[0])
        step.check_regions(pipe)
    z = torch.randn(samples, pipe.generator.config.z_dim, generator=torch.Generator().manual_seed(config.seed))
    with torch.no_grad():
        w_plus = pipe.generator.mapping(z, truncation_psi=0.7)
    flat = (lambda w: w.flatten(1)) if pipe.FAMILY == "SemanticStyleGAN" else pipe.generator.styles

    def render(codes: torch.Tensor, displacement: torch.Tensor) -> torch.Tensor:
        pictures = []
        for code, moved in zip(codes[:, None], displacement[:, None], strict=True):
            base = Code(flat(code), None if pipe.FAMILY == "SemanticStyleGAN" else code)
            edited = space.moved(base, moved)
            pictures.append(pipe.shown(edited.s if step is None else step.constrained(pipe, base, edited)))
        return torch.cat(pictures)

    semantic = pipe.FAMILY == "SemanticStyleGAN"
    groups = {"all": (0, None)} if semantic else mapper_groups(space.num_ws, colours=not keep_colours)
    train_mapper(config, text, w_plus, render, opened, out, groups=groups, accelerator=Accelerator(cpu=True))


if __name__ == "__main__":
    typer.run(main)
