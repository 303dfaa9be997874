"""A person at the page: real server, real browser."""

from collections.abc import Iterator

import pytest
from PIL import Image

from sfhub.space.common.gallery import FIRST_GALLERY
from sfhub.steps.png import DIGITAL_SOURCE_TYPE, read_recipe

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed; run `make test`")

DESKTOP = {"width": 1280, "height": 860}
PHONE = {"width": 390, "height": 844}
# Far more than it takes on a quiet machine.
PATIENCE_MS = 60_000
sync_api.expect.set_options(timeout=PATIENCE_MS)


class Visitor:
    """What a person does on the page, by what they see."""

    def __init__(self, context: sync_api.BrowserContext, address: str):
        self.page = context.new_page()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(address)
        self.page.locator(".view.result img").first.wait_for()
        self.page.locator(".portrait img").first.wait_for()

    def leave(self) -> None:
        self.page.close()
        assert not self.complaints

    def picture(self, view: str = "result") -> str:
        return self.page.locator(f".view.{view} img").first.get_attribute("src")

    def choose(self, region: str) -> None:
        chip = self.page.locator(f'[data-action="choose"][data-region="{region}"]')
        chip.click()
        sync_api.expect(chip).to_have_attribute("aria-pressed", "true")

    def pick(self, seed: int) -> None:
        self.page.locator(f'[data-action="pick"][data-picture="{seed}"]').first.click()

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).first.click()

    def sees_another(self, before: str, view: str = "result") -> str:
        image = self.page.locator(f".view.{view} img").first
        sync_api.expect(image).not_to_have_attribute("src", before)
        return image.get_attribute("src")

    def sees(self, picture: str, view: str = "result") -> None:
        image = self.page.locator(f".view.{view} img").first
        sync_api.expect(image).to_have_attribute("src", picture)

    def slider(self, name: str) -> sync_api.Locator:
        return self.page.get_by_role("slider", name=name)

    def download(self, path) -> None:
        with self.page.expect_download() as download:
            self.page.get_by_text("Download PNG").first.click()
        download.value.save_as(path)

    def upload(self, path) -> None:
        files = self.page.locator('input[type="file"]').first
        if not files.count():
            self.page.get_by_text("Open a saved picture").click()
        files.set_input_files(path)


def context(browser: sync_api.Browser, viewport: dict[str, int]) -> Iterator[sync_api.BrowserContext]:
    context = browser.new_context(viewport=viewport, has_touch=viewport == PHONE, accept_downloads=True)
    context.set_default_timeout(PATIENCE_MS)
    yield context
    context.close()


# Shared between tests for the browser's cache; every page that is opened is a new visitor all the same.
@pytest.fixture(scope="module")
def desktop_context(browser):
    yield from context(browser, DESKTOP)


@pytest.fixture(scope="module")
def phone_context(browser):
    yield from context(browser, PHONE)


@pytest.fixture
def visitor(desktop_context, page_address) -> Iterator[Visitor]:
    visitor = Visitor(desktop_context, page_address)
    yield visitor
    visitor.leave()


@pytest.fixture
def phone(phone_context, page_address) -> Iterator[Visitor]:
    visitor = Visitor(phone_context, page_address)
    yield visitor
    visitor.leave()


def test_another_source_for_hair_changes_the_result_and_the_maps_at_once(visitor):
    visitor.choose("hair")
    result, heat = visitor.picture(), visitor.picture("difference")
    base = visitor.picture("base")
    visitor.pick(7)
    visitor.sees_another(result)
    visitor.sees_another(heat, "difference")
    assert visitor.picture("base") == base
    sync_api.expect(visitor.page.locator(".chip.active small")).to_have_text("portrait 7")
    sync_api.expect(visitor.page.locator(".summary")).to_contain_text("inside hair")


def test_the_base_is_swapped_by_choosing_it_and_clicking_a_portrait(visitor):
    visitor.choose("")
    base, result = visitor.picture("base"), visitor.picture()
    visitor.pick(5)
    visitor.sees_another(base, "base")
    visitor.sees_another(result)


