"""Put a trained SemanticStyleGAN together as a pipeline folder, by default the built-in `portraits-semantic`.

    python scripts/assemble_semantic_portraits.py --generator runs/semantic128/ema
    python scripts/assemble_semantic_portraits.py --generator runs/semantic128-ink/ema --name portraits-semantic-ink

Weights are stored in half precision; the script logs by how much pictures differ.
"""

import logging
from pathlib import Path
from typing import Annotated

import torch
import typer

from sfhub.images.color import color_difference
from sfhub.models.semantic_stylegan import SemanticStyleGANGenerator
from sfhub.pipelines.hub import ALIASES
from sfhub.pipelines.semantic_stylegan import SemanticStyleGANPipeline
from sfhub.text.relevance import TextRelevance


def main(
    generator: Annotated[Path, typer.Option(help="Folder of the generator.")],
    name: Annotated[str, typer.Option(help="Which built-in model it becomes.")] = "portraits-semantic",
    text_relevance: Annotated[Path | None, typer.Option(help="Folder of the text directions' relevance.")] = None,
    card: Annotated[Path | None, typer.Option(help="Model card to put beside the weights.")] = None,
    out: Annotated[Path | None, typer.Option(help="Another folder for the pipeline.")] = None,
) -> None:
    """Assemble a pipeline folder from a trained generator."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    out = out or ALIASES[name]
    G = SemanticStyleGANGenerator.from_pretrained(generator).eval()
    z = torch.randn(16, G.config.z_dim, generator=torch.Generator().manual_seed(1_000))
    with torch.no_grad():
        before = G(z, truncation_psi=0.7).image.clamp(-1, 1)
        after = G.half().float()(z, truncation_psi=0.7).image.clamp(-1, 1)
    logging.info("Half precision changes pictures by %.4f Delta E on average.", color_difference(before, after).mean())
    SemanticStyleGANPipeline(
        generator=G.half(),
        text_relevance=None if text_relevance is None else TextRelevance.from_pretrained(text_relevance).eval(),
    ).save_pretrained(out)
    if card is not None:
        (out / "README.md").write_text(card.read_text(encoding="utf-8"), encoding="utf-8")
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    logging.info("Wrote %s, %.1f MB.", out, size / 1e6)


if __name__ == "__main__":
    typer.run(main)
