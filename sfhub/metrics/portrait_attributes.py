"""Whether a portraits generator shows the attributes that its latents stand for.

Every latent of the built-in domain determines the attributes of one portrait (`sfhub.portraits.latents`). A judge reads
them in three pictures of the same latent: the one generated from it, the one generated from the exact attribute code,
and the one that the renderer draws, which is the most that this judge can score. An attribute counts as shown where the
generated pictures reach `SHOWN` of that, among those that the judge sees in renders at all (`SEEN`).
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import ModelMixin
from torch import Tensor
from tqdm.auto import tqdm

from sfhub.errors import InputError
from sfhub.metrics.attributes import attribute_scores
from sfhub.metrics.figures import make_folder, make_panels, markdown, name_row, pixels, save_figure
from sfhub.metrics.judge import PortraitJudge
from sfhub.models.style_space import StyleGenerator
from sfhub.portraits.attributes import ATTRIBUTES, attribute_vector, attribute_visibility
from sfhub.portraits.latents import LATENT_DIM, attribute_code, attributes_from_latents
from sfhub.portraits.parser import PortraitParser
from sfhub.portraits.renderer import render

__all__ = [
    "SEEN",
    "SHOWN",
    "Pictures",
    "draw_latents",
    "measure_shown",
    "open_judge",
    "pictures_of_latents",
    "save_comparison",
    "save_shown",
    "summarise_shown",
]

SHOWN = 0.8
"""Share of the render's score from which on an attribute counts as shown."""

SEEN = 0.3
"""Score in renders from which on an attribute counts at all."""

RARE = ("hat", "beard", "glasses", "pattern", "earrings")
"""Categorical attributes whose first choice is "nothing" and whose others few portraits have."""

Pictures = Callable[[Tensor], Tensor]
"""Indices `[B]` of latents -> pictures `[B, 3, H, W]` in [-1, 1]."""


def draw_latents(count: int, seed: int) -> Tensor:
    """Standard normal latents `[count, LATENT_DIM]`."""
    return torch.randn(count, LATENT_DIM, generator=torch.Generator().manual_seed(seed))


def open_judge(folder: str | Path) -> ModelMixin:
    """The `PortraitJudge` or `PortraitParser` in a folder, in single precision and evaluation mode.

    Raises:
        InputError: for a folder without one of them.
    """
    kinds = {kind.__name__: kind for kind in (PortraitJudge, PortraitParser)}
    config = Path(folder) / "config.json"
    name = json.loads(config.read_text()).get("_class_name") if config.is_file() else None
    if name not in kinds:
        raise InputError(
            f"There is no {' or '.join(kinds)} in {str(folder)!r}; give the folder of one, scripts/train_judge.py "
            "trains them."
        )
    return kinds[name].from_pretrained(folder).float().eval()


def pictures_of_latents(G: StyleGenerator, z: Tensor) -> dict[str, Pictures]:
    """Three ways from latents `[N, LATENT_DIM]` to pictures: `latent`, `code` (both generated) and `render`.

    Raises:
        InputError: for a generator that takes other latents or whose W is too small for attribute codes.
    """
    attributes = attributes_from_latents(z)
    code = attribute_code(attributes)
    missing = G.config.w_dim - code.shape[1]
    if G.config.z_dim != z.shape[1] or missing < 0:
        raise InputError(
            f"This generator has latents of {G.config.z_dim} and a W of {G.config.w_dim} numbers; portraits with "
            f"attributes take {z.shape[1]} and at least {code.shape[1]}."
        )
    w = F.pad(code, (0, missing))
    device = G.const.device

    def from_code(index: Tensor) -> Tensor:
        w_plus = w[index].to(device)[:, None].expand(-1, G.num_ws, -1)
        return G.synthesis(G.styles(w_plus)).clamp(-1, 1)

    return {
        "latent": lambda index: G(z[index].to(device)).clamp(-1, 1),
        "code": from_code,
        "render": lambda index: render(_rows(attributes, index), G.config.resolution).image.to(device),
    }


