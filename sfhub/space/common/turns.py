"""Turns: visitors are served picture by picture, one after the other, however much one of them has asked for.

One picture is made at a time, which is how two cores are best used. Between two pictures of a long piece of work
everybody else who waits gets one (`Turns.pause`), and work that nobody waits for any longer ends there.
"""

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from sfhub.errors import InputError

__all__ = ["TURNS", "Turns"]


@dataclass(frozen=True)
class _Job:
    visitor: Hashable
    is_awaited: Callable[[], bool]


_JOB: ContextVar[_Job | None] = ContextVar("job", default=None)
"""What this thread works on, if that is a visitor's."""


class Turns:
    """Who may compute now: one job, and the next visitor's when it pauses."""

    def __init__(self):
        self._changed = threading.Condition()
        self._waiting: OrderedDict[Hashable, deque[object]] = OrderedDict()
        self._taken = False

    @contextmanager
    def job(self, visitor: Hashable, is_awaited: Callable[[], bool] = lambda: True) -> Iterator[None]:
        """Work for a visitor, begun in its turn.

        Args:
            visitor: the turns go round between visitors, whatever number of jobs each has.
            is_awaited: whether anybody still waits for the result; asked in every turn.

        Raises:
            InputError: if nobody does.
        """
        if _JOB.get() is not None:  # part of a job that has its turn
            yield
            return
        job = _Job(visitor, is_awaited)
        token = _JOB.set(job)
        try:
            self._take(job)
            try:
                _check_awaited(job)
                yield
            finally:
                self._give()
        finally:
            _JOB.reset(token)

    def pause(self) -> None:
        """Let others have their turns, in the middle of a job; of no effect outside of one.

        Raises:
            InputError: if nobody waits for the result of the job any longer.
        """
        job = _JOB.get()
        if job is None:
            return
        self._give()
        self._take(job)
        _check_awaited(job)

    def _take(self, job: _Job) -> None:
        ticket = object()
        with self._changed:
            self._waiting.setdefault(job.visitor, deque()).append(ticket)
            self._changed.wait_for(lambda: not self._taken and next(iter(self._waiting.values()))[0] is ticket)
            theirs = self._waiting.pop(job.visitor)
            theirs.popleft()
            if theirs:  # the visitor's next job waits until all others had a turn
                self._waiting[job.visitor] = theirs
            self._taken = True

    def _give(self) -> None:
        with self._changed:
            self._taken = False
            self._changed.notify_all()


def _check_awaited(job: _Job) -> None:
    if not job.is_awaited():
        raise InputError("Nobody waited for this picture any longer, so it was not made; ask for it again.")


TURNS = Turns()
"""Those of this process."""
