"""Measure what each channel of a model means to a text encoder, so that texts edit its pictures at once (StyleCLIP).

    python scripts/measure_text_directions.py --model portraits --basis w --out runs/text-relevance
    python scripts/measure_text_directions.py --model you/ffhq --encoder ViT-B-32:laion2b_s34b_b79k --out runs/ffhq-text

The result is the model's component `text_relevance`.
"""

import logging
from pathlib import Path
from typing import Annotated

import torch
import typer

from sfhub.pipelines.families import open_pipeline
from sfhub.text.encoder import PORTRAITS
from sfhub.text.relevance import measure_relevance


def main(
    out: Annotated[Path, typer.Option(help="Folder for the relevance.")],
    model: Annotated[str, typer.Option(help="Alias, folder or Hub id of the model.")] = "portraits",
    encoder: Annotated[str, typer.Option(help="Text encoder: a name, a folder or a Hub id.")] = PORTRAITS,
    named: Annotated[str | None, typer.Option(help="What to call the encoder, for a folder that will move.")] = None,
    basis: Annotated[str, typer.Option(help="s, channels of S as in the paper, or w, dimensions of W.")] = "s",
    images: Annotated[int, typer.Option(help="Pictures per channel.")] = 16,
    samples: Annotated[int, typer.Option(help="Codes for the spread of the channels.")] = 2_000,
    alpha: Annotated[float, typer.Option(help="How far strength 1 goes.")] = 3.0,
    beta: Annotated[float, typer.Option(help="Channels of less relevance stay.")] = 0.15,
    seed: Annotated[int, typer.Option(help="Of the samples.")] = 0,
) -> None:
    """Measure text directions."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    pipe = open_pipeline(model)
    opened = pipe.use_text_encoder(encoder)
    opened.name = named or opened.name
    z = torch.randn(samples, pipe.generator.config.z_dim, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        w_plus = pipe.generator.mapping(z)
        codes = w_plus.flatten(1) if pipe.FAMILY == "SemanticStyleGAN" else pipe.generator.styles(w_plus)
    found = measure_relevance(
        pipe.code_space, pipe.shown, w_plus, codes, opened, basis=basis, images=images, alpha=alpha, beta=beta
    )
    found.save_pretrained(out)


if __name__ == "__main__":
    typer.run(main)
