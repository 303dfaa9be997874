"""Building all models: what is done is skipped, what changed runs again, what stopped goes on, failures are told."""

import io
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from sfhub.errors import InputError
from sfhub.training.build import Stage, StageError, build, choose, command_line, install, plan, table

ROOT = Path(__file__).resolve().parents[2]

# Appends a letter to the result in its folder, so that runs can be counted.
COUNT = """
import sys, pathlib
result = pathlib.Path(sys.argv[1], "result.txt")
result.parent.mkdir(exist_ok=True)
result.write_text((result.read_text() if result.exists() else "") + sys.argv[2])
"""


def stage(name, *needs, code=COUNT, letter="a", **settings):
    command = f"-c {shlex.quote(code)} {{here}} {letter}"
    return Stage(name, command, needs, "result.txt", **settings)


def run(stages, out, **options):
    """Build, and return what was reported."""
    told = []
    build(stages, out, report=told.append, terminal=io.StringIO(), **options)
    return "\n".join(told)


def result(out, name):
    return (out / name / "result.txt").read_text()


CHAIN = [stage("parser"), stage("generator", "parser"), stage("judge"), stage("catalog", "generator")]


def test_every_stage_runs_once_and_is_skipped_when_it_is_done(tmp_path):
    run(CHAIN, tmp_path)
    told = run(CHAIN, tmp_path)
    assert told.count("skipped") == 4
    assert {result(tmp_path, each.name) for each in CHAIN} == {"a"}
    state = json.loads((tmp_path / "stages.json").read_text())
    assert list(state) == ["parser", "generator", "judge", "catalog"]
    assert state["parser"]["command"] == CHAIN[0].command and state["parser"]["finished_at"]


