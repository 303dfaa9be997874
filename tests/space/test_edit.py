"""Editing in a real browser: every control of the tab, on a model of either family."""

from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from sfhub.steps.png import DIGITAL_SOURCE_TYPE, read_recipe

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed; run `make test`")
expect = sync_api.expect

# Far more than it takes on a quiet machine.
PATIENCE_MS = 60_000
expect.set_options(timeout=PATIENCE_MS)
EDITS = ("smile", "curly_hair", "look", "age")


class Artist:
    """What a person does on the tab, by what they see."""

    def __init__(self, page: "sync_api.Page"):
        self.page = page
        self.tab = page.locator(".edit")

    def picture(self, of: str = "result") -> str:
        return self.tab.locator(f".view.{of} img").get_attribute("src")

    def sees_another(self, before: str, of: str = "result") -> str:
        expect(self.tab.locator(f".view.{of} img")).not_to_have_attribute("src", before)
        return self.picture(of)

    def sees(self, expected: str, of: str = "result") -> None:
        expect(self.tab.locator(f".view.{of} img")).to_have_attribute("src", expected)

    def press(self, name: str) -> None:
        self.tab.get_by_role("button", name=name, exact=True).first.click()

    def add(self, edit: str) -> str:
        before = self.picture()
        self.tab.locator(f'.edit-tile[data-edit="{edit}"]').click()
        expect(self.tab.locator(".layer.active b")).to_have_text(edit.replace("_", " "))
        return self.sees_another(before)

    def pill(self, region: str) -> "sync_api.Locator":
        return self.tab.locator(f'.pill[data-region="{region}"]')

    def is_in(self, *regions: str) -> None:
        """The pills of these regions are pressed and no others."""
        expect(self.tab.locator('.pill[aria-pressed="true"]')).to_have_count(len(regions))
        for region in regions:
            expect(self.pill(region)).to_have_attribute("aria-pressed", "true")

    @property
    def layers(self) -> list[str]:
        return self.tab.locator(".layer b").all_text_contents()

    def summary(self) -> "sync_api.Locator":
        return self.tab.locator(".notes .summary")


def opened(context, address) -> Artist:
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.goto(address)
    page.get_by_role("tab", name="Edit", exact=True).click()
    page.locator(".edit .view.result img").wait_for()
    page.locator(".edit .portrait img").first.wait_for()
    return Artist(page)


@pytest.fixture
def artist(browser, editing_page_address) -> Iterator[Artist]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    complaints = []
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    yield opened(context, editing_page_address)
    context.close()
    assert not complaints


def test_every_edit_shows_what_it_does_to_this_picture_and_is_found_by_name(artist):
    pictures = artist.tab.locator(".edit-tile img")
    expect(pictures).to_have_count(len(EDITS))
    first = pictures.first.get_attribute("src")
    search = artist.tab.get_by_placeholder("Find an edit")
    search.fill("HAIR")
    expect(artist.tab.locator(".edit-tile")).to_have_count(2)
    search.fill("antlers")
    expect(artist.tab.get_by_text("No edit has such a name")).to_be_visible()
    search.fill("")
    artist.tab.locator('[data-action="pick"][data-picture="7"]').click()
    expect(pictures.first).not_to_have_attribute("src", first)
    expect(pictures).to_have_count(len(EDITS))


def test_a_click_puts_an_edit_on_in_its_own_region_and_says_what_else_changed(artist):
    before = artist.picture()
    artist.add("smile")
    assert artist.picture("base") == before
    artist.is_in("mouth")
    expect(artist.summary()).to_contain_text("Outside mouth, not one pixel changed")
    expect(artist.summary()).to_contain_text("Done everywhere,")
    assert artist.picture("everywhere") != artist.picture()
    expect(artist.tab.locator('.edit-tile[data-edit="smile"]')).to_have_attribute("aria-pressed", "true")


def test_the_slider_moves_the_picture_first_and_all_else_once_it_rests(artist):
    edited, difference = artist.add("smile"), artist.picture("difference")
    slider = artist.tab.get_by_role("slider", name="Strength of smile")
    slider.focus()
    slider.press("Home")
    artist.sees_another(edited)
    artist.sees_another(difference, "difference")
    expect(artist.tab.locator(".over[data-live]")).to_have_count(0)
    expect(artist.tab.locator(".layer output")).to_have_text("\N{MINUS SIGN}2")
    assert slider.input_value() == "-2"
    artist.press("Undo")
    artist.sees(edited)


