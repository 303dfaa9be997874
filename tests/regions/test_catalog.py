"""The region catalog as a Hub component: saves, loads, refuses what does not fit, segments and makes queries."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sfhub.editing.transfer import sequential_query
from sfhub.errors import InputError
from sfhub.models.stylegan2 import StyleGAN2Generator
from sfhub.regions.catalog import METHODS, RegionCatalog

REGIONS = ("sky", "sea", "sand")
WIDTHS = (("conv1", 4), ("convs.0", 4), ("convs.1", 3), ("to_rgb1", 4), ("to_rgbs.0", 3))


def small_generator(channels=3):
    return StyleGAN2Generator(resolution=8, z_dim=8, w_dim=8, num_mapping_layers=1, channels={"4": 4, "8": channels})


def filled_catalog():
    """Three regions, the last without a cluster of its own; random relevances."""
    catalog = RegionCatalog(
        regions=REGIONS,
        layer="convs.1",
        num_clusters=3,
        layer_channels=3,
        resolution=8,
        style_layers=WIDTHS,
        class_regions=[0, 1, 1, 2],
        defaults={"sky": {"mode": "threshold", "threshold": 0.5}},
    )
    source = torch.Generator().manual_seed(0)
    for buffer in catalog.buffers():
        if buffer.is_floating_point():
            buffer.copy_(torch.rand(buffer.shape, generator=source))
    catalog.centers.copy_(torch.eye(3))
    catalog.activation_mean.zero_()
    catalog.activation_std.fill_(1)
    catalog.cluster_region.copy_(torch.tensor([0, 1, 0]))
    return catalog


CATALOG = filled_catalog()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_saved_catalog_loads_equal(tmp_path, dtype):
    CATALOG.save_pretrained(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "diffusion_pytorch_model.safetensors"}
    loaded = RegionCatalog.from_pretrained(tmp_path, torch_dtype=dtype)
    assert loaded.regions == REGIONS and loaded.layer == "convs.1"
    assert loaded.config.defaults == CATALOG.config.defaults
    loaded.check_generator(small_generator())
    assert torch.equal(loaded.cluster_region, CATALOG.cluster_region)
    for name, buffer in CATALOG.named_buffers():
        wanted = buffer.to(dtype) if buffer.is_floating_point() else buffer
        assert torch.equal(loaded.get_buffer(name), wanted), name


def test_the_catalog_of_another_generator_is_refused_in_one_sentence():
    CATALOG.check_generator(small_generator())
    with pytest.raises(InputError, match="8 pixels with 18 styles") as caught:
        CATALOG.check_generator(small_generator(channels=5))
    assert "\n" not in str(caught.value) and str(caught.value).count(". ") == 0


@pytest.mark.parametrize("ask", [CATALOG.query, CATALOG.default_query])
def test_an_unknown_region_is_refused_with_the_known_ones(ask):
    with pytest.raises(InputError, match=r"'moon'.*sky, sea, sand"):
        ask("moon")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "magic"}, "'magic'.*contribution, influence"),
        ({"mode": "magic"}, "'magic'.*sequential, simultaneous, threshold"),
        ({"mode": "threshold", "epsilon": 3}, "threshold query takes threshold but was given epsilon"),
        ({"mode": "sequential"}, "takes epsilon and rho but was given nothing"),
    ],
)
def test_a_query_that_cannot_be_made_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        CATALOG.query("sea", **arguments)


@pytest.mark.parametrize("method", METHODS)
def test_sequential_queries_have_their_budget_per_layer_as_in_the_paper(method):
    got = CATALOG.query("sea", method=method, mode="sequential", epsilon=1.5, rho=0.2)
    row = CATALOG.relevance(method)[1]
    first = sequential_query(row[:4], 1.5, 0.2)
    last = sequential_query(row[-3:], 1.5, 0.2)
    assert torch.equal(got[:4], first) and torch.equal(got[-3:], last)
    assert got.shape == (18,)


@given(st.sampled_from(REGIONS), st.floats(0, 5), st.floats(0, 5))
def test_queries_grow_with_their_parameter(region, one, other):
    small, large = sorted((one, other))
    for mode, name in (("sequential", "epsilon"), ("simultaneous", "gain")):
        less, more = (CATALOG.query(region, mode=mode, **{name: value}) for value in (small, large))
        assert (less <= more).all() and less.min() >= 0 and more.max() <= 1


def test_positions_get_the_region_of_the_nearest_cluster():
    activation = torch.tensor([[5.0, 0.1, 0.0], [0.0, 0.2, 0.1], [0.1, 0.1, 9.0]]).T.reshape(1, 3, 1, 3)
    assert CATALOG.segment({"convs.1": activation}).tolist() == [[[0, 1, 0]]]


def test_segmentation_can_be_enlarged_and_a_region_without_clusters_appears_nowhere():
    activation = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(2))
    small, large = CATALOG.segment(activation), CATALOG.segment(activation, size=(16, 12))
    assert small.shape == (2, 4, 4) and large.shape == (2, 16, 12)
    assert small.max() < 2 and large.max() < 2


def test_masks_of_the_parser_become_regions():
    mask = torch.tensor([[[0, 1], [2, 3]]], dtype=torch.uint8)
    assert CATALOG.region_labels(mask).tolist() == [[[0, 1], [1, 2]]]
