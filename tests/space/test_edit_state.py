"""What a visitor of the tab Edit chooses: immutable values, no pictures."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfhub.errors import InputError
from sfhub.space.common.menu import Menu
from sfhub.space.common.picture_ref import PictureRef, refs
from sfhub.space.common.region_pills import listed, region_pills, toggled
from sfhub.space.common.repertoire import Layer
from sfhub.space.edit.state import MAX_LAYERS, EditedPicture, Editing

P = PictureRef.of_seed
START = Editing(EditedPicture(P(1), model="a"), gallery=refs(1, 2, 3))
SMILE = START.put_on(Layer("smile", 1.5, ("mouth",)))
BOTH = SMILE.put_on(Layer("curls", 0.5, ("hair",)))
MENU = Menu(
    ("mouth", "eyes", "hair"), ("face",), above={"mouth": ("face",), "eyes": ("face",)}, colours={"mouth": "#aabbcc"}
)


def own(layer):
    return {"smile": ("mouth",), "curls": ("hair",)}.get(layer.edit, ())


CHANGES = {
    "add": lambda session: session.put_on(Layer("age", 1.0, ())),
    "strength": lambda session: session.set_strength(0.25),
    "regions": lambda session: session.set_regions(("eyes",)),
    "lock": lambda session: session.set_lock(False),
    "mute": lambda session: session.mute(0) if session.picture.stack else session,
    "remove": lambda session: session.remove(0),
    "later": lambda session: session.move(0, 1) if session.picture.stack else session,
    "choose": lambda session: session.choose(0),
    "leave": lambda session: session.choose(None),
    "take": lambda session: session.take(P(2), own),
    "psi": lambda session: session.set_psi(1.0),
    "model": lambda session: session.set_model("b", lambda layer: layer if layer.edit == "smile" else None),
    "restore": lambda session: session.restore(EditedPicture(P(7), 0.9, (Layer("age", 2.0),))),
    "reset": Editing.reset,
}


def edits(session):
    return [layer.edit for layer in session.picture.stack]


def test_an_edit_goes_on_top_in_its_own_regions_and_the_controls_are_for_it():
    assert SMILE.picture.stack == (Layer("smile", 1.5, ("mouth",), lock=True),)
    assert BOTH.layer == Layer("curls", 0.5, ("hair",))


def test_an_edit_that_is_there_becomes_active_instead_of_doubled():
    again = BOTH.put_on(Layer("smile", 1.5, ("mouth",)))
    assert again.picture == BOTH.picture
    assert again.layer.edit == "smile"


def test_a_text_and_an_edit_of_one_name_are_two():
    text = Layer("smile", 1.0, ("mouth",), text=True)
    assert len(SMILE.put_on(text).picture.stack) == 2
    assert len(SMILE.put_on(text).put_on(text).picture.stack) == 2


def test_regions_chosen_beforehand_are_for_the_next_edit_only():
    aimed = START.set_regions(("eyes",))
    assert (aimed.regions, aimed.picture) == (("eyes",), START.picture)
    first = aimed.put_on(Layer("smile", 1.5, ("mouth",)))
    assert first.layer.regions == ("eyes",)
    assert first.put_on(Layer("curls", 0.5, ("hair",))).layer.regions == ("hair",)


def test_a_new_picture_resets_the_regions_chosen_on_the_old_one_and_keeps_the_edits():
    moved = BOTH.set_regions(("eyes", "mouth"))
    taken = moved.take(P(2), own)
    assert taken.picture.portrait == P(2)
    assert [layer.regions for layer in taken.picture.stack] == [("mouth",), ("hair",)]
    assert START.set_regions(("eyes",)).take(P(2), own).regions == ()
    assert taken.undo().picture == moved.picture
    # Of the same picture nothing is reset.
    assert moved.take(P(1), own).picture == moved.picture


def test_the_stack_is_reordered_muted_and_taken_off():
    three = BOTH.put_on(Layer("age", 1.0, ()))
    assert edits(three.move(0, 1)) == ["curls", "smile", "age"]
    assert three.move(0, 1).layer.edit == "smile"
    assert edits(three.move(2, 1)) == edits(three)
    muted = three.mute(1)
    assert [layer.edit for layer in muted.picture.heard] == ["smile", "age"]
    assert muted.mute(1).picture == three.picture
    assert three.choose(1).remove(0).layer.edit == "curls"
    assert three.choose(2).remove(2).layer.edit == "curls"
    assert three.choose(0).remove(0).layer.edit == "curls"
    assert SMILE.remove(0).layer is None
    assert three.choose(None).remove(0).layer is None


def test_strength_0_is_no_edit():
    assert SMILE.set_strength(0).picture.heard == ()


def test_everywhere_is_the_same_without_regions():
    assert [layer.regions for layer in BOTH.picture.everywhere.stack] == [(), ()]


def test_lock_is_for_the_active_edit_and_those_to_come():
    free = SMILE.set_lock(False)
    assert not free.layer.lock
    assert not free.put_on(Layer("curls", 1, ("hair",))).layer.lock
    assert not START.set_lock(False).put_on(Layer("smile", 1, ("mouth",))).layer.lock


def test_another_model_keeps_the_edits_it_has_and_undo_brings_all_back():
    other = BOTH.set_model("b", lambda layer: layer._replace(strength=1.0) if layer.edit == "smile" else None)
    assert (other.picture.model, edits(other), other.layer.strength) == ("b", ["smile"], 1.0)
    assert other.undo().picture == BOTH.picture


def test_another_model_cannot_show_a_picture_without_a_seed_and_takes_a_portrait():
    mixed = PictureRef("sha256:" + "a" * 64)
    session = START.restore(EditedPicture(mixed, model="a"))
    other = session.set_model("b", lambda layer: layer)
    assert other.picture.portrait == P(1)
    assert other.undo().picture.portrait == mixed


def test_one_drag_of_the_slider_is_one_step_back():
    dragged = SMILE.set_strength(0.3).set_strength(0.6).set_strength(0.9)
    assert dragged.undo().picture == SMILE.picture
    assert dragged.choose(0).set_strength(0.1).undo().picture == dragged.picture


def test_a_film_depends_on_all_but_the_strength_that_it_runs_through():
    assert BOTH.set_strength(0.1).filmed == BOTH.filmed
    assert BOTH.choose(0).filmed != BOTH.filmed
    assert BOTH.choose(0).set_strength(0.1).choose(1).filmed != BOTH.filmed
    assert START.filmed is None


def test_seeds_are_added_to_the_gallery_as_on_other_tabs():
    assert START.add("7").gallery == refs(7, 1, 2, 3)
    assert START.add(7).picture == START.picture


def test_there_is_an_end_to_the_stack():
    session = START
    for k in range(MAX_LAYERS):
        session = session.put_on(Layer(f"edit {k}", 1.0, ()))
    with pytest.raises(InputError, match="as many as it takes; take one off first"):
        session.put_on(Layer("one more", 1.0, ()))


@given(st.lists(st.sampled_from(sorted(CHANGES)), max_size=8))
def test_undo_walks_back_over_any_changes_and_redo_forward_again(names):
    session = BOTH
    for name in names:
        session = CHANGES[name](session)
    back = session
    while back.past:
        back = back.undo()
        assert back.active is None or back.layer is not None
    assert back.picture == START.picture
    while back.future:
        back = back.redo()
        assert back.active is None or back.layer is not None
    assert back.picture == session.picture


# Regions -------------------------------------------------------------------------------------------------------------


def test_regions_are_chosen_and_left_one_by_one():
    assert toggled((), "mouth", MENU) == ("mouth",)
    assert toggled(("mouth",), "hair", MENU) == ("mouth", "hair")
    assert toggled(("mouth", "hair"), "mouth", MENU) == ("hair",)


def test_a_group_takes_in_its_regions_and_gives_one_back():
    assert toggled(("mouth", "hair"), "face", MENU) == ("hair", "face")
    assert toggled(("hair", "face"), "mouth", MENU) == ("hair", "eyes")


def test_pills_say_what_is_chosen_also_by_a_group():
    shown = region_pills(MENU, ("face",), "Where?", more=("face", "ears"), whole=True)
    pressed = [part.split('"')[0] for part in shown.split('data-region="')[1:] if 'aria-pressed="true"' in part]
    assert pressed == ["mouth", "eyes", "face"]
    assert shown.count("<button") == 6
    assert 'data-action="whole" data-region="" aria-pressed="true"' in region_pills(MENU, (), "", whole=True)
    assert "&lt;b" in region_pills(MENU, ("<b",), "")


def test_regions_in_words():
    assert [listed(()), listed(("a_b",)), listed(("a", "b", "c"))] == ["whole picture", "a b", "a, b and c"]