def test_strength_moves_the_result_to_the_base_and_stays_where_it_was_put(visitor):
    visitor.choose("hair")
    result = visitor.picture()
    slider = visitor.slider("Strength of hair")
    slider.focus()
    slider.press("Home")
    visitor.sees_another(result)
    visitor.sees(visitor.picture("base"))
    assert slider.input_value() == "0"


def test_undo_redo_and_reset_walk_through_the_changes(visitor):
    first = visitor.picture()
    visitor.choose("mouth")
    visitor.pick(4)
    second = visitor.sees_another(first)
    visitor.press("Undo")
    visitor.sees(first)
    visitor.press("Redo")
    visitor.sees(second)
    visitor.press("Reset")
    visitor.sees(visitor.picture("base"))
    sync_api.expect(visitor.page.locator(".summary")).to_have_text("Nothing is mixed yet: the result is the base.")


def test_clearing_a_region_brings_the_base_back_there(visitor):
    result = visitor.picture()
    visitor.page.get_by_role("button", name="Take hair from the base again").click()
    visitor.sees_another(result)
    visitor.sees(visitor.picture("base"))


def test_a_download_carries_its_recipe_and_opens_again(visitor, tiny_pipeline, tmp_path):
    visitor.choose("mouth")
    before = visitor.picture()
    visitor.pick(5)
    mixed = visitor.sees_another(before)
    sync_api.expect(visitor.page.locator(".summary")).to_contain_text("hair and mouth")
    path = tmp_path / "mixed.png"
    visitor.download(path)

    recipe = read_recipe(path)
    assert recipe["steps"][-1]["regions"] == ["hair", "mouth"]
    assert tiny_pipeline.redo(recipe).image.tobytes() == Image.open(path).tobytes()
    assert DIGITAL_SOURCE_TYPE in Image.open(path).info["XML:com.adobe.xmp"]

    visitor.press("Reset")
    visitor.sees_another(mixed)
    visitor.upload(path)
    visitor.sees(mixed)


def test_a_picture_without_a_recipe_is_refused_with_a_sentence(visitor, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "plain.png")
    result = visitor.picture()
    visitor.upload(tmp_path / "plain.png")
    visitor.page.get_by_text("carries no recipe").wait_for()
    assert visitor.picture() == result


@pytest.mark.parametrize("seed", ["-3", "abc", "4294967296"])
def test_a_bad_seed_shows_the_sentence_that_says_what_to_do(visitor, seed):
    visitor.page.get_by_label("Seed number").fill(seed)
    visitor.press("Add portrait")
    visitor.page.get_by_text("take a whole number from 0 to 4294967295").wait_for()


def test_new_portraits_come_by_seed_and_by_surprise(visitor):
    portraits = visitor.page.locator(".portrait")
    count = portraits.count()
    visitor.page.get_by_label("Seed number").fill("123456789")
    visitor.page.get_by_label("Seed number").press("Enter")
    sync_api.expect(portraits.first).to_have_attribute("data-picture", "123456789")
    visitor.press("Surprise me")
    sync_api.expect(portraits).to_have_count(count + 7)


def test_randomise_all_gives_every_region_a_source(visitor, tiny_pipeline):
    visitor.press("Randomise all")
    sync_api.expect(visitor.page.locator('[data-action="clear"]')).to_have_count(len(tiny_pipeline.regions))


def test_variety_changes_the_base_and_the_gallery(visitor):
    base = visitor.picture("base")
    portrait = visitor.page.locator(".portrait img").last.get_attribute("src")
    slider = visitor.slider("Variety of the portraits")
    slider.focus()
    slider.press("End")
    visitor.sees_another(base, "base")
    sync_api.expect(visitor.page.locator(".portrait img").last).not_to_have_attribute("src", portrait)


