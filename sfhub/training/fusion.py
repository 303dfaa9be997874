"""Training StyleFusion: from a frozen generator and its region catalog to a hierarchy of FusionNets.

*StyleFusion* (Kafri et al., ACM TOG 2022), sections 4.3 and 4.4, whose code for this was never released. The tree is
trained from the root down, each level through the frozen networks above it, in three stages:

    1  align   only the align blenders, on the images of the aligned codes
    2  fuse    only the fuse blenders, on codes alone, without any image
    3  joint   both, on the image and on those of perturbed codes

Which loss counts how much in which stage is a table in `FusionTraining`. Departures from the paper, all for speed or
for small regions: the networks of one level learn at the same time from the same images, as they own different parts of
it; weights of channels come from the catalog or are settled beforehand, not from the images at hand (equation 8 needs
all activations of both sources); losses are means instead of sums (see `sfhub.training.fusion_losses`). All randomness
is a function of seed and step, so a training that was killed goes on from its last checkpoint to the very same weights.
"""

import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torchvision.utils import save_image

from sfhub.errors import InputError
from sfhub.models.fusion import FusionHierarchy, FusionResult
from sfhub.models.layers import SQRT2
from sfhub.models.region_tree import RegionTree
from sfhub.models.stylegan2 import StyleGAN2Generator
from sfhub.regions.attribute_query import LAYOUT, attribute_query
from sfhub.regions.catalog import RegionCatalog
from sfhub.regions.channel_owners import assign_channels
from sfhub.regions.masks import MIN_SHARE
from sfhub.regions.sampling import sample_styles
from sfhub.regions.soft import soft_clusters, soft_regions
from sfhub.training.checkpoint import load_checkpoint, read_checkpoint, save_checkpoint, write_checkpoint
from sfhub.training.fusion_losses import (
    channel_weights,
    contrastive_loss,
    fusion_loss,
    localization_loss,
    mask_loss,
    region_features,
    region_masks,
)
from sfhub.training.recorder import Recorder
from sfhub.training.stylegan2 import optimizer_step

__all__ = ["ABLATIONS", "PRESETS", "FusionTraining", "train_fusion"]

logger = logging.getLogger(__name__)

STAGES = ("align", "fuse", "joint")
RELEVANCES = {"activation": "contribution", "influence": "influence", "query": "default_queries"}
"""What `FusionTraining.relevance` may be, besides `guide`: the catalog's buffer by name."""

GUIDE = "guide"

UNCLAIMED = 0.1
"""How much influence counts beside the claims of a guide."""

FREE_SETTINGS = ("log_steps", "save_steps")
"""Settings that a training may change when it goes on."""

WEIGHTS_STREAM = 2_718_281_828  # far from the seeds of codes, so that no network starts as a code's latent

CERTAIN = 1e-3
"""Distance of a coefficient from 0 or 1 at which it is close enough."""

PerStage = tuple[float, float, float]


