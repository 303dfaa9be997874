"""Short texts about portraits, in many wordings: what people type, for a text encoder to learn from.

    "sad"    "a green hat"    "curly red hair"    "a portrait of a bearded person with round glasses"

Each text says some of the statements (`sfhub.portraits.statements`) that are true of a portrait; a text that says
nothing ("a person") is true of all.
"""

import random
from collections.abc import Collection, Sequence

from sfhub.portraits.statements import STATEMENTS, Statement

__all__ = ["NEUTRAL_TEXTS", "phrase"]

NEUTRAL_TEXTS = ("a person", "a portrait of a person", "a face", "a picture of someone", "a portrait", "someone")
"""Texts that say nothing."""

SILENT = 0.03
COUNTS = ((0.5, (1, 1)), (0.85, (2, 4)), (1.0, (5, 9)))
"""How many statements a text makes: up to each share of all texts, from and to."""

_SURROUNDINGS = ("a portrait of {}", "a picture of {}", "a photo of {}", "a drawing of {}", "an image of {}")
_PEOPLE = ("a person", "someone", "a human", "a face")

_STYLES = {  # how a style is said together with a colour
    "hair style: buzz": ("a {} buzz cut", "very short {} hair"),
    "hair style: short": ("short {} hair",),
    "hair style: side-swept": ("side-swept {} hair",),
    "hair style: bob": ("a {} bob", "chin-length {} hair"),
    "hair style: long straight": ("long straight {} hair", "straight {} hair"),
    "hair style: long wavy": ("long wavy {} hair", "wavy {} hair"),
    "hair style: curly": ("curly {} hair", "{} curls", "{} curly hair"),
    "hair style: afro": ("a {} afro", "frizzy {} hair"),
    "hair style: bun": ("a {} bun", "{} hair in a bun"),
    "hair style: ponytail": ("a {} ponytail", "{} hair in a ponytail"),
    "hair length: long": ("long {} hair",),
    "hat: beanie": ("a {} beanie", "a {} woolly hat"),
    "hat: cap": ("a {} cap", "a {} baseball cap"),
    "hat: brimmed": ("a {} brimmed hat", "a {} hat with a brim"),
    "glasses: round": ("round {} glasses", "{} round glasses"),
    "glasses: square": ("square {} glasses",),
    "clothes: crew neck": ("a {} T-shirt",),
    "clothes: v-neck": ("a {} V-neck",),
    "clothes: collar": ("a {} shirt with a collar",),
    "clothes: turtleneck": ("a {} turtleneck",),
    "clothes: hoodie": ("a {} hoodie",),
    "pattern: stripes": ("striped {} clothes", "a {} shirt with stripes"),
    "pattern: dots": ("dotted {} clothes", "a {} shirt with dots"),
    "pattern: check": ("checked {} clothes", "a checked {} shirt"),
    "background: bokeh": ("a {} background with soft lights",),
}
_COLOUR_OF = {"hair": "hair colour", "hat": "hat colour", "glasses": "glasses colour", "clothes": "clothes colour"}
_COLOUR_OF |= {"pattern": "clothes colour", "background": "background colour"}
_WORN = ("hat", "glasses", "clothes", "earrings")


def phrase(true: Collection[str], source: random.Random) -> tuple[str, list[str]]:
    """A text about a portrait.

    Args:
        true: names of the statements that are true of it.
        source: of all choices.

    Returns:
        The text, and the statements that it makes; a portrait has to meet all of them for the text to be true of it.
    """
    if not true or source.random() < SILENT:
        return source.choice(NEUTRAL_TEXTS), []
    names = _chosen(list(true), source)
    things, kinds, worn = [], [], True
    waiting = list(names)
    while waiting:
        name = waiting.pop(0)
        pair = next((other for other in waiting if _together(name, other)), None)
        if pair is not None:
            waiting.remove(pair)
            style, colour = (name, pair) if name in _STYLES else (pair, name)
            things.append(_both(style, colour, source))
        else:
            statement = STATEMENTS[name]
            as_kind = statement.kinds and len(kinds) < 2 and source.random() < (0.6 if len(names) == 1 else 0.4)
            (kinds if as_kind else things).append(source.choice(statement.kinds if as_kind else statement.things))
        worn = worn and STATEMENTS[name].region in _WORN and not name.endswith(": none")
    return _said(things, kinds, worn, source), names


def _chosen(true: list[str], source: random.Random) -> list[str]:
    """Some of the statements, by their weights; a style of something comes with its colour more often than not."""
    draw = source.random()
    low, high = next(counts for share, counts in COUNTS if draw < share)
    count = min(source.randint(low, high), len(true))
    weights = [STATEMENTS[name].weight for name in true]
    names = list(dict.fromkeys(source.choices(true, weights, k=count)))
    if len(names) == 1 and names[0] in _STYLES and source.random() < 0.35:
        names += [name for name in true if _together(names[0], name)][:1]
    return names


def _together(name: str, other: str) -> bool:
    """Whether one is a style and the other the colour of the same thing."""
    style, colour = (name, other) if name in _STYLES else (other, name)
    return style in _STYLES and colour.startswith(f"{_COLOUR_OF[style.split()[0].rstrip(':')]}:")


def _both(style: str, colour: str, source: random.Random) -> str:
    word = source.choice(_words(STATEMENTS[colour]))
    return source.choice(_STYLES[style]).format(word).replace("a a", "an a").replace("a o", "an o")


def _words(statement: Statement) -> list[str]:
    """The names of a colour: "ginger" for "ginger hair"."""
    found = []
    for thing in statement.things:
        word = thing.removeprefix("an ").removeprefix("a ").rsplit(" ", 1)[0]
        found.append(word)
    return list(dict.fromkeys(found))


def _said(things: Sequence[str], kinds: Sequence[str], worn: bool, source: random.Random) -> str:
    """One text of all of them."""
    said = _joined(things, source)
    if kinds:
        who = f"{' '.join(kinds)} {source.choice(('person', 'person', 'face'))}"
        person = f"{'an' if who[0] in 'aeiou' else 'a'} {who}"
        if not things and source.random() < 0.6:
            return source.choice((" and ".join(kinds), *(() if len(kinds) > 1 else (f"looking {kinds[0]}",))))
    elif source.random() < 0.5:
        return said if source.random() < 0.7 else f"{'wearing' if worn else 'with'} {said}"
    else:
        person = source.choice(_PEOPLE)
    text = person if not things else f"{person} {'wearing' if worn and source.random() < 0.7 else 'with'} {said}"
    return source.choice(_SURROUNDINGS).format(text) if source.random() < 0.3 else text


def _joined(things: Sequence[str], source: random.Random) -> str:
    if len(things) < 2:
        return "".join(things)
    if source.random() < 0.3:
        return ", ".join(things)
    return f"{', '.join(things[:-1])} and {things[-1]}"
