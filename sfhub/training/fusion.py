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

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from sfhub.models.fusion import FusionHierarchy
from sfhub.models.layers import SQRT2
from sfhub.models.region_tree import RegionTree
from sfhub.models.style_space import StyleGenerator
from sfhub.regions.catalog import RegionCatalog
from sfhub.regions.sampling import sample_styles
from sfhub.training.fusion_guide import find_guide, node_weights, region_members
from sfhub.training.fusion_objective import Objective
from sfhub.training.fusion_settings import ABLATIONS, FREE_SETTINGS, PRESETS, STAGES, FusionTraining, check_settings
from sfhub.training.run import Run, optimizer_step, step_seed
from sfhub.training.samples import save_curves, save_strips

__all__ = ["ABLATIONS", "PRESETS", "FusionTraining", "train_fusion"]

WEIGHTS_STREAM = 2_718_281_828  # far from the seeds of codes, so that no network starts as a code's latent


def train_fusion(
    config: FusionTraining,
    generator: StyleGenerator,
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
    catalog.check_generator(generator)
    check_settings(config)
    members = region_members(catalog, tree)

    # Build.
    torch.set_flush_denormal(True)
    for network in (generator, catalog, parser):
        if network is not None:
            network.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)
    hierarchy = _new_hierarchy(config, generator, tree).to(device)
    optimizer = torch.optim.Adam(hierarchy.parameters(), lr=config.learning_rate[0], betas=(0.0, 0.99), fused=True)
    std = sample_styles(generator, 1024, config.seed, config.truncation_psi).std(dim=0).clamp(min=1e-6)
    with accelerator.main_process_first():
        layout, claims = find_guide(config, generator, catalog, parser, out_dir / "guide.safetensors")
    weights = node_weights(config.relevance, catalog, members, claims)
    objective = Objective(config, generator, catalog, parser, hierarchy, members, weights, std, layout)

    def write_results(folder: Path, state: Mapping[str, Any]) -> None:
        hierarchy.save_pretrained(folder / "hierarchy")

    levels = tree.levels()
    run = Run(
        out_dir,
        accelerator,
        modules={"hierarchy": hierarchy},
        optimizers={"optimizer": optimizer},
        length=len(levels) * sum(config.stage_steps),
        counter="step",
        write_results=write_results,
        settings=_fixed_settings(config, hierarchy),
        callback=callback,
    )
    run.restore()
    while not run.is_done:
        depth, stage, share = _locate(run.step, config.stage_steps)
        _choose(hierarchy, levels[depth], STAGES[stage])
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate[stage] * (1 - 0.9 * share)

        scene = objective.draw(depth, STAGES[stage], seed=step_seed(config.seed, run.step, rank))
        with accelerator.autocast():
            losses, figures = objective.compute(scene, STAGES[stage])
        weights = {name: getattr(config, f"{name}_weight")[stage] for name in losses}
        weights["mask"] = weights.get("mask", 0.0) * config.mask_decay**depth
        accelerator.backward(sum(loss * weights[name] for name, loss in losses.items()))
        optimizer_step(optimizer, accelerator)
        run.note(**losses, **figures)
        run.advance()

        # Status, samples and checkpoint.
        stage_ends = run.is_done or _locate(run.step, config.stage_steps)[:2] != (depth, stage)
        if run.reaches(config.log_steps) or stage_ends:
            run.log({"level": depth, "stage": stage + 1}, shown=tuple(losses))
        if run.reaches(config.save_steps):
            run.save()
            if run.is_main:
                samples = run.out_dir / "samples" / f"{run.step:06d}.png"
                save_strips(generator, hierarchy, depth, samples, config.truncation_psi)
                save_curves(run.out_dir / "log.jsonl", run.out_dir / "losses.png")
    run.close()
    return hierarchy.eval().requires_grad_(True)


def _new_hierarchy(config: FusionTraining, generator: StyleGenerator, tree: RegionTree) -> FusionHierarchy:
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


def _fixed_settings(config: FusionTraining, hierarchy: FusionHierarchy) -> dict[str, Any]:
    """What must not change while a training goes on."""
    values = asdict(config) | {name: hierarchy.config[name] for name in ("tree", "style_layers")}
    return {name: value for name, value in values.items() if name not in FREE_SETTINGS}
