"""What can be said about hair, eyes, mouth and face of a portrait; see `sfhub.portraits.statements`."""

import functools

import torch
from torch import Tensor

from sfhub.portraits.attributes import ATTRIBUTES
from sfhub.portraits.captions import EYE_COLOURS, HAIR_COLOURS
from sfhub.portraits.statement import (
    FALSE,
    TRUE,
    UNCLEAR,
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
    where_shown,
)

__all__ = ["about_eyes", "about_faces", "about_hair", "about_mouths"]

_HAIR_SYNONYMS = {"red": ("red", "ginger", "auburn"), "grey": ("grey", "gray", "silver"), "bright red": ("bright red",)}
_EYE_WORDS = {"dark brown": ("dark brown", "dark"), "grey": ("grey", "gray")}


def about_hair() -> list[Statement]:
    seen = all_of(any_of(*(is_one_of("hair_style", s) for s in ATTRIBUTES["hair_style"].choices[1:])))
    found = [
        Statement(
            f"hair colour: {colour}",
            "hair",
            tuple(f"{word} hair" for word in colour_words(colour, _HAIR_SYNONYMS)),
            tuple(f"{word}-haired" for word in colour_words(colour, _HAIR_SYNONYMS)),
            all_of(seen, coloured("hair", colour, HAIR_COLOURS)),
            0.6,
        )
        for colour in HAIR_COLOURS
    ]
    light = any_of(*(coloured("hair", c, HAIR_COLOURS) for c in ("blond", "white", "light brown")))
    dark = any_of(*(coloured("hair", c, HAIR_COLOURS) for c in ("black", "dark brown")))
    words = {
        "bald": (("a bald head", "no hair", "a shaven head", "a bald scalp"), ("bald", "hairless")),
        "buzz": (("a buzz cut", "a crew cut", "very short hair", "cropped hair"), ()),
        "short": (("short hair", "a short haircut"), ("short-haired",)),
        "side-swept": (("side-swept hair", "hair swept to the side", "a quiff"), ()),
        "bob": (("a bob", "chin-length hair", "a bob haircut"), ()),
        "long straight": (("long straight hair", "straight long hair"), ()),
        "long wavy": (("long wavy hair", "wavy hair", "flowing hair"), ("wavy-haired",)),
        "curly": (("curly hair", "curls", "ringlets"), ("curly-haired", "curly")),
        "afro": (("an afro", "afro hair", "frizzy hair", "a big afro"), ()),
        "bun": (("a bun", "hair in a bun", "hair tied up", "a top knot"), ()),
        "ponytail": (("a ponytail", "hair in a ponytail"), ("ponytailed",)),
    }
    hatless = is_one_of("hat", "none")
    for style, (things, kinds) in words.items():
        truth = is_one_of("hair_style", style)
        if style in ("bald", "bun", "side-swept"):  # a hat hides whether it is that
            hidden = lambda attributes: torch.where(hatless(attributes) == 1, TRUE, UNCLEAR).to(torch.int8)  # noqa: E731
            truth = all_of(truth, hidden)
        found.append(Statement(f"hair style: {style}", "hair", things, kinds, truth, 1.2))
    long, short = ("long straight", "long wavy"), ("buzz", "short", "side-swept")
    fringe = where_shown("fringe=", is_one_of("fringe", "straight", "side"))
    volume = functools.partial(where_shown, "hair_volume")
    found += [
        Statement(
            "hair length: long",
            "hair",
            ("long hair", "longer hair"),
            ("long-haired",),
            is_one_of("hair_style", *long),
            1.5,
        ),
        Statement("hair length: short", "hair", ("shorter hair",), ("short-haired",), is_one_of("hair_style", *short)),
        Statement("hair tone: light", "hair", ("light hair", "lighter hair"), ("light-haired",), all_of(seen, light)),
        Statement("hair tone: dark", "hair", ("dark hair", "darker hair"), ("dark-haired",), all_of(seen, dark)),
        Statement("fringe: any", "hair", ("a fringe", "bangs"), (), fringe, 1.2),
        Statement(
            "fringe: straight",
            "hair",
            ("a straight fringe", "straight bangs"),
            (),
            all_of(fringe, is_one_of("fringe", "straight")),
        ),
        Statement(
            "fringe: side", "hair", ("a side fringe", "side bangs"), (), all_of(fringe, is_one_of("fringe", "side"))
        ),
        Statement(
            "fringe: none",
            "hair",
            ("no fringe", "a bare forehead", "no bangs"),
            (),
            where_shown("fringe=", is_one_of("fringe", "none")),
            0.5,
        ),
        Statement(
            "volume: high",
            "hair",
            ("voluminous hair", "thick hair", "big hair"),
            (),
            volume(over("hair_volume", 0.5, 0.4)),
        ),
        Statement("volume: low", "hair", ("flat hair", "thin hair"), (), volume(under("hair_volume", -0.5, 0.4))),
    ]
    return found


