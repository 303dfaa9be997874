"""Find the named edits of a portraits model: label pictures, part them by planes, and measure how far each edit works.

What a person with any generator has is enough: samples and something that reads attributes in pictures, here the
parser. InterFaceGAN (`sfhub.editing.interfacegan`) makes a direction out of them, freed of those of other edits whose
scores it would move; its unit is one standard deviation of the samples' codes along it. Then the edit is put on
pictures at rising strengths, in its own region as people will use it: the range ends where the attribute rises no
further, where it is as strong as in the strongest samples, or where pictures begin to look like none of the generator's
(by the distance of the parser's features from those of samples). An edit that does not raise its attribute is left out,
and said.
"""

import itertools
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from sfhub.editing.directions import EditDirections
from sfhub.editing.edits import Direction, as_names
from sfhub.editing.interfacegan import find_boundary, project
from sfhub.editing.spaces import Latent
from sfhub.errors import InputError
from sfhub.images.pixels import to_tensor
from sfhub.pipelines.edits import EditingPipeline
from sfhub.pipelines.sample import Sample
from sfhub.portraits.edits import PORTRAIT_EDITS, NamedScore
from sfhub.portraits.parser import PortraitParser
from sfhub.steps.code import Code

__all__ = [
    "DirectionTraining",
    "Labelled",
    "find_directions",
    "label_samples",
    "measure_edit",
    "sparse_normals",
    "train_directions",
]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DirectionTraining:
    """Settings.

    Attributes:
        pictures: labelled samples.
        seed: of the samples.
        truncation_psi: of the labelled samples; 1 shows every attribute at its strongest.
        chosen: share of all samples at either end of the scores that a plane is to part.
        C: of the support vector machine.
        sparse_C: of the sparse one in S.
        entangled: a direction is freed of those of other edits with whose scores it correlates by more than this.
        conditions: of at most so many, those with the highest correlations.
        measured: pictures on which ranges are measured, of `truncation_psi` 0.7 and other seeds.
        strengths: to measure at, in standard deviations; both signs are tried.
        rising: an edit has to raise its score by this many standard deviations of the samples' scores.
        felt: a side on which it moves its score by less is no part of its range.
        flat: no larger strength is tried once a step wins less than this share of the steepest one.
        saturated: the range ends where this share of the highest score is reached.
        strongest: share of samples whose scores lie below those of pictures where the range ends.
        strange: share of samples whose features lie nearer than those of pictures where the range ends.
    """

    pictures: int = 3000
    seed: int = 20_000
    truncation_psi: float = 1.0
    chosen: float = 0.3
    C: float = 0.01
    sparse_C: float = 0.05
    entangled: float = 0.15
    conditions: int = 6
    measured: int = 8
    strengths: tuple[float, ...] = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
    rising: float = 0.4
    felt: float = 0.2
    flat: float = 0.1
    saturated: float = 0.95
    strongest: float = 0.98
    strange: float = 0.995


@dataclass(frozen=True, eq=False)
class Labelled:
    """Samples and what the parser reads in them.

    Attributes:
        z, w: `[N, z_dim]` and `[N, w_dim]`.
        attributes: `[N, A]`.
        features: `[N, F]`.
    """

    z: Tensor
    w: Tensor
    attributes: Tensor
    features: Tensor


@dataclass
class Measured:
    """How an edit works on a model.

    Attributes:
        strengths: rising, 0 among them.
        scores: mean score of the pictures at each, in standard deviations of the samples' scores from that at 0.
        distances: mean distance of their features from the samples', 1 for that at which `strange` samples are nearer.
        range: lowest and highest strength that works.
        accuracy: of the plane, on samples that were kept back.
    """

    strengths: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    distances: list[float] = field(default_factory=list)
    range: tuple[float, float] = (0.0, 0.0)
    accuracy: float = float("nan")


@torch.no_grad()
def label_samples(
    pipe: EditingPipeline, parser: PortraitParser, count: int, seed: int, truncation_psi: float = 1.0, batch: int = 16
) -> Labelled:
    """Samples of a model, labelled by a parser; no picture is kept."""
    space, found = pipe.code_space, []
    z = torch.randn(count, space.z_dim, generator=torch.Generator().manual_seed(seed)).to(pipe.device, pipe.dtype)
    for part in tqdm(z.split(batch), desc="Label samples", delay=1):
        w_plus = space.mapped(Latent(part, truncation_psi))
        codes = [Code(s) for s in space.flat(w_plus).split(1)]
        seen = parser(pipe.pixels(codes).clamp(-1, 1).to(parser.dtype))
        found.append((part, w_plus[:, 0], seen.attributes, seen.features))
    return Labelled(*(torch.cat(column).float().cpu() for column in zip(*found, strict=True)))


