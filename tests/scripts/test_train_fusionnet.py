"""The one command that trains StyleFusion: a whole model comes out, which opens, mixes and goes on where it stopped."""

import pytest
import torch
from safetensors.torch import load_file

from scripts import train_fusionnet
from sfhub import open_pipeline
from sfhub.errors import InputError

FEW = ["stage_steps=[1,1,1]", "code_batch_size=2", "batch_size=1", "relevance=influence", "layout_weight=[0,0,0]"]


def train(out, **changes):
    arguments = {"model": "portraits", "generator": None, "catalog": None, "parser": None, "clusters": False}
    arguments |= {"tree": "portraits", "preset": "portraits", "ablation": None, "set_": FEW, "mixed_precision": "no"}
    train_fusionnet.main(out, **arguments | changes)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fusion")
    train(folder)
    return folder


def test_the_trained_hierarchy_opens_as_a_whole_model_and_mixes(out):
    pipe = open_pipeline(out / "model")
    weights = load_file(out / "hierarchy" / "diffusion_pytorch_model.safetensors")
    opened = pipe.fusion.state_dict()
    assert weights and all(torch.equal(opened[name], value) for name, value in weights.items())
    base, other = pipe.sample([1, 2])
    assert pipe(base, regions={"hair": other}, layout=other).image.size == (128, 128)


def test_the_command_given_again_goes_on_and_other_settings_are_refused(out):
    train(out)
    with pytest.raises(InputError, match="another batch_size"):
        train(out, set_=[*FEW, "batch_size=2"])


def test_an_unknown_preset_ablation_or_setting_is_refused_in_one_sentence(tmp_path):
    for changes, message in (
        ({"preset": "fast"}, "no preset 'fast'"),
        ({"ablation": "no-stage-4"}, "no ablation 'no-stage-4'"),
        ({"set_": ["speed=9"]}, "no setting 'speed'"),
    ):
        with pytest.raises(InputError, match=message):
            train(tmp_path, **changes)