def about_eyes() -> list[Statement]:
    found = [
        Statement(
            f"eye colour: {colour}",
            "eyes",
            tuple(f"{word} eyes" for word in colour_words(colour, _EYE_WORDS)),
            tuple(f"{word}-eyed" for word in colour_words(colour, _EYE_WORDS)),
            coloured("eye", colour, EYE_COLOURS),
        )
        for colour in EYE_COLOURS
    ]
    return [
        *found,
        Statement("eye size: large", "eyes", ("large eyes", "big eyes"), ("big-eyed",), over("eye_size", 0.5, 0.4)),
        Statement("eye size: small", "eyes", ("small eyes", "tiny eyes"), (), under("eye_size", -0.5, 0.4)),
        Statement(
            "eyes: open",
            "eyes",
            ("wide open eyes", "wide eyes", "open eyes"),
            ("wide-eyed",),
            over("eye_openness", 0.92, 0.12),
        ),
        Statement(
            "eyes: closing",
            "eyes",
            ("half-closed eyes", "sleepy eyes", "narrowed eyes"),
            ("sleepy", "tired", "drowsy"),
            under("eye_openness", 0.5, 0.15),
            1.2,
        ),
        Statement(
            "gaze: left", "eyes", ("eyes looking left", "a gaze to the left"), (), under("gaze_x", -0.4, 0.3), 0.7
        ),
        Statement(
            "gaze: right", "eyes", ("eyes looking right", "a gaze to the right"), (), over("gaze_x", 0.4, 0.3), 0.7
        ),
        Statement("gaze: up", "eyes", ("eyes looking up", "a gaze upwards"), (), under("gaze_y", -0.35, 0.25), 0.7),
        Statement("gaze: down", "eyes", ("eyes looking down", "a gaze downwards"), (), over("gaze_y", 0.35, 0.25), 0.7),
        Statement("lashes: long", "eyes", ("long lashes", "long eyelashes"), (), over("lashes", 0.7, 0.2), 0.7),
        Statement(
            "brows: thick",
            "eyes",
            ("thick eyebrows", "bushy brows", "heavy eyebrows"),
            (),
            over("brow_thickness", 0.5, 0.4),
        ),
        Statement("brows: thin", "eyes", ("thin eyebrows", "thin brows"), (), under("brow_thickness", -0.5, 0.4)),
        Statement(
            "brows: raised", "eyes", ("raised eyebrows", "raised brows"), ("surprised",), over("brow_height", 0.5, 0.4)
        ),
        Statement(
            "brows: frowning",
            "eyes",
            ("frowning brows", "angry eyebrows", "a frown"),
            ("angry", "frowning", "fierce"),
            over("brow_angle", 0.25, 0.3),
            1.2,
        ),
        Statement(
            "brows: worried",
            "eyes",
            ("worried brows", "worried eyes", "fearful eyes"),
            ("worried", "fearful", "anxious"),
            under("brow_angle", -0.65, 0.3),
        ),
    ]


