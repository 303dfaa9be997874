"""Edits of attributes by a conditional flow: *StyleFlow* (Abdal et al., ACM TOG 2021), section 4.

The code flows to noise with the attributes that its picture has, and back with one of them changed; all others, and
what no attribute tells, stay as they are. Only some layers of W+ take the result, each attribute its own (section 5 and
the official program). What attributes a picture has is read from its W by a linear map, which is fitted with the flow.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor

from sfhub.editing.edits import Edit
from sfhub.editing.spaces import CodeSpace
from sfhub.errors import InputError, short
from sfhub.models.style_flow import StyleFlow

if TYPE_CHECKING:
    from sfhub.steps.code import Code

__all__ = ["LAYERS", "AttributeFlow", "FlowEdit", "scaled_layers"]

LAYERS: dict[str, tuple[int, int]] = {
    "gender": (0, 7),
    "glasses": (2, 3),
    "yaw": (0, 3),
    "pitch": (0, 3),
    "baldness": (0, 5),
    "beard": (5, 9),
    "age": (4, 7),
    "expression": (4, 5),
    "light": (7, 11),
}
"""First and last vector of W+ that takes an edit of the attribute, of the 18 that a generator of 1024 pixels has."""

OFFICIAL_VECTORS = 18


def scaled_layers(first: int, last: int, num_ws: int) -> tuple[int, ...]:
    """The official layers, counted from 0, in a generator with `num_ws` vectors of W+; at least one."""
    start = min(round(first * num_ws / OFFICIAL_VECTORS), num_ws - 1)
    stop = max(start + 1, round((last + 1) * num_ws / OFFICIAL_VECTORS))
    return tuple(range(start, min(stop, num_ws)))


class AttributeFlow(ModelMixin, ConfigMixin):
    """A flow with what its edits take: names, ranges, regions, layers, and how to read attributes from W.

    Args:
        code_dim, hidden_dims, num_blocks: as for `StyleFlow`.
        attributes: names, one edit each.
        center, scale: mean and standard deviation of each attribute over samples.
        low, high: the values that samples have.
        regions: where each edit shows, None for the whole picture.
        layers: which vectors of W+ take each edit, None for all.
        layer_names: name and width of the parts of the generator's flat code, by which another one is refused.
        resolution: side of its image in pixels.
    """

    config_name = "config.json"

    @register_to_config
    def __init__(
        self,
        *,
        code_dim: int,
        hidden_dims: Sequence[int],
        attributes: Sequence[str],
        center: Sequence[float],
        scale: Sequence[float],
        low: Sequence[float],
        high: Sequence[float],
        regions: Sequence[str | None],
        layers: Sequence[Sequence[int] | None],
        layer_names: Sequence[Sequence],
        resolution: int,
        num_blocks: int = 1,
    ):
        super().__init__()
        count = len(attributes)
        if {len(each) for each in (center, scale, low, high, regions, layers)} != {count}:
            raise InputError(f"A flow with {count} attributes needs as many ranges, regions and lists of layers.")
        self.flow = StyleFlow(
            code_dim=code_dim,
            hidden_dims=hidden_dims,
            context_dim=count,
            num_blocks=num_blocks,
            attributes=attributes,
            center=center,
            scale=scale,
        )
        self.reader = torch.nn.Linear(code_dim, count)

    def check_space(self, space: CodeSpace) -> None:
        """Raise an InputError unless it was trained on a generator with these spaces."""
        if [list(row) for row in self.config.layer_names] != space.layers or self.config.code_dim != space.w_dim:
            raise InputError(
                f"This flow was trained on a generator of {self.config.resolution} pixels with "
                f"{self.config.code_dim} dimensions in W and does not fit one of {space.resolution} pixels with "
                f"{space.w_dim}; train one with scripts/train_style_flow.py."
            )

    def read(self, w_plus: Tensor) -> Tensor:
        """The attributes `[B, C]` of W+ codes `[B, L, D]`, inside the range of the samples."""
        found = self.reader(w_plus.mean(dim=1))
        return found.clamp(found.new_tensor(self.config.low), found.new_tensor(self.config.high))

    def items(self) -> Iterator[tuple[str, "FlowEdit"]]:
        """Names and edits."""
        for index, name in enumerate(self.config.attributes):
            yield name, FlowEdit(self, index)


class FlowEdit(Edit):
    """One attribute of a flow.

    Strength 1 raises the attribute by one standard deviation of what samples have; it stays within their range.
    """

    space = "w+"
    range = (-3.0, 3.0)

    def __init__(self, component: AttributeFlow, index: int):
        self.component, self.index = component, index
        self.name: str = component.config.attributes[index]
        self.region = component.config.regions[index]

    @property
    def layers(self) -> tuple[int, ...] | None:
        """Vectors of W+ that take the edit; None for all."""
        found = self.component.config.layers[self.index]
        return None if found is None else tuple(found)

    @torch.no_grad()
    def apply(self, space: CodeSpace, code: "Code", strength: float) -> "Code":
        """As `Edit.apply`."""
        self.check(space)
        if strength == 0:
            return code
        w_plus = space.w_plus(code)
        if w_plus is None:
            raise InputError(
                f"The edit {short(self.name)} starts from W+, but where this picture lies in W+ is not known; use "
                "another."
            )
        config, flow = self.component.config, self.component.flow
        w_plus = w_plus.to(self.component.dtype)
        source = self.component.read(w_plus)
        target = source.clone()
        goal = source[:, self.index] + strength * config.scale[self.index]
        target[:, self.index] = goal.clamp(config.low[self.index], config.high[self.index])
        noise = flow(w_plus, source)
        # Minus the way back to where it started, whose rounding would show.
        moved = flow.reverse(noise, target) - flow.reverse(noise, source)
        if self.layers is not None:
            kept = torch.ones(space.num_ws, 1, dtype=torch.bool, device=moved.device)
            kept[list(self.layers)] = False
            moved = moved.masked_fill(kept, 0)
        return space.moved(code, moved)

    def check(self, space: CodeSpace) -> None:
        """As `Edit.check`."""
        self.component.check_space(space)

    def digest(self) -> str:
        """As `Edit.digest`."""
        digest = hashlib.sha256(f"flow {self.name} {self.layers}".encode())
        for key, value in sorted(self.component.state_dict().items()):
            digest.update(key.encode())
            digest.update(value.detach().cpu().float().contiguous().numpy().tobytes())
        return digest.hexdigest()
