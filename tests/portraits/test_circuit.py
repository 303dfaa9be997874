"""Piecewise-linear functions of latents: exact values, and networks that compute the same."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sfhub.models.layers import leaky_relu
from sfhub.portraits.circuit import RAMP, REACH, Value, column, compile_network, curve, evaluate, gate, step

INPUTS = 4


def latents(count: int = 500, seed: int = 0) -> torch.Tensor:
    z = torch.randn(count, INPUTS, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return z.clamp(-REACH, REACH)


def run(layers: list[tuple[np.ndarray, np.ndarray]], z: torch.Tensor) -> torch.Tensor:
    for weight, bias in layers:
        z = leaky_relu(torch.nn.functional.linear(z, torch.from_numpy(weight), torch.from_numpy(bias)))
    return z


def value_of(value: Value, z: torch.Tensor) -> torch.Tensor:
    return evaluate([value], z)[0]


def test_values_add_and_scale_like_the_numbers_they_stand_for():
    z = latents()
    a, b = column(0), column(1).clamp(-1, 1)
    found = value_of(2 - 3 * (a - b) + 0.5 * a - 1, z)
    wanted = 2 - 3 * (z[:, 0] - z[:, 1].clamp(-1, 1)) + 0.5 * z[:, 0] - 1
    torch.testing.assert_close(found, wanted.float())


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(-12, 12), st.floats(-2, 2)), min_size=2, max_size=8, unique_by=lambda p: p[0]),
    st.floats(-2, 2),
)
def test_a_curve_goes_through_its_points_and_is_constant_outside(points, shift):
    knots, values = zip(*((place / 4, value) for place, value in sorted(points)), strict=True)
    z = latents(200)
    found = value_of(curve(column(2) + shift, knots, values), z)
    np.testing.assert_allclose(found, np.interp(z[:, 2] + shift, knots, values), atol=1e-4)


@pytest.mark.parametrize(("knots", "values"), [((0, 0), (0, 1)), ((1, 0), (0, 1)), ((0, 1), (0, 1, 2)), ((0,), (0,))])
def test_points_that_make_no_curve_are_refused(knots, values):
    with pytest.raises(ValueError, match="make no curve"):
        curve(column(0), knots, values)


def test_a_step_jumps_where_its_value_is_zero():
    z = torch.tensor([[-0.01, 0, 0, 0], [0.01, 0, 0, 0]])
    assert value_of(step(column(0)), z).tolist() == [0, 1]
    assert value_of(step(column(0) + 0.5), z - 0.5).tolist() == [0, 1]


@pytest.mark.parametrize("low", [-1.0, 0.0])
def test_a_gate_passes_its_value_where_it_is_open_and_nothing_where_it_is_shut(low):
    z = latents()
    value, binary = column(0).clamp(low, 1), step(column(1))
    torch.testing.assert_close(value_of(gate(binary, value), z), (z[:, 0].clamp(low, 1) * (z[:, 1] > 0)).float())
    assert (value_of(gate(binary - 1, value), z)[z[:, 1] < 0] == 0).all()


def test_bounds_hold_for_all_latents_within_reach():
    z = latents(5000)
    value = 1.5 * column(0) - 2 * (column(1) + column(0)).clamp(-0.5, 2) + curve(column(2), (-1, 0, 1), (0, 3, 1)) - 1
    found = value_of(value, z)
    assert value.low <= found.min() and found.max() <= value.high
    assert (value.low, value.high) == (-1.5 * REACH - 5, 1.5 * REACH + 3)


@st.composite
def smooth_values(draw) -> list[Value]:
    """Values made of columns and of curves of each other, without steps."""
    number = st.floats(-2, 2).map(lambda x: round(x, 2))
    known = [column(i) for i in range(INPUTS)]
    for _ in range(draw(st.integers(1, 6))):
        form = sum(draw(number) * draw(st.sampled_from(known)) for _ in range(draw(st.integers(1, 3)))) + draw(number)
        knots = sorted(draw(st.sets(number, min_size=2, max_size=5)))
        known.append(curve(form, knots, [draw(number) for _ in knots]))
    return [known[-1], draw(number) * draw(st.sampled_from(known)) + known[-1] - draw(number), known[1]]


@settings(max_examples=60, deadline=None)
@given(smooth_values(), st.integers(0, 99))
def test_a_compiled_network_computes_the_values(values, seed):
    z = latents(50, seed)
    found = run(compile_network(values, INPUTS), z)
    torch.testing.assert_close(found.float(), torch.stack(evaluate(values, z), dim=1), rtol=1e-3, atol=1e-3)


def test_a_compiled_network_takes_steps_but_within_their_ramps():
    z = latents(20_000)
    first = step(column(0) - 0.4)
    second = step(column(1) - 2 * first)
    values = [first, second, gate(second, column(2).clamp(-1, 1)) - first]
    found, wanted = run(compile_network(values, INPUTS), z), torch.stack(evaluate(values, z), dim=1)
    clear = ((z[:, 0] - 0.4).abs() > RAMP) & (z[:, 1].abs() > RAMP) & ((z[:, 1] - 2).abs() > RAMP)
    torch.testing.assert_close(found[clear].float(), wanted[clear], atol=1e-5, rtol=0)
    assert not torch.allclose(found.float(), wanted, atol=0.1) and clear.float().mean() > 0.98


def test_curves_of_the_same_value_share_their_units():
    colour = [curve(column(0), (-1, 0, 1), part) for part in ((0, 1, 0), (0.2, 0.3, 0.9), (1, 0, 1))]
    assert [len(bias) for _, bias in compile_network(colour, INPUTS)] == [3, 3, 3]


def test_curves_that_can_wait_spread_over_the_layers():
    deep = column(0)
    for factor in (1, 2, 3):
        deep = curve(factor * deep, (-1, 1), (-1, 1)) + column(1)
    alone = [column(2 + i % 2) * (1 + i) for i in range(30)]
    widths = [len(bias) for _, bias in compile_network([deep, *(value.clamp(-1, 1) for value in alone)], INPUTS)]
    assert len(widths) == 5 and max(widths[:3]) < 55
