"""Times of several computations, taken in turn so that whatever else the machine does falls on all of them alike."""

import statistics
import time
from collections.abc import Callable, Mapping

import torch

__all__ = ["median_seconds"]


@torch.inference_mode()
def median_seconds(
    timed: Mapping[str, tuple[Callable[[], object], int]], device: torch.device, warm_up: tuple[str, ...] = ()
) -> dict[str, float]:
    """Median seconds of each computation.

    Args:
        timed: by name, a computation and how often to time it.
        device: where they run; work left queued on an accelerator is waited for.
        warm_up: names of those that run once before.
    """
    seconds: dict[str, list[float]] = {name: [] for name in timed}
    for name in warm_up:
        _time(timed[name][0], device)
    for turn in range(max(count for _, count in timed.values())):
        for name, (run, count) in timed.items():
            if turn < count:
                seconds[name].append(_time(run, device))
    return {name: statistics.median(values) for name, values in seconds.items()}


def _time(run: Callable[[], object], device: torch.device) -> float:
    start = time.perf_counter()
    run()
    if device.type != "cpu":
        torch.accelerator.synchronize()
    return time.perf_counter() - start
