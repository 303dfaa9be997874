"""How fast a SemanticStyleGAN generator is, against what it cannot avoid and against one local generator at a time.

Yardsticks, timed in the same run, in turn with the generator itself:

- *floor*: nothing but the convolutions and matrix products from z to image and mask, on operands of their sizes;
- *one by one*: the part from W+ to the composed feature map, class after class, otherwise as the generator does it;
- *published*: the same part in the structure of the public code (`semantic_stylegan/models`), which the paper times
  (app. A.3): class after class, a grouped convolution per layer, and a full feature map of every class before eq. 4.

The last two compute the same depths and features as the generator.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from sfhub.metrics.timing import median_seconds
from sfhub.models.layers import SQRT2
from sfhub.models.semantic_stylegan import EPSILON, SemanticStyleGANGenerator, position_features

__all__ = ["batched", "measure", "one_by_one", "products", "published"]

Layer = Callable[[SemanticStyleGANGenerator, int, int, Tensor, Tensor], Tensor]
"""Generator, class, layer, hidden map `[B, C, P]` and codes `[B, w_dim]` -> next hidden map."""


def measure(G: SemanticStyleGANGenerator, z: Tensor, repeats: int = 5, slow_repeats: int = 3) -> dict[str, float]:
    """Median seconds of the generator and of the yardsticks, and how they compare.

    Args:
        G: to be timed on the device where it is.
        z: latents `[B, z_dim]`.
        repeats: of the generator, its local part and the floor.
        slow_repeats: of the yardsticks that go class by class.

    Returns:
        `generator`, `floor`, `local`, `one_by_one` and `published` in seconds per batch, `times_floor` (1 would be
        ideal), `local_share` of the generator's time, `times_faster` and `times_faster_than_published` of the local
        part.
    """
    with torch.inference_mode():
        w_plus, floor = G.mapping(z), list(products(G, len(z)))
    timed = {
        "generator": (partial(G, z), repeats),
        "floor": (partial(_run_all, floor), repeats),
        "local": (partial(batched, G, w_plus), repeats),
        "one_by_one": (partial(one_by_one, G, w_plus), slow_repeats),
        "published": (partial(published, G, w_plus), slow_repeats),
    }
    medians = median_seconds(timed, z.device, warm_up=tuple(timed))
    return medians | {
        "times_floor": medians["generator"] / medians["floor"],
        "local_share": medians["local"] / medians["generator"],
        "times_faster": medians["one_by_one"] / medians["local"],
        "times_faster_than_published": medians["published"] / medians["local"],
    }


def products(G: SemanticStyleGANGenerator, batch: int) -> Iterator[Callable[[], Tensor]]:
    """Every convolution and matrix product from z to image and mask, each with operands of its size.

    The depthwise resampling filters are left out: they are cheap to compute and could be part of other passes.
    """
    config, side = G.config, G.config.coarse_resolution
    width, classes, pixels = config.local_width, config.num_classes, side**2
    random = partial(torch.randn, device=G.device, dtype=G.dtype)
    for layer in G.mapping_network.layers:
        yield partial(F.linear, random(batch, layer.weight.shape[1]), layer.weight)
    layers = config.local_layers * classes
    yield partial(torch.bmm, random(layers, batch, config.w_dim), random(layers, config.w_dim, width))
    yield partial(torch.mm, G.position_weight, random(G.position_weight.shape[1], pixels))
    hidden = random(batch * classes, width, pixels)
    for weight in random(config.local_layers, batch * classes, width, width):
        yield partial(torch.bmm, weight, hidden)
    yield partial(torch.matmul, random(classes - 1, 1, width), hidden.unflatten(0, (batch, classes))[:, 1:])
    yield partial(torch.matmul, random(config.feature_width, classes * width), hidden.view(batch, -1, pixels))
    for k, output in enumerate(zip(G.render_net.to_rgbs, G.render_net.to_masks, strict=True)):
        for layer in G.render_net.convs[2 * k : 2 * k + 2]:
            weight, size = layer.weight, layer.resolution // (2 if layer.up else 1)
            x = random(batch, weight.shape[1], size, size)
            if layer.up:
                yield partial(F.conv_transpose2d, x, weight.transpose(0, 1), stride=2)
            else:
                yield partial(F.conv2d, x, weight, padding=1)
        x = random(batch, len(layer.weight), layer.resolution, layer.resolution)
        yield partial(F.conv2d, x, torch.cat([head.weight for head in output]))


def _run_all(runs: Sequence[Callable[[], Tensor]]) -> None:
    """Compute all and keep nothing."""
    for run in runs:
        run()


def batched(G: SemanticStyleGANGenerator, w_plus: Tensor) -> tuple[Tensor, Tensor]:
    """The local part as the generator computes it: depths `[B, K, h, w]` and the feature map `[B, C, h, w]`."""
    hidden, depths = G.local(w_plus)
    _, weights = G.compose(depths)
    return depths, G.local_generators.features(hidden, weights.flatten(2)).unflatten(2, depths.shape[2:])


def one_by_one(G: SemanticStyleGANGenerator, w_plus: Tensor) -> tuple[Tensor, Tensor]:
    """What `batched` returns, class after class."""
    hidden, depths = _all_classes(G, w_plus, _product)
    _, weights = G.compose(depths)
    features = sum(
        _head(G, k) @ (x * weight[:, None]) + G.local_generators.feature_bias[k][:, None] * weight[:, None]
        for k, (x, weight) in enumerate(zip(hidden, weights.flatten(2).unbind(1), strict=True))
    )
    return depths, features.unflatten(2, depths.shape[2:])


def published(G: SemanticStyleGANGenerator, w_plus: Tensor) -> tuple[Tensor, Tensor]:
    """What `batched` returns, with the passes of the public code."""
    hidden, depths = _all_classes(G, w_plus, _grouped_convolution)
    maps = [_head(G, k) @ x + G.local_generators.feature_bias[k][:, None] for k, x in enumerate(hidden)]
    _, weights = G.compose(depths)
    features = sum(f * weight[:, None] for f, weight in zip(maps, weights.flatten(2).unbind(1), strict=True))
    return depths, features.unflatten(2, depths.shape[2:])


def _all_classes(G: SemanticStyleGANGenerator, w_plus: Tensor, layer: Layer) -> tuple[list[Tensor], Tensor]:
    """The last hidden map `[B, C, P]` of each class, and all depths `[B, K, h, w]`."""
    nets, codes, side = G.local_generators, G.expand(w_plus), G.config.coarse_resolution
    position = G.position_weight @ position_features(G.coordinates()[0], G.num_frequencies)
    position = (position / math.sqrt(G.position_weight.shape[1])).expand(len(codes), -1, -1)
    hidden, depths = [], []
    for k in range(G.config.num_classes):
        x, depth = position, position.new_zeros(len(codes), position.shape[-1])
        for i in range(G.config.local_layers):
            x = layer(G, k, i, x, codes[:, k, i])
            if k and i + 1 == nets.depth_layers:
                weight = nets.depth_weight[k - 1] * nets.depth_modulation[k - 1] / math.sqrt(x.shape[1])
                depth = weight @ x + nets.depth_bias[k - 1]
        hidden.append(x)
        depths.append(depth)
    return hidden, torch.stack(depths, dim=1).unflatten(2, (side, side))


def _modulated(G: SemanticStyleGANGenerator, k: int, i: int, codes: Tensor) -> Tensor:
    """Demodulated weights `[B, C, C]` of one layer of one class."""
    nets = G.local_generators
    style = F.linear(codes, nets.affine_weight[i, k] / math.sqrt(codes.shape[1]), nets.affine_bias[i, k])
    weight = nets.weight[i, k] * style[:, None] / math.sqrt(style.shape[1])
    return weight * (weight.square().sum(dim=2, keepdim=True) + EPSILON).rsqrt()


def _product(G: SemanticStyleGANGenerator, k: int, i: int, x: Tensor, codes: Tensor) -> Tensor:
    bias = G.local_generators.bias[i, k] * SQRT2
    return F.leaky_relu(torch.baddbmm(bias[:, None], _modulated(G, k, i, codes) * SQRT2, x), 0.2, inplace=True)


def _grouped_convolution(G: SemanticStyleGANGenerator, k: int, i: int, x: Tensor, codes: Tensor) -> Tensor:
    side, batch = G.config.coarse_resolution, len(x)
    weight = _modulated(G, k, i, codes).flatten(0, 1)[:, :, None, None]
    x = F.conv2d(x.reshape(1, -1, side, side), weight, groups=batch).view(batch, -1, side**2)
    return F.leaky_relu(x + G.local_generators.bias[i, k][:, None], 0.2) * SQRT2


def _head(G: SemanticStyleGANGenerator, k: int) -> Tensor:
    """Weights `[feature_width, C]` from the hidden map of a class to its features."""
    nets = G.local_generators
    return nets.feature_weight[k] * nets.feature_modulation[k] / math.sqrt(nets.feature_weight.shape[2])
