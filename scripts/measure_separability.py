"""Measure how well each region of a model can be edited alone: transfer against leak, see `sfhub.metrics.separability`.

    python scripts/measure_separability.py --generator runs/portraits128/ema --catalog runs/catalog \\
        --parser runs/parser --out runs/separability

Writes separability.json, separability.md and separability.png.
"""

import argparse
import logging

from diffusers import ModelMixin

from sfhub.metrics.separability_report import measure_curves, save_report
from sfhub.models.stylegan2 import StyleGAN2Generator
from sfhub.portraits.parser import PortraitParser
from sfhub.regions.build import build_catalog
from sfhub.regions.catalog import MODES, RegionCatalog


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generator", required=True, help="folder of the generator")
    parser.add_argument("--parser", help="folder of the portrait parser; without one clusters say where regions are")
    parser.add_argument("--catalog", help="folder of the region catalog; built on the spot if not given")
    parser.add_argument("--out", required=True, help="folder for the results")
    parser.add_argument("--pairs", type=int, default=500)
    parser.add_argument("--modes", nargs="+", choices=list(MODES), default=["threshold", "sequential"])
    parser.add_argument("--seed", type=int, default=1000, help="of the pairs; not one the catalog was built on")
    parser.add_argument("--psi", type=float, default=0.7, help="truncation of all images")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()

    def load(kind: type[ModelMixin], folder: str) -> ModelMixin:
        return kind.from_pretrained(folder).to(options.device).eval()

    generator = load(StyleGAN2Generator, options.generator)
    masks = load(PortraitParser, options.parser) if options.parser else None
    if options.catalog:
        catalog = load(RegionCatalog, options.catalog)
    else:
        catalog = build_catalog(generator, masks, truncation_psi=options.psi)
    rows = measure_curves(
        generator,
        catalog,
        masks,
        modes=options.modes,
        pairs=options.pairs,
        seed=options.seed,
        truncation_psi=options.psi,
    )
    logging.info("%s", save_report(rows, options.out, **vars(options)))


if __name__ == "__main__":
    main()
