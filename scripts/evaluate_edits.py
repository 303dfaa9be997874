"""Measure the edits of a portraits model: what they reach, and what they leave alone.

    evaluate="python scripts/evaluate_edits.py"
    $evaluate strips  --model portraits --out runs/evaluation    # every edit over its range, global beside constrained
    $evaluate effects --model portraits --out runs/evaluation    # gain, of the drawn gain, attributes kept, outside
    $evaluate curves  --model portraits --out runs/evaluation    # preservation against gain (SemanticStyleGAN, fig. 10)
    $evaluate intervention --normals runs/sparse --out runs/evaluation    # Style Intervention's tables 1 and 2

The paper's figure takes 200 portraits: --count 200.
"""

import logging
from pathlib import Path
from typing import Annotated

import typer
from tqdm.auto import tqdm

from sfhub.editing.directions import EditDirections
from sfhub.metrics.edits import (
    CONSTRAINED,
    GLOBAL,
    compare_intervention,
    edit_curve,
    measure_edits,
    named_scores,
)
from sfhub.metrics.edits_report import save_comparison, save_curves, save_effects, save_strips
from sfhub.pipelines.edits import EditingPipeline
from sfhub.pipelines.families import open_pipeline
from sfhub.portraits.parser import PortraitParser

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

Out = Annotated[Path, typer.Option(help="Folder for the results.")]
Model = Annotated[str, typer.Option(help="Built-in model, model folder, or repo id on the Hub.")]
Reader = Annotated[Path | None, typer.Option(help="Folder of the parser; that of portraits if not given.")]
Edits = Annotated[list[str] | None, typer.Option("--edit", help="Name of an edit; may be repeated.")]
Count = Annotated[int, typer.Option(help="Portraits.")]
Seed = Annotated[int, typer.Option(help="Of the first portrait.")]
Device = Annotated[str, typer.Option(help="Where to compute, such as cpu or cuda.")]


def _open(model: str, parser: Path | None, device: str) -> tuple[EditingPipeline, PortraitParser]:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    pipe = open_pipeline(model).to_device(device)
    pipe.set_progress_bar_config(disable=True)
    reader = open_pipeline("portraits").parser if parser is None else PortraitParser.from_pretrained(parser)
    return pipe, reader.float().to(device).eval()


@app.command()
def strips(
    out: Out, model: Model = "portraits", edit: Edits = None, seed: Seed = 3, steps: int = 5, device: Device = "cpu"
) -> None:
    """Draw edits over their ranges."""
    pipe, _ = _open(model, None, device)
    names = [score.name for score in named_scores(pipe, edit or ())]
    logging.info("Saved %s.", save_strips(pipe, pipe.sample(seed)[0], names, out / "edit_strips.png", steps))


@app.command()
def effects(
    out: Out,
    model: Model = "portraits",
    parser: Reader = None,
    edit: Edits = None,
    count: Count = 20,
    seed: Seed = 5000,
    device: Device = "cpu",
) -> None:
    """Measure edits at the end of their ranges."""
    pipe, reader = _open(model, parser, device)
    pictures = pipe.sample(list(range(seed, seed + count)))
    found = measure_edits(pipe, reader, named_scores(pipe, edit or ()), pictures)
    logging.info("Saved to %s:\n%s", out, save_effects(found, out, model=model, count=count, seed=seed))


@app.command()
def curves(
    out: Out,
    model: Model = "portraits",
    parser: Reader = None,
    edit: Edits = None,
    count: Count = 20,
    steps: int = 10,
    seed: Seed = 5000,
    device: Device = "cpu",
) -> None:
    """Measure preservation against gain."""
    pipe, reader = _open(model, parser, device)
    usual = [name for name in ("smile", "bald", "beard", "fringe") if name in pipe.edits]
    pictures = pipe.sample(list(range(seed, seed + count)))
    scores = named_scores(pipe, edit or usual)
    found = [
        edit_curve(pipe, reader, score, pictures, way, steps)
        for score in tqdm(scores, delay=1)
        for way in (GLOBAL, CONSTRAINED)
    ]
    logging.info("Saved to %s:\n%s", out, save_curves(found, out, model=model, count=count, seed=seed))


@app.command()
def intervention(
    out: Out,
    normals: Annotated[Path, typer.Option(help="What scripts/train_directions.py --sparse-out wrote.")],
    model: Model = "portraits",
    parser: Reader = None,
    edit: Edits = None,
    count: Count = 4,
    seed: Seed = 5000,
    device: Device = "cpu",
) -> None:
    """Compare Style Intervention with edits in W, and show how separable attributes are in S."""
    pipe, reader = _open(model, parser, device)
    planes = dict(EditDirections.from_pretrained(normals).items())
    known = [name for name in edit or ("smile", "glasses") if name in planes]
    pictures = pipe.sample(list(range(seed, seed + count)))
    found = {
        score.name: compare_intervention(pipe, reader, score, planes[score.name], pictures)
        for score in named_scores(pipe, known)
    }
    logging.info("Saved to %s:\n%s", out, save_comparison(found, planes, out, model=model, count=count, seed=seed))


if __name__ == "__main__":
    app()
