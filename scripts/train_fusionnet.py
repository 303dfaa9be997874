"""Train a StyleFusion hierarchy for a generator and its region catalog.

    python scripts/train_fusionnet.py --out runs/fusion
    python scripts/train_fusionnet.py --generator runs/church --catalog runs/catalog --tree church --preset default \\
        --out runs/fusion-church
    torchrun --nproc-per-node 2 scripts/train_fusionnet.py --out runs/fusion

A training that was stopped goes on when the same command is given again. OUT/hierarchy is the result, and OUT/model a
whole model with it, for `sfhub demo --model OUT/model`, `StyleGANPipeline.from_pretrained` and `push_to_hub`.
"""

import logging
from pathlib import Path
from typing import Annotated

import typer
from accelerate import Accelerator

from sfhub.models.region_tree import RegionTree
from sfhub.pipelines import open_pipeline
from sfhub.pipelines.hub import resolve
from sfhub.pipelines.stylegan import StyleGANPipeline
from sfhub.portraits.parser import PortraitParser
from sfhub.regions.catalog import RegionCatalog
from sfhub.training.fusion import ABLATIONS, PRESETS, train_fusion
from sfhub.training.settings import choose_preset, with_settings


def main(
    out: Annotated[Path, typer.Option(help="Folder for the hierarchy, checkpoints, samples and the log.")],
    model: Annotated[str, typer.Option(help="Model whose generator, catalog and parser are used.")] = "portraits",
    generator: Annotated[Path | None, typer.Option(help="Folder of another generator.")] = None,
    catalog: Annotated[Path | None, typer.Option(help="Folder of another region catalog.")] = None,
    parser: Annotated[Path | None, typer.Option(help="Folder of another portrait parser.")] = None,
    clusters: Annotated[bool, typer.Option(help="Take the catalog's clusters as masks, parser or not.")] = False,
    tree: Annotated[str, typer.Option(help="A shipped tree by name, or a JSON file.")] = "portraits",
    preset: Annotated[str, typer.Option(help=f"One of {', '.join(PRESETS)}.")] = "portraits",
    ablation: Annotated[str | None, typer.Option(help=f"Leave out a part: {', '.join(ABLATIONS)}.")] = None,
    set_: Annotated[
        list[str], typer.Option("--set", help="NAME=VALUE, a setting of FusionTraining with its value in JSON.")
    ] = (),
    mixed_precision: Annotated[str, typer.Option(help="no or bf16.")] = "bf16",
) -> None:
    """Train a fusion hierarchy, or go on where the checkpoint in OUT left off."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    config = with_settings(choose_preset(PRESETS, preset), set_)
    if ablation is not None:
        config = choose_preset(ABLATIONS, ablation, "ablation")(config)
    folder = None if generator and catalog else resolve(model)
    accelerator = Accelerator(mixed_precision=mixed_precision)
    G = open_pipeline(generator or folder / "generator").generator
    regions = RegionCatalog.from_pretrained(catalog or folder / "catalog")
    seeing = _load_parser(parser or (folder and folder / "parser"))
    masks = None if clusters else seeing
    hierarchy = train_fusion(config, G, regions, RegionTree.load(tree), out, parser=masks, accelerator=accelerator)
    if accelerator.is_main_process:
        StyleGANPipeline(G, catalog=regions, parser=seeing, fusion=hierarchy).save_pretrained(out / "model")
        logging.info("The whole model is in %s; see it with sfhub demo --model %s.", out / "model", out / "model")


def _load_parser(folder: Path | None) -> PortraitParser | None:
    """The parser in a folder, None if the model has none."""
    return PortraitParser.from_pretrained(folder) if folder is not None and folder.is_dir() else None


if __name__ == "__main__":
    typer.run(main)