@dataclass(frozen=True)
class FusionTraining:
    """Settings of one training. The paper gives no values: they are in a supplement that we do not have.

    Attributes:
        width, hidden_widths, common_layers, encoding_repeats: of the networks, see `FusionNet`; the width of the widest
            style layer if None.
        initial_alignment: coefficient of the align blenders before training. Random ones start half-way to the layout,
            which the losses then have to undo.
        stage_steps: length of the three stages for each level of the tree; 0 leaves one out.
        mask_weight, local_weight, align_weight, fusion_weight: lambda of equation 9 in each of the three stages. Only
            the last counts in the second, which makes no image and leaves the align blender alone. The paper's third
            stage has no mask loss. On the portraits at the root, an align weight of 0.5 shut the align blender for good
            and one of 0.01 let it pull everything to the layout code.
        layout_weight: of a term that the paper does not have: the align coefficient close to the layout query
            (`sfhub.regions.attribute_query`), for portraits only, whose parser sees attributes. The masks cannot tell
            the pose of a head from the shape of its hair.
        contrastive_weight: of a term that the paper does not have: each region of the result close to its source's
            in the generator's features and far from the other sources'.
        mask_decay: factor on the mask loss from one level of the tree to the next. The root aligns the pose of all that
            is below it; the masks of smaller regions are mostly shapes, which should come from their source.
        epsilon: perturbation strength of equation 4; 1 is an exchange of the whole code.
        relevance: where the channels' weights come from: `activation` (the paper's M), `influence` or `query` (the
            measured default queries) of the catalog; `guide` for claims that are settled among all regions when the
            training starts (`sfhub.regions.channel_owners`), so that none has what belongs to another one, or to the
            layout if that is known (`layout_weight`).
        guide_steps: gradient steps on the claims.
        base_probability: share of samples in which one code serves as layout and as one of the two sources, as when
            a region of an image is replaced; in the others all are independent.
        batch_size: samples per step and process where images are made; three images each.
        code_batch_size: the same where none are made: in the second stage, and in the first without the mask loss.
        learning_rate: of Adam with betas (0, 0.99) in each of the three stages, falling to a tenth over the stage. The
            parameters of a blender are about 100 in size, so that 1 is as cautious as 0.01 elsewhere.
        truncation_psi: of all codes.
        resolution: side of the images that the losses see, the generator's skip image of that size; full size if None.
        mask_temperature: see `sfhub.regions.soft.soft_clusters`; without effect when a parser makes the masks.
        contrastive_temperature: see `contrastive_loss`.
        seed: of everything random.
        log_steps, save_steps: steps between log records, and between checkpoints with a strip of samples.
    """

    width: int | None = None
    hidden_widths: tuple[int, ...] | None = None
    common_layers: int | None = 5
    encoding_repeats: int = 10
    initial_alignment: float = 0.1
    stage_steps: tuple[int, int, int] = (1_000, 2_000, 2_000)
    mask_weight: PerStage = (1.0, 0.0, 0.0)
    local_weight: PerStage = (0.0, 0.0, 2.0)
    align_weight: PerStage = (0.1, 0.0, 0.2)
    fusion_weight: PerStage = (0.2, 1.0, 1.0)
    layout_weight: PerStage = (0.0, 0.0, 0.0)
    contrastive_weight: PerStage = (0.0, 0.0, 0.0)
    mask_decay: float = 1.0
    epsilon: float = 0.5
    relevance: str = "influence"
    guide_steps: int = 150
    base_probability: float = 0.0
    batch_size: int = 8
    code_batch_size: int = 64
    learning_rate: PerStage = (1.0, 1.0, 0.3)
    truncation_psi: float = 0.7
    resolution: int | None = None
    mask_temperature: float = 0.05
    contrastive_temperature: float = 0.1
    seed: int = 0
    log_steps: int = 20
    save_steps: int = 100


PRESETS: dict[str, FusionTraining] = {
    "default": FusionTraining(),
    # The shipped portraits: small networks, losses at half the resolution. The third stage is short and gentle: after
    # 300 steps with a localization weight of 2 the skin transferred 47%, without the stage 65%, at no worse a leak.
    "portraits": FusionTraining(
        hidden_widths=(256, 256),
        relevance=GUIDE,
        mask_weight=(0.0, 0.0, 0.0),
        local_weight=(0.0, 0.0, 0.2),
        align_weight=(0.0, 0.0, 0.0),
        layout_weight=(1.0, 0.0, 1.0),
        stage_steps=(200, 500, 100),
        learning_rate=(2.0, 2.0, 0.5),
        mask_decay=0.25,
        base_probability=0.5,
        resolution=64,
    ),
}


def _without_stage(index: int) -> Callable[[FusionTraining], FusionTraining]:
    def apply(config: FusionTraining) -> FusionTraining:
        steps = list(config.stage_steps)
        steps[index] = 0
        return replace(config, stage_steps=tuple(steps))

    return apply


