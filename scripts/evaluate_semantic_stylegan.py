"""What the SemanticStyleGAN paper shows and measures of a model, one command each; `sfhub.metrics.semantic_report`.

    python scripts/evaluate_semantic_stylegan.py grid        --out runs/evaluation
    python scripts/evaluate_semantic_stylegan.py components  --out runs/evaluation
    python scripts/evaluate_semantic_stylegan.py interpolate --out runs/evaluation
    python scripts/evaluate_semantic_stylegan.py background  --photo beach.jpg --out runs/evaluation
    python scripts/evaluate_semantic_stylegan.py mixing      --out runs/evaluation
    python scripts/evaluate_semantic_stylegan.py locality    --out runs/evaluation
    python scripts/evaluate_semantic_stylegan.py masks       --out runs/evaluation
    python scripts/evaluate_semantic_stylegan.py fid         --out runs/evaluation

`--model` names the model: the built-in portraits-semantic, a folder (also of a generator alone, such as a training's
`ema`) or a Hub repository. `--parser` names a parser where the model has none, or another.
"""

import logging
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from torch import Tensor

from sfhub.editing.semantic import PARTS
from sfhub.errors import InputError
from sfhub.images.pixels import fitted, open_picture
from sfhub.metrics import semantic_report as report
from sfhub.metrics.figures import save_pictures
from sfhub.metrics.frechet import FeatureStatistics, feature_statistics, frechet_distance
from sfhub.metrics.image_sets import generated, half_resolution, renders
from sfhub.metrics.semantic_stylegan import measure_locality, measure_masks
from sfhub.pipelines.semantic_stylegan import SemanticStyleGANPipeline
from sfhub.pipelines.stylegan import StyleGANPipeline
from sfhub.regions.hub_parser import open_parser

app = typer.Typer(help=__doc__, no_args_is_help=True, rich_markup_mode=None)

Out = Annotated[Path, typer.Option(help="Folder for the results.")]
Model = Annotated[str, typer.Option(help="Built-in name, folder or Hub id.")]
Parser = Annotated[Path | None, typer.Option(help="Folder of a portrait parser; the model's own if none.")]
Regions = Annotated[list[str], typer.Option("--region", help="Region; repeat. All of the model if none.")]
Count = Annotated[int, typer.Option(help="Pictures.")]
Seed = Annotated[int, typer.Option(help="Of the first random picture, or of all.")]
Psi = Annotated[float, typer.Option(help="Truncation of all pictures.")]
Device = Annotated[str, typer.Option(help="Where to compute, such as cpu or cuda.")]


@app.command()
def grid(
    out: Out,
    model: Model = "portraits-semantic",
    count: Count = 32,
    seed: Seed = 1000,
    psi: Psi = 0.7,
    device: Device = "cpu",
) -> None:
    """Uncurated pictures, masks and depths side by side."""
    pipe = _load(model, None, device)
    samples = pipe.sample(range(seed, seed + count), psi)
    report.save_samples(samples, out / "grid.png", segment=pipe.segment, depths=pipe.depths)


@app.command()
def components(
    out: Out,
    model: Model = "portraits-semantic",
    count: Count = 3,
    seed: Seed = 1000,
    psi: Psi = 0.7,
    device: Device = "cpu",
) -> None:
    """Components appearing one by one, with their pseudo-depths (figure 5)."""
    pipe = _load(model, None, device)
    faces = [pipe.build_up(sample) for sample in pipe.sample(range(seed, seed + count), psi)]
    report.save_components(faces, out / "components.png")


@app.command()
def interpolate(
    out: Out,
    model: Model = "portraits-semantic",
    region: Annotated[
        list[str], typer.Option(help="A film each, beside that of everything; 'face+eyes' moves both; all if none.")
    ] = (),
    part: Annotated[str, typer.Option(help=f"Of the regions: {', '.join(PARTS)}.")] = PARTS[0],
    steps: Annotated[int, typer.Option(help="Pictures of a film.")] = 48,
    fps: Annotated[int, typer.Option(help="Pictures in a second.")] = 24,
    seed: Seed = 1000,
    to_seed: Annotated[int, typer.Option(help="Of the last picture.")] = 1001,
    psi: Psi = 0.7,
    device: Device = "cpu",
) -> None:
    """Films from one picture to another, of everything and of single regions: frames, GIF, MP4 (figure 7)."""
    pipe = _load(model, None, device)
    a, b = pipe.sample([seed, to_seed], psi)
    films = {
        name: pipe.interpolate(a, b, steps, names, part=PARTS[0] if names is None else part)
        for name, names in report.film_regions(region or pipe.regions).items()
    }
    report.save_films(films, out / "interpolation", fps)


