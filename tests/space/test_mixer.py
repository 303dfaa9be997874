from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sfhub.errors import InputError
from sfhub.pipelines.sample import Segmentation
from sfhub.space.common.cache import Cache
from sfhub.space.common.cached_model import CachedModel
from sfhub.space.common.files import saved
from sfhub.space.common.picture_ref import PictureRef, refs
from sfhub.space.common.pictures import colour_of, hex_colour
from sfhub.space.mix_regions.state import POSE, SHAPE, TEXTURE, Mix, Source
from sfhub.space.mix_regions.work import Comparison, Mixer
from sfhub.steps.png import read_recipe

P = PictureRef.of_seed


@pytest.fixture
def model(tiny_pipeline):
    return CachedModel(tiny_pipeline)


@pytest.fixture
def mixer(model):
    return Mixer(model)


def test_samples_come_in_the_order_asked_for_and_are_made_once(model):
    first = model.samples(refs(3, 1), 0.7)
    again = model.samples(refs(1, 2, 3), 0.7)
    assert again[0] is first[1]
    assert again[2] is first[0]
    assert [sample.recipe["steps"][0]["seed"] for sample in again] == [1, 2, 3]


def test_another_psi_is_another_portrait(model):
    a, b = model.samples(refs(1), 0.5)[0], model.samples(refs(1), 1.0)[0]
    assert a.image.tobytes() != b.image.tobytes()


def test_a_mix_is_the_pipelines_and_is_made_once(mixer, tiny_pipeline):
    base, other = tiny_pipeline.sample([1, 2])
    expected = tiny_pipeline.mix(base, {"hair": other}, strength=0.5)
    mix = Mix(P(1), 0.7, (Source("hair", P(2), 0.5),))
    found = mixer.compare(mix)
    assert found.result.image.tobytes() == expected.image.tobytes()
    assert found.result.recipe == expected.recipe
    assert mixer.compare(Mix(P(1), 0.7, (Source("hair", P(2), 0.5),))) is found


def test_without_sources_the_result_is_the_base_and_nothing_differs(mixer):
    found = mixer.compare(Mix(P(1)))
    assert found.result.image.tobytes() == found.base.image.tobytes()
    assert not found.difference.any()
    assert found.inside is None
    assert found.outside == 0


def test_inside_and_outside_are_means_over_the_changed_regions_and_the_rest():
    changed = np.array([[True, False], [False, False]])
    difference = np.array([[12, 3], [0, 3]], dtype=np.float32)
    found = Comparison(None, None, Segmentation(changed.astype(int), ("a", "b")), changed, difference)
    assert found.inside == 12
    assert found.outside == 2


def test_changed_regions_are_taken_where_base_or_result_has_them(mixer, tiny_pipeline):
    found = mixer.compare(Mix(P(1), 0.7, (Source("hair", P(2)),)))
    before, after = tiny_pipeline.segment([found.base, found.result])
    assert (found.changed == (before.mask("hair") | after.mask("hair"))).all()


def test_a_saved_picture_comes_back_as_its_mix_and_as_itself(mixer, tmp_path):
    mix = Mix(P(1), 0.7, (Source("hair", P(2), 0.5), Source("mouth", P(3))))
    saved = mixer.compare(mix).result
    path = saved.save(tmp_path / "a.png")
    assert mixer.laid_out(read_recipe(path)) == replace(mix, model=mixer.model.name)
    assert mixer.model.redo(read_recipe(path)).image.tobytes() == saved.image.tobytes()


def test_a_picture_of_another_model_is_refused_by_name(mixer, tiny_generator, tmp_path):
    sample = mixer.model.samples(refs(1), 0.7)[0]
    sample.recipe["model"] = {**sample.recipe["model"], "name": "cars", "revision": "sha256:0"}
    path = sample.save(tmp_path / "a.png")
    for use in (mixer.laid_out, mixer.model.redo):
        with pytest.raises(InputError, match=r"made with the model cars .*, but this page runs StyleGANPipeline"):
            use(read_recipe(path))


def test_a_mix_of_components_takes_shape_texture_and_pose_from_where_it_is_told(semantic_pipeline, tmp_path):
    mixer = Mixer(CachedModel(semantic_pipeline))
    a, b, c, d = semantic_pipeline.sample([1, 2, 3, 4])
    expected = semantic_pipeline.mix(a, {"mouth": d}, {"hair": 0.5}, shape={"hair": b}, texture={"hair": c}, layout=d)
    sources = (
        Source("hair", P(2), 0.5, SHAPE),
        Source("hair", P(3), 0.5, TEXTURE),
        Source("mouth", P(4)),
        Source(POSE, P(4)),
    )
    mix = Mix(P(1), 0.7, tuple(sorted(sources)), method="semantic")
    found = mixer.compare(mix)
    assert found.result.image.tobytes() == expected.image.tobytes()
    assert mixer.laid_out(read_recipe(found.result.save(tmp_path / "a.png"))) == replace(mix, model=mixer.model.name)