def test_a_film_shows_strengths_of_which_each_can_be_taken(artist):
    edited = artist.add("smile")
    frames = artist.tab.locator(".film .frame")
    expect(frames.locator("img")).to_have_count(7)
    frames.first.click()
    artist.sees_another(edited)
    expect(frames.first).to_have_attribute("aria-pressed", "true")
    expect(artist.tab.locator('.film [aria-pressed="true"]')).to_have_count(1)
    frames.nth(3).click()
    artist.sees(artist.picture("base"))


def test_another_edit_has_another_film(artist):
    artist.add("smile")
    frames = artist.tab.locator(".film .frame")
    expect(frames.locator("img")).to_have_count(7)
    artist.add("curly_hair")
    expect(frames.locator("small").first).to_have_text("0")
    expect(frames.locator("img")).to_have_count(7)


def test_regions_are_chosen_by_pills_several_at_once_or_the_whole_picture(artist):
    edited = artist.add("smile")
    artist.pill("hair").click()
    artist.is_in("mouth", "hair")
    both = artist.sees_another(edited)
    artist.pill("").click()
    artist.is_in("")
    artist.sees_another(both)
    expect(artist.summary()).to_contain_text("may show everywhere")
    artist.tab.get_by_text("Back to mouth").click()
    artist.is_in("mouth")
    artist.sees(edited)


def test_regions_are_chosen_by_a_click_into_the_picture(artist):
    artist.add("age")
    region = artist.page.evaluate(
        """() => {
            const box = document.querySelector('.edit .areas').getBoundingClientRect();
            for (let y = 2; y < box.height; y += 4) for (let x = 60; x < box.width; x += 4) {
                const at = document.elementFromPoint(box.x + x, box.y + y);
                if (at?.dataset.region) return {name: at.dataset.region, x: box.x + x, y: box.y + y};
            }
        }"""
    )
    artist.page.mouse.click(region["x"], region["y"])
    artist.is_in(region["name"])


def test_regions_chosen_beforehand_are_for_the_next_edit_and_a_new_picture_resets_them(artist):
    artist.pill("hair").click()
    artist.is_in("hair")
    artist.tab.locator('[data-action="pick"][data-picture="7"]').click()
    artist.is_in()
    artist.pill("hair").click()
    artist.is_in("hair")
    artist.add("smile")
    artist.is_in("hair")
    artist.tab.locator('[data-action="pick"][data-picture="5"]').click()
    artist.is_in("mouth")
    assert artist.layers == ["smile"]


def test_the_lock_is_on_and_can_be_taken_off(artist):
    locked = artist.add("curly_hair")
    switch = artist.tab.get_by_label("Keep everything else exactly as it is")
    expect(switch).to_be_checked()
    switch.uncheck()
    artist.sees_another(locked)
    expect(artist.summary()).to_contain_text("of the pixels changed, by")
    switch.check()
    artist.sees(locked)


def test_a_handle_over_the_picture_shows_what_it_was_by_mouse_and_by_keys(artist):
    artist.add("smile")
    before = artist.tab.locator(".over .before")
    expect(before).to_be_hidden()
    box = artist.tab.locator(".over").bounding_box()
    middle = box["y"] + box["height"] / 2
    artist.page.mouse.move(box["x"] + 18, middle)
    artist.page.mouse.down()
    artist.page.mouse.move(box["x"] + box["width"] / 2, middle, steps=4)
    artist.page.mouse.up()
    expect(before).to_be_visible()
    handle = artist.tab.get_by_role("slider", name="Before, up to here")
    assert 45 <= int(handle.input_value()) <= 55
    assert artist.tab.locator(".over .before img").get_attribute("src") == artist.picture("base")
    handle.focus()
    handle.press("Home")
    expect(before).to_be_hidden()
    # With another view large there is nothing to compare.
    handle.press("End")
    artist.tab.locator(".view.difference").click()
    expect(before).to_be_hidden()
    expect(handle).to_be_hidden()


