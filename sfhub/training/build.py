"""Rebuilding all shipped weights from nothing: a list of stages, each one command, run in order.

`OUT/stages.json` tells of every stage the command it was run with, how many seconds that took, when it finished, and
which runs of other stages it built on. A stage that finished is skipped. It runs again, in an empty folder, when its
command has changed or a stage it needs ran again; what it had made before moves to `OUT/previous`. A stage that was
stopped, even by pulling the plug, goes on with the same command in the same folder, and its times add up.

A build is only as resumable as its commands: each keeps to `OUT/NAME` and goes on by itself where it was.
"""

import codecs
import fcntl
import json
import os
import selectors
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import IO

from sfhub.errors import InputError
from sfhub.files import replace_folder

__all__ = ["Stage", "StageError", "build", "check", "choose", "command_line", "install", "plan", "table"]

STATE = "stages.json"
CARD = "README.md"
SAVE_SECONDS = 10.0
"""A killed build forgets at most this much of the time that a stage has taken."""
PATIENCE = 20.0
"""Seconds that a command gets to end after it was asked to."""

Report = Callable[[str], None]


class StageError(RuntimeError):
    """A stage that failed, in one sentence: which, where its log is, how to repeat it."""


@dataclass(frozen=True)
class Stage:
    """One step of a build.

    Attributes:
        name: also of the folder in OUT that the stage writes to.
        command: what Python is given, as one would type it in the repository: a script with its arguments, in which
            `{out}` stands for OUT and `{here}` for OUT/NAME.
        needs: names of earlier stages whose results it takes.
        result: file or folder in OUT/NAME that is there when the stage is done.
        fast: arguments that follow in a fast build; of an option given twice the last one counts.
        gigabytes: room that it takes on the disk, renders and checkpoints included.
        install: folder of the repository that the result is copied to, if it is shipped.
    """

    name: str
    command: str
    needs: tuple[str, ...] = ()
    result: str = "."
    fast: str = ""
    gigabytes: float = 0.1
    install: str | None = None

    def result_in(self, out: Path) -> Path:
        """Where the result is."""
        return out / self.name / self.result


@dataclass
class _Run:
    """What `stages.json` knows of a stage.

    Attributes:
        command: with its placeholders, so that OUT may be moved.
        needs: when the runs of other stages finished that this one builds on.
        fast: whether it belongs to a fast build.
        seconds: time taken, over all interruptions.
        finished_at: UTC; None while it runs and after it was stopped.
    """

    command: str
    needs: dict[str, str | None] = field(default_factory=dict)
    fast: bool = False
    seconds: float = 0.0
    finished_at: str | None = None


@dataclass(frozen=True)
class Plan:
    """What a build will do with a stage.

    Attributes:
        reason: why it runs; None if it is done.
        afresh: whether it starts in an empty folder.
    """

    reason: str | None
    afresh: bool = False


def choose(stages: Sequence[Stage], only: Sequence[str] = (), first: str | None = None) -> list[Stage]:
    """The stages of these names, or those from `first` on, or all.

    Raises:
        InputError: for a name that no stage has.
    """
    names = [stage.name for stage in stages]
    for name in (*only, *([] if first is None else [first])):
        if name not in names:
            raise InputError(f"There is no stage {name!r}; choose among {', '.join(names)}.")
    start = 0 if first is None else names.index(first)
    return [stage for stage in stages[start:] if not only or stage.name in only]


def check(stages: Sequence[Stage], chosen: Sequence[Stage], out: Path, *, root: Path, fast: bool = False) -> None:
    """Find out before anything starts what would stop the build later.

    Args:
        stages: of the whole build.
        chosen: those that are to run.
        out, root, fast: as for `build`.

    Raises:
        InputError: if a script does not exist, a needed stage is neither done nor chosen, OUT holds a build of the
            other kind, or the disk lacks room.
    """
    for stage in chosen:
        script = Path(_words(stage, out, root, fast)[0])
        if script.suffix == ".py" and not script.is_file():
            raise InputError(f"The script {script} of the stage {stage.name!r} does not exist; install sfhub again.")
    if any(run.fast != fast for run in _read(out).values()):
        found, wanted = ("full", "fast") if fast else ("fast", "full")
        raise InputError(f"{out} holds a {found} build; give the {wanted} one a folder of its own with --out.")
    plans, coming = plan(stages, chosen, out, fast=fast), {stage.name for stage in chosen}
    for stage in chosen:
        for need in stage.needs:
            if need not in coming and plans[need].reason is not None:
                raise InputError(
                    f"The stage {stage.name!r} needs {need!r}, which {plans[need].reason}; run that first."
                )
    _check_disk(out, sum(0.1 if fast else stage.gigabytes for stage in chosen if plans[stage.name].reason is not None))


