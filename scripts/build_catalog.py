"""Build the region catalog of a generator and save it as a Hub component.

python scripts/build_catalog.py --generator runs/portraits128/ema --parser runs/parser --out runs/catalog
python scripts/build_catalog.py --generator runs/ffhq --parser jonathandinu/face-parsing --clustering ward --out ...
"""

import logging
from pathlib import Path
from typing import Annotated

import torch
import typer

from sfhub.pipelines import open_pipeline
from sfhub.regions.build import build_catalog
from sfhub.regions.hub_parser import open_parser
from sfhub.regions.naming import PORTRAIT_REGIONS, regions_for


def main(
    generator: Annotated[Path, typer.Option(help="Folder of the generator.")],
    out: Annotated[Path, typer.Option(help="Folder for the catalog.")],
    parser: Annotated[
        str | None,
        typer.Option(
            help="Folder of a portrait parser, or Hub id of any segmentation model; unnamed clusters if none."
        ),
    ] = None,
    clustering: Annotated[str, typer.Option(help="kmeans (one layer) or ward (all layers together).")] = "kmeans",
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
    masks = open_parser(parser).to(device, memory_format=torch.channels_last) if parser else None
    catalog = build_catalog(
        open_pipeline(generator).generator.to(device, memory_format=torch.channels_last),
        masks,
        seed,
        regions=regions_for(masks.config.class_names) if masks else PORTRAIT_REGIONS,
        clustering=clustering,
        num_clusters=clusters,
        num_images=images,
        influence_images=influence_images,
        pairs=pairs,
        refine_steps=refine_steps,
        truncation_psi=psi,
    )
    catalog.save_pretrained(out)
    for region, figures in (catalog.config.measured or {}).items():
        how = catalog.config.defaults[region]
        logging.info("%s: %.0f%% at %.1f : 1, by %s", region, 100 * figures["transfer"], figures["selectivity"], how)


if __name__ == "__main__":
    typer.run(main)
