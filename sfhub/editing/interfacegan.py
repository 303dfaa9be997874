"""InterFaceGAN (Shen et al., CVPR 2020): the normal of the plane that parts codes with an attribute from those without.

A linear support vector machine on codes, labelled by whatever tells the attribute; a boundary can be freed of others
(conditional manipulation, section 3.2 of that paper). Works in Z, W, S and in the codes of a SemanticStyleGAN (Shi et
al., CVPR 2022, figs. 9 and 16). Numerically the published tools (`genforce/interfacegan`): C = 1, raw codes.
"""

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.svm import SVC, LinearSVC
from torch import Tensor

from sfhub.errors import InputError

__all__ = ["Boundary", "find_boundary", "interpolate", "project"]


@dataclass(frozen=True, eq=False)
class Boundary:
    """A plane between codes with and without an attribute.

    Attributes:
        normal: unit vector `[D]`, towards codes with it.
        offset: signed distance of the origin: a code has the attribute where `code @ normal + offset > 0`.
        train_accuracy, validation_accuracy: shares of codes on the right side; validation is NaN with none kept back.
        sparsity: share of exact zeros in the normal.
    """

    normal: Tensor
    offset: float
    train_accuracy: float
    validation_accuracy: float
    sparsity: float


def find_boundary(
    codes: Tensor,
    scores: Tensor,
    *,
    chosen: float = 0.02,
    split: float = 0.7,
    invalid: float | None = None,
    sparse: bool = False,
    C: float = 1.0,
    seed: int = 0,
) -> Boundary:
    """Train a linear support vector machine on the codes of the highest and the lowest scores.

    Args:
        codes: `[N, D]`.
        scores: `[N]` or `[N, 1]`, of the attribute.
        chosen: how many codes of either end: a share of all up to 1, at most half of them, or a number of codes above.
        split: share of them to train on; the others validate.
        invalid: score of codes that have none.
        sparse: L1 penalty (Style Intervention, Xu et al.), which leaves most channels at exactly 0.
        C: weight of the errors.
        seed: of what goes into training.

    Raises:
        InputError: if the codes or scores are not finite or do not match, or all have one label.
    """
    scores = scores.detach().reshape(-1).cpu().double()
    if codes.ndim != 2 or len(codes) != len(scores):
        raise InputError(f"Codes of shape {list(codes.shape)} do not go with {len(scores)} scores; give one per code.")
    if not bool(torch.isfinite(codes).all() and torch.isfinite(scores).all()):
        raise InputError("Codes or scores hold numbers that are not finite; leave those codes out.")
    valid = torch.ones_like(scores, dtype=torch.bool) if invalid is None else scores != invalid
    codes, scores = codes[valid.to(codes.device)], scores[valid]
    count = int(len(scores) * chosen) if chosen <= 1 else int(chosen)
    count = min(count, len(scores) // 2)
    order = scores.argsort(descending=True, stable=True)
    high, low = order[:count], order[len(order) - count :]
    if count < 1 or not bool(scores[high].min() > scores[low].max()):
        raise InputError(
            f"The scores of {len(scores)} codes have one label only or too few of the other; label more pictures, or "
            "ones that differ."
        )
    draw = np.random.RandomState(seed)
    parts = [side[draw.permutation(count)] if split < 1 else side for side in (high, low)]
    train = max(1, int(count * split))
    x = codes.detach().cpu().float().numpy()
    sides = [[x[part[:train].numpy()] for part in parts], [x[part[train:].numpy()] for part in parts]]
    (x_train, y_train), (x_test, y_test) = map(_labelled, sides)
    if sparse:
        machine = LinearSVC(C=C, penalty="l1", dual=False, max_iter=5000, random_state=seed)
    else:
        machine = SVC(kernel="linear", C=C)
    machine.fit(x_train, y_train)
    weights = machine.coef_.reshape(-1).astype(np.float64)
    length = np.linalg.norm(weights)
    if not length > 0:
        raise InputError("No plane parts these codes; give more of them, or a larger C.")
    return Boundary(
        normal=torch.from_numpy((weights / length).astype(np.float32)),
        offset=float(machine.intercept_[0] / length),
        train_accuracy=float(machine.score(x_train, y_train)),
        validation_accuracy=float(machine.score(x_test, y_test)) if len(x_test) else float("nan"),
        sparsity=float((weights == 0).mean()),
    )


def _labelled(sides: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    with_it, without = sides
    return np.concatenate(sides), np.concatenate([np.ones(len(with_it), int), np.zeros(len(without), int)])


def project(primal: Tensor, *conditions: Tensor) -> Tensor:
    """A unit direction freed of others: what is left of it at right angles to all of them, as a unit vector.

    Args:
        primal: `[D]`.
        conditions: `[D]` each, linearly independent.

    Raises:
        InputError: if nothing is left.
    """
    if not conditions:
        return primal
    others = torch.stack([each.double() for each in conditions])
    left = primal.double() - others.T @ torch.linalg.lstsq(others.T, primal.double()).solution
    length = left.norm()
    if not bool(length > 1e-6):
        raise InputError("Nothing is left of a direction that lies in those it shall not touch; give fewer of them.")
    return (left / length).to(primal)


def interpolate(code: Tensor, normal: Tensor, start: float, end: float, steps: int, offset: float = 0.0) -> Tensor:
    """Codes at even distances along a direction.

    Args:
        code: `[1, D]`, moved to distances `start` to `end` from the plane; or W+ `[1, L, D]`, moved by them.
        normal: `[D]`.
        start, end: first and last distance.
        steps: how many.
        offset: of the plane, see `Boundary`.

    Returns:
        `[steps, D]` or `[steps, L, D]`.
    """
    distances = torch.linspace(start, end, steps, dtype=code.dtype)
    if code.ndim == 2:
        distances = distances - (code @ normal + offset)
        return code + distances[:, None] * normal
    return code + distances[:, None, None] * normal