def find_directions(
    samples: Labelled, scores: Sequence[NamedScore], config: DirectionTraining
) -> dict[str, tuple[Direction, float]]:
    """A direction in W for every score, and how well its plane parts samples that were kept back.

    Raises:
        InputError: if all samples score alike.
    """
    boundaries = {
        named.name: find_boundary(
            samples.w, named.score(samples.attributes), chosen=config.chosen, C=config.C, seed=config.seed
        )
        for named in tqdm(scores, desc="Part samples by planes", delay=1)
    }
    found = {}
    for named in scores:
        boundary = boundaries[named.name]
        others = _entangled(samples, named, boundary.normal, scores, config)
        normal = project(boundary.normal, *(boundaries[name].normal for name in others))
        about = {"method": "InterFaceGAN", "accuracy": round(boundary.validation_accuracy, 3), "freed of": others}
        direction = Direction(
            name=named.name,
            space="w",
            vector=(samples.w @ normal).std() * normal,
            region=named.region,
            range=(-max(config.strengths), max(config.strengths)),
            about=about,
        )
        found[named.name] = direction, boundary.validation_accuracy
    return found


def _share(a: str | tuple[str, ...] | None, b: str | tuple[str, ...] | None) -> bool:
    """Whether two edits show in one region."""
    first, second = as_names(a), as_names(b)
    return first == second if first is None or second is None else bool(set(first) & set(second))


def sparse_normals(
    pipe: EditingPipeline, samples: Labelled, scores: Sequence[NamedScore], config: DirectionTraining
) -> list[Direction]:
    """Normals of sparse classifiers in S, which Style Intervention takes (its section 3.1 and table 1).

    Channels are brought to unit variance first, so that the penalty treats them alike.

    Returns:
        One direction in S per score; `about` has its accuracies and its sparsity, as the paper's table 1.

    Raises:
        InputError: if all samples score alike.
    """
    space = pipe.code_space
    with torch.no_grad():
        w_plus = samples.w[:, None].expand(-1, space.num_ws, -1).to(pipe.device, pipe.dtype)
        s = torch.cat([space.flat(part) for part in w_plus.split(256)]).float().cpu()
    std = s.std(dim=0).clamp(min=1e-6)
    found = []
    for named in tqdm(scores, desc="Part styles by sparse planes", delay=1):
        score = named.score(samples.attributes)
        boundary = find_boundary(
            (s - s.mean(dim=0)) / std, score, chosen=config.chosen, C=config.sparse_C, sparse=True, seed=config.seed
        )
        accuracies = {"train": boundary.train_accuracy, "validation": boundary.validation_accuracy}
        about = {"method": "sparse SVM", "sparsity": round(boundary.sparsity, 4)}
        about |= {name: round(value, 4) for name, value in accuracies.items()}
        found.append(Direction(named.name, "s", boundary.normal * std, named.region, about=about))
    return found


def _entangled(
    samples: Labelled, named: NamedScore, normal: Tensor, scores: Sequence[NamedScore], config: DirectionTraining
) -> list[str]:
    """Other edits, of other attributes, whose scores a direction moves most.

    Only those that show in the same region count, or in the whole picture: to keep the others out is what regions do.
    """
    along = samples.w @ normal
    rows = []
    for other in scores:
        if _share(named.region, other.region) and not set(other.attributes) & set(named.attributes):
            pair = torch.stack([along, other.score(samples.attributes)])
            rows.append((abs(float(torch.corrcoef(pair)[0, 1])), other.name))
    return [name for much, name in sorted(rows, reverse=True)[: config.conditions] if much > config.entangled]


@torch.no_grad()
def measure_edit(
    pipe: EditingPipeline,
    parser: PortraitParser,
    edit: Direction,
    named: NamedScore,
    samples: Labelled,
    pictures: Sequence[Sample],
    config: DirectionTraining,
) -> Measured:
    """Put an edit on pictures at rising strengths of either sign, and see how far it works.

    Args:
        pipe, parser: of the model.
        edit: with a range as wide as the strengths.
        named: what it shall raise.
        samples: what scores and features are compared with.
        pictures: to edit.
        config: which strengths, and when it works.
    """
    strangeness = Distance(samples.features, config.strange)
    everyone = named.score(samples.attributes)
    spread = everyone.std()
    extremes = [float(everyone.quantile(share) / spread) for share in (1 - config.strongest, config.strongest)]

    def seen(images: Sequence[Sample]) -> tuple[float, float]:
        found = parser(torch.stack([to_tensor(each.image) for each in images]).to(parser.device, parser.dtype))
        score = named.score(found.attributes.float().cpu()).mean() / spread
        return float(score), float(strangeness(found.features.float().cpu()).mean())

    base, near = seen(pictures)
    rows, ends = {0.0: (0.0, near)}, []
    for sign, extreme in zip((-1, 1), extremes, strict=True):
        most = max(sign * (extreme - base), config.felt)
        steps = [(0.0, 0.0, near)]
        for size in sorted(config.strengths):
            step, given = pipe.edit_step(edit, sign * size)
            score, far = seen(pipe.render(step, pictures, given=given))
            rows[sign * size] = score - base, far
            steps.append((size, sign * (score - base), far))
            if _is_over(steps, config) or steps[-1][1] > most:
                break
        ends.append(sign * _end(steps, config, most) + 0.0)  # no -0
    strengths = sorted(rows)
    scores, distances = zip(*(rows[strength] for strength in strengths), strict=True)
    return Measured(strengths, list(scores), list(distances), (ends[0], ends[1]))


