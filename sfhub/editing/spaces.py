"""Z, W, W+ and the flat code of a generator, as edits see them: what a displacement in one of them is in the flat code.

The affine layers of a StyleGAN2 make S out of W+ linearly, so a direction in W is a displacement in S, exactly and
whatever the code: a picture that was mixed, of which only S is known, can be edited by directions in W. The flat code
of a SemanticStyleGAN is its W+, with what was composed behind it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from sfhub.models.semantic_stylegan import SemanticStyleGANGenerator
from sfhub.models.style_space import StyleGenerator

if TYPE_CHECKING:
    from sfhub.steps.code import Code

__all__ = ["CodeSpace", "Latent", "SemanticSpace", "StyleSpace", "code_space"]


@dataclass(frozen=True, eq=False)
class Latent:
    """Where a code began.

    Attributes:
        z: `[1, z_dim]`.
        truncation_psi: how far it was taken from the average.
        label: class of a conditional generator.
    """

    z: Tensor
    truncation_psi: float = 1.0
    label: int | None = None

    def moved(self, displacement: Tensor) -> "Latent":
        """Elsewhere in Z, by `[1, z_dim]` or `[z_dim]`."""
        return replace(self, z=self.z + displacement.to(self.z))

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> "Latent":
        """The same on a device, in a precision."""
        return replace(self, z=self.z.to(device, dtype))


class CodeSpace(Protocol):
    """The spaces of one generator.

    Attributes:
        z_dim, w_dim: dimensions of Z and W.
        num_ws: vectors of W+.
        layers: name and width of the parts of the flat code, `[[name, width], ...]`, by which another generator is told
            apart.
        resolution: side of the image.
    """

    z_dim: int
    w_dim: int
    num_ws: int
    layers: list[list]
    resolution: int

    def w_plus(self, code: "Code") -> Tensor | None:
        """W+ `[1, num_ws, w_dim]` that a code was made from or started from, None if there is none."""

    def mapped(self, latent: Latent) -> Tensor:
        """W+ `[B, num_ws, w_dim]` of latents `[B, z_dim]`."""

    def flat(self, w_plus: Tensor) -> Tensor:
        """The flat codes `[B, size]` of W+ `[B, num_ws, w_dim]`."""

    def moved(self, code: "Code", displacement: Tensor) -> "Code":
        """A code displaced in W+ by `[1, num_ws, w_dim]`; its own W+, where it has one, goes along."""

    def shifted(self, code: "Code", displacement: Tensor) -> "Code":
        """A code displaced in the flat code by `[1, size]` or `[size]`; its W+ stays where it started from."""

    @property
    def size(self) -> int:
        """Length of the flat code."""


@dataclass(frozen=True)
class StyleSpace:
    """As `CodeSpace`, of a generator whose flat code is S.

    Attributes:
        generator: the network.
        one_hot: class -> label `[1, num_classes]` of a conditional generator.
    """

    generator: StyleGenerator
    one_hot: Callable[[int | None], Tensor | None] = lambda label: None

    @property
    def z_dim(self) -> int:
        return self.generator.config.z_dim

    @property
    def w_dim(self) -> int:
        return self.generator.config.w_dim

    @property
    def num_ws(self) -> int:
        return self.generator.num_ws

    @property
    def layers(self) -> list[list]:
        return self.generator.style_layout.fingerprint

    @property
    def resolution(self) -> int:
        return self.generator.config.resolution

    @property
    def size(self) -> int:
        return self.generator.style_layout.size

    def w_plus(self, code: "Code") -> Tensor | None:
        return code.w_plus

    def mapped(self, latent: Latent) -> Tensor:
        return self.generator.mapping(latent.z, self.one_hot(latent.label), latent.truncation_psi)

    def flat(self, w_plus: Tensor) -> Tensor:
        return self.generator.styles(w_plus)

    def moved(self, code: "Code", displacement: Tensor) -> "Code":
        displacement = displacement.to(code.s)
        s = code.s + self.in_s(displacement)
        return replace(code, s=s, w_plus=None if code.w_plus is None else code.w_plus + displacement)

    def in_s(self, displacement: Tensor) -> Tensor:
        """What a displacement of W+ `[B, num_ws, w_dim]` is in S, `[B, S]`: the affine layers without their biases."""
        return self.generator.styles(displacement) - self.generator.styles(torch.zeros_like(displacement[:1]))

    def shifted(self, code: "Code", displacement: Tensor) -> "Code":
        return code.with_s(code.s + displacement.to(code.s))


@dataclass(frozen=True)
class SemanticSpace:
    """As `CodeSpace`, of a SemanticStyleGAN, whose flat code is W+; what was composed stays."""

    generator: SemanticStyleGANGenerator

    @property
    def z_dim(self) -> int:
        return self.generator.config.z_dim

    @property
    def w_dim(self) -> int:
        return self.generator.config.w_dim

    @property
    def num_ws(self) -> int:
        return self.generator.n_latent

    @property
    def layers(self) -> list[list]:
        names = self.generator.config.class_names or [f"class {k}" for k in range(self.generator.config.num_classes)]
        codes = [f"base.{k}" for k in range(self.generator.config.base_layers)]
        codes += [f"{name}.{part}" for name in names for part in ("shape", "texture")]
        return [[name, self.w_dim] for name in codes]

    @property
    def resolution(self) -> int:
        return self.generator.config.resolution

    @property
    def size(self) -> int:
        return self.num_ws * self.w_dim

    def w_plus(self, code: "Code") -> Tensor | None:
        return code.s[:, : self.size].unflatten(1, (self.num_ws, self.w_dim))

    def mapped(self, latent: Latent) -> Tensor:
        return self.generator.mapping(latent.z, latent.truncation_psi)

    def flat(self, w_plus: Tensor) -> Tensor:
        return w_plus.flatten(1)

    def moved(self, code: "Code", displacement: Tensor) -> "Code":
        return self.shifted(code, displacement.flatten(1))

    def shifted(self, code: "Code", displacement: Tensor) -> "Code":
        s = code.s.clone()
        s[:, : self.size] += displacement.to(s)
        return code.with_s(s)


def code_space(generator: Any, one_hot: Callable[[int | None], Tensor | None] = lambda label: None) -> CodeSpace:
    """The spaces of a generator of either family; `one_hot` as for `StyleSpace`."""
    if hasattr(generator, "style_layout"):
        return StyleSpace(generator, one_hot)
    return SemanticSpace(generator)
