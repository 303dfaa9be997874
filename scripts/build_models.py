"""Build every model that the package ships from nothing, stage by stage; what is done is skipped.

    make models                                                  # = build_models.py --install, hours on a CPU
    python scripts/build_models.py --preset gpu --evaluate
    python scripts/build_models.py --only catalog --only fusion
    python scripts/build_models.py --dry-run
    python scripts/build_models.py --fast                        # all stages in minutes, with models that know nothing

A build that was stopped, even killed, goes on in the same stage when the same command is given again. `OUT/stages.json`
tells what ran, `OUT/logs/STAGE.log` what it printed; see `sfhub.training.build`. To make a stage anew, remove its
folder. Stages take renders that lie in `runs/data` already.
"""

import signal
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from sfhub.errors import InputError
from sfhub.training.build import Stage, StageError, build, check, choose, command_line, install, plan, table

ROOT = Path(__file__).resolve().parents[1]
DEVICES = {"cpu": "cpu", "gpu": "cuda"}
"""Presets, and where what has no preset of its own computes."""

MEASURED = "evaluation-"
"""What the names of the stages that measure begin with."""

SMALL_PORTRAITS = (
    "--sets 1 --renders 64 --set resolution=32 --set batch_size=8 --set images=64 --set adversarial_from=32"
    """ --set growth='{"16": 32}'"""
    """ --set 'channels={"4": 24, "8": 24, "16": 16, "32": 12}'"""
    """ --set 'discriminator_channels={"4": 16, "8": 16, "16": 16, "32": 16}'"""
)
FEW_DIRECTIONS = "--set pictures=60 --set measured=1 --set strengths=[2] --set chosen=0.3 --set rising=0 --set felt=0"
SMALL_SEMANTIC = (
    "--renders 64 --set coarse_resolution=8 --set min_resolution=4 --set mask_resolution=16 --set local_layers=5"
    " --set base_layers=2 --set depth_layers=3 --set local_width=8 --set feature_width=16 --set batch_size=4"
    " --set images=16 --set adversarial_from=8 --set mapped_from=8"
    """ --set 'channels={"8": 16, "16": 12, "32": 8}'"""
    """ --set 'discriminator_channels={"4": 16, "8": 16, "16": 16, "32": 16}'"""
)

SMALL_CLIP = (
    "--set steps=2 --set batch_size=8 --set held_out=16 --set vocabulary=200 --set embed_dim=16 --set image_size=32"
    " --set image_width=4 --set text_width=16 --set text_heads=2 --set text_layers=1"
)
TEXT_DIRECTIONS = "scripts/measure_text_directions.py --basis w --encoder {out}/clip/clip --named portraits"


