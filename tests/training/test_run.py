"""What surrounds the trainings: all of them go on bit for bit where they were, whenever they were killed."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from sfhub.errors import InputError
from sfhub.models.stylegan2 import StyleGAN2Generator
from sfhub.training.checkpoint import read_checkpoint
from sfhub.training.data import PairedPortraits
from sfhub.training.guided import train_guided
from sfhub.training.run import Run, step_generator
from tests.training import test_fusion, test_guided, test_semantic_stylegan, test_stylegan2_training

ROOT = Path(__file__).resolve().parents[2]


class Killed(BaseException):
    pass


def kill(*_):
    raise Killed


def guided(out, dataset):
    config = replace(test_guided.TINY, images=32, batch_size=4, save_images=16)
    return train_guided(config, dataset, out, accelerator=Accelerator(cpu=True))


def semantic(out, dataset):
    return test_semantic_stylegan.train(out, 32, replace(test_semantic_stylegan.GUIDED, save_images=12), dataset)


def stylegan2(out, dataset):
    return test_stylegan2_training.train(out, 32, ada_target=0.3, save_images=12)


def fusion(out, dataset):
    return test_fusion.train(out, replace(test_fusion.TINY, save_steps=5))


TRAININGS = {
    "guided": (guided, 32),
    "semantic": (semantic, 16),
    "stylegan2": (stylegan2, None),
    "fusion": (fusion, None),
}


@pytest.mark.parametrize("name", TRAININGS)
def test_every_training_goes_on_to_the_same_weights_and_log_wherever_a_step_was_cut_short(name, tmp_path, monkeypatch):
    train, resolution = TRAININGS[name]
    dataset = resolution and PairedPortraits(24, resolution, seed=1, cache_dir=tmp_path)
    whole = train(tmp_path / "whole", dataset)
    out, advance = tmp_path / "cut", Run.advance
    for steps in (3, 2, 2):  # before the first checkpoint, then without getting from one to the next at first
        left = [steps]

        def cut(self, left=left):
            left[0] -= 1
            return advance(self) if left[0] >= 0 else kill()

        monkeypatch.setattr(Run, "advance", cut)
        with pytest.raises(Killed):
            train(out, dataset)
        monkeypatch.undo()
    resumed = train(out, dataset)
    for key, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key]), key
    states = [read_checkpoint(folder / "checkpoint.safetensors") for folder in (out, tmp_path / "whole")]
    assert states[0][1] == states[1][1]
    assert all(torch.equal(value, states[1][0][key]) for key, value in states[0][0].items())
    counters = [
        [(record.get("images"), record.get("step")) for record in map(json.loads, path.read_text().splitlines())]
        for path in (out / "log.jsonl", tmp_path / "whole" / "log.jsonl")
    ]
    assert counters[0] == counters[1]


KILLED_EVERYWHERE = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import torch
torch.set_num_threads(1)
from tests.training.test_run import drift

out = Path(sys.argv[2])
EVENTS = ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir")


def train(folder, kill_at):
    '''In a process of its own, which kills itself before it touches files in the folder for the n-th time.'''
    child = os.fork()
    if child == 0:
        left = [kill_at]

        def watch(event, arguments):
            if event in EVENTS and str(folder) in str(arguments[0]):
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watch)
        try:
            drift(folder)
        finally:
            os._exit(0 if sys.exc_info()[0] is None else 1)
    return os.waitpid(child, 0)[1]


def files(folder):
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


assert train(out / "whole", 0) == 0
whole = files(out / "whole")
kill_at = survived = 0
while not survived:
    kill_at += 1
    folder = out / str(kill_at)
    survived = os.WIFEXITED(status := train(folder, kill_at))
    assert survived or os.WTERMSIG(status) == signal.SIGKILL
    assert train(folder, 0) == 0
    found = files(folder)
    assert found.keys() == whole.keys(), (kill_at, set(found) ^ set(whole))
    different = [name for name in whole if found[name] != whole[name]]
    assert not different, (kill_at, different)
print(kill_at)
"""


def drift(out):
    """A training of a real generator in which every step moves the weights at random, saved after every second step."""
    torch.manual_seed(0)
    G = StyleGAN2Generator(resolution=8, z_dim=8, w_dim=8, num_mapping_layers=1, channels={"4": 8, "8": 8})
    run = Run(
        out,
        Accelerator(cpu=True),
        modules={"generator": G},
        optimizers={},
        length=4,
        counter="step",
        write_results=lambda folder, state: G.save_pretrained(folder / "ema"),
    )
    run.restore()
    while not run.is_done:
        noise = step_generator(0, run.step, 0, torch.device("cpu"))
        with torch.no_grad():
            for parameter in G.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=noise))
        run.note(loss=G.const.mean())
        run.advance()
        run.log()
        if run.reaches(2):
            run.save()
    run.close()


