"""The named edits of a model are found from labelled samples, measured, and saved as its component."""

import json
import shutil

import pytest
import torch

from sfhub.editing.directions import EditDirections
from sfhub.editing.interfacegan import find_boundary
from sfhub.errors import InputError
from sfhub.pipelines.families import open_pipeline
from sfhub.pipelines.folder import copy_with_component
from sfhub.portraits.attributes import ATTRIBUTE_VECTOR_NAMES
from sfhub.portraits.edits import PORTRAIT_EDITS, NamedScore
from sfhub.portraits.parser import PortraitParser
from sfhub.training.directions import (
    DirectionTraining,
    Distance,
    Labelled,
    _end,
    find_directions,
    label_samples,
    sparse_normals,
    train_directions,
)


@pytest.fixture(scope="module")
def parser():
    """An untrained one: it reads something in every picture, and that is all that is needed here."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return PortraitParser(resolution=32, widths=(8, 16), squeezed=(4, 4), glances=2, feature_dim=16).eval()


def test_every_edit_asks_for_attributes_that_there_are():
    assert len({score.name for score in PORTRAIT_EDITS}) == len(PORTRAIT_EDITS) >= 24
    for score in PORTRAIT_EDITS:
        assert set(score.weights) <= set(ATTRIBUTE_VECTOR_NAMES), score.name
        assert score.vector.abs().sum() > 0
    smile = next(score for score in PORTRAIT_EDITS if score.name == "smile")
    attributes = torch.zeros(2, len(ATTRIBUTE_VECTOR_NAMES))
    attributes[1, ATTRIBUTE_VECTOR_NAMES.index("smile")] = 0.5
    assert smile.score(attributes).tolist() == [0, 0.5]


def test_a_direction_is_what_raises_the_score_in_units_of_the_spread_of_codes():
    draw = torch.Generator().manual_seed(0)
    w = torch.randn(4000, 12, generator=draw) * torch.linspace(0.5, 3, 12)
    attributes = torch.zeros(4000, len(ATTRIBUTE_VECTOR_NAMES))
    attributes[:, ATTRIBUTE_VECTOR_NAMES.index("smile")] = w[:, 4]
    samples = Labelled(w, w, attributes, attributes)
    edit, accuracy = find_directions(samples, [NamedScore("smile", "mouth", {"smile": 1})], DirectionTraining())[
        "smile"
    ]
    assert accuracy > 0.98
    expected = torch.zeros(12)
    expected[4] = w[:, 4].std()
    torch.testing.assert_close(edit.vector, expected, atol=0.15, rtol=0)


def test_a_direction_is_freed_of_those_that_its_score_goes_with():
    draw = torch.Generator().manual_seed(0)
    w = torch.randn(4000, 12, generator=draw)
    w[:, 5] = 0.8 * w[:, 4] + 0.6 * w[:, 5]  # older people have lighter hair
    attributes = torch.zeros(4000, len(ATTRIBUTE_VECTOR_NAMES))
    attributes[:, ATTRIBUTE_VECTOR_NAMES.index("age")] = w[:, 4]
    attributes[:, ATTRIBUTE_VECTOR_NAMES.index("hair_red")] = w[:, 5]
    samples = Labelled(w, w, attributes, attributes)
    scores = [NamedScore("age", "face", {"age": 1}), NamedScore("red hair", ("face", "hair"), {"hair_red": 1})]
    config = DirectionTraining()
    red = find_boundary(w, w[:, 5], chosen=config.chosen, C=config.C, seed=config.seed).normal
    for conditions in (0, 6):
        found = find_directions(samples, scores, DirectionTraining(conditions=conditions))
        edit, _ = found["age"]
        assert edit.about["freed of"] == (["red hair"] if conditions else [])
        assert (abs(float(edit.vector @ red)) < 1e-5) == bool(conditions)
        assert float(edit.vector[4]) > 0.5


def test_sparse_normals_say_how_well_and_how_sparsely_they_part(tiny_pipeline, parser):
    space = tiny_pipeline.code_space
    samples = label_samples(tiny_pipeline, parser, 400, 3)
    attributes = torch.zeros(400, len(ATTRIBUTE_VECTOR_NAMES))
    attributes[:, ATTRIBUTE_VECTOR_NAMES.index("smile")] = samples.w[:, 2]
    labelled = Labelled(samples.z, samples.w, attributes, samples.features)
    scores = [NamedScore("smile", "mouth", {"smile": 1})]
    (normal,) = sparse_normals(tiny_pipeline, labelled, scores, DirectionTraining(sparse_C=0.05))
    assert normal.space == "s" and tuple(normal.vector.shape) == (space.size,)
    assert normal.about["validation"] > 0.9 and normal.about["sparsity"] > 0.5
    assert float((normal.vector == 0).float().mean()) == pytest.approx(normal.about["sparsity"], abs=1e-3)


def test_a_range_ends_where_the_gain_is_flat_or_pictures_become_strange():
    config = DirectionTraining()
    flat = [(0.0, 0.0, 0.5), (1.0, 0.8, 0.5), (2.0, 1.0, 0.6), (3.0, 1.02, 0.7)]
    assert _end(flat, config) == 2.0
    strange = [(0.0, 0.0, 0.5), (1.0, 0.8, 0.6), (2.0, 2.0, 1.4), (3.0, 3.0, 2.0)]
    assert _end(strange, config) == 1.5  # half way from 0.6 to 1.4 lies 1
    assert _end(strange, config, most=1.4) == 1.5 and _end(strange, config, most=1.1) == 1.2
    assert _end([(0.0, 0.0, 0.5), (1.0, 0.05, 0.5)], config) == 0.0
    assert _end([(0.0, 0.0, 0.5), (1.0, -0.4, 0.5)], config) == 0.0


def test_distances_are_1_where_the_share_of_samples_is_nearer():
    features = torch.randn(5000, 6, generator=torch.Generator().manual_seed(0)) * torch.linspace(1, 9, 6)
    distance = Distance(features, 0.9)
    assert (distance(features) < 1).float().mean() == pytest.approx(0.9, abs=0.01)
    assert distance(features.mean(dim=0, keepdim=True)) < 0.01 < 3 < distance(20 * torch.linspace(1, 9, 6)[None])


@pytest.mark.parametrize("model", ["fusion_pipeline", "tiny_pipeline", "semantic_pipeline"])
def test_edits_are_found_measured_and_go_with_the_model(request, tmp_path, parser, model):
    pipe = request.getfixturevalue(model)
    config = DirectionTraining(
        pictures=120, measured=2, strengths=(1.0, 2.0), rising=0.01, felt=0.0, chosen=0.3, strange=1.0
    )
    scores = [score for score in PORTRAIT_EDITS if score.name in ("smile", "age", "hat", "light hair", "warm light")]
    component = train_directions(pipe, parser, tmp_path / "directions", config, scores)
    table = json.loads((tmp_path / "directions" / "measured.json").read_text())["edits"]
    assert list(table) == [score.name for score in scores]
    assert set(component.names) == {name for name, row in table.items() if row["works"]} != set()

    pipe.save_pretrained(tmp_path / "model")
    before = {path.name: path.read_bytes() for path in (tmp_path / "model" / "generator").iterdir()}
    copy_with_component(tmp_path / "model", tmp_path / "with-edits", "directions", component)
    assert {path.name: path.read_bytes() for path in (tmp_path / "with-edits" / "generator").iterdir()} == before
    loaded = open_pipeline(tmp_path / "with-edits")
    assert set(loaded.edits) == set(component.names)
    for name, edit in loaded.edits.items():
        assert list(edit.range) == table[name]["range"]
        assert set([edit.region] if isinstance(edit.region, str) else edit.region or ()) <= {
            *pipe.regions,
            *pipe.region_names.labels,
        }
        base = loaded.sample(1)[0]
        assert loaded.edit(base, name, edit.range[1]).image.tobytes() != base.image.tobytes()
    shutil.rmtree(tmp_path / "with-edits" / "directions")
    with pytest.raises(InputError):
        open_pipeline(tmp_path / "with-edits")


def test_samples_are_the_same_in_every_run(tiny_pipeline, parser):
    a, b = (label_samples(tiny_pipeline, parser, 5, 1, batch=batch) for batch in (2, 5))
    torch.testing.assert_close(a.attributes, b.attributes, atol=1e-4, rtol=1e-4)
    assert torch.equal(a.z, b.z)


def test_a_model_on_which_nothing_works_says_so(tiny_pipeline, parser, tmp_path):
    config = DirectionTraining(pictures=60, measured=1, strengths=(1.0,), chosen=0.3, rising=1e6)
    with pytest.raises(InputError, match="No edit works on this model"):
        train_directions(tiny_pipeline, parser, tmp_path / "out", config, PORTRAIT_EDITS[:2])
    assert not (tmp_path / "out").exists() and isinstance(parser, PortraitParser) and EditDirections
