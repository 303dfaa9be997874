"""A save that is killed anywhere leaves the old model or the new one, and the next run clears away what it left."""

import os
import resource
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sfhub.convert import saving
from sfhub.errors import InputError
from sfhub.files import replace_folder, write_atomically
from sfhub.models.stylegan2 import StyleGAN2Generator
from sfhub.pipelines.stylegan import StyleGANPipeline
from sfhub.training.checkpoint import save_checkpoint

CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "shutil.rmtree", "os.truncate"}
DONE, KILLED, FAILED = 0, 9, 1

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are killed by POSIX means")


def killed_at(step: int, action: Callable[[], object]) -> int:
    """Do something in a process that ends, as if killed, right before its `step`-th change on the disk."""
    child = os.fork()
    if child == 0:
        count = 0

        def watch(event: str, arguments: tuple) -> None:
            nonlocal count
            writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wxa+")
            if event in CHANGES or writes:
                count += 1
                if count == step:
                    os._exit(KILLED)

        sys.addaudithook(watch)
        try:
            action()
        except BaseException:
            os._exit(FAILED)
        os._exit(DONE)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def points(action: Callable[[], object], prepare: Callable[[], object]):
    """Every point at which a save can be killed, one after the other; the folder is prepared anew for each."""
    for step in range(1, 200):
        prepare()
        status = killed_at(step, action)
        assert status != FAILED
        if status == DONE:
            assert step > 10
            return
        yield step
    pytest.fail("the save does not end")


def generator(seed: int, clamp: float) -> StyleGAN2Generator:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return StyleGAN2Generator(
            resolution=8, z_dim=4, w_dim=4, num_mapping_layers=1, channels={"4": 4, "8": 4}, conv_clamp=clamp
        ).eval()


def what_is_there(network: StyleGAN2Generator) -> tuple[float, float]:
    """What tells the old model from the new one: of its configuration and of its weights."""
    return network.config.conv_clamp, network.const.sum().item()


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.name.startswith(".") or path.name.endswith(".partial")]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "model"


