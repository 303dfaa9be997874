"""Which classes of a SemanticStyleGAN are there, and where: the part of a picture's code that is not W+.

The flat code of a picture is its W+; once something was left out, moved or zoomed (fig. 8 of the paper), the
arrangement follows behind. So pictures that were composed can be mixed and films run between them, with the same
arithmetic as for all codes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sfhub.errors import InputError
from sfhub.models.semantic_stylegan import SemanticStyleGANGenerator

__all__ = ["Arrangement", "join_code", "split_code"]


@dataclass(frozen=True, eq=False)
class Arrangement:
    """Presence and place of K classes.

    Attributes:
        presence: `[1, K]`, how much of each class is there, 0 to 1.
        move: `[1, K, 2]`, how far it is moved (right, down), in halves of the image.
        zoom: `[1, K]`, how many times larger it is, above 0.
    """

    presence: Tensor
    move: Tensor
    zoom: Tensor

    @classmethod
    def neutral(cls, like: Tensor, classes: int) -> "Arrangement":
        """Everything there, nothing moved; device and type of `like`."""
        return cls(like.new_ones(1, classes), like.new_zeros(1, classes, 2), like.new_ones(1, classes))

    @property
    def is_neutral(self) -> bool:
        """Whether it changes nothing."""
        return bool((self.presence == 1).all()) and not self.is_moved

    @property
    def is_moved(self) -> bool:
        """Whether any class is elsewhere, or of another size."""
        return bool((self.move != 0).any() or (self.zoom != 1).any())

    def changed(
        self, absent: Sequence[int], move: Mapping[int, Sequence[float]], zoom: Mapping[int, float]
    ) -> "Arrangement":
        """With some classes left out, others moved (right, down) or zoomed, all of them by index.

        Raises:
            InputError: if no class would be left.
        """
        found = Arrangement(self.presence.clone(), self.move.clone(), self.zoom.clone())
        found.presence[:, list(absent)] = 0
        if not bool((found.presence > 0).any()):
            raise InputError("Nothing would be left of this picture; keep at least one region.")
        for k, place in move.items():
            found.move[:, k] = found.move.new_tensor(place)
        for k, factor in zoom.items():
            found.zoom[:, k] = factor
        return found

    def lerp(self, other: "Arrangement", position: float) -> "Arrangement":
        """Between two arrangements: classes fade, glide and grow."""
        return Arrangement(
            self.presence.lerp(other.presence, position),
            self.move.lerp(other.move, position),
            self.zoom.lerp(other.zoom, position),
        )


def split_code(generator: SemanticStyleGANGenerator, code: Tensor) -> tuple[Tensor, Arrangement]:
    """Flat code `[1, S]` -> W+ `[1, n_latent, w_dim]` and arrangement, neutral where the code has none."""
    length, classes = generator.n_latent * generator.config.w_dim, generator.config.num_classes
    w_plus, rest = code[:, :length].unflatten(1, (generator.n_latent, -1)), code[:, length:]
    if rest.shape[1] == 0:
        return w_plus, Arrangement.neutral(code, classes)
    presence, move, zoom = rest.split([classes, 2 * classes, classes], dim=1)
    return w_plus, Arrangement(presence, move.unflatten(1, (classes, 2)), zoom)


def join_code(w_plus: Tensor, arrangement: Arrangement | None = None, *, always: bool = False) -> Tensor:
    """The inverse of `split_code`; an arrangement that changes nothing is left out, unless `always` is set."""
    pieces = [w_plus.flatten(1)]
    if arrangement is not None and (always or not arrangement.is_neutral):
        pieces += [arrangement.presence, arrangement.move.flatten(1), arrangement.zoom]
    return torch.cat(pieces, dim=1)
