"""What surrounds every training loop: where it goes on, its moving average, its log and its checkpoints.

A loop says what its networks are and how long it is, and reads from then on

    run = Run(out_dir, accelerator, modules=..., optimizers=..., length=..., write_results=...)
    state = run.restore()
    while not run.is_done:
        ...                              # one step; `run.note(loss=loss)` keeps what it measures
        run.advance()
        if run.reaches(1_000):
            run.log()
        if run.reaches(config.save_images):
            run.save({"path_mean": ...})
    run.close()

A training may be killed at any moment, even in the middle of saving. The checkpoint is the one point at which a state
counts: results made from it (`ema/`, say) are first written completely to a folder of their own, then take the places
of the old files one by one, and the checkpoint follows last. So every file is whole at all times, and the next run
brings results and log back to the state of the checkpoint, also when the training had finished. All randomness of a
step is a function of seed and step (`step_seed`), so that it then ends at the very same weights.
"""

import filecmp
import json
import logging
import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from sfhub.errors import InputError
from sfhub.files import write_atomically
from sfhub.training.checkpoint import load_checkpoint, read_progress, save_checkpoint, sync
from sfhub.training.data import BatchOrder, image_batches

__all__ = ["Run", "is_under_way", "optimizer_step", "step_generator", "step_seed"]

logger = logging.getLogger(__name__)


