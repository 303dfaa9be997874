"""Building faces: the choices, what is computed and shown of them, and the tab in a real browser."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sfhub.errors import InputError
from sfhub.space.build_face import view
from sfhub.space.build_face.state import BACKGROUND, MAX_SIZE, WHOLE, Backdrop, Building, Face, Place, placements
from sfhub.space.build_face.work import Dissection, Drawing, FaceBuilder
from sfhub.space.common.cached_model import CachedModel
from sfhub.space.common.picture_ref import PictureRef, refs
from sfhub.steps.png import DIGITAL_SOURCE_TYPE, read_recipe

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed; run `make test`")
expect = sync_api.expect

# Far more than it takes on a quiet machine.
PATIENCE_MS = 60_000
P = PictureRef.of_seed
START = Building(Face(P(1)), gallery=refs(1, 2, 3))
HOSTILE = '<img src=x onerror="alert(1)">'


def parts(name: str) -> tuple[str, ...]:
    """As with the portraits, "eyes" stands for two classes."""
    return ("eyes", "brows") if name == "eyes" else (name,)


# Choices -------------------------------------------------------------------------------------------------------------


def test_one_drag_is_one_step_back_and_the_next_one_is_another():
    dragged = START.drag("hair", 0.1, 0, "drag 1").drag("hair", 0.3, 0.1, "drag 1")
    again = dragged.drag("hair", 0.5, 0.1, "drag 2")
    assert again.face.place("hair") == Place(0.5, 0.1)
    assert again.active == "hair"
    assert again.undo().face == dragged.face
    assert again.undo().undo().face == START.face
    assert again.undo().undo().redo().face == dragged.face


def test_nothing_can_be_dragged_out_of_reach_or_scaled_without_end():
    far = START.drag("hair", 99, -99, "drag 1").resize(99).face.place("hair")
    assert max(abs(far.right), abs(far.down)) < 1.5
    assert far.size == MAX_SIZE


def test_what_is_put_back_leaves_no_trace():
    moved = START.choose("hair").resize(1.5).drag("hair", 0.1, 0.2, "drag 1")
    assert moved.put_back("hair").face == START.face
    assert moved.reset().face == START.face
    assert START.choose("hair").resize(1.0).past == ()


def test_a_pick_gives_the_background_or_another_face_that_keeps_what_was_done():
    moved = START.drag("hair", 0.1, 0.2, "drag 1")
    other = moved.pick(P(2))
    assert (other.face.portrait, other.face.places) == (P(2), moved.face.places)
    behind = moved.choose(BACKGROUND).pick(P(3))
    assert (behind.face.portrait, behind.face.background) == refs(1, 3)
    assert behind.pick(P(1)).face.background is None
    assert behind.face.pictures == refs(1, 3)


def test_pictures_are_told_apart_by_what_they_show():
    first, second = (Backdrop(digest, Image.new("RGB", (4, 4))) for digest in ("a", "b"))
    assert START.set_background(first).face == START.set_background(Backdrop("a", Image.new("RGB", (4, 4)))).face
    assert START.set_background(first).face != START.set_background(second).face


def test_another_model_keeps_what_it_has_the_components_for():
    session = START.drag("hair", 0.1, 0, "drag 1").drag("wheel", 0.1, 0, "drag 2").show_only(["door", "hair"])
    other = session.set_model("b", ("hair", "skin"))
    assert (other.face.hidden, [name for name, _ in other.face.places]) == (("hair",), ["hair"])
    assert other.fitted(("hair", "skin")).active == WHOLE
    assert other.undo().face == session.face


# Where components come to lie ----------------------------------------------------------------------------------------

moves = st.floats(-1, 1)
sizes = st.floats(0.5, 2)


@given(moves, moves, sizes, moves, moves)
def test_a_component_grows_about_its_own_middle(right, down, size, x, y):
    face = Face(P(1)).with_place("hair", Place(right, down, size))
    move, zoom = placements(face, ("hair", "skin"), parts, {"hair": (x, y)})
    found = [zoom.get("hair", 1) * each + shift for each, shift in zip((x, y), move.get("hair", (0, 0)), strict=True)]
    # The middle goes as far as it was dragged, whatever the size.
    expected = [x + face.place("hair").right, y + face.place("hair").down]
    assert all(math.isclose(*pair, abs_tol=1e-6) for pair in zip(found, expected, strict=True))
    assert "skin" not in move


def test_the_whole_person_takes_its_components_along():
    face = Face(P(1)).with_place(WHOLE, Place(0.5, 0, 0.5)).with_place("hair", Place(0.25, 0.25))
    move, zoom = placements(face, ("hair", "skin"), parts, {WHOLE: (0, 0), "hair": (0, -0.5)})
    assert (move["skin"], zoom["skin"]) == ([0.5, 0], 0.5)
    assert (move["hair"], zoom["hair"]) == ([0.625, 0.125], 0.5)


def test_a_class_that_a_name_covers_is_named_so_that_it_stays():
    face = Face(P(1)).with_place("eyes", Place(0.5, 0))
    move, zoom = placements(face, ("eyes", "brows"), parts, {})
    assert move == {"eyes": [0.5, 0], "brows": [0, 0]}
    assert zoom == {"eyes": 1, "brows": 1}


# Pictures ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def builder(semantic_pipeline) -> FaceBuilder:
    return FaceBuilder(CachedModel(semantic_pipeline))


def test_a_face_is_the_pipelines_and_is_made_once(builder, semantic_pipeline):
    face = Face(P(1)).with_place("hair", Place(0.25, 0)).without(["glasses"])
    base, other = semantic_pipeline.sample([1, 2])
    assert builder.build(face.plain).image.tobytes() == base.image.tobytes()
    expected = semantic_pipeline.compose(base, without=["glasses"], move={"hair": [0.25, 0]})
    assert builder.build(face).image.tobytes() == expected.image.tobytes()
    assert builder.build(Face(P(1)).without(["glasses"]).with_place("hair", Place(0.25, 0))) is builder.build(face)
    behind = semantic_pipeline.compose(base, background=other)
    assert builder.build(START.set_background(P(2)).face).image.tobytes() == behind.image.tobytes()


def test_a_saved_face_is_laid_out_again(builder, tmp_path):
    present = builder.dissection(Face(P(1))).present[0]
    face = Face(P(1), 0.7, background=P(2), model=builder.model.name).without(["hat"])
    face = face.with_place(present, Place(0.25, -0.125, 1.5))
    saved = builder.build(face)
    found, photograph = builder.laid_out(read_recipe(saved.save(tmp_path / "a.png")))
    assert not photograph
    assert (found.portrait, found.hidden, found.background) == (P(1), ("hat",), P(2))
    assert found.place(present) == pytest.approx(face.place(present), abs=1e-3)
    again = np.asarray(builder.build(found).image).astype(int)
    assert np.abs(again - np.asarray(saved.image)).max() <= 2
    assert builder.laid_out(read_recipe(builder.build(Face(P(3))).save(tmp_path / "b.png"))) == (
        Face(P(3), model=builder.model.name), False,
    )  # fmt: skip


def test_of_a_face_before_a_photograph_all_but_that_is_laid_out(builder, tmp_path):
    behind = Backdrop("a", Image.new("RGB", (40, 30), (10, 200, 30)))
    face = START.show_only(["hair"]).set_background(behind).face
    found, photograph = builder.laid_out(read_recipe(builder.build(face).save(tmp_path / "a.png")))
    assert photograph
    assert (found.hidden, found.background) == (("hair",), None)


def test_other_pictures_cannot_be_laid_out(builder, semantic_pipeline, tmp_path):
    a, b = semantic_pipeline.sample([1, 2])
    for sample in (semantic_pipeline.mix(a, {"hair": b}), semantic_pipeline.compose(a, without=["face"])):
        with pytest.raises(InputError, match="the tab cannot lay out again"):
            builder.laid_out(read_recipe(sample.save(tmp_path / "a.png")))


def test_components_that_hang_together_are_left_out_and_shown_together(builder):
    face = Face(P(1)).without(["eyes"])
    assert builder.effective(face) == ("eyes", "brows")
    assert builder.toggled(face, "brows") == []
    assert builder.toggled(face, "hair") == ["eyes", "hair"]
    assert builder.toggled(Face(P(1)), "brows") == ["brows"]


def test_steps_begin_with_the_background_and_end_with_the_face(builder):
    steps = builder.steps(Face(P(1)))
    names = [step.name for step in steps]
    assert names == ["background", *builder.dissection(Face(P(1))).present]
    assert len(view.steps(steps).split("<figure>")) == len(steps) + 1


def test_the_middle_of_a_component_is_where_it_is():
    labels = np.zeros((8, 8), dtype=int)
    labels[0:4, 4:8] = 1
    dissection = Dissection(Image.new("RGB", (8, 8)), ("background", "hair", "hat"), labels, np.zeros((3, 4, 4)))
    assert dissection.present == ("hair",)
    assert dissection.middles == {"hair": (0.5, -0.5), WHOLE: (0.5, -0.5)}
    assert (dissection.mask(BACKGROUND) == (labels == 0)).all()


def test_uploaded_pictures_come_upright_small_enough_and_only_if_they_are_pictures(tmp_path):
    turned = Image.new("RGB", (3000, 1500), (200, 30, 60))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "a.jpg", exif=exif)
    assert Backdrop.opened(str(tmp_path / "a.jpg")).image.size == (512, 1024)
    (tmp_path / "b.jpg").write_text("no picture")
    with pytest.raises(InputError, match="cannot be read as a picture"):
        Backdrop.opened(str(tmp_path / "b.jpg"))


# What is shown -------------------------------------------------------------------------------------------------------


def look(face: Face = START.face, name: str = "hair") -> Drawing:
    labels = np.zeros((16, 16), dtype=int)
    labels[4:12, 4:12] = 1
    depths = np.zeros((3, 4, 4), dtype=np.float32)
    return Drawing(face, Dissection(Image.new("RGB", (16, 16)), ("background", name, "hat"), labels, depths))


def test_names_are_shown_as_text():
    session = START.choose(HOSTILE)
    shown = [
        view.chips(session, look(name=HOSTILE), {}, (HOSTILE,)),
        view.views(Image.new("RGB", (16, 16)), look(name=HOSTILE), Image.new("RGB", (16, 16)), session),
        view.notes(session, look(name=HOSTILE)),
    ]
    assert all("<img src=x" not in markup and 'onerror="' not in markup for markup in shown)
    assert all("&lt;img src=x" in markup.lower() for markup in shown)


def test_tiles_say_what_was_done_and_offer_to_undo_it():
    session = START.drag("hair", 0.5, -0.2, "drag 1").resize(1.25)
    shown = view.chips(session, look(session.face), {}, ("hat",))
    assert "25% right, 10% up, 1.25 times as large" in shown
    assert 'data-action="clear" data-part="hair"' in shown
    assert "left out" in shown
    assert shown.count('data-action="toggle"') == 2
    assert 'data-part="hat" aria-pressed="false"' in shown


def test_outlines_are_there_for_what_can_be_seen_and_say_where_they_were_drawn_for():
    face = START.face.with_place("hair", Place(0.5, 0.25, 2))
    shown = view.views(Image.new("RGB", (16, 16)), look(face), Image.new("RGB", (16, 16)), START.choose("hair"))
    assert 'class="part" data-part="hair"' in shown
    assert 'class="part" data-part="hat"' not in shown
    assert "&quot;hair&quot;: [0.5, 0.25, 2]" in shown
    assert 'data-active="hair"' in shown


# The tab in a browser ------------------------------------------------------------------------------------------------


@pytest.fixture
def tab(browser, families_page_address) -> Iterator["sync_api.Page"]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    complaints = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(families_page_address)
    page.get_by_role("tab", name="Build a face").click()
    page.locator(".build .handles").wait_for()
    page.locator(".build .portrait img").first.wait_for()
    yield page
    context.close()
    assert not complaints


def picture(tab, of: str = "result") -> str:
    return tab.locator(f".build .view.{of} img").get_attribute("src")


def sees_another(tab, before: str, of: str = "result") -> str:
    expect(tab.locator(f".build .view.{of} img")).not_to_have_attribute("src", before, timeout=PATIENCE_MS)
    return picture(tab, of)


def sees(tab, expected: str) -> None:
    expect(tab.locator(".build .view.result img")).to_have_attribute("src", expected, timeout=PATIENCE_MS)


def press(tab, name: str) -> None:
    tab.locator(".build").get_by_role("button", name=name, exact=True).click()


def choose(tab, name: str) -> None:
    tab.locator(f'.build .choose[data-part="{name}"]').click()
    expect(tab.locator(f'.build .handles[data-active="{name}"]')).to_have_count(1, timeout=PATIENCE_MS)


def spot(tab, name: str) -> tuple[float, float]:
    """A place on the screen that belongs to a component."""
    return tab.evaluate(
        """(name) => {
            const svg = document.querySelector('.build .handles'), box = svg.getBoundingClientRect();
            for (let y = 2; y < box.height; y += 4) for (let x = 2; x < box.width; x += 4)
                if (document.elementFromPoint(box.x + x, box.y + y)?.dataset.part === name)
                    return [box.x + x, box.y + y];
        }""",
        name,
    )


def largest(builder: FaceBuilder) -> str:
    dissection = builder.dissection(Face(P(10)))
    return max(dissection.present, key=lambda name: dissection.mask(name).sum())


def places(tab) -> dict[str, list[float]]:
    return tab.evaluate("JSON.parse(document.querySelector('.build .handles').dataset.places)")


def wait_until_placed(tab, name: str) -> list[float]:
    tab.wait_for_function(
        """(name) => {
            const places = JSON.parse(document.querySelector('.build .handles').dataset.places);
            return places[name].some((value, k) => value !== [0, 0, 1][k]);
        }""",
        arg=name,
    )
    return places(tab)[name]


def drag(tab, start: tuple[float, float], right: float, down: float) -> None:
    tab.mouse.move(*start)
    tab.mouse.down()
    for step in range(1, 6):
        tab.mouse.move(start[0] + right * step / 5, start[1] + down * step / 5)
    tab.mouse.up()


def test_a_component_follows_the_pointer_and_one_undo_brings_it_back(tab, builder):
    name = largest(builder)
    before = picture(tab)
    choose(tab, name)
    side = tab.locator(".build .handles").bounding_box()["width"]
    drag(tab, spot(tab, name), side / 4, side / 8)
    sees_another(tab, before)
    assert wait_until_placed(tab, name)[:2] == pytest.approx([0.5, 0.25], abs=0.02)
    expect(tab.locator(f'.build .choose[data-part="{name}"] small')).to_have_text("25% right, 12% down")
    press(tab, "Undo")
    sees(tab, before)


def test_the_outline_moves_with_the_pointer_before_any_answer(tab, builder):
    name = largest(builder)
    choose(tab, name)
    x, y = spot(tab, name)
    tab.mouse.move(x, y)
    tab.mouse.down()
    tab.mouse.move(x + 40, y)
    assert "translate" in (tab.locator(".build .chosen").get_attribute("transform") or "")
    tab.mouse.up()
    wait_until_placed(tab, name)
    # Where it was drawn for is where it is, now.
    expect(tab.locator(".build .chosen[transform]")).to_have_count(0, timeout=PATIENCE_MS)


def test_the_whole_person_is_dragged_by_any_component(tab, builder):
    before = picture(tab)
    drag(tab, spot(tab, largest(builder)), 60, 0)
    sees_another(tab, before)
    assert wait_until_placed(tab, WHOLE)[0] > 0


def test_a_press_that_does_not_move_chooses_what_is_there(tab, builder):
    name = largest(builder)
    tab.mouse.click(*spot(tab, name))
    expect(tab.locator(f'.build .choose[data-part="{name}"]')).to_have_attribute("aria-pressed", "true")
    assert places(tab)[name] == [0, 0, 1]


def test_arrow_keys_move_the_active_component(tab, builder):
    name = largest(builder)
    choose(tab, name)
    before = picture(tab)
    tab.locator(".build .handles").focus()
    for _ in range(3):
        tab.keyboard.press("ArrowRight")
    sees_another(tab, before)
    tab.wait_for_function(
        "(name) => JSON.parse(document.querySelector('.build .handles').dataset.places)[name][0] === 0.0938", arg=name
    )


def test_size_and_visibility_and_reset(tab, builder):
    name = largest(builder)
    choose(tab, name)
    before = picture(tab)
    slider = tab.get_by_role("slider", name=f"Size of the {name}")
    slider.focus()
    slider.press("End")
    larger = sees_another(tab, before)
    assert wait_until_placed(tab, name)[2] == MAX_SIZE
    tab.locator(f'.build .eye[data-part="{name}"]').click()
    sees_another(tab, larger)
    expect(tab.locator(f'.build .eye[data-part="{name}"]')).to_have_attribute("aria-pressed", "false")
    press(tab, "Reset")
    sees(tab, before)


def test_backgrounds_come_from_another_portrait_or_a_picture(tab, tmp_path):
    before = picture(tab)
    choose(tab, BACKGROUND)
    tab.locator('.build [data-action="pick"][data-picture="7"]').click()
    expect(tab.locator('.build .choose[data-part="/background"] small')).to_have_text("portrait 7")
    other = sees_another(tab, before)
    Image.new("RGB", (64, 48), (20, 160, 90)).save(tmp_path / "green.png")
    tab.locator('.build input[type="file"]').first.set_input_files(tmp_path / "green.png")
    expect(tab.locator('.build .choose[data-part="/background"] small')).to_have_text("your picture")
    sees_another(tab, other)
    tab.get_by_role("button", name="Put background back").click()
    sees(tab, before)


def test_a_download_carries_its_recipe_and_opens_again(tab, builder, semantic_pipeline, tmp_path):
    name = largest(builder)
    choose(tab, name)
    before = picture(tab)
    drag(tab, spot(tab, name), 60, 30)
    wait_until_placed(tab, name)
    built = sees_another(tab, before)
    with tab.expect_download() as download:
        tab.locator(".build").get_by_text("Download PNG").click()
    path = tmp_path / "built.png"
    download.value.save_as(path)
    recipe = read_recipe(path)
    assert recipe["steps"][-1]["op"] == "compose"
    assert semantic_pipeline.redo(recipe).image.tobytes() == Image.open(path).tobytes()
    assert DIGITAL_SOURCE_TYPE in Image.open(path).info["XML:com.adobe.xmp"]
    press(tab, "Reset")
    sees(tab, before)
    tab.locator(".build").get_by_text("Open a saved picture").click()
    tab.locator('.build .later input[type="file"]').set_input_files(path)
    sees_another(tab, before)
    assert wait_until_placed(tab, name)[0] > 0
    assert built


def test_components_appear_one_by_one_and_follow_what_is_done(tab, builder):
    tab.get_by_text("Step by step").click()
    figures = tab.locator(".steps figure")
    expect(figures).to_have_count(len(builder.dissection(Face(P(10))).present) + 1, timeout=PATIENCE_MS)
    last = figures.last.locator("img").first
    before = last.get_attribute("src")
    tab.locator('.build [data-action="pick"][data-picture="5"]').click()
    expect(last).not_to_have_attribute("src", before, timeout=PATIENCE_MS)


def test_small_views_become_the_large_one_and_can_be_dragged_in_too(tab, builder):
    tab.locator(".build .view.components").click()
    expect(tab.locator(".build .view.components")).to_have_attribute("aria-pressed", "true")
    name = largest(builder)
    choose(tab, name)
    before = picture(tab, "components")
    drag(tab, spot(tab, name), 80, 0)
    wait_until_placed(tab, name)
    sees_another(tab, before, "components")


def test_a_finger_drags_and_on_a_phone_nothing_sticks_out(browser, families_page_address, builder):
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    context.set_default_timeout(PATIENCE_MS)
    phone = context.new_page()
    phone.goto(families_page_address)
    phone.get_by_role("tab", name="Build a face").click()
    phone.locator(".build .portrait img").first.wait_for()
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    for button in phone.locator(".build button:visible").all():
        box = button.bounding_box()
        assert min(box["width"], box["height"]) >= 24, button.inner_html()
    name = largest(builder)
    choose(phone, name)
    x, y = spot(phone, name)
    touch = context.new_cdp_session(phone)
    for kind, shift in (("touchStart", 0), ("touchMove", 10), ("touchMove", 40), ("touchEnd", None)):
        points = [] if shift is None else [{"x": x + shift, "y": y}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    assert wait_until_placed(phone, name)[0] > 0
    context.close()
