"""An optimisation comes nearer to its text, tells where it stands, can be stopped, and ends alike every time."""

import pytest
import torch

from sfhub.errors import InputError
from sfhub.text.optimise import Optimisation, optimise


@pytest.fixture
def render():
    draw = torch.Generator().manual_seed(0)
    basis, middle = torch.randn(4, 3 * 32 * 32, generator=draw), 0.3 * torch.randn(3 * 32 * 32, generator=draw)
    return lambda displacement: torch.tanh(displacement.flatten(1) @ basis + middle).view(-1, 3, 32, 32)


START = torch.zeros(1, 2, 2)


def test_pictures_come_nearer_to_the_text(render, tiny_encoder):
    told = []
    settings = Optimisation(steps=30, learning_rate=0.1, l2=0.0)
    found, steps = optimise(render, START, tiny_encoder, "sad", settings, told.append)
    assert steps == len(told) == 30
    assert told[-1].similarity > told[0].similarity
    assert told[-1].picture.shape == (1, 3, 32, 32)
    assert torch.equal(found, optimise(render, START, tiny_encoder, "sad", settings)[0])


def test_a_stopped_one_keeps_the_last_code_and_can_be_made_again(render, tiny_encoder):
    settings = Optimisation(steps=30)
    found, steps = optimise(render, START, tiny_encoder, "sad", settings, lambda told: told.step < 7)
    assert steps == 7
    again, _ = optimise(render, START, tiny_encoder, "sad", settings, until=7)
    assert torch.equal(found, again)


def test_the_penalty_keeps_it_near(render, tiny_encoder):
    far, near = (optimise(render, START, tiny_encoder, "sad", Optimisation(30, 0.1, l2))[0] for l2 in (0.0, 10.0))
    assert near.norm() < far.norm()


@pytest.mark.parametrize("settings", [{"steps": 0}, {"steps": 2.5}, {"learning_rate": float("nan")}, {"l2": -1}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(InputError):
        Optimisation(**settings)
