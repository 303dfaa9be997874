"""What a training tells while it runs: a progress bar, `log.jsonl`, and whoever calls back."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor
from tqdm.auto import tqdm

__all__ = ["Recorder"]


class Recorder:
    """Collects measured values and writes their means now and then; the main process alone writes and shows.

    Args:
        out_dir: `log.jsonl` in it gets one line per record.
        accelerator: knows which process this is.
        total, initial: length of the training and where it starts or goes on, in `unit`.
        unit: what the bar counts.
        callback: gets every record.
    """

    def __init__(
        self,
        out_dir: Path,
        accelerator: Accelerator,
        *,
        total: int,
        initial: int,
        unit: str,
        callback: Callable[[dict[str, float]], None] | None = None,
    ):
        self._main = accelerator.is_main_process
        self._path, self._callback = out_dir / "log.jsonl", callback
        self._values: dict[str, list[Tensor]] = {}
        self._bar = tqdm(total=total, initial=initial, unit=unit, disable=not self._main)

    def add(self, **values: Tensor) -> None:
        """Note scalars of this step."""
        for name, value in values.items():
            self._values.setdefault(name, []).append(value.detach())

    def last(self, name: str, count: int) -> Tensor:
        """The last values of that name since the last record, `count` of them or fewer."""
        return torch.stack(self._values[name][-count:])

    def advance(self, count: int) -> None:
        """Move the bar on."""
        self._bar.update(count)

    def write(self, counters: dict[str, float], shown: Sequence[str] | None = None) -> None:
        """Write a record of `counters` and the means since the last record.

        Args:
            counters: come first in the record.
            shown: names that the bar shows; all means if None.
        """
        means = {name: torch.stack(values).float().mean().item() for name, values in self._values.items()}
        self._values.clear()
        names = means if shown is None else shown
        self._bar.set_postfix({name: f"{means[name]:.3f}" for name in names if name in means}, refresh=False)
        record = {**counters, **means}
        if self._callback is not None:
            self._callback(record)
        if self._main:
            with open(self._path, "a") as stream:
                stream.write(json.dumps(record) + "\n")

    def close(self) -> None:
        """Finish the bar."""
        self._bar.close()
