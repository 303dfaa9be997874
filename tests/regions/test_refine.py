"""Refinement of queries: finds the right channel from a poor start, is seeded, leaves hopeless cases alone."""

import pytest
import torch

from sfhub.regions.refine import refine_query
from sfhub.regions.separability import measure_queries
from tests.halves import NeverRightParser, halves_model


@pytest.fixture(scope="module")
def model():
    return halves_model()


def refine(model, region="left", **changes):
    generator, catalog, parser = model
    start = torch.full((generator.style_layout.size,), 0.5)
    arguments = {"parser": parser, "steps": 40, "pool": 30, "progress": False, **changes}
    return start, refine_query(generator, catalog, region, start, **arguments)


def test_refining_improves_the_query_on_pairs_it_has_not_seen(model):
    generator, catalog, parser = model
    rows = {"left": torch.stack(refine(model, seed=2))}
    before, after = measure_queries(generator, catalog, rows, parser=parser, pairs=30, seed=99, progress=False)["left"]
    assert after.transfer > before.transfer + 0.2
    assert after.selectivity > 2 * before.selectivity


def test_in_a_refined_query_every_channel_goes_or_stays_and_parameters_get_no_gradient(model):
    _, query = refine(model, steps=3)
    assert set(query.tolist()) <= {0.0, 1.0} and not query.requires_grad
    assert all(parameter.grad is None for parameter in model[0].parameters())


def test_the_same_seed_refines_alike(model):
    assert torch.equal(refine(model, steps=5)[1], refine(model, steps=5)[1])


def test_a_region_that_no_image_shows_keeps_its_start(model):
    start, query = refine(model, region="right", parser=NeverRightParser())
    assert torch.equal(start, query)


def test_clusters_serve_where_there_is_no_parser(model):
    start, query = refine(model, parser=None, steps=2)
    assert not torch.equal(start, query)