def _check_disk(out: Path, wanted: float) -> None:
    """Whether there is room for so many gigabytes."""
    folder = next(parent for parent in (out.absolute(), *out.absolute().parents) if parent.is_dir())
    free = shutil.disk_usage(folder).free / 1e9
    if free < wanted:
        raise InputError(
            f"The build needs about {wanted:.1f} GB, but the disk of {folder} has only {free:.1f} GB left; make room, "
            "or give another folder with --out."
        )


def plan(stages: Sequence[Stage], chosen: Sequence[Stage], out: Path, *, fast: bool = False) -> dict[str, Plan]:
    """What a build would do with every stage, by name; of a stage that is not chosen: what it would have to do."""
    runs, coming, plans = _read(out), set(), {}
    for stage in stages:
        plans[stage.name] = _plan(stage, runs, out, fast, coming)
        if plans[stage.name].reason is not None and stage in chosen:
            coming.add(stage.name)
    return plans


def _plan(stage: Stage, runs: Mapping[str, _Run], out: Path, fast: bool, coming: Collection[str] = ()) -> Plan:
    """What to do with one stage when the stages `coming` run before it."""
    run = runs.get(stage.name)
    if run is None:
        return Plan("goes on in the folder that is there" if (out / stage.name).exists() else "was not run yet")
    if run.command != _command(stage, fast):
        return Plan("has another command now", afresh=True)
    for need in stage.needs:
        if need in coming:
            return Plan(f"follows {need}, which runs again", afresh=True)
        if need not in runs or runs[need].finished_at != run.needs.get(need):
            return Plan(f"was made before {need} ran again", afresh=True)
    if run.finished_at is None:
        return Plan(f"was stopped after {_clock(run.seconds)}, goes on")
    if not stage.result_in(out).exists():
        return Plan(f"has lost its result {stage.result_in(out)}", afresh=True)
    return Plan(None)


def build(
    stages: Sequence[Stage],
    out: Path,
    *,
    chosen: Sequence[Stage] | None = None,
    root: Path = Path(),
    fast: bool = False,
    report: Report = print,
    terminal: IO[str] | None = None,
) -> None:
    """Run the stages that are not done, one after the other.

    Args:
        stages: of the whole build, each after those it needs.
        out: folder of all results, of `stages.json` and `logs/NAME.log`.
        chosen: those to run; all if None.
        root: the repository.
        fast: with the stages' fast arguments.
        report: gets a line for every stage.
        terminal: gets what the commands print; standard output if None.

    Raises:
        InputError: see `check`, or if another build is at work in OUT.
        StageError: if a command fails or leaves no result.
    """
    chosen = stages if chosen is None else chosen
    check(stages, chosen, out, root=root, fast=fast)
    (out / "logs").mkdir(parents=True, exist_ok=True)
    with _lock(out) as lock:
        for number, stage in enumerate(chosen, start=1):
            runs = _read(out)
            todo = _plan(stage, runs, out, fast)
            heading = f"[{number}/{len(chosen)}] {stage.name}"
            if todo.reason is None:
                report(f"{heading}: done in {_clock(runs[stage.name].seconds)}, skipped.")
                continue
            report(f"{heading} {todo.reason}.\n  {command_line(stage, out, root=root, fast=fast)}")
            if todo.afresh:
                _move_aside(stage, out, report)
                runs.pop(stage.name)
            _run(stage, runs, out, root, fast, terminal or sys.stdout, lock)
            report(f"{heading}: finished, {_clock(_read(out)[stage.name].seconds)} in all.")


def _run(
    stage: Stage, runs: dict[str, _Run], out: Path, root: Path, fast: bool, terminal: IO[str], lock: IO[str]
) -> None:
    """Run one stage to its end, and keep its record up to date."""
    needs = {need: runs[need].finished_at for need in stage.needs}
    run = runs.setdefault(stage.name, _Run(_command(stage, fast), needs, fast))
    before, start, written = run.seconds, time.monotonic(), float("-inf")

    def note(always: bool = False) -> None:
        nonlocal written
        now = time.monotonic()
        run.seconds = round(before + now - start, 3)
        if always or now - written > SAVE_SECONDS:
            _write(runs, out)
            written = now

    note()
    log = out / "logs" / f"{stage.name}.log"
    try:
        status = _follow(_words(stage, out, root, fast), log, terminal, note, lock)
    finally:
        note(always=True)
    repeat = f"see {log}, and repeat it with: {command_line(stage, out, root=root, fast=fast)}"
    if status:
        raise StageError(
            f"The stage {stage.name!r} failed after {_clock(run.seconds)} (exit status {status}); {repeat}"
        )
    if not stage.result_in(out).exists():
        raise StageError(f"The stage {stage.name!r} ended without its result {stage.result_in(out)}; {repeat}")
    run.finished_at = datetime.now(timezone.utc).isoformat()
    note(always=True)


