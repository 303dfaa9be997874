"""The yardsticks of SemanticStyleGAN's speed compute what the generator computes, and nothing is left out."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from sfhub.metrics.semantic_speed import batched, measure, one_by_one, products, published
from sfhub.models.semantic_stylegan import SemanticStyleGANGenerator


@pytest.fixture(scope="module")
def generator():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        G = SemanticStyleGANGenerator(
            resolution=32,
            z_dim=8,
            w_dim=6,
            num_mapping_layers=2,
            num_classes=4,
            transparent_classes=[2],
            coarse_resolution=16,
            min_resolution=8,
            local_layers=5,
            base_layers=1,
            depth_layers=3,
            local_width=8,
            feature_width=12,
            channels={"16": 10, "32": 6},
        ).requires_grad_(False)
        for name, parameter in G.local_generators.named_parameters():
            if name.endswith("bias"):
                parameter.normal_()
        return G.eval()


@pytest.mark.parametrize("way", [one_by_one, published])
def test_class_after_class_gives_the_depths_and_features_of_the_batched_computation(generator, way):
    w_plus = torch.randn(3, generator.n_latent, 6, generator=torch.Generator().manual_seed(1))
    for got, expected in zip(way(generator, w_plus), batched(generator, w_plus), strict=True):
        assert torch.allclose(got, expected, atol=1e-5)


def test_the_floor_has_every_convolution_and_product_that_the_generator_computes(generator):
    z = torch.randn(2, 8)
    flops = []
    for run in (lambda: generator(z), lambda: [each() for each in products(generator, 2)]):
        with FlopCounterMode(display=False) as counter:
            run()
        flops.append(counter.get_total_flops())
    filters = sum(
        2 * 2 * 16 * layer.weight.shape[0] * layer.resolution**2 for layer in generator.render_net.convs if layer.up
    )  # the depthwise 4x4 filters after upsampling convolutions
    assert flops[1] == pytest.approx(flops[0] - filters, rel=0.03)


def test_the_benchmark_measures_every_way(generator):
    result = measure(generator, torch.randn(2, 8), repeats=2, slow_repeats=1)
    assert all(value > 0 for value in result.values())
    assert result["times_faster"] == pytest.approx(result["one_by_one"] / result["local"])
