"""The lowest versions that are allowed install together, and with them no file of a model runs either.

PyTorch stays the installed one: it is large, and nothing of it reads what a stranger sends.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

tomllib = pytest.importorskip("tomllib", reason="reading pyproject.toml takes Python 3.11")

ROOT = Path(__file__).parents[2]
ATTACKS = ("test_model_folders.py", "test_photographs.py")


def floors() -> list[str]:
    """`name==lowest version` of every dependency, those of the page included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [each.replace(">=", "==") for each in (*project["dependencies"], *project["optional-dependencies"]["demo"])]


def pip(*arguments) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_every_dependency_has_a_lowest_version():
    assert len(floors()) > 10 and all(each.count("==") == 1 for each in floors())


@pytest.mark.slow
def test_with_the_lowest_versions_no_code_runs_and_every_attack_is_refused(tmp_path):
    if pip("--dry-run", "--ignore-installed", "tqdm").returncode:
        pytest.skip("no package index can be reached")
    resolved = pip("--dry-run", "--ignore-installed", *floors())
    assert resolved.returncode == 0, resolved.stderr[-3000:]
    lowest = [each for each in floors() if not each.startswith("torch==")]
    installed = pip("--no-deps", "--target", str(tmp_path / "site"), *lowest)
    assert installed.returncode == 0, installed.stderr[-3000:]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), str(ROOT)])}
    code = "import diffusers, huggingface_hub, transformers; print(diffusers.__version__, transformers.__file__)"
    shown = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    wanted = next(each for each in lowest if each.startswith("diffusers")).removeprefix("diffusers==")
    assert shown.stdout.startswith(wanted) and str(tmp_path) in shown.stdout, shown.stdout + shown.stderr
    files = [f"tests/attacks/{name}" for name in ATTACKS]
    command = [sys.executable, "-m", "pytest", "-q", "-m", "not slow", "-p", "no:cacheprovider", *files]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-6000:]
    print(done.stdout[-300:])
