import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfhub.errors import InputError
from sfhub.space.common.picture_ref import PictureRef, refs
from sfhub.space.common.visit import GALLERY_LIMIT
from sfhub.space.mix_regions.state import BASE, BOTH, POSE, SHAPE, TEXTURE, Mix, Session, Source
from sfhub.steps.mix_by_catalog import MixByCatalog
from sfhub.steps.recipe import read_steps

P = PictureRef.of_seed
REGIONS = ("eyes", "hair", "mouth")
START = Session(Mix(P(1), sources=(Source("hair", P(2)),)), gallery=refs(1, 2, 3, 4), active="hair")

CHANGES = {
    "pick": lambda session: session.pick(P(3)),
    "pick base": lambda session: session.choose(BASE).pick(P(4)),
    "pick eyes": lambda session: session.choose("eyes").pick(P(2)),
    "clear": lambda session: session.clear("hair"),
    "reset": Session.reset,
    "strength": lambda session: session.set_strength(0.5),
    "method": lambda session: session.set_method("fusion"),
    "overall": lambda session: session.set_overall(0.5),
    "psi": lambda session: session.set_psi(1.0),
    "randomise": lambda session: session.randomise(REGIONS, random.Random(0)),
    "restore": lambda session: session.restore(Mix(P(7), 0.9, (Source("eyes", P(8), 0.25),))),
}


def test_a_pick_goes_to_the_chosen_region_or_to_the_base():
    assert START.choose("mouth").pick(P(3)).mix.source("mouth") == Source("mouth", P(3), 1.0)
    assert START.choose(BASE).pick(P(3)).mix.base == P(3)


def test_another_source_keeps_the_strength_of_the_region():
    assert START.set_strength(0.3).pick(P(4)).mix.source("hair") == Source("hair", P(4), 0.3)


def test_only_fusing_takes_a_pose_and_switching_keeps_it_for_later():
    posed = START.set_method("fusion").choose(POSE).pick(P(3))
    assert posed.mix.used == (Source(POSE, P(3)), Source("hair", P(2)))
    styled = posed.set_method("catalog")
    assert styled.mix.used == (Source("hair", P(2)),)
    assert styled.active == BASE
    assert styled.set_method("fusion").mix == posed.mix


def test_shape_and_texture_of_a_region_have_sources_of_their_own():
    start = Session(Mix(P(1), method="semantic"), gallery=refs(1, 2, 3), active="hair")
    both = start.pick(P(2))
    assert both.mix.sources == (Source("hair", P(2)),)
    apart = both.set_strength(0.5).set_part(SHAPE).pick(P(3))
    assert apart.mix.sources_of("hair") == (Source("hair", P(3), 0.5, SHAPE), Source("hair", P(2), 0.5, TEXTURE))
    assert apart.mix.source("hair") is None
    assert apart.mix.source("hair", SHAPE).picture == P(3)
    assert apart.set_strength(0.25).mix.source("hair", TEXTURE) == Source("hair", P(2), 0.25, TEXTURE)
    assert apart.set_part(TEXTURE).pick(P(3)).mix.sources == (Source("hair", P(3), 0.5),)
    assert apart.set_part(BOTH).pick(P(1)).mix.sources == (Source("hair", P(1), 0.5),)
    assert apart.clear("hair").mix.sources == ()
    assert apart.choose(POSE).pick(P(3)).mix.source(POSE) == Source(POSE, P(3))


def test_another_model_makes_the_same_choices_as_far_as_it_can_and_undo_brings_all_back():
    mix = Mix(P(1), method="semantic", model="a", sources=(Source("earrings", P(2)), Source("hair", P(3))))
    session = Session(mix, refs(1, 2, 3), active="earrings", part=SHAPE)
    session = session.choose("eyes").pick(P(2)).choose("earrings")
    other = session.set_model("b", MixByCatalog, ("eyes", "hair"))
    assert other.mix == Mix(P(1), model="b", sources=(Source("hair", P(3)),))
    assert (other.part, other.fitted(("eyes", "hair")).active) == (BOTH, BASE)
    assert other.undo().mix == session.mix


def test_strength_without_a_source_changes_nothing():
    assert START.choose("mouth").set_strength(0.5).mix == START.mix


def test_the_order_of_clicks_does_not_make_a_different_mix():
    one = Mix(P(1)).with_source(Source("mouth", P(3))).with_source(Source("eyes", P(2)))
    other = Mix(P(1)).with_source(Source("eyes", P(2))).with_source(Source("mouth", P(3)))
    assert one == other
    assert hash(one) == hash(other)


@given(st.lists(st.sampled_from(sorted(CHANGES)), max_size=8))
def test_undo_walks_back_over_any_changes_and_redo_forward_again(names):
    session, seen = START, [START.mix]
    for name in names:
        session = CHANGES[name](session)
        if session.mix != seen[-1]:
            seen.append(session.mix)
    back = session
    for _ in range(len(seen) - 1):
        back = back.undo()
    # Moving one slider on and on is one step, so there may be fewer steps than changes.
    assert back.mix == START.mix
    assert back.undo() == back
    while back.future:
        back = back.redo()
    assert back.mix == session.mix


def test_one_drag_of_a_slider_is_one_step_back():
    dragged = START.set_strength(0.8).set_strength(0.6).set_strength(0.4)
    assert dragged.undo().mix == START.mix


def test_two_drags_with_another_click_between_are_two_steps_back():
    dragged = START.set_strength(0.8).choose("eyes").choose("hair").set_strength(0.6)
    assert dragged.undo().mix.source("hair").strength == 0.8


def test_a_change_after_undo_forgets_what_was_undone():
    assert START.pick(P(3)).undo().pick(P(4)).future == ()


def test_surprises_are_new_and_the_gallery_stays_bounded():
    session = START
    for _ in range(10):
        offered = session.surprise(6, random.Random(len(session.gallery)))
        assert not set(offered.gallery[:6]) & set(session.gallery)
        session = offered
    assert len(session.gallery) == GALLERY_LIMIT


@pytest.mark.parametrize("seed", [-1, 2**32, "abc", None, 1.5])
def test_a_bad_seed_is_refused_in_one_sentence(seed):
    with pytest.raises(InputError, match=r"Seed .* cannot be used; take a whole number from 0 to 4294967295"):
        START.add(seed)


def test_a_recipe_lays_out_the_mix_that_it_came_from(tiny_pipeline):
    base, hair, mouth = tiny_pipeline.sample([5, 6, 7], truncation_psi=0.8)
    sample = tiny_pipeline.mix(base, {"hair": hair, "mouth": mouth}, strength={"hair": 0.5})
    assert Mix.from_steps(read_steps(sample.recipe)) == Mix(
        P(5), 0.8, (Source("hair", P(6), 0.5), Source("mouth", P(7), 1.0))
    )
    assert Mix.from_steps(read_steps(base.recipe)) == Mix(P(5), 0.8)


def test_a_recipe_that_the_tab_cannot_lay_out_is_refused(tiny_pipeline):
    a, b = tiny_pipeline.sample([5, 6])
    mixed = tiny_pipeline.mix(a, {"hair": b})
    for sample in (
        tiny_pipeline.mix(mixed, {"mouth": b}),
        tiny_pipeline.mix(a, {"hair": tiny_pipeline.sample(6, truncation_psi=1.0)[0]}),
        tiny_pipeline.mix(a, {"hair": b}, method="contribution", threshold=0.3),
        tiny_pipeline.interpolate(a, b, 3)[1],
    ):
        with pytest.raises(InputError, match="the tab cannot lay out again"):
            Mix.from_steps(read_steps(sample.recipe))
