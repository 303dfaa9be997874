"""One thing that can be said about a portrait, and the conditions on attributes that such things are made of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from sfhub.portraits.attributes import ATTRIBUTES, hiding_reasons

__all__ = [
    "BASIC_COLOURS",
    "FALSE",
    "TRUE",
    "UNCLEAR",
    "Attributes",
    "Statement",
    "all_of",
    "any_of",
    "between",
    "coloured",
    "colour_words",
    "is_one_of",
    "over",
    "under",
    "where_shown",
    "with_article",
]

TRUE, FALSE, UNCLEAR = 1, 0, -1

Attributes = Mapping[str, Tensor]

NEARLY, SLACK = 1.3, 0.02
"""A colour up to so many times as far as the nearest one, and that much in red, green and blue more, is unclear."""

RELATED: dict[str, tuple[str, ...]] = {
    "blue": ("navy", "light blue"),
    "navy": ("blue",),
    "grey": ("dark grey", "light grey"),
    "green": ("light green", "mint"),
    "brown": ("dark brown", "beige", "light brown"),
    "red": ("bright red",),
    "bright red": ("red",),
    "white": ("cream", "light grey"),
    "black": ("dark grey",),
    "purple": ("lavender",),
    "pink": ("peach",),
    "orange": ("peach",),
}
"""What some people would call so too, which is therefore unclear."""


@dataclass(frozen=True)
class Statement:
    """One thing that can be said.

    Attributes:
        name: `hair colour: red`; what stands before the colon excludes the others that begin so, or nearly.
        region: what of the picture it is about, a region of the portraits' models or None for pose and light.
        things: wordings that can follow "with": "red hair".
        kinds: wordings that can stand before "person": "red-haired".
        truth: attributes -> int8 `[B]`, TRUE, FALSE or UNCLEAR.
        weight: how often it is said, beside others.
    """

    name: str
    region: str | None
    things: tuple[str, ...]
    kinds: tuple[str, ...]
    truth: Callable[[Attributes], Tensor]
    weight: float = 1.0


def is_one_of(name: str, *choices: str) -> Callable[[Attributes], Tensor]:
    codes = torch.tensor([ATTRIBUTES[name].choices.index(choice) for choice in choices]).float()
    return lambda attributes: torch.isin(attributes[name], codes.to(attributes[name])).to(torch.int8)


def between(name: str, low: float, high: float, slack: float) -> Callable[[Attributes], Tensor]:
    """True from `low` to `high`, false further than `slack` outside."""

    def truth(attributes: Attributes) -> Tensor:
        value = attributes[name]
        inside, near = (value >= low) & (value <= high), (value >= low - slack) & (value <= high + slack)
        return torch.where(inside, TRUE, torch.where(near, UNCLEAR, FALSE)).to(torch.int8)

    return truth


def over(name: str, low: float, slack: float) -> Callable[[Attributes], Tensor]:
    return between(name, low, float("inf"), slack)


def under(name: str, high: float, slack: float) -> Callable[[Attributes], Tensor]:
    return between(name, float("-inf"), high, slack)


def all_of(*truth: Callable[[Attributes], Tensor]) -> Callable[[Attributes], Tensor]:
    """False if any is, else unclear if any is."""

    def combined(attributes: Attributes) -> Tensor:
        found = torch.stack([each(attributes) for each in truth])
        return torch.where((found == FALSE).any(0), FALSE, torch.where((found == UNCLEAR).any(0), UNCLEAR, TRUE)).to(
            torch.int8
        )

    return combined


def any_of(*truth: Callable[[Attributes], Tensor]) -> Callable[[Attributes], Tensor]:
    """True if any is, else unclear if any is."""

    def combined(attributes: Attributes) -> Tensor:
        found = torch.stack([each(attributes) for each in truth])
        return torch.where((found == TRUE).any(0), TRUE, torch.where((found == UNCLEAR).any(0), UNCLEAR, FALSE)).to(
            torch.int8
        )

    return combined


def where_shown(start: str, truth: Callable[[Attributes], Tensor]) -> Callable[[Attributes], Tensor]:
    """Unclear where the picture hides what the statement is about; `start` as in `hiding_reasons`."""

    def seen(attributes: Attributes) -> Tensor:
        hidden = hiding_reasons(lambda name, *choices: is_one_of(name, *choices)(attributes).float())[start] > 0
        return truth(attributes).masked_fill(hidden, UNCLEAR)

    return seen


def coloured(name: str, colour: str, names: Mapping[str, tuple[float, float, float]]) -> Callable:
    """The nearest of these colours; others are unclear if they are nearly as near."""

    def truth(attributes: Attributes) -> Tensor:
        rgb = torch.stack([attributes[f"{name}_{part}"] for part in ("red", "green", "blue")], dim=1)
        distance = torch.cdist(rgb, rgb.new_tensor(list(names.values())))
        mine, least = distance[:, list(names).index(colour)], distance.min(dim=1).values
        related = [list(names).index(other) for other in RELATED.get(colour, ()) if other in names]
        near = (mine <= NEARLY * least + SLACK) | torch.isin(distance.argmin(dim=1), torch.tensor(related))
        return torch.where(mine <= least, TRUE, torch.where(near, UNCLEAR, FALSE)).to(torch.int8)

    return truth


SYNONYMS = {
    "blond": ("blond", "blonde", "fair", "golden"),
    "grey": ("grey", "gray"),
    "dark grey": ("dark grey", "dark gray", "charcoal"),
    "light grey": ("light grey", "light gray"),
    "navy": ("navy", "dark blue", "navy blue"),
    "purple": ("purple", "violet"),
    "lavender": ("lavender", "lilac"),
    "teal": ("teal", "turquoise"),
}
BASIC_COLOURS = ("white", "black", "grey", "navy", "blue", "teal", "green", "yellow", "orange", "red", "pink", "purple")
"""Colours that people think of first."""


def colour_words(colour: str, own: Mapping[str, tuple[str, ...]] | None = None) -> tuple[str, ...]:
    return (own or {}).get(colour) or SYNONYMS.get(colour, (colour,))


def with_article(word: str) -> str:
    return "an " if word[0] in "aeiou" else "a "