def test_a_training_killed_before_any_of_its_file_operations_ends_with_the_same_files(tmp_path):
    command = [sys.executable, "-c", KILLED_EVERYWHERE, str(ROOT), str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout.split()[-1]) > 20


def damage(path):
    path.write_bytes(path.read_bytes()[:1000])


@pytest.mark.parametrize("harm", [damage, Path.unlink])
@pytest.mark.parametrize("file", ["config.json", "diffusion_pytorch_model.safetensors"])
def test_a_finished_training_given_again_mends_its_result(tmp_path, harm, file):
    train = test_stylegan2_training.train
    ema = train(tmp_path, 8)
    whole = {path: path.read_bytes() for path in (tmp_path / "ema").iterdir()}
    harm(tmp_path / "ema" / file)
    (tmp_path / "results.partial" / "ema").mkdir(parents=True)
    (tmp_path / "results.partial" / "left.txt").touch()
    again = train(tmp_path, 8)
    assert {path: path.read_bytes() for path in (tmp_path / "ema").iterdir()} == whole
    loaded = StyleGAN2Generator.from_pretrained(tmp_path / "ema")
    for network in (again, loaded):
        assert all(torch.equal(value, ema.state_dict()[key]) for key, value in network.state_dict().items())
    assert not (tmp_path / "results.partial").exists() and not (tmp_path / "left.txt").exists()


def test_what_is_whole_is_not_written_again(tmp_path):
    train = test_stylegan2_training.train
    train(tmp_path, 8)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    del before[tmp_path / "log.jsonl"]
    train(tmp_path, 8)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_the_start_is_no_longer_needed_once_a_training_is_under_way(tmp_path):
    config = replace(test_guided.TINY, images=16, save_images=8, batch_size=4)
    pairs = PairedPortraits(24, 32, seed=1, cache_dir=tmp_path)
    train_guided(config, pairs, tmp_path / "start", accelerator=Accelerator(cpu=True))
    start = tmp_path / "start" / "checkpoint.safetensors"
    out = tmp_path / "out"
    train_guided(config, pairs, out, accelerator=Accelerator(cpu=True), init_from=start)
    start.unlink()
    longer = replace(config, images=20)
    train_guided(longer, pairs, out, accelerator=Accelerator(cpu=True), init_from=start)
    with pytest.raises(InputError, match="no complete training checkpoint"):
        train_guided(longer, pairs, tmp_path / "new", accelerator=Accelerator(cpu=True), init_from=start)


def small_run(out, **options):
    network = nn.Linear(2, 2)
    optimizer = torch.optim.Adam(network.parameters())
    options = {"length": 100, "per_step": 8, "write_results": lambda folder, state: None} | options
    modules = {"modules": {"network": network}, "optimizers": {"optimizer": optimizer}}
    return Run(out, Accelerator(cpu=True), **modules, **options)


def test_steps_reach_every_multiple_of_an_interval_once_and_the_end(tmp_path):
    run = small_run(tmp_path)
    assert run.restore() == {} and run.total_steps == 13
    reached = []
    while not run.is_done:
        run.advance()
        if run.reaches(30):
            reached.append(run.count)
    assert reached == [32, 64, 96, 104] and run.share == 1
    run.close()


def test_the_log_holds_means_since_the_last_record_and_is_cut_back_to_the_checkpoint(tmp_path):
    seen = []
    run = small_run(tmp_path, callback=seen.append)
    run.restore()
    for value in (1.0, 3.0):
        run.note(loss=torch.tensor(value))
        run.advance()
    run.log({"p": 0.5})
    run.save({"path_mean": 2.0})
    run.note(loss=torch.tensor(7.0))
    run.advance()
    run.log()
    assert seen == [{"images": 16, "p": 0.5, "loss": 2.0}, {"images": 24, "loss": 7.0}]
    with open(tmp_path / "log.jsonl", "a") as log:
        log.write('{"images": 3')  # cut off while it was written
    again = small_run(tmp_path)
    assert again.restore() == {"images": 16, "path_mean": 2.0}
    assert again.step == 2
    assert [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()] == seen[:1]
    (tmp_path / "checkpoint.safetensors").unlink()
    small_run(tmp_path).restore()
    assert (tmp_path / "log.jsonl").read_text() == ""


def test_the_average_follows_with_the_half_life_that_was_asked_for(tmp_path):
    run = small_run(tmp_path, length=10_000)
    run.restore()
    average, network = nn.Linear(1, 1), nn.Linear(1, 1)
    nn.init.ones_(average.weight)
    nn.init.zeros_(network.weight)
    run.step = 500  # 4000 images, of which a twentieth is more than the half-life
    for _ in range(8):
        run.update_average(average, network, half_life=64)
    assert average.weight.item() == pytest.approx(0.5)
    run.step = 0
    run.update_average(average, network, half_life=64)
    assert average.weight.item() == pytest.approx(0)
