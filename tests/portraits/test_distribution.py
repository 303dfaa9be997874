"""The distribution of portraits: ranges, shares, what goes with what, and its symmetry."""

import math

import pytest
import torch

from sfhub.portraits import ATTRIBUTES, sample_attributes
from sfhub.portraits.attributes import check_attributes
from sfhub.portraits.circuit import evaluate
from sfhub.portraits.distribution import latent_entries, portrait
from sfhub.portraits.latents import LATENT_DIM

COUNT = 20_000


@pytest.fixture(scope="module")
def many() -> dict[str, torch.Tensor]:
    return sample_attributes(COUNT, seed=0)


def share(condition: torch.Tensor) -> float:
    return condition.float().mean().item()


def code(name: str, choice: str) -> int:
    return ATTRIBUTES[name].choices.index(choice)


def brightness(many: dict[str, torch.Tensor], name: str) -> torch.Tensor:
    return sum(many[f"{name}_{part}"] for part in ("red", "green", "blue")) / 3


def correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    return torch.corrcoef(torch.stack([a, b]))[0, 1].item()


def test_a_latent_has_more_entries_than_decide_something():
    assert latent_entries() <= LATENT_DIM - 16


def test_draws_stay_inside_the_documented_ranges(many):
    assert list(many) == list(ATTRIBUTES)
    assert len(ATTRIBUTES) >= 30
    for name, value in check_attributes(many).items():
        assert value.dtype == torch.float32 and value.shape == (COUNT,)
        assert value.min() >= ATTRIBUTES[name].low and value.max() <= ATTRIBUTES[name].high


@pytest.mark.parametrize("name", [name for name, item in ATTRIBUTES.items() if item.choices])
def test_every_choice_is_drawn(many, name):
    shares = torch.bincount(many[name].long(), minlength=len(ATTRIBUTES[name].choices)) / COUNT
    assert shares.min() > (0.06 if name in ("beard", "glasses", "hat", "earrings", "pattern") else 0.04)


@pytest.mark.parametrize("name", [name for name, item in ATTRIBUTES.items() if item.choices])
def test_exactly_one_choice_is_made_even_by_far_out_latents(name):
    z = 2 * torch.randn(50_000, LATENT_DIM, generator=torch.Generator().manual_seed(1))
    chosen = torch.stack(evaluate(portrait()[name], z), dim=1)
    assert torch.equal(chosen.sort(dim=1).values[:, -1], torch.ones(len(z)))
    assert torch.equal(chosen.sum(dim=1), torch.ones(len(z))) and chosen.min() == 0


@pytest.mark.parametrize("name", [name for name, item in ATTRIBUTES.items() if not item.choices])
def test_every_continuous_attribute_varies(many, name):
    item = ATTRIBUTES[name]
    assert many[name].std() > 0.04 * (item.high - item.low)


@pytest.mark.parametrize("name", [name for name, item in ATTRIBUTES.items() if item.odd])
def test_left_and_right_are_equally_likely(many, name):
    value = many[name]
    assert abs(value.mean()) < 4 * value.std() / math.sqrt(len(value))
    quantiles = torch.quantile(value, torch.tensor([0.1, 0.25, 0.75, 0.9]))
    assert torch.allclose(quantiles[:2], -quantiles[2:].flip(0), atol=0.06 * ATTRIBUTES[name].high)


def test_skin_tones_and_ages_cover_their_whole_range(many):
    for name in ("skin_tone", "age"):
        counts = torch.histc(many[name], bins=5, min=0, max=1) / COUNT
        assert counts.min() > 0.14


def test_hats_leave_room_for_no_afro_or_bun(many):
    tall = (many["hair_style"] == code("hair_style", "afro")) | (many["hair_style"] == code("hair_style", "bun"))
    assert (many["hat"][tall] == 0).all()
    assert 0.26 < share(many["hat"] > 0) < 0.30


def test_hats_leave_the_shares_of_other_styles_alone(many):
    low = (many["hair_style"] != code("hair_style", "afro")) & (many["hair_style"] != code("hair_style", "bun"))
    bare, covered = (
        torch.bincount(many["hair_style"][low & hat].long(), minlength=11) / (low & hat).sum()
        for hat in (many["hat"] == 0, many["hat"] > 0)
    )
    assert (bare - covered).abs().max() < 0.03


def test_hair_greys_with_age(many):
    spread = torch.stack([many[f"hair_{part}"] for part in ("red", "green", "blue")]).std(dim=0)
    grey = (spread < 0.03) & (brightness(many, "hair") > 0.4)
    assert share(grey[many["age"] < 0.4]) < 0.02 and share(grey[many["age"] > 0.8]) > 0.3


def test_darker_skin_goes_with_darker_eyes_and_hair(many):
    young = many["age"] < 0.45
    assert correlation(many["skin_tone"], brightness(many, "eye")) < -0.2
    assert correlation(many["skin_tone"][young], brightness(many, "hair")[young]) < -0.25


def test_styling_shifts_several_attributes_together(many):
    assert correlation(many["jaw"], many["lip_tint"]) < -0.2 and correlation(many["lashes"], many["lip_tint"]) > 0.4
    bearded, ringed = many["beard"] > 0, many["earrings"] > 0
    assert share(ringed[bearded]) < 0.5 * share(ringed[~bearded])
    assert many["lashes"][bearded].mean() < many["lashes"][~bearded].mean() - 0.15
    long = many["hair_style"] == code("hair_style", "long wavy")
    assert 0.05 < share(bearded[long]) < 0.8 * share(bearded)  # wide overlap


def test_open_mouths_mostly_smile_and_half_a_smile_or_more_is_common(many):
    wide = many["mouth_open"] > 0.5
    assert share(many["smile"][wide] > 0.25) > 0.99
    assert 0.35 < share(many["mouth_open"] > 0) < 0.45 and share(many["smile"] >= 0.5) > 0.4


def test_ages_change_glasses_and_styles(many):
    old, young = many["age"] > 0.7, many["age"] < 0.3
    assert share(many["glasses"][old] > 0) > share(many["glasses"][young] > 0) + 0.04
    bald = many["hair_style"] == code("hair_style", "bald")
    assert share(bald[old]) > 1.5 * share(bald[young])


def test_what_has_two_sides_has_no_middle(many):
    assert many["hair_part"].abs().min() >= 0.199
    assert many["pattern_contrast"].abs().min() >= 0.449
    assert not ((many["earring_gold"] > 0.201) & (many["earring_gold"] < 0.799)).any()


def test_patterns_are_worn_by_half(many):
    assert 0.47 < share(many["pattern"] > 0) < 0.53
