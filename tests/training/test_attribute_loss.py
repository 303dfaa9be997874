"""What an error in an attribute costs: a network that learns to read, and a generator that learns from one."""

import pytest
import torch
from torch import Tensor

from sfhub.portraits import (
    ATTRIBUTE_VECTOR_NAMES,
    ATTRIBUTES,
    attribute_vector,
    attribute_visibility,
    sample_attributes,
)
from sfhub.portraits.attributes import attribute_columns
from sfhub.training.attribute_loss import balanced_loss, measured_loss

COLUMNS = attribute_columns()


def vectors(**changes) -> tuple[Tensor, Tensor]:
    """Attribute vectors of two hundred portraits and which columns show."""
    drawn = sample_attributes(200, seed=0) | changes
    return attribute_vector(drawn), attribute_visibility(drawn)


def painted(values: Tensor) -> Tensor:
    """Pictures with the attribute vectors in their first row."""
    return values[:, None, None].expand(-1, 3, 2, -1)


def reader(blind: slice = slice(0, 0)):
    """Reads the attributes that were painted into a picture, but is blind to some columns."""

    def read(images: Tensor) -> Tensor:
        seen = images[:, 0, 0].clone()
        seen[:, blind] = 0
        return seen

    return read


def test_what_the_reader_cannot_see_teaches_nothing():
    target, visible = vectors()
    loss = measured_loss(reader(COLUMNS["smile"]), painted(target), target, visible)
    wrong_smile, wrong_yaw = target.clone(), target.clone()
    wrong_smile[:, COLUMNS["smile"]] *= -1
    wrong_yaw[:, COLUMNS["yaw"]] *= -1
    right = loss(target, target, visible)
    assert loss(wrong_smile, target, visible) == pytest.approx(right.item())
    assert loss(wrong_yaw, target, visible) > right + 0.01


@pytest.mark.parametrize("kind", ["balanced", "measured"])
def test_what_the_picture_cannot_show_does_not_count(kind):
    target, visible = vectors(hat=torch.zeros(200))
    known, seen = vectors()
    loss = balanced_loss(known, seen) if kind == "balanced" else measured_loss(reader(), painted(known), known, seen)
    other = target.clone()
    other[:, COLUMNS["hat_red"]] += 1
    assert loss(other, target, visible) == pytest.approx(loss(target, target, visible).item())
    visible[:, COLUMNS["hat_red"]] = 1
    assert loss(other, target, visible) > loss(target, target, visible) + 0.01


def test_a_wrong_kind_costs():
    target, visible = vectors()
    for loss in (measured_loss(reader(), painted(8 * target), target, visible), balanced_loss(target, visible)):
        for name, item in ATTRIBUTES.items():
            if item.choices:
                wrong = 8 * target
                wrong[:, COLUMNS[name]] = wrong[:, COLUMNS[name]].roll(1, dims=1)
                assert loss(wrong, target, visible) > loss(8 * target, target, visible) + 0.02, name


def test_knowing_only_the_mean_costs_one_whatever_the_attribute():
    target, visible = vectors()
    guess = torch.zeros_like(target)
    for name, item in ATTRIBUTES.items():
        if not item.choices:
            column = COLUMNS[name].start
            guess[:, column] = target[visible[:, column] > 0, column].mean()
    assert balanced_loss(target, visible)(guess, target, visible).item() == pytest.approx(1, abs=0.05)


def test_to_a_network_that_learns_to_read_a_rare_kind_counts_as_much_as_a_common_one():
    target, visible = vectors()
    loss, hat = balanced_loss(target, visible), COLUMNS["hat"]
    cost = []
    for choice in range(len(ATTRIBUTES["hat"].choices)):
        wearing = target[:, hat][:, choice] > 0
        seen = 8 * target
        seen[wearing, hat] = seen[wearing, hat].roll(1, dims=1)
        cost.append((loss(seen, target, visible) - loss(8 * target, target, visible)).item())
    assert len(cost) > 2 and min(cost) > 0.8 * max(cost)


def test_an_attribute_that_one_portrait_of_a_batch_shows_counts_as_much_as_one_that_all_show():
    target, visible = vectors()
    loss = balanced_loss(target, visible)
    colour, yaw = COLUMNS["hat_red"].start, COLUMNS["yaw"].start
    worn = torch.nonzero(visible[:, colour])[0, 0]
    bare = torch.nonzero(visible[:, colour] == 0)[:7, 0]
    batch = torch.cat([worn[None], bare])
    costs = []
    for column, rows in ((colour, [0]), (yaw, range(8))):
        seen = target[batch].clone()
        deviation = target[visible[:, column] > 0, column].std()
        for row in rows:
            seen[row, column] += deviation
        right = loss(target[batch], target[batch], visible[batch])
        costs.append((loss(seen, target[batch], visible[batch]) - right).item())
    assert costs[0] == pytest.approx(costs[1], rel=0.05)
    assert costs[1] == pytest.approx(1 / len(ATTRIBUTES), rel=0.05) and len(ATTRIBUTE_VECTOR_NAMES) > len(ATTRIBUTES)
