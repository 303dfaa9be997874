"""What the StyleFusion paper shows and measures of a fusion hierarchy, one command each; `sfhub.metrics.stylefusion`.

    python scripts/evaluate_stylefusion.py heatmaps  --hierarchy runs/fusion --out runs/evaluation
    python scripts/evaluate_stylefusion.py hair-grid --hierarchy runs/fusion --out runs/evaluation
    python scripts/evaluate_stylefusion.py fid       --hierarchy runs/fusion --out runs/evaluation
    python scripts/evaluate_stylefusion.py ablation  --hierarchy runs/fusion --hierarchy runs/no_global --out ...
    python scripts/evaluate_stylefusion.py locality  --hierarchy runs/fusion --out runs/evaluation
    python scripts/evaluate_stylefusion.py attributes --hierarchy runs/fusion --out runs/evaluation

`--model` names the generator with its catalog and parser: the built-in portraits, a folder or a Hub repository.
"""

import logging
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor

from sfhub.errors import InputError
from sfhub.metrics import stylefusion as measures
from sfhub.metrics import stylefusion_report as report
from sfhub.metrics.attributes import measure_attributes
from sfhub.metrics.image_sets import folder_images, renders
from sfhub.models.fusion import FusionHierarchy
from sfhub.pipelines.stylegan import StyleGANPipeline
from sfhub.portraits.parser import PortraitParser
from sfhub.regions.sampling import sample_styles

app = typer.Typer(help=__doc__, no_args_is_help=True, rich_markup_mode=None)

Model = Annotated[str, typer.Option(help="Built-in name, folder or Hub id of the generator's model.")]
Hierarchy = Annotated[Path, typer.Option(help="Folder of the fusion hierarchy.")]
Out = Annotated[Path, typer.Option(help="Folder for the results.")]
Regions = Annotated[list[str], typer.Option("--region", help="Node of the tree; repeat. All but the root if none.")]
Seed = Annotated[int, typer.Option(help="Of the random pictures.")]
Psi = Annotated[float, typer.Option(help="Truncation of all pictures.")]
Device = Annotated[str, typer.Option(help="Where to compute, such as cpu or cuda.")]


@app.command()
def heatmaps(
    hierarchy: Hierarchy,
    out: Out,
    model: Model = "portraits",
    region: Regions = (),
    count: Annotated[int, typer.Option(help="Pictures per map.")] = 500,
    bases: Annotated[int, typer.Option(help="Constant pictures of figure 10.")] = 3,
    seed: Seed = 1000,
    psi: Psi = 0.7,
    device: Device = "cpu",
) -> None:
    """Where a change of each region shows: averaged over pictures (figure 9), and on constant ones (figure 10)."""
    pipe, network = _load(model, hierarchy, device)
    G, regions = pipe.generator, region or network.active_nodes[1:]
    base, reference = sample_styles(G, 2 * count, seed, psi).chunk(2)
    measure = partial(measures.difference_maps, G, network, regions)
    report.save_heat_maps({f"{count} pictures": measure(base, reference)}, {}, out / "heatmaps_random_bases.png")
    fixed = {f"picture {index + 1}": code[None] for index, code in enumerate(base[:bases])}
    maps = {name: measure(code, reference) for name, code in fixed.items()}
    with torch.no_grad():
        pictures = {name: G.synthesis(code)[0] for name, code in fixed.items()}
    report.save_heat_maps(maps, pictures, out / "heatmaps_constant_bases.png")


@app.command()
def hair_grid(
    hierarchy: Hierarchy,
    out: Out,
    model: Model = "portraits",
    region: Annotated[str, typer.Option(help="Node that is transferred.")] = "hair",
    poses: Annotated[int, typer.Option(help="Rows.")] = 3,
    references: Annotated[int, typer.Option(help="Columns.")] = 6,
    seed: Seed = 1000,
    psi: Psi = 0.7,
    device: Device = "cpu",
) -> None:
    """The hair of several references on one person in several poses (figure 15)."""
    pipe, network = _load(model, hierarchy, device)
    codes = sample_styles(pipe.generator, 1 + poses + references, seed, psi).split([1, poses, references])
    pictures = measures.transfer_grid(pipe.generator, network, region, *codes)
    report.save_grid(*pictures, out / f"{region}_grid.png")


@app.command()
def fid(
    hierarchy: Hierarchy,
    out: Out,
    model: Model = "portraits",
    region: Regions = (),
    count: Annotated[int, typer.Option(help="Pictures per distance; the paper takes 50000.")] = 5_000,
    real: Annotated[Path | None, typer.Option(help="Folder of real images; fresh portrait renders if none.")] = None,
    features: Annotated[
        str, typer.Option(help="The model's parser, or package.module:function, images [B, 3, H, W] -> [B, F].")
    ] = "parser",
    seed: Seed = 1000,
    psi: Psi = 1.0,
    device: Device = "cpu",
) -> None:
    """Fréchet distance when one region has a code of its own (table 1)."""
    pipe, network = _load(model, hierarchy, device)
    regions, side = list(region or network.active_nodes[1:]), pipe.generator.config.resolution
    distances = measures.region_distances(
        pipe.generator,
        network,
        regions,
        (batch.to(device) for batch in (folder_images(real, count, side) if real else renders(count, side, seed + 1))),
        _features(features, pipe.parser),
        count=count,
        seed=seed,
        truncation_psi=psi,
    )
    settings = {"model": model, "hierarchy": str(hierarchy), "features": features, "real": str(real or "renders")}
    table = report.save_distances(distances, out, **settings, count=count, seed=seed, psi=psi)
    logging.info("Saved to %s:\n%s", out, table)


