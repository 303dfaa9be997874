"""Build the region catalog of a generator and save it as a Hub component.

python scripts/build_catalog.py --generator runs/portraits128/ema --parser runs/parser --out runs/catalog
"""

import argparse
import logging

from diffusers import ModelMixin

from sfhub.models.stylegan2 import StyleGAN2Generator
from sfhub.portraits.parser import PortraitParser
from sfhub.regions.build import build_catalog


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generator", required=True, help="folder of the generator")
    parser.add_argument("--parser", help="folder of the portrait parser; without one every cluster is a region")
    parser.add_argument("--out", required=True, help="folder for the catalog")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--images", type=int, default=200, help="random images for clusters and contribution")
    parser.add_argument("--clusters", type=int, default=24)
    parser.add_argument("--influence-images", type=int, default=12, help="images on which each style is moved")
    parser.add_argument("--pairs", type=int, default=50, help="pairs on which the default queries are chosen")
    parser.add_argument("--psi", type=float, default=0.7, help="truncation of all images")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()

    def load(kind: type[ModelMixin], folder: str) -> ModelMixin:
        return kind.from_pretrained(folder).to(options.device).eval()

    catalog = build_catalog(
        load(StyleGAN2Generator, options.generator),
        load(PortraitParser, options.parser) if options.parser else None,
        options.seed,
        num_clusters=options.clusters,
        num_images=options.images,
        influence_images=options.influence_images,
        pairs=options.pairs,
        truncation_psi=options.psi,
    )
    catalog.save_pretrained(options.out)
    for region, how in (catalog.config.defaults or {}).items():
        logging.info("%s: %.0f%% at %.1f : 1 (%s)", region, 100 * how["transfer"], how["leak"], how)


if __name__ == "__main__":
    main()
