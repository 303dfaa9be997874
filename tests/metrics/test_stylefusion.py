"""The measures of a fusion hierarchy, on one that swaps the halves of a picture perfectly."""

import json

import pytest
import torch
from PIL import Image

from sfhub.errors import InputError
from sfhub.metrics import stylefusion as measures
from sfhub.metrics import stylefusion_report as report
from sfhub.models.fusion import FusionHierarchy
from sfhub.models.region_tree import RegionTree
from sfhub.regions.build import build_catalog
from sfhub.regions.sampling import sample_styles
from sfhub.regions.separability import Separability, measure_queries
from tests.halves import REGIONS, HalvesParser, halves_generator

# Far enough out for a sigmoid of exactly 0 and 1.
NEVER, ALWAYS = -1e6, 1e6


def perfect_hierarchy(generator):
    """Channel 0 of every layer, which paints the left half, from the first region, channel 1 from the second."""
    tree = RegionTree({"all": ["left", "right"]})
    hierarchy = FusionHierarchy.for_generator(generator, tree, hidden_widths=(4,), common_layers=0)
    for parameter in hierarchy.parameters():
        parameter.data.zero_()
    hierarchy.nets["all"].fuse_blender.layers[-1].bias.data.copy_(torch.tensor([NEVER, ALWAYS]))
    return hierarchy.eval()


@pytest.fixture(scope="module")
def model():
    generator, parser = halves_generator(), HalvesParser()
    catalog = build_catalog(
        generator,
        parser,
        regions=REGIONS,
        layers=["conv1"],
        num_clusters=2,
        num_images=8,
        pairs=8,
        refine_steps=1,
        progress=False,
    )
    return generator, catalog, perfect_hierarchy(generator), parser


@pytest.fixture(scope="module")
def rows(model):
    # A head that is turned where the left half is bright.
    def turn(images):
        return 100 * images[:, 0, 0, 0]

    return measures.measure_locality(*model, pairs=20, turn=turn, curves=True, progress=False)


def codes(generator, count):
    return sample_styles(generator, count, seed=5)


def test_a_perfect_hierarchy_transfers_all_of_a_region_and_hardly_leaks(rows):
    fused = [row for row in rows if row["method"] == measures.STYLE_FUSION and row["pairs_with"] == "any poses"]
    assert [row["region"] for row in fused] == ["left", "right"]
    assert all(row["transfer"] > 0.9 and row["selectivity"] > 9 and row["pairs"] == 20 for row in fused)


def test_editing_in_style_is_measured_on_the_pairs_that_queries_are_measured_on(model, rows):
    generator, catalog, _, parser = model
    queries = {region: catalog.default_query(region)[None] for region in catalog.regions}
    known = measure_queries(generator, catalog, queries, parser=parser, pairs=20, seed=1000, progress=False)
    for row in rows:
        if (row["method"], row["pairs_with"]) == (measures.EDITING_IN_STYLE, "any poses"):
            assert row["transfer"] == pytest.approx(known[row["region"]][0].transfer)
            assert row["selectivity"] == pytest.approx(known[row["region"]][0].selectivity)


def test_pairs_in_different_poses_are_some_of_all_pairs(rows):
    counts = {row["pairs_with"]: row["pairs"] for row in rows}
    assert 0 < counts["different poses"] < counts["any poses"]


def test_the_leak_at_equal_transfer_is_the_best_of_those_that_transfer_enough():
    results = [Separability(0.2, 9, 0, 1), Separability(0.5, 3, 0, 1), Separability(0.9, 4, 0, 1)]
    assert measures.selectivity_at(results, 0.4) == 4
    assert measures.selectivity_at(results, 0.1) == 9
    assert measures.selectivity_at(results, 0.95) is None


def test_difference_maps_are_bright_in_the_changed_half(model):
    generator, _, hierarchy, _ = model
    for base in (codes(generator, 6), codes(generator, 1)):
        maps = measures.difference_maps(
            generator, hierarchy, ["left", "right"], base, codes(generator, 12)[6:], batch_size=4, progress=False
        )
        assert maps["left"][:, :3].mean() > 10 * maps["left"][:, 5:].mean()
        assert maps["right"][:, 5:].mean() > 10 * maps["right"][:, :3].mean()


