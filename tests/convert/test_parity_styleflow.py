"""StyleFlow against the recorded behaviour of the official code."""

import numpy as np
import pytest
import torch

from sfhub.convert import convert, convert_with_report
from sfhub.errors import InputError
from sfhub.models.style_flow import StyleFlow

TOLERANCE = 3e-4  # that of the recorded solver, see the fixture's manifest


@pytest.fixture(scope="module")
def recorded(fixtures_dir, fill, tmp_path_factory):
    folder, out = fixtures_dir / "styleflow", tmp_path_factory.mktemp("flow")
    manifest = fill.load_manifest(folder / "manifest.json")
    torch.save(fill.network_state(manifest, "flow"), out / "modellarge10k.pt")
    network = StyleFlow.from_pretrained(convert(out / "modellarge10k.pt", out / "converted"))
    arrays = np.load(folder / "expected.npz")
    return network.requires_grad_(False), {key: torch.from_numpy(arrays[key]) for key in arrays}


def far(got, expected):
    return float((got - expected).abs().max() / expected.abs().max())


def test_a_code_flows_to_noise_and_back(recorded):
    flow, expected = recorded
    source = expected["source"].flatten(1)
    assert far(flow(expected["wplus"], source), expected["z.exact"]) < TOLERANCE
    assert far(flow.reverse(expected["z.exact"], source), expected["roundtrip.exact"]) < TOLERANCE


def test_other_attributes_give_the_edited_code(recorded):
    flow, expected = recorded
    got = flow.reverse(expected["z.exact"], expected["target"].flatten(1))
    assert far(got, expected["edited.exact"]) < TOLERANCE


def test_each_code_of_a_batch_has_its_own_attributes(recorded):
    flow, expected = recorded
    assert far(flow(expected["w"], expected["w_context"]), expected["w_z.exact"]) < TOLERANCE
    assert far(flow.reverse(expected["w"], expected["w_context"]), expected["w_back.exact"]) < TOLERANCE


def test_the_official_attributes_have_names(recorded):
    flow, _ = recorded
    assert len(flow.config.attributes) == 17
    assert flow.config.attributes[9:12] == ["gender", "glasses", "yaw"]


def test_what_does_not_fit_is_named(recorded, tmp_path):
    flow, expected = recorded
    with pytest.raises(InputError, match="does not fit this flow"):
        flow(torch.zeros(1, 18, 256), torch.zeros(1, 17))
    with pytest.raises(InputError, match=r"takes \[2, 17\]"):
        flow(expected["w"], torch.zeros(1, 17))
    torch.save({"chain.1.odefunc.diffeq.layers.0._hyper_gate.weight": torch.zeros(4, 3)}, tmp_path / "cut.pt")
    with pytest.raises(InputError, match=r"cut\.pt"):
        convert_with_report(tmp_path / "cut.pt", tmp_path / "out")
