"""Whether edits by text do what the text says, and nothing else: by a parser, on fixed prompts.

Of every picture the parser reads all attributes before and after. *Reached*: of the pictures of which the statements
behind the prompt (`sfhub.portraits.statements`) were not true, the share of which they are afterwards; *confirmed*: as
that, or at least no longer false. *Kept*: of the attributes of other regions that both pictures show, the share that
stays, a kind if it is the same and a number if it moves by less than a tenth of its range.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sfhub.portraits.attributes import (
    ATTRIBUTES,
    attribute_columns,
    attribute_visibility,
    attributes_from_vector,
)
from sfhub.portraits.latents import ATTRIBUTE_GROUPS
from sfhub.portraits.statements import FALSE, STATEMENTS, TRUE, UNCLEAR

__all__ = ["PROMPTS", "Prompt", "PromptFigures", "measure_prompt", "summary", "table"]

KEPT_WITHIN = 0.2
"""In an attribute vector, whose numbers run from -1 to 1: a tenth of the range."""


@dataclass(frozen=True)
class Prompt:
    """A text and what it asks for.

    Attributes:
        text: as a person would type it.
        statements: all of which should be true afterwards.
        region: which the text is about.
    """

    text: str
    statements: tuple[str, ...]
    region: str


PROMPTS: tuple[Prompt, ...] = (
    Prompt("curly red hair", ("hair style: curly", "hair colour: red"), "hair"),
    Prompt("long blonde hair", ("hair length: long", "hair colour: blond"), "hair"),
    Prompt("bald", ("hair style: bald",), "hair"),
    Prompt("short hair", ("hair length: short",), "hair"),
    Prompt("grey hair", ("hair colour: grey",), "hair"),
    Prompt("black hair", ("hair colour: black",), "hair"),
    Prompt("pink hair", ("hair colour: pink",), "hair"),
    Prompt("an afro", ("hair style: afro",), "hair"),
    Prompt("a ponytail", ("hair style: ponytail",), "hair"),
    Prompt("a fringe", ("fringe: any",), "hair"),
    Prompt("a green hat", ("hat colour: green",), "hat"),
    Prompt("a red beanie", ("hat: beanie", "hat colour: red"), "hat"),
    Prompt("a cap", ("hat: cap",), "hat"),
    Prompt("no hat", ("hat: none",), "hat"),
    Prompt("glasses", ("glasses: any",), "glasses"),
    Prompt("round black glasses", ("glasses: round", "glasses colour: black"), "glasses"),
    Prompt("no glasses", ("glasses: none",), "glasses"),
    Prompt("smiling", ("smile: yes",), "mouth"),
    Prompt("sad", ("smile: sad",), "mouth"),
    Prompt("an open mouth", ("mouth: open",), "mouth"),
    Prompt("red lipstick", ("lipstick: yes",), "mouth"),
    Prompt("full lips", ("lips: full",), "mouth"),
    Prompt("blue eyes", ("eye colour: blue",), "eyes"),
    Prompt("green eyes", ("eye colour: green",), "eyes"),
    Prompt("sleepy", ("eyes: closing",), "eyes"),
    Prompt("thick eyebrows", ("brows: thick",), "eyes"),
    Prompt("angry eyebrows", ("brows: frowning",), "eyes"),
    Prompt("older", ("age: old",), "face"),
    Prompt("younger", ("age: young",), "face"),
    Prompt("a full beard", ("beard: full",), "face"),
    Prompt("a moustache", ("beard: moustache",), "face"),
    Prompt("clean-shaven", ("beard: none",), "face"),
    Prompt("dark skin", ("skin: dark",), "face"),
    Prompt("rosy cheeks", ("blush: yes",), "face"),
    Prompt("a striped shirt", ("pattern: stripes",), "clothes"),
    Prompt("a yellow sweater", ("clothes colour: yellow",), "clothes"),
    Prompt("a hoodie", ("clothes: hoodie",), "clothes"),
    Prompt("a turtleneck", ("clothes: turtleneck",), "clothes"),
    Prompt("a light blue background", ("background colour: light blue",), "background"),
    Prompt("a plain background", ("background: flat",), "background"),
)
"""Forty, about every region."""

# Prompts whose region a group of attributes does not name itself; hats and fringes hide each other's.
_GROUP_OF_REGION = {"hair": ("hair",), "hat": ("hat", "hair"), "earrings": ("face",)}


@dataclass(frozen=True)
class PromptFigures:
    """What a prompt did to some pictures.

    Attributes:
        prompt: which.
        region: the region that was picked, None for none.
        asked: pictures of which the statements were not true.
        reached, confirmed: share of these, 0 to 1; None if there are none.
        kept: share of the attributes of other regions, over all pictures.
    """

    prompt: Prompt
    region: str | None
    asked: int
    reached: float | None
    confirmed: float | None
    kept: float


def measure_prompt(prompt: Prompt, before: Tensor, after: Tensor, region: str | None = None) -> PromptFigures:
    """Figures of one prompt.

    Args:
        prompt: which.
        before, after: attribute vectors `[N, A]` that a parser read from the pictures.
        region: that was picked.
    """
    was, now = (_truth(prompt, attributes_from_vector(each)) for each in (before, after))
    asked = was != TRUE
    count = int(asked.sum())
    reached = confirmed = None
    if count:
        reached = (now[asked] == TRUE).float().mean().item()
        better = (now == TRUE) | ((now == UNCLEAR) & (was == FALSE))
        confirmed = better[asked].float().mean().item()
    return PromptFigures(prompt, region, count, reached, confirmed, _kept(prompt.region, before, after))


def _truth(prompt: Prompt, attributes: dict[str, Tensor]) -> Tensor:
    found = torch.stack([STATEMENTS[name].truth(attributes) for name in prompt.statements])
    return torch.where((found == FALSE).any(0), FALSE, torch.where((found == UNCLEAR).any(0), UNCLEAR, TRUE))


def _kept(region: str, before: Tensor, after: Tensor) -> float:
    groups = _GROUP_OF_REGION.get(region, (region,))
    starts = tuple(start for group in groups for start in ATTRIBUTE_GROUPS[group])
    shown = torch.ones_like(before)
    for each in (before, after):
        shown = shown * attribute_visibility(attributes_from_vector(each))
    stayed, seen = 0.0, 0.0
    for name, columns in attribute_columns().items():
        if name.startswith(starts):
            continue
        both = shown[:, columns.start] > 0
        if ATTRIBUTES[name].choices:
            same = before[:, columns].argmax(dim=1) == after[:, columns].argmax(dim=1)
        else:
            values = (each[:, columns.start].clamp(-1, 1) for each in (before, after))
            same = (next(values) - next(values)).abs() <= KEPT_WITHIN
        stayed += (same & both).sum().item()
        seen += both.sum().item()
    return stayed / max(seen, 1)


def summary(figures: Sequence[PromptFigures]) -> dict[str, float]:
    """Means over prompts, and how often the region was picked right."""

    def mean(values: Callable[[PromptFigures], float | None]) -> float:
        known = [value for each in figures if (value := values(each)) is not None]
        return sum(known) / len(known) if known else float("nan")

    return {
        "reached": mean(lambda each: each.reached),
        "confirmed": mean(lambda each: each.confirmed),
        "prompts confirmed on most": mean(
            lambda each: None if each.confirmed is None else float(each.confirmed >= 0.5)
        ),
        "kept": mean(lambda each: each.kept),
        "region right": mean(lambda each: float(each.region == each.prompt.region)),
    }


def table(figures: Sequence[PromptFigures]) -> str:
    """A line per prompt, in Markdown."""
    rows = ["| text | region | reached | confirmed | kept |", "| --- | --- | ---: | ---: | ---: |"]
    for each in figures:
        shares = ["-" if value is None else f"{value:.2f}" for value in (each.reached, each.confirmed, each.kept)]
        rows.append(f"| {each.prompt.text} | {each.region or 'none'} | {' | '.join(shares)} |")
    return "\n".join(rows)
