"""No hostile file runs anything, exhausts memory or the stack, or ends in another error than one sentence."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
SAMPLES = HERE.parents[2] / "shared" / "fixtures" / "stylegan2_nvidia"
spec = importlib.util.spec_from_file_location("convert_attacks", HERE / "attacks.py")
attacks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(attacks)
MAX_GROWTH_MIB = 450
NAMES = {attack.name: attack for attack in attacks.attacks(SAMPLES)}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """What happened when one process, limited in memory, opened all of them."""
    folder = tmp_path_factory.mktemp("attacks")
    work = folder / "work"
    work.mkdir()
    command = [sys.executable, attacks.__file__, str(SAMPLES), str(folder / "results.json")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads((folder / "results.json").read_text())


@pytest.mark.parametrize("name", NAMES)
def test_an_attack_is_refused_with_one_sentence_and_leaves_nothing(name, outcomes):
    outcome = outcomes[name]
    assert outcome["error"] == "InputError", outcome
    assert NAMES[name].reason in outcome["message"]
    assert outcome["cause"] == "None", "it was stopped by accident and not by a check"
    assert outcome["message"].endswith(".") and "\n" not in outcome["message"] and len(outcome["message"]) < 400
    assert outcome["left"] == []


def test_memory_stays_bounded(outcomes):
    growth = {name: outcome["growth_mib"] for name, outcome in outcomes.items()}
    assert sum(growth.values()) < MAX_GROWTH_MIB, sorted(growth.items(), key=lambda item: -item[1])[:5]


def test_the_payload_would_work_in_an_ordinary_unpickler(tmp_path):
    """Otherwise the tests above could pass for the wrong reason."""
    file = tmp_path / "attack.pkl"
    file.write_bytes(attacks.pickled(attacks.MKDIR))
    code = "import pickle, sys; pickle.load(open(sys.argv[1], 'rb'))"
    subprocess.run([sys.executable, "-c", code, str(file)], cwd=tmp_path, check=True)
    assert (tmp_path / attacks.SENTINEL).is_dir()
