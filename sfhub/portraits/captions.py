"""English captions of portraits: what a person would say first about the picture, in one sentence.

A caption names age, skin, hair, eyes, beard, expression, pose, clothes, glasses, hat, earrings and background. What a
hat or the style hides (a bun or a fringe under a hat, a fringe on a shaven head) is left out. The wording is a
function of the attributes alone, so that the same portrait always has the same caption.
"""

from collections.abc import Mapping

from torch import Tensor

from sfhub.portraits.attributes import ATTRIBUTES, check_attributes

HAIR_COLOURS = {
    "black": (0.12, 0.09, 0.09),
    "dark brown": (0.24, 0.16, 0.12),
    "brown": (0.40, 0.26, 0.16),
    "red": (0.58, 0.27, 0.12),
    "light brown": (0.56, 0.38, 0.22),
    "blond": (0.80, 0.63, 0.38),
    "grey": (0.55, 0.54, 0.53),
    "white": (0.86, 0.85, 0.83),
    "pink": (0.80, 0.45, 0.58),
    "blue": (0.32, 0.48, 0.70),
    "teal": (0.28, 0.56, 0.52),
    "purple": (0.52, 0.38, 0.66),
    "bright red": (0.75, 0.28, 0.24),
}
EYE_COLOURS = {
    "dark brown": (0.26, 0.16, 0.10),
    "brown": (0.40, 0.25, 0.13),
    "hazel": (0.50, 0.38, 0.16),
    "green": (0.30, 0.46, 0.26),
    "blue": (0.28, 0.50, 0.68),
    "grey": (0.45, 0.53, 0.58),
}
COLOURS = {
    "white": (0.93, 0.92, 0.90),
    "black": (0.12, 0.12, 0.13),
    "dark grey": (0.26, 0.27, 0.31),
    "grey": (0.55, 0.55, 0.57),
    "light grey": (0.78, 0.80, 0.82),
    "navy": (0.18, 0.27, 0.44),
    "blue": (0.37, 0.55, 0.71),
    "light blue": (0.74, 0.84, 0.91),
    "teal": (0.28, 0.52, 0.50),
    "mint": (0.70, 0.83, 0.79),
    "green": (0.42, 0.57, 0.38),
    "light green": (0.80, 0.86, 0.72),
    "yellow": (0.90, 0.74, 0.40),
    "cream": (0.94, 0.90, 0.82),
    "peach": (0.96, 0.84, 0.70),
    "orange": (0.85, 0.50, 0.30),
    "red": (0.72, 0.26, 0.26),
    "pink": (0.90, 0.66, 0.66),
    "lavender": (0.83, 0.78, 0.90),
    "purple": (0.54, 0.42, 0.62),
    "dark brown": (0.34, 0.20, 0.13),
    "brown": (0.52, 0.40, 0.31),
    "beige": (0.76, 0.66, 0.54),
}
_HAIR_PHRASES = {
    "buzz": "buzz-cut {colour} hair",
    "short": "short {colour} hair",
    "side-swept": "side-swept {colour} hair",
    "bob": "a {colour} bob",
    "long straight": "long straight {colour} hair",
    "long wavy": "long wavy {colour} hair",
    "curly": "curly {colour} hair",
    "afro": "a {colour} afro",
    "bun": "{colour} hair in a bun",
    "ponytail": "{colour} hair in a ponytail",
}
_BEARDS = {"stubble": "stubble", "full": "a full beard", "moustache": "a moustache", "goatee": "a goatee"}
_CLOTHES = {
    "crew neck": "crew-neck top",
    "v-neck": "V-neck top",
    "collar": "shirt with a collar",
    "turtleneck": "turtleneck",
    "hoodie": "hoodie",
}
_PATTERNS = {"plain": "", "stripes": "striped ", "dots": "dotted ", "check": "checked "}
_SKIN_TONES = ("very light", "light", "medium", "brown", "dark", "very dark")


def captions(attributes: Mapping[str, Tensor | float | str]) -> list[str]:
    """Describe portraits in English, one sentence each.

    Args:
        attributes: as `render` takes them.

    Returns:
        `B` sentences.

    Raises:
        InputError: as `check_attributes` says.
    """
    columns = {name: value.tolist() for name, value in check_attributes(attributes).items()}
    return [_caption({name: column[i] for name, column in columns.items()}) for i in range(len(columns["yaw"]))]


