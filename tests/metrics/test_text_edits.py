"""Figures of edits by text count what was asked for, and what else moved."""

import pytest
import torch

from sfhub.metrics.text_edits import PROMPTS, Prompt, measure_prompt, summary, table
from sfhub.portraits.attributes import attribute_vector, check_attributes
from sfhub.portraits.statements import STATEMENTS

SAD = Prompt("sad", ("smile: sad",), "mouth")


def vectors(**attributes):
    return attribute_vector(check_attributes({name: torch.tensor(values) for name, values in attributes.items()}))


def test_forty_prompts_about_known_statements():
    assert len(PROMPTS) == 40
    assert all(name in STATEMENTS for prompt in PROMPTS for name in prompt.statements)
    assert {prompt.region for prompt in PROMPTS} >= {"hair", "hat", "glasses", "mouth", "eyes", "face", "clothes"}


def test_reached_counts_pictures_that_were_not_so_before():
    before = vectors(smile=[0.8, 0.8, -0.8])
    after = vectors(smile=[-0.8, 0.8, -0.8])
    found = measure_prompt(SAD, before, after, "mouth")
    assert (found.asked, found.reached, found.confirmed) == (2, 0.5, 0.5)
    assert found.kept == 1.0


def test_kept_counts_other_regions_that_moved():
    before = vectors(smile=[0.8], age=[0.2], hair_style=[2.0])
    same = vectors(smile=[-0.8], age=[0.2], hair_style=[2.0])
    moved = vectors(smile=[-0.8], age=[0.9], hair_style=[3.0])
    kept, lost = (measure_prompt(SAD, before, after).kept for after in (same, moved))
    assert kept == 1.0 and 0.9 < lost < 1.0
    # What a region's own prompt moves in it does not count.
    older = Prompt("older", ("age: old",), "face")
    assert measure_prompt(older, before, vectors(smile=[0.8], age=[0.9], hair_style=[2.0])).kept == 1.0


def test_the_summary_is_a_mean_over_prompts():
    before = vectors(smile=[0.8])
    figures = [
        measure_prompt(SAD, before, vectors(smile=[value]), region)
        for value, region in ((-0.8, "mouth"), (0.8, "hair"))
    ]
    found = summary(figures)
    assert found["reached"] == pytest.approx(0.5) and found["region right"] == pytest.approx(0.5)
    assert "| sad | mouth | 1.00 | 1.00 |" in table(figures)
