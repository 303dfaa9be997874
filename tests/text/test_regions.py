"""A text picks the region that it is about."""

import pytest

from sfhub.metrics.text_edits import PROMPTS
from sfhub.text.regions import WORDS, region_of_text, region_of_words

REGIONS = tuple(WORDS)


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("curly red hair", "hair"),
        ("a green hat on curly hair", "hat"),
        ("a smiling face", "mouth"),
        ("an old man with a beard", "face"),
        ("blue-eyed", "eyes"),
        ("Round Black GLASSES", "glasses"),
        ("a T-shirt with stripes", "clothes"),
        ("a forest behind", "background"),
    ],
)
def test_words_name_regions(text, region):
    assert region_of_words(text) == region


def test_the_regions_of_the_forty_prompts(tiny_encoder):
    picked = [region_of_text(prompt.text, REGIONS, tiny_encoder) for prompt in PROMPTS]
    assert sum(one == prompt.region for one, prompt in zip(picked, PROMPTS, strict=True)) >= 36


def test_without_a_word_the_encoder_decides_among_the_model_s_regions(tiny_encoder):
    assert region_of_words("qwertz") is None
    assert region_of_text("qwertz", ("mouth", "hair"), tiny_encoder) in ("mouth", "hair")
    assert region_of_text("qwertz", ("wheels",), tiny_encoder) is None
    assert region_of_text("a hat", ("mouth", "hair"), tiny_encoder) is None