def _caption(values: dict[str, float]) -> str:
    person = f"{_article(_age(values))} {_age(values)} person with {_skin(values)} skin"
    features = ", ".join(_features(values))
    pattern, garment = _PATTERNS[_choice(values, "pattern")], _CLOTHES[_choice(values, "clothes")]
    clothes = f"{_colour(values, 'clothes', COLOURS)} {pattern}{garment}"
    worn = _join([f"{_article(clothes)} {clothes}", *_accessories(values)])
    mood = _expression(values) + _pose(values)
    sentence = f"{person}, {features}, {mood}, wearing {worn}, in front of {_background(values)}."
    return sentence[0].upper() + sentence[1:]


def _choice(values: dict[str, float], name: str) -> str:
    return ATTRIBUTES[name].choices[int(values[name])]


def _colour(values: dict[str, float], name: str, names: dict[str, tuple[float, float, float]]) -> str:
    rgb = [values[f"{name}_{part}"] for part in ("red", "green", "blue")]
    return min(names, key=lambda word: sum((a - b) ** 2 for a, b in zip(rgb, names[word], strict=True)))


def _article(words: str) -> str:
    return "an" if words[0].lower() in "aeiou" else "a"


def _join(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def _age(values: dict[str, float]) -> str:
    return "young" if values["age"] < 0.35 else "middle-aged" if values["age"] < 0.7 else "old"


def _skin(values: dict[str, float]) -> str:
    return _SKIN_TONES[min(int(values["skin_tone"] * len(_SKIN_TONES)), len(_SKIN_TONES) - 1)]


def _features(values: dict[str, float]) -> list[str]:
    style, hat = _choice(values, "hair_style"), _choice(values, "hat") != "none"
    if style == "bald":
        parts = [] if hat else ["a bald head"]
    else:
        phrase = "{colour} hair" if hat and style in ("bun", "side-swept") else _HAIR_PHRASES[style]
        phrase = phrase.format(colour=_colour(values, "hair", HAIR_COLOURS))
        parts = [phrase.replace("a afro", "an afro")]
        fringe = _choice(values, "fringe")
        if fringe != "none" and not hat and style not in ("buzz", "afro"):
            parts.append(f"a {fringe} fringe")
    parts.append(f"{_colour(values, 'eye', EYE_COLOURS)} eyes")
    if _choice(values, "beard") != "none":
        parts.append(_BEARDS[_choice(values, "beard")])
    return parts


def _expression(values: dict[str, float]) -> str:
    opened = values["mouth_open"] > 0.3
    if values["smile"] > 0.6:
        return "laughing" if opened else "smiling broadly"
    if values["smile"] > 0.2:
        return "smiling with an open mouth" if opened else "smiling"
    mood = "looking sad" if values["smile"] < -0.2 else "looking calm"
    return f"{mood} with an open mouth" if opened else mood


def _pose(values: dict[str, float]) -> str:
    if abs(values["yaw"]) < 12:
        return ""
    return " and turned to the right" if values["yaw"] > 0 else " and turned to the left"


def _accessories(values: dict[str, float]) -> list[str]:
    parts = []
    if (glasses := _choice(values, "glasses")) != "none":
        parts.append(f"{glasses} {_colour(values, 'glasses', COLOURS)} glasses")
    if (hat := _choice(values, "hat")) != "none":
        colour = _colour(values, "hat", COLOURS)
        parts.append(f"{_article(colour)} {colour} {'brimmed hat' if hat == 'brimmed' else hat}")
    if (earrings := _choice(values, "earrings")) != "none":
        parts.append(f"{'gold' if values['earring_gold'] > 0.5 else 'silver'} {earrings} earrings")
    return parts


def _background(values: dict[str, float]) -> str:
    first, second = (_colour(values, name, COLOURS) for name in ("background", "background2"))
    kind = _choice(values, "background")
    if kind == "flat" or first == second:
        return f"{_article(first)} {first} background"
    if kind == "gradient":
        return f"a gradient from {first} to {second}"
    if kind == "bokeh":
        return f"{_article(first)} {first} background with soft {second} lights"
    return f"a soft horizon, {first} above {second}"