def _end_to_end(config: FusionTraining) -> FusionTraining:
    """One stage of the same total length with all losses, each as strong as where it is strongest."""
    weights = {
        name: (0.0, 0.0, max(getattr(config, name)))
        for name in ("mask_weight", "local_weight", "align_weight", "fusion_weight", "contrastive_weight")
    }
    return replace(config, stage_steps=(0, 0, sum(config.stage_steps)), **weights)


def _no_global(config: FusionTraining) -> FusionTraining:
    """No layer heeds the layout code, so there is nothing to align."""
    return replace(_without_stage(0)(config), common_layers=0)


ABLATIONS: dict[str, Callable[[FusionTraining], FusionTraining]] = {
    "no-global": _no_global,
    "no-stage-1": _without_stage(0),
    "no-stage-2": _without_stage(1),
    "no-stage-3": _without_stage(2),
    "end-to-end": _end_to_end,
}
"""The paper's five ablations (section 7): settings -> settings without that part."""


def train_fusion(
    config: FusionTraining,
    generator: StyleGAN2Generator,
    catalog: RegionCatalog,
    tree: RegionTree,
    out_dir: str | Path,
    *,
    parser: nn.Module | None = None,
    accelerator: Accelerator | None = None,
    callback: Callable[[dict[str, float]], None] | None = None,
) -> FusionHierarchy:
    """Train the hierarchy of `tree`, or go on where a checkpoint in `out_dir` left off.

    Args:
        config: settings; those of a training that goes on may differ in `log_steps` and `save_steps` only.
        generator, catalog: of one model. They and the parser are frozen and moved to the accelerator's device.
        tree: its leaves stand for regions of the catalog (see `RegionTree.regions_of`).
        out_dir: receives `checkpoint.safetensors`, `hierarchy/` (loads with `FusionHierarchy.from_pretrained`),
            `samples/*.png`, `losses.png` and `log.jsonl`.
        parser: a network with class `logits` whose soft masks are used; the catalog's soft clusters if None.
        accelerator: device, mixed precision and processes; `Accelerator()` if None. With several processes each takes
            `batch_size` samples per step.
        callback: gets every log record.

    Returns:
        The hierarchy.

    Raises:
        InputError: for a catalog of another generator, a tree of other regions, settings that make no sense, or a
            checkpoint of other settings.
    """
    accelerator = accelerator or Accelerator()
    device, rank, out_dir = accelerator.device, accelerator.process_index, Path(out_dir)
    _check(config, generator, catalog)
    members = _members(catalog, tree)
    out_dir.mkdir(parents=True, exist_ok=True)

    # Build.
    torch.set_flush_denormal(True)
    for network in (generator, catalog, parser):
        if network is not None:
            network.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)
    hierarchy = _new_hierarchy(config, generator, tree).to(device)
    optimizer = torch.optim.Adam(hierarchy.parameters(), lr=config.learning_rate[0], betas=(0.0, 0.99), fused=True)
    std = sample_styles(generator, 1024, config.seed, config.truncation_psi).std(dim=0).clamp(min=1e-6)
    with accelerator.main_process_first():
        layout, claims = _guide(config, generator, catalog, parser, out_dir / "guide.safetensors")
    weights = _channel_weights(config.relevance, catalog, members, claims)
    objective = _Objective(config, generator, catalog, parser, hierarchy, members, weights, std, layout)

    # Restore.
    step, checkpoint = 0, out_dir / "checkpoint.safetensors"
    settings = _settings(config, hierarchy)
    if checkpoint.is_file():
        _check_settings(checkpoint, settings)
        step = load_checkpoint(checkpoint, {"hierarchy": hierarchy}, {"optimizer": optimizer})["step"]
        logger.info("Going on from %s at step %d.", checkpoint, step)

    levels = tree.levels()
    total = len(levels) * sum(config.stage_steps)
    recorder = Recorder(out_dir, accelerator, total=total, initial=step, unit="step", callback=callback)
    while step < total:
        depth, stage, share = _locate(step, config.stage_steps)
        _choose(hierarchy, levels[depth], STAGES[stage])
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate[stage] * (1 - 0.9 * share)

        scene = objective.draw(depth, STAGES[stage], seed=hash((config.seed, step, rank)) & 0x7FFF_FFFF_FFFF_FFFF)
        with accelerator.autocast():
            losses, figures = objective.compute(scene, STAGES[stage])
        weights = {name: getattr(config, f"{name}_weight")[stage] for name in losses}
        weights["mask"] = weights.get("mask", 0.0) * config.mask_decay**depth
        accelerator.backward(sum(loss * weights[name] for name, loss in losses.items()))
        optimizer_step(optimizer, accelerator)
        recorder.add(**losses, **figures)
        step += 1
        recorder.advance(1)

        # Status, samples and checkpoint.
        stage_ends = step == total or _locate(step, config.stage_steps)[:2] != (depth, stage)
        if step % config.log_steps == 0 or stage_ends:
            recorder.write({"step": step, "level": depth, "stage": stage + 1}, shown=tuple(losses))
        if accelerator.is_main_process and (step % config.save_steps == 0 or step == total):
            progress = {"step": step, "settings": settings}
            save_checkpoint(checkpoint, {"hierarchy": hierarchy}, {"optimizer": optimizer}, progress)
            hierarchy.save_pretrained(out_dir / "hierarchy")
            save_strips(generator, hierarchy, depth, out_dir / "samples" / f"{step:06d}.png", config.truncation_psi)
            save_curves(out_dir / "log.jsonl", out_dir / "losses.png")
    recorder.close()
    accelerator.wait_for_everyone()
    return hierarchy.eval().requires_grad_(True)


