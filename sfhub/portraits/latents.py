"""Portraits as functions of a normal latent: the pairs (z, picture) that guided training learns from.

A latent z of independent standard normal numbers determines the attributes of one portrait, by the formulas of
`sfhub.portraits.distribution`. There is no other source of portraits, so that a generator's latents give the very
distribution that it is trained on and judged by; `set_mapping` makes its mapping network from the same formulas.

The *attribute code* of a portrait is what its generator should keep in W: the attribute vector, with zeros where the
picture does not show an attribute. It is linear in every attribute, so truncation towards the mean code is a portrait
again: `truncate` moves continuous attributes as truncation moves their columns, and keeps choices.
"""

import functools
import itertools
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from sfhub.errors import InputError
from sfhub.models.layers import leaky_relu, normalize_second_moment
from sfhub.portraits.attributes import (
    ATTRIBUTE_VECTOR_NAMES,
    ATTRIBUTES,
    attribute_vector,
    attribute_visibility,
    hiding_reasons,
    reason_to_hide,
)
from sfhub.portraits.circuit import Value, compile_network, evaluate, gate
from sfhub.portraits.distribution import Choice, portrait

if TYPE_CHECKING:
    from sfhub.models.style_space import MappingNetwork

__all__ = [
    "ATTRIBUTE_GROUPS",
    "CODE_GROUPS",
    "LATENT_DIM",
    "MAPPING_LAYERS",
    "MAPPING_WIDTH",
    "W_DIM",
    "attribute_code",
    "attributes_from_latents",
    "code_values",
    "mean_code",
    "sample_attributes",
    "set_mapping",
    "truncate",
    "unexplained_variance",
    "w_of_codes",
]

LATENT_DIM = 128
"""Length of a latent; the last entries decide nothing."""

W_DIM, MAPPING_WIDTH, MAPPING_LAYERS = 128, 256, 5
"""Sizes of the mapping network that `set_mapping` sets: length of w, width of its hidden layers, number of layers."""

CODE_SCALE = 2.0
"""Factor from attribute vector to code; brings most columns near unit variance."""

ATTRIBUTE_GROUPS: dict[str, tuple[str, ...]] = {
    "layout": ("yaw", "tilt", "head_", "light_"),
    "face": ("face_", "jaw", "skin_", "age", "blush", "nose_", "ear_size", "earring", "beard", "neck_"),
    "eyes": ("eye_", "gaze_", "lashes", "brow_"),
    "mouth": ("mouth_", "smile", "lip_"),
    "hair": ("hair_", "fringe"),
    "glasses": ("glasses",),
    "hat": ("hat",),
    "clothes": ("clothes", "pattern", "shoulder_"),
    "background": ("background",),
}
"""The semantic groups of attributes, by the beginnings of their names: what belongs to one region, and the layout."""


def _group_of(column: str) -> int:
    return next(index for index, starts in enumerate(ATTRIBUTE_GROUPS.values()) if column.startswith(starts))


CODE_GROUPS: tuple[int, ...] = tuple(_group_of(name) for name in ATTRIBUTE_VECTOR_NAMES)
"""Index into `ATTRIBUTE_GROUPS` of every column of the attribute code."""


def sample_attributes(
    count: int, seed: int | None = None, generator: torch.Generator | None = None
) -> dict[str, Tensor]:
    """Draw attributes of `count` portraits: those of standard normal latents, see `sfhub.portraits.distribution`.

    Args:
        count: number of portraits, at least 1.
        seed: same seed, same attributes; excludes `generator`.
        generator: a CPU generator to draw from; without both, a fresh random seed.

    Returns:
        All `ATTRIBUTES` as float32 CPU tensors `[count]`; categorical ones hold integer codes.

    Raises:
        InputError: `count` is below 1, or both `seed` and `generator` are given.
    """
    if count < 1:
        raise InputError(f"Cannot draw {count} portraits; ask for at least 1.")
    if seed is not None and generator is not None:
        raise InputError("Both a seed and a generator were given; give only one of them.")
    if generator is None:
        generator = torch.Generator()
        if seed is None:
            generator.seed()
        else:
            generator.manual_seed(seed)
    return attributes_from_latents(torch.randn(count, LATENT_DIM, generator=generator))


def attributes_from_latents(z: Tensor) -> dict[str, Tensor]:
    """Attributes of the portraits that latents stand for.

    Args:
        z: `[B, LATENT_DIM]`. Their length does not count, as it does not for StyleGAN2's mapping network.

    Returns:
        All `ATTRIBUTES` as float32 CPU tensors `[B]`.

    Raises:
        InputError: for latents of another shape.
    """
    if z.ndim != 2 or z.shape[1] != LATENT_DIM:
        raise InputError(f"A latent of shape {list(z.shape)} does not fit; portraits take [batch, {LATENT_DIM}].")
    drawn = portrait()
    values = [_as_number(value) for value in drawn.values()]
    evaluated = evaluate(values, normalize_second_moment(z.detach().float().cpu()))
    return {name: value.clamp(*_range(name)) for name, value in zip(drawn, evaluated, strict=True)}


def _as_number(value: Value | Choice) -> Value:
    """A choice as its integer code."""
    return value if isinstance(value, Value) else sum(code * chosen for code, chosen in enumerate(value))


def _range(name: str) -> tuple[float, float]:
    return ATTRIBUTES[name].low, ATTRIBUTES[name].high


def attribute_code(attributes: dict[str, Tensor]) -> Tensor:
    """Attribute code `[B, len(ATTRIBUTE_VECTOR_NAMES)]` of portraits: the visible part of their attribute vector."""
    return CODE_SCALE * attribute_vector(attributes) * attribute_visibility(attributes)


