"""StyleFlow: a flow between style codes and noise that knows the attributes of a picture.

*StyleFlow: Attribute-conditioned Exploration of StyleGAN-Generated Images using Conditional Continuous Normalizing
Flows* (Abdal et al., ACM TOG 2021), numerically equal to the official repository (RameenAbdal/StyleFlow) up to the
tolerance of the solver. The flow is the solution of `dx/dt = f(t, attributes, x)`; forwards it takes a code to noise
that is free of the attributes, backwards noise and attributes to a code. So an edit (`sfhub.editing.style_flow`) goes
forwards with the attributes that a picture has and backwards with those that it should have.

The official weights enter through `sfhub.convert`; training is in `sfhub.training.style_flow`. Solving needs the
package torchdiffeq.
"""

import itertools
import math
from collections.abc import Callable, Sequence

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from sfhub.errors import InputError

__all__ = ["StyleFlow"]

TOLERANCE = 1e-5
"""Of the solver, relative and absolute, as the official code has it."""

NORM_EPSILON = 1e-4
NORM_DECAY = 0.1


class StyleFlow(ModelMixin, ConfigMixin):
    """Codes and attributes -> noise, and back.

    Args:
        code_dim: width D of a code; all rows of a W+ code flow alike, with the attributes they share.
        hidden_dims: widths inside f.
        context_dim: number C of attribute values.
        num_blocks: flows one after the other, each followed by a normalisation.
        attributes: names of the C values, empty if unknown.
        center, scale: what the values are shifted and divided by before they enter, one per value; 0 and 1 if empty.
    """

    config_name = "config.json"

    @register_to_config
    def __init__(
        self,
        *,
        code_dim: int = 512,
        hidden_dims: Sequence[int] = (512, 512, 512, 512, 512),
        context_dim: int = 17,
        num_blocks: int = 1,
        attributes: Sequence[str] = (),
        center: Sequence[float] = (),
        scale: Sequence[float] = (),
    ):
        super().__init__()
        for name, values in {"attributes": attributes, "center": center, "scale": scale}.items():
            if len(values) not in (0, context_dim):
                raise InputError(f"{name} has {len(values)} entries, but the flow takes {context_dim} attributes.")
        self.norms = nn.ModuleList(_Norm(code_dim) for _ in range(num_blocks + 1))
        self.flows = nn.ModuleList(_Flow(code_dim, hidden_dims, context_dim) for _ in range(num_blocks))

    def forward(self, code: Tensor, attributes: Tensor, tolerance: float = TOLERANCE) -> Tensor:
        """Codes -> noise.

        Args:
            code: `[B, D]` or W+ `[B, L, D]`.
            attributes: `[B, C]`.
            tolerance: of the solver, relative and absolute.

        Returns:
            Of the shape of `code`.

        Raises:
            InputError: for shapes that do not fit.
        """
        context = self._context(code, attributes)
        x = self.norms[0](code)
        for flow, norm in zip(self.flows, self.norms[1:], strict=True):
            x = norm(flow(x, context, tolerance))
        return x

    def reverse(self, noise: Tensor, attributes: Tensor, tolerance: float = TOLERANCE) -> Tensor:
        """Noise -> codes; the inverse of `forward` for the same attributes. Arguments and errors as there."""
        context = self._context(noise, attributes)
        x = noise
        for flow, norm in zip(reversed(self.flows), reversed(self.norms[1:]), strict=True):
            x = flow(norm.reverse(x), context, tolerance, backwards=True)
        return self.norms[0].reverse(x)

    def log_likelihood(self, code: Tensor, attributes: Tensor, probe: Tensor, tolerance: float = TOLERANCE) -> Tensor:
        """Logarithm of the density of codes given their attributes, by an estimate of the trace (FFJORD).

        Args:
            code: `[B, D]`.
            attributes: `[B, C]`.
            probe: random signs like `code`, for the trace.
            tolerance: as for `forward`.

        Returns:
            `[B]`, with gradients for training.
        """
        context = self._context(code, attributes)
        x, gained = self.norms[0].with_log_det(code)
        for flow, norm in zip(self.flows, self.norms[1:], strict=True):
            x, stretched = flow.with_log_det(x, context, probe, tolerance)
            x, scaled = norm.with_log_det(x)
            gained = gained + stretched + scaled
        return -0.5 * (x.square() + math.log(2 * math.pi)).sum(dim=1) + gained

    def _context(self, code: Tensor, attributes: Tensor) -> Tensor:
        """Attributes as f takes them, `[B, C]` or, for W+, `[B, 1, C]`."""
        config = self.config
        if code.ndim not in (2, 3) or code.shape[-1] != config.code_dim:
            raise InputError(
                f"A code of shape {list(code.shape)} does not fit this flow, which takes [batch, {config.code_dim}] or "
                f"[batch, layers, {config.code_dim}]; use the flow of this generator."
            )
        if attributes.shape != (len(code), config.context_dim):
            raise InputError(
                f"Attributes of shape {list(attributes.shape)} do not fit; this flow takes [{len(code)}, "
                f"{config.context_dim}]."
            )
        if config.center:
            attributes = attributes - attributes.new_tensor(config.center)
        if config.scale:
            attributes = attributes / attributes.new_tensor(config.scale)
        return attributes if code.ndim == 2 else attributes[:, None]


