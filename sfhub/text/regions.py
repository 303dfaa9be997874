"""Which region of a picture a text is about.

A word that names something in a region decides ("a green *hat*", "curly red *hair*"), the longest and then the first of
several; without one, the encoder does: the region whose examples the text is most like.
"""

import re
from collections.abc import Collection

import torch

from sfhub.text.encoder import TextEncoder

__all__ = ["WORDS", "region_of_text", "region_of_words"]

_WORDS = {
    "hair": (
        "hair haired haircut hairstyle hairdo bald balding hairless fringe bangs curls curly curlier wavy afro bob bun "
        "ponytail braid braids mohawk quiff blond blonde brunette ginger redhead dreadlocks ringlets bob-cut crew-cut "
        "buzz-cut shaven-head"
    ),
    "hat": "hat hats cap beanie headgear bonnet helmet crown hood-up bareheaded headscarf turban",
    "glasses": "glasses spectacles sunglasses eyeglasses bespectacled goggles monocle",
    "earrings": "earring earrings jewellery jewelry hoops studs",
    "eyes": (
        "eye eyes eyed eyebrow eyebrows brow brows eyelash eyelashes lashes gaze iris eyelids sleepy drowsy angry "
        "frowning frown worried fearful surprised winking squinting"
    ),
    "mouth": (
        "mouth lip lips lipstick teeth tongue smile smiling smiles grin grinning laugh laughing sad unhappy happy "
        "gloomy "
        "cheerful pout pouting joyful"
    ),
    "face": (
        "face skin beard bearded stubble moustache mustache goatee shaven clean-shaven nose cheek cheeks chin jaw "
        "wrinkle wrinkles wrinkled freckles old older elderly aged young younger youthful child pale tanned blush "
        "blushing feminine masculine woman man female male girl boy ear ears neck"
    ),
    "clothes": (
        "clothes clothing shirt t-shirt sweater jumper hoodie jacket coat dress suit tie collar turtleneck v-neck top "
        "striped stripes dotted dots checked checkered plaid blouse pullover sweatshirt uniform scarf"
    ),
    "background": "background backdrop behind wall sky landscape beach forest bokeh horizon outdoors indoors",
}
WORDS: dict[str, frozenset[str]] = {region: frozenset(words.split()) for region, words in _WORDS.items()}
"""Words by which people name what lies in a region."""

EXAMPLES: dict[str, tuple[str, ...]] = {
    "hair": ("curly hair", "blond hair", "a bald head", "long hair"),
    "hat": ("a hat", "a red cap", "a beanie"),
    "glasses": ("glasses", "round glasses", "spectacles"),
    "earrings": ("earrings", "gold earrings"),
    "eyes": ("blue eyes", "thick eyebrows", "sleepy eyes"),
    "mouth": ("a smile", "an open mouth", "red lips", "a sad expression"),
    "face": ("a beard", "dark skin", "an old face", "a wide face"),
    "clothes": ("a striped shirt", "a blue sweater", "a hoodie"),
    "background": ("a blue background", "a plain background", "a dark backdrop"),
}
"""What the encoder compares a text with."""

BUT_FIRST = ("hat", "glasses", "earrings", "clothes", "background")
"""Things that are named together with what they are on or near: "a green hat on curly hair" is about the hat."""


def region_of_words(text: str) -> str | None:
    """The region that a word of the text names, None if none does."""
    words = re.findall(r"[a-z]+(?:-[a-z]+)*", text.lower())
    words += [part for word in words for part in word.split("-") if "-" in word]
    found = [(place, region) for place, word in enumerate(words) for region, known in WORDS.items() if word in known]
    if not found:
        return None
    things = [region for _, region in found if region in BUT_FIRST]
    plain = [region for _, region in found]
    # "a smiling face", "an old man with a beard": the face is the frame of what is said about it.
    finer = [region for region in plain if region != "face"]
    return (things or finer or plain)[0]


def region_of_text(text: str, regions: Collection[str], encoder: TextEncoder) -> str | None:
    """The region that a text is about.

    Args:
        text: any.
        regions: those of the model, by the names that its users give them.
        encoder: asked where no word decides.

    Returns:
        One of `regions`, None if the model has none that fits.
    """
    named = region_of_words(text)
    if named is not None:
        return named if named in regions else None
    known = [name for name in EXAMPLES if name in regions]
    if not known:
        return None
    asked = encoder.texts([text])[0]
    return max(known, key=lambda name: torch.mv(encoder.texts(EXAMPLES[name]), asked).topk(2).values.mean().item())
