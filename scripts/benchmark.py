"""Time the hot paths of the package as ratios to what they cannot avoid, in one run.

    python scripts/benchmark.py

StyleFusion hierarchy: official sizes and face tree unless told otherwise, random weights. `times_floor` compares with
the bare matrix products, `times_faster` with one pass per style layer, the structure of the public code; see
`sfhub.metrics.fusion_speed`, which also times those passes without the public layers' scaling of all weights (`lean`).
"""

import json
import logging
from typing import Annotated

import torch
import typer

from sfhub.metrics.fusion_speed import measure
from sfhub.models.fusion import FusionHierarchy
from sfhub.models.stylegan2 import StyleGAN2Generator
from sfhub.regions.tree import RegionTree


def main(
    tree: Annotated[str, typer.Option(help="Shipped tree, or a JSON file.")] = "ffhq",
    resolution: Annotated[int, typer.Option(help="Of the official generator whose styles are fused.")] = 1024,
    batch: Annotated[list[int], typer.Option(help="Codes at once; may be repeated.")] = (1, 16),
    repeats: Annotated[int, typer.Option(help="Timings of the fast paths, of which the median is taken.")] = 5,
    slow_repeats: Annotated[int, typer.Option(help="Timings of the path with one pass per layer.")] = 1,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 1,
    device: Annotated[str, typer.Option(help="Where to compute, such as cpu or cuda.")] = "cpu",
) -> None:
    """Print one line of JSON per batch size."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    with torch.device("meta"):
        generator = StyleGAN2Generator(resolution=resolution)
    hierarchy = FusionHierarchy.for_generator(generator, RegionTree.load(tree)).to(device).eval()
    for size in batch:
        codes = {node: torch.randn(size, hierarchy.style_size, device=device) for node in hierarchy.tree.nodes}
        result = measure(hierarchy, codes, repeats, slow_repeats)
        logging.info(json.dumps({"batch": size, **{name: round(value, 4) for name, value in result.items()}}))


if __name__ == "__main__":
    typer.run(main)
