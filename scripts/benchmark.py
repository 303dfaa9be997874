"""Time the hot paths of the package as ratios to what they cannot avoid, in one run.

    python scripts/benchmark.py fusion
    python scripts/benchmark.py semantic-stylegan

*fusion*: a StyleFusion hierarchy of official sizes and face tree unless told otherwise. `times_floor` compares with the
bare matrix products, `times_faster` with one pass per style layer, the structure of the public code; see
`sfhub.metrics.fusion_speed`, which also times those passes without the public layers' scaling of all weights (`lean`).

*semantic-stylegan*: the generator in the paper's 256-pixel configuration. `times_floor` compares with the bare
convolutions and matrix products, `times_faster` the batched local generators with one after another; see
`sfhub.metrics.semantic_speed`.

All weights are random.
"""

import json
import logging
from typing import Annotated

import torch
import typer

from sfhub.metrics import fusion_speed, semantic_speed
from sfhub.models.fusion import FusionHierarchy
from sfhub.models.region_tree import RegionTree
from sfhub.models.semantic_stylegan import SemanticStyleGANGenerator
from sfhub.models.stylegan2 import StyleGAN2Generator

app = typer.Typer(help=__doc__, no_args_is_help=True, rich_markup_mode=None)

Batch = Annotated[list[int], typer.Option(help="Codes at once; may be repeated.")]
Repeats = Annotated[int, typer.Option(help="Timings of the fast paths, of which the median is taken.")]
SlowRepeats = Annotated[int, typer.Option(help="Timings of the paths that go one by one.")]
Threads = Annotated[int, typer.Option(help="CPU threads.")]
Device = Annotated[str, typer.Option(help="Where to compute, such as cpu or cuda.")]


@app.command()
def fusion(
    tree: Annotated[str, typer.Option(help="Shipped tree, or a JSON file.")] = "ffhq",
    resolution: Annotated[int, typer.Option(help="Of the official generator whose styles are fused.")] = 1024,
    batch: Batch = (1, 16),
    repeats: Repeats = 5,
    slow_repeats: SlowRepeats = 1,
    threads: Threads = 1,
    device: Device = "cpu",
) -> None:
    """A fusion hierarchy: one line of JSON per batch size."""
    _prepare(threads)
    with torch.device("meta"):
        generator = StyleGAN2Generator(resolution=resolution)
    hierarchy = FusionHierarchy.for_generator(generator, RegionTree.load(tree)).to(device).eval()
    for size in batch:
        codes = {node: torch.randn(size, hierarchy.style_size, device=device) for node in hierarchy.tree.nodes}
        _report(size, fusion_speed.measure(hierarchy, codes, repeats, slow_repeats))


@app.command()
def semantic_stylegan(
    resolution: Annotated[int, typer.Option(help="Of the generator.")] = 256,
    batch: Batch = (1, 8),
    repeats: Repeats = 5,
    slow_repeats: SlowRepeats = 3,
    threads: Threads = 1,
    device: Device = "cpu",
) -> None:
    """A SemanticStyleGAN generator: one line of JSON per batch size."""
    _prepare(threads)
    generator = SemanticStyleGANGenerator(resolution=resolution, transparent_classes=(10, 12)).to(device).eval()
    for size in batch:
        z = torch.randn(size, generator.config.z_dim, device=device)
        _report(size, semantic_speed.measure(generator, z, repeats, slow_repeats))


def _prepare(threads: int) -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(threads)
    torch.manual_seed(0)


def _report(batch: int, result: dict[str, float]) -> None:
    logging.info(json.dumps({"batch": batch, **{name: round(value, 4) for name, value in result.items()}}))


if __name__ == "__main__":
    app()
