"""GANSpace: edits along principal components of W (Härkönen et al., NeurIPS 2020), in layers that are chosen.

Three rules are in use for the same components, all of them here because published edits follow one or another:

- `offset`: so many standard deviations from where the code is (the strips of the paper's notebooks);
- `centred`: to so many standard deviations from the mean, the code's own coordinate taken out first;
- `toward`: to a *target coordinate* that is measured on the first vector of W+ (the paper's teaser, encoder4editing).
  The strength of the official named edits is such a coordinate. As an edit of this package (`component_edit`) strength
  1 is the target and 0 the picture itself, so that it behaves like all other edits.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.decomposition import PCA, IncrementalPCA
from torch import Tensor

from sfhub.editing.edits import Coordinate, Direction
from sfhub.errors import InputError, short

__all__ = [
    "FFHQ_EDITS",
    "Components",
    "NamedComponent",
    "centred",
    "component_edit",
    "ffhq_edits",
    "offset",
    "principal_components",
    "toward",
]


@dataclass(frozen=True, eq=False)
class Components:
    """Principal components of W.

    Attributes:
        mean: `[w_dim]`.
        vectors: unit vectors `[n, w_dim]`, the one of largest variance first.
        std: standard deviations along them `[n]`.
    """

    mean: Tensor
    vectors: Tensor
    std: Tensor

    def coordinates(self, w: Tensor) -> Tensor:
        """Codes `[B, w_dim]` in standard deviations from the mean, `[B, n]`."""
        return (w - self.mean) @ self.vectors.T / self.std


@dataclass(frozen=True)
class NamedComponent:
    """An edit as GANSpace's authors publish them.

    Attributes:
        name: of the edit.
        component: number of the component, from 0.
        start, stop: it moves the vectors `start` to `stop - 1` of W+.
        target: coordinate in standard deviations.
        region: where it is meant to show; not part of what is published.
    """

    name: str
    component: int
    start: int
    stop: int
    target: float
    region: str | None = None


FFHQ_EDITS: tuple[NamedComponent, ...] = tuple(
    NamedComponent(*row)
    for row in json.loads((Path(__file__).parent / "ganspace_ffhq.json").read_text(encoding="utf-8"))
)
"""The 44 named edits of StyleGAN2's FFHQ, from the paper's figures 1 and 7; they go with the published components."""


def principal_components(w: Tensor, count: int = 80, *, batch_size: int | None = None) -> Components:
    """The components of codes.

    Args:
        w: `[N, w_dim]`; the paper takes 1,000,000.
        count: how many, at most `w_dim` and N.
        batch_size: find them block by block (scikit-learn's IncrementalPCA, as for the published components), of this
            many codes, at least `max(2000, 3 * count)`; None for the exact ones.

    Raises:
        InputError: for too few codes.
    """
    if not 1 <= count <= min(w.shape):
        raise InputError(
            f"{count} components of {len(w)} codes of {w.shape[1]} dimensions cannot be found; ask for fewer."
        )
    codes = w.detach().cpu().numpy().astype(np.float32)
    if batch_size is None:
        found = PCA(count, svd_solver="full").fit(codes)
        std = (codes - found.mean_) @ found.components_.T
        std = std.std(axis=0)
    else:
        found = IncrementalPCA(count)
        size = max(batch_size, 2000, 3 * count)
        for start in range(0, len(codes), size):
            if start == 0 or len(codes) - start >= count:
                found.partial_fit(codes[start : start + size])
        std = np.sqrt(found.explained_variance_)
    arrays = (found.mean_, found.components_, std)
    return Components(*(torch.from_numpy(np.asarray(array, dtype=np.float32)) for array in arrays))


def offset(w_plus: Tensor, vector: Tensor, std: float, layers: Sequence[int], sigma: float) -> Tensor:
    """W+ `[B, L, w_dim]` with `sigma` standard deviations of a unit `vector` added in some layers."""
    return _moved(w_plus, layers, sigma * std * vector)


def centred(w_plus: Tensor, vector: Tensor, mean: Tensor, std: float, layers: Sequence[int], sigma: float) -> Tensor:
    """As `offset`, each vector of W+ brought to the mean along the component first."""
    unit = vector / (vector.square().sum() + 1e-8).sqrt()
    here = ((w_plus[:, list(layers)] - mean) @ unit)[..., None]
    return _moved(w_plus, layers, sigma * std * vector - here * unit)


def toward(w_plus: Tensor, vector: Tensor, mean: Tensor, std: float, layers: Sequence[int], target: float) -> Tensor:
    """W+ whose layers move by what takes the *first* vector of W+ to a target coordinate."""
    here = (w_plus[:, :1] - mean) @ vector / std
    return _moved(w_plus, layers, (target - here)[..., None] * std * vector)


def _moved(w_plus: Tensor, layers: Sequence[int], displacement: Tensor) -> Tensor:
    moved = w_plus.clone()
    moved[:, list(layers)] += displacement
    return moved


def component_edit(components: Components, named: NamedComponent, num_ws: int) -> Direction:
    """A published edit as an edit of this package: strength 1 is its target.

    Args:
        components: that its number refers to.
        named: the edit.
        num_ws: vectors of W+ of the generator; layers beyond them are left out.

    Raises:
        InputError: if there is no such component, or none of its layers.
    """
    layers = tuple(range(named.start, min(named.stop, num_ws)))
    if not 0 <= named.component < len(components.vectors) or not layers:
        raise InputError(
            f"Edit {short(named.name)} moves component {named.component} in layers {named.start} to "
            f"{named.stop - 1}, but "
            f"there are {len(components.vectors)} components and {num_ws} layers; use the components of FFHQ at 1024 "
            "pixels."
        )
    vector = components.vectors[named.component]
    return Direction(
        name=named.name,
        space="w",
        vector=vector,
        region=named.region,
        range=(-1.0, 1.0),
        layers=layers,
        coordinate=Coordinate(
            named.target, float(components.mean.double() @ vector.double()), float(components.std[named.component])
        ),
        about={"method": "GANSpace", "component": named.component, "target": named.target},
    )


def ffhq_edits(components: Components, num_ws: int) -> Iterator[Direction]:
    """All of `FFHQ_EDITS`, for the published components of FFHQ."""
    return (component_edit(components, named, num_ws) for named in FFHQ_EDITS)
