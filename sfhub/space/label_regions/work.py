"""Clusters for the tab Label regions: found once, shown on a few pictures, made into a catalog to keep.

What is remembered is keyed by seed and number alone and holds nothing of a visitor's.
"""

import io
import os
import re
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder
from PIL import Image
from torch import Tensor

from sfhub.errors import InputError, short
from sfhub.files import replace_folder
from sfhub.images.pixels import to_pil
from sfhub.regions.build import measure_catalog
from sfhub.regions.catalog import RegionCatalog
from sfhub.regions.naming import regions_for
from sfhub.regions.sampling import sample_styles
from sfhub.regions.ward import merge_clusters, name_by_parser, ward_catalog
from sfhub.space.common.accelerator import on_accelerator
from sfhub.space.common.cache import Cache
from sfhub.space.common.cached_model import CachedModel

__all__ = ["FOLDER_VARIABLE", "Clusters", "Labeller", "zipped"]

SHOWN = 6
"""Pictures on which clusters are shown."""

# Enough for a first catalog in a minute or two; scripts/build_catalog.py takes the time to measure more.
IMAGES = 24
POSITIONS = 1500
PAIRS = 4
PSI = 0.7

FOLDER_VARIABLE = "SFHUB_CATALOGS"
"""Environment variable with the folder in which catalogs may be saved on the server; without it nobody can."""

NAME = re.compile(r"[A-Za-z0-9][\w-]{0,63}", re.ASCII)


@dataclass(frozen=True, eq=False)
class Clusters:
    """What was found on random pictures.

    Attributes:
        catalog: whose regions are the clusters.
        codes: of the pictures, `[N, S]`.
        images: the first few pictures.
        labels: cluster of every pixel of those, `[SHOWN, H, W]`.
    """

    catalog: RegionCatalog
    codes: Tensor
    images: list[Image.Image]
    labels: np.ndarray


class Labeller:
    """Finds clusters of a pipeline's generator and makes catalogs of them."""

    def __init__(self, model: CachedModel):
        self.pipe = model.pipe
        self._found = Cache(8)
        self._find = on_accelerator(self._compute_clusters)
        self._suggest = on_accelerator(self._compute_names)
        self._measure = on_accelerator(self._compute_catalog)

    @property
    def has_parser(self) -> bool:
        """Whether names can be suggested."""
        return self.pipe.parser is not None

    def find(self, seed: int, count: int) -> Clusters:
        """`count` clusters on the pictures of `seed`."""
        return self._found.get_or((seed, count), lambda: self._find(seed, count))

    def suggest(self, clusters: Clusters) -> list[str]:
        """The name of every cluster by the pipeline's parser."""
        return self._suggest(clusters)

    def catalog(self, clusters: Clusters, names: Sequence[str]) -> RegionCatalog:
        """The catalog of the named clusters, measured."""
        return self._measure(clusters, list(names))

    @torch.no_grad()
    def _compute_clusters(self, seed: int, count: int) -> Clusters:
        generator = self.pipe.generator
        codes = sample_styles(generator, IMAGES, seed, PSI)
        catalog = ward_catalog(generator, codes, count, positions=POSITIONS, seed=seed)
        images, labels = [], []
        # One at a time: at high resolutions all activations of a picture are large enough.
        for code in codes[:SHOWN].split(1):
            image, activations = generator.synthesis(code, return_activations=catalog.layers)
            images += to_pil(image)
            labels.append(catalog.segment(activations, size=image.shape[-2:])[0].cpu().numpy())
        return Clusters(catalog.cpu(), codes.cpu(), images, np.stack(labels))

    def _compute_names(self, clusters: Clusters) -> list[str]:
        device, parser = self.pipe.device, self.pipe.parser
        # Moving a network moves it in place, and this one is shared.
        catalog = merge_clusters(clusters.catalog, clusters.catalog.regions).to(device)
        regions = regions_for(parser.config.class_names)
        named, _ = name_by_parser(self.pipe.generator, catalog, clusters.codes.to(device), parser, regions)
        return [named.regions[index] for index in named.cluster_region.tolist()]

    def _compute_catalog(self, clusters: Clusters, names: list[str]) -> RegionCatalog:
        device = self.pipe.device
        catalog = merge_clusters(clusters.catalog, names).to(device)
        measure_catalog(
            self.pipe.generator,
            catalog,
            clusters.codes.to(device),
            influence_images=0,
            pairs=PAIRS,
            refine_steps=0,
            truncation_psi=PSI,
        )
        return catalog.cpu()

    def save(self, catalog: RegionCatalog, name: str) -> Path:
        """Save a catalog in the folder that the environment variable names.

        Raises:
            InputError: if there is no such folder, the name is no plain name, or a catalog has it already.
        """
        folder = os.environ.get(FOLDER_VARIABLE)
        if not folder:
            raise InputError(f"This page may not save files; start it with {FOLDER_VARIABLE} set to a folder.")
        if not NAME.fullmatch(name):
            raise InputError(f"{short(name[:70])} is no name for a folder; use up to 64 letters, digits, '_' and '-'.")
        target = Path(folder, name).resolve()
        if target.exists():
            raise InputError(f"There is a folder {short(name)} already; take another name.")
        target.parent.mkdir(parents=True, exist_ok=True)
        with replace_folder(target) as partial:
            catalog.save_pretrained(partial)
        return target


def zipped(catalog: RegionCatalog) -> str:
    """The path of a ZIP file to download, with the catalog's files in a folder `catalog`."""
    buffer = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(buffer, "w") as archive:
        catalog.save_pretrained(folder)
        for path in sorted(Path(folder).iterdir()):
            archive.write(path, f"catalog/{path.name}")
    return save_bytes_to_cache(buffer.getvalue(), "catalog.zip", get_upload_folder())
