"""Influence: found where a channel is known to paint; images that show rare regions are preferred."""

import pytest
import torch

from sfhub.regions.influence import pick_covering, style_influence
from sfhub.regions.sampling import sample_styles
from tests.halves import HalvesParser, halves_generator


@pytest.fixture(scope="module")
def measured():
    generator = halves_generator()
    s = sample_styles(generator, 30, seed=0, truncation_psi=1.0)
    labels = HalvesParser().segment(torch.zeros(6, 3, 8, 8)).long()

    def measure(**changes):
        arguments = {"mean": s.mean(0), "std": s.std(0), "progress": False, **changes}
        return style_influence(generator, s[:6], labels, 2, **arguments)

    return generator, measure


def test_a_channel_that_paints_one_half_has_its_influence_there(measured):
    generator, measure = measured
    left, right = measure()[:, generator.style_layout["to_rgb1"].start :][:, :2]
    assert left[0] > 0.9 and left[1] < 0.1
    assert right[1] > 0.9 and right[0] < 0.1


def test_a_channel_that_changes_nothing_has_no_influence(measured):
    generator, measure = measured
    silent = generator.style_layout["to_rgbs.0"]
    assert torch.equal(measure()[:, silent.start : silent.stop], torch.zeros(2, silent.width))


def test_two_regions_share_the_influence_of_a_channel(measured):
    _, measure = measured
    total = measure().sum(dim=0)
    assert torch.all((total - 1).abs().lt(1e-4) | total.eq(0))


def test_the_batch_size_does_not_matter(measured):
    _, measure = measured
    assert torch.allclose(measure(batch_size=1), measure(batch_size=1000), atol=1e-5)


def test_images_with_rare_regions_are_picked():
    shares = torch.zeros(50, 3)
    shares[:, 0] = 0.9
    shares[::5, 1] = 0.1
    shares[47, 2] = 0.1
    chosen = pick_covering(shares, 8)
    assert len(set(chosen)) == 8 and 47 in chosen
    assert sum(index % 5 == 0 for index in chosen) >= 4


def test_no_more_images_are_picked_than_there_are():
    assert sorted(pick_covering(torch.ones(3, 2), 12)) == [0, 1, 2]
