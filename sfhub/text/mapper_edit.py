"""The edit of a latent mapper: *StyleCLIP* (Patashnik et al., ICCV 2021), section 5."""

import hashlib
from typing import TYPE_CHECKING

import torch

from sfhub.editing.edits import Edit
from sfhub.editing.spaces import CodeSpace
from sfhub.errors import InputError
from sfhub.models.latent_mapper import MAPPER_STEP, LatentMapper, StyleSpaceMapper

if TYPE_CHECKING:
    from sfhub.steps.code import Code

__all__ = ["MapperEdit"]


class MapperEdit(Edit):
    """What a mapper, one network for one text, does to a code.

    Args:
        mapper: in W+ or in S.
        name: by which users ask for it; the text that the mapper was trained for if None.
        region: where it is meant to show.
    """

    range = (-2.0, 2.0)

    def __init__(
        self,
        mapper: LatentMapper | StyleSpaceMapper,
        name: str | None = None,
        region: str | tuple[str, ...] | None = None,
    ):
        self.mapper, self.region = mapper, region
        self.name = name or mapper.config.text or "mapper"
        self.space = "s" if isinstance(mapper, StyleSpaceMapper) else "w+"

    @torch.no_grad()
    def apply(self, space: CodeSpace, code: "Code", strength: float) -> "Code":
        """As `Edit.apply`; strength 1 is what the official code does, 0.1 of the mapper's displacement."""
        self.check(space)
        if strength == 0:
            return code
        step = strength * MAPPER_STEP
        if self.space == "s":
            return space.shifted(code, step * self.mapper(code.s.to(self.mapper.dtype)))
        w_plus = space.w_plus(code)
        if w_plus is None:
            raise InputError(
                f"The edit {self.name!r} starts from W+, but where this picture lies in W+ is not known; use another."
            )
        return space.moved(code, step * self.mapper(w_plus.to(self.mapper.dtype)))

    def check(self, space: CodeSpace) -> None:
        """As `Edit.check`."""
        config = self.mapper.config
        if self.space == "s":
            fits = [list(row) for row in config.style_layers] == space.layers
        else:
            last = max(max(first + 1, stop or 0) for first, stop in config.groups.values())
            fits = config.w_dim == space.w_dim and last <= space.num_ws
        if not fits:
            raise InputError(
                f"The mapper {self.name!r} was trained for another generator than this one of {space.resolution} px "
                f"with {space.num_ws} vectors of {space.w_dim} dimensions; train one with scripts/train_mapper.py."
            )

    def digest(self) -> str:
        """As `Edit.digest`."""
        digest = hashlib.sha256(f"mapper {self.name} {self.space}".encode())
        for key, value in sorted(self.mapper.state_dict().items()):
            digest.update(key.encode())
            digest.update(value.detach().cpu().float().contiguous().numpy().tobytes())
        return digest.hexdigest()
