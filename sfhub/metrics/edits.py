"""What edits reach, and what they leave alone: in the whole picture, kept to regions, and locked.

Preservation against effect is drawn as SemanticStyleGAN's fig. 10 has it: the gain in the attribute's score against
1 - L1 of the whole picture, at rising strengths; and a second time with L1 outside the region only, which is what
keeping an edit to a region is about. Scores are the parser's, in standard deviations over the pictures before.

On portraits the renderer can make the same edit of the same portrait by changing only the attribute: what the parser
says of that pair is the most that any edit can score.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from sfhub.editing.edits import Direction, as_names
from sfhub.editing.intervention import InterventionSettings
from sfhub.errors import InputError
from sfhub.images.pixels import to_tensor
from sfhub.portraits.attributes import ATTRIBUTES, attribute_columns
from sfhub.portraits.edits import PORTRAIT_EDITS, NamedScore
from sfhub.portraits.latents import LATENT_DIM, attributes_from_latents, mean_code, sample_attributes, truncate
from sfhub.portraits.parser import PortraitParser
from sfhub.portraits.renderer import render

if TYPE_CHECKING:
    from sfhub.pipelines.edits import EditingPipeline
    from sfhub.pipelines.sample import Sample

__all__ = [
    "CONSTRAINED",
    "GLOBAL",
    "INTERVENTION",
    "LOCKED",
    "Compared",
    "Curve",
    "Effect",
    "compare_intervention",
    "draw_edit",
    "edit_curve",
    "measure_edits",
    "named_scores",
]

GLOBAL, CONSTRAINED, LOCKED = WAYS = ("global", "constrained", "locked")
"""An edit of the whole picture; kept to its region; kept there with a lock."""

INTERVENTION = "intervention"
"""Style Intervention, solved for each picture."""

KEPT = 0.5
"""An attribute is kept if its reading moves by less than so many standard deviations, or stays the same choice."""


POPULATION = 2000
"""Portraits from which the ends of an attribute's distribution are taken."""


@dataclass(frozen=True)
class Curve:
    """An edit at rising strengths.

    Attributes:
        edit, way: which edit, and one of `WAYS`.
        strengths: from 0 to the end of its range.
        gains: mean gain in the score, in standard deviations.
        whole, outside: 1 - L1, 1 for no change, of the whole picture and outside the region.
    """

    edit: str
    way: str
    strengths: tuple[float, ...]
    gains: tuple[float, ...]
    whole: tuple[float, ...]
    outside: tuple[float, ...]


@dataclass(frozen=True)
class Effect:
    """An edit at the end of its range.

    Attributes:
        edit, way: as of a `Curve`.
        gain: in the score, in standard deviations.
        drawn: gain of the renderer's own edit; None where the renderer does not know the pictures.
        kept: share of all other attributes that stay as they were.
        changed: share of the pixels outside that differ at all.
        mean_change: mean difference outside, in levels of 0 to 255.
    """

    edit: str
    way: str
    gain: float
    drawn: float | None
    kept: float
    changed: float
    mean_change: float


def named_scores(pipe: "EditingPipeline", names: Sequence[str] = ()) -> list[NamedScore]:
    """What is measured of a model's edits: those of these names, or all that portraits have a score for.

    Raises:
        InputError: for a name that the model or the portraits do not have.
    """
    known = {score.name: score for score in PORTRAIT_EDITS if score.name in pipe.edits}
    for name in names:
        if name not in known:
            raise InputError(f"Edit {name!r} cannot be measured here; choose from {', '.join(known) or 'none'}.")
    return [known[name] for name in names or known]