def test_the_frechet_distance_grows_where_a_region_gets_values_that_do_not_go_with_the_rest(model):
    generator, _, hierarchy, _ = model
    real = [generator.synthesis(codes(generator, 200))]

    def features(images):
        return images.mean(dim=(1, 2))[:, [0, -1]]

    distances = measures.region_distances(
        generator, hierarchy, ["left"], real, features, count=200, seed=6, progress=False
    )
    assert list(distances) == ["generator", "left"]
    assert 0 <= distances["generator"] < distances["left"]


def test_the_grid_has_the_region_of_the_column_and_the_rest_of_the_source(model):
    generator, _, hierarchy, _ = model
    source, layouts, references = codes(generator, 7).split([1, 2, 4])
    shown, grid = measures.transfer_grid(generator, hierarchy, "left", source, layouts, references)
    assert shown.shape[0] == 4 and grid.shape[:2] == (2, 5)
    own = generator.synthesis(source)[0]
    assert torch.allclose(grid[:, 0], own.expand(2, -1, -1, -1), atol=1e-5)
    assert torch.allclose(grid[0, 1:, :, :, 0], shown[..., 0], atol=1e-5)
    assert torch.allclose(grid[0, 1:, :, :, -1], own[..., -1].expand(4, -1, -1), atol=1e-5)


def test_strips_change_one_region_after_the_other(model):
    generator, _, hierarchy, _ = model
    base, references = codes(generator, 4).split([1, 3])
    strips = measures.sibling_strips(generator, {"ours": hierarchy}, "all", base, references)
    before = generator.synthesis(base)[0]
    assert torch.allclose(strips["left"]["ours"][..., -1], before[..., -1].expand(3, -1, -1), atol=1e-5)
    assert torch.allclose(strips["right"]["ours"][..., 0], before[..., 0].expand(3, -1, -1), atol=1e-5)
    assert not torch.allclose(strips["left"]["ours"][..., 0], before[..., 0].expand(3, -1, -1), atol=1e-2)


def test_a_node_without_a_network_and_an_unknown_region_are_named(model):
    generator, catalog, hierarchy, parser = model
    with pytest.raises(InputError, match="'left'; choose among all"):
        measures.sibling_strips(generator, {"ours": hierarchy}, "left", codes(generator, 1), codes(generator, 1))
    with pytest.raises(InputError, match="'nose'"):
        measures.measure_locality(generator, catalog, hierarchy, parser, regions=["nose"], pairs=2, progress=False)


def test_the_reports_can_be_opened_and_quote_what_was_measured(model, rows, tmp_path):
    generator, _, hierarchy, _ = model
    table = report.save_locality(rows, tmp_path / "new", pairs=20)
    assert json.loads((tmp_path / "new" / "locality.json").read_text()) == {"pairs": 20, "rows": rows}
    assert (tmp_path / "new" / "locality.md").read_text() == table
    assert "Pairs with different poses" in table and table.count("| left |") == 3
    report.save_distances({"generator": 3.06, "hair": 13.17}, tmp_path)
    assert "| Fréchet distance | 3.06 | 13.17 |" in (tmp_path / "frechet.md").read_text()
    base, references = codes(generator, 3).split([1, 2])
    maps = measures.difference_maps(generator, hierarchy, ["left", "right"], base, references, progress=False)
    picture = generator.synthesis(base)[0]
    grid = measures.transfer_grid(generator, hierarchy, "left", base, references, references)
    strips = measures.sibling_strips(generator, {"ours": hierarchy}, "all", base, references)
    paths = [
        tmp_path / "new" / "locality.png",
        report.save_heat_maps({"all": maps}, {}, tmp_path / "a.png"),
        report.save_heat_maps({"one": maps}, {"one": picture}, tmp_path / "b.png"),
        report.save_grid(*grid, tmp_path / "c.png"),
        report.save_strips(strips["left"], picture, tmp_path / "d.png"),
    ]
    for path in paths:
        with Image.open(path) as opened:
            assert min(opened.size) > 100