def about_mouths() -> list[Statement]:
    return [
        Statement(
            "smile: yes",
            "mouth",
            ("a smile", "a happy expression", "a smiling mouth"),
            ("smiling", "happy", "cheerful", "friendly"),
            over("smile", 0.35, 0.3),
            2.0,
        ),
        Statement(
            "smile: broad",
            "mouth",
            ("a broad smile", "a big smile", "a wide grin"),
            ("grinning", "very happy", "beaming"),
            over("smile", 0.7, 0.2),
            1.2,
        ),
        Statement(
            "smile: laughing",
            "mouth",
            ("a laugh", "a laughing mouth"),
            ("laughing",),
            all_of(over("smile", 0.6, 0.2), over("mouth_open", 0.35, 0.25)),
        ),
        Statement(
            "smile: calm",
            "mouth",
            ("a neutral expression", "a calm expression", "a straight face"),
            ("calm", "serious", "neutral"),
            between("smile", -0.15, 0.2, 0.15),
        ),
        Statement(
            "smile: sad",
            "mouth",
            ("a sad expression", "a sad mouth", "a sad face", "the corners of the mouth down"),
            ("sad", "unhappy", "gloomy", "grumpy"),
            under("smile", -0.2, 0.25),
            2.0,
        ),
        Statement(
            "mouth: open",
            "mouth",
            ("an open mouth", "teeth showing", "parted lips"),
            ("open-mouthed",),
            over("mouth_open", 0.35, 0.25),
            1.5,
        ),
        Statement("mouth: closed", "mouth", ("a closed mouth", "closed lips"), (), under("mouth_open", 0.05, 0.2), 0.7),
        Statement("mouth: wide", "mouth", ("a wide mouth",), (), over("mouth_width", 0.5, 0.4), 0.7),
        Statement(
            "mouth: small", "mouth", ("a small mouth", "a narrow mouth"), (), under("mouth_width", -0.5, 0.4), 0.7
        ),
        Statement("lips: full", "mouth", ("full lips", "plump lips", "big lips"), (), over("lip_fullness", 0.5, 0.4)),
        Statement("lips: thin", "mouth", ("thin lips",), (), under("lip_fullness", -0.5, 0.4)),
        Statement(
            "lipstick: yes",
            "mouth",
            ("lipstick", "red lips", "red lipstick", "painted lips"),
            (),
            over("lip_tint", 0.6, 0.25),
        ),
        Statement("lipstick: no", "mouth", ("bare lips", "pale lips"), (), under("lip_tint", 0.1, 0.25), 0.5),
    ]