def test_a_click_on_a_small_view_makes_it_the_large_one(visitor):
    view = visitor.page.locator(".view.regions")
    small = view.bounding_box()["width"]
    view.click()
    sync_api.expect(view).to_have_attribute("aria-pressed", "true")
    assert view.bounding_box()["width"] > 2 * small
    before = visitor.picture()
    visitor.pick(6)
    visitor.sees_another(before)
    sync_api.expect(view).to_have_attribute("aria-pressed", "true")


def test_everything_can_be_done_from_the_keyboard(visitor):
    result = visitor.picture()
    for selector in ('[data-action="choose"][data-region="mouth"]', '[data-action="pick"][data-picture="8"]'):
        button = visitor.page.locator(selector)
        button.focus()
        button.press("Enter")
        sync_api.expect(button).to_have_attribute("aria-pressed", "true")
    visitor.sees_another(result)


def test_two_visitors_do_not_disturb_each_other(visitor, desktop_context, page_address):
    other = Visitor(desktop_context, page_address)
    theirs = other.picture()
    before = visitor.picture()
    visitor.pick(10)
    visitor.sees_another(before)
    other.choose("mouth")
    other.choose("hair")
    assert other.picture() == theirs
    other.leave()


def test_nothing_is_fetched_from_anywhere_else(visitor, page_address):
    visitor.pick(3)
    assert [url for url in visitor.requests if not url.startswith((page_address, "data:", "blob:"))] == []


def test_on_a_phone_nothing_sticks_out_and_the_result_is_near_the_top(phone):
    assert phone.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    box = phone.page.locator(".view.result").bounding_box()
    assert box["y"] < PHONE["height"] / 4
    assert box["width"] > PHONE["width"] / 2


def test_on_a_phone_the_result_stays_in_sight_while_portraits_are_picked(phone):
    phone.page.locator(".portrait").last.scroll_into_view_if_needed()
    phone.page.evaluate("window.scrollTo(0, 400)")
    before = phone.picture()
    phone.pick(11)
    phone.sees_another(before)
    box = phone.page.locator(".view.result").bounding_box()
    assert box["y"] >= 0
    assert box["y"] + box["height"] <= PHONE["height"]


def test_on_a_phone_every_control_is_large_enough_to_touch(phone):
    for button in phone.page.locator(".mix button:visible").all():
        box = button.bounding_box()
        # WCAG 2.2, 2.5.8: targets of 24 by 24 CSS pixels.
        assert min(box["width"], box["height"]) >= 24, button.inner_html()


# A model with a fusion hierarchy


@pytest.fixture
def fusing(desktop_context, fusion_page_address) -> Iterator[Visitor]:
    visitor = Visitor(desktop_context, fusion_page_address)
    yield visitor
    visitor.leave()


def test_a_model_without_a_hierarchy_offers_no_method_and_no_pose(visitor):
    assert visitor.page.get_by_role("radio").count() == 0
    assert visitor.page.locator('[data-region="/layout"]').count() == 0
    assert visitor.page.locator(".groups").count() == 0


def test_switching_the_method_mixes_the_same_choices_another_way(fusing, fusion_pipeline, tmp_path):
    fused = fusing.picture()
    fusing.page.get_by_label("Editing in Style").check()
    styled = fusing.sees_another(fused)
    assert fusing.page.locator('[data-region="/layout"]').count() == 0
    sync_api.expect(fusing.page.locator('[data-region="hair"] small')).to_have_text(f"portrait {FIRST_GALLERY[1]}")
    fusing.page.get_by_label("StyleFusion").check()
    fusing.sees(fused)
    fusing.press("Undo")
    fusing.sees(styled)
    sync_api.expect(fusing.page.get_by_label("Editing in Style")).to_be_checked()


