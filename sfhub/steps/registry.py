"""All kinds of steps, and the way from JSON to them. This is the one place that asks a recipe which kind a step is."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from sfhub.steps.checks import need
from sfhub.steps.compose import ComposeStep
from sfhub.steps.edit import EditStep
from sfhub.steps.edit_by_text import EditByText
from sfhub.steps.grid import GridStep
from sfhub.steps.interpolate import InterpolateStyles
from sfhub.steps.interpolate_semantic import InterpolateSemantic
from sfhub.steps.mix import MixStep
from sfhub.steps.mix_by_catalog import MixByCatalog
from sfhub.steps.mix_by_fusion import MixByFusion
from sfhub.steps.mix_by_semantic import MixBySemantic
from sfhub.steps.sample import SampleStep
from sfhub.steps.step import Step

__all__ = ["STEPS", "mix_named", "step_from_json"]

STEPS: list[type[Step]] = [
    SampleStep,
    MixByCatalog,
    MixByFusion,
    MixBySemantic,
    InterpolateStyles,
    InterpolateSemantic,
    GridStep,
    ComposeStep,
    EditStep,
    EditByText,
]
"""Every kind of step."""


def mix_named(method: str) -> type[MixStep]:
    """The way of mixing that users call so; all other methods are settings for queries of the catalog."""
    return {kind.NAME: kind for kind in STEPS if issubclass(kind, MixStep)}.get(method, MixByCatalog)


def step_from_json(data: Any, where: str) -> Step:
    """The step that a recipe has.

    Args:
        data: from anywhere; only that its inputs are earlier steps has been checked.
        where: says which step it is, for a sentence.

    Raises:
        InputError: naming the first thing that is wrong.
    """
    operations = dict.fromkeys(kind.OP for kind in STEPS)
    known = isinstance(data, dict) and isinstance(data.get("op"), str) and data["op"] in operations
    need(known, where, data, f"op {', '.join(operations)}")
    kinds = {kind.METHOD: kind for kind in STEPS if data["op"] == kind.OP}
    keys = {field.name for kind in kinds.values() for field in fields(kind)} | ({"method"} if len(kinds) > 1 else set())
    unknown = sorted(set(data) - keys - {"op", "inputs"})
    need(not unknown, where, unknown, f"nothing but op, inputs, {', '.join(sorted(keys))}")
    method = data.get("method")
    allowed = ", ".join("none" if name is None else name for name in kinds)
    need(method is None or isinstance(method, str), f"method of {where}", method, allowed)
    need(method in kinds, f"method of {where}", method, allowed)
    step = kinds[method].from_json(data, where)
    _check_other_keys(step, data, where)
    need(step.takes(len(data["inputs"])), f"inputs of {where}", data["inputs"], step.INPUTS)
    return step


def _check_other_keys(step: Step, data: Mapping[str, Any], where: str) -> None:
    """Refuse keys that only other kinds of step with the same op have."""
    own = {"op", "inputs", "method"} | {field.name for field in fields(step)}
    for key in set(data) - own:
        need(data[key] is None or data[key] is False, f"{key} of {where}", data[key], "none in this kind of step")