@app.command()
def ablation(
    hierarchy: Annotated[list[Path], typer.Option(help="Folder of a hierarchy, named after it; repeat.")],
    out: Out,
    model: Model = "portraits",
    node: Annotated[str | None, typer.Option(help="Whose two regions change in turn; the root if none.")] = None,
    references: Annotated[int, typer.Option(help="Columns.")] = 4,
    seed: Seed = 1000,
    psi: Psi = 0.7,
    device: Device = "cpu",
) -> None:
    """The same changes with several hierarchies, in strips under each other (figure 16)."""
    pipe, network = _load(model, hierarchy[0], device)
    networks = {path.name: _load_hierarchy(path, device) for path in hierarchy}
    base, others = sample_styles(pipe.generator, 1 + references, seed, psi).split([1, references])
    strips = measures.sibling_strips(pipe.generator, networks, node or network.tree.root, base, others)
    with torch.no_grad():
        picture = pipe.generator.synthesis(base)[0]
    for child, rows in strips.items():
        report.save_strips(rows, picture, out / f"ablation_{child}.png")


@app.command()
def locality(
    hierarchy: Hierarchy,
    out: Out,
    model: Model = "portraits",
    region: Regions = (),
    pairs: Annotated[int, typer.Option(help="Random pairs of pictures.")] = 500,
    curves: Annotated[bool, typer.Option(help="Compare at equal transfer too; takes twenty times as long.")] = False,
    seed: Seed = 1000,
    psi: Psi = 0.7,
    device: Device = "cpu",
) -> None:
    """Transfer and selectivity of every region, beside Editing in Style on the same pairs."""
    pipe, network = _load(model, hierarchy, device)
    if pipe.catalog is None:
        raise InputError(f"The model {model} has no region catalog; build one with scripts/build_catalog.py.")
    turn = partial(measures.head_turn, pipe.parser) if isinstance(pipe.parser, PortraitParser) else None
    rows = measures.measure_locality(
        pipe.generator,
        pipe.catalog,
        network,
        pipe.parser,
        regions=region or None,
        pairs=pairs,
        seed=seed,
        truncation_psi=psi,
        turn=turn,
        curves=curves,
    )
    settings = {"model": model, "hierarchy": str(hierarchy), "pairs": pairs, "seed": seed, "psi": psi}
    logging.info("Saved to %s:\n%s", out, report.save_locality(rows, out, **settings))


@app.command()
def attributes(
    hierarchy: Hierarchy,
    out: Out,
    model: Model = "portraits",
    region: Regions = (),
    pairs: Annotated[int, typer.Option(help="Random pairs of pictures.")] = 500,
    seed: Seed = 1000,
    psi: Psi = 0.7,
    device: Device = "cpu",
) -> None:
    """Portraits only: does a region bring its attributes along (R^2, accuracy), and do all others stay?"""
    pipe, network = _load(model, hierarchy, device)
    if not isinstance(pipe.parser, PortraitParser):
        raise InputError(f"The model {model} has no portrait parser, which is what sees attributes.")
    scores = measure_attributes(
        pipe.generator, network, pipe.parser, regions=region or None, pairs=pairs, seed=seed, truncation_psi=psi
    )
    settings = {"model": model, "hierarchy": str(hierarchy), "pairs": pairs, "seed": seed, "psi": psi}
    logging.info("Saved to %s:\n%s", out, report.save_attributes(scores, out, **settings))


def _load(model: str, hierarchy: Path, device: str) -> tuple[StyleGANPipeline, FusionHierarchy]:
    pipe = StyleGANPipeline.from_pretrained(model).to_device(device)
    network = _load_hierarchy(hierarchy, device)
    network.check_generator(pipe.generator)
    return pipe, network


def _load_hierarchy(path: Path, device: str) -> FusionHierarchy:
    return FusionHierarchy.from_pretrained(path).to(device).eval()


def _features(name: str, parser: PortraitParser | None) -> Callable[[Tensor], Tensor]:
    """The feature extractor that `name` stands for."""
    if name == "parser":
        if parser is None:
            raise InputError("The model has no parser to take features from; name a function, package.module:function.")
        return lambda images: parser(images).features
    module, _, function = name.partition(":")
    try:
        return getattr(import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"There are no features {name!r} ({error}); give parser or package.module:function.") from None


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    app()
