"""Put trained components together as a pipeline folder, by default the built-in model `portraits`.

    python scripts/assemble_portraits.py --generator runs/portraits128/ema --parser runs/parser --catalog runs/catalog

Weights are stored in half precision, which changes no visible pixel; the script logs by how much pictures differ.
"""

import logging
from pathlib import Path
from typing import Annotated

import torch
import typer

from sfhub.images.color import color_difference
from sfhub.models.fusion import FusionHierarchy
from sfhub.pipelines import open_pipeline
from sfhub.pipelines.stylegan import StyleGANPipeline
from sfhub.regions.catalog import RegionCatalog
from sfhub.regions.hub_parser import open_parser
from sfhub.text.relevance import TextRelevance

BUILT_IN = Path(__file__).parents[1] / "sfhub" / "portraits" / "weights"


def main(
    generator: Annotated[Path, typer.Option(help="Folder of the generator.")],
    parser: Annotated[Path, typer.Option(help="Folder of the portrait parser.")],
    catalog: Annotated[Path, typer.Option(help="Folder of the region catalog.")],
    fusion: Annotated[Path | None, typer.Option(help="Folder of the fusion hierarchy, if there is one.")] = None,
    text_relevance: Annotated[Path | None, typer.Option(help="Folder of the text directions' relevance.")] = None,
    card: Annotated[Path | None, typer.Option(help="Model card to put beside the weights.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the pipeline.")] = BUILT_IN,
) -> None:
    """Assemble a pipeline folder from trained components."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    G = open_pipeline(generator).generator
    z = torch.randn(16, G.config.z_dim, generator=torch.Generator().manual_seed(1_000))
    with torch.no_grad():
        before = G(z, truncation_psi=0.7).clamp(-1, 1)
        after = G.half().float()(z, truncation_psi=0.7).clamp(-1, 1)
    logging.info("Half precision changes pictures by %.4f Delta E on average.", color_difference(before, after).mean())
    pipe = StyleGANPipeline(
        generator=G.half(),
        catalog=RegionCatalog.from_pretrained(catalog),
        parser=open_parser(parser).half(),
        fusion=None if fusion is None else FusionHierarchy.from_pretrained(fusion).eval().half(),
        text_relevance=None if text_relevance is None else TextRelevance.from_pretrained(text_relevance).eval(),
    )
    pipe.save_pretrained(out)
    if card is not None:
        (out / "README.md").write_text(card.read_text(encoding="utf-8"), encoding="utf-8")
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    logging.info("Wrote %s, %.1f MB.", out, size / 1e6)


if __name__ == "__main__":
    typer.run(main)
