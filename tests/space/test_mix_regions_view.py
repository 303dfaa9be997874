import numpy as np

from sfhub.pipelines.sample import Segmentation
from sfhub.space.common.menu import Menu
from sfhub.space.common.picture_ref import PictureRef, refs
from sfhub.space.mix_regions import view
from sfhub.space.mix_regions.state import BASE, Mix, Session, Source
from sfhub.space.mix_regions.work import Comparison

P = PictureRef.of_seed
HOSTILE = '<img src=x onerror="alert(1)">'
PICTURES = {"1": "data:one", "2": "data:two"}


def comparison(inside: float, outside: float) -> Comparison:
    changed = np.array([[True, False]])
    difference = np.array([[inside, outside]], dtype=np.float32)
    return Comparison(None, None, Segmentation(np.array([[0, 1]]), ("hair", HOSTILE)), changed, difference)


def test_names_of_regions_are_shown_as_text_whatever_a_model_calls_them():
    session = Session(Mix(P(1), sources=(Source(HOSTILE, P(2)),)), refs(1, 2), active=HOSTILE)
    shown = [
        view.chips(session, Menu((HOSTILE,)), PICTURES),
        view.notes(comparison(1, 1), session.mix),
        *(item["use"] for item in view.gallery(session, Menu((HOSTILE,)))),
    ]
    assert all("<img src=x" not in markup and 'onerror="' not in markup for markup in shown)
    assert all("&lt;img src=x" in markup for markup in (shown[0], shown[1], shown[3]))


def test_a_region_shows_its_source_and_can_be_cleared_but_one_without_cannot():
    shown = view.chips(
        Session(Mix(P(1), sources=(Source("hair", P(2)),)), refs(1, 2)), Menu(("hair", "mouth")), PICTURES
    )
    assert shown.count('data-action="clear"') == 1
    assert 'data-action="clear" data-region="hair"' in shown
    assert "data:two" in shown
    assert "portrait 2" in shown


def test_shape_and_texture_from_two_portraits_show_both():
    sources = (Source("hair", P(1), part="shape"), Source("hair", P(2), part="texture"))
    session = Session(Mix(P(3), sources=sources, method="semantic"), refs(1, 2, 3), active="hair", part="texture")
    shown = view.chips(session, Menu(("hair",)), {**PICTURES, "3": "data:three"})
    assert "shape 1, texture 2" in shown
    assert shown.index("data:one") < shown.index('class="texture" src="data:two"')
    assert "take the texture of the <b>hair</b> from" in shown
    items = {item["key"]: item for item in view.gallery(session, Menu(("hair",)))}
    assert (items["2"]["picked"], items["2"]["use"]) == ("true", ", used for texture of hair")


def test_the_hint_says_where_the_next_click_goes():
    session = Session(Mix(P(1)), refs(1, 2), active="hair")
    assert "take the <b>hair</b> from" in view.chips(session, Menu(("hair",)), PICTURES)
    assert "the portrait to start from" in view.chips(session.choose(BASE), Menu(("hair",)), PICTURES)


def test_the_gallery_marks_the_portrait_in_use_for_the_chosen_region():
    session = Session(Mix(P(1), sources=(Source("hair", P(2)),)), refs(1, 2, 3), active="hair")
    shown = {item["key"]: item for item in view.gallery(session, Menu(("hair",)))}
    assert [shown[key]["picked"] for key in "123"] == ["false", "true", "false"]
    assert shown["1"]["use"] == ", used for the base"
    assert shown["2"]["use"] == ", used for hair"
    assert len(shown["2"]["colours"]) == 1


def test_the_notes_put_inside_and_outside_in_proportion():
    mix = Mix(P(1), sources=(Source("hair", P(2)),))
    assert "<b>13.0</b> inside hair, <b>2.0</b> outside, <b>6.5 : 1</b>" in view.notes(comparison(13, 2), mix)
    assert "<b>15 : 1</b>" in view.notes(comparison(30, 2), mix)
    assert "all inside" in view.notes(comparison(13, 0), mix)
    assert "Nothing is mixed yet" in view.notes(comparison(0, 0), Mix(P(1)))
