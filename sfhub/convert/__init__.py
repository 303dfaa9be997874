"""Official checkpoints -> folders that `from_pretrained` opens; the only place that reads pickles.

    convert("ffhq.pkl", "ffhq")
    StyleGAN2Generator.from_pretrained("ffhq")

The generator, or StyleFusion's hierarchy, lies in the folder itself, the discriminator, if the file has one, in its
subfolder `discriminator`.
`unpickler.py` says why this is safe with files from strangers, `registry.py` which families are known.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from sfhub.models.fusion import FusionHierarchy
from sfhub.models.latent_mapper import LatentMapper, StyleSpaceMapper
from sfhub.models.semantic_stylegan import SemanticStyleGANGenerator
from sfhub.models.style_flow import StyleFlow
from sfhub.models.stylegan2 import StyleGAN2Generator

from .editors import EditorCheckpoint
from .files import safe_load
from .networks import Checkpoint
from .registry import ADAPTERS, Adapter, recognise
from .saving import check_target, save
from .stylefusion import FusionCheckpoint, gather

__all__ = [
    "ADAPTERS",
    "Adapter",
    "Checkpoint",
    "ConversionReport",
    "EditorCheckpoint",
    "EditorReport",
    "FusionCheckpoint",
    "FusionReport",
    "convert",
    "convert_with_report",
    "load_checkpoint",
    "safe_load",
]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ConversionReport:
    """What was recognised and written; `str` gives it in one line.

    Attributes:
        folder: where the generator lies.
        family: architecture and format of the file.
        resolution: side of the image in pixels.
        style_dimensions: length of the code that is edited, S of a StyleGAN2 or W+ of a SemanticStyleGAN.
        num_classes: classes of a conditional generator or semantic classes, else 0.
        parameters: number of weights of the generator.
        discriminator: whether one was written too.
        notes: clauses on what was left out or estimated.
    """

    folder: Path
    family: str
    resolution: int
    style_dimensions: int
    num_classes: int
    parameters: int
    discriminator: bool
    notes: tuple[str, ...]

    def __str__(self) -> str:
        classes = f", {self.num_classes} classes" if self.num_classes else ""
        networks = "generator and discriminator" if self.discriminator else "generator"
        facts = (
            f"{self.resolution} px, {self.style_dimensions:,} styles, {self.parameters / 1e6:.1f} M parameters{classes}"
        )
        return "; ".join([f"{self.family}, {facts}: {networks} written to {self.folder}", *self.notes])


@dataclass(frozen=True)
class FusionReport:
    """As `ConversionReport`, for a hierarchy of StyleFusion.

    Attributes:
        folder: where the hierarchy lies.
        family: architecture and format of the files.
        resolution: side of its generator's image in pixels.
        style_dimensions: length S of the style codes.
        nodes: the nodes that take a code.
        parameters: number of weights.
        notes: clauses on what was left out or assumed.
    """

    folder: Path
    family: str
    resolution: int
    style_dimensions: int
    nodes: tuple[str, ...]
    parameters: int
    notes: tuple[str, ...]

    def __str__(self) -> str:
        facts = (
            f"hierarchy of {', '.join(self.nodes)} for a generator of {self.resolution} px and "
            f"{self.style_dimensions:,} styles, {self.parameters / 1e6:.1f} M parameters"
        )
        return "; ".join([f"{self.family}, {facts}: written to {self.folder}", *self.notes])


@dataclass(frozen=True)
class EditorReport:
    """As `ConversionReport`, for a network that edits codes (a mapper of StyleCLIP, a flow of StyleFlow).

    Attributes:
        folder: where the network lies.
        family: architecture and format of the file.
        facts: what it is.
        parameters: number of weights.
        notes: clauses on what was left out or assumed.
    """

    folder: Path
    family: str
    facts: str
    parameters: int
    notes: tuple[str, ...]

    def __str__(self) -> str:
        facts = f"{self.facts}, {self.parameters / 1e6:.1f} M parameters"
        return "; ".join([f"{self.family}, {facts}: written to {self.folder}", *self.notes])


def convert(path: str | Path, out_dir: str | Path) -> Path:
    """Convert an official checkpoint to a folder in diffusers' layout.

    Args:
        path: rosinality's or SemanticStyleGAN's `.pt`, NVIDIA's `.pkl`, or a state dict of one of them as `.pt`,
            `.pth` or `.safetensors`; for StyleFusion the `.json` file that names one `.pt` per node; a mapper of
            StyleCLIP or a flow of StyleFlow as `.pt`.
        out_dir: folder to write; new, empty, or an earlier conversion, which is then replaced.

    Returns:
        `out_dir`, which `from_pretrained` of `StyleGAN2Generator`, `SemanticStyleGANGenerator`, `FusionHierarchy`,
        `LatentMapper`, `StyleSpaceMapper` or `StyleFlow` opens.

    Raises:
        InputError: if the file cannot be opened safely or is of another architecture, or the folder cannot be written.
    """
    return convert_with_report(path, out_dir).folder


def convert_with_report(path: str | Path, out_dir: str | Path) -> ConversionReport | FusionReport | EditorReport:
    """As `convert`, and say what was recognised."""
    folder = Path(out_dir).expanduser().resolve()
    check_target(folder)
    checkpoint = _open(path)
    if isinstance(checkpoint, FusionCheckpoint):
        save({"": checkpoint.hierarchy}, folder)
        report = _fusion_report(checkpoint, folder)
    elif isinstance(checkpoint, EditorCheckpoint):
        save({"": checkpoint.network}, folder)
        count = sum(parameter.numel() for parameter in checkpoint.network.parameters())
        report = EditorReport(folder, checkpoint.family, checkpoint.facts, count, checkpoint.notes)
    else:
        networks = {"": checkpoint.generator, "discriminator": checkpoint.discriminator}
        save({name: network for name, network in networks.items() if network is not None}, folder)
        report = _report(checkpoint, folder)
    logger.info("%s", report)
    return report


def load_checkpoint(
    path: str | Path,
) -> StyleGAN2Generator | SemanticStyleGANGenerator | FusionHierarchy | LatentMapper | StyleSpaceMapper | StyleFlow:
    """The network of an official checkpoint, without writing anything; errors as for `convert`."""
    checkpoint = _open(path)
    if isinstance(checkpoint, EditorCheckpoint):
        return checkpoint.network
    return checkpoint.hierarchy if isinstance(checkpoint, FusionCheckpoint) else checkpoint.generator


def _open(path: str | Path) -> Checkpoint | FusionCheckpoint | EditorCheckpoint:
    path = Path(path).expanduser()
    root = gather(path) if path.suffix.lower() == ".json" else safe_load(path)
    return recognise(root, path.name)


def _report(checkpoint: Checkpoint, folder: Path) -> ConversionReport:
    generator = checkpoint.generator
    return ConversionReport(
        folder=folder,
        family=checkpoint.family,
        resolution=generator.config.resolution,
        style_dimensions=_style_dimensions(generator),
        num_classes=generator.config.num_classes,
        parameters=sum(parameter.numel() for parameter in generator.parameters()),
        discriminator=checkpoint.discriminator is not None,
        notes=checkpoint.notes,
    )


def _style_dimensions(generator: StyleGAN2Generator | SemanticStyleGANGenerator) -> int:
    if isinstance(generator, SemanticStyleGANGenerator):
        return generator.n_latent * generator.config.w_dim
    return generator.style_layout.size


def _fusion_report(checkpoint: FusionCheckpoint, folder: Path) -> FusionReport:
    hierarchy = checkpoint.hierarchy
    return FusionReport(
        folder=folder,
        family=checkpoint.family,
        resolution=hierarchy.config.resolution,
        style_dimensions=hierarchy.style_size,
        nodes=hierarchy.active_nodes,
        parameters=sum(parameter.numel() for parameter in hierarchy.parameters()),
        notes=checkpoint.notes,
    )
