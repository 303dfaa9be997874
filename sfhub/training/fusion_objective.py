"""The losses of the three stages of StyleFusion's training (Kafri et al., ACM TOG 2022, sections 4.3 and 4.4).

`Objective.draw` makes the random codes of a step, `Objective.compute` the losses of its stage on them; which counts how
much is up to the loop (`sfhub.training.fusion`). The losses themselves are in `sfhub.training.fusion_losses`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sfhub.models.fusion import FusionHierarchy, FusionResult
from sfhub.models.style_space import StyleGenerator
from sfhub.regions.catalog import RegionCatalog
from sfhub.regions.masks import MIN_SHARE
from sfhub.regions.sampling import sample_styles
from sfhub.regions.soft import soft_clusters, soft_regions
from sfhub.training.fusion_losses import (
    contrastive_loss,
    fusion_loss,
    localization_loss,
    mask_loss,
    region_features,
    region_masks,
)
from sfhub.training.fusion_settings import FusionTraining

__all__ = ["Objective", "Scene"]

CERTAIN = 1e-3
"""Distance of a coefficient from 0 or 1 at which it is close enough."""


@dataclass(frozen=True)
class Scene:
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
class Objective:
    """The losses of every stage.

    Attributes:
        members: for every inner node which of the catalog's regions make up each of its two, `[2, R]`.
        weights: for every inner node the channels' weights `[2, S]` (equation 8).
        std: standard deviation of the channels, `[S]`.
        layout: the layout query `[S]`, if there is one.
    """

    config: FusionTraining
    generator: StyleGenerator
    catalog: RegionCatalog
    parser: nn.Module | None
    hierarchy: FusionHierarchy
    members: Mapping[str, Tensor]
    weights: Mapping[str, Tensor]
    std: Tensor
    layout: Tensor | None

    @torch.no_grad()
    def draw(self, depth: int, stage: str, seed: int) -> Scene:
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
        return Scene(levels[depth], sources, dict(zip(rest, remaining, strict=True)), layout, noise)

    def compute(self, scene: Scene, stage: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Losses by the name of their weight, and further figures for the log; means over the nodes."""
        rows = {"align": self._align, "fuse": self._fuse, "joint": self._joint}[stage](scene)
        losses, figures = (
            {name: torch.stack([row[name] for row in part]).mean() for name in part[0]}
            for part in zip(*rows, strict=True)
        )
        return losses, figures

    def _align(self, scene: Scene) -> list[tuple[dict[str, Tensor], dict[str, Tensor]]]:
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

    def _fuse(self, scene: Scene) -> list[tuple[dict[str, Tensor], dict[str, Tensor]]]:
        """Stage 2: the channels bound to a region from that region's aligned code."""
        rows = []
        for node in scene.nodes:
            pair = self._pair(scene, node)
            result = self.hierarchy.nets[node].align_and_fuse(*pair, scene.layout)
            target = result.aligned.detach()
            losses = {"fusion": fusion_loss(result.code / self.std, target / self.std, self.weights[node])}
            rows.append((losses, self._own(result.code, pair, node)))
        return rows

    def _joint(self, scene: Scene) -> list[tuple[dict[str, Tensor], dict[str, Tensor]]]:
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

    def _contrast(self, activation: Tensor, scene: Scene, node: str) -> Tensor:
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

    def _pair(self, scene: Scene, node: str) -> Tensor:
        """The codes of a node's two children, `[2, B, S]`."""
        return torch.stack([scene.sources[child] for child in self.hierarchy.tree.children[node]])

    def _climb(self, results: Mapping[str, FusionResult], scene: Scene, layout: Tensor) -> Tensor:
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
