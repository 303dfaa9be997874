"""Training a flow: it learns what an attribute does to codes, and its edits keep to it."""

import pytest
import torch

from sfhub.editing.style_flow import AttributeFlow, scaled_layers
from sfhub.errors import InputError
from sfhub.steps.code import Code
from sfhub.training.style_flow import (
    PORTRAIT_ATTRIBUTES,
    FlowAttribute,
    FlowTraining,
    portrait_values,
    train_style_flow,
)

pytest.importorskip("torchdiffeq")

ATTRIBUTES = {"smile": FlowAttribute({}, "mouth", "expression"), "age": FlowAttribute({}, None, "age")}
SETTINGS = FlowTraining(steps=60, batch_size=64, hidden_dims=[32, 32], learning_rate=1e-2, official_layers=False)


@pytest.fixture(scope="module")
def trained(request, tmp_path_factory):
    """A flow on codes whose first entries are two attributes, and the pipeline of the codes."""
    pipe = request.getfixturevalue("tiny_pipeline")
    draw = torch.Generator().manual_seed(0)
    w = torch.randn(400, pipe.code_space.w_dim, generator=draw)
    folder = tmp_path_factory.mktemp("flow")
    records = []
    train_style_flow(
        SETTINGS, pipe.code_space, w, w[:, :2].contiguous(), folder, attributes=ATTRIBUTES, callback=records.append
    )
    return AttributeFlow.from_pretrained(folder), pipe, records


def test_the_likelihood_rises(trained):
    _, _, records = trained
    assert records[-1]["bits"] < records[0]["bits"]


def test_an_edit_moves_its_attribute_and_no_other(trained):
    flow, pipe, _ = trained
    smile = dict(flow.items())["smile"]
    (base,) = pipe.sample([1])
    space = pipe.code_space
    w = torch.zeros(1, space.num_ws, space.w_dim)
    moved = smile.apply(space, Code(base.s, w), 1.0).w_plus - w
    assert moved[0, :, 0].mean() > 0.5
    assert moved[0, :, 1:].abs().max() < 0.4 * moved[0, 0, 0]
    assert smile.apply(space, Code(base.s, w), 0.0).w_plus is w


def test_an_edit_of_a_flow_is_kept_to_its_region(trained):
    flow, pipe, _ = trained
    (base,) = pipe.sample([1])
    smile = dict(flow.items())["smile"]
    kept = pipe.edit(base, smile, 1.0, lock=True)
    assert kept.recipe["steps"][-1]["regions"] == ["mouth"] and kept.outside.share == 0
    again = pipe.redo(kept.recipe, edits=[smile])
    assert again.image.tobytes() == kept.image.tobytes()


def test_layers_are_scaled_from_the_official_ones():
    assert scaled_layers(4, 7, 18) == (4, 5, 6, 7)
    assert scaled_layers(4, 5, 12) == (3,)
    assert scaled_layers(0, 7, 6) == (0, 1, 2)
    assert scaled_layers(7, 11, 2) == (1,)


def test_another_generator_is_refused(trained, semantic_pipeline):
    flow, _, _ = trained
    with pytest.raises(InputError, match="does not fit one of 32 pixels with 16"):
        dict(flow.items())["age"].check(semantic_pipeline.code_space)


def test_what_never_varies_cannot_be_learned(tiny_pipeline, tmp_path):
    w = torch.randn(100, tiny_pipeline.code_space.w_dim)
    with pytest.raises(InputError, match="the same 'age'"):
        train_style_flow(
            SETTINGS,
            tiny_pipeline.code_space,
            w,
            torch.randn(100, 2) * torch.tensor([1, 0]),
            tmp_path,
            attributes=ATTRIBUTES,
        )
    with pytest.raises(InputError, match="fewer than a batch"):
        train_style_flow(SETTINGS, tiny_pipeline.code_space, w[:5], w[:5, :2], tmp_path, attributes=ATTRIBUTES)


def test_the_values_of_portraits_follow_their_attributes():
    from sfhub.portraits import attribute_vector

    vectors = attribute_vector({"smile": torch.tensor([-0.5, 0.9]), "glasses": torch.tensor([0.0, 1.0])}) * 8
    values = dict(zip(PORTRAIT_ATTRIBUTES, portrait_values(vectors).T, strict=True))
    assert values["smile"][1] > values["smile"][0]
    assert values["glasses"][1] > values["glasses"][0] + 0.9
