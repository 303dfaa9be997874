"""From choices on the tab Edit to pictures and markup, and back from recipes."""

from types import SimpleNamespace

import numpy as np
import pytest

from sfhub.editing.edits import Direction
from sfhub.errors import InputError
from sfhub.space.common.cached_model import CachedModel
from sfhub.space.common.picture_ref import PictureRef, refs
from sfhub.space.common.repertoire import Layer
from sfhub.space.edit import view
from sfhub.space.edit.layout import suits
from sfhub.space.edit.state import EditedPicture, Editing
from sfhub.space.edit.work import Editor, clicked
from sfhub.steps.png import read_recipe

P = PictureRef.of_seed
HOSTILE = '<img src=x onerror="alert(1)">'


@pytest.fixture(params=[0, 1], ids=["StyleGAN2", "SemanticStyleGAN"])
def editor(request, editing_pipelines):
    return Editor(CachedModel(editing_pipelines[request.param]))


@pytest.fixture
def stack(editor):
    layers = Layer("smile", 1.5, ("mouth",)), Layer("age", 1.0), Layer("curly_hair", 2.0, ("hair",), lock=False)
    return EditedPicture(P(1), stack=layers, model=editor.model.name)


def same(a, b):
    return a.image.tobytes() == b.image.tobytes()


def event(**values):
    return SimpleNamespace(**values)


def test_the_tab_is_for_models_with_edits(editing_pipelines, tiny_pipeline):
    assert all(map(suits, editing_pipelines))
    assert not suits(tiny_pipeline)


def test_a_stack_is_the_edits_of_the_pipeline_one_upon_another_and_made_once(editor, stack):
    (base,) = editor.pipe.sample(1)
    expected = editor.pipe.edit(base, "smile", 1.5, "mouth", lock=True)
    expected = editor.pipe.edit(editor.pipe.edit(expected, "age", 1.0, None), "curly_hair", 2.0, "hair")
    found = editor.result(stack)
    assert same(found, expected)
    assert found.recipe == expected.recipe
    assert editor.result(stack) is found
    assert same(editor.result(stack.plain), base)


def test_muted_edits_and_strength_0_leave_no_trace(editor, stack):
    smile, age, hair = stack.stack
    muted = stack.with_stack([smile, age._replace(muted=True), hair._replace(strength=0.0)])
    assert editor.result(muted) is editor.result(stack.with_stack([smile]))


def test_what_a_thumbnail_shows_is_what_a_click_on_it_gives_without_another_synthesis(editor, monkeypatch):
    thumbnails = dict(editor.thumbnails(P(1), 0.7))
    assert list(thumbnails) == list(editor.edits.edits)
    monkeypatch.setattr(editor, "_edit", None)
    session = Editing(EditedPicture(P(1)), refs(1))
    for name in editor.edits.edits:
        added = clicked(session, editor, event(action="add", edit=name))
        assert editor.little(editor.stages(added.picture), added.picture) == [thumbnails[name]]


def test_locked_edits_change_not_one_pixel_outside_and_the_sentence_says_so(editor, stack):
    locked = stack.with_stack([Layer("smile", 2.0, ("mouth",)), Layer("curly_hair", 2.0, ("hair",))])
    found = editor.compare(locked)
    assert not found.changed.all()
    assert found.outside.share == 0
    before, after = (np.asarray(each.image) for each in (found.base, found.result))
    assert np.array_equal(before[~found.changed], after[~found.changed])
    assert found.outside_everywhere.share > 0.5
    session = Editing(locked, refs(1), active=0)
    assert "Outside <b>mouth and hair</b>, <b>not one pixel</b> changed" in view.notes(found, session)


def test_without_the_lock_or_without_regions_the_sentence_says_how_much_changed(editor, stack):
    free = stack.with_stack([Layer("curly_hair", 2.0, ("hair",), lock=False)])
    found = editor.compare(free)
    if found.outside.share:
        assert f"by {found.outside.mean:.1f} of 255" in view.notes(found, Editing(free, refs(1), active=0))
    everywhere = stack.with_stack([Layer("age", 2.0)])
    assert editor.compare(everywhere).changed.all()
    assert "may show everywhere" in view.notes(editor.compare(everywhere), Editing(everywhere, refs(1), active=0))
    assert "Choose an edit" in view.notes(editor.compare(stack.plain), Editing(stack.plain, refs(1)))


def test_a_film_runs_through_the_range_of_one_edit_within_the_stack(editor, stack):
    frames = dict(editor.film(stack, 0))
    assert list(frames) == ["-2", "-1.33", "-0.67", "0", "0.67", "1.33", "2"]
    one = stack.with_layer(0, stack.stack[0]._replace(strength=2.0))
    assert frames["2"] == editor.little(editor.stages(one), one)[-1]


def test_a_saved_picture_comes_back_as_its_edits_and_as_itself(editor, stack, tmp_path):
    saved = editor.result(stack)
    found = editor.laid_out(read_recipe(saved.save(tmp_path / "a.png")))
    assert found == stack
    assert same(editor.result(found), saved)


def test_what_was_mixed_before_it_was_edited_comes_back_too(editor, tmp_path):
    a, b = editor.pipe.sample([1, 2])
    edited = editor.pipe.edit(editor.pipe.mix(a, {"hair": b}), "smile", 1.0, "mouth", lock=True)
    found = editor.laid_out(read_recipe(edited.save(tmp_path / "a.png")))
    assert found.portrait.seed is None
    assert found.stack == (Layer("smile", 1.0, ("mouth",)),)
    assert same(editor.result(found), edited)