def w_of_codes(code: Tensor, count: int) -> Tensor:
    """Attribute codes `[B, A]` -> W+ `[B, count, W_DIM]`: w is the code and zeros, the same for all."""
    return F.pad(code, (0, W_DIM - code.shape[1]))[:, None].expand(-1, count, -1)


def mean_code(samples: int = 20_000) -> Tensor:
    """Mean attribute code `[len(ATTRIBUTE_VECTOR_NAMES)]` over a fixed sample of portraits."""
    return attribute_code(sample_attributes(samples, seed=0)).mean(dim=0)


def truncate(attributes: dict[str, Tensor], mean: Tensor, psi: Tensor) -> dict[str, Tensor]:
    """The portraits whose codes are truncated: `mean + psi (code - mean)`.

    Args:
        attributes: of B portraits.
        mean: mean code, see `mean_code`.
        psi: `[B]` in [0, 1].

    Returns:
        The attributes, continuous ones moved towards their mean; a choice stays what it is.
    """
    moved, column = {}, 0
    for name, item in ATTRIBUTES.items():
        value = attributes[name]
        if not item.choices:
            centre = (mean[column] / CODE_SCALE + 1) / 2 * (item.high - item.low) + item.low
            value = torch.lerp(centre.expand_as(value), value, psi)
        moved[name] = value
        column += max(1, len(item.choices))
    return moved


@functools.cache
def code_values() -> tuple[Value, ...]:
    """The columns of the attribute code as functions of a latent."""
    drawn = portrait()

    def is_one_of(name: str, *choices: str) -> Value:
        return sum(drawn[name][ATTRIBUTES[name].choices.index(choice)] for choice in choices)

    reasons = hiding_reasons(is_one_of)
    values = []
    for name, value in drawn.items():
        item = ATTRIBUTES[name]
        if item.choices:
            parts = {f"{name}={choice}": part for choice, part in zip(item.choices, value, strict=True)}
        else:
            parts = {name: (value - item.low) * (2 / (item.high - item.low)) - 1}
        for column, part in parts.items():
            reason = reason_to_hide(column, reasons)
            if reason is not None:
                part = (part - reason).clamp(0, 1) if item.choices else gate(1 - reason, part)
            values.append(CODE_SCALE * part)
    return tuple(values)


def set_mapping(mapping: "MappingNetwork") -> None:
    """Make a mapping network turn latents into attribute codes, and columns of W beyond the code zero.

    Nothing is trained: the weights are compiled from the formulas of the distribution. They are numbers that half
    precision represents. `w_avg` stays as it is.

    Args:
        mapping: of `LATENT_DIM` inputs, `MAPPING_LAYERS` layers of `MAPPING_WIDTH` and at last `W_DIM` outputs, with a
            learning-rate multiplier of 1.

    Raises:
        InputError: for a mapping network of other sizes.
    """
    widths = [LATENT_DIM, *[MAPPING_WIDTH] * (MAPPING_LAYERS - 1), W_DIM]
    shapes = [(out, inputs) for inputs, out in itertools.pairwise(widths)]
    if [tuple(layer.weight.shape) for layer in mapping.layers] != shapes or mapping.layers[0].bias_gain != 1:
        raise InputError(
            f"This mapping network cannot be set; build it with z_dim={LATENT_DIM}, w_dim={W_DIM}, "
            f"num_mapping_layers={MAPPING_LAYERS}, mapping_width={MAPPING_WIDTH} and mapping_lr_multiplier=1."
        )
    z = torch.randn(2048, LATENT_DIM, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = normalize_second_moment(z)
    for layer, compiled in zip(mapping.layers, compile_network(code_values(), LATENT_DIM), strict=True):
        first, last = layer is mapping.layers[0], layer is mapping.layers[-1]
        weight, bias = (torch.zeros(parameter.shape, dtype=torch.float64) for parameter in (layer.weight, layer.bias))
        rows, columns = compiled[0].shape
        weight[:rows, :columns], bias[:rows] = (torch.from_numpy(array) for array in compiled)
        if not last:
            bias[-1] = 1.0  # a constant for the next layer
        x = x * layer.weight_gain
        weight, bias = _in_half_precision(weight / layer.weight_gain, bias, x, has_constant=not first)
        with torch.no_grad():
            layer.weight.copy_(weight)
            layer.bias.copy_(bias)
        x = leaky_relu(F.linear(x, weight, bias))


def _in_half_precision(weight: Tensor, bias: Tensor, x: Tensor, *, has_constant: bool) -> tuple[Tensor, Tensor]:
    """Weight and bias of a layer as numbers that half precision represents.

    Half precision keeps a bias of 600 to a quarter only. So where the last column of the inputs `x` `[B, in]` is a
    constant, its weights are what is cut off from the biases, which also make up for what is cut off from the other
    weights, on average over the inputs.
    """
    rounded = weight.half().double()
    if has_constant:
        bias = bias + (weight - rounded) @ x.mean(dim=0)
        rounded[:, -1] = ((bias - bias.half()) / x[0, -1]).half().double()
    return rounded, bias.half().double()


def unexplained_variance(mapping: "MappingNetwork", samples: int = 4096) -> float:
    """The share of the attribute codes' variance that a mapping network leaves unexplained, over fixed latents."""
    z = torch.randn(samples, LATENT_DIM, generator=torch.Generator().manual_seed(1))
    code = attribute_code(attributes_from_latents(z))
    with torch.no_grad():
        w = mapping(z.to(mapping.w_avg.device)).float().cpu()
    wanted = F.pad(code, (0, w.shape[1] - code.shape[1]))
    return ((w - wanted).square().mean(dim=0).sum() / wanted.var(dim=0).sum()).item()