def about_faces() -> list[Statement]:
    tones = {
        "very light": (0.0, 0.167, ("very light skin", "pale skin", "very pale skin"), ("pale", "very pale")),
        "light": (0.167, 0.333, ("light skin", "fair skin"), ("light-skinned",)),
        "medium": (0.333, 0.5, ("medium skin", "tanned skin", "olive skin"), ("tanned",)),
        "brown": (0.5, 0.667, ("brown skin",), ("brown-skinned",)),
        "dark": (0.667, 0.833, ("dark skin", "darker skin"), ("dark-skinned",)),
        "very dark": (0.833, 1.0, ("very dark skin", "black skin"), ()),
    }
    found = [
        Statement(f"skin: {name}", "face", things, kinds, between("skin_tone", low, high, 0.08))
        for name, (low, high, things, kinds) in tones.items()
    ]
    beards = {
        "stubble": (("stubble", "a stubbly chin", "a five o'clock shadow"), ("unshaven", "stubbly")),
        "full": (("a full beard", "a big beard", "a thick beard"), ()),
        "moustache": (("a moustache", "a mustache"), ("moustached",)),
        "goatee": (("a goatee", "a chin beard"), ()),
    }
    found += [
        Statement(f"beard: {kind}", "face", things, kinds, is_one_of("beard", kind))
        for kind, (things, kinds) in beards.items()
    ]
    woman, man = over("feminine", 0.35, 0.5), under("feminine", -0.35, 0.5)
    return [
        *found,
        Statement("beard: yes", "face", ("a beard", "facial hair"), ("bearded",), _bearded, 2.0),
        Statement(
            "beard: none",
            "face",
            ("no beard", "a clean-shaven face", "smooth cheeks"),
            ("clean-shaven", "beardless"),
            is_one_of("beard", "none"),
            0.7,
        ),
        Statement(
            "age: young",
            "face",
            ("a young face", "smooth skin", "a younger face"),
            ("young", "younger", "youthful"),
            under("age", 0.3, 0.15),
            2.0,
        ),
        Statement(
            "age: middle", "face", ("a middle-aged face",), ("middle-aged",), between("age", 0.4, 0.65, 0.12), 0.7
        ),
        Statement(
            "age: old",
            "face",
            ("wrinkles", "an old face", "wrinkled skin", "an older face"),
            ("old", "older", "elderly", "aged", "wrinkled"),
            over("age", 0.7, 0.15),
            2.0,
        ),
        Statement(
            "look: feminine",
            "face",
            ("a feminine face",),
            ("feminine", "female"),
            lambda a: woman(a | {"feminine": _feminine(a)}),
            1.5,
        ),
        Statement(
            "look: masculine",
            "face",
            ("a masculine face",),
            ("masculine", "male"),
            lambda a: man(a | {"feminine": _feminine(a)}),
            1.5,
        ),
        Statement(
            "face: wide", "face", ("a wide face", "a round face", "a broad face"), (), over("face_width", 0.5, 0.4)
        ),
        Statement(
            "face: narrow", "face", ("a narrow face", "a thin face", "a slim face"), (), under("face_width", -0.5, 0.4)
        ),
        Statement("face: long", "face", ("a long face",), (), over("face_length", 0.5, 0.4), 0.7),
        Statement("face: short", "face", ("a short face",), (), under("face_length", -0.5, 0.4), 0.7),
        Statement("jaw: square", "face", ("a square jaw", "a strong jaw"), (), over("jaw", 0.5, 0.4), 0.7),
        Statement("jaw: pointed", "face", ("a pointed chin", "a pointed jaw"), (), under("jaw", -0.5, 0.4), 0.7),
        Statement("nose: long", "face", ("a long nose", "a big nose"), (), over("nose_size", 0.5, 0.4), 0.7),
        Statement("nose: short", "face", ("a short nose", "a small nose"), (), under("nose_size", -0.5, 0.4), 0.7),
        Statement("nose: wide", "face", ("a wide nose", "a broad nose"), (), over("nose_width", 0.5, 0.4), 0.7),
        Statement(
            "blush: yes", "face", ("rosy cheeks", "red cheeks", "blush"), ("blushing",), over("blush", 0.75, 0.25)
        ),
        Statement("blush: no", "face", ("no blush",), (), under("blush", 0.2, 0.25), 0.4),
        Statement(
            "ears: large",
            "face",
            ("large ears", "big ears"),
            (),
            where_shown("ear_size", over("ear_size", 0.5, 0.4)),
            0.7,
        ),
    ]


def _feminine(attributes: Attributes) -> Tensor:
    """An estimate, about -1 to 1, of what the drawing of portraits calls styling, by what it moves most."""
    parts = {"lashes": 6.0, "lip_tint": 2.5, "jaw": -0.8, "brow_thickness": -0.6, "neck_width": -0.8}
    middle = {"lashes": 0.4, "lip_tint": 0.25}
    total = sum(weight * (attributes[name] - middle.get(name, 0.0)) for name, weight in parts.items())
    earrings = 0.5 * (is_one_of("earrings", "stud", "hoop")(attributes).float() - 0.5)
    return (total + earrings - 2.0 * (1 - is_one_of("beard", "none")(attributes).float())) / 2.5


def _bearded(attributes: Attributes) -> Tensor:
    """A full beard is one, no beard is none, and of stubble, moustache and goatee some say so and some do not."""
    full, none = (is_one_of("beard", kind)(attributes) == 1 for kind in ("full", "none"))
    return torch.where(full, TRUE, torch.where(none, FALSE, UNCLEAR)).to(torch.int8)
