"""Evaluate a portraits generator, one command for each question.

    evaluate="python scripts/evaluate_portraits.py"
    $evaluate frechet    --generator runs/portraits/ema --parser runs/parser --out runs/evaluation
    $evaluate attributes --generator runs/portraits/ema --out runs/evaluation

`frechet`: how far pictures are from fresh renders, in the parser's features. The distance stands beside two references
measured with the same number of images: renders against other renders (the floor), and renders against renders at half
resolution scaled back up (what losing the finest octave costs). `attributes`: whether pictures show the attributes that
their latents stand for (`sfhub.metrics.portrait_attributes`), as a network says that took part in no training.
"""

import json
import logging
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor

from sfhub.metrics.frechet import feature_statistics, frechet_distance
from sfhub.metrics.image_sets import generated, half_resolution, renders
from sfhub.metrics.portrait_attributes import (
    draw_latents,
    measure_shown,
    open_judge,
    pictures_of_latents,
    save_comparison,
    save_shown,
)
from sfhub.models.style_space import StyleGenerator
from sfhub.pipelines import open_pipeline
from sfhub.portraits.latents import attributes_from_latents
from sfhub.portraits.parser import PortraitParser
from sfhub.training.samples import save_samples

JUDGE = Path(__file__).parent / "portraits_judge"

app = typer.Typer(help=__doc__, no_args_is_help=True, rich_markup_mode=None)

Generator = Annotated[Path, typer.Option(help="Folder of the generator.")]
Out = Annotated[Path, typer.Option(help="Folder for the results.")]
Device = Annotated[str, typer.Option(help="Where to compute, such as cpu or cuda.")]


@app.command()
def frechet(
    generator: Generator,
    parser: Annotated[Path, typer.Option(help="Folder of the portrait parser.")],
    out: Out,
    count: Annotated[int, typer.Option(help="Images per set.")] = 5_000,
    seed: Annotated[int, typer.Option(help="Of renders (seed, seed + 1) and samples (seed + 2).")] = 1_000,
    device: Device = "cpu",
) -> None:
    """An uncurated 8 x 8 grid at psi 0.7 (grid.png) and Fréchet distances to fresh renders (metrics.json)."""
    G = _load_generator(generator, device)
    network = PortraitParser.from_pretrained(parser).to(device, memory_format=torch.channels_last).eval()
    resolution = G.config.resolution
    save_samples(G, out / "grid.png")

    def statistics(batches: Iterable[Tensor]):
        return feature_statistics(batches, lambda images: network(images.to(device)).features)

    others = partial(renders, count, resolution, seed + 1)
    reference = statistics(renders(count, resolution, seed))
    samples = generated(G, G.config.z_dim, count, seed + 2, device)
    distances = {
        "generator": frechet_distance(reference, statistics(samples)),
        "other renders": frechet_distance(reference, statistics(others())),
        "half-resolution renders": frechet_distance(reference, statistics(half_resolution(others()))),
    }
    (out / "metrics.json").write_text(json.dumps({"count": count, "frechet_distance": distances}, indent=1))
    logging.info("Fréchet distance to fresh renders: %s", distances)


@app.command()
def attributes(
    generator: Generator,
    out: Out,
    judge: Annotated[Path, typer.Option(help="Folder of a portrait judge, or of a parser.")] = JUDGE,
    count: Annotated[int, typer.Option(help="Latents.")] = 600,
    seed: Annotated[int, typer.Option(help="Of the latents; not a seed trained on.")] = 7_000,
    device: Device = "cpu",
) -> None:
    """Which attributes pictures show at psi 1 (attributes.md, .json), and beside renders (attributes.png)."""
    G = _load_generator(generator, device)
    network = open_judge(judge).to(device, memory_format=torch.channels_last)
    z = draw_latents(count, seed)
    drawn, pictures = attributes_from_latents(z), pictures_of_latents(G, z)
    scores = measure_shown(pictures, network, drawn)
    settings = {"generator": str(generator), "judge": str(judge), "count": count, "seed": seed}
    logging.info("Saved to %s:\n%s", out, save_shown(scores, out, **settings))
    save_comparison(pictures, drawn, out / "attributes.png")


def _load_generator(path: Path, device: str) -> StyleGenerator:
    return open_pipeline(path).generator.to(device, memory_format=torch.channels_last)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    app()
