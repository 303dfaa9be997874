"""What can be said about what a portrait wears and what is behind it; see `sfhub.portraits.statements`."""

import torch
from torch import Tensor

from sfhub.portraits.attributes import ATTRIBUTES
from sfhub.portraits.captions import COLOURS
from sfhub.portraits.statement import (
    BASIC_COLOURS,
    Attributes,
    Statement,
    all_of,
    any_of,
    between,
    colour_words,
    coloured,
    is_one_of,
    over,
    under,
    with_article,
)

__all__ = ["about_backgrounds", "about_clothes", "about_the_whole", "about_things_worn"]


def about_things_worn() -> list[Statement]:
    found = []
    for thing, words, colours in (
        (
            "glasses",
            ("glasses", "spectacles"),
            ("black", "brown", "dark brown", "beige", "red", "navy", "blue", "white"),
        ),
        ("hat", ("hat",), COLOURS),
    ):
        worn = all_of(any_of(*(is_one_of(thing, kind) for kind in ATTRIBUTES[thing].choices[1:])))
        article = "a " if thing == "hat" else ""
        things = tuple(f"{article}{word}" for word in words) + (("a head covering",) if thing == "hat" else ())
        found.append(
            Statement(f"{thing}: any", thing, things, ("bespectacled",) if thing == "glasses" else (), worn, 2.5)
        )
        without = tuple(f"no {word}" for word in words) + (("a bare head",) if thing == "hat" else ())
        found.append(Statement(f"{thing}: none", thing, without, (), is_one_of(thing, "none"), 0.7))
        for colour in colours:
            said = tuple(f"{with_article(word) if article else ''}{word} {words[0]}" for word in colour_words(colour))
            weight = 0.6 if colour in BASIC_COLOURS else 0.3
            found.append(
                Statement(
                    f"{thing} colour: {colour}", thing, said, (), all_of(worn, coloured(thing, colour, COLOURS)), weight
                )
            )
    kinds = {
        ("glasses", "round"): ("round glasses", "round spectacles"),
        ("glasses", "square"): ("square glasses", "rectangular glasses"),
        ("hat", "beanie"): ("a beanie", "a woolly hat", "a knitted hat"),
        ("hat", "cap"): ("a cap", "a baseball cap"),
        ("hat", "brimmed"): ("a brimmed hat", "a hat with a brim", "a sun hat"),
        ("earrings", "stud"): ("stud earrings", "small earrings"),
        ("earrings", "hoop"): ("hoop earrings", "big earrings", "hoops"),
    }
    found += [
        Statement(f"{thing}: {kind}", thing, words, (), is_one_of(thing, kind))
        for (thing, kind), words in kinds.items()
    ]
    earrings = is_one_of("earrings", "stud", "hoop")
    return [
        *found,
        Statement("earrings: any", "earrings", ("earrings", "jewellery"), (), earrings, 1.5),
        Statement("earrings: none", "earrings", ("no earrings", "bare ears"), (), is_one_of("earrings", "none"), 0.5),
        Statement(
            "earrings: gold",
            "earrings",
            ("gold earrings", "golden earrings"),
            (),
            all_of(earrings, over("earring_gold", 0.6, 0.2)),
        ),
        Statement(
            "earrings: silver", "earrings", ("silver earrings",), (), all_of(earrings, under("earring_gold", 0.4, 0.2))
        ),
    ]


def about_clothes() -> list[Statement]:
    words = {
        "crew neck": ("a T-shirt", "a crew-neck top", "a plain neckline"),
        "v-neck": ("a V-neck", "a V-neck top", "a V-neck sweater"),
        "collar": ("a collar", "a shirt with a collar", "a collared shirt"),
        "turtleneck": ("a turtleneck", "a turtleneck sweater", "a roll-neck"),
        "hoodie": ("a hoodie", "a hooded sweatshirt"),
    }
    found = [
        Statement(f"clothes: {kind}", "clothes", said, (), is_one_of("clothes", kind)) for kind, said in words.items()
    ]
    for colour in COLOURS:
        said = tuple(
            text
            for word in colour_words(colour)
            for text in (
                f"{word} clothes",
                f"{with_article(word)}{word} shirt",
                f"{with_article(word)}{word} top",
                f"{with_article(word)}{word} sweater",
            )
        )
        weight = 0.8 if colour in BASIC_COLOURS else 0.4
        found.append(
            Statement(f"clothes colour: {colour}", "clothes", said, (), coloured("clothes", colour, COLOURS), weight)
        )
    patterns = {
        "stripes": ("stripes", "striped clothes", "a striped shirt"),
        "dots": ("dots", "polka dots", "dotted clothes", "a dotted shirt"),
        "check": ("a checked shirt", "checked clothes", "a checkered shirt", "plaid"),
        "plain": ("plain clothes", "no pattern"),
    }
    return found + [
        Statement(f"pattern: {kind}", "clothes", said, (), is_one_of("pattern", kind), 0.5 if kind == "plain" else 1.2)
        for kind, said in patterns.items()
    ]


def about_backgrounds() -> list[Statement]:
    patterned = is_one_of("background", *ATTRIBUTES["background"].choices[1:])
    found = []
    for colour in COLOURS:
        said = tuple(
            text
            for word in colour_words(colour)
            for text in (f"{with_article(word)}{word} background", f"{with_article(word)}{word} backdrop")
        )
        first, second = (coloured(name, colour, COLOURS) for name in ("background", "background2"))
        truth = any_of(first, all_of(patterned, second))
        found.append(Statement(f"background colour: {colour}", "background", said, (), truth, 0.5))
    kinds = {
        "flat": ("a plain background", "a flat background", "an even background"),
        "gradient": ("a gradient background", "a gradient behind"),
        "bokeh": ("soft lights in the background", "bokeh", "blurred lights behind"),
        "horizon": ("a horizon", "a horizon in the background", "a landscape behind"),
    }
    found += [
        Statement(f"background: {kind}", "background", said, (), is_one_of("background", kind))
        for kind, said in kinds.items()
    ]
    tones = {
        "light": (("a light background", "a bright background"), over("brightness", 0.78, 0.1)),
        "dark": (("a dark background", "a darker background"), under("brightness", 0.5, 0.12)),
    }
    return found + [
        Statement(
            f"background tone: {tone}",
            "background",
            said,
            (),
            lambda a, truth=truth: truth(a | {"brightness": _brightness(a)}),
        )
        for tone, (said, truth) in tones.items()
    ]


def _brightness(attributes: Attributes) -> Tensor:
    """Mean of red, green and blue of the background, of both its colours where it has two."""
    first, second = (
        sum(attributes[f"{name}_{part}"] for part in ("red", "green", "blue")) / 3
        for name in ("background", "background2")
    )
    return torch.where(is_one_of("background", "flat")(attributes) == 1, first, (first + second) / 2)


def about_the_whole() -> list[Statement]:
    return [
        Statement("pose: left", None, ("the head turned to the left",), ("turned to the left",), under("yaw", -12, 6)),
        Statement("pose: right", None, ("the head turned to the right",), ("turned to the right",), over("yaw", 12, 6)),
        Statement(
            "pose: front", None, ("the head facing forward",), ("facing forward",), between("yaw", -6, 6, 6), 0.7
        ),
        Statement("light: warm", None, ("warm light",), (), over("light_warmth", 0.5, 0.35), 0.5),
        Statement("light: cool", None, ("cool light", "cold light"), (), under("light_warmth", -0.4, 0.35), 0.5),
    ]
