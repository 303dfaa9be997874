"""Sampling, mixing, comparing and segmenting with a tiny random generator."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sfhub.errors import InputError
from sfhub.models.stylegan2 import StyleGAN2Generator
from sfhub.pipelines.stylegan import StyleGANPipeline
from sfhub.portraits.parser import PortraitParser


def pixels(sample):
    return np.asarray(sample.image)


@pytest.fixture(scope="module")
def abc(tiny_pipeline):
    return tiny_pipeline.sample([1, 2, 3])


# Sampling


def test_a_seed_gives_the_same_picture_in_any_batch(tiny_pipeline, abc):
    alone = tiny_pipeline.sample(2)[0]
    elsewhere = tiny_pipeline.sample([7, 2])[1]
    assert torch.equal(alone.s, abc[1].s) and torch.equal(elsewhere.s, abc[1].s)
    assert np.array_equal(pixels(alone), pixels(abc[1])) and np.array_equal(pixels(elsewhere), pixels(abc[1]))


def test_different_seeds_give_different_pictures_of_the_generators_size(abc):
    assert not np.array_equal(pixels(abc[0]), pixels(abc[1]))
    assert abc[0].image.size == (32, 32) and abc[0].image.mode == "RGB"


def test_psi_zero_gives_everyone_the_average_face(tiny_pipeline):
    a, b = tiny_pipeline.sample([1, 2], truncation_psi=0)
    assert np.array_equal(pixels(a), pixels(b))


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "7", True, None])
def test_a_seed_out_of_range_is_named(tiny_pipeline, seed):
    with pytest.raises(InputError, match=r"^Seed .* cannot be used; take a whole number from 0 to 4294967295\.$"):
        tiny_pipeline.sample([1, seed])


def test_the_ends_of_the_seed_range_and_numpy_integers_work(tiny_pipeline):
    assert len(tiny_pipeline.sample([0, 2**32 - 1, np.int64(5)])) == 3


@pytest.mark.parametrize("psi", [float("nan"), 3, "0.7"])
def test_a_psi_out_of_range_is_named(tiny_pipeline, psi):
    with pytest.raises(InputError, match=r"Truncation psi is .* take a number from -2 to 2"):
        tiny_pipeline.sample(1, truncation_psi=psi)


def test_classes_of_a_conditional_generator_give_different_pictures():
    generator = StyleGAN2Generator(
        resolution=8, z_dim=8, w_dim=8, num_mapping_layers=1, channels={"4": 8, "8": 8}, num_classes=3
    )
    pipe = StyleGANPipeline(generator.eval())
    zero, two = pipe.sample([5, 5], label=[0, 2])
    assert not np.array_equal(pixels(zero), pixels(two))
    assert np.array_equal(pixels(pipe.sample(5, label=2)[0]), pixels(two))
    with pytest.raises(InputError, match="takes a class from 0 to 2"):
        pipe.sample(5, label=3)
    with pytest.raises(InputError, match="takes a class from 0 to 2"):
        pipe.sample(5)
    with pytest.raises(InputError, match="2 labels do not go with 1 seeds"):
        pipe.sample(5, label=[0, 1])


def test_a_label_for_a_model_without_classes_is_refused(tiny_pipeline):
    with pytest.raises(InputError, match="Label 1 cannot be used, for this model has no classes"):
        tiny_pipeline.sample(1, label=1)


# Mixing


def test_mixing_is_equation_3_with_the_catalogs_query(tiny_pipeline, tiny_catalog, abc):
    a, b, _ = abc
    q = tiny_catalog.default_query("hair")
    mixed = tiny_pipeline.mix(a, {"hair": b}, strength=0.25)
    torch.testing.assert_close(mixed.s, a.s + 0.25 * q * (b.s - a.s))
    assert not np.array_equal(pixels(mixed), pixels(a))


def test_a_method_takes_another_query_of_the_catalog(tiny_pipeline, tiny_catalog, abc):
    a, b, _ = abc
    mixed = tiny_pipeline.mix(a, {"hair": b}, method="influence", mode="threshold", threshold=0.9)
    q = tiny_catalog.query("hair", method="influence", mode="threshold", threshold=0.9)
    torch.testing.assert_close(mixed.s, torch.where(q > 0, b.s, a.s))
    assert mixed.recipe["steps"][-1]["query"] == {"method": "influence", "mode": "threshold", "threshold": 0.9}


@settings(max_examples=25, deadline=None)
@given(strength=st.floats(0, 1), region=st.sampled_from(["background", "hair", "face", "mouth"]))
def test_a_picture_mixed_with_itself_is_that_picture(tiny_pipeline, abc, strength, region):
    assert torch.equal(tiny_pipeline.mix(abc[0], {region: abc[0]}, strength).s, abc[0].s)


@settings(max_examples=25, deadline=None)
@given(regions=st.sets(st.sampled_from(["background", "hair", "face", "mouth"]), min_size=1))
def test_strength_zero_is_the_identity(tiny_pipeline, abc, regions):
    mixed = tiny_pipeline.mix(abc[0], dict.fromkeys(regions, abc[1]), strength=0)
    assert torch.equal(mixed.s, abc[0].s)
    assert np.array_equal(pixels(mixed), pixels(abc[0]))


@settings(max_examples=25, deadline=None)
@given(order=st.permutations(["background", "hair", "face", "mouth"]))
def test_the_order_of_the_regions_does_not_matter(tiny_pipeline, abc, order):
    sources = {"background": abc[1], "hair": abc[2], "face": abc[1], "mouth": abc[2]}
    reference = tiny_pipeline.mix(abc[0], sources)
    shuffled = tiny_pipeline.mix(abc[0], {name: sources[name] for name in order})
    torch.testing.assert_close(shuffled.s, reference.s)


@settings(max_examples=25, deadline=None)
@given(
    strengths=st.fixed_dictionaries({name: st.floats(0, 1) for name in ("hair", "face", "mouth")}),
)
def test_overlapping_regions_never_leave_the_range_of_their_sources(tiny_pipeline, abc, strengths):
    a, b, c = abc
    mixed = tiny_pipeline.mix(a, {"hair": b, "face": c, "mouth": b}, strengths).s
    codes = torch.cat([a.s, b.s, c.s])
    slack = 1e-5
    assert (mixed >= codes.amin(dim=0) - slack).all() and (mixed <= codes.amax(dim=0) + slack).all()


def test_batches_are_mixed_one_by_one_and_single_pictures_are_repeated(tiny_pipeline, abc):
    a, b, c = abc
    both = tiny_pipeline.mix([a, b], {"hair": c})
    each = [tiny_pipeline.mix(base, {"hair": c}) for base in (a, b)]
    assert all(torch.equal(x.s, y.s) for x, y in zip(both, each, strict=True))
    assert len(tiny_pipeline.mix(a, {"hair": [b, c, b]})) == 3
    with pytest.raises(InputError, match=r"Batches of \[2, 3\] pictures do not go together"):
        tiny_pipeline.mix([a, b], {"hair": [a, b, c]})


def test_calling_the_pipeline_mixes(tiny_pipeline, abc):
    assert torch.equal(tiny_pipeline(abc[0], {"hair": abc[1]}).s, tiny_pipeline.mix(abc[0], {"hair": abc[1]}).s)


@pytest.mark.parametrize(
    ("regions", "options", "sentence"),
    [
        (["hiar"], {}, r"There is no region 'hiar' in this model: did you mean 'hair'\? It has background, hair, face"),
        (["tail"], {}, "There is no region 'tail' in this model: it has background"),
        ([], {}, "No region was given a source; choose from background, hair"),
        (["hair"], {"strength": 1.5}, "Strength is 1.5; take a number from 0 to 1"),
        (["hair"], {"strength": {"hair": -1}}, "The strength of 'hair' is -1; take a number from 0 to 1"),
        (["hair"], {"strength": {"mouth": 0.5}}, "Region 'mouth' has a strength but no source"),
        (["hair"], {"method": "magic"}, "There is no method 'magic'; choose one of contribution, influence"),
        (["hair"], {"method": "influence", "region": 1.0}, r"The query settings .* cannot be used"),
        (["hair"], {"mode": "sequential", "epsilon": "much"}, r"The query settings .* cannot be used"),
    ],
)
def test_wrong_requests_to_mix_are_one_sentence(tiny_pipeline, abc, regions, options, sentence):
    with pytest.raises(InputError, match=sentence) as caught:
        tiny_pipeline.mix(abc[0], dict.fromkeys(regions, abc[1]), **options)
    assert "\n" not in str(caught.value)


def test_without_a_catalog_mixing_says_what_is_missing(tiny_generator):
    pipe = StyleGANPipeline(tiny_generator)
    a, b = pipe.sample([1, 2])
    with pytest.raises(InputError, match="this model has no region catalog"):
        pipe.mix(a, {"hair": b})


def test_pictures_of_another_model_are_refused(tiny_pipeline, abc):
    other = StyleGANPipeline(
        StyleGAN2Generator(resolution=8, z_dim=8, w_dim=8, num_mapping_layers=1, channels={"4": 8, "8": 8})
    )
    with pytest.raises(InputError, match=r"A picture of model StyleGANPipeline .* cannot be used with model"):
        tiny_pipeline.mix(abc[0], {"hair": other.sample(1)[0]})


def test_a_catalog_of_another_generator_is_refused(tiny_catalog):
    other = StyleGAN2Generator(resolution=8, z_dim=8, w_dim=8, num_mapping_layers=1, channels={"4": 8, "8": 8})
    with pytest.raises(InputError, match="catalog was made for a generator of 32 pixels"):
        StyleGANPipeline(other, tiny_catalog)


# Films and grids


def test_a_film_goes_from_one_picture_to_the_other(tiny_pipeline, abc):
    film = tiny_pipeline.interpolate(abc[0], abc[1], steps=4)
    assert len(film) == 4
    assert torch.equal(film[0].s, abc[0].s) and torch.equal(film[-1].s, abc[1].s)
    torch.testing.assert_close(film[1].s, torch.lerp(abc[0].s, abc[1].s, 1 / 3))


def test_a_film_of_one_region_ends_at_the_mix(tiny_pipeline, abc):
    film = tiny_pipeline.interpolate(abc[0], abc[1], steps=3, regions=["hair"])
    torch.testing.assert_close(film[-1].s, tiny_pipeline.mix(abc[0], {"hair": abc[1]}).s)
    with pytest.raises(InputError, match="There is no region 'tail'"):
        tiny_pipeline.interpolate(abc[0], abc[1], steps=3, regions=["tail"])
    with pytest.raises(InputError, match="No region was named to move"):
        tiny_pipeline.interpolate(abc[0], abc[1], steps=3, regions=[])


@pytest.mark.parametrize("steps", [1, 1001, 2.5])
def test_a_film_needs_a_sensible_number_of_pictures(tiny_pipeline, abc, steps):
    with pytest.raises(InputError, match="take a whole number from 2 to 1000"):
        tiny_pipeline.interpolate(abc[0], abc[1], steps=steps)


def test_a_grid_shows_the_pictures_row_by_row(tiny_pipeline, abc):
    grid = tiny_pipeline.grid(abc, columns=2)
    assert grid.image.size == (64, 64)
    assert np.array_equal(pixels(grid)[:32, 32:], pixels(abc[1]))
    assert np.array_equal(pixels(grid)[32:, :32], pixels(abc[2]))
    with pytest.raises(InputError, match="A grid cannot be used as a picture"):
        tiny_pipeline.mix(grid, {"hair": abc[0]})
    with pytest.raises(InputError, match="A grid of 0 pictures"):
        tiny_pipeline.grid([])


# Looking


def test_segmentation_gives_a_region_to_every_pixel(tiny_pipeline, abc):
    found = tiny_pipeline.segment(abc[0])
    assert found.labels.shape == (32, 32) and found.regions == tiny_pipeline.regions
    masks = np.stack([found.mask(name) for name in found.regions])
    assert (masks.sum(axis=0) == 1).all()
    assert len(tiny_pipeline.segment(abc)) == 3
    with pytest.raises(InputError, match="There is no region 'tail' here; choose one of background"):
        found.mask("tail")


def test_without_a_catalog_the_parser_segments(tiny_generator):
    pipe = StyleGANPipeline(tiny_generator, parser=PortraitParser(resolution=32, widths=(8, 8, 8)).eval())
    found = pipe.segment(pipe.sample(1)[0])
    assert found.labels.shape == (32, 32) and "hair" in found.regions
    assert set(np.unique(found.labels)) <= set(range(len(found.regions)))


def test_without_catalog_and_parser_segmentation_says_what_is_missing(tiny_generator):
    pipe = StyleGANPipeline(tiny_generator)
    with pytest.raises(InputError, match="neither a region catalog nor a parser"):
        pipe.segment(pipe.sample(1)[0])


def test_the_difference_is_zero_only_where_nothing_changed(tiny_pipeline, abc):
    assert tiny_pipeline.difference(abc[0], abc[0]).max() == 0
    difference = tiny_pipeline.difference(abc[0], abc[1])
    assert difference.shape == (32, 32)
    changed = (pixels(abc[0]) != pixels(abc[1])).any(axis=-1)
    assert np.array_equal(difference > 0, changed)
    assert tiny_pipeline.difference(abc[0], abc).shape == (3, 32, 32)


# As diffusers does it


def test_the_progress_bar_can_be_switched_off(tiny_generator, capsys):
    pipe = StyleGANPipeline(tiny_generator)
    pipe.set_progress_bar_config(delay=0)
    pipe.sample([1, 2])
    assert "2/2" in capsys.readouterr().err
    pipe.set_progress_bar_config(disable=True)
    pipe.sample([1, 2])
    assert capsys.readouterr().err == ""


def test_short_work_shows_no_progress_bar(tiny_generator, capsys):
    StyleGANPipeline(tiny_generator).sample([1, 2])
    assert capsys.readouterr().err == ""


def test_a_picture_put_to_rest_in_another_precision_can_be_used_again(tiny_pipeline, abc):
    resting = dataclasses.replace(abc[0], s=abc[0].s.double())
    assert torch.equal(tiny_pipeline.mix(resting, {"hair": abc[1]}).s, tiny_pipeline.mix(abc[0], {"hair": abc[1]}).s)
    assert np.array_equal(tiny_pipeline.segment(resting).labels, tiny_pipeline.segment(abc[0]).labels)


def test_an_unknown_device_is_one_sentence(tiny_pipeline):
    with pytest.raises(InputError, match="Device 'abacus' cannot be used"):
        tiny_pipeline.to_device("abacus")