def test_an_edit_that_the_page_does_not_have_is_named(editor, tmp_path):
    (base,) = editor.pipe.sample(1)
    theirs = Direction("wink", "w", editor.edits.edits["smile"].vector, "mouth")
    edited = editor.pipe.edit(base, theirs, 1.0)
    with pytest.raises(InputError, match="changed by the edit 'wink', which this page does not have"):
        editor.laid_out(read_recipe(edited.save(tmp_path / "a.png")))


def test_layers_of_another_model_are_fitted(editor):
    assert editor.edits.fitted(Layer("wink", 1.0)) is None
    assert editor.edits.fitted(Layer("smile", 9.0, ("antlers",))) == Layer("smile", 2.0, ("mouth",))
    assert editor.edits.fitted(Layer("smile", 1.0, ("hair",))) == Layer("smile", 1.0, ("hair",))


@pytest.mark.parametrize(
    ("click", "sentence"),
    [
        ({"action": "add", "edit": "smlie"}, "did you mean 'smile'"),
        ({"action": "add", "edit": ["smile"]}, "There is no edit"),
        ({"action": "region", "region": "mouht"}, "There is no region"),
        ({"action": "strength", "strength": "nan"}, "is no finite number"),
        ({"action": "strength", "strength": "much"}, "is no finite number"),
        ({"action": "remove", "layer": "7"}, "no longer on the picture"),
        ({"action": "mute", "layer": "-1"}, "no longer on the picture"),
        ({"action": "up", "layer": {}}, "no longer on the picture"),
        ({"action": "choose"}, "no longer on the picture"),
        ({"action": "pick", "picture": "x"}, "Seed 'x' cannot be used"),
    ],
)
def test_what_a_browser_makes_up_is_refused_in_one_sentence(editor, click, sentence):
    session = Editing(EditedPicture(P(1), stack=(Layer("smile", 1.0, ("mouth",)),)), refs(1), active=0)
    with pytest.raises(InputError, match=sentence):
        clicked(session, editor, event(**click))


def test_a_strength_from_outside_is_kept_in_the_range(editor):
    session = Editing(EditedPicture(P(1), stack=(Layer("smile", 1.0, ("mouth",)),)), refs(1), active=0)
    assert clicked(session, editor, event(action="strength", strength="99")).layer.strength == 2.0


def test_edits_are_listed_by_region_the_whole_picture_last(editor):
    groups = view.catalogue(Editing(EditedPicture(P(1), stack=(Layer("age", 1.0),)), refs(1)), editor)
    titles = [group["title"] for group in groups]
    assert sorted(titles[:2]) == ["hair", "mouth"]
    assert titles[2:] == ["hair and mouth", "whole picture"]
    (age,) = groups[-1]["edits"]
    assert (age["name"], age["pressed"]) == ("age", "true")
    curls = next(group for group in groups if group["title"] == "hair")["edits"][0]
    assert (curls["label"], curls["search"]) == ("curly hair", "curly hair hair")


def test_names_are_shown_as_text(editor):
    layer = Layer(HOSTILE, 1.0, (HOSTILE,))
    session = Editing(EditedPicture(P(1), stack=(layer,)), refs(1), active=0)
    editor.edits.edits = {HOSTILE: Direction(HOSTILE, "w", editor.edits.edits["smile"].vector, "mouth")}
    shown = [
        view.stack(session, ["data:,"]),
        view.pills(session, editor),
        *(str(value) for group in view.catalogue(session, editor) for value in (group["title"], *(
            {key: each[key] for key in ("name", "label", "search")} for each in group["edits"]))),
    ]  # fmt: skip
    assert all("<img src=x" not in markup and 'onerror="' not in markup for markup in shown)
    assert any("&lt;img src=x" in markup for markup in shown)


# Texts ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def writer(editing_pipelines):
    return Editor(CachedModel(editing_pipelines[0]))


def test_a_text_is_an_edit_like_any_other_in_the_region_that_it_is_about(writer, tmp_path):
    layer = writer.edits.written("  curly  red hair ")
    assert layer == Layer("curly red hair", 1.0, ("hair",), text=True)
    assert layer.title == "\N{LEFT DOUBLE QUOTATION MARK}curly red hair\N{RIGHT DOUBLE QUOTATION MARK}"
    (base,) = writer.pipe.sample(1)
    smiling = Layer("smile", 1.0, ("mouth",), lock=False)
    picture = EditedPicture(P(1), stack=(smiling, layer), model=writer.model.name)
    expected = writer.pipe.edit_text(
        writer.pipe.edit(base, "smile", 1.0, "mouth"), "curly red hair", region="hair", lock=True
    )
    found = writer.result(picture)
    assert same(found, expected)
    assert writer.laid_out(read_recipe(found.save(tmp_path / "a.png"))) == picture
    assert not same(found, writer.result(picture.with_stack([smiling])))


def test_a_picture_that_was_optimised_is_named_instead_of_made_again_for_minutes(writer, tmp_path):
    (base,) = writer.pipe.sample(1)
    edited = writer.pipe.edit_text(base, "sad", way="optimisation", steps=1)
    with pytest.raises(InputError, match="changed by an optimisation for 'sad', which takes minutes"):
        writer.laid_out(read_recipe(edited.save(tmp_path / "a.png")))


def test_texts_are_for_models_that_take_them(writer, editing_pipelines):
    other = Editor(CachedModel(editing_pipelines[1]))
    with pytest.raises(InputError, match="takes no texts"):
        other.edits.written("sad")
    assert other.edits.fitted(Layer("sad", 1.0, text=True)) is None
    assert writer.edits.fitted(Layer("sad", 9.0, text=True)) == Layer("sad", 3.0, text=True)
    with pytest.raises(InputError, match="text is empty"):
        writer.edits.written("  ")
