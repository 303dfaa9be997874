"""Transfer and selectivity, on a generator for which the right answers are known."""

import pytest
import torch

from sfhub.errors import InputError
from sfhub.models.stylegan2 import StyleGAN2Generator
from sfhub.regions.separability import mean_change, measure_queries
from tests.halves import halves_model


@pytest.fixture(scope="module")
def model():
    return halves_model()


def queries(generator):
    """Nothing, the styles that paint the left half, those that paint the right half, everything."""
    size, start = generator.style_layout.size, generator.style_layout["to_rgb1"].start
    rows = torch.zeros(4, size)
    rows[1, start] = rows[2, start + 1] = rows[3] = 1
    return rows


def measure(model, **changes):
    generator, catalog, parser = model
    arguments = {"parser": parser, "pairs": 20, "progress": False, **changes}
    return measure_queries(generator, catalog, {"left": queries(generator)}, **arguments)["left"]


def test_changes_are_averaged_on_each_side_of_a_mask():
    change = torch.tensor([[[4.0, 2.0], [0.0, 1.0]]])
    inside = torch.tensor([[[True, True], [False, False]]])
    assert [side.item() for side in mean_change(change, inside)] == [3.0, 0.5]
    assert mean_change(change, torch.ones_like(inside))[1].item() == 0


def test_no_change_transfers_and_spills_nothing(model):
    nothing = measure(model)[0]
    assert (nothing.transfer, nothing.selectivity, nothing.spill, nothing.pairs) == (0, 0, 0, 20)


def test_the_whole_swap_transfers_and_spills_everything(model):
    everything = measure(model)[3]
    assert everything.transfer == pytest.approx(1) and everything.spill == pytest.approx(1)


def test_the_right_channel_transfers_all_with_little_leak(model):
    _, own, other, _ = measure(model)
    assert own.transfer > 0.9 and own.spill < 0.2 and own.selectivity > 9
    assert other.transfer < 0.1 and other.spill > 0.8 and other.selectivity < 1


def test_the_batch_size_does_not_matter(model):
    for one, other in zip(measure(model, batch_size=1), measure(model, batch_size=500), strict=True):
        assert one.transfer == pytest.approx(other.transfer, rel=1e-4)
        assert one.selectivity == pytest.approx(other.selectivity, rel=1e-4)


def test_the_same_seed_measures_the_same_and_another_seed_other_pairs(model):
    assert measure(model, seed=3) == measure(model, seed=3)
    assert measure(model, seed=3) != measure(model, seed=4)


def test_the_catalog_of_another_generator_is_refused(model):
    _, catalog, parser = model
    other = StyleGAN2Generator(resolution=8, z_dim=4, w_dim=4, num_mapping_layers=1, channels={"4": 4, "8": 2})
    with pytest.raises(InputError, match="catalog"):
        measure((other, catalog, parser))
