"""Build the region catalog of a generator and save it as a Hub component.

python scripts/build_catalog.py --generator runs/portraits128/ema --parser runs/parser --out runs/catalog
"""

import logging
from pathlib import Path
from typing import Annotated

import torch
import typer

from sfhub.models.stylegan2 import StyleGAN2Generator
from sfhub.portraits.parser import PortraitParser
from sfhub.regions.build import build_catalog


def main(
    generator: Annotated[Path, typer.Option(help="Folder of the generator.")],
    out: Annotated[Path, typer.Option(help="Folder for the catalog.")],
    parser: Annotated[Path | None, typer.Option(help="Folder of the parser; without it clusters are regions.")] = None,
    seed: Annotated[int, typer.Option(help="Of the random images.")] = 0,
    images: Annotated[int, typer.Option(help="Random images for clusters and contribution.")] = 200,
    clusters: Annotated[int, typer.Option(help="Clusters of activations.")] = 24,
    influence_images: Annotated[int, typer.Option(help="Images on which each style is moved.")] = 12,
    pairs: Annotated[int, typer.Option(help="Pairs on which the default queries are chosen.")] = 32,
    refine_steps: Annotated[int, typer.Option(help="Gradient steps on each default query; 0 for none.")] = 100,
    psi: Annotated[float, typer.Option(help="Truncation of all images.")] = 0.7,
    device: Annotated[str, typer.Option(help="Where to compute, such as cpu or cuda.")] = "cpu",
) -> None:
    """Build the region catalog of a generator."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    catalog = build_catalog(
        StyleGAN2Generator.from_pretrained(generator).to(device, memory_format=torch.channels_last).eval(),
        PortraitParser.from_pretrained(parser).to(device, memory_format=torch.channels_last).eval() if parser else None,
        seed,
        num_clusters=clusters,
        num_images=images,
        influence_images=influence_images,
        pairs=pairs,
        refine_steps=refine_steps,
        truncation_psi=psi,
    )
    catalog.save_pretrained(out)
    for region, how in (catalog.config.defaults or {}).items():
        logging.info("%s: %.0f%% at %.1f : 1, by %s", region, 100 * how["transfer"], how["leak"], how)


if __name__ == "__main__":
    typer.run(main)