def test_the_stack_is_muted_reordered_and_taken_off_and_undone(artist):
    first = artist.picture()
    smiling = artist.add("smile")
    both = artist.add("look")
    assert artist.layers == ["look", "smile"]
    artist.press("Show look")
    artist.sees(smiling)
    artist.press("Show look")
    artist.sees(both)
    artist.press("Do look earlier")
    expect(artist.tab.locator(".layer b").first).to_have_text("smile")
    artist.press("Do look later")
    artist.sees(both)
    artist.tab.locator('.layer .choose[data-layer="0"]').click()
    expect(artist.tab.get_by_role("slider", name="Strength of smile")).to_be_visible()
    artist.press("Take smile off")
    artist.sees_another(both)
    artist.press("Take look off")
    artist.sees(first)
    expect(artist.tab.get_by_role("slider", name="Strength of look")).to_be_hidden()
    artist.press("Undo")
    artist.press("Undo")
    artist.sees(both)
    artist.press("Redo")
    artist.sees_another(both)
    artist.press("Reset")
    artist.sees(first)


def test_a_text_changes_the_region_that_it_is_about_where_the_model_takes_texts(artist):
    before = artist.picture()
    box = artist.tab.get_by_placeholder("Say what should change")
    box.fill("curly red hair")
    artist.press("Change it")
    artist.sees_another(before)
    artist.is_in("hair")
    assert artist.layers == ["\N{LEFT DOUBLE QUOTATION MARK}curly red hair\N{RIGHT DOUBLE QUOTATION MARK}"]
    box.fill("   ")
    box.press("Enter")
    expect(artist.page.get_by_text("The text is empty")).to_be_visible(timeout=PATIENCE_MS)
    artist.tab.get_by_label("SemanticStyleGANPipeline").check()
    expect(box).to_be_hidden(timeout=PATIENCE_MS)


def test_another_model_takes_over_the_edits_that_it_has(artist):
    edited = artist.add("smile")
    artist.tab.get_by_label("SemanticStyleGANPipeline").check()
    other = artist.sees_another(edited)
    assert artist.layers == ["smile"]
    expect(artist.summary()).to_contain_text("Outside mouth")
    artist.add("age")
    artist.press("Undo")
    artist.sees(other)
    artist.press("Undo")
    artist.sees(edited)


def test_portraits_come_by_seed_by_chance_and_of_any_variety(artist):
    artist.tab.get_by_placeholder("Seed").fill("123")
    artist.press("Add portrait")
    tile = artist.tab.locator('[data-picture="123"]')
    expect(tile).to_be_visible(timeout=PATIENCE_MS)
    before = artist.picture()
    tile.click()
    chosen = artist.sees_another(before)
    count = artist.tab.locator(".portrait").count()
    artist.press("Surprise me")
    expect(artist.tab.locator(".portrait")).to_have_count(count + 6)
    slider = artist.tab.get_by_role("slider", name="Variety of the portraits")
    slider.focus()
    slider.press("Home")
    artist.sees_another(chosen)
    artist.tab.get_by_placeholder("Seed").fill("minus one")
    artist.press("Add portrait")
    expect(artist.page.get_by_text("cannot be used; take a whole number")).to_be_visible(timeout=PATIENCE_MS)


def test_a_download_carries_its_recipe_and_opens_again(artist, editing_pipelines, tmp_path):
    artist.add("smile")
    edited = artist.add("age")
    with artist.page.expect_download() as download:
        artist.tab.get_by_text("Download PNG").click()
    path = tmp_path / "edited.png"
    download.value.save_as(path)
    recipe = read_recipe(path)
    assert [step["op"] for step in recipe["steps"]] == ["sample", "edit", "edit"]
    assert recipe["steps"][1]["lock"]
    assert editing_pipelines[0].redo(recipe).image.tobytes() == Image.open(path).tobytes()
    assert DIGITAL_SOURCE_TYPE in Image.open(path).info["XML:com.adobe.xmp"]
    artist.press("Reset")
    artist.sees_another(edited)
    artist.tab.get_by_text("Open a saved picture").click()
    artist.tab.locator('.later input[type="file"]').set_input_files(path)
    artist.sees(edited)
    assert artist.layers == ["age", "smile"]


