"""Ward's clusters over several layers: what up-sampling and concatenating would give, named by hand or by a parser."""

import pytest
import torch
from torch.nn.functional import interpolate

from sfhub.errors import InputError
from sfhub.regions.build import build_catalog, measure_catalog
from sfhub.regions.catalog import RegionCatalog
from sfhub.regions.sampling import sample_styles
from sfhub.regions.soft import soft_clusters
from sfhub.regions.ward import merge_clusters, name_by_parser, ward_catalog, ward_centers
from tests.halves import REGIONS, HalvesParser, halves_generator

LAYERS = ["conv1", "convs.1"]


@pytest.fixture(scope="module")
def clusters(tiny_generator):
    codes = sample_styles(tiny_generator, 4, seed=0)
    return ward_catalog(tiny_generator, codes, 5, layers=LAYERS, positions=200, progress=False)


def activations_of(generator, catalog, count=2):
    return generator.synthesis(sample_styles(generator, count, seed=9), return_activations=catalog.layers)[1]


def test_two_clouds_are_two_clusters_with_their_means_as_centroids():
    source = torch.Generator().manual_seed(0)
    clouds = torch.tensor([[5.0, 0, 0]] * 30 + [[0, 5.0, 0]] * 20)
    points = clouds + 0.1 * torch.randn(50, 3, generator=source)
    centers = ward_centers(points, 2)
    assert torch.allclose(centers, torch.stack([points[:30].mean(0), points[30:].mean(0)]))


def test_a_position_belongs_to_the_nearest_centroid_of_the_up_sampled_concatenated_activations(
    tiny_generator, clusters
):
    activations = activations_of(tiny_generator, clusters)
    side = tiny_generator.style_layout[LAYERS[-1]].resolution
    large = [interpolate(activations[name], size=(side, side), mode="bilinear") for name in LAYERS]
    points = (torch.cat(large, dim=1).movedim(1, -1) - clusters.activation_mean) / clusters.activation_std
    distance = (points[..., None, :] - clusters.centers).square().mean(dim=-1)
    assert torch.equal(clusters.segment(activations), distance.argmin(dim=-1))
    similarity = clusters.cluster(activations)
    half = points.square().mean(dim=-1) / 2
    assert torch.allclose(similarity.movedim(1, -1), half[..., None] - distance / 2, atol=1e-4)


def test_the_channels_that_are_clustered_have_zero_mean_and_unit_variance(tiny_generator):
    codes = sample_styles(tiny_generator, 4, seed=0)
    catalog = ward_catalog(tiny_generator, codes, 2, layers=["convs.1"], positions=20, progress=False)
    value = tiny_generator.synthesis(codes, return_activations=["convs.1"])[1]["convs.1"]
    assert torch.allclose(catalog.activation_mean, value.mean(dim=(0, 2, 3)), atol=1e-4)
    assert torch.allclose(catalog.activation_std, value.std(dim=(0, 2, 3), correction=0), rtol=1e-3)


def test_the_soft_assignment_goes_with_the_nearest_centroid_and_has_gradients(tiny_generator, clusters):
    activations = activations_of(tiny_generator, clusters)
    activations["conv1"].requires_grad_()
    soft = soft_clusters(clusters, activations, temperature=1e-3)
    assert torch.equal(soft.argmax(dim=1), clusters.segment(activations))
    (gradient,) = torch.autograd.grad(soft_clusters(clusters, activations)[:, 0].sum(), activations["conv1"])
    assert gradient.abs().sum() > 0


def test_the_same_seed_finds_the_same_clusters_in_all_convolutions(tiny_generator):
    codes = sample_styles(tiny_generator, 3, seed=0)
    one, other = (ward_catalog(tiny_generator, codes, 3, positions=60, seed=4, progress=False) for _ in range(2))
    assert torch.equal(one.centers, other.centers)
    assert one.layers == tuple(entry.name for entry in tiny_generator.style_layout if entry.kind == "conv")


def test_clusters_of_one_name_become_one_region(tiny_generator, clusters):
    named = merge_clusters(clusters, ["hair", " skin", "hair", "rest", "skin "])
    assert named.regions == ("hair", "skin", "rest")
    before, after = (each.segment(activations_of(tiny_generator, clusters)) for each in (clusters, named))
    assert torch.equal(after, torch.tensor([0, 1, 0, 2, 1])[before])


def test_every_cluster_needs_a_name(clusters):
    with pytest.raises(InputError, match="4 names were given for 5 clusters"):
        merge_clusters(clusters, ["hair", "hair", "skin", " ", "rest"])


def test_a_named_catalog_is_measured_saved_and_loaded_whole(tiny_generator, clusters, tmp_path):
    named = merge_clusters(clusters, ["hair", "skin", "hair", "rest", "skin"])
    codes = sample_styles(tiny_generator, 4, seed=0)
    measure_catalog(
        tiny_generator, named, codes, influence_images=0, pairs=2, refine_steps=0, batch_size=32, progress=False
    )
    named.save_pretrained(tmp_path)
    loaded = RegionCatalog.from_pretrained(tmp_path)
    loaded.check_generator(tiny_generator)
    activations = activations_of(tiny_generator, clusters)
    assert loaded.layers == tuple(LAYERS)
    assert torch.equal(loaded.segment(activations), named.segment(activations))
    assert loaded.contribution.any() and not loaded.influence.any()
    assert all(how["method"] == "contribution" for how in loaded.config.defaults.values())


def test_a_parser_names_the_clusters_of_halves():
    generator, parser = halves_generator(), HalvesParser()
    codes = sample_styles(generator, 8, seed=0)
    found = ward_catalog(generator, codes, 2, layers=["conv1"], positions=128, progress=False)
    named, agreement = name_by_parser(generator, found, codes, parser, REGIONS)
    assert named.regions == tuple(REGIONS) and agreement > 0.99
    wanted = parser.segment(torch.zeros(2, 3, 4, 4)).long()
    assert torch.equal(named.segment(activations_of(generator, named)), wanted)
    assert torch.equal(named.region_labels(wanted), wanted)


def test_a_whole_catalog_can_be_built_from_wards_clusters():
    generator = halves_generator()
    catalog = build_catalog(
        generator,
        HalvesParser(),
        regions=REGIONS,
        layers=["conv1"],
        clustering="ward",
        num_clusters=2,
        num_images=8,
        pairs=8,
        refine_steps=0,
        progress=False,
    )
    assert all(catalog.config.measured[region]["transfer"] > 0.8 for region in REGIONS)


def test_mistakes_are_answered_in_a_sentence(tiny_generator, clusters):
    codes = sample_styles(tiny_generator, 2, seed=0)
    with pytest.raises(InputError, match=r"to_rgb1 cannot be clustered; choose among conv1"):
        ward_catalog(tiny_generator, codes, 2, layers=["to_rgb1"])
    with pytest.raises(InputError, match="9 clusters cannot be made of 4 points"):
        ward_catalog(tiny_generator, codes, 9, positions=4, progress=False)
    with pytest.raises(InputError, match=r"layer conv1, which was not given"):
        clusters.cluster(torch.zeros(1, 16, 8, 8))
    with pytest.raises(InputError, match="no clustering 'guess'; choose one of kmeans, ward"):
        build_catalog(tiny_generator, clustering="guess")