def _follow(words: list[str], log: Path, terminal: IO[str], note: Callable[[], None], lock: IO[str]) -> int:
    """Run Python with these arguments, show and log what it prints, and return its exit status.

    The command holds the lock, too: should this process be killed, a second build sees that it is still there.
    """
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with (
        open(log, "ab") as file,
        subprocess.Popen(
            [sys.executable, *words],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[lock.fileno()],
        ) as process,
        selectors.DefaultSelector() as selector,
    ):
        try:
            _sign(lock, process.pid)
            selector.register(process.stdout, selectors.EVENT_READ)
            file.write(f"$ {shlex.join(['python', *words])}\n".encode())
            decoder, line, chunk = codecs.getincrementaldecoder("utf-8")("replace"), b"", b" "
            while chunk:
                note()
                if not selector.select(timeout=1.0):
                    continue
                chunk = os.read(process.stdout.fileno(), 65_536)
                terminal.write(decoder.decode(chunk))
                terminal.flush()
                *lines, line = (line + chunk).split(b"\n")
                file.writelines(_last_state(each) + b"\n" for each in lines)
                file.flush()
                line = _last_state(line)
            file.write(line)
            return process.wait()
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(PATIENCE)
                except subprocess.TimeoutExpired:
                    process.kill()


def _last_state(line: bytes) -> bytes:
    """What remains of a line after "\\r", where progress bars draw themselves anew; a last one waits for its bar."""
    return line[line.rfind(b"\r", 0, -1) + 1 :]


def command_line(stage: Stage, out: Path, *, root: Path = Path(), fast: bool = False) -> str:
    """The command of a stage as one types it here."""
    return shlex.join(["python", *_words(stage, out, root, fast)])


def table(stages: Iterable[Stage], out: Path) -> str:
    """Time, result and size of every stage that has run, in Markdown."""
    runs = _read(out)
    rows = [("stage", "time", "result", "MB"), ("---", "---:", "---", "---:")]
    for stage in stages:
        if stage.name in runs:
            result, run = stage.result_in(out), runs[stage.name]
            size = f"{_size(result) / 1e6:.1f}" if run.finished_at and result.exists() else "not finished"
            rows.append((stage.name, _clock(run.seconds), str(result), size))
    names = {stage.name for stage in stages}
    rows.append(("all", _clock(sum(run.seconds for name, run in runs.items() if name in names)), "", ""))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def install(stages: Iterable[Stage], out: Path, *, root: Path) -> list[Path]:
    """Copy the results that are shipped into the repository, and return where they went; model cards there stay.

    Raises:
        InputError: if a folder cannot be written; it is then unchanged.
    """
    installed = []
    for stage in stages:
        if stage.install is not None:
            target = root / stage.install
            kept = shutil.ignore_patterns(CARD) if (target / CARD).is_file() else None
            with replace_folder(target) as folder:
                shutil.copytree(stage.result_in(out), folder, ignore=kept, dirs_exist_ok=True)
            installed.append(target)
    return installed


def _command(stage: Stage, fast: bool) -> str:
    return f"{stage.command} {stage.fast}".strip() if fast else stage.command


def _words(stage: Stage, out: Path, root: Path, fast: bool) -> list[str]:
    """The command of a stage, word by word."""
    here = str(out / stage.name)
    words = [word.replace("{out}", str(out)).replace("{here}", here) for word in shlex.split(_command(stage, fast))]
    return [str(root / words[0]), *words[1:]] if words[0].endswith(".py") else words


def _move_aside(stage: Stage, out: Path, report: Report) -> None:
    """Give a stage an empty folder and log; one earlier state is kept."""
    for path in (out / stage.name, out / "logs" / f"{stage.name}.log"):
        if path.exists():
            aside = out / "previous" / path.name
            aside.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(aside) if aside.is_dir() else aside.unlink(missing_ok=True)
            path.rename(aside)
            report(f"  {path} is now {aside}.")


@contextmanager
def _lock(out: Path) -> Iterator[IO[str]]:
    """Keep other builds out of the folder, for as long as this process or the command it started lives."""
    with open(out / "lock", "a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            raise InputError(
                f"Another build is at work in {out} (process {lock.read().strip()}); wait for it or end it first."
            ) from None
        yield lock


def _sign(lock: IO[str], process: int) -> None:
    """Write into the lock who holds it."""
    lock.truncate(0)
    lock.write(f"{process}\n")
    lock.flush()


def _read(out: Path) -> dict[str, _Run]:
    try:
        return {name: _Run(**run) for name, run in json.loads((out / STATE).read_text()).items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{out / STATE} is not what a build wrote ({error}); remove it to start over.") from error


def _write(runs: Mapping[str, _Run], out: Path) -> None:
    partial = out / f"{STATE}.partial"
    partial.write_text(json.dumps({name: asdict(run) for name, run in runs.items()}, indent=1) + "\n")
    os.replace(partial, out / STATE)


def _clock(seconds: float) -> str:
    """Hours, minutes and seconds: 3725 -> 1:02:05."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"


def _size(path: Path) -> int:
    """Bytes of a file or of all files below a folder."""
    return sum(file.stat().st_size for file in (path, *path.rglob("*")) if file.is_file())
