"""The separability report: rows for every region and query, a table that quotes them, files that can be opened."""

import json

import pytest
from PIL import Image

from sfhub.metrics.separability_report import DEFAULT, markdown_table, measure_curves, save_report
from sfhub.regions.build import build_catalog
from tests.halves import REGIONS, HalvesParser, halves_generator


@pytest.fixture(scope="module")
def rows():
    generator, parser = halves_generator(), HalvesParser()
    catalog = build_catalog(
        generator,
        parser,
        regions=REGIONS,
        layers=["conv1"],
        num_clusters=2,
        num_images=8,
        pairs=8,
        refine_steps=2,
        progress=False,
    )
    return measure_curves(generator, catalog, parser, pairs=10, progress=False)


def test_every_region_has_its_default_and_both_relevances(rows):
    for region in REGIONS:
        methods = [row["method"] for row in rows if row["region"] == region]
        assert methods.count(DEFAULT) == 1 and {"contribution", "influence"} < set(methods)


def test_bolder_thresholds_transfer_more_through_more_channels(rows):
    curve = [row for row in rows if (row["region"], row["method"], row["mode"]) == ("left", "influence", "threshold")]
    assert [row["channels"] for row in curve] == sorted(row["channels"] for row in curve)
    assert curve[-1]["transfer"] >= curve[0]["transfer"]


def test_the_table_quotes_the_best_transfer_that_leaks_little_enough():
    base = {"region": "hair", "mode": "threshold", "pairs": 9}
    table = markdown_table(
        [
            {**base, "method": DEFAULT, "transfer": 0.5, "selectivity": 6.0},
            {**base, "method": "influence", "transfer": 0.6, "selectivity": 4.5},
            {**base, "method": "influence", "transfer": 0.9, "selectivity": 3.9},
            {**base, "method": "contribution", "transfer": 0.9, "selectivity": 1.0},
        ]
    )
    assert table.splitlines()[2] == "| hair | 9 | 50% at 6.0 : 1 | - | 60% at 4.5 : 1 |"


def test_the_report_is_saved_with_its_settings(rows, tmp_path):
    table = save_report(rows, tmp_path / "new", seed=1000)
    saved = json.loads((tmp_path / "new" / "separability.json").read_text())
    assert saved["seed"] == 1000 and saved["rows"] == rows
    assert (tmp_path / "new" / "separability.md").read_text() == table
    assert Image.open(tmp_path / "new" / "separability.png").size[0] > 300