def test_what_was_mixed_or_built_is_handed_over_to_be_edited(artist):
    page = artist.page
    for tab, kind in (("Mix regions", ".mix:not(.edit):not(.build)"), ("Build a face", ".build")):
        before = artist.picture()
        page.get_by_role("tab", name=tab).click()
        there = page.locator(kind).first
        there.locator(".portrait img").first.wait_for()
        if tab == "Build a face":
            there.locator('[data-picture="5"]').click()
            expect(there.locator('[data-picture="5"]')).to_have_attribute("aria-pressed", "true")
        there.get_by_role("button", name="Edit this face").click()
        artist.tab.locator(".view.result img").wait_for()
        artist.sees_another(before)
        artist.add("smile")
    expect(artist.tab.locator('.portrait[data-picture="5"]')).to_have_attribute("aria-pressed", "true")
    # What was mixed is another model's, and comes back with it.
    assert artist.tab.locator('.portrait[data-picture^="sha256"]').count() == 0
    for _ in range(3):
        artist.press("Undo")
    expect(artist.tab.locator('.portrait[data-picture^="sha256"]')).to_have_attribute("aria-pressed", "true")


def test_on_a_phone_nothing_sticks_out_and_the_handle_is_dragged_by_a_finger(browser, editing_page_address):
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    phone = opened(context, editing_page_address)
    phone.add("smile")
    expect(phone.tab.locator(".film img")).to_have_count(7)
    assert phone.page.evaluate("document.documentElement.scrollWidth") <= 390
    for button in phone.tab.locator("button:visible").all():
        box = button.bounding_box()
        assert min(box["width"], box["height"]) >= 24, button.inner_html()
    phone.page.evaluate("window.scrollTo(0, 0)")
    box = phone.tab.locator(".over").bounding_box()
    touch = context.new_cdp_session(phone.page)
    middle = box["y"] + box["height"] / 2
    for kind, x in (("touchStart", 18), ("touchMove", 60), ("touchMove", 120), ("touchEnd", None)):
        points = [] if x is None else [{"x": box["x"] + x, "y": middle}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    expect(phone.tab.locator(".over .before")).to_be_visible()
    context.close()


# The endpoints, called over HTTP with the real client ----------------------------------------------------------------

gradio_client = pytest.importorskip("gradio_client", reason="gradio_client is not installed; run `make test`")


@pytest.fixture(scope="module")
def client(editing_page_address, tmp_path_factory):
    return gradio_client.Client(
        editing_page_address, verbose=False, download_files=tmp_path_factory.mktemp("downloads")
    )


def test_edits_are_listed_with_regions_range_and_space(client):
    listed = client.predict(api_name="/edits")
    assert list(listed) == list(EDITS)
    assert listed["smile"] == {"regions": ["mouth"], "range": [-2, 2], "space": "w"}
    assert listed["age"]["regions"] == []


def test_an_edit_by_name_is_that_of_the_pipeline(client, editing_pipelines):
    pipe = editing_pipelines[0]
    asked = [{"edit": "smile", "strength": 1.5}, {"edit": "age", "strength": 1, "region": ["hair", "mouth"]}]
    path, recipe = client.predict(seed=3, edits=asked, lock=True, api_name="/edit")
    expected = pipe.edit(pipe.sample(3)[0], "smile", 1.5, "mouth", lock=True)
    expected = pipe.edit(expected, "age", 1.0, ["hair", "mouth"], lock=True)
    assert np.array_equal(np.asarray(Image.open(path)), np.asarray(expected.image))
    assert recipe == expected.recipe == read_recipe(path)


def test_a_text_and_another_model_can_be_asked_for(client, editing_pipelines):
    path, recipe = client.predict(seed=3, edits=[{"text": "a green hat", "region": None}], api_name="/edit")
    assert (recipe["steps"][-1]["edit"], recipe["steps"][-1]["regions"]) == ("a green hat", None)
    pipe = editing_pipelines[1]
    path, _ = client.predict(seed=3, edits=["smile"], model=pipe.model_record["name"], api_name="/edit")
    expected = pipe.edit(pipe.sample(3)[0], "smile", 1.6)
    assert np.array_equal(np.asarray(Image.open(path)), np.asarray(expected.image))


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (["smlie"], "did you mean 'smile'"),
        ("smile", "Give a list of at most"),
        ([{"edit": "smile", "strenght": 1}], "is no edit; give a name"),
        ([{"edit": "smile", "strength": "NaN"}], "is no finite number"),
        ([{"edit": "smile", "region": "mouht"}], "There is no region"),
        ([{"edit": "smile", "region": 3}], "is no region"),
        ([{"text": " "}], "text is empty"),
    ],
)
def test_bad_input_gets_one_sentence(client, asked, sentence):
    with pytest.raises(gradio_client.exceptions.AppError, match=sentence):
        client.predict(seed=1, edits=asked, api_name="/edit")