def test_the_map_of_components_has_the_regions_of_the_menu_in_their_colours(semantic_pipeline):
    mixer = Mixer(CachedModel(semantic_pipeline))
    menu, shown = mixer.model.menu, mixer.compare(Mix(P(1), method="semantic")).segmentation
    assert set(shown.regions) == set(semantic_pipeline.regions)
    classes = semantic_pipeline.segment(semantic_pipeline.sample(1)[0])
    for region in semantic_pipeline.regions:
        covered = [classes.mask(part) for part in semantic_pipeline.covered_by(region)]
        assert (shown.mask(region) == np.any(covered, axis=0)).all()
        assert menu.colour(region) == hex_colour(colour_of(shown.regions.index(region)))


def test_shape_and_texture_of_different_strengths_cannot_be_laid_out(semantic_pipeline, tmp_path):
    a, b = semantic_pipeline.sample([1, 2])
    half = semantic_pipeline.mix(a, shape={"hair": b}, strength=0.5)
    step = half.recipe["steps"][-1]
    step |= {"regions": ["hair", "hair"], "parts": ["shape", "texture"], "strengths": [0.5, 1.0], "inputs": [0, 1, 1]}
    with pytest.raises(InputError, match="cannot lay out again"):
        Mixer(CachedModel(semantic_pipeline)).laid_out(read_recipe(half.save(tmp_path / "a.png")))


def test_a_cache_forgets_what_was_used_longest_ago():
    memory = Cache(2)
    memory.put("a", 1)
    memory.put("b", 2)
    memory.get("a")
    memory.put("c", 3)
    assert [memory.get(key) for key in "abc"] == [1, None, 3]


def test_recipes_of_both_methods_come_back_as_what_the_page_offers(fusion_pipeline, tmp_path):
    mixer = Mixer(CachedModel(fusion_pipeline))
    sources = (Source("mouth", P(3)), Source("skin", P(2), 0.5))
    for mix in (
        Mix(P(1), 0.7, (Source(POSE, P(4), 0.5), *sources), method="fusion"),
        Mix(P(1), 0.7, (Source("face", P(2)), Source("hair", P(3))), method="fusion"),
        Mix(P(1), 0.7, sources, method="catalog"),
        Mix(P(1), method="fusion"),
    ):
        path = mixer.compare(mix).result.save(tmp_path / "a.png")
        assert mixer.laid_out(read_recipe(path)) == replace(mix, model=mixer.model.name)
    a, b = fusion_pipeline.sample([1, 2])
    path = fusion_pipeline.mix(a, {"all": b}, 0.5).save(tmp_path / "all.png")
    with pytest.raises(InputError, match="regions that the page does not offer"):
        mixer.laid_out(read_recipe(path))


def test_the_map_has_the_names_of_the_menu_and_groups_change_all_their_regions(fusion_pipeline):
    mixer = Mixer(CachedModel(fusion_pipeline))
    found = mixer.compare(Mix(P(1), 0.7, (Source("face", P(2)),), method="fusion"))
    before, after = fusion_pipeline.segment([found.base, found.result])
    expected = [each.mask(part) for each in (before, after) for part in ("face", "mouth")]
    assert (found.changed == np.any(expected, axis=0)).all()
    assert found.segmentation.regions == ("background", "hair", "skin", "mouth")
    assert mixer.compare(Mix(P(1), 0.7, (Source(POSE, P(2)),), method="fusion")).changed.all()


def test_the_strength_of_everything_multiplies_that_of_each_source(mixer, tiny_pipeline):
    base, hair, mouth = tiny_pipeline.sample([1, 2, 3])
    expected = tiny_pipeline.mix(base, {"hair": hair, "mouth": mouth}, {"hair": 0.25, "mouth": 0.5})
    mix = Mix(P(1), 0.7, (Source("hair", P(2), 0.5), Source("mouth", P(3))), strength=0.5)
    assert mixer.compare(mix).result.image.tobytes() == expected.image.tobytes()


# Pictures without a seed


def test_a_picture_without_a_seed_is_a_base_and_a_source_like_any_other(mixer, tiny_pipeline):
    a, b, c = tiny_pipeline.sample([1, 2, 3])
    halfway = tiny_pipeline.interpolate(a, b, 3)[1]
    brought = mixer.model.bring(halfway)
    assert brought.seed is None and brought == PictureRef.of(halfway) != PictureRef.of(a)
    mix = Mix(brought, 0.7, (Source("hair", P(3)),))
    assert mixer.compare(mix).result.image.tobytes() == tiny_pipeline.mix(halfway, {"hair": c}).image.tobytes()
    assert mixer.compare(mix) is mixer.compare(replace(mix))
    mixed = mixer.compare(Mix(P(1), 0.7, (Source("hair", brought),))).result
    assert mixed.image.tobytes() == tiny_pipeline.mix(a, {"hair": halfway}).image.tobytes()
    assert Path(saved(mixed)).name == "portrait-1-2.png"


def test_a_picture_that_was_forgotten_is_asked_for_again(mixer):
    with pytest.raises(InputError, match="The picture 00000000 is no longer kept on this page; open it again"):
        mixer.compare(Mix(PictureRef(f"sha256:{'0' * 64}")))


@pytest.mark.parametrize("key", ["", "-1", "4294967296", "<b>", "sha256:", "sha256:" + "g" * 64, None, 1.5, "1 or 2"])
def test_a_browser_can_name_pictures_only_by_seed_or_digest(key):
    with pytest.raises(InputError, match=r"Seed .* cannot be used"):
        PictureRef.read(key)
    assert PictureRef.read("007") == P(7)