Steps = Sequence[tuple[float, float, float]]
"""Strength, gain in score and distance of the features, at rising strengths from 0."""


def _is_over(steps: Steps, config: DirectionTraining) -> bool:
    """Whether nothing is to be won by a still larger strength."""
    gains = [gain for _, gain, _ in steps]
    steepest = max((after - before for before, after in itertools.pairwise(gains)), default=0.0)
    return steps[-1][2] > max(1.0, steps[0][2]) or gains[-1] - gains[-2] < config.flat * max(steepest, 0.0)


def _end(steps: Steps, config: DirectionTraining, most: float = float("inf")) -> float:
    """How far an edit works: until its gain is flat or the `most` of samples, or as far as the features allow."""
    limit, highest = max(1.0, steps[0][2]), max(gain for _, gain, _ in steps)
    if highest < config.felt:
        return 0.0
    end = 0.0
    for (before, gain_before, far_before), (here, gain, far) in itertools.pairwise(steps):
        shares = [1.0]  # of the way from the strength before to this one
        if far > limit:
            shares.append((limit - far_before) / (far - far_before))
        if gain > most:
            shares.append((most - gain_before) / (gain - gain_before))
        end = round(before + (here - before) * min(shares), 1)
        if min(shares) < 1:
            break
        if gain >= config.saturated * highest:
            break
    return end


class Distance:
    """Mahalanobis distance of features from those of samples, 1 where a share of the samples is nearer."""

    def __init__(self, features: Tensor, share: float):
        self.mean = features.mean(dim=0)
        covariance = torch.cov((features - self.mean).T.double())
        ridge = 0.01 * covariance.diagonal().mean() * torch.eye(len(covariance), dtype=torch.float64)
        self.factor = torch.linalg.cholesky(torch.linalg.inv(covariance + ridge))
        self.unit = 1.0
        self.unit = float(self(features).quantile(share))

    def __call__(self, features: Tensor) -> Tensor:
        """Features `[B, F]` -> distances `[B]`."""
        return ((features - self.mean).double() @ self.factor).norm(dim=1) / self.unit


def train_directions(
    pipe: EditingPipeline,
    parser: PortraitParser,
    out: str | Path,
    config: DirectionTraining = DirectionTraining(),
    scores: Sequence[NamedScore] = PORTRAIT_EDITS,
    *,
    sparse_out: str | Path | None = None,
) -> EditDirections:
    """Find the named edits of a model and save them as a component.

    Args:
        pipe: the model.
        parser: reads attributes in its pictures.
        out: folder for the component and `measured.json`.
        config: settings.
        scores: what edits there shall be.
        sparse_out: folder for the `sparse_normals` of the same samples, a component too; not made if None.

    Returns:
        The component, without the edits that do not work.

    Raises:
        InputError: if none works.
    """
    out = Path(out)
    samples = label_samples(pipe, parser, config.pictures, config.seed, config.truncation_psi)
    found = find_directions(samples, scores, config)
    if sparse_out is not None:
        EditDirections.of(sparse_normals(pipe, samples, scores, config), pipe.code_space).save_pretrained(sparse_out)
    pictures = pipe.sample(list(range(config.seed, config.seed + config.measured)))
    kept, table = [], {}
    for named in tqdm(scores, desc="Measure ranges", delay=1):
        direction, accuracy = found[named.name]
        direction = _with(direction, region=_known(pipe, named.region))
        measured = measure_edit(pipe, parser, direction, named, samples, pictures, config)
        measured.accuracy = accuracy
        low, high = measured.range
        rise = max(score for t, score in zip(measured.strengths, measured.scores, strict=True) if t <= high)
        works = high > 0 and rise >= config.rising
        table[named.name] = asdict(measured) | {"works": works}
        logger.info(
            "%s: from %g to %g it raises its score by %.1f standard deviations%s",
            *(named.name, low, high, rise, "" if works else ", which is too little; left out"),
        )
        if works:
            about = dict(direction.about or {}) | {"rise": round(rise, 2)}
            kept.append(_with(direction, range=(low, high), about=about))
    if not kept:
        raise InputError("No edit works on this model; label more pictures, or train the generator longer.")
    component = EditDirections.of(kept, pipe.code_space)
    component.save_pretrained(out)
    (out / "measured.json").write_text(json.dumps({"settings": asdict(config), "edits": table}, indent=1) + "\n")
    return component


def _known(pipe: EditingPipeline, region: str | tuple[str, ...] | None) -> tuple[str, ...] | str | None:
    """Those of some regions that a model has, None if it has none of them."""
    names: list[str] = []
    for name in as_names(region) or ():
        try:
            pipe.covered_by(name)
        except InputError:
            continue
        names.append(name)
    return None if not names else names[0] if len(names) == 1 else tuple(names)


def _with(direction: Direction, **changes: Any) -> Direction:
    record = {name: getattr(direction, name) for name in direction.__dataclass_fields__}
    return Direction(**record | changes)
