"""Which classes of a SemanticStyleGAN are there, and where: the part of a picture's code that is not W+.

The flat code of a picture is its W+; once something was left out, moved or zoomed (fig. 8 of the paper), the
arrangement follows behind. So pictures that were composed can be mixed and films run between them, with the same
arithmetic as for all codes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

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

    def copy(self) -> "Arrangement":
        """One with tensors of its own."""
        return Arrangement(self.presence.clone(), self.move.clone(), self.zoom.clone())

    def lerp(self, other: "Arrangement", position: float) -> "Arrangement":
        """Between two arrangements: classes fade, glide and grow."""
        return Arrangement(
            self.presence.lerp(other.presence, position),
            self.move.lerp(other.move, position),
            self.zoom.lerp(other.zoom, position),
        )


def split_code(code: Tensor, n_latent: int, w_dim: int, classes: int) -> tuple[Tensor, Arrangement]:
    """Flat code `[1, S]` -> W+ `[1, n_latent, w_dim]` and arrangement, neutral where the code has none."""
    w_plus, rest = code[:, : n_latent * w_dim].unflatten(1, (n_latent, w_dim)), code[:, n_latent * w_dim :]
    if rest.shape[1] == 0:
        return w_plus, Arrangement.neutral(code, classes)
    presence, move, zoom = rest.split([classes, 2 * classes, classes], dim=1)
    return w_plus, Arrangement(presence, move.unflatten(1, (classes, 2)), zoom)


def join_code(w_plus: Tensor, arrangement: Arrangement | None = None, *, always: bool = False) -> Tensor:
    """The inverse of `split_code`; an arrangement that changes nothing is left out, unless `always` is set."""
    parts = [w_plus.flatten(1)]
    if arrangement is not None and (always or not arrangement.is_neutral):
        parts += [arrangement.presence, arrangement.move.flatten(1), arrangement.zoom]
    return torch.cat(parts, dim=1)
