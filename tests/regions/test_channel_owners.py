"""Owners of channels: each channel has one region, the right one, and those of the layout have none."""

import pytest
import torch

from sfhub.errors import InputError
from sfhub.regions.channel_owners import assign_channels
from sfhub.regions.separability import measure_queries
from tests.halves import NeverRightParser, halves_model


@pytest.fixture(scope="module")
def model():
    return halves_model()


def assign(model, layout=None, **changes):
    generator, catalog, parser = model
    layout = torch.zeros(generator.style_layout.size) if layout is None else layout
    arguments = {"parser": parser, "steps": 40, "pool": 30, "progress": False, **changes}
    return assign_channels(generator, catalog, layout, **arguments)


def test_owned_channels_keep_each_half_to_itself_on_pairs_they_have_not_seen(model):
    generator, catalog, parser = model
    owners = assign(model)
    rows = {name: owners[index : index + 1] for index, name in enumerate(catalog.regions)}
    results = measure_queries(generator, catalog, rows, parser=parser, pairs=30, seed=99, progress=False)
    for (result,) in results.values():
        assert result.transfer > 0.7 and result.selectivity > 4


def test_every_channel_has_one_owner_and_the_layouts_have_none(model):
    layout = torch.zeros(model[0].style_layout.size)
    layout[::3] = 1
    owners = assign(model, layout, steps=2)
    assert torch.equal(owners.sum(dim=0), 1 - layout) and set(owners.unique().tolist()) == {0.0, 1.0}


def test_the_same_seed_assigns_alike_and_clusters_serve_where_there_is_no_parser(model):
    assert torch.equal(assign(model, steps=3), assign(model, steps=3))
    assert assign(model, steps=2, parser=None).shape == (2, model[0].style_layout.size)


def test_a_layout_of_another_generator_and_a_region_nobody_shows_are_refused(model):
    with pytest.raises(InputError, match="3 channels"):
        assign(model, torch.zeros(3))
    with pytest.raises(InputError, match="shows the region 'right'"):
        assign(model, parser=NeverRightParser())
