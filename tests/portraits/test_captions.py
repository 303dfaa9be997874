"""Captions say what the picture shows and nothing that it hides."""

import pytest

from sfhub.errors import InputError
from sfhub.portraits import captions, sample_attributes

_COPPER = {"hair_red": 0.58, "hair_green": 0.27, "hair_blue": 0.12}
_NAVY = {"hat_red": 0.18, "hat_green": 0.27, "hat_blue": 0.44}


def test_a_caption_names_what_can_be_seen():
    attributes = {"hair_style": "long wavy", "beard": "none", "smile": 0.9, "mouth_open": 0.8, "clothes": "hoodie"}
    attributes |= (
        {"glasses": "round", "earrings": "hoop", "age": 0.9, "skin_tone": 0.95, "hat": "cap"} | _COPPER | _NAVY
    )
    (caption,) = captions(attributes)
    for words in (
        "An old person",
        "very dark skin",
        "long wavy red hair",
        "laughing",
        "hoodie",
        "round",
        "glasses",
        "a navy cap",
        "gold hoop earrings",
    ):
        assert words in caption
    assert caption.endswith(".") and "beard" not in caption


@pytest.mark.parametrize(("style", "words"), [("bun", "bun"), ("bald", "bald")])
def test_a_hat_hides_what_is_under_it(style, words):
    bare, hatted = (captions({"hair_style": style, "fringe": "side", "hat": hat})[0] for hat in ("none", "beanie"))
    assert words in bare
    assert words not in hatted and "fringe" not in hatted and "beanie" in hatted


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"beard": "goatee"}, "a goatee"),
        ({"smile": -0.8}, "looking sad"),
        ({"yaw": 30}, "turned to the right"),
        ({"yaw": -30}, "turned to the left"),
        ({"pattern": "dots", "clothes": "v-neck"}, "dotted V-neck"),
        ({"background": "bokeh"}, "soft"),
        ({"hair_style": "afro", **_COPPER}, "a red afro"),
    ],
)
def test_a_caption_follows_its_attribute(change, words):
    assert words in captions(change)[0]
    assert words not in captions({"smile": 0})[0]


def test_every_person_gets_one_caption_and_people_differ():
    sentences = captions(sample_attributes(100, seed=3))
    assert len(sentences) == 100 and len(set(sentences)) > 95
    assert all(" a a" not in s and " a o" not in s and " a e" not in s and " a i" not in s for s in sentences)


def test_unknown_attributes_are_refused():
    with pytest.raises(InputError, match="'colour' is no portrait attribute"):
        captions({"colour": 1})
