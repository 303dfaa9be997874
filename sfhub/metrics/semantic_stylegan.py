"""How local a SemanticStyleGAN is, and how well its masks tell what its pictures show.

    measure_locality      transfer and selectivity (`sfhub.regions.separability`), shape and texture together and apart
    mask_movement         how many pixels of the mask change their class in an exchange of codes
    measure_masks         overlap of the generated masks with a parser's on the same pictures

A region takes shape or texture from another code while the base codes stay, so pose is not what changes. Pairs are
drawn as for StyleFusion, so that figures of both families stand beside each other.
`sfhub.metrics.semantic_report` draws and saves the results.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from tqdm.auto import tqdm

from sfhub.editing.semantic import BOTH, PARTS, code_places, exchange
from sfhub.errors import InputError
from sfhub.models.parser import Parser
from sfhub.models.semantic_stylegan import SemanticStyleGANGenerator
from sfhub.regions.class_regions import ClassRegions
from sfhub.regions.separability import Mixer, Renderer, is_present, measure_mixers

__all__ = [
    "MaskAgreement",
    "exchange_mixer",
    "mask_movement",
    "measure_locality",
    "measure_masks",
    "sample_codes",
]


@dataclass(frozen=True)
class MaskAgreement:
    """How well generated masks agree with a parser's.

    Attributes:
        mean_iou: intersection over union, meant over the classes that either mask of a picture shows, then over
            pictures.
        class_iou: per class, of its pixels in all pictures; classes that no picture shows are missing.
        accuracy: share of pixels with the same class.
        count: pictures.
    """

    mean_iou: float
    class_iou: dict[str, float]
    accuracy: float
    count: int


@torch.no_grad()
def sample_codes(G: SemanticStyleGANGenerator, count: int, seed: int, truncation_psi: float = 0.7) -> Tensor:
    """W+ codes `[count, n_latent, w_dim]` of random latents, on the generator's device.

    The latents are those of `sfhub.regions.sampling.sample_styles`; a seed gives the same codes on every device.
    """
    source = torch.Generator().manual_seed(seed)
    z = torch.randn(count, G.config.z_dim, generator=source).to(G.device, G.dtype)
    return G.mapping(z, truncation_psi)


def exchange_mixer(G: SemanticStyleGANGenerator, classes: Sequence[int], parts: Sequence[str] = (BOTH,)) -> Mixer:
    """Bases with the codes of some classes of the references, one way for each of `parts`."""
    places = [code_places(G, classes, part) for part in parts]
    return lambda base, reference: torch.stack([exchange(base, [(reference, each, 1.0)]) for each in places])


# Locality -----------------------------------------------------------------------------------------------------------


@torch.no_grad()
def measure_locality(
    G: SemanticStyleGANGenerator,
    parser: Parser | None = None,
    *,
    regions: Sequence[str] | None = None,
    pairs: int = 500,
    seed: int = 1000,
    truncation_psi: float = 0.7,
    batch_size: int = 32,
    progress: bool = True,
) -> list[dict]:
    """Transfer and selectivity of every region, and how far the generator's own mask moves.

    Args:
        G: the generator.
        parser: whose masks say where a region is; the generated masks if None.
        regions: by default all.
        pairs, seed, truncation_psi: the random pairs.
        batch_size: images in one synthesis.
        progress: show bars.

    Returns:
        One row per region and part (`both`, `shape`, `texture`): `region`, `part`, what `Separability` holds
        and `moved`, the share of the mask's pixels that change their class, over all pairs whose base shows the region
        (None if none does).

    Raises:
        InputError: for an unknown region, or a parser that does not know its classes.
    """
    known = _regions_of(G)
    regions = list(regions or known.regions)
    indices = {region: known.indices([region]) for region in regions}
    base, reference = sample_codes(G, 2 * pairs, seed, truncation_psi).unflatten(0, (pairs, 2)).unbind(dim=1)
    mixers = {region: exchange_mixer(G, classes, PARTS) for region, classes in indices.items()}
    render, names = _renderer(G, parser)
    labels = {region: _labels(names, known.covered_by(region)) for region in regions}
    results = measure_mixers(render, base, reference, mixers, labels, batch_size=batch_size, progress=progress)
    rows = []
    for region in tqdm(regions, desc="Masks", disable=not progress):
        moved = mask_movement(G, indices[region], mixers[region], base, reference, batch_size=batch_size)
        for part, result, share in zip(PARTS, results[region], moved, strict=True):
            rows.append({"region": region, "part": part, **asdict(result), "moved": share})
    return rows


@torch.no_grad()
def mask_movement(
    G: SemanticStyleGANGenerator,
    classes: Sequence[int],
    mix: Mixer,
    base: Tensor,
    reference: Tensor,
    *,
    batch_size: int = 32,
) -> list[float | None]:
    """Share of the refined mask's pixels that change their class, for each of the mixer's ways.

    Args:
        G: the generator.
        classes: only pairs whose base shows one of them count.
        mix: what is done to the codes.
        base, reference: codes `[P, n_latent, w_dim]`.
        batch_size: images in one synthesis.

    Returns:
        One mean over the pairs per way, [0, 1]; None where no pair counts.
    """
    sums, count = 0.0, 0
    for bases, references in zip(base.split(batch_size), reference.split(batch_size), strict=True):
        before = _mask(G, bases)
        shown = is_present(torch.isin(before, torch.tensor(classes, device=before.device)))
        if not shown.any():
            continue
        mixed = mix(bases[shown], references[shown])
        after = torch.stack([_mask(G, codes) for codes in mixed])
        sums = sums + (after != before[shown]).double().mean(dim=(2, 3)).sum(dim=1).cpu()
        count += int(shown.sum())
    return (sums / count).tolist() if count else [None] * len(mix(base[:1], reference[:1]))


def _mask(G: SemanticStyleGANGenerator, codes: Tensor) -> Tensor:
    """Classes `[B, H, W]` of the refined masks."""
    return G.synthesis(codes).mask.argmax(dim=1)


def _regions_of(G: SemanticStyleGANGenerator) -> ClassRegions:
    return ClassRegions(G.config.class_names, G.config.num_classes)


def _renderer(G: SemanticStyleGANGenerator, parser: Parser | None) -> tuple[Renderer, Sequence[str]]:
    """How codes become images and label maps, and the names of the labels."""

    def parsed(codes: Tensor) -> tuple[Tensor, Tensor]:
        image = G.synthesis(codes).image
        return image, parser.segment(image)

    def generated(codes: Tensor) -> tuple[Tensor, Tensor]:
        output = G.synthesis(codes)
        return output.image, output.mask.argmax(dim=1)

    return (generated, _regions_of(G).classes) if parser is None else (parsed, parser.config.class_names)


def _labels(names: Sequence[str], wanted: Sequence[str]) -> list[int]:
    missing = [name for name in wanted if name not in names]
    if missing:
        raise InputError(f"The parser knows {', '.join(names)}, but not {missing[0]!r}; use a parser of these classes.")
    return [list(names).index(name) for name in wanted]


# Masks --------------------------------------------------------------------------------------------------------------


@torch.no_grad()
def measure_masks(
    G: SemanticStyleGANGenerator,
    parser: Parser | None,
    *,
    count: int = 500,
    seed: int = 1000,
    truncation_psi: float = 0.7,
    batch_size: int = 32,
    progress: bool = True,
) -> MaskAgreement:
    """Compare the refined masks of random pictures with what a parser sees in these pictures.

    Raises:
        InputError: if there is no parser, or it does not know the generator's classes.
    """
    if parser is None:
        raise InputError("The model has no parser to compare its masks with; name one.")
    classes = _regions_of(G).classes
    label = torch.tensor(_labels(parser.config.class_names, classes), device=G.device)
    codes = sample_codes(G, count, seed, truncation_psi)
    common, either, equal, scores = 0, 0, 0.0, []
    for chunk in tqdm(codes.split(batch_size), desc="Masks", disable=not progress):
        output = G.synthesis(chunk)
        # In the parser's numbers, so that whatever it sees beside our classes counts as another class.
        ours = _one_hot(label[output.mask.argmax(dim=1)], label)
        theirs = _one_hot(parser.segment(output.image), label)
        inter, union = ours & theirs, ours | theirs
        shown = is_present(ours) | is_present(theirs)
        overlap = inter.sum(dim=(2, 3)) / union.sum(dim=(2, 3)).clamp(min=1)
        scores.append((overlap * shown).sum(dim=1) / shown.sum(dim=1))
        # Stray pixels of a class that is not there tell nothing about it.
        common = common + (inter.sum(dim=(2, 3)) * shown).sum(dim=0)
        either = either + (union.sum(dim=(2, 3)) * shown).sum(dim=0)
        equal += float(inter.any(dim=1).double().mean(dim=(1, 2)).sum())
    return MaskAgreement(
        mean_iou=float(torch.cat(scores).mean()),
        class_iou={
            name: inter / union
            for name, inter, union in zip(classes, common.tolist(), either.tolist(), strict=True)
            if union
        },
        accuracy=equal / count,
        count=count,
    )


def _one_hot(labels: Tensor, numbers: Tensor) -> Tensor:
    """Label maps `[B, H, W]` -> whether a pixel has each of `numbers` `[K]`, bool `[B, K, H, W]`."""
    return labels[:, None] == numbers[:, None, None]
