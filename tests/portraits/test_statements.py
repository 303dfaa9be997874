"""What can be said about portraits is true of those it is true of, in wordings that people use."""

import random

import pytest
import torch

from sfhub.portraits import sample_attributes
from sfhub.portraits.attributes import check_attributes
from sfhub.portraits.phrases import NEUTRAL_TEXTS, phrase
from sfhub.portraits.statements import FALSE, STATEMENTS, TRUE, UNCLEAR, truths

RED = {"hair_red": 0.58, "hair_green": 0.27, "hair_blue": 0.12}
GREEN_HAT = {"hat": "cap", "hat_red": 0.42, "hat_green": 0.57, "hat_blue": 0.38}
DEEP = {"background2_red": 0.37, "background2_green": 0.55, "background2_blue": 0.71}


def truth(name, **attributes):
    return int(STATEMENTS[name].truth(check_attributes(attributes))[0])


@pytest.mark.parametrize(
    ("name", "true", "false"),
    [
        ("hair style: curly", {"hair_style": "curly"}, {"hair_style": "bob"}),
        ("hair colour: red", RED, {"hair_red": 0.1, "hair_green": 0.1, "hair_blue": 0.1}),
        ("hair colour: red", RED, {"hair_style": "bald", **RED}),
        ("hat colour: green", GREEN_HAT, {**GREEN_HAT, "hat": "none"}),
        ("smile: sad", {"smile": -0.5}, {"smile": 0.5}),
        ("age: old", {"age": 0.9}, {"age": 0.2}),
        ("beard: yes", {"beard": "full"}, {"beard": "none"}),
        ("background colour: blue", {"background": "horizon", **DEEP}, {"background": "flat", **DEEP}),
        ("glasses: none", {"glasses": "none"}, {"glasses": "round"}),
        ("pose: left", {"yaw": -30}, {"yaw": 30}),
    ],
)
def test_a_statement_is_true_where_the_picture_shows_it(name, true, false):
    assert truth(name, **true) == TRUE
    assert truth(name, **false) == FALSE


def test_what_lies_between_or_is_hidden_is_unclear():
    assert truth("smile: sad", smile=-0.1) == UNCLEAR
    assert truth("fringe: any", fringe="side", hat="cap") == UNCLEAR
    assert truth("hair style: bun", hair_style="bun", hat="cap") == UNCLEAR
    assert truth("beard: yes", beard="stubble") == UNCLEAR


def test_statements_cover_every_region_and_most_are_true_of_someone():
    regions = {statement.region for statement in STATEMENTS.values()}
    assert regions == {"hair", "eyes", "mouth", "face", "glasses", "hat", "earrings", "clothes", "background", None}
    known = truths(sample_attributes(2000, seed=0))
    assert known.shape == (2000, len(STATEMENTS))
    assert set(known.unique().tolist()) <= {TRUE, FALSE, UNCLEAR}
    assert ((known == TRUE).any(dim=0)).float().mean() > 0.8


@pytest.mark.parametrize("words", ["sad", "older", "curly red hair", "a green cap", "bearded", "a striped shirt"])
def test_people_s_words_are_among_the_phrases(words):
    attributes = check_attributes(
        {"smile": -0.6, "age": 0.95, "hair_style": "curly", "beard": "full", "pattern": "stripes", **RED, **GREEN_HAT}
    )
    true = [name for name, value in zip(STATEMENTS, truths(attributes)[0].tolist(), strict=True) if value == TRUE]
    source = random.Random(0)
    assert words in {phrase(true, source)[0] for _ in range(20_000)}


def test_a_phrase_says_what_it_says_it_says():
    known = truths(sample_attributes(200, seed=1))
    source = random.Random(1)
    for row in known:
        true = [name for name, value in zip(STATEMENTS, row.tolist(), strict=True) if value == TRUE]
        text, said = phrase(true, source)
        assert set(said) <= set(true)
        assert said or text in NEUTRAL_TEXTS
        assert "{}" not in text and "  " not in text
        for name in said:
            words = STATEMENTS[name].things + STATEMENTS[name].kinds
            assert any(set(each.split()) & set(text.replace(",", "").split()) for each in words) or ":" in name


def test_phrases_vary():
    source = random.Random(2)
    texts = {phrase(["smile: yes", "hat: any"], source)[0] for _ in range(300)}
    assert len(texts) > 60
    assert torch.tensor([len(text) for text in texts]).float().std() > 5