def test_a_folder_may_be_moved(tmp_path):
    run(CHAIN, tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    assert run(CHAIN, tmp_path / "there").count("skipped") == 4


def test_a_changed_command_runs_again_from_nothing_and_so_does_what_was_built_on_it(tmp_path):
    run(CHAIN, tmp_path)
    changed = [CHAIN[0], stage("generator", "parser", letter="b"), *CHAIN[2:]]
    told = run(changed, tmp_path)
    assert "generator has another command now" in told and "catalog was made before generator ran again" in told
    assert [result(tmp_path, each.name) for each in changed] == ["a", "b", "a", "a"]
    assert result(tmp_path / "previous", "generator") == "a"
    assert told.count("skipped") == 2
    assert run(changed, tmp_path).count("skipped") == 4


def test_a_result_that_is_gone_is_made_again(tmp_path):
    run(CHAIN, tmp_path)
    (tmp_path / "judge" / "result.txt").unlink()
    assert f"judge has lost its result {tmp_path / 'judge' / 'result.txt'}" in run(CHAIN, tmp_path)
    assert result(tmp_path, "judge") == "a"


def test_a_dry_run_tells_what_would_run_and_why(tmp_path):
    assert {each.reason for each in plan(CHAIN, CHAIN, tmp_path).values()} == {"was not run yet"}
    run(CHAIN, tmp_path)
    changed = [stage("parser", letter="b"), *CHAIN[1:]]
    reasons = {name: each.reason for name, each in plan(changed, changed, tmp_path).items()}
    assert reasons == {
        "parser": "has another command now",
        "generator": "follows parser, which runs again",
        "judge": None,
        "catalog": "follows generator, which runs again",
    }
    assert {result(tmp_path, each.name) for each in CHAIN} == {"a"}


def test_a_failure_names_stage_log_and_command_and_the_next_run_goes_on_there(tmp_path):
    code = """
import sys, pathlib
folder = pathlib.Path(sys.argv[1])
folder.mkdir(exist_ok=True)
print("the disk is full of", folder.name)
if not (folder / "again").exists():
    (folder / "again").touch()
    sys.exit(3)
(folder / "result.txt").touch()
"""
    stages = [CHAIN[0], stage("generator", "parser", code=code), *CHAIN[2:]]
    with pytest.raises(StageError) as caught:
        run(stages, tmp_path)
    message, log = str(caught.value), tmp_path / "logs" / "generator.log"
    assert "'generator' failed" in message and "exit status 3" in message and str(log) in message
    assert command_line(stages[1], tmp_path) in message
    assert "the disk is full of generator" in log.read_text()
    assert not (tmp_path / "judge").exists()
    told = run(stages, tmp_path)
    assert "generator was stopped after" in told and "parser: done" in told


def test_a_command_that_leaves_no_result_has_failed(tmp_path):
    with pytest.raises(StageError, match="'parser' ended without its result"):
        run([stage("parser", code="")], tmp_path)


SLOW = """
import sys, time, pathlib
folder = pathlib.Path(sys.argv[1])
folder.mkdir(exist_ok=True)
(folder / "starts").open("a").write(".")
while len((folder / "starts").read_text()) < 2:
    print("still training", flush=True)
    time.sleep(0.05)
(folder / "result.txt").touch()
"""


@pytest.mark.parametrize("killed_by", [signal.SIGKILL, signal.SIGINT])
def test_a_build_that_was_killed_goes_on_in_the_same_stage_and_adds_up_its_time(tmp_path, killed_by):
    stages = [CHAIN[0], stage("generator", "parser", code=SLOW)]
    code = (
        "import sys; from pathlib import Path; sys.path[:0] = [sys.argv[1]]\n"
        "from tests.training.test_build import SLOW, CHAIN, run, stage\n"
        "run([CHAIN[0], stage('generator', 'parser', code=SLOW)], Path(sys.argv[2]))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(ROOT), str(tmp_path)], cwd=ROOT, stderr=subprocess.DEVNULL
    )
    wait_for(lambda: (tmp_path / "generator" / "starts").exists())
    process.send_signal(killed_by)
    process.wait(timeout=60)
    state = tmp_path / "stages.json"
    first = json.loads(state.read_text())["generator"]
    assert first["finished_at"] is None
    first["seconds"] = 100.0  # as if it had trained longer
    state.write_text(json.dumps(json.loads(state.read_text()) | {"generator": first}))
    wait_for(lambda: is_free(tmp_path))
    told = run(stages, tmp_path)
    assert "parser: done" in told and "generator was stopped after 0:01:40, goes on" in told
    assert (tmp_path / "generator" / "starts").read_text() == ".."
    assert json.loads(state.read_text())["generator"]["seconds"] > 100
    assert run(stages, tmp_path).count("skipped") == 2


def is_free(out):
    try:
        build([], out)
    except InputError:
        return False
    return True


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_two_builds_do_not_work_in_one_folder(tmp_path):
    inner = (
        "import sys, pathlib; sys.path[:0] = [sys.argv[2]]\n"
        "from sfhub.training.build import build\n"
        "build([], pathlib.Path(sys.argv[1]).parent)\n"
    )
    stages = [Stage("parser", f"-c {shlex.quote(inner)} {{here}} {shlex.quote(str(ROOT))}")]
    with pytest.raises(StageError):
        run(stages, tmp_path)
    assert "Another build is at work" in (tmp_path / "logs" / "parser.log").read_text()


def test_what_cannot_work_is_said_before_anything_starts(tmp_path):
    with pytest.raises(InputError, match="no stage 'painter'; choose among parser, generator, judge, catalog"):
        choose(CHAIN, ["painter"])
    missing = Stage("text", "scripts/train_text.py --out {here}")
    with pytest.raises(InputError, match=r"train_text.py of the stage 'text' does not exist"):
        run([*CHAIN, missing], tmp_path, root=ROOT)
    with pytest.raises(InputError, match="'catalog' needs 'generator', which was not run yet"):
        run(CHAIN, tmp_path, chosen=choose(CHAIN, ["catalog"]))
    with pytest.raises(InputError, match=r"needs about 1000000000.0 GB, but the disk of .* has only"):
        run([replace(CHAIN[0], gigabytes=1e9)], tmp_path)
    assert not list(tmp_path.iterdir())


def test_single_stages_and_those_from_one_on_can_be_chosen(tmp_path):
    assert [each.name for each in choose(CHAIN, ["judge", "parser"])] == ["parser", "judge"]
    assert [each.name for each in choose(CHAIN, first="judge")] == ["judge", "catalog"]
    run(CHAIN, tmp_path, chosen=choose(CHAIN, ["parser"]))
    assert not (tmp_path / "generator").exists()


def test_fast_and_full_builds_keep_apart(tmp_path):
    stages = [stage("parser", fast="b")]
    assert shlex.split(command_line(stages[0], tmp_path, fast=True))[-1] == "b"
    run(stages, tmp_path)
    with pytest.raises(InputError, match="holds a full build; give the fast one a folder of its own"):
        run(stages, tmp_path, fast=True)


def test_a_log_keeps_of_a_progress_bar_its_last_state(tmp_path):
    code = "import sys, time\nfor share in range(3):\n    print(f'\\r{share} of 2', end='', flush=True)\n"
    code += "    time.sleep(0.02)\nprint()\nprint('über')\n" + COUNT
    terminal = io.StringIO()
    build([stage("parser", code=code)], tmp_path, report=lambda line: None, terminal=terminal)
    lines = (tmp_path / "logs" / "parser.log").read_text(encoding="utf-8").splitlines()
    assert lines[-2:] == ["2 of 2", "über"]
    assert terminal.getvalue() == "\r0 of 2\r1 of 2\r2 of 2\nüber\n"


def test_the_table_shows_time_result_and_size(tmp_path):
    run(CHAIN[:2], tmp_path)
    lines = table(CHAIN, tmp_path).splitlines()
    assert lines[0] == "| stage | time | result | MB |" and len(lines) == 5
    stage, time, result, size = lines[2].strip("| ").split(" | ")
    assert (stage, result, size) == ("parser", str(tmp_path / "parser" / "result.txt"), "0.0")
    assert time.startswith("0:00:")


def test_installing_copies_shipped_results_and_keeps_the_model_card(tmp_path):
    stages = [Stage("parser", CHAIN[0].command, install="package/weights"), CHAIN[2]]
    out, shipped = tmp_path / "out", tmp_path / "package" / "weights"
    run(stages, out)
    (out / "parser" / "README.md").write_text("made by itself")
    shipped.mkdir(parents=True)
    (shipped / "README.md").write_text("written with care")
    assert install(stages, out, root=tmp_path) == [shipped]
    assert (shipped / "result.txt").read_text() == "a"
    assert (shipped / "README.md").read_text() == "written with care"
    assert os.listdir(tmp_path / "package") == ["weights"]
