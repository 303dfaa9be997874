"""SeFa: directions of W without a sample, from the weights alone (Shen and Zhou, CVPR 2021, equation 10).

The directions that the first linear layers stretch most are the eigenvectors of the largest eigenvalues of `A A^T`,
where A holds the style weights of the chosen layers. Numerically the published code (`genforce/sefa`): every column is
brought to unit length, so the layers' own learning-rate factors do not count; inner toRGB layers take no part.
"""

import re
from typing import Any

import torch
from torch import Tensor

from sfhub.errors import InputError, short
from sfhub.models.semantic_stylegan import SemanticStyleGANGenerator
from sfhub.models.style_space import StyleGenerator

__all__ = ["closed_form", "factorize", "layer_numbers", "style_weights"]


def closed_form(generator: StyleGenerator | SemanticStyleGANGenerator, layers: str = "all") -> tuple[Tensor, Tensor]:
    """The directions of a generator.

    Args:
        generator: of either family.
        layers: `all`, or numbers and ranges such as `0-1,6`: 0 is the first convolution, the last one the last toRGB
            layer; of a SemanticStyleGAN the layers of the local generators.

    Returns:
        Directions `[w_dim, w_dim]`, one per row, of unit length, their entry of largest magnitude positive, and their
        eigenvalues in falling order.

    Raises:
        InputError: for layers that the generator does not have.
    """
    weights = style_weights(generator)
    chosen = layer_numbers(layers, len(weights))
    return factorize(torch.cat([weights[k].detach().double().flatten(1) for k in chosen], dim=1))


def factorize(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvectors, in rows, and eigenvalues of `A A^T`, A being `weight` `[w_dim, n]` with columns of unit length."""
    columns = weight / weight.norm(dim=0, keepdim=True)
    values, vectors = torch.linalg.eigh(columns @ columns.T)
    vectors = vectors.T.flip(0)
    largest = vectors.gather(1, vectors.abs().argmax(dim=1, keepdim=True))
    return (vectors * largest.sign()).float(), values.flip(0).float()


def style_weights(generator: Any) -> list[Tensor]:
    """The weights of the layers that read W, `[w_dim, channels]` each, in the published numbering."""
    if isinstance(generator, SemanticStyleGANGenerator):
        return [layer.flatten(0, 1).T for layer in generator.local_generators.affine_weight]
    layout = generator.style_layout
    last = [entry for entry in layout if entry.kind == "to_rgb"][-1]
    entries = [entry for entry in layout if entry.kind == "conv"] + [last]
    return [generator.get_submodule(entry.name).affine.weight.T for entry in entries]


def layer_numbers(text: str, count: int) -> list[int]:
    """`0-1,6` -> `[0, 1, 6]`, sorted and each once; `all` is every one of `count`.

    Raises:
        InputError: for anything else, or a layer that does not exist.
    """
    if text == "all":
        return list(range(count))
    found: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,4})(?:\s*-\s*(\d{1,4}))?\s*", part)
        if match is None:
            raise InputError(f"Layers {short(text)} cannot be read; write all, 6 or 0-1,6.")
        found |= set(range(int(match[1]), int(match[2] or match[1]) + 1))
    if not found or max(found) >= count:
        raise InputError(f"Layers {short(text)} are not there; this generator has 0 to {count - 1}.")
    return sorted(found)
