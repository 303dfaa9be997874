"""Whether edits by text do what the text says: forty prompts on twenty portraits, by the parser.

    python scripts/evaluate_text.py --model portraits --out runs/evaluation
    python scripts/evaluate_text.py --model portraits-semantic --parser runs/parser --way optimisation --steps 40

Writes `text.json`, `text.md` and `text.png`, a row of pictures for every prompt, the unedited ones on top.
"""

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import torch
import typer
from PIL import Image
from tqdm.auto import tqdm

from sfhub.errors import InputError
from sfhub.images.pixels import to_tensor
from sfhub.metrics.text_edits import PROMPTS, measure_prompt, summary, table
from sfhub.pipelines.families import open_pipeline
from sfhub.portraits.parser import PortraitParser


def main(
    out: Annotated[Path, typer.Option(help="Folder for the figures.")],
    model: Annotated[str, typer.Option(help="Alias, folder or Hub id of the model.")] = "portraits",
    parser: Annotated[str | None, typer.Option(help="Folder of a parser, if the model has none.")] = None,
    way: Annotated[str | None, typer.Option(help="direction or optimisation; the model's first if not given.")] = None,
    steps: Annotated[int, typer.Option(help="Of an optimisation.")] = 40,
    strength: Annotated[float, typer.Option(help="Of every edit.")] = 1.0,
    everywhere: Annotated[bool, typer.Option("--everywhere", help="Edit the whole picture, not the region.")] = False,
    lock: Annotated[bool, typer.Option("--lock", help="Leave every pixel outside the region as it is.")] = False,
    encoder: Annotated[str | None, typer.Option(help="Text encoder to use instead of the model's.")] = None,
    pictures: Annotated[int, typer.Option(help="How many portraits.")] = 20,
    prompts: Annotated[int, typer.Option(help="How many of the prompts, evenly taken.")] = len(PROMPTS),
    first_seed: Annotated[int, typer.Option(help="Of the portraits.")] = 1000,
    shown: Annotated[int, typer.Option(help="Portraits in text.png.")] = 6,
) -> None:
    """Measure edits by text."""
    pipe = open_pipeline(model)
    pipe.set_progress_bar_config(disable=True)
    reader = pipe.parser if parser is None else PortraitParser.from_pretrained(parser)
    if reader is None:
        raise InputError(f"The model {model} has no parser; name the folder of one with --parser.")
    if encoder is not None:
        pipe.use_text_encoder(encoder)

    def read(samples) -> torch.Tensor:
        with torch.no_grad():
            return torch.cat([reader(to_tensor(each.image)[None]).attributes for each in samples])

    bases = pipe.sample(list(range(first_seed, first_seed + pictures)))
    before, figures, rows, seconds = read(bases), [], [[each.image for each in bases[:shown]]], []
    for prompt in tqdm(PROMPTS[:: max(1, len(PROMPTS) // prompts)][:prompts], unit="prompt"):
        picked = pipe.text_region(prompt.text)
        region = None if everywhere else picked
        start = time.monotonic()
        edited = pipe.edit_text(bases, prompt.text, strength, region, lock=lock, way=way, steps=steps)
        seconds.append((time.monotonic() - start) / pictures)
        figures.append(measure_prompt(prompt, before, read(edited), picked))
        rows.append([each.image for each in edited[:shown]])
    found = summary(figures) | {"seconds per picture": sum(seconds) / len(seconds)}
    out.mkdir(parents=True, exist_ok=True)
    (out / "text.json").write_text(json.dumps({"mean": found, "prompts": [asdict(each) for each in figures]}, indent=1))
    (out / "text.md").write_text(table(figures) + "\n")
    _sheet(rows).save(out / "text.png")
    print(table(figures))
    print("\n".join(f"{name}: {value:.3f}" for name, value in found.items()))


def _sheet(rows: list[list[Image.Image]]) -> Image.Image:
    width, height = rows[0][0].size
    sheet = Image.new("RGB", (width * len(rows[0]), height * len(rows)))
    for y, row in enumerate(rows):
        for x, image in enumerate(row):
            sheet.paste(image, (x * width, y * height))
    return sheet


if __name__ == "__main__":
    typer.run(main)