@torch.no_grad()
def measure_shown(
    pictures: Mapping[str, Pictures], judge: ModelMixin, attributes: Mapping[str, Tensor], *, batch_size: int = 50
) -> dict[str, dict[str, float]]:
    """How well the judge reads attributes in several sets of pictures.

    Args:
        pictures: as `pictures_of_latents` gives them.
        judge: image -> output with `attributes` `[B, A]`.
        attributes: of the N portraits.
        batch_size: pictures at a time.

    Returns:
        For every attribute that some portrait shows `{set: score}`, on the portraits that show it: R^2, or of
        categorical ones the balanced accuracy above chance, (accuracy - 1 / K) / (1 - 1 / K); 1 is perfect, 0 blind.
    """
    target, visible = attribute_vector(attributes), attribute_visibility(attributes)
    scores: dict[str, dict[str, float]] = {}
    for name, draw in pictures.items():
        parts = torch.arange(len(target)).split(batch_size)
        found = torch.cat([judge(draw(part)).attributes.float().cpu() for part in tqdm(parts, desc=name)])
        for attribute, score in attribute_scores(found, target, visible).items():
            scores.setdefault(attribute, {})[name] = _above_chance(attribute, score)
    return scores


def _above_chance(attribute: str, score: float) -> float:
    chance = 1 / len(ATTRIBUTES[attribute].choices) if ATTRIBUTES[attribute].choices else 0
    return (score - chance) / (1 - chance)


def summarise_shown(scores: Mapping[str, Mapping[str, float]]) -> dict[str, object]:
    """How many attributes are shown.

    Returns:
        `seen`, how many the judge sees in renders; `shown`, how many of these it sees in pictures from latents, and
        `shown_from_code`, in pictures from exact codes; `short`, the names of those that pictures from latents lack.
    """
    seen = [name for name, score in scores.items() if score["render"] >= SEEN]
    shown = {
        source: [name for name in seen if scores[name][source] >= SHOWN * scores[name]["render"]]
        for source in ("latent", "code")
    }
    return {
        "seen": len(seen),
        "shown": len(shown["latent"]),
        "shown_from_code": len(shown["code"]),
        "short": [name for name in seen if name not in shown["latent"]],
    }


def save_shown(scores: Mapping[str, Mapping[str, float]], out_dir: str | Path, **settings: object) -> str:
    """Write `attributes.json` and `attributes.md`; returns the text of the latter, attributes that fall short first.

    Args:
        scores: as `measure_shown` gives them.
        out_dir: made if it is not there.
        settings: kept in the JSON beside the scores.
    """
    out_dir = make_folder(out_dir)
    summary = summarise_shown(scores)
    share = {name: score["latent"] / max(score["render"], SEEN) for name, score in scores.items()}
    ordered = sorted(scores, key=lambda name: (scores[name]["render"] < SEEN, share[name]))
    lines = [
        [name, *(f"{scores[name][source]:.2f}" for source in ("latent", "code", "render")), _verdict(scores[name])]
        for name in ordered
    ]
    text = (
        f"shown: {summary['shown']} of {summary['seen']} (from the exact code: {summary['shown_from_code']})\n\n"
        f"short: {', '.join(summary['short']) or 'none'}\n\n"
        + markdown(["attribute", "from the latent", "from the exact code", "in renders", "verdict"], lines)
    )
    found = {**settings, **summary, "scores": {name: dict(scores[name]) for name in ordered}}
    (out_dir / "attributes.json").write_text(json.dumps(found, indent=1))
    (out_dir / "attributes.md").write_text(text)
    return text


def _verdict(score: Mapping[str, float]) -> str:
    if score["render"] < SEEN:
        return "not seen in renders"
    return "shown" if score["latent"] >= SHOWN * score["render"] else "short"


@torch.no_grad()
def save_comparison(pictures: Mapping[str, Pictures], attributes: Mapping[str, Tensor], path: str | Path) -> Path:
    """Draw generated pictures above rendered ones of the same latents: the first 16, then 4 of every rare kind."""
    count = len(attributes["hat"])
    kinds = {"": torch.arange(min(16, count))}
    for name in RARE:
        for number, choice in enumerate(ATTRIBUTES[name].choices[1:], start=1):
            kinds[f"{name}: {choice}"] = (attributes[name] == number).nonzero()[:4, 0]
    places = {"": (0, 0)} | {title: (2 + 2 * (n // 4), 4 * (n % 4)) for n, title in enumerate(list(kinds)[1:])}
    rows = 2 + max(row for row, _ in places.values())
    figure, panels = make_panels(rows, 16)
    for title, index in kinds.items():
        row, column = places[title]
        panels[row, column].set_title(title, fontsize=8, loc="left")
        for line, source in enumerate(("latent", "render")):
            for offset, image in enumerate(pictures[source](index) if len(index) else ()):
                panels[row + line, column + offset].imshow(pixels(image))
    for row in range(rows):
        name_row(panels[row, 0], ("generated", "rendered")[row % 2])
    return save_figure(figure, path)


def _rows(attributes: Mapping[str, Tensor], index: Tensor) -> dict[str, Tensor]:
    return {name: values[index] for name, values in attributes.items()}