class Run:
    """A training in its folder.

    Args:
        out_dir: receives `checkpoint.safetensors`, `log.jsonl` and the results; made if need be.
        accelerator: device and processes; the main process alone writes and shows.
        modules, optimizers: all that a checkpoint keeps, by name.
        length: of the training, in units of `counter`.
        write_results: writes into a folder what is made from the modules and the state that `save` was given.
        per_step: how much of the length a step is, over all processes.
        counter: what is counted, `images` or `step`: the name in checkpoints and in the log.
        settings: those that may not change while the training goes on; anything JSON can hold.
        callback: gets every log record.

    Attributes:
        step, total_steps: steps done, and in all.
        out_dir, checkpoint: the folder and the file in it.
        is_main: whether this is the main process.
    """

    def __init__(
        self,
        out_dir: str | Path,
        accelerator: Accelerator,
        *,
        modules: Mapping[str, nn.Module],
        optimizers: Mapping[str, torch.optim.Optimizer],
        length: int,
        write_results: Callable[[Path, Mapping[str, Any]], None],
        per_step: int = 1,
        counter: str = "images",
        settings: Mapping[str, Any] | None = None,
        callback: Callable[[dict[str, float]], None] | None = None,
    ):
        self.out_dir, self.is_main, self.step = Path(out_dir), accelerator.is_main_process, 0
        self._accelerator, self._modules, self._optimizers = accelerator, modules, optimizers
        self._write_results, self._per_step, self._counter, self._callback = write_results, per_step, counter, callback
        self._settings = None if settings is None else json.loads(json.dumps(settings))
        self._unit = counter.removesuffix("s")
        self.total_steps = math.ceil(length / per_step)
        self._values: dict[str, list[Tensor]] = {}
        self._bar: tqdm | None = None
        self.checkpoint = _checkpoint_in(self.out_dir)
        self.out_dir.mkdir(parents=True, exist_ok=True)

    @property
    def count(self) -> int:
        """How far the training is, in units of the counter."""
        return self.step * self._per_step

    @property
    def share(self) -> float:
        """How much of the training is over, 0 to 1."""
        return self.step / self.total_steps

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do."""
        return self.step >= self.total_steps

    def restore(self) -> dict[str, Any]:
        """Go on where the checkpoint is, if there is one; results and log are brought to where it is.

        Returns:
            The state that `save` was given; empty at the start.

        Raises:
            InputError: if the checkpoint is damaged, belongs to networks of other sizes or was made with other
                `settings`.
        """
        state = {}
        if self.checkpoint.is_file():
            self._refuse_other_settings()
            state = load_checkpoint(self.checkpoint, self._modules, self._optimizers)
            self.step = state[self._counter] // self._per_step
            logger.info("Going on from %s at %d %ss.", self.checkpoint, state[self._counter], self._unit)
            if self.is_main:
                self._replace_results(state)
        if self.is_main:
            self._cut_log()
        total = self.total_steps * self._per_step
        self._bar = tqdm(total=total, initial=self.count, unit=self._unit, disable=not self.is_main)
        return state

    def batches(self, dataset: Dataset, batch_size: int, seed: int, workers: int = 0) -> Iterator:
        """Batches of this process from the step on where the training is, see `BatchOrder`.

        Raises:
            InputError: for fewer items than one batch.
        """
        processes = {"rank": self._accelerator.process_index, "world": self._accelerator.num_processes}
        order = BatchOrder(len(dataset), batch_size, seed=seed, first_step=self.step, **processes)
        return image_batches(dataset, order, workers=workers)

    @torch.no_grad()
    def update_average(self, average: nn.Module, network: nn.Module, half_life: float) -> None:
        """Move an exponential moving average of the parameters on by a step, which is not advanced yet.

        Args:
            half_life: in units of the counter, at most a twentieth of what is done counts.
        """
        decay = 0.5 ** (self._per_step / max(min(half_life, self.count / 20), 1e-8))
        averages, values = list(average.parameters()), [parameter.detach() for parameter in network.parameters()]
        torch._foreach_lerp_(averages, values, 1 - decay)

    def note(self, **values: Tensor) -> None:
        """Keep scalars of this step for the log."""
        for name, value in values.items():
            self._values.setdefault(name, []).append(value.detach())

    def last(self, name: str, count: int) -> Tensor:
        """The last values of that name since the last log record, `count` of them or fewer."""
        return torch.stack(self._values[name][-count:])

    def advance(self) -> None:
        """Count a step."""
        self.step += 1
        self._bar.update(self._per_step)

    def reaches(self, interval: int) -> bool:
        """Whether the step just counted has reached a multiple of `interval`, or the end."""
        return self.is_done or self.count // interval > (self.count - self._per_step) // interval

    def log(self, values: Mapping[str, float] | None = None, shown: Sequence[str] | None = None) -> None:
        """Write a record of the counter, `values`, and the means of what was noted since the last record.

        Args:
            shown: names that the bar shows; all means if None.
        """
        means = {name: torch.stack(noted).float().mean().item() for name, noted in self._values.items()}
        self._values.clear()
        names = means if shown is None else shown
        self._bar.set_postfix({name: f"{means[name]:.3f}" for name in names if name in means}, refresh=False)
        record = {self._counter: self.count, **(values or {}), **means}
        if self._callback is not None:
            self._callback(record)
        if self.is_main:
            with open(self.out_dir / "log.jsonl", "a", encoding="utf-8") as stream:
                stream.write(json.dumps(record) + "\n")

    def save(self, state: Mapping[str, Any] | None = None) -> None:
        """Write results and checkpoint, on the main process.

        Args:
            state: what `restore` is to give back; anything JSON can hold.
        """
        if not self.is_main:
            return
        state = {self._counter: self.count, **(state or {})}
        if self._settings is not None:
            state["settings"] = self._settings
        self._replace_results(state)
        save_checkpoint(self.checkpoint, self._modules, self._optimizers, state)

    def close(self) -> None:
        """Finish the bar and wait for the other processes."""
        self._bar.close()
        self._accelerator.wait_for_everyone()

    def _replace_results(self, state: Mapping[str, Any]) -> None:
        """Write results to a folder of their own; those files that differ take the places of the old ones."""
        fresh = self.out_dir / "results.partial"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        self._write_results(fresh, state)
        for path in sorted(path for path in fresh.rglob("*") if path.is_file()):
            target = self.out_dir / path.relative_to(fresh)
            if target.is_file() and filecmp.cmp(path, target, shallow=False):
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            sync(path)
            os.replace(path, target)
        shutil.rmtree(fresh)

    def _cut_log(self) -> None:
        """Leave in the log what lies before the checkpoint, in whole lines; the rest is about to be written again."""
        path = self.out_dir / "log.jsonl"
        if not path.is_file():
            return
        kept = [line for line in path.read_text(encoding="utf-8").splitlines() if self._is_past(line)]
        write_atomically(path, "".join(f"{line}\n" for line in kept).encode())

    def _is_past(self, line: str) -> bool:
        try:
            return json.loads(line)[self._counter] <= self.count
        except (ValueError, KeyError, TypeError):
            return False

    def _refuse_other_settings(self) -> None:
        if self._settings is None:
            return
        stored = read_progress(self.checkpoint).get("settings", {})
        changed = [name for name in self._settings if self._settings[name] != stored.get(name)]
        if changed:
            raise InputError(
                f"The checkpoint {self.checkpoint} was made with another {changed[0]} ({stored.get(changed[0])} where "
                f"{self._settings[changed[0]]} is asked for now); train in a new folder, or with the old settings."
            )


def is_under_way(out_dir: str | Path) -> bool:
    """Whether a training in that folder will go on from a checkpoint."""
    return _checkpoint_in(Path(out_dir)).is_file()


def _checkpoint_in(out_dir: Path) -> Path:
    return out_dir / "checkpoint.safetensors"


def step_seed(seed: int, step: int, rank: int) -> int:
    """Seed of one step: independent between steps and processes, repeatable."""
    return hash((seed, step, rank)) & 0x7FFF_FFFF_FFFF_FFFF


def step_generator(seed: int, step: int, rank: int, device: torch.device) -> torch.Generator:
    """Randomness of one step, see `step_seed`."""
    return torch.Generator(device).manual_seed(step_seed(seed, step, rank))


def optimizer_step(optimizer: torch.optim.Optimizer, accelerator: Accelerator) -> None:
    """Average gradients over processes, drop non-finite values, update."""
    parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    if accelerator.num_processes > 1:
        flat = accelerator.reduce(torch.cat([parameter.grad.flatten() for parameter in parameters]), "mean")
        for parameter, part in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
            parameter.grad.copy_(part.view_as(parameter))
    for parameter in parameters:
        parameter.grad.nan_to_num_(nan=0.0, posinf=1e5, neginf=-1e5)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