@dataclass(frozen=True)
class _Scene:
    """Random codes of one step, all `[B, S]`.

    Attributes:
        nodes: the inner nodes that are trained.
        sources: one code for each of their children.
        rest: one for each leaf that is not below them.
        layout: of all inner nodes.
        noise: the code from which perturbations come (s_rnd of equation 4).
    """

    nodes: Sequence[str]
    sources: Mapping[str, Tensor]
    rest: Mapping[str, Tensor]
    layout: Tensor
    noise: Tensor


@dataclass(frozen=True)
class _Objective:
    """The losses of every stage.

    Attributes:
        members: for every inner node which of the catalog's regions make up each of its two, `[2, R]`.
        weights: for every inner node the channels' weights `[2, S]` (equation 8).
        std: standard deviation of the channels, `[S]`.
        layout: the layout query `[S]`, if there is one.
    """

    config: FusionTraining
    generator: StyleGAN2Generator
    catalog: RegionCatalog
    parser: nn.Module | None
    hierarchy: FusionHierarchy
    members: Mapping[str, Tensor]
    weights: Mapping[str, Tensor]
    std: Tensor
    layout: Tensor | None

    @torch.no_grad()
    def draw(self, depth: int, stage: str, seed: int) -> _Scene:
        """Random codes for the nodes of a level."""
        tree, config = self.hierarchy.tree, self.config
        levels = tree.levels()
        imageless = stage == "fuse" or (stage == "align" and not config.mask_weight[0])
        count = config.code_batch_size if imageless else config.batch_size
        children = [child for node in levels[depth] for child in tree.children[node]]
        above = {child for level in levels[:depth] for node in level for child in tree.children[node]}
        rest = [leaf for leaf in tree.leaves if leaf in above]
        codes = sample_styles(self.generator, (len(children) + len(rest) + 2) * count, seed, config.truncation_psi)
        layout, noise, *others = codes.chunk(len(children) + len(rest) + 2)
        sources = dict(zip(children, others[: len(children)], strict=True))

        # Some samples are a base image of which each node keeps one child and takes the other from elsewhere.
        random = torch.Generator().manual_seed(seed)
        based = torch.rand(count, 1, generator=random) < config.base_probability
        for node in levels[depth]:
            keep_first = torch.rand(count, 1, generator=random) < 0.5
            for child, keep in zip(tree.children[node], (keep_first, ~keep_first), strict=True):
                sources[child] = torch.where((based & keep).to(layout.device), layout, sources[child])
        remaining = [torch.where(based.to(layout.device), layout, code) for code in others[len(children) :]]
        return _Scene(levels[depth], sources, dict(zip(rest, remaining, strict=True)), layout, noise)

    def compute(self, scene: _Scene, stage: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Losses by the name of their weight, and further figures for the log; means over the nodes."""
        rows = {"align": self._align, "fuse": self._fuse, "joint": self._joint}[stage](scene)
        losses, figures = (
            {name: torch.stack([row[name] for row in part]).mean() for name in part[0]}
            for part in zip(*rows, strict=True)
        )
        return losses, figures

    def _align(self, scene: _Scene) -> list[tuple[dict[str, Tensor], dict[str, Tensor]]]:
        """Stage 1: every node shows its first child alone, aligned, and in other images its second."""
        layout = scene.layout.repeat(2, 1)
        results = {
            node: self.hierarchy.nets[node].align_only(self._pair(scene, node).flatten(0, 1), layout)
            for node in scene.nodes
        }
        with_masks = self.config.mask_weight[0] > 0
        if with_masks:
            regions = self._regions(*self._render(self._climb(results, scene, layout)))
            with torch.no_grad():
                layout_regions = self._regions(*self._render(scene.layout))
        rows = []
        for node, result in results.items():
            pair = self._pair(scene, node)
            aligned = result.code.unflatten(0, pair.shape[:2])
            losses = {
                "align": _mean_or_zero(result.align_coefficient),
                "fusion": fusion_loss(aligned / self.std, pair / self.std, self.weights[node]),
            }
            losses |= self._layout(node, result)
            if with_masks:
                masks, layout_masks = (region_masks(part, self.members[node]) for part in (regions, layout_regions))
                losses["mask"] = mask_loss(masks, layout_masks.repeat(1, 2, 1, 1))
            rows.append((losses, self._own(aligned, pair, node)))
        return rows

    def _fuse(self, scene: _Scene) -> list[tuple[dict[str, Tensor], dict[str, Tensor]]]:
        """Stage 2: the channels bound to a region from that region's aligned code."""
        rows = []
        for node in scene.nodes:
            pair = self._pair(scene, node)
            result = self.hierarchy.nets[node].align_and_fuse(*pair, scene.layout)
            target = result.aligned.detach()
            losses = {"fusion": fusion_loss(result.code / self.std, target / self.std, self.weights[node])}
            rows.append((losses, self._own(result.code, pair, node)))
        return rows

    def _joint(self, scene: _Scene) -> list[tuple[dict[str, Tensor], dict[str, Tensor]]]:
        """Stage 3: the result, and what it becomes when the first or the second code of every node is perturbed."""
        layout, config = scene.layout.repeat(3, 1), self.config
        results: dict[str, FusionResult] = {}
        for node in scene.nodes:
            first, second = self._pair(scene, node)
            moved = [code.lerp(scene.noise, config.epsilon) for code in (first, second)]
            codes = torch.cat([first, moved[0], first]), torch.cat([second, second, moved[1]])
            results[node] = self.hierarchy.nets[node].align_and_fuse(*codes, layout)
        count = len(scene.layout)
        images, activations = self._render(self._climb(results, scene, layout))
        image, *perturbed = images.chunk(3)
        activations = {name: value[:count] for name, value in activations.items()}
        with_masks, with_contrast = config.mask_weight[2] > 0, config.contrastive_weight[2] > 0
        with torch.set_grad_enabled(with_masks):
            regions = self._regions(image, activations)
        with torch.no_grad():
            layout_regions = self._regions(*self._render(scene.layout)) if with_masks else None
        rows = []
        for node, result in results.items():
            pair, code = self._pair(scene, node), result.code[:count]
            masks = region_masks(regions, self.members[node])
            losses = {
                "local": localization_loss(image, torch.stack(perturbed), masks),
                "align": _mean_or_zero(result.align_coefficient),
                "fusion": fusion_loss(code / self.std, pair / self.std, self.weights[node]),
            }
            losses |= self._layout(node, result)
            if with_masks:
                losses["mask"] = mask_loss(masks, region_masks(layout_regions, self.members[node]))
            if with_contrast:
                losses["contrastive"] = self._contrast(activations[self.catalog.layer], scene, node)
            rows.append((losses, self._own(code, pair, node)))
        return rows

    def _contrast(self, activation: Tensor, scene: _Scene, node: str) -> Tensor:
        """`contrastive_loss` of both regions against the sibling's source and the layout."""
        members = self.members[node]
        side = self.generator.style_layout[self.catalog.layer].resolution

        def features(values: Tensor) -> tuple[Tensor, Tensor]:
            masks = region_masks(soft_clusters(self.catalog, values, temperature=self.config.mask_temperature), members)
            return region_features(values, masks.detach()), masks.mean(dim=(-2, -1)) > MIN_SHARE

        with torch.no_grad():
            codes = torch.cat([*self._pair(scene, node), scene.layout])
            values = self.generator.synthesis(codes, resolution=side, return_activations=[self.catalog.layer])[1]
            known, shown = features(values[self.catalog.layer])
            known, shown = (part.unflatten(1, (3, -1)) for part in (known, shown))  # [2 regions, 3 sources, B, ...]
        result, present = features(activation)
        present = present & shown.all(dim=1)
        losses = [
            contrastive_loss(
                result[index],
                known[index, index],
                known[index, [1 - index, 2]],
                present[index],
                self.config.contrastive_temperature,
            )
            for index in (0, 1)
        ]
        return torch.stack(losses).sum()

    def _layout(self, node: str, result: FusionResult) -> dict[str, Tensor]:
        """Cross-entropy between the layout query and the align coefficient, by the name of its weight."""
        if self.layout is None or not result.align_coefficient.numel():
            return {}
        wanted = self.hierarchy.nets[node].aligned_rows.enlarge(self.layout)
        found = result.align_coefficient.float().clamp(CERTAIN, 1 - CERTAIN)
        return {"layout": -torch.where(wanted > 0.5, found, 1 - found).log().mean()}

    def _pair(self, scene: _Scene, node: str) -> Tensor:
        """The codes of a node's two children, `[2, B, S]`."""
        return torch.stack([scene.sources[child] for child in self.hierarchy.tree.children[node]])

    def _climb(self, results: Mapping[str, FusionResult], scene: _Scene, layout: Tensor) -> Tensor:
        """What the networks above make of the codes of the trained nodes, `[B, S]`."""
        tree, nets = self.hierarchy.tree, self.hierarchy.nets
        codes = {leaf: code.repeat(len(layout) // len(code), 1) for leaf, code in scene.rest.items()}
        codes |= {node: result.code for node, result in results.items()}
        for node in reversed(tree.inner):
            children = tree.children[node]
            if node not in codes and all(child in codes for child in children):
                codes[node] = nets[node](*(codes[child] for child in children), layout)
        return codes[tree.root]

    def _render(self, code: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Images of codes, and the catalog's activations where they are needed."""
        if self.parser is not None and not any(self.config.contrastive_weight):
            return self.generator.synthesis(code, resolution=self.config.resolution), {}
        return self.generator.synthesis(code, resolution=self.config.resolution, return_activations=self.catalog.layers)

    def _regions(self, image: Tensor, activations: Mapping[str, Tensor]) -> Tensor:
        """Probability of every region of the catalog, `[B, R, H, W]`."""
        return soft_regions(self.catalog, image, activations, self.parser, temperature=self.config.mask_temperature)

    @torch.no_grad()
    def _own(self, code: Tensor, pair: Tensor, node: str) -> dict[str, Tensor]:
        """How much of the channels bound to a region comes from its own source: 1 all, 0 as little as of the other."""
        weights = self.weights[node][:, None] / self.std
        kept = ((code - pair) * weights).norm(dim=-1) / ((pair - pair.flip(0)) * weights).norm(dim=-1).clamp(min=1e-6)
        return {"own": 1 - kept.mean()}


def _mean_or_zero(coefficient: Tensor) -> Tensor:
    """Mean of a coefficient (equation 6); 0 if no layer is aligned."""
    return coefficient.float().mean() if coefficient.numel() else coefficient.float().sum()


def _check(config: FusionTraining, generator: StyleGAN2Generator, catalog: RegionCatalog) -> None:
    catalog.check_generator(generator)
    known = [*RELEVANCES, GUIDE]
    if config.relevance not in known:
        raise InputError(f"There is no relevance {config.relevance!r}; choose one of {', '.join(known)}.")
    if min(config.stage_steps) < 0 or sum(config.stage_steps) < 1:
        raise InputError(f"Stages of {config.stage_steps} steps train nothing; give at least one stage a step.")
    if not 0 < config.initial_alignment < 1:
        raise InputError(f"An initial alignment of {config.initial_alignment} is none; it lies between 0 and 1.")


def _members(catalog: RegionCatalog, tree: RegionTree) -> dict[str, Tensor]:
    """For every inner node, which of the catalog's regions make up its two, 0 or 1, `[2, R]`.

    Raises:
        InputError: if the tree names a region that the catalog does not have, or one twice.
    """
    names = tree.regions_of(tree.root)
    for name in names:
        if name not in catalog.regions or names.count(name) > 1:
            fault = "twice" if name in catalog.regions else "which the catalog does not have"
            raise InputError(
                f"The tree stands for region {name!r} {fault}; the regions of the catalog are "
                f"{', '.join(catalog.regions)}, and a leaf of another name says so under the tree's regions."
            )
    rows = {
        node: torch.tensor([float(region in tree.regions_of(node)) for region in catalog.regions])
        for node in tree.nodes
    }
    return {node: torch.stack([rows[child] for child in tree.children[node]]) for node in tree.inner}


def _guide(
    config: FusionTraining, generator: StyleGAN2Generator, catalog: RegionCatalog, parser: nn.Module | None, path: Path
) -> tuple[Tensor | None, Tensor | None]:
    """The layout query `[S]` and which region claims each of the other channels `[R, S]`, each if it is used.

    They are kept in a file, for a training that goes on.

    Raises:
        InputError: without a parser that sees attributes where the layout is wanted, or for a file of another
            generator.
    """
    wanted = {"layout": any(config.layout_weight), "claims": config.relevance == GUIDE}
    if not any(wanted.values()):
        return None, None
    options = {"steps": config.guide_steps, "truncation_psi": config.truncation_psi}
    found = _stored_guide(path, wanted | options, catalog)
    if not found:
        if wanted["layout"]:
            found["layout"] = attribute_query(generator, parser, LAYOUT, truncation_psi=config.truncation_psi)
        if wanted["claims"]:
            layout = found.get("layout", torch.zeros_like(catalog.influence[0]))
            found["claims"] = assign_channels(generator, catalog, layout, parser, **options)
        write_checkpoint(path, found, wanted | options)
    found = {name: value.to(generator.device) for name, value in found.items()}
    return found.get("layout"), found.get("claims")


def _stored_guide(path: Path, made_with: Mapping[str, Any], catalog: RegionCatalog) -> dict[str, Tensor]:
    """What a guide's file holds; nothing if there is none, or one that was made with other settings."""
    if not path.is_file():
        return {}
    found, settings = read_checkpoint(path)
    if settings != made_with:
        return {}
    if any(value.shape[-1] != catalog.influence.shape[-1] for value in found.values()):
        raise InputError(f"The guide {path} is of another generator; train in a new folder.")
    return found


def _channel_weights(
    relevance: str, catalog: RegionCatalog, members: Mapping[str, Tensor], claims: Tensor | None = None
) -> dict[str, Tensor]:
    """Equation 8 for every inner node, `[2, S]`.

    M of several regions is the sum of theirs. An influence I is a mean change inside against that outside; two regions
    compare by these odds I / (1 - I), several count as the one that is changed most. So do the claims of a guide; where
    both regions have one, or none, influence decides a little.
    """
    table = claims + UNCLAIMED * catalog.influence if relevance == GUIDE else getattr(catalog, RELEVANCES[relevance])
    if relevance == "influence":
        table = table / (1 - table).clamp(min=1e-3)
    weights = {}
    for node, rows in members.items():
        each = table * rows.to(table)[:, :, None]  # [2, R, S]
        weights[node] = channel_weights(each.sum(dim=1) if relevance == "activation" else each.amax(dim=1))
    return weights


def _new_hierarchy(config: FusionTraining, generator: StyleGAN2Generator, tree: RegionTree) -> FusionHierarchy:
    """Random fuse blenders; align blenders that start near `initial_alignment`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(WEIGHTS_STREAM + config.seed)
        hierarchy = FusionHierarchy.for_generator(
            generator,
            tree,
            width=config.width,
            hidden_widths=config.hidden_widths,
            common_layers=config.common_layers,
            max_layers=len(generator.style_layout),
            encoding_repeats=config.encoding_repeats,
            separate_to_rgb=True,
        )
    before = math.log(config.initial_alignment / (1 - config.initial_alignment)) / SQRT2
    before = before if before > 0 else before / 0.2  # undo the leaky ReLU at the end of the blender
    for net in hierarchy.nets.values():
        last = net.align_blender.layers[-1]
        nn.init.constant_(last.bias, before / last.bias_gain)
    return hierarchy


def _locate(step: int, stage_steps: Sequence[int]) -> tuple[int, int, float]:
    """Level, stage (from 0) and how much of the stage is over, [0, 1)."""
    level, left = divmod(step, sum(stage_steps))
    for stage, length in enumerate(stage_steps):
        if left < length:
            return level, stage, left / length
        left -= length
    raise AssertionError("a step lies in one of its level's stages")


def _choose(hierarchy: FusionHierarchy, nodes: Sequence[str], stage: str) -> None:
    """Freeze all but the blenders that a stage trains."""
    hierarchy.requires_grad_(False)
    blenders = {"align": ("align_blender",), "fuse": ("fuse_blender",), "joint": ("align_blender", "fuse_blender")}
    parameters = [
        parameter
        for node in nodes
        for name in blenders[stage]
        for parameter in hierarchy.nets[node].get_submodule(name).parameters()
    ]
    for parameter in parameters:
        parameter.requires_grad_(True)


def _settings(config: FusionTraining, hierarchy: FusionHierarchy) -> dict[str, Any]:
    """What must not change while a training goes on, as JSON gives it back."""
    values = asdict(config) | {name: hierarchy.config[name] for name in ("tree", "style_layers")}
    return json.loads(json.dumps({name: value for name, value in values.items() if name not in FREE_SETTINGS}))


def _check_settings(checkpoint: Path, settings: Mapping[str, Any]) -> None:
    """Raise an InputError unless the checkpoint was made with these settings."""
    stored = read_checkpoint(checkpoint)[1].get("settings", {})
    changed = [name for name in settings if settings[name] != stored.get(name)]
    if changed:
        raise InputError(
            f"The checkpoint {checkpoint} was made with another {changed[0]} ({stored.get(changed[0])} where "
            f"{settings[changed[0]]} is asked for now); train in a new folder, or with the old settings."
        )


@torch.no_grad()
def save_strips(
    generator: StyleGAN2Generator,
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
