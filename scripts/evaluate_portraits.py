"""Evaluate a portraits generator: uncurated grid and Fréchet distance to fresh renders, in the parser's features.

    python scripts/evaluate_portraits.py --generator runs/portraits128/ema --parser runs/parser --out runs/evaluation

The distance stands beside two references measured with the same number of images: renders against other renders (the
floor), and renders against renders at half resolution scaled back up (what losing the finest octave costs).
"""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import torch
import torch.nn.functional as F
import typer
from torch import Tensor
from tqdm.auto import tqdm

from sfhub.metrics.frechet import feature_statistics, frechet_distance
from sfhub.models.stylegan2 import StyleGAN2Generator
from sfhub.portraits import render, sample_attributes
from sfhub.portraits.parser import PortraitParser
from sfhub.training.stylegan2 import save_samples

BATCH = 50


def rendered(count: int, seed: int, resolution: int) -> Iterator[Tensor]:
    """Batches of fresh renders."""
    attributes = sample_attributes(count, seed=seed)
    for start in tqdm(range(0, count, BATCH), desc=f"Renders of seed {seed}"):
        chunk = {name: values[start : start + BATCH] for name, values in attributes.items()}
        yield render(chunk, resolution=resolution).image


def generated(generator: StyleGAN2Generator, count: int, seed: int) -> Iterator[Tensor]:
    """Batches of samples without truncation, clamped to the range of an image."""
    source = torch.Generator().manual_seed(seed)
    for _ in tqdm(range(0, count, BATCH), desc="Samples"):
        z = torch.randn(BATCH, generator.config.z_dim, generator=source).to(generator.device)
        yield generator(z).clamp(-1, 1)


def half_resolution(batches: Iterator[Tensor]) -> Iterator[Tensor]:
    """The same images without their finest octave."""
    for images in batches:
        yield F.interpolate(F.avg_pool2d(images, 2), scale_factor=2, mode="bilinear")


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

    def statistics(batches: Iterator[Tensor]):
        return feature_statistics(batches, lambda images: network(images.to(device)).features)

    reference = statistics(rendered(count, seed, resolution))
    with torch.no_grad():
        distances = {
            "generator": frechet_distance(reference, statistics(generated(G, count, seed))),
            "other renders": frechet_distance(reference, statistics(rendered(count, seed + 1, resolution))),
            "half-resolution renders": frechet_distance(
                reference, statistics(half_resolution(rendered(count, seed + 1, resolution)))
            ),
        }
    (out / "metrics.json").write_text(json.dumps({"count": count, "frechet_distance": distances}, indent=1))
    logging.info("Fréchet distance to fresh renders: %s", distances)


if __name__ == "__main__":
    typer.run(main)