@app.command()
def background(
    photo: Annotated[list[Path], typer.Option(help="Picture to stand in front of; repeat.")],
    out: Out,
    model: Model = "portraits-semantic",
    seed: Seed = 1000,
    psi: Psi = 0.7,
    device: Device = "cpu",
) -> None:
    """The foreground, moved and scaled, in front of photographs, one person for each (figure 8)."""
    pipe = _load(model, None, device)
    photographs = [fitted(open_picture(path), pipe.generator.config.resolution) for path in photo]
    samples = pipe.sample(range(seed, seed + len(photo)), psi)
    placed = report.place_foreground(pipe.compose, pipe.classes[1:], samples, photographs)
    rows = {
        path.stem: [photograph, *(each.image for each in row)]
        for path, photograph, row in zip(photo, photographs, placed, strict=True)
    }
    save_pictures(rows, out / "background.png", titles=["photograph", *report.PLACEMENTS])


@app.command()
def mixing(
    out: Out,
    model: Model = "portraits-semantic",
    region: Regions = (),
    references: Annotated[int, typer.Option(help="Columns.")] = 6,
    seed: Seed = 1000,
    psi: Psi = 0.7,
    device: Device = "cpu",
) -> None:
    """Regions of several references in several pictures: shape and texture together, and each alone (figure 18)."""
    pipe = _load(model, None, device)
    regions = list(region or pipe.regions)
    count = len(regions) + 1
    samples = pipe.sample(range(seed, seed + count + references), psi)
    for part in PARTS:
        rows = report.mix_grid(pipe.mix, samples[:count], samples[count:], regions, part)
        save_pictures(rows, out / f"mixing_{part}.png")


@app.command()
def locality(
    out: Out,
    model: Model = "portraits-semantic",
    parser: Parser = None,
    region: Regions = (),
    pairs: Annotated[int, typer.Option(help="Random pairs of pictures.")] = 500,
    seed: Seed = 1000,
    psi: Psi = 0.7,
    device: Device = "cpu",
) -> None:
    """Transfer and selectivity of every region, and how far the mask moves when only texture is exchanged."""
    pipe = _load(model, parser, device)
    rows = measure_locality(
        pipe.generator, pipe.parser, regions=region or None, pairs=pairs, seed=seed, truncation_psi=psi
    )
    settings = {"model": model, "parser": _name(pipe, parser), "pairs": pairs, "seed": seed, "psi": psi}
    logging.info("Saved to %s:\n%s", out, report.save_locality(rows, out, **settings))


@app.command()
def masks(
    out: Out,
    model: Model = "portraits-semantic",
    parser: Parser = None,
    count: Count = 500,
    seed: Seed = 1000,
    psi: Psi = 0.7,
    device: Device = "cpu",
) -> None:
    """Overlap of the generated masks with the parser's on the same pictures."""
    pipe = _load(model, parser, device)
    agreement = measure_masks(pipe.generator, pipe.parser, count=count, seed=seed, truncation_psi=psi)
    settings = {"model": model, "parser": _name(pipe, parser), "seed": seed, "psi": psi}
    logging.info("Saved to %s:\n%s", out, report.save_masks(agreement, out, **settings))


@app.command()
def fid(
    out: Out,
    model: Model = "portraits-semantic",
    parser: Parser = None,
    beside: Annotated[str, typer.Option(help="StyleGAN2 to compare with; empty for none.")] = "portraits",
    style: Annotated[str | None, typer.Option(help="Of the renders, for an adapted model: ink.")] = None,
    count: Count = 5_000,
    seed: Seed = 1000,
    device: Device = "cpu",
) -> None:
    """Fréchet distance to fresh renders in the parser's features, and that of a StyleGAN2 on the same renders."""
    pipe = _load(model, parser, device)
    if pipe.parser is None:
        raise InputError(f"The model {model} has no parser to take features from; name one with --parser.")
    G, side = pipe.generator, pipe.generator.config.resolution
    others = partial(renders, count, side, seed + 1, style)
    sets = {
        "generator": generated(lambda z: G(z).image, G.config.z_dim, count, seed + 2, device),
        "other renders": others(),
        "half-resolution renders": half_resolution(others()),
    }
    if beside:
        rival = StyleGANPipeline.from_pretrained(beside).to_device(device).generator
        sets[beside] = generated(rival, rival.config.z_dim, count, seed + 2, device)

    def statistics(batches: Iterable[Tensor]) -> FeatureStatistics:
        return feature_statistics(batches, lambda images: pipe.parser(images.to(device)).features)

    reference = statistics(renders(count, side, seed, style))
    distances = {name: frechet_distance(reference, statistics(batches)) for name, batches in sets.items()}
    result = {"model": model, "count": count, "seed": seed, "style": style, "frechet_distance": distances}
    if beside:
        result["ratio"] = distances["generator"] / distances[beside]
    path = report.save_json(result, out, "frechet.json")
    logging.info("Saved to %s: %s", path, result)


def _load(model: str, parser: Path | None, device: str) -> SemanticStyleGANPipeline:
    given = {} if parser is None else {"parser": open_parser(parser)}
    return SemanticStyleGANPipeline.from_pretrained(model, **given).to_device(device)


def _name(pipe: SemanticStyleGANPipeline, parser: Path | None) -> str | None:
    """How the results name the parser."""
    return str(parser) if parser else "the model's" if pipe.parser else None


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    app()
