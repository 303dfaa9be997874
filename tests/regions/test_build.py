"""Building a catalog: finds the regions of a generator whose regions are known, with and without a parser."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sfhub.errors import InputError
from sfhub.regions.build import build_catalog, candidate_queries, score
from sfhub.regions.catalog import MODES, RegionCatalog
from sfhub.regions.sampling import sample_styles
from sfhub.regions.separability import Separability
from tests.halves import REGIONS, HalvesParser, halves_generator

SETTINGS = {
    "regions": REGIONS,
    "layers": ["conv1"],
    "num_images": 12,
    "pairs": 12,
    "refine_steps": 10,
    "progress": False,
}


@pytest.fixture(scope="module")
def built():
    generator = halves_generator()
    return generator, build_catalog(generator, HalvesParser(), num_clusters=4, **SETTINGS)


def test_the_default_query_of_a_region_takes_the_channel_that_paints_it(built):
    generator, catalog = built
    start = generator.style_layout["to_rgb1"].start
    for index, region in enumerate(("left", "right")):
        query = catalog.default_query(region)
        assert query[start + index] > 0.9 and query[start + 1 - index] < 0.1
        assert catalog.config.measured[region]["transfer"] > 0.9


def test_clusters_segment_the_image_as_the_parser_does(built):
    generator, catalog = built
    _, activations = generator.synthesis(sample_styles(generator, 2, seed=9), return_activations=["conv1"])
    wanted = HalvesParser().segment(torch.zeros(2, 3, 4, 4)).long()
    assert torch.equal(catalog.segment(activations), wanted)


def test_contribution_and_influence_agree_on_who_paints_what(built):
    generator, catalog = built
    start = generator.style_layout["to_rgb1"].start
    for relevance in (catalog.contribution, catalog.influence):
        assert (relevance[:, start : start + 2] > 0.45).diag().all()
    assert torch.allclose(catalog.contribution.sum(dim=0), torch.ones(generator.style_layout.size), atol=1e-5)


def test_a_built_catalog_survives_saving_with_its_measured_defaults(built, tmp_path):
    generator, catalog = built
    catalog.save_pretrained(tmp_path)
    loaded = RegionCatalog.from_pretrained(tmp_path)
    loaded.check_generator(generator)
    assert torch.equal(loaded.default_queries, catalog.default_queries)
    assert loaded.config.defaults == catalog.config.defaults and loaded.config.measured == catalog.config.measured


def test_the_same_seed_builds_the_same_catalog(built):
    generator, catalog = built
    again = build_catalog(generator, HalvesParser(), num_clusters=4, **SETTINGS)
    for name, buffer in catalog.named_buffers():
        assert torch.equal(buffer, again.get_buffer(name)), name


def test_without_a_parser_every_cluster_is_a_region(tiny_generator):
    catalog = build_catalog(
        tiny_generator,
        num_clusters=3,
        num_images=4,
        influence_images=1,
        pairs=2,
        refine_steps=1,
        batch_size=32,
        progress=False,
    )
    assert catalog.regions == ("cluster 0", "cluster 1", "cluster 2") and catalog.layer == "convs.4"
    assert set(catalog.config.defaults) <= set(catalog.regions) and catalog.config.defaults


def test_an_unknown_layer_is_refused(tiny_generator):
    with pytest.raises(InputError, match=r"'convs\.77'"):
        build_catalog(tiny_generator, HalvesParser(), regions=REGIONS, layers=["convs.77"], num_images=2)


def test_candidates_name_the_query_they_are(tiny_catalog):
    candidates = candidate_queries(tiny_catalog, "hair", modes=list(MODES))
    assert {entry.method for entry in candidates} == {"contribution", "influence"}
    assert {entry.mode for entry in candidates} == {"threshold", "sequential", "simultaneous"}
    for entry in candidates:
        assert torch.equal(entry.query, tiny_catalog.query("hair", entry.method, entry.mode, **entry.params))


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.1, 50))
def test_no_edit_scores_above_the_perfect_one_and_carrying_more_over_never_scores_less(transfer, spill, selectivity):
    value = score(Separability(transfer, selectivity, spill, 1))
    assert value <= score(Separability(1.0, 100.0, 0.0, 1)) == 1
    if transfer >= spill:
        assert score(Separability(transfer + 0.1, selectivity, spill, 1)) >= value
