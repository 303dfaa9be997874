"""The real page on a loopback port, and a real browser to look at it with."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before Gradio is imported: nothing in the tests calls home.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

from sfhub.pipelines.stylegan import StyleGANPipeline
from space.ui import build_app, launch

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def page_address(tiny_pipeline: StyleGANPipeline, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a running page."""
    os.environ["GRADIO_TEMP_DIR"] = str(tmp_path_factory.mktemp("gradio"))
    page = build_app(tiny_pipeline)
    _, address, _ = launch(page, server_name="127.0.0.1", prevent_thread_lock=True, quiet=True)
    yield address
    page.close(verbose=False)
    del os.environ["GRADIO_TEMP_DIR"]


@pytest.fixture(scope="session")
def browser() -> Iterator["playwright.sync_api.Browser"]:  # noqa: F821
    """A headless Chromium: the system's, else Playwright's own."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed; run `make test`")
    with sync_api.sync_playwright() as playwright:
        path = next(filter(None, map(shutil.which, BROWSERS)), playwright.chromium.executable_path)
        if not Path(path).exists():
            pytest.skip("there is no Chromium on this machine; run `make test`, which installs one")
        browser = playwright.chromium.launch(
            executable_path=path,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield browser
        browser.close()
