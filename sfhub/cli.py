"""The command line: `sfhub sample | mix | edit | edits | convert | demo | redo`.

Thin: it reads arguments and calls the pipelines. torch is imported when a command needs it, so that help is instant. An
error that the user can mend is one sentence on the error stream and exit status 2.
"""

import logging
import re
import sys
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import sfhub
from sfhub.errors import InputError

if TYPE_CHECKING:
    from sfhub.editing.edits import Edit
    from sfhub.pipelines.generator import GeneratorPipeline
    from sfhub.pipelines.sample import Sample

__all__ = ["app", "main"]

MAX_PICTURES = 1000

EVERYWHERE = "everywhere"
"""The region of an edit of the whole picture."""

app = typer.Typer(
    name="sfhub",
    help="Generate portraits and give each semantic region its own source.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Model = Annotated[
    str, typer.Option("--model", "-m", help="Built-in model, model folder, or repo id on the Hub such as owner/name.")
]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit hash of a model on the Hub.")]
Psi = Annotated[float, typer.Option(help="Truncation psi: 1 for the full variety, 0 for the average picture.")]
Device = Annotated[str, typer.Option(help="Where to compute: cpu, cuda, mps.")]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit.

    Args:
        arguments: those of the process if None.
    """
    try:
        app(args=arguments)
    except InputError as error:
        typer.echo(str(error), err=True)
        sys.exit(2)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sfhub {sfhub.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say what is being done.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, format="%(message)s")


@app.command(epilog="Example:  sfhub sample --seeds 1-8 --grid grid.png")
def sample(
    seeds: Annotated[str, typer.Option(metavar="SEEDS", help="Seeds such as 7, 1-8 or 1,5,10-12.")] = "1-8",
    grid: Annotated[Path | None, typer.Option(help="Write all pictures side by side into this PNG file.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for one PNG file per seed; . if there is no --grid.")] = None,
    psi: Psi = 0.7,
    label: Annotated[int | None, typer.Option(help="Class of a conditional model.")] = None,
    model: Model = "portraits",
    revision: Revision = None,
    device: Device = "cpu",
) -> None:
    """Generate pictures, one per seed."""
    numbers = parse_seeds(seeds)
    if grid is not None:
        _check_out(grid, len(numbers))
    if out is not None:
        _make_folder(out)
    pipe = _load(model, revision, device)
    pictures = pipe.sample(numbers, truncation_psi=psi, label=label)
    if grid is not None:
        _save(pipe.grid(pictures), grid)
    if out is not None or grid is None:
        folder = out or Path()
        for number, picture in zip(numbers, pictures, strict=True):
            _save(picture, folder / f"seed-{number}.png")


@app.command(epilog="Example:  sfhub mix --base 1 --region hair=2 --region mouth=3 --strength hair=0.8 mixed.png")
def mix(
    out: Annotated[Path, typer.Argument(help="PNG file to write.")],
    base: Annotated[str, typer.Option(metavar="SOURCE", help="Seed of the base, or a PNG file that sfhub saved.")],
    region: Annotated[
        list[str] | None, typer.Option(metavar="REGION=SOURCE", help="Seed or PNG file for a region; may be repeated.")
    ] = None,
    shape: Annotated[
        list[str] | None,
        typer.Option(metavar="REGION=SOURCE", help="As --region, for the shape alone; takes a SemanticStyleGAN."),
    ] = None,
    texture: Annotated[
        list[str] | None,
        typer.Option(metavar="REGION=SOURCE", help="As --region, for the texture alone; takes a SemanticStyleGAN."),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE", help="Seed or PNG file for the pose; takes a fusion hierarchy or a SemanticStyleGAN."
        ),
    ] = None,
    strength: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[REGION=]NUMBER", help="0 to 1, for one region, for layout, or for all; may be repeated."
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            help="Of a StyleGAN2: fusion (StyleFusion, the default where the model has a hierarchy), or by Editing in "
            "Style catalog (each region's best), influence, contribution."
        ),
    ] = None,
    psi: Psi = 0.7,
    model: Model = "portraits",
    revision: Revision = None,
    device: Device = "cpu",
) -> None:
    """Give regions of one picture the look they have in others."""
    given = {"region": region, "shape": shape, "texture": texture}
    texts = {
        option: dict(_pair(text, f"--{option}", "hair=2") for text in values or ()) for option, values in given.items()
    }
    names = [name for sources in texts.values() for name in sources]
    posed = ["layout"] if layout is not None and "layout" not in names else []
    strengths = parse_strengths(strength or (), [*names, *posed])
    _check_out(out)
    pipe = _load(model, revision, device)
    picture = partial(_picture, pipe, psi=psi)
    options = {"shape": texts["shape"], "texture": texts["texture"], "layout": layout, "method": method}
    options = {name: value for name, value in options.items() if value}
    _check_mix_options(pipe, list(options))
    pipe.check_mix(names, method)
    for name in options.keys() & {"shape", "texture"}:
        options[name] = {each: picture(text) for each, text in texts[name].items()}
    if "layout" in options:
        options |= {"layout": picture(layout), "layout_strength": strengths.pop("layout") if posed else None}
    sources = {name: picture(text) for name, text in texts["region"].items()}
    _save(pipe.mix(picture(base), sources, strengths, **options), out)


@app.command(epilog="Example:  sfhub edits portraits-semantic")
def edits(
    model: Annotated[str, typer.Argument(help="As for --model of the other commands.")] = "portraits",
    revision: Revision = None,
) -> None:
    """List the edits of a model: name, range of strengths that works, region where it shows if none is given, space."""
    pipe = _load(model, revision, "cpu")
    if not pipe.edits:
        raise InputError(f"The model {model} has no edits of its own; find some with scripts/train_directions.py.")
    rows = [("edit", "range", "region", "space")]
    for name, found in pipe.edits.items():
        low, high = found.range
        rows.append((name, f"{low:g} to {high:g}", _region_text(found.region), found.space))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        typer.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


@app.command(epilog="Example:  sfhub edit --base 1 --edit smile=1.5@mouth --edit age=2 --lock older.png")
def edit(
    out: Annotated[Path, typer.Argument(help="PNG file to write.")],
    base: Annotated[str, typer.Option(metavar="SOURCE", help="Seed of the picture, or a PNG file that sfhub saved.")],
    edit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=STRENGTH][@REGION]",
            help="One of `sfhub edits`, and where it may show: a region, several joined by +, or everywhere; its own "
            "region if none is given. May be repeated; edits are put on one after the other.",
        ),
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT[=STRENGTH][@REGION]",
            help="What the picture should show, in words, such as 'a green hat'; where as for --edit, or by itself "
            "where the text is about. May be repeated; texts follow after edits.",
        ),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            help="What understands texts: a CLIP of open_clip by name, folder or Hub id; the model's own if none."
        ),
    ] = None,
    directions: Annotated[
        list[Path] | None,
        typer.Option(help="Public file of directions (InterFaceGAN, GANSpace) whose edits can be used too."),
    ] = None,
    lock: Annotated[
        bool, typer.Option("--lock/--no-lock", help="Leave every pixel outside the regions as it is.")
    ] = False,
    method: Annotated[
        str | None,
        typer.Option(help="How edits are kept to regions: fusion, catalog, classes; the model's best if none."),
    ] = None,
    psi: Psi = 0.7,
    model: Model = "portraits",
    revision: Revision = None,
    device: Device = "cpu",
) -> None:
    """Change something that has a name, and only where it is meant to show."""
    from sfhub.editing.edits import find_edit

    _check_out(out)
    wanted = [(False, *parse_edit(each)) for each in edit or ()]
    wanted += [(True, *parse_edit(each, "--text", "'a hat', 'a hat=1.5' or 'a hat=1.5@hat'")) for each in text or ()]
    if not wanted:
        raise InputError(
            "No edit was given; add --edit smile, say, and see `sfhub edits` for the names, or --text 'a green hat'."
        )
    pipe = _load(model, revision, device)
    if encoder is not None:
        pipe.use_text_encoder(encoder)
    others = {each.name: each for each in _foreign_edits(pipe, directions or ())}
    for name in [name for is_text, name, _, _ in wanted if not is_text and name not in others]:
        find_edit(pipe.edits, name)
    picture = _picture(pipe, base, psi, others.values())
    for is_text, name, strength, region in wanted:
        change, what = (pipe.edit_text, name) if is_text else (pipe.edit, others.get(name, name))
        picture = change(picture, what, strength, region, lock=lock, method=method)
        if picture.outside is not None:
            share, mean = picture.outside.share, picture.outside.mean
            typer.echo(f"{name}: {share:.0%} of the pixels outside changed, by {mean:.1f} of 255 on average", err=True)
    _save(picture, out)


@app.command(epilog="Example:  sfhub convert stylegan2-ffhq-config-f.pt ffhq")
def convert(
    checkpoint: Annotated[Path, typer.Argument(help="Official checkpoint: .pt, .pth, .pkl or .safetensors.")],
    out_dir: Annotated[Path, typer.Argument(help="Model folder to write, which --model opens.")],
) -> None:
    """Turn an official checkpoint into a model folder, without running anything that it carries."""
    from sfhub.convert import convert_with_report

    typer.echo(convert_with_report(checkpoint, out_dir))


@app.command(epilog="Example:  sfhub demo --port 7861")
def demo(
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", help="As for sample, may be repeated; default: all that are built in."),
    ] = None,
    revision: Revision = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port; default: a free one from 7860.")] = None,
    share: Annotated[bool, typer.Option("--share", help="Also serve a temporary public link.")] = False,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")] = True,
    device: Device = "cpu",
) -> None:
    """Open the web page to mix regions on."""
    try:
        from sfhub.space.common.models import open_models
        from sfhub.space.page import build_app, launch
    except ImportError as error:
        raise InputError(
            f"The web page needs {error.name or 'gradio'}, which is not installed; run pip install 'sfhub[demo]'."
        ) from error
    _quiet_libraries()
    page = build_app(open_models(model or (), device, revision=revision))
    launch(page, server_name=host, server_port=port, share=share, inbrowser=browser)


@app.command(epilog="Example:  sfhub redo mixed.png again.png")
def redo(
    image: Annotated[Path, typer.Argument(help="PNG file that sfhub saved.")],
    out: Annotated[Path, typer.Argument(help="PNG file to write.")],
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Model to use; needed unless the picture's model is built in.")
    ] = None,
    background: Annotated[Path | None, typer.Option(help="The photograph behind the picture, if it has one.")] = None,
    directions: Annotated[
        list[Path] | None, typer.Option(help="The public file of directions that edits of the picture are from.")
    ] = None,
    device: Device = "cpu",
) -> None:
    """Make a picture again from the recipe that it carries."""
    from sfhub.images.pixels import open_picture
    from sfhub.pipelines.redo import open_model
    from sfhub.pipelines.redo import redo as redo_picture

    _quiet_libraries()
    _check_out(out)
    behind = None if background is None else open_picture(background)
    pipe = open_model(image, model).to_device(device) if directions else model
    edits = _foreign_edits(pipe, directions) if directions else ()
    _save(redo_picture(image, pipe, device=device, background=behind, edits=edits), out)


# Reading arguments --------------------------------------------------------------------------------------------------


def parse_seeds(text: str) -> list[int]:
    """`1,5,10-12` -> `[1, 5, 10, 11, 12]`.

    Raises:
        InputError: for anything else, or for more than 1,000 seeds.
    """
    from sfhub.steps.checks import check_seed

    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,10})(?:\s*-\s*(\d{1,10}))?\s*", part)
        if match is None:
            raise InputError(f"Seeds {text!r} cannot be read; write them as 7, 1-8 or 1,5,10-12.")
        first = check_seed(int(match[1]))
        last = first if match[2] is None else check_seed(int(match[2]))
        if last < first or len(seeds) + last - first >= MAX_PICTURES:
            raise InputError(f"Seeds {text!r} fall or are too many; write rising ranges, {MAX_PICTURES} at most.")
        seeds += range(first, last + 1)
    return seeds


def parse_strengths(texts: Sequence[str], regions: Sequence[str]) -> dict[str, float]:
    """`["0.5", "hair=0.8"]` -> strength of each region; later ones win, 1 where none is given.

    Raises:
        InputError: for what is no number, or a strength without its region.
    """
    strengths = dict.fromkeys(regions, 1.0)
    for text in texts:
        name, number = _pair(text, "--strength", "hair=0.8") if "=" in text else (None, text)
        try:
            value = float(number)
        except ValueError as error:
            raise InputError(f"Strength {text!r} cannot be read; write a number, or hair=0.8 for a region.") from error
        if name is not None and name not in strengths:
            raise InputError(f"Region {name!r} has a strength but no source; add --region {name}=SEED or leave it out.")
        strengths |= dict.fromkeys(strengths, value) if name is None else {name: value}
    return strengths


def parse_edit(
    text: str, option: str = "--edit", example: str = "smile, smile=1.5 or smile=1.5@mouth"
) -> tuple[str, float, str | list[str] | None]:
    """`smile=1.5@mouth+eyes` -> name, strength (1 if none is given), and region as `pipe.edit` takes it.

    Raises:
        InputError: for a strength that is no number, or nothing where a name should be.
    """
    name, at, where = text.partition("@")
    name, equals, number = name.partition("=")
    try:
        strength = float(number) if equals else 1.0
    except ValueError as error:
        raise InputError(f"{option} {text!r} cannot be read; write it as {example}.") from error
    if not name or (at and not where):
        raise InputError(f"{option} {text!r} cannot be read; write it as {example}.")
    if not at:
        return name, strength, "default"
    return name, strength, None if where == EVERYWHERE else where.split("+")


def _pair(text: str, option: str, example: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not (name and separator and value):
        raise InputError(f"{option} {text!r} cannot be read; write it as {example}.")
    return name, value


# Doing things -------------------------------------------------------------------------------------------------------


def _quiet_libraries() -> None:
    """Leave the error stream to what the user can use."""
    from diffusers.utils import logging as diffusers_logging

    diffusers_logging.disable_progress_bar()


def _load(model: str, revision: str | None, device: str) -> "GeneratorPipeline":
    from sfhub.pipelines.families import open_pipeline

    _quiet_libraries()
    return open_pipeline(model, revision=revision).to_device(device)


def _check_mix_options(pipe: "GeneratorPipeline", names: Sequence[str]) -> None:
    """Refuse options of `sfhub mix` that the model's family does not have."""
    wrong = next((name for name in names if name not in pipe.MIX_OPTIONS), None)
    if wrong is not None:
        raise InputError(
            f"--{wrong} cannot be used with the model {pipe.source.name}, whose family ({type(pipe).__name__}) has "
            f"{', '.join(f'--{name}' for name in pipe.MIX_OPTIONS)} to mix; leave it out or use another model."
        )