def shipped(preset: str) -> list[Stage]:
    """The stages that make what is in the package, each after those it needs."""
    device = DEVICES[preset]
    return [
        Stage(
            "parser",
            "scripts/train_parser.py --out {here}",
            fast="--resolution 32 --renders 1128 --set steps=30",
            gigabytes=1.5,
        ),
        Stage(
            "judge",
            "scripts/train_judge.py --out {here} --half {here}/half",
            result="half",
            fast="--resolution 32 --renders 1128 --set steps=10",
            gigabytes=2,
            install="scripts/portraits_judge",
        ),
        Stage(
            "portraits-generator",
            f"scripts/train_guided.py --preset {preset} --parser {{out}}/parser --out {{here}}",
            needs=("parser",),
            result="ema",
            fast=SMALL_PORTRAITS,
            gigabytes={"cpu": 2.5, "gpu": 15}[preset],
        ),
        Stage(
            "catalog",
            "scripts/build_catalog.py --generator {out}/portraits-generator/ema --parser {out}/parser"
            f" --device {device} --out {{here}}",
            needs=("portraits-generator", "parser"),
            fast="--images 24 --clusters 10 --influence-images 2 --pairs 2 --refine-steps 1",
        ),
        Stage(
            "fusion",
            "scripts/train_fusionnet.py --generator {out}/portraits-generator/ema --catalog {out}/catalog"
            " --parser {out}/parser --out {here}",
            needs=("portraits-generator", "catalog", "parser"),
            result="hierarchy",
            fast="--set stage_steps=[1,1,1] --set batch_size=1 --set code_batch_size=2 --set guide_steps=1"
            " --set resolution=32",
        ),
        Stage(
            "clip",
            "scripts/train_clip.py --out {here}",
            result="clip",
            fast=f"--renders 64 {SMALL_CLIP}",
            gigabytes=0.6,
            install="sfhub/portraits/clip_weights",
        ),
        Stage(
            "text-portraits",
            f"{TEXT_DIRECTIONS} --model {{out}}/portraits-generator/ema --out {{here}}",
            needs=("portraits-generator", "clip"),
            fast="--images 2 --samples 16",
        ),
        Stage(
            "portraits-assembled",
            "scripts/assemble_portraits.py --generator {out}/portraits-generator/ema --parser {out}/parser"
            " --catalog {out}/catalog --fusion {out}/fusion/hierarchy --text-relevance {out}/text-portraits"
            " --out {here}",
            needs=("portraits-generator", "parser", "catalog", "fusion", "text-portraits"),
        ),
        Stage(
            "portraits",
            "scripts/train_directions.py --model {out}/portraits-assembled --parser {out}/parser"
            f" --device {device} --out {{here}} --model-out {{here}}/model",
            needs=("portraits-assembled", "parser"),
            result="model",
            fast=FEW_DIRECTIONS,
            install="sfhub/portraits/weights",
        ),
        Stage(
            "semantic-64",
            "scripts/train_semantic_stylegan.py --preset portraits64 --parser {out}/parser --out {here}",
            needs=("parser",),
            result="checkpoint.safetensors",
            fast=f"{SMALL_SEMANTIC} --set resolution=16",
            gigabytes=0.5,
        ),
        Stage(
            "semantic-128",
            "scripts/train_semantic_stylegan.py --preset portraits128 --parser {out}/parser"
            " --init-from {out}/semantic-64/checkpoint.safetensors --out {here}",
            needs=("semantic-64", "parser"),
            result="ema",
            fast=f"{SMALL_SEMANTIC} --set resolution=32",
            gigabytes=0.5,
        ),
        Stage(
            "semantic-ink",
            "scripts/train_semantic_stylegan.py --preset portraits128 --style ink"
            " --adapt-from {out}/semantic-128/checkpoint.safetensors --out {here}",
            needs=("semantic-128",),
            result="ema",
            fast=f"{SMALL_SEMANTIC} --set resolution=32",
            gigabytes=1.5,
        ),
        Stage(
            "text-semantic",
            f"{TEXT_DIRECTIONS} --model {{out}}/semantic-128/ema --out {{here}}",
            needs=("semantic-128", "clip"),
            fast="--images 2 --samples 16",
        ),
        Stage(
            "semantic-assembled",
            "scripts/assemble_semantic_portraits.py --generator {out}/semantic-128/ema"
            " --text-relevance {out}/text-semantic --out {here}",
            needs=("semantic-128", "text-semantic"),
        ),
        Stage(
            "portraits-semantic",
            "scripts/train_directions.py --model {out}/semantic-assembled --parser {out}/parser"
            f" --device {device} --out {{here}} --model-out {{here}}/model",
            needs=("semantic-assembled", "parser"),
            result="model",
            fast=FEW_DIRECTIONS,
            install="sfhub/portraits/semantic_weights",
        ),
        Stage(
            "portraits-semantic-ink",
            "scripts/assemble_semantic_portraits.py --generator {out}/semantic-ink/ema --out {here}",
            needs=("semantic-ink",),
            install="sfhub/portraits/semantic_ink_weights",
        ),
    ]


