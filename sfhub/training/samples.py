"""What trainings show of themselves: grids of samples, the same latents every time, and curves of their log."""

import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.utils import save_image

from sfhub.models.fusion import FusionHierarchy
from sfhub.models.semantic_stylegan import SemanticStyleGANGenerator
from sfhub.models.style_space import StyleGenerator, set_mean_w
from sfhub.portraits.classes import PALETTE
from sfhub.regions.sampling import sample_styles

__all__ = ["save_curves", "save_samples", "save_semantic_samples", "save_strips"]


@torch.no_grad()
def save_samples(
    G: StyleGenerator, path: Path, *, count: int = 64, seed: int = 1_000, truncation_psi: float = 0.7
) -> None:
    """Write a grid of `count` uncurated samples, the same latents every time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    set_mean_w(G)
    z = torch.randn(count, G.config.z_dim, generator=torch.Generator().manual_seed(seed)).to(G.const.device)
    images = torch.cat([G(part, truncation_psi=truncation_psi).cpu() for part in z.split(16)])
    save_image(images, path, nrow=math.ceil(math.sqrt(count)), normalize=True, value_range=(-1, 1))


@torch.no_grad()
def save_semantic_samples(
    G: SemanticStyleGANGenerator,
    out_dir: Path,
    name: str,
    *,
    count: int = 32,
    seed: int = 1_000,
    truncation_psi: float = 0.7,
) -> None:
    """Write uncurated samples, the same latents every time: `samples/` holds images beside their masks, `depths/`
    the first eight images beside the pseudo-depths of all classes (fig. 22), dark behind and light in front."""
    set_mean_w(G)
    z = torch.randn(count, G.config.z_dim, generator=torch.Generator().manual_seed(seed)).to(G.position_weight.device)
    outputs = [G(part, truncation_psi=truncation_psi) for part in z.split(8)]
    image = torch.cat([output.image for output in outputs]).cpu().clamp(-1, 1) / 2 + 0.5
    labels = torch.cat([output.mask.argmax(dim=1) for output in outputs]).cpu()
    colours = PALETTE[labels % len(PALETTE)].permute(0, 3, 1, 2) / 255
    _save_grid(torch.cat([image, colours], dim=3), out_dir / "samples" / name, columns=4)

    depths = outputs[0].depths.float().cpu()
    low, high = depths.amin(dim=(1, 2, 3), keepdim=True), depths.amax(dim=(1, 2, 3), keepdim=True)
    depths = F.interpolate((depths - low) / (high - low).clamp(min=1e-6), image.shape[-2:])
    rows = torch.cat([image[: len(depths), None], depths[:, :, None].expand(-1, -1, 3, -1, -1)], dim=1)
    _save_grid(rows.flatten(0, 1), out_dir / "depths" / name, columns=rows.shape[1])


def _save_grid(images: Tensor, path: Path, columns: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_image(images, path, nrow=columns)


@torch.no_grad()
def save_strips(
    generator: StyleGenerator,
    hierarchy: FusionHierarchy,
    depth: int,
    path: Path,
    truncation_psi: float = 0.7,
    *,
    count: int = 6,
    seed: int = 1_000,
) -> None:
    """Write a grid: base, source, the base in the source's layout, and one column for every region of it replaced.

    Args:
        depth: the deepest level whose networks are used; the columns are its children and the leaves above, in the
            order of the tree.
        path: of the PNG file.
        count: rows.
        seed: of the codes, the same in every picture.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    tree = hierarchy.tree
    levels = tree.levels()
    deepest = {child for node in levels[depth] for child in tree.children[node]}
    above = {child for level in levels[:depth] for node in level for child in tree.children[node]}
    columns = [node for node in tree.nodes if node in deepest or (node in above and node in tree.leaves)]
    base, source = sample_styles(generator, 2 * count, seed, truncation_psi).chunk(2)
    codes = [base, source, hierarchy.mix({tree.root: base}, {tree.root: source})]
    codes += [hierarchy.mix({tree.root: base, node: source}) for node in columns]
    images = torch.stack([generator.synthesis(code).float().cpu() for code in codes], dim=1)
    save_image(images.flatten(0, 1), path, nrow=len(codes), normalize=True, value_range=(-1, 1))


def save_curves(log: Path, path: Path) -> None:
    """Draw the figures of a `log.jsonl`, if there is one yet, over the steps, one panel each."""
    from matplotlib.figure import Figure  # an optional dependency, without its windows

    if not log.is_file():
        return
    records = {record["step"]: record for record in map(json.loads, log.read_text().splitlines())}
    names = list(dict.fromkeys(name for record in records.values() for name in record))
    names = [name for name in names if name not in ("step", "level", "stage")]
    figure = Figure(figsize=(8, 1.6 * len(names)), layout="constrained")
    for axes, name in zip(figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0], names, strict=True):
        points = [(step, record[name]) for step, record in sorted(records.items()) if name in record]
        axes.plot(*zip(*points, strict=True), ".-", markersize=3, linewidth=0.8)
        axes.set_ylabel(name)
        axes.set_ylim(bottom=0)
    axes.set_xlabel("step")
    figure.savefig(path)
