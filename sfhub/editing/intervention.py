"""Style Intervention (Xu et al., 2020): which style channels an edit may move so that it shows only where it should.

Two displacements of the style code are merged channel by channel (equation 8): `ds_z`, what a step in the latent space
is in S, which looks natural but changes the whole picture, and `ds_n`, the normal of a sparse linear classifier in S,
whose few channels carry the attribute:

    ds_m(L) = (1 - L) ds_z + L ds_n,    L in [0, 1] per channel

The intervention coefficients L are found for one picture by what changes outside a mask (equation 9), the cosine to
ds_n (equation 10) and their own norm (equation 11), one layer after the other from coarse to fine, all others held
fixed. The pixel term here is the root of the *mean* square, so that its weight does not depend on the resolution; the
paper writes a norm. Adam's steps are clipped to [0, 1]; every layer starts from 0, the edit in the latent space.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sfhub.errors import InputError

__all__ = ["Intervention", "InterventionSettings", "intervene"]


@dataclass(frozen=True)
class InterventionSettings:
    """How coefficients are found.

    Attributes:
        steps: of Adam for each layer.
        learning_rate: of Adam.
        attribute, norm: weights of equations 10 and 11 in the sum; the paper's.
    """

    steps: int = 10
    learning_rate: float = 0.2
    attribute: float = 1e-2
    norm: float = 1e-6


@dataclass(frozen=True, eq=False)
class Intervention:
    """What was found for one picture.

    Attributes:
        coefficients: `[S]` in [0, 1].
        merged: the displacement of equation 8 `[S]`.
        normal: the part of it that comes from the classifier, `L ds_n` `[S]`; more of it is a stronger edit (fig. 5).
        outside: mean squared difference outside the mask, of the edit in the latent space and after every layer
            (fig. 6b).
    """

    coefficients: Tensor
    merged: Tensor
    normal: Tensor
    outside: tuple[float, ...]


def intervene(
    synthesis: Callable[[Tensor], Tensor],
    s: Tensor,
    ds_z: Tensor,
    ds_n: Tensor,
    mask: Tensor,
    layers: Sequence[slice],
    settings: InterventionSettings = InterventionSettings(),
    on_layer: Callable[[int, Tensor], bool] | None = None,
) -> Intervention:
    """Find the coefficients for one picture.

    Args:
        synthesis: codes `[1, S]` -> images `[1, 3, H, W]` in about [-1, 1], differentiable.
        s: code `[1, S]`.
        ds_z, ds_n: displacements `[S]`.
        mask: boolean `[H, W]`, true where the picture may change.
        layers: places in S, the coarsest first.
        settings: how.
        on_layer: told the number of the layer just solved and the picture `[3, H, W]` so far; solving ends with what is
            there when it returns False.

    Raises:
        InputError: if one of the displacements is nothing, or the mask leaves nothing outside.
    """
    if not bool(ds_z.any()) or not bool(ds_n.any()):
        raise InputError(
            "One of the displacements is zero everywhere, so there is nothing to merge; give another edit."
        )
    outside = (~mask.to(s.device)).float()
    if not bool(outside.any()):
        raise InputError("The region covers the whole picture, so nothing is outside to keep; give a smaller region.")
    weight, base = outside.mean(), synthesis(s).detach()
    ds_z, ds_n = ds_z.to(s), ds_n.to(s)
    # Their lengths are of no meaning to each other: a classifier's normal is brought to that of the step in Z.
    ds_n = ds_n * (ds_z.norm() / ds_n.norm())
    found = torch.zeros_like(ds_z)
    history: list[float] = []

    def changed(coefficients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        merged = torch.lerp(ds_z, ds_n, coefficients)
        image = synthesis(s + merged)
        return merged, image, ((image - base).square().mean(dim=1) * outside).mean() / weight

    with torch.no_grad():
        history.append(float(changed(found)[2]))
    for number, part in enumerate(layers):
        here = found[part].clone().requires_grad_(True)
        optimizer = torch.optim.Adam([here], lr=settings.learning_rate)
        best = None
        for _ in range(settings.steps + 1):
            coefficients = torch.cat([found[: part.start], here, found[part.stop :]])
            merged, image, error = changed(coefficients)
            cosine = torch.cosine_similarity(merged, ds_n, dim=0)
            loss = (error + 1e-12).sqrt() - settings.attribute * cosine + settings.norm * (coefficients + 1e-12).norm()
            if best is None or float(loss.detach()) < best[0]:
                best = float(loss.detach()), here.detach().clone(), float(error.detach()), image.detach()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                here.clamp_(0, 1)
        found[part] = best[1]
        history.append(best[2])
        if on_layer is not None and on_layer(number, best[3][0]) is False:
            break
    return Intervention(found, torch.lerp(ds_z, ds_n, found), found * ds_n, tuple(history))
