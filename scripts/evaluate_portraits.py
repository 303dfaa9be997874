"""Evaluate a portraits generator: uncurated grid and Fréchet distance to fresh renders, in the parser's features.

    python scripts/evaluate_portraits.py --generator runs/portraits128/ema --parser runs/parser --out runs/evaluation

The distance stands beside two references measured with the same number of images: renders against other renders (the
floor), and renders against renders at half resolution scaled back up (what losing the finest octave costs).
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
from sfhub.models.stylegan2 import StyleGAN2Generator
from sfhub.portraits.parser import PortraitParser
from sfhub.training.stylegan2 import save_samples


def main(
    generator: Annotated[Path, typer.Option(help="Folder of the generator.")],
    parser: Annotated[Path, typer.Option(help="Folder of the portrait parser.")],
    out: Annotated[Path, typer.Option(help="Folder for grid.png and metrics.json.")],
    count: Annotated[int, typer.Option(help="Images per set.")] = 5_000,
    seed: Annotated[int, typer.Option(help="Of renders (seed, seed + 1) and samples; not a seed trained on.")] = 1_000,
    device: Annotated[str, typer.Option(help="Where to run.")] = "cpu",
) -> None:
    """Write an uncurated 8 x 8 grid at psi 0.7 and the Fréchet distances."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    G = StyleGAN2Generator.from_pretrained(generator).to(device, memory_format=torch.channels_last).eval()
    network = PortraitParser.from_pretrained(parser).to(device, memory_format=torch.channels_last).eval()
    resolution = G.config.resolution
    save_samples(G, out / "grid.png")

    def statistics(batches: Iterable[Tensor]):
        return feature_statistics(batches, lambda images: network(images.to(device)).features)

    others = partial(renders, count, resolution, seed + 1)
    reference = statistics(renders(count, resolution, seed))
    samples = generated(G, G.config.z_dim, count, seed, device)
    distances = {
        "generator": frechet_distance(reference, statistics(samples)),
        "other renders": frechet_distance(reference, statistics(others())),
        "half-resolution renders": frechet_distance(reference, statistics(half_resolution(others()))),
    }
    (out / "metrics.json").write_text(json.dumps({"count": count, "frechet_distance": distances}, indent=1))
    logging.info("Fréchet distance to fresh renders: %s", distances)


if __name__ == "__main__":
    typer.run(main)