class _Norm(nn.Module):
    """Batch normalisation that can be undone; in training it keeps running means of what it sees."""

    def __init__(self, width: int):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.zeros(width)), nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.running_mean) * self._gain() + self.bias

    def reverse(self, y: Tensor) -> Tensor:
        return (y - self.bias) / self._gain() + self.running_mean

    def with_log_det(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Result `[B, D]` and the logarithm of its stretch, `[B]`."""
        if self.training:
            mean, var = x.detach().mean(dim=0), x.detach().var(dim=0)
            self.running_mean.lerp_(mean, NORM_DECAY)
            self.running_var.lerp_(var, NORM_DECAY)
        return self(x), self._gain().log().sum().expand(len(x))

    def _gain(self) -> Tensor:
        return (self.running_var + NORM_EPSILON).rsqrt() * self.weight.exp()


class _Flow(nn.Module):
    """One continuous flow from time 0 to T."""

    def __init__(self, width: int, hidden: Sequence[int], context: int):
        super().__init__()
        self.sqrt_end_time = nn.Parameter(torch.tensor(math.sqrt(0.5)))
        self.layers = nn.ModuleList(
            _ConcatSquash(before, after, context + 1) for before, after in itertools.pairwise([width, *hidden, width])
        )

    def forward(self, x: Tensor, context: Tensor, tolerance: float, *, backwards: bool = False) -> Tensor:
        return self._solve(lambda t, state: (self._slope(t, state[0], context),), (x,), tolerance, backwards)[0]

    def with_log_det(self, x: Tensor, context: Tensor, probe: Tensor, tolerance: float) -> tuple[Tensor, Tensor]:
        """The end `[B, D]` of the way, and the logarithm of the stretch on it, `[B]`."""

        def slope(t: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            with torch.enable_grad():
                here = state[0] if state[0].requires_grad else state[0].detach().requires_grad_()
                moved = self._slope(t, here, context)
                (pulled,) = torch.autograd.grad(moved, here, probe, create_graph=True)
            return moved, (pulled * probe).sum(dim=1)

        return self._solve(slope, (x, x.new_zeros(len(x))), tolerance, backwards=False)

    def _slope(self, t: Tensor, x: Tensor, context: Tensor) -> Tensor:
        """f(t, context, x)."""
        given = torch.cat([t.to(x).expand(*context.shape[:-1], 1), context], dim=-1)
        for layer in self.layers[:-1]:
            x = torch.tanh(layer(x, given))
        return self.layers[-1](x, given)

    def _solve(self, slope: Callable, state: tuple[Tensor, ...], tolerance: float, backwards: bool) -> tuple:
        odeint = _solver()
        end = self.sqrt_end_time.square()
        times = torch.stack([torch.zeros_like(end), end])
        ways = odeint(slope, state, times.flip(0) if backwards else times, rtol=tolerance, atol=tolerance)
        return tuple(way[-1] for way in ways)


class _ConcatSquash(nn.Module):
    """`linear(x) * sigmoid(gate(c)) + bias(c)`."""

    def __init__(self, before: int, after: int, context: int):
        super().__init__()
        self.linear, self.gate = nn.Linear(before, after), nn.Linear(context, after)
        self.offset = nn.Linear(context, after, bias=False)

    def forward(self, x: Tensor, given: Tensor) -> Tensor:
        return self.linear(x) * torch.sigmoid(self.gate(given)) + self.offset(given)


def _solver() -> Callable:
    try:
        from torchdiffeq import odeint
    except ImportError as error:
        raise InputError("StyleFlow needs the package torchdiffeq; get it with pip install 'sfhub[flow]'.") from error
    return odeint