def test_the_pose_is_picked_like_a_region_and_saved_with_the_picture(fusing, fusion_pipeline, tmp_path):
    fusing.choose("/layout")
    before = fusing.picture()
    fusing.pick(6)
    posed = fusing.sees_another(before)
    sync_api.expect(fusing.page.locator(".hint")).to_have_text("Now click a portrait to take the pose from.")
    slider = fusing.slider("Strength of pose")
    slider.focus()
    slider.press("ArrowLeft")
    posed = fusing.sees_another(posed)
    path = tmp_path / "posed.png"
    fusing.download(path)
    recipe = read_recipe(path)
    step = recipe["steps"][-1]
    assert (step["method"], step["layout"], step["regions"], step["strengths"]) == ("fusion", True, ["hair"], [1, 0.95])
    assert fusion_pipeline.redo(recipe).image.tobytes() == Image.open(path).tobytes()
    fusing.press("Reset")
    fusing.sees_another(posed)
    fusing.upload(path)
    fusing.sees(posed)


def test_a_group_covers_its_regions_until_one_has_a_source_of_its_own(fusing):
    fusing.page.get_by_text("Several regions at once").click()
    fusing.choose("face")
    sync_api.expect(fusing.page.locator(".hint")).to_have_text(
        "Now click a portrait to take the face (skin, mouth) from."
    )
    before = fusing.picture()
    fusing.pick(5)
    covered = fusing.sees_another(before)
    mouth = fusing.page.locator('[data-action="choose"][data-region="mouth"] small')
    sync_api.expect(mouth).to_have_text("5 with face")
    fusing.choose("mouth")
    fusing.pick(8)
    fusing.sees_another(covered)
    sync_api.expect(mouth).to_have_text("portrait 8")


# A model of either family


@pytest.fixture
def families(desktop_context, families_page_address) -> Iterator[Visitor]:
    visitor = Visitor(desktop_context, families_page_address)
    yield visitor
    visitor.leave()


def test_one_click_makes_the_same_choices_with_the_other_family(families, semantic_pipeline):
    first, portrait = families.picture(), families.page.locator(".portrait img").nth(11).get_attribute("src")
    families.page.get_by_role("radio", name="SemanticStyleGANPipeline (SemanticStyleGAN)").first.check()
    other = families.sees_another(first)
    sync_api.expect(families.page.locator(".portrait img").nth(11)).not_to_have_attribute("src", portrait)
    sync_api.expect(families.page.locator('[data-region="hair"] small').first).to_have_text(
        f"portrait {FIRST_GALLERY[1]}"
    )
    sync_api.expect(families.page.locator('[data-region="earrings"]')).to_have_count(1)
    sync_api.expect(families.page.get_by_label("Editing in Style")).to_have_count(0)
    families.press("Undo")
    families.sees(first)
    families.press("Redo")
    families.sees(other)


def test_a_region_takes_its_shape_and_its_texture_from_two_portraits(families, semantic_pipeline, tmp_path):
    first = families.picture()
    families.page.get_by_role("radio", name="SemanticStyleGANPipeline (SemanticStyleGAN)").first.check()
    before = families.sees_another(first)
    families.choose("hair")
    families.page.get_by_label("Shape only").check()
    sync_api.expect(families.page.locator(".hint").first).to_contain_text("the shape of the hair")
    families.pick(5)
    families.sees_another(before)
    sync_api.expect(families.page.locator(".chip.active small").first).to_have_text(
        f"shape 5, texture {FIRST_GALLERY[1]}"
    )
    path = tmp_path / "mixed.png"
    families.download(path)
    recipe = read_recipe(path)
    assert sorted(recipe["steps"][-1]["parts"]) == ["shape", "texture"]
    assert semantic_pipeline.redo(recipe).image.tobytes() == Image.open(path).tobytes()


def test_one_slider_moves_everything_to_the_base(visitor):
    visitor.choose("mouth")
    before = visitor.picture()
    visitor.pick(5)
    visitor.sees_another(before)
    slider = visitor.slider("Strength of everything")
    slider.focus()
    slider.press("Home")
    visitor.sees(visitor.picture("base"))
    visitor.press("Undo")
    sync_api.expect(slider).to_have_value("1")