@torch.no_grad()
def edit_curve(
    pipe: "EditingPipeline",
    parser: PortraitParser,
    score: NamedScore,
    pictures: Sequence["Sample"],
    way: str,
    steps: int = 10,
) -> Curve:
    """The curve of one edit, its region being the edit's own.

    Args:
        pipe, parser: of the model.
        score: of the edit.
        pictures: to edit.
        way: one of `WAYS`.
        steps: strengths above 0.
    """
    high = pipe.edits[score.name].range[1]
    before = read(parser, pictures)
    spread = score.score(before).std()
    strengths = [high * k / steps for k in range(steps + 1)]
    gains, whole, outside = [0.0], [1.0], [1.0]
    for strength in strengths[1:]:
        edited = put_on(pipe, pictures, score.name, strength, way)
        gains.append(float((score.score(read(parser, edited)) - score.score(before)).mean() / spread))
        changes = [_l1(pipe, score.name, *pair) for pair in zip(pictures, edited, strict=True)]
        whole.append(1 - float(np.mean([change for change, _ in changes])))
        outside.append(1 - float(np.mean([change for _, change in changes])))
    return Curve(score.name, way, *map(tuple, (strengths, gains, whole, outside)))


@torch.no_grad()
def measure_edits(
    pipe: "EditingPipeline", parser: PortraitParser, scores: Sequence[NamedScore], pictures: Sequence["Sample"]
) -> list[Effect]:
    """Every edit at the end of its range, in all `WAYS` that it has.

    Args:
        pipe, parser: of the model.
        scores: which edits.
        pictures: to edit; samples, so that the renderer knows them.
    """
    found = []
    before = read(parser, pictures)
    spread = before.std(dim=0)
    for score in tqdm(scores, desc="Measure edits", delay=1):
        edit = pipe.edits[score.name]
        drawn = draw_edit(parser, score, pictures)
        base = score.score(before)
        unit = base.std()
        for way in WAYS if edit.region is not None else WAYS[:1]:
            edited = put_on(pipe, pictures, score.name, edit.range[1], way)
            after = read(parser, edited)
            changes = [pipe.outside_of(one, two, edit.region) for one, two in zip(pictures, edited, strict=True)]
            found.append(
                Effect(
                    edit=score.name,
                    way=way,
                    gain=float((score.score(after) - base).mean() / unit),
                    drawn=None if drawn is None else float(drawn / unit),
                    kept=kept_share(before, after, spread, without=score.attributes),
                    changed=float(np.mean([change.share for change in changes])),
                    mean_change=float(np.mean([change.mean for change in changes])),
                )
            )
    return found


@dataclass(frozen=True)
class Compared:
    """One way of making an edit, beside others (Style Intervention, table 2).

    Attributes:
        way: `global`, `constrained`, or `intervention`.
        gain: in the score, in standard deviations.
        mse, outside: mean squared difference in [0, 1] of whole pictures and outside the region.
        identity: mean cosine of the parser's features before and after, which stands in for a face recogniser's.
    """

    way: str
    gain: float
    mse: float
    outside: float
    identity: float


@torch.no_grad()
def compare_intervention(
    pipe: "EditingPipeline",
    parser: PortraitParser,
    score: NamedScore,
    normal: Direction,
    pictures: Sequence["Sample"],
    settings: InterventionSettings | None = None,
) -> list[Compared]:
    """Style Intervention beside the edit in W, on the whole picture and kept to its region, at one strength."""
    edit = pipe.edits[score.name]
    high = edit.range[1]
    solved = [
        pipe.intervene(each, score.name, normal, strength=high, settings=settings)
        for each in tqdm(pictures, desc="Solve", delay=1)
    ]
    made = {way: put_on(pipe, pictures, score.name, high, way) for way in (GLOBAL, CONSTRAINED)} | {
        INTERVENTION: solved
    }
    before, looks = read(parser, pictures), _features(parser, pictures)
    unit = score.score(before).std()
    found = []
    for way, edited in made.items():
        errors = []
        for base, each in zip(pictures, edited, strict=True):
            error = (to_tensor(base.image) - to_tensor(each.image)).square().mean(dim=0).numpy() / 4
            regions = as_names(edit.region)
            outside = np.ones_like(error, dtype=bool)
            if regions is not None:
                outside = ~pipe.region_mask(regions, [(one.image, one.code) for one in (base, each)])
            errors.append((error.mean(), error[outside].mean()))
        gain = float((score.score(read(parser, edited)) - score.score(before)).mean() / unit)
        identity = float(torch.cosine_similarity(looks, _features(parser, edited)).mean())
        found.append(Compared(way, gain, *(float(x) for x in np.mean(errors, axis=0)), identity))
    return found


