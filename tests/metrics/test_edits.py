"""What edits reach and leave alone is measured on what users get."""

import json

import pytest
import torch

from sfhub.editing.directions import EditDirections
from sfhub.editing.edits import Direction
from sfhub.editing.intervention import InterventionSettings
from sfhub.errors import InputError
from sfhub.metrics.edits import (
    CONSTRAINED,
    GLOBAL,
    INTERVENTION,
    LOCKED,
    compare_intervention,
    draw_edit,
    edit_curve,
    kept_share,
    measure_edits,
    named_scores,
)
from sfhub.metrics.edits_report import save_comparison, save_curves, save_effects, save_strips
from sfhub.pipelines.families import open_pipeline
from sfhub.pipelines.semantic_stylegan import SemanticStyleGANPipeline
from sfhub.pipelines.stylegan import StyleGANPipeline
from sfhub.portraits.attributes import ATTRIBUTE_VECTOR_NAMES, attribute_columns
from sfhub.portraits.edits import PORTRAIT_EDITS
from sfhub.portraits.parser import PortraitParser


@pytest.fixture(scope="module")
def pipe(semantic_generator, semantic_pipeline):
    (base,) = semantic_pipeline.sample(1)
    found = semantic_pipeline.segment(base)
    region = max(found.regions, key=lambda name: (found.labels == found.regions.index(name)).sum())
    space, draw = semantic_pipeline.code_space, torch.Generator().manual_seed(0)
    edits = [
        Direction("smile", "w", 2 * torch.randn(space.w_dim, generator=draw), region, (-1.0, 2.0)),
        Direction("warm light", "w", torch.randn(space.w_dim, generator=draw), None, (-1.0, 2.0)),
        Direction("mine", "w", torch.ones(space.w_dim)),
    ]
    return SemanticStyleGANPipeline(semantic_generator, directions=EditDirections.of(edits, space))


@pytest.fixture(scope="module")
def parser():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return PortraitParser(resolution=32, widths=(8, 16), squeezed=(4, 4), glances=2, feature_dim=16).eval()


def test_effects_of_all_ways_are_measured_and_a_lock_changes_nothing_outside(pipe, parser, tmp_path):
    scores = named_scores(pipe)
    assert [score.name for score in scores] == ["smile", "warm light"]
    effects = measure_edits(pipe, parser, scores, pipe.sample([1, 2, 3]))
    assert [(each.edit, each.way) for each in effects] == [
        ("smile", GLOBAL),
        ("smile", CONSTRAINED),
        ("smile", LOCKED),
        ("warm light", GLOBAL),
    ]
    whole, kept, locked, _ = effects
    assert whole.changed > 0 and kept.gain != whole.gain
    assert (locked.changed, locked.mean_change) == (0, 0)
    assert all(0 <= each.kept <= 1 and each.drawn is None for each in effects)
    table = save_effects(effects, tmp_path, count=3)
    assert len(table.splitlines()) == 6 and (tmp_path / "edit_effects.md").read_text() == table
    assert json.loads((tmp_path / "edit_effects.json").read_text())["about"] == {"count": 3}


def test_curves_begin_where_nothing_changed(pipe, parser, tmp_path):
    pictures = pipe.sample([1, 2])
    curves = [edit_curve(pipe, parser, named_scores(pipe, ["smile"])[0], pictures, way, 2) for way in (GLOBAL, LOCKED)]
    for curve in curves:
        assert curve.strengths == (0.0, 1.0, 2.0)
        assert (curve.gains[0], curve.whole[0], curve.outside[0]) == (0, 1, 1)
        assert curve.whole[-1] < 1
    assert curves[0].outside[-1] < 1 and curves[1].outside == (1, 1, 1)
    table = save_curves(curves, tmp_path)
    assert len(table.splitlines()) == 4 and (tmp_path / "edit_curves.png").stat().st_size > 0
    assert save_strips(pipe, pictures[0], ["smile"], tmp_path / "strips.png", 3).stat().st_size > 0


def test_an_attribute_is_kept_if_its_reading_stays():
    columns = attribute_columns()
    before = torch.zeros(4, len(ATTRIBUTE_VECTOR_NAMES))
    before[:, columns["hat"].start] = 1
    spread = torch.ones(len(ATTRIBUTE_VECTOR_NAMES))
    after = before.clone()
    assert kept_share(before, after, spread, ()) == 1
    after[:2, columns["age"].start] = 0.6  # by more than half a standard deviation, in half of the pictures
    after[:, columns["hat"].start + 1] = 2  # another choice
    total = len(columns)
    assert kept_share(before, after, spread, ()) == pytest.approx(1 - 1.5 / total)
    assert kept_share(before, after, spread, ("hat",)) == pytest.approx(1 - 0.5 / (total - 1))


def test_the_renderers_own_edit_raises_the_score_that_the_parser_reads(pipe, parser):
    model = open_pipeline("portraits")
    reader, pictures = model.parser.float().eval(), model.sample([1, 2, 3])
    scores = {score.name: score for score in PORTRAIT_EDITS}
    for name in ("glasses", "hat", "dark skin"):
        assert draw_edit(reader, scores[name], pictures) > 0.3, name
    assert draw_edit(parser, scores["smile"], pipe.sample([1])) is None  # no latents of portraits


def test_edits_that_no_score_is_known_for_cannot_be_measured(pipe):
    with pytest.raises(InputError, match="Edit 'mine' cannot be measured here; choose from smile, warm light"):
        named_scores(pipe, ["mine"])


def test_style_intervention_is_compared_with_the_edit_in_w(tiny_generator, tiny_catalog, parser, tmp_path):
    pipe = StyleGANPipeline(tiny_generator, tiny_catalog)
    (base,) = pipe.sample(1)
    shown = pipe.segment(base)
    region = max(shown.regions, key=lambda name: (shown.labels == shown.regions.index(name)).sum())
    space, draw = pipe.code_space, torch.Generator().manual_seed(0)
    edit = Direction("smile", "w", torch.randn(space.w_dim, generator=draw), region, (-1.0, 2.0))
    pipe.directions = EditDirections.of([edit], space)
    sparse = torch.randn(space.size, generator=draw) * (torch.rand(space.size, generator=draw) > 0.9)
    about = {"train": 1.0, "validation": 0.9, "sparsity": 0.9}
    normal = Direction("smile", "s", sparse, about=about)
    settings = InterventionSettings(steps=2)
    rows = compare_intervention(pipe, parser, named_scores(pipe)[0], normal, pipe.sample([1, 2]), settings)
    assert [row.way for row in rows] == [GLOBAL, CONSTRAINED, INTERVENTION]
    assert rows[2].outside < rows[0].outside
    table = save_comparison({"smile": rows}, {"smile": normal}, tmp_path, count=2)
    assert "| smile | 100.0% | 90.0% | 90.0% |" in table and "| smile | intervention |" in table
    assert json.loads((tmp_path / "intervention.json").read_text())["about"] == {"count": 2}