def emptied(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def test_a_pipeline_that_is_killed_while_it_is_saved_is_never_mixed(folder, tmp_path):
    old, new = (StyleGANPipeline(generator(seed, clamp)) for seed, clamp in ((0, 128.0), (1, 256.0)))
    wanted = {what_is_there(each.generator) for each in (old, new)}
    found = set()

    def prepare():
        emptied(folder)
        old.save_pretrained(folder)
        (folder / "notes.txt").write_text("mine")

    for step in points(lambda: new.save_pretrained(folder), prepare):
        here = what_is_there(StyleGANPipeline.from_pretrained(folder).generator)
        assert here in wanted, f"killed at {step}"
        found.add(here)
        new.save_pretrained(folder)
        assert what_is_there(StyleGANPipeline.from_pretrained(folder).generator) == what_is_there(new.generator)
        assert leftovers(folder) == [] and (folder / "notes.txt").read_text() == "mine"
    assert found == wanted


def test_a_conversion_that_is_killed_is_never_mixed_even_for_diffusers_itself(folder):
    old, new = generator(0, 128.0), generator(1, 256.0)
    wanted = {what_is_there(old), what_is_there(new)}

    def prepare():
        emptied(folder)
        saving.save({"": old, "discriminator": old}, folder)

    for step in points(lambda: saving.save({"": new}, folder), prepare):
        try:
            plain = what_is_there(StyleGAN2Generator.from_pretrained(folder))
        except (OSError, ValueError):
            plain = None
        assert plain in (None, *wanted), f"killed at {step}"
        assert what_is_there(StyleGANPipeline.from_pretrained(folder).generator) in wanted
        saving.save({"": new}, folder)
        assert what_is_there(StyleGAN2Generator.from_pretrained(folder)) == what_is_there(new)
        assert leftovers(folder) == [] and not (folder / "discriminator").exists()


@pytest.mark.slow
def test_a_first_save_that_is_killed_is_no_model_or_a_whole_one(folder):
    new = StyleGANPipeline(generator(1, 256.0))
    for _ in points(lambda: new.save_pretrained(folder), lambda: emptied(folder)):
        try:
            assert what_is_there(StyleGANPipeline.from_pretrained(folder).generator) == what_is_there(new.generator)
        except InputError as error:
            assert "has neither model_index.json" in str(error) or "is neither a folder" in str(error)
        new.save_pretrained(folder)
        assert leftovers(folder) == []


@pytest.mark.slow
def test_finishing_a_save_may_be_killed_as_well(folder):
    old, new = (StyleGANPipeline(generator(seed, clamp)) for seed, clamp in ((0, 128.0), (1, 256.0)))
    commit = None
    for step in range(1, 200):
        emptied(folder)
        old.save_pretrained(folder)
        if killed_at(step, lambda: new.save_pretrained(folder)) == KILLED and any(folder.glob(".saved-*")):
            commit = step
            break
    for second in range(1, 50):
        emptied(folder)
        old.save_pretrained(folder)
        assert killed_at(commit, lambda: new.save_pretrained(folder)) == KILLED
        status = killed_at(second, lambda: StyleGANPipeline.from_pretrained(folder))
        assert what_is_there(StyleGANPipeline.from_pretrained(folder).generator) == what_is_there(new.generator)
        if status == DONE:
            break
    assert second > 3


def test_a_model_that_is_being_saved_can_be_opened(folder):
    old, new = (StyleGANPipeline(generator(seed, clamp)) for seed, clamp in ((0, 128.0), (1, 256.0)))
    old.save_pretrained(folder)
    with replace_folder(folder) as work:
        assert what_is_there(StyleGANPipeline.from_pretrained(folder).generator) == what_is_there(old.generator)
        (work / "x").write_text("")
        assert work.is_dir()
    assert leftovers(folder) == [] and what_is_there(new.generator) != what_is_there(old.generator)


def test_a_save_that_cannot_be_finished_is_one_sentence(folder, monkeypatch):
    old, new = (StyleGANPipeline(generator(seed, clamp)) for seed, clamp in ((0, 128.0), (1, 256.0)))
    for step in range(1, 200):
        emptied(folder)
        old.save_pretrained(folder)
        killed_at(step, lambda: new.save_pretrained(folder))
        if any(folder.glob(".saved-*")):
            break
    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", lambda *paths: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
        with pytest.raises(
            InputError, match=r"was cut off and cannot be finished .* open the model once from an account"
        ):
            StyleGANPipeline.from_pretrained(folder)
    assert what_is_there(StyleGANPipeline.from_pretrained(folder).generator) == what_is_there(new.generator)


def test_a_file_that_is_killed_while_it_is_written_is_the_old_or_the_new_one(tmp_path):
    path = tmp_path / "face.png"
    for step in range(1, 10):
        path.write_bytes(b"old")
        status = killed_at(step, lambda: write_atomically(path, b"new"))
        assert path.read_bytes() in (b"old", b"new")
        write_atomically(path, b"newer")
        assert [each.name for each in tmp_path.iterdir()] == ["face.png"]
        if status == DONE:
            break
    assert step > 2


def test_a_full_disk_while_a_checkpoint_is_saved_is_one_sentence_and_leaves_the_old_one(tmp_path):
    path, network = tmp_path / "checkpoint.safetensors", torch.nn.Linear(100, 100)
    save_checkpoint(path, {"G": network}, {}, {"step": 1})
    before, hard = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard[1]))
    try:
        with pytest.raises(InputError, match=r"could not be written .* and is as it was; make room"):
            save_checkpoint(path, {"G": network}, {}, {"step": 2})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, hard)
    assert path.read_bytes() == before and leftovers(tmp_path) == []