def _features(parser: PortraitParser, pictures: Sequence["Sample"]) -> Tensor:
    pixels = torch.stack([to_tensor(sample.image) for sample in pictures])
    return parser(pixels.to(parser.device, parser.dtype)).features.float().cpu()


def put_on(
    pipe: "EditingPipeline", pictures: Sequence["Sample"], name: str, strength: float, way: str
) -> list["Sample"]:
    """Edited pictures, in one of `WAYS`."""
    region = None if way == GLOBAL else pipe.edits[name].region
    step, _ = pipe.edit_step(name, strength, region, lock=way == LOCKED)
    return pipe.render(step, pictures)


@torch.no_grad()
def draw_edit(parser: PortraitParser, score: NamedScore, pictures: Sequence["Sample"]) -> float | None:
    """Mean gain in a score when the renderer draws the portraits of some samples with the attribute at its end.

    Continuous attributes go to the 95th (or 5th) hundredth of their distribution, others to the best choice.

    Returns:
        The gain, None unless all pictures are samples of portraits' latents.
    """
    latents = [sample.latent for sample in pictures]
    if any(latent is None or latent.z.shape[1] != LATENT_DIM for latent in latents):
        return None
    attributes = attributes_from_latents(torch.cat([latent.z.float().cpu() for latent in latents]))
    psi = torch.tensor([latent.truncation_psi for latent in latents])
    mean = mean_code()
    attributes = truncate(attributes, mean, psi)
    everyone = truncate(sample_attributes(POPULATION, seed=0), mean, psi.mean().expand(POPULATION))
    size = pictures[0].image.size[0]
    before, after = (
        parser(render(each, size).image.to(parser.device, parser.dtype)).attributes.float().cpu()
        for each in (attributes, attributes | _ends(score, attributes, everyone))
    )
    return float((score.score(after) - score.score(before)).mean())


def _ends(score: NamedScore, attributes: dict[str, Tensor], everyone: dict[str, Tensor]) -> dict[str, Tensor]:
    """The attributes that a score asks for, at the end that it raises."""
    found = {}
    for name in score.attributes:
        choices, values = ATTRIBUTES[name].choices, attributes[name]
        if choices:
            weights = [score.weights.get(f"{name}={choice}", 0.0) for choice in choices]
            found[name] = torch.full_like(values, float(np.argmax(weights)))
        else:
            found[name] = torch.full_like(
                values, float(everyone[name].quantile(0.95 if score.weights[name] > 0 else 0.05))
            )
    return found


def read(parser: PortraitParser, pictures: Sequence["Sample"]) -> Tensor:
    """Attribute vectors `[B, A]` of pictures, as a parser reads them."""
    pixels = [to_tensor(sample.image) for sample in pictures]
    return torch.cat(
        [
            parser(torch.stack(pixels[k : k + 16]).to(parser.device, parser.dtype)).attributes.float().cpu()
            for k in range(0, len(pixels), 16)
        ]
    )


def kept_share(before: Tensor, after: Tensor, spread: Tensor, without: Sequence[str]) -> float:
    """Share of attributes, but those of some names, that stay: see `KEPT`."""
    kept = []
    for name, columns in attribute_columns().items():
        if name in without:
            continue
        a, b = before[:, columns], after[:, columns]
        if ATTRIBUTES[name].choices:
            kept.append(a.argmax(dim=1) == b.argmax(dim=1))
        else:
            kept.append((b - a).abs()[:, 0] < KEPT * spread[columns])
    return float(torch.stack(kept).float().mean())


def _l1(pipe: "EditingPipeline", name: str, before: "Sample", after: "Sample") -> tuple[float, float]:
    """Mean absolute difference in [0, 1] of two pictures, whole and outside the edit's region."""
    difference = (to_tensor(before.image) - to_tensor(after.image)).abs().mean(dim=0).numpy() / 2
    regions = as_names(pipe.edits[name].region)
    if regions is None:
        return float(difference.mean()), 0.0
    outside = ~pipe.region_mask(regions, [(each.image, each.code) for each in (before, after)])
    return float(difference.mean()), float(difference[outside].mean()) if outside.any() else 0.0
