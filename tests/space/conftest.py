"""The real page on a loopback port, and a real browser to look at it with."""

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch

# Before Gradio is imported: nothing in the tests calls home.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

from sfhub.editing.directions import EditDirections
from sfhub.editing.edits import Direction
from sfhub.pipelines.generator import GeneratorPipeline
from sfhub.pipelines.semantic_stylegan import SemanticStyleGANPipeline
from sfhub.pipelines.stylegan import StyleGANPipeline
from sfhub.space.page import build_app, launch
from sfhub.text.encoder import TextEncoder
from sfhub.text.relevance import TextRelevance

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def served(pipes: GeneratorPipeline | Sequence[GeneratorPipeline]) -> Iterator[str]:
    """Address of a page for one pipeline or several, until it is closed."""
    page = build_app(pipes)
    _, address, _ = launch(page, server_name="127.0.0.1", prevent_thread_lock=True, quiet=True)
    yield address
    page.close(verbose=False)


@pytest.fixture(scope="session")
def _gradio_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Uploads and downloads of the pages go to a temporary folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("gradio")))
        yield


@pytest.fixture(scope="session")
def page_address(tiny_pipeline: StyleGANPipeline, _gradio_folder: None) -> Iterator[str]:
    """Address of a running page."""
    yield from served(tiny_pipeline)


@pytest.fixture(scope="session")
def fusion_page_address(fusion_pipeline: StyleGANPipeline, _gradio_folder: None) -> Iterator[str]:
    """Address of a running page whose model has a fusion hierarchy."""
    yield from served(fusion_pipeline)


@pytest.fixture(scope="session")
def families_page_address(
    fusion_pipeline: StyleGANPipeline, semantic_pipeline: SemanticStyleGANPipeline, _gradio_folder: None
) -> Iterator[str]:
    """Address of a running page with a model of either family."""
    yield from served([fusion_pipeline, semantic_pipeline])


def edits_of(pipe: GeneratorPipeline) -> EditDirections:
    """A few directions by chance: two with a region of their own, one with two, and one for the whole picture."""
    space, draw = pipe.code_space, torch.Generator().manual_seed(1)
    made = [
        Direction("smile", "w", 3 * torch.randn(space.w_dim, generator=draw), "mouth", (-2.0, 2.0)),
        Direction("curly_hair", "s", 2 * torch.randn(space.size, generator=draw), "hair", (0.0, 2.0)),
        Direction("look", "w", 3 * torch.randn(space.w_dim, generator=draw), ("hair", "mouth"), (-1.0, 1.0)),
        Direction("age", "z", torch.randn(space.z_dim, generator=draw), None, (-2.0, 2.0)),
    ]
    return EditDirections.of(made, space)


def relevance_of(pipe: GeneratorPipeline, encoder: TextEncoder) -> TextRelevance:
    """Text directions by chance: every dimension of W is about something."""
    space, draw = pipe.code_space, torch.Generator().manual_seed(0)
    made = TextRelevance(
        basis="w",
        channels=space.w_dim,
        dim=encoder.dim,
        size=space.w_dim,
        encoder=encoder.name,
        encoder_digest=encoder.digest,
        layers=space.layers,
        resolution=space.resolution,
        beta=0.0,
    )
    made.relevance.copy_(torch.nn.functional.normalize(torch.randn(made.relevance.shape, generator=draw), dim=1))
    made.places.copy_(torch.arange(space.w_dim))
    made.std.fill_(1.0)
    made.low.fill_(-3.0)
    made.high.fill_(3.0)
    return made.eval()


@pytest.fixture(scope="session")
def editing_pipelines(
    fusion_pipeline: StyleGANPipeline, semantic_pipeline: SemanticStyleGANPipeline, tiny_encoder: TextEncoder
) -> tuple[StyleGANPipeline, SemanticStyleGANPipeline]:
    """A model of either family, with edits; the first takes texts, too."""
    whole = fusion_pipeline
    first = StyleGANPipeline(
        whole.generator,
        whole.catalog,
        fusion=whole.fusion,
        directions=edits_of(whole),
        text_relevance=relevance_of(whole, tiny_encoder),
    )
    first.use_text_encoder(tiny_encoder)
    return first, SemanticStyleGANPipeline(semantic_pipeline.generator, directions=edits_of(semantic_pipeline))


@pytest.fixture(scope="session")
def editing_page_address(editing_pipelines, _gradio_folder: None) -> Iterator[str]:
    """Address of a running page with them."""
    yield from served(editing_pipelines)


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
