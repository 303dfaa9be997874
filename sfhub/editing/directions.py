"""Edit directions of one generator as a Hub component: a configuration that names them and one file of vectors."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config

from sfhub.editing.edits import Direction, check_record
from sfhub.editing.spaces import CodeSpace
from sfhub.errors import InputError, short

__all__ = ["EditDirections"]


class EditDirections(ModelMixin, ConfigMixin):
    """Named `Direction`s.

    Args:
        edits: what `Direction.record` returns, one per direction.
        z_dim, w_dim, num_ws: of the generator.
        layers: name and width of the parts of its flat code; with `resolution` this is the fingerprint by which another
            generator is refused.
        resolution: side of its image in pixels.

    Raises:
        InputError: for two edits of one name, or one that could not be read.
    """

    config_name = "config.json"

    @register_to_config
    def __init__(
        self,
        edits: Sequence[Mapping[str, Any]],
        z_dim: int,
        w_dim: int,
        num_ws: int,
        layers: Sequence[tuple[str, int]],
        resolution: int,
    ):
        super().__init__()
        for record in edits:
            check_record(record, num_ws)
        names = [record["name"] for record in edits]
        doubled = next((name for name in names if names.count(name) > 1), None)
        if doubled is not None:
            raise InputError(f"Two edits are called {short(doubled)}; give each a name of its own.")
        size = sum(int(width) for _, width in layers)
        shapes = {"z": (z_dim,), "w": (w_dim,), "w+": (num_ws, w_dim), "s": (size,)}
        for k, record in enumerate(edits):
            self.register_buffer(f"vector_{k:03}", torch.zeros(shapes[record["space"]]))
            if record.get("beyond"):
                self.register_buffer(f"beyond_{k:03}", torch.zeros(size))

    @classmethod
    def of(cls, edits: Sequence[Direction], space: CodeSpace) -> "EditDirections":
        """A component of directions that were made for a generator.

        Raises:
            InputError: for two edits of one name, or one that was made for another generator.
        """
        for edit in edits:
            edit.check(space)
        made = cls(
            edits=[edit.record() for edit in edits],
            z_dim=space.z_dim,
            w_dim=space.w_dim,
            num_ws=space.num_ws,
            layers=space.layers,
            resolution=space.resolution,
        )
        for k, edit in enumerate(edits):
            getattr(made, f"vector_{k:03}").copy_(edit.vector)
            if edit.beyond is not None:
                getattr(made, f"beyond_{k:03}").copy_(edit.beyond)
        return made.eval()

    def check_space(self, space: CodeSpace) -> None:
        """Raise an InputError unless these directions were made for a generator with these spaces."""
        theirs = self.config.z_dim, self.config.w_dim, self.config.num_ws, [list(row) for row in self.config.layers]
        if theirs != (space.z_dim, space.w_dim, space.num_ws, space.layers):
            raise InputError(
                f"These edits were made for a generator of {self.config.resolution} pixels with {self.config.num_ws} "
                f"vectors of {self.config.w_dim} dimensions in W+ and do not fit one of {space.resolution} pixels with "
                f"{space.num_ws} of {space.w_dim}; use edits found for this generator."
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the edits."""
        return tuple(record["name"] for record in self.config.edits)

    def items(self) -> Iterator[tuple[str, Direction]]:
        """Names and edits."""
        for k, record in enumerate(self.config.edits):
            vector, beyond = (getattr(self, f"{what}_{k:03}", None) for what in ("vector", "beyond"))
            yield record["name"], Direction.from_record(record, vector, beyond)
