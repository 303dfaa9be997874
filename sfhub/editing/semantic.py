"""Mixing of SemanticStyleGAN's codes (Shi et al., CVPR 2022): W+ holds a shape and a texture code for every class.

W+ is base codes (pose, coarse structure), then for each class its shape and its texture (equation 1), so to mix is to
exchange some of these vectors (figure 18).
"""

from collections.abc import Iterable, Sequence

from torch import Tensor

from sfhub.models.semantic_stylegan import SemanticStyleGANGenerator

__all__ = ["BOTH", "PARTS", "SHAPE", "TEXTURE", "code_places", "exchange"]

PARTS = BOTH, SHAPE, TEXTURE = ("both", "shape", "texture")
"""What of a region can be taken from a source."""


def code_places(generator: SemanticStyleGANGenerator, classes: Iterable[int], part: str = BOTH) -> list[int]:
    """Where in W+ the codes of some classes lie: `both`, or only the `shape` or the `texture`."""
    classes = list(classes)
    shapes = [] if part == TEXTURE else [generator.shape_index(k) for k in classes]
    return shapes + ([] if part == SHAPE else [generator.texture_index(k) for k in classes])


def exchange(base: Tensor, sources: Sequence[tuple[Tensor, Sequence[int], float]]) -> Tensor:
    """The W+ code of `base` with some of its vectors moved towards those of sources.

    Args:
        base: `[B, n_latent, w_dim]`.
        sources: code like `base`, places of the vectors (`code_places`), and strength from 0 (base) to 1 (source). Of
            two that name one place the later wins.

    Returns:
        `[B, n_latent, w_dim]`.
    """
    mixed = base.clone()
    for source, places, strength in sources:
        mixed[:, list(places)] = base[:, list(places)].lerp(source[:, list(places)], strength)
    return mixed
