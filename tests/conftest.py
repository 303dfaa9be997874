"""Shared fixtures: a tiny random generator with catalog, hierarchy and pipelines, and what official code did."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

from sfhub.models.fusion import FusionHierarchy
from sfhub.models.region_tree import RegionTree
from sfhub.models.semantic_stylegan import SemanticStyleGANGenerator
from sfhub.models.stylegan2 import StyleGAN2Generator
from sfhub.pipelines.semantic_stylegan import SemanticStyleGANPipeline
from sfhub.pipelines.stylegan import StyleGANPipeline
from sfhub.portraits.classes import CLASSES
from sfhub.regions.catalog import RegionCatalog

# Small networks are quicker on one thread, and several test processes do not fight over the cores.
torch.set_num_threads(1)

REGIONS = ("background", "hair", "face", "mouth")


@pytest.fixture(autouse=True)
def _subnormal_numbers() -> Iterator[None]:
    """Training flushes them to zero in its process; tests that come later get them back."""
    yield
    torch.set_flush_denormal(False)


@pytest.fixture(scope="session")
def fixtures_dir() -> Path:
    """Folder with the recorded behaviour of official code."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "fixtures"
    if not folder.is_dir():
        pytest.skip(f"the parity fixtures are not at {folder}")
    return folder


@pytest.fixture(scope="session")
def fill(fixtures_dir: Path) -> ModuleType:
    """The fixtures' own module, which draws the official networks' weights."""
    spec = importlib.util.spec_from_file_location("parity_fill", fixtures_dir / "fill.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def tiny_generator() -> StyleGAN2Generator:
    """A generator of 32 pixels with random weights, the same ones in every run."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return StyleGAN2Generator(
            resolution=32,
            z_dim=32,
            w_dim=32,
            num_mapping_layers=2,
            channels={"4": 16, "8": 16, "16": 16, "32": 8},
        ).eval()


@pytest.fixture(scope="session")
def tiny_catalog(tiny_generator: StyleGAN2Generator) -> RegionCatalog:
    """A catalog of four regions with made-up relevances: each channel of S belongs to one or two regions."""
    layer = "convs.3"
    layout = tiny_generator.style_layout
    catalog = RegionCatalog(
        regions=REGIONS,
        layer=layer,
        num_clusters=6,
        layer_channels=tiny_generator.get_submodule(layer).weight.shape[0],
        resolution=32,
        style_layers=[[entry.name, entry.width] for entry in layout],
    )
    random = torch.Generator().manual_seed(0)
    relevance = torch.rand(len(REGIONS), layout.size, generator=random)
    catalog.centers.copy_(torch.nn.functional.normalize(torch.randn(catalog.centers.shape, generator=random)))
    catalog.cluster_region.copy_(torch.tensor([0, 1, 2, 3, 1, 2]))
    catalog.contribution.copy_(relevance / relevance.sum(dim=0))
    catalog.influence.copy_(relevance)
    catalog.default_queries.copy_((relevance > 0.6).float())
    return catalog.eval()


@pytest.fixture(scope="session")
def tiny_pipeline(tiny_generator: StyleGAN2Generator, tiny_catalog: RegionCatalog) -> StyleGANPipeline:
    """A pipeline of the two; tests must not change it."""
    return StyleGANPipeline(tiny_generator, tiny_catalog)


@pytest.fixture(scope="session")
def tiny_hierarchy(tiny_generator: StyleGAN2Generator) -> FusionHierarchy:
    """An untrained hierarchy over the catalog's regions; as with the portraits, its "face" holds more than theirs."""
    tree = RegionTree(
        {"all": ["face", "rest"], "face": ["skin", "mouth"], "rest": ["background", "hair"]},
        regions={"skin": ["face"]},
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return FusionHierarchy.for_generator(tiny_generator, tree, hidden_widths=[16]).eval()


@pytest.fixture(scope="session")
def fusion_pipeline(
    tiny_generator: StyleGAN2Generator, tiny_catalog: RegionCatalog, tiny_hierarchy: FusionHierarchy
) -> StyleGANPipeline:
    """The tiny pipeline with the hierarchy; tests must not change it."""
    return StyleGANPipeline(tiny_generator, tiny_catalog, fusion=tiny_hierarchy)


@pytest.fixture(scope="session")
def semantic_generator() -> SemanticStyleGANGenerator:
    """A SemanticStyleGAN of 32 pixels for the portraits' classes, with random weights, the same ones in every run."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        generator = SemanticStyleGANGenerator(
            resolution=32,
            z_dim=16,
            w_dim=16,
            num_mapping_layers=2,
            class_names=CLASSES,
            transparent_classes=[CLASSES.index("glasses"), CLASSES.index("earrings")],
            coarse_resolution=16,
            min_resolution=8,
            local_layers=5,
            depth_layers=3,
            local_width=8,
            feature_width=12,
            channels={"16": 10, "32": 6},
        )
        return generator.eval().requires_grad_(False)


@pytest.fixture(scope="session")
def semantic_pipeline(semantic_generator: SemanticStyleGANGenerator) -> SemanticStyleGANPipeline:
    """A pipeline of it; tests must not change it."""
    return SemanticStyleGANPipeline(semantic_generator)


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a CLIP with random weights and a tokenizer of portraits, in open_clip's format."""
    pytest.importorskip("open_clip")
    from sfhub.portraits import sample_attributes
    from sfhub.training.clip import ClipTraining
    from sfhub.training.clip_folder import Texts, learn_tokenizer, new_network, save_clip

    config = ClipTraining(
        vocabulary=300, embed_dim=16, image_size=32, image_width=4, text_width=16, text_heads=2, text_layers=1
    )
    folder = tmp_path_factory.mktemp("clip") / "tiny"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tokenizer = learn_tokenizer(Texts(sample_attributes(64, seed=0), 0), config)
        save_clip(new_network(config, tokenizer).eval(), tokenizer, config, folder)
    return folder


@pytest.fixture(scope="session")
def tiny_encoder(tiny_clip: Path):
    """The encoder in that folder; tests must not change it."""
    from sfhub.text.encoder import TextEncoder

    return TextEncoder.open(tiny_clip)
