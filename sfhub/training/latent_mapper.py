"""Training a latent mapper for one text: *StyleCLIP* (Patashnik et al., ICCV 2021), section 5.

The loss is one minus the cosine of picture and text, plus the squared length of the displacement. The paper's identity
loss needs a network that recognises real faces; none is used here. Where the edit is to stay in some regions, the
pictures of the training are already kept to them (StyleFusion, Kafri et al., TOG 2022, section 6.1: a mapper trained to
change one region), so the mapper need not learn what not to change.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor

from sfhub.errors import InputError
from sfhub.models.latent_mapper import LEVELS, MAPPER_STEP, LatentMapper
from sfhub.text.encoder import TextEncoder
from sfhub.training.data import BatchOrder
from sfhub.training.run import Run

__all__ = ["MapperTraining", "mapper_groups", "train_mapper"]

FREE_SETTINGS = ("log_every", "save_every")
"""Settings that a training may change when it goes on."""


@dataclass
class MapperTraining:
    """Settings of one training; the paper trains 50,000 steps of 2 with learning rate 0.5 and l2 0.8.

    Attributes:
        steps, batch_size: length of the training.
        learning_rate: of Adam; high, as the mapper's layers have a multiplier of 0.01.
        l2: weight of the squared length of the displacement per vector of W+, in its own unit.
        log_every: steps between two lines of `log.jsonl`.
        save_every: steps between two checkpoints.
        seed: of the order of the codes and the network's first weights.
    """

    steps: int = 300
    batch_size: int = 2
    learning_rate: float = 0.1
    l2: float = 0.02
    log_every: int = 10
    save_every: int = 50
    seed: int = 0


def mapper_groups(num_ws: int, *, colours: bool = True) -> dict[str, tuple[int, int | None]]:
    """The paper's groups of layers, scaled to a generator with `num_ws` vectors of W+.

    Args:
        num_ws: 18 for one of 1024 pixels.
        colours: whether the edit may change colours; if not, there is no fine group.
    """
    scale = num_ws / 18
    groups = {
        name: (round(first * scale), None if stop is None else round(stop * scale))
        for name, (first, stop) in LEVELS.items()
        if colours or name != "fine"
    }
    return {name: pair for name, pair in groups.items() if pair[1] is None or pair[1] > pair[0]}


def train_mapper(
    config: MapperTraining,
    text: str,
    w_plus: Tensor,
    render: Callable[[Tensor, Tensor], Tensor],
    encoder: TextEncoder,
    out_dir: str | Path,
    *,
    groups: dict[str, tuple[int, int | None]] | None = None,
    accelerator: Accelerator | None = None,
    callback: Callable[[dict[str, float]], None] | None = None,
) -> LatentMapper:
    """Train a mapper, or go on where a checkpoint in `out_dir` left off; return it in evaluation mode.

    Args:
        config: settings.
        text: what pictures shall show.
        w_plus: W+ codes of samples, `[N, L, D]`.
        render: W+ codes `[B, L, D]` and their displacements -> pictures `[B, 3, H, W]` in [-1, 1], with gradients; kept
            to regions, if the edit is to be.
        encoder: of text and pictures.
        out_dir: receives the mapper, `log.jsonl` and the checkpoint.
        groups: of rows of W+; `mapper_groups` if None.
        accelerator: device.
        callback: gets every record of the log.

    Raises:
        InputError: if there are fewer samples than a batch, or the checkpoint is of other settings.
    """
    accelerator = accelerator or Accelerator()
    torch.manual_seed(config.seed)
    if len(w_plus) < config.batch_size:
        raise InputError(f"{len(w_plus)} samples are fewer than a batch of {config.batch_size}; take more.")
    # Over the channels: rows of samples are all alike, so over the rows only their signs would be left.
    mapper = LatentMapper(
        w_dim=w_plus.shape[2], groups=groups or mapper_groups(w_plus.shape[1]), normalize="channels", text=text
    )
    mapper = mapper.to(accelerator.device).train()
    optimizer = torch.optim.Adam(mapper.parameters(), lr=config.learning_rate)
    wanted = encoder.texts([text])[0]
    run = Run(
        out_dir,
        accelerator,
        modules={"mapper": mapper},
        optimizers={"adam": optimizer},
        length=config.steps,
        counter="step",
        write_results=lambda folder, state: mapper.save_pretrained(folder),
        settings={name: value for name, value in asdict(config).items() if name not in FREE_SETTINGS} | {"text": text},
        callback=callback,
    )
    run.restore()
    for rows in BatchOrder(len(w_plus), config.batch_size, seed=config.seed, first_step=run.step):
        if run.is_done:
            break
        codes = w_plus[rows].to(accelerator.device)
        displacement = MAPPER_STEP * mapper(codes)
        similarity = encoder.pictures(render(codes, displacement)) @ wanted
        length = displacement.square().sum(dim=2).mean()
        losses = {"text": (1 - similarity).mean(), "length": length}
        accelerator.backward(losses["text"] + config.l2 * length)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        run.note(**losses)
        run.advance()
        if run.reaches(config.log_every):
            run.log()
        if run.reaches(config.save_every):
            run.save()
    run.close()
    return mapper.eval().requires_grad_(False)
