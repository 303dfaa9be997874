"""Labelling regions by hand: the choices, what is shown of them, the files, and the tab in a real browser."""

import zipfile
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from sfhub.errors import InputError
from sfhub.regions.catalog import RegionCatalog
from sfhub.space.common.cached_model import CachedModel
from sfhub.space.label_regions import view
from sfhub.space.label_regions.state import OTHER, Labels
from sfhub.space.label_regions.work import FOLDER_VARIABLE, Clusters, Labeller

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed; run `make test`")

# Far more than it takes on a quiet machine.
PATIENCE_MS = 120_000
HOSTILE = '<img src=x onerror="alert(1)">'


def two_clusters():
    labels = np.zeros((1, 4, 4), dtype=np.int64)
    labels[:, :, 1:] = 1
    return Clusters(None, None, [Image.new("RGB", (4, 4), (120, 130, 140))], labels)


# Choices and what is shown of them -----------------------------------------------------------------------------------


def test_clusters_of_one_name_are_merged_and_the_rest_is_one_region():
    labels = Labels.blank(0, 4).toggle(1).toggle(3).rename("  long   hair ").toggle(0).rename("skin")
    assert labels.names == ("skin", "long hair", "", "long hair")
    assert labels.regions == ("skin", "long hair")
    assert labels.final_names == ["skin", "long hair", OTHER, "long hair"]
    assert not labels.chosen


def test_a_second_click_leaves_a_cluster_and_numbers_of_no_cluster_do_nothing():
    labels = Labels.blank(0, 2).toggle(1)
    assert labels.toggle(1) == Labels.blank(0, 2)
    assert labels.toggle(7) == labels


def test_an_empty_name_takes_the_name_away():
    labels = Labels.blank(0, 2).toggle(0).rename("hair")
    assert labels.toggle(0).rename(" ") == Labels.blank(0, 2)


def test_naming_nothing_and_names_without_end_are_refused():
    with pytest.raises(InputError, match="No cluster is chosen"):
        Labels.blank(0, 2).rename("hair")
    with pytest.raises(InputError, match="has 41 characters; take at most 40"):
        Labels.blank(0, 2).toggle(0).rename("h" * 41)


def test_merged_clusters_share_a_colour_and_others_do_not():
    colours = view.colours(Labels.blank(0, 32))
    assert len(set(colours)) == 32
    merged = view.colours(Labels.blank(0, 32).toggle(3).toggle(9).rename("hair"))
    assert merged[3] == merged[9] == colours[3]


def test_names_are_shown_as_text():
    labels = Labels.blank(0, 2).toggle(0).rename(HOSTILE)
    for markup in (view.chips(two_clusters(), labels), view.summary(labels)):
        assert "<img src=x" not in markup and "&lt;img src=x" in markup


def test_the_list_says_how_much_of_the_pictures_a_cluster_takes():
    shown = view.chips(two_clusters(), Labels.blank(0, 2).toggle(1))
    assert "25%" in shown and "75%" in shown
    assert 'data-cluster="1" aria-pressed="true"' in shown and 'data-cluster="0" aria-pressed="false"' in shown


# Files ---------------------------------------------------------------------------------------------------------------


def test_catalogs_are_saved_only_where_the_page_may_and_never_over_one_another(
    tiny_pipeline, tiny_catalog, tmp_path, monkeypatch
):
    labeller = Labeller(CachedModel(tiny_pipeline))
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    with pytest.raises(InputError, match="may not save files"):
        labeller.save(tiny_catalog, "mine")
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "catalogs"))
    for name in ("../mine", "/mine", "a/b", ""):
        with pytest.raises(InputError, match="no name for a folder"):
            labeller.save(tiny_catalog, name)
    saved = labeller.save(tiny_catalog, "mine")
    assert RegionCatalog.from_pretrained(saved).regions == tiny_catalog.regions
    with pytest.raises(InputError, match="folder 'mine' already"):
        labeller.save(tiny_catalog, "mine")
    assert [path.name for path in tmp_path.rglob("*") if path.is_dir()] == ["catalogs", "mine"]


# In the browser ------------------------------------------------------------------------------------------------------


@pytest.fixture
def tab(browser, page_address) -> Iterator[sync_api.Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 860}, accept_downloads=True)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(page_address)
    page.get_by_role("tab", name="Label regions").click()
    yield page
    context.close()
    assert not complaints


def expect(locator):
    return sync_api.expect(locator)


def find_clusters(page, count=4):
    page.get_by_label("number input for Number of clusters").fill(str(count))
    page.get_by_role("button", name="Find clusters").click()
    expect(page.locator("[data-cluster]")).to_have_count(count, timeout=PATIENCE_MS)


def press(page, name):
    page.get_by_role("button", name=name, exact=True).click()


def test_a_person_names_clusters_merges_them_and_takes_the_catalog_home(tab, tmp_path, tiny_generator):
    expect(tab.locator(".label-empty")).to_be_visible()
    find_clusters(tab)
    for name, chosen in (("hair", (0, 2)), ("skin", (1,))):
        for cluster in chosen:
            tab.locator(f'[data-cluster="{cluster}"]').click()
            pressed = tab.locator(f'[data-cluster="{cluster}"][aria-pressed="true"]')
            expect(pressed).to_be_visible(timeout=PATIENCE_MS)
        tab.get_by_placeholder("hair").fill(name)
        tab.get_by_placeholder("hair").press("Enter")
        expect(tab.locator('[data-cluster][aria-pressed="true"]')).to_have_count(0, timeout=PATIENCE_MS)
    expect(tab.get_by_text("1 without a name will be the region other")).to_be_visible()
    press(tab, "Make the catalog")
    link = tab.get_by_role("button", name="Download ZIP")
    expect(link).to_be_enabled(timeout=PATIENCE_MS)
    with tab.expect_download() as download:
        link.click()
    download.value.save_as(tmp_path / "catalog.zip")
    with zipfile.ZipFile(tmp_path / "catalog.zip") as archive:
        archive.extractall(tmp_path)
    catalog = RegionCatalog.from_pretrained(tmp_path / "catalog")
    catalog.check_generator(tiny_generator)
    assert catalog.regions == ("hair", "skin", "other")
    assert catalog.cluster_region.tolist() == [0, 1, 0, 2]
    assert catalog.contribution.any()


def test_a_click_into_a_picture_chooses_the_cluster_there(tab):
    find_clusters(tab)
    before = tab.locator('[data-sample="0"]').get_attribute("src")
    tab.locator('[data-sample="0"]').click(position={"x": 5, "y": 5})
    expect(tab.locator('[data-cluster][aria-pressed="true"]')).to_have_count(1, timeout=PATIENCE_MS)
    assert tab.locator('[data-sample="0"]').get_attribute("src") != before
    tab.locator('[data-sample="0"]').click(position={"x": 5, "y": 5})
    expect(tab.locator('[data-cluster][aria-pressed="true"]')).to_have_count(0, timeout=PATIENCE_MS)


def test_other_pictures_are_clustered_anew(tab):
    find_clusters(tab)
    before = tab.locator('[data-sample="0"]').get_attribute("src")
    press(tab, "Other pictures")
    expect(tab.locator('[data-sample="0"]')).not_to_have_attribute("src", before, timeout=PATIENCE_MS)


def test_naming_before_there_are_clusters_says_what_to_do(tab):
    press(tab, "Name them")
    tab.get_by_text("press Find clusters first").wait_for()


def test_on_a_phone_nothing_sticks_out(tab):
    tab.set_viewport_size({"width": 390, "height": 844})
    find_clusters(tab)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