def _picture(pipe: "GeneratorPipeline", text: str, psi: float, edits: Iterable["Edit"] = ()) -> "Sample":
    """The picture of a seed, or that in a PNG file with a recipe."""
    from sfhub.pipelines.redo import redo as redo_picture

    if text.isdecimal():
        return pipe.sample(int(text), truncation_psi=psi)[0]
    return redo_picture(text, pipe, edits=list(edits))


def _foreign_edits(pipe: "GeneratorPipeline", files: Sequence[Path]) -> list["Edit"]:
    from sfhub.convert.directions import load_directions

    return [edit for file in files for edit in load_directions(file, pipe.code_space)]


def _region_text(region: str | tuple[str, ...] | None) -> str:
    return EVERYWHERE if region is None else region if isinstance(region, str) else "+".join(region)


def _check_out(path: Path, count: int = 1) -> None:
    from sfhub.pipelines.sample import check_png_name
    from sfhub.steps.grid import MAX_GRID

    if count > MAX_GRID:
        raise InputError(f"A grid of {count} pictures cannot be made; 1 to {MAX_GRID} can.")
    check_png_name(path)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"The folder {folder} cannot be made ({error.strerror}); choose another one.") from error


def _save(picture: "Sample", path: Path) -> None:
    typer.echo(picture.save(path))
