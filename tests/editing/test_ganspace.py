"""Components and the three rules of editing are the published ones; the named edits go to their targets."""

import json

import numpy as np
import pytest
import torch

from sfhub.convert.directions import load_components
from sfhub.editing.edits import Direction
from sfhub.editing.ganspace import (
    FFHQ_EDITS,
    Components,
    centred,
    component_edit,
    ffhq_edits,
    offset,
    principal_components,
    toward,
)
from sfhub.errors import InputError
from sfhub.steps.code import Code

RULES = {"offset", "centred", "target"}


@pytest.fixture(scope="module")
def expected(fixtures_dir):
    return {
        name: torch.from_numpy(value) for name, value in np.load(fixtures_dir / "ganspace" / "expected.npz").items()
    }


@pytest.fixture(scope="module")
def manifest(fixtures_dir):
    return json.loads((fixtures_dir / "ganspace" / "manifest.json").read_text())


@pytest.fixture(scope="module")
def samples(fill, manifest, expected):
    drawn = {name: np.asarray(fill.seeded_input(manifest, name)) for name in manifest["seeded_inputs"]}
    scales = manifest["decay"] ** np.arange(64)
    w = (drawn["samples.n"] * scales).astype(np.float32) @ drawn["samples.mix"] + expected["offset"].numpy()
    w = torch.from_numpy(w.astype(np.float32))
    torch.testing.assert_close(w[:3], expected["samples"], atol=1e-5, rtol=1e-5)
    return w


@pytest.mark.parametrize(("kind", "batch"), [("pca", None), ("ipca", 2000)])
def test_components_are_the_published_ones(expected, manifest, samples, kind, batch):
    found = principal_components(samples, manifest["n_components"], batch_size=batch)
    torch.testing.assert_close(found.mean, expected[f"{kind}.mean"], atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(found.std, expected[f"{kind}.stdev"], atol=2e-5, rtol=1e-4)
    cosines = (found.vectors * expected[f"{kind}.comp"]).sum(dim=1).abs()
    assert cosines.min() > 1 - 1e-4


def test_the_three_rules_are_the_published_ones(expected, manifest):
    mean, vectors = expected["ipca.mean"], expected["ipca.comp"]
    seen = set()
    for name, edit in manifest["edits"].items():
        vector, layers = vectors[edit["component"]], range(edit["start"], edit["end"])
        w_plus = expected["w"][:, None].repeat(1, 10, 1)
        if edit["rule"] == "offset":
            found = offset(w_plus, vector, expected["lat_stdev"][edit["component"]], layers, edit["sigma"])
        elif edit["rule"] == "centred":
            found = centred(w_plus, vector, mean, expected["lat_stdev"][edit["component"]], layers, edit["sigma"])
        else:
            std = expected["ipca.stdev"][edit["component"]]
            found = toward(expected["wplus"], vector, mean, std, layers, edit["strength"])
        torch.testing.assert_close(found, expected[f"edit.{name}"], atol=2e-5, rtol=2e-5)
        seen.add(edit["rule"])
    assert seen == RULES


class FakeSpace:
    """W+ of 18 vectors of 512 dimensions and nothing else."""

    z_dim, w_dim, num_ws, size, resolution = 512, 512, 18, 18 * 512, 1024

    def w_plus(self, code):
        return code.w_plus

    def moved(self, code, displacement):
        return Code(code.s, code.w_plus + displacement)


def test_published_edits_of_real_components_are_those_of_encoder4editing(fixtures_dir):
    folder = fixtures_dir / "real"
    expected = np.load(folder / "expected.npz")
    components = load_components(folder / "ganspace_pca" / "ffhq_pca.pt")
    w_plus, wanted = (torch.from_numpy(expected[name]) for name in ("wplus", "ganspace"))
    rows = json.loads((folder / "manifest.json").read_text())["ganspace_directions"]
    found = []
    for one in w_plus.split(1):  # latent-major
        for component, start, end, strength in rows:
            vector, std = components.vectors[component], components.std[component]
            found.append(toward(one, vector, components.mean, std, range(start, end), strength))
    torch.testing.assert_close(torch.cat(found), wanted, atol=2e-5, rtol=2e-5)
    # The edits of this package arrive at the same place at strength 1, and half way at a half.
    edits = {edit.name: edit for edit in ffhq_edits(components, 18)}
    codes = [Code(torch.zeros(1, 1), one) for one in w_plus.split(1)]
    for row, name in ((0, "eye openness"), (1, "smile")):
        assert rows[row][:3] == [edits[name].about["component"], edits[name].layers[0], edits[name].layers[-1] + 1]
        for n, code in enumerate(codes):
            there = edits[name].apply(FakeSpace(), code, 1.0).w_plus
            torch.testing.assert_close(there[0], wanted[3 * n + row], atol=2e-4, rtol=1e-4)
            half = edits[name].apply(FakeSpace(), code, 0.5).w_plus
            torch.testing.assert_close(half, (there + code.w_plus) / 2, atol=2e-4, rtol=1e-4)


def test_the_44_official_edits_are_there():
    assert len(FFHQ_EDITS) == len({edit.name for edit in FFHQ_EDITS}) == 44
    named = {edit.name: (edit.component, edit.start, edit.stop, edit.target) for edit in FFHQ_EDITS}
    assert named["fearful eyes"] == (54, 4, 10, 20)
    assert named["hair albedo"] == (16, 8, 9, -10.2)
    assert named["smile"] == (46, 4, 5, -20)
    assert named["white hair"] == (57, 7, 10, -24)
    components = Components(torch.zeros(512), torch.eye(512)[:80], torch.ones(80))
    for_256 = list(ffhq_edits(components, 14))
    assert len(for_256) == 44 and all(isinstance(edit, Direction) and max(edit.layers) < 14 for edit in for_256)
    with pytest.raises(InputError, match=r"moves component 54 .* there are 20 components"):
        component_edit(Components(torch.zeros(512), torch.eye(512)[:20], torch.ones(20)), FFHQ_EDITS[16], 18)


def test_more_components_than_codes_are_refused():
    with pytest.raises(InputError, match="5 components of 4 codes of 8 dimensions cannot be found"):
        principal_components(torch.zeros(4, 8), 5)
