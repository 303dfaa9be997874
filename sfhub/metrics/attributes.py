"""Whether a region of a mix has the attributes of its source, and everything else those of the base.

What a picture shows is what the portrait parser sees in it. Every region of a tree stands for groups of attributes
(`sfhub.portraits.latents.ATTRIBUTE_GROUPS`): hair for its length, colour, waves and so on. Pose and light make up the
group `layout`, which no region brings along: only a layout code changes it.

The parser guesses what it can hardly see, such as the weight of lashes, from the rest of the picture. So the same swap
is also drawn by the renderer, where only the region's own attributes change: what the parser says of that is about as
much as any mix of regions can score.
"""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor
from tqdm.auto import tqdm

from sfhub.metrics.stylefusion import mix_region
from sfhub.models.fusion import FusionHierarchy
from sfhub.models.style_space import StyleGenerator
from sfhub.portraits.attributes import (
    ATTRIBUTES,
    attribute_columns,
    attribute_visibility,
    attributes_from_vector,
)
from sfhub.portraits.latents import ATTRIBUTE_GROUPS, LATENT_DIM, attributes_from_latents, mean_code, truncate
from sfhub.portraits.parser import PortraitParser
from sfhub.portraits.renderer import render
from sfhub.regions.attribute_query import LAYOUT
from sfhub.regions.sampling import sample_styles

__all__ = ["attribute_scores", "measure_attributes"]


def attribute_scores(found: Tensor, target: Tensor, visible: Tensor) -> dict[str, float]:
    """How well attribute vectors agree, attribute by attribute.

    Args:
        found, target: `[N, A]`, see `sfhub.portraits.attribute_vector`.
        visible: `[N, A]`, above 0 where the target shows.

    Returns:
        R^2 of continuous attributes (1 is perfect, 0 no better than the target's mean, and it may be negative),
        balanced accuracy of categorical ones (the mean over the kinds of the share that is recognised, so that a rare
        hat counts as much as no hat); nothing for an attribute that is never visible.
    """
    scores = {}
    for name, columns in attribute_columns().items():
        seen = visible[:, columns.start] > 0
        a, b = found[seen, columns], target[seen, columns]
        if not len(a):
            continue
        if ATTRIBUTES[name].choices:
            right = b * (a.argmax(dim=1) == b.argmax(dim=1))[:, None]
            present = b.sum(dim=0) > 0
            scores[name] = (right.sum(dim=0) / b.sum(dim=0))[present].mean().item()
        else:
            scores[name] = (1 - (a - b).square().mean() / b.var(correction=0).clamp(min=1e-8)).item()
    return scores


@torch.no_grad()
def measure_attributes(
    generator: StyleGenerator,
    hierarchy: FusionHierarchy,
    parser: PortraitParser,
    *,
    regions: Sequence[str] | None = None,
    pairs: int = 500,
    seed: int = 1000,
    truncation_psi: float = 0.7,
    batch_size: int = 50,
    progress: bool = True,
) -> dict[str, dict[str, dict[str, float]]]:
    """Attributes of pictures of which one region, or the layout, has another source.

    Args:
        generator, hierarchy, parser: of one model, on portraits.
        regions: nodes of the tree; all but the root if None.
        pairs: random pairs of base and source.
        seed, truncation_psi: of the pairs.
        batch_size: images in one synthesis.
        progress: show a bar.

    Returns:
        For every region and for `layout`: `{"transferred": {attribute: score}, "drawn": ..., "kept": ...}`, the
        attributes of the region against the source's, the same of the swap that the renderer draws, and all others
        against the base's; see `attribute_scores`. An attribute counts where both pictures compared show it.

    Raises:
        InputError: for a node that is not in the tree, or parts of different models.
    """
    hierarchy.check_generator(generator)
    tree = hierarchy.tree
    nodes = list(regions or hierarchy.active_nodes[1:])
    tree.check(nodes, "region")
    base, source = sample_styles(generator, 2 * pairs, seed, truncation_psi).chunk(2)

    def seen(codes: Iterable[Tensor]) -> Tensor:
        return _seen(parser, (generator.synthesis(code).clamp(-1, 1) for code in codes))

    def seen_in_drawings(attributes: Mapping[str, Tensor]) -> Tensor:
        parts = zip(*(values.split(batch_size) for values in attributes.values()), strict=True)
        drawings = (render(dict(zip(attributes, part, strict=True)), generator.config.resolution) for part in parts)
        return _seen(parser, (drawing.image.to(base.device) for drawing in drawings))

    def mixed(name: str) -> Iterable[Tensor]:
        for one, other in zip(base.split(batch_size), source.split(batch_size), strict=True):
            if name == LAYOUT:
                yield hierarchy.mix({tree.root: one}, {tree.root: other})
            else:
                yield mix_region(hierarchy, name, one, other)

    before, wanted = seen(base.split(batch_size)), seen(source.split(batch_size))
    drawn, drawn_source = (_draw(pairs, seed + offset, truncation_psi) for offset in (0, 1))
    drawn_wanted = seen_in_drawings(drawn_source)
    report = {}
    for name in tqdm([*nodes, LAYOUT], desc="Attributes", disable=not progress):
        after = seen(mixed(name))
        groups = [LAYOUT] if name == LAYOUT else tree.regions_of(name)
        own = tuple(start for group in groups for start in ATTRIBUTE_GROUPS.get(group, ()))
        swapped = {key: drawn_source[key] if key.startswith(own) else drawn[key] for key in drawn}
        report[name] = {
            "transferred": _select(_scores(after, wanted), own, True),
            "drawn": _select(_scores(seen_in_drawings(swapped), drawn_wanted), own, True),
            "kept": _select(_scores(after, before), own, False),
        }
    return report


def _draw(count: int, seed: int, psi: float) -> dict[str, Tensor]:
    """Attributes of random portraits, truncated as the codes of the generator are."""
    latents = torch.randn(count, LATENT_DIM, generator=torch.Generator().manual_seed(seed))
    return truncate(attributes_from_latents(latents), mean_code(), torch.full((count,), psi))


def _seen(parser: PortraitParser, images: Iterable[Tensor]) -> Tensor:
    """What the parser sees in batches of images, `[N, A]`."""
    return torch.cat([parser(image).attributes.cpu() for image in images])


def _scores(found: Tensor, target: Tensor) -> dict[str, float]:
    visible = attribute_visibility(attributes_from_vector(found)) * attribute_visibility(attributes_from_vector(target))
    return attribute_scores(found, target, visible)


def _select(scores: Mapping[str, float], own: tuple[str, ...], wanted: bool) -> dict[str, float]:
    """The scores of the attributes whose names begin with one of `own`, or of the others."""
    return {name: score for name, score in scores.items() if name.startswith(own) == wanted}