def evaluations(preset: str) -> list[Stage]:
    """The stages that measure what was built; each leaves its figures in its folder."""
    common = f"--device {DEVICES[preset]} --out {{here}}"
    generator = f"--generator {{out}}/portraits-generator/ema {common}"
    fusion = f"--model {{out}}/portraits/model --hierarchy {{out}}/fusion/hierarchy {common}"
    semantic = f"--model {{out}}/portraits-semantic/model --parser {{out}}/parser {common}"
    ink = f"--model {{out}}/portraits-semantic-ink --parser {{out}}/parser {common}"
    return [
        Stage(
            f"{MEASURED}portraits-attributes",
            f"scripts/evaluate_portraits.py attributes --judge {{out}}/judge/half {generator}",
            needs=("portraits-generator", "judge"),
            result="attributes.json",
            fast="--count 12",
        ),
        Stage(
            f"{MEASURED}portraits-frechet",
            f"scripts/evaluate_portraits.py frechet --parser {{out}}/parser {generator}",
            needs=("portraits-generator", "parser"),
            result="metrics.json",
            fast="--count 12",
        ),
        Stage(
            f"{MEASURED}fusion-locality",
            f"scripts/evaluate_stylefusion.py locality {fusion}",
            needs=("portraits", "fusion"),
            result="locality.json",
            fast="--pairs 2",
        ),
        Stage(
            f"{MEASURED}fusion-attributes",
            f"scripts/evaluate_stylefusion.py attributes {fusion}",
            needs=("portraits", "fusion"),
            result="attributes.json",
            fast="--pairs 2",
        ),
        Stage(
            f"{MEASURED}semantic-frechet",
            f"scripts/evaluate_semantic_stylegan.py fid --beside {{out}}/portraits/model {semantic}",
            needs=("portraits-semantic", "portraits", "parser"),
            result="frechet.json",
            fast="--count 12",
        ),
        Stage(
            f"{MEASURED}semantic-masks",
            f"scripts/evaluate_semantic_stylegan.py masks {semantic}",
            needs=("portraits-semantic", "parser"),
            result="masks.json",
            fast="--count 12",
        ),
        Stage(
            f"{MEASURED}semantic-ink-frechet",
            f"scripts/evaluate_semantic_stylegan.py fid --beside '' --style ink {ink}",
            needs=("portraits-semantic-ink", "parser"),
            result="frechet.json",
            fast="--count 12",
        ),
        Stage(
            f"{MEASURED}portraits-edits",
            f"scripts/evaluate_edits.py effects --model {{out}}/portraits/model --parser {{out}}/parser {common}",
            needs=("portraits", "parser"),
            result="edit_effects.json",
            fast="--count 2",
        ),
        Stage(
            f"{MEASURED}semantic-edits",
            f"scripts/evaluate_edits.py effects {semantic}",
            needs=("portraits-semantic", "parser"),
            result="edit_effects.json",
            fast="--count 2",
        ),
    ]


def main(
    out: Annotated[
        Path | None, typer.Option(help="Folder of all results.  [default: runs/models, runs/models-fast]")
    ] = None,
    preset: Annotated[str, typer.Option(help=f"Of the trainings that have it: {', '.join(DEVICES)}.")] = "cpu",
    fast: Annotated[
        bool, typer.Option("--fast", help="Go through all stages in minutes, to see that they work.")
    ] = False,
    evaluate: Annotated[bool, typer.Option("--evaluate", help="Measure the models, too.")] = False,
    only: Annotated[list[str], typer.Option(metavar="STAGE", help="Run this stage only; repeat for more.")] = (),
    first: Annotated[str | None, typer.Option("--from", metavar="STAGE", help="Begin at this stage.")] = None,
    installing: Annotated[
        bool, typer.Option("--install", help="Put what was built in place of what is shipped.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would run.")] = False,
) -> None:
    """Build all models, or go on where the build in OUT was stopped."""
    if preset not in DEVICES:
        raise InputError(f"There is no preset {preset!r}; choose one of {', '.join(DEVICES)}.")
    if fast and installing:
        raise InputError("A fast build makes models that know nothing; leave out --fast or --install.")
    out = out or Path("runs/models-fast" if fast else "runs/models")
    root = ROOT.relative_to(Path.cwd()) if ROOT.is_relative_to(Path.cwd()) else ROOT
    stages = shipped(preset) + evaluations(preset)
    chosen = choose(stages, only, first)
    if not (evaluate or any(name.startswith(MEASURED) for name in (*only, first or ""))):
        chosen = [stage for stage in chosen if not stage.name.startswith(MEASURED)]
    _check_machine(preset)
    check(stages, chosen, out, root=root, fast=fast)
    if dry_run:
        plans = plan(stages, chosen, out, fast=fast)
        for stage in chosen:
            print(f"{stage.name} {plans[stage.name].reason or 'is done'}")
            print(f"  {command_line(stage, out, root=root, fast=fast)}")
        return
    build(stages, out, chosen=chosen, root=root, fast=fast)
    print(f"\n{table(chosen, out)}")
    if installing:
        for folder in install(chosen, out, root=root):
            print(f"Installed {folder}.")


def _check_machine(preset: str) -> None:
    """Whether the stages find here what they need."""
    if find_spec("torchvision") is None or find_spec("matplotlib") is None:
        raise InputError("Training needs more packages than are installed; get them with pip install -e '.[train]'.")
    if DEVICES[preset] == "cuda":
        import torch  # takes seconds, and is of no other use here

        if not torch.cuda.is_available():
            raise InputError("The preset 'gpu' needs a GPU that PyTorch can use, and there is none; take --preset cpu.")


def _stop(*_: object) -> None:
    """Let a build that is to end stop its stage and write down how far it is."""
    sys.exit("The build was stopped; the same command goes on where it was.")


def _run() -> None:
    """The script: failures in one sentence."""
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, _stop)
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(main)
    try:
        app()
    except (InputError, StageError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    _run()
