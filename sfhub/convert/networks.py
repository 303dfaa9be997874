"""Networks of this package out of tensors that bear its names, every hyper-parameter read off their shapes.

The adapters of generators only rename; what they share is here. A file's tensors are as big as the file, but the
network that its key names describe need not be, so the shapes are first compared on the meta device, where nothing is
allocated.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from sfhub.errors import InputError
from sfhub.models.semantic_stylegan import SemanticStyleGANGenerator
from sfhub.models.semantic_stylegan_discriminator import SemanticStyleGANDiscriminator
from sfhub.models.style_space import MEAN_SAMPLES, set_mean_w
from sfhub.models.stylegan2 import StyleGAN2Generator
from sfhub.models.stylegan2_discriminator import StyleGAN2Discriminator

MAX_RESOLUTION = 2048
MAX_LATENT = 4096
MAX_MAPPING_LAYERS = 64
MEAN_LATENT_NOTE = f"it stores no mean latent, so the mean of {MEAN_SAMPLES} samples was taken"
FILTER = torch.outer(torch.tensor([1.0, 3.0, 3.0, 1.0]), torch.tensor([1.0, 3.0, 3.0, 1.0])) / 64

Generator = TypeVar("Generator", StyleGAN2Generator, SemanticStyleGANGenerator)


@dataclass(frozen=True)
class Checkpoint:
    """What an adapter made of a file.

    Attributes:
        family: architecture and whose format it was.
        generator, discriminator: the networks, the latter None if the file has none.
        notes: clauses on what was left out or estimated.
    """

    family: str
    generator: StyleGAN2Generator | SemanticStyleGANGenerator
    discriminator: StyleGAN2Discriminator | SemanticStyleGANDiscriminator | None = None
    notes: tuple[str, ...] = ()


def tensors_of(value: object) -> dict[str, Tensor]:
    """The tensors of a state dict, without the prefix that DataParallel adds; none if `value` is something else."""
    if type(value) is not dict:
        return {}
    return {
        key.removeprefix("module."): tensor
        for key, tensor in value.items()
        if type(key) is str and type(tensor) is Tensor
    }


def left_out(reason: InputError) -> str:
    """The note on a discriminator that could not be rebuilt."""
    return f"its discriminator was left out: {str(reason).rstrip('.')}"


def resolution_of(sides: Iterable[int]) -> int:
    """The largest of the sides of a file's layers.

    Raises:
        InputError: if that is no resolution of a StyleGAN2.
    """
    largest = max(sides, default=0)
    if not 8 <= largest <= MAX_RESOLUTION or largest & (largest - 1):
        raise InputError(
            f"The checkpoint's largest layer is of {largest} pixels, expected a power of two from 8 to "
            f"{MAX_RESOLUTION}; it is damaged or of another architecture."
        )
    return largest


def check_filters(filters: Mapping[str, Tensor], gain: float) -> None:
    """Raise an InputError unless every resampling filter is the standard [1, 3, 3, 1] with this gain."""
    for key, value in filters.items():
        if value.shape != FILTER.shape or not torch.allclose(value.float(), FILTER * gain, atol=1e-4):
            raise InputError(
                f"The checkpoint's filter {key[:80]} is not [1, 3, 3, 1], the only one known; it cannot be used."
            )


def generator_from(
    state: Mapping[str, Tensor],
    *,
    resolution: int,
    mapping_lr_multiplier: float = 0.01,
    conv_clamp: float | None = None,
) -> StyleGAN2Generator:
    """A generator with these weights.

    Args:
        state: tensors under the names of `StyleGAN2Generator`.
        resolution: side of the image.
        mapping_lr_multiplier, conv_clamp: what shapes do not tell.

    Raises:
        InputError: if tensors are missing, superfluous or of a shape that does not fit the others.
    """
    channels = {"4": size_of(state, "conv1.weight", 0)}
    channels |= {str(8 * 2**k): size_of(state, f"convs.{2 * k}.weight", 0) for k in range(resolution.bit_length() - 3)}
    depth = sum(re.fullmatch(r"mapping_network\.layers\.\d+\.weight", key) is not None for key in state)
    num_classes, embedded = 0, 0
    if "mapping_network.embed.weight" in state:
        embedded = size_of(state, "mapping_network.embed.weight", 0)
        num_classes = size_of(state, "mapping_network.embed.weight", 1)
    z_dim = size_of(state, "mapping_network.layers.0.weight", 1) - embedded
    w_dim = size_of(state, "conv1.affine.weight", 1)
    if not 0 < z_dim <= MAX_LATENT or not 0 < w_dim <= MAX_LATENT:
        raise InputError(
            f"The checkpoint's latents have {z_dim} and {w_dim} dimensions, expected 1 to {MAX_LATENT}; it is damaged."
        )
    return build(
        StyleGAN2Generator,
        state,
        resolution=resolution,
        z_dim=z_dim,
        w_dim=w_dim,
        num_mapping_layers=depth,
        mapping_lr_multiplier=mapping_lr_multiplier,
        channels=channels,
        num_classes=num_classes,
        image_channels=size_of(state, "to_rgb1.weight", 0),
        conv_clamp=conv_clamp,
    )


def discriminator_from(
    state: Mapping[str, Tensor],
    *,
    resolution: int,
    mapping_lr_multiplier: float = 0.01,
    conv_clamp: float | None = None,
    mbstd_group_size: int = 4,
) -> StyleGAN2Discriminator:
    """A discriminator with these weights; arguments and errors as for `generator_from`."""
    channels = {"4": size_of(state, "epilogue.conv.weight", 0)}
    channels |= {str(2**i): size_of(state, f"blocks.{2**i}.conv0.weight", 0) for i in range(3, resolution.bit_length())}
    depth = sum(re.fullmatch(r"mapping\.layers\.\d+\.weight", key) is not None for key in state)
    return build(
        StyleGAN2Discriminator,
        state,
        resolution=resolution,
        channels=channels,
        num_classes=size_of(state, "mapping.embed.weight", 1) if "mapping.embed.weight" in state else 0,
        image_channels=size_of(state, "from_rgb.weight", 1),
        conv_clamp=conv_clamp,
        mbstd_group_size=mbstd_group_size,
        num_mapping_layers=depth,
        mapping_lr_multiplier=mapping_lr_multiplier,
    )


def with_mean_latent(generator: Generator) -> Generator:
    """Estimate `w_avg` from samples of the mapping network, as for every generator that has none."""
    set_mean_w(generator)
    return generator


def size_of(state: Mapping[str, Tensor], key: str, dimension: int) -> int:
    """Extent of one of our tensors.

    Raises:
        InputError: if the tensor is missing or has fewer dimensions.
    """
    tensor = state.get(key)
    if tensor is None or tensor.ndim <= dimension:
        raise InputError(f"The checkpoint lacks the tensor that becomes {key}, or it is damaged; download it again.")
    return tensor.shape[dimension]


def build(network: type[nn.Module], state: Mapping[str, Tensor], **config: object) -> nn.Module:
    """A network with these weights, ready to use.

    Args:
        network: its class.
        state: tensors under the names of that class.
        config: arguments of its constructor.

    Raises:
        InputError: if tensors are missing, superfluous or of other shapes than these arguments make.
    """
    depth = config.get("num_mapping_layers", 0)
    if depth > MAX_MAPPING_LAYERS:
        raise InputError(
            f"The checkpoint's mapping network has {depth} layers, at most {MAX_MAPPING_LAYERS} are expected."
        )
    with torch.device("meta"):
        expected = network(**config).state_dict()
    for key in sorted(expected.keys() | state.keys()):
        wanted = tuple(expected[key].shape) if key in expected else "nothing"
        found = tuple(state[key].shape) if key in state else "nothing"
        if wanted != found or not state[key].is_floating_point():
            raise InputError(
                f"The checkpoint has {found} for {key[:80]} where {wanted} was expected; it is damaged or a "
                "variant that is not supported."
            )
    model = network(**config)
    model.load_state_dict(dict(state))
    return model.eval().requires_grad_(False)
