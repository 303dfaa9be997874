"""Public files of directions become edits, whatever they would like to do; those for another generator are refused."""

import pickle

import numpy as np
import pytest
import torch

from sfhub.convert.directions import load_clip_relevance, load_components, load_directions
from sfhub.editing.spaces import code_space
from sfhub.errors import InputError
from sfhub.models.stylegan2 import StyleGAN2Generator
from sfhub.steps.code import Code


class Space:
    """Of a generator of 512 dimensions in W and some layers."""

    z_dim = w_dim = 512

    def __init__(self, num_ws):
        self.num_ws, self.resolution, self.size = num_ws, 2 ** (num_ws // 2 + 1), num_ws * 512

    def moved(self, code, displacement):
        return Code(code.s, code.w_plus + displacement)


@pytest.mark.parametrize(("name", "factor", "space"), [("age", 3.0, "w"), ("pose", -2.0, "w"), ("smile", 1.5, "w")])
def test_published_directions_edit_as_they_did(fixtures_dir, name, factor, space):
    folder = fixtures_dir / "real"
    expected = np.load(folder / "expected.npz")
    (edit,) = load_directions(folder / "interfacegan_directions" / f"{name}.pt", Space(18))
    assert (edit.name, edit.space) == (name, space)
    code = Code(torch.zeros(1, 1), torch.from_numpy(expected["wplus"])[:1])
    edited = edit.apply(Space(18), code, factor).w_plus[:, :, ::4]
    torch.testing.assert_close(edited, torch.from_numpy(expected[f"interfacegan.{name}"]), atol=2e-6, rtol=2e-6)


@pytest.mark.parametrize("count", [14, 16, 18])
def test_directions_go_with_generators_of_fewer_layers(tmp_path, fixtures_dir, count):
    same = torch.randn(1, 1, 512, generator=torch.Generator().manual_seed(0)).expand(1, 18, 512).clone()
    torch.save(same, tmp_path / "same.pt")
    (edit,) = load_directions(tmp_path / "same.pt", Space(count), "mine")
    assert (edit.name, edit.space, tuple(edit.vector.shape)) == ("mine", "w", (512,))
    rows = torch.randn(18, 512, generator=torch.Generator().manual_seed(1))
    np.save(tmp_path / "rows.npy", rows.numpy())
    (edit,) = load_directions(tmp_path / "rows.npy", Space(count))
    assert torch.equal(edit.vector, rows[:count]) and edit.space == "w+"
    edits = load_directions(fixtures_dir / "real" / "ganspace_pca" / "ffhq_pca.pt", Space(count))
    assert len(edits) == 44


def test_several_directions_by_name_come_from_one_file(tmp_path):
    torch.save({"smile": torch.ones(1, 512), "pose": torch.ones(512)}, tmp_path / "file.pt")
    assert [edit.name for edit in load_directions(tmp_path / "file.pt", Space(18))] == ["smile", "pose"]


def test_files_for_another_generator_are_named(tmp_path, fixtures_dir, tiny_generator):
    space = code_space(tiny_generator)
    with pytest.raises(
        InputError, match=r"age.pt is for a generator whose w has 512 dimensions, but that of this one has 32"
    ):
        load_directions(fixtures_dir / "real" / "interfacegan_directions" / "age.pt", space)
    with pytest.raises(InputError, match=r"ffhq_pca.pt is for a generator whose w has 512"):
        load_directions(fixtures_dir / "real" / "ganspace_pca" / "ffhq_pca.pt", space)
    np.save(tmp_path / "rows.npy", np.random.RandomState(0).randn(14, 512))
    with pytest.raises(InputError, match="for a generator of 14 layers, but this one has 18"):
        load_directions(tmp_path / "rows.npy", Space(18))


def test_the_relevance_of_channels_to_clip_is_read_and_compared(tmp_path, tiny_generator):
    layout = tiny_generator.style_layout
    table = np.random.RandomState(0).randn(layout.conv_size, 8).astype(np.float32)
    np.save(tmp_path / "fs3.npy", table)
    assert torch.equal(load_clip_relevance(tmp_path / "fs3.npy", layout), torch.from_numpy(table))
    np.save(tmp_path / "fs3.npy", np.zeros((6048, 4), np.float32))
    with pytest.raises(InputError, match=r"of 6048 convolution channels \(one of 1024 pixels\), but this one has"):
        load_clip_relevance(tmp_path / "fs3.npy", layout)
    with torch.device("meta"):
        assert StyleGAN2Generator(resolution=1024).style_layout.conv_size == 6048


class Attack:
    def __reduce__(self):
        return (print, ("this must never run",))


def test_nothing_that_a_file_carries_is_run(tmp_path, capsys):
    (tmp_path / "a.pt").write_bytes(pickle.dumps(Attack()))
    np.save(tmp_path / "b.npy", np.array([Attack()], dtype=object), allow_pickle=True)
    huge = (
        b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 512), }".ljust(127)
        + b"\n"
    )
    (tmp_path / "c.npy").write_bytes(huge)
    (tmp_path / "d.npy").write_bytes(b"\x93NUMPY\x01\x00")
    for name in "a.pt", "b.npy", "c.npy", "d.npy":
        with pytest.raises(InputError, match=f"{name} was not opened because"):
            load_directions(tmp_path / name, Space(18))
    assert capsys.readouterr().out == ""


def test_what_holds_no_directions_is_refused(tmp_path):
    for value in ({}, {"smile": "much"}, [1, 2]):
        torch.save(value, tmp_path / "a.pt")
        with pytest.raises(InputError, match=r"a.pt holds no edit directions"):
            load_directions(tmp_path / "a.pt", Space(18))
    torch.save(torch.full((1, 512), float("nan")), tmp_path / "a.pt")
    with pytest.raises(InputError, match="has shape"):
        load_directions(tmp_path / "a.pt", Space(18))
    with pytest.raises(InputError, match="cannot be read"):
        load_directions(tmp_path / "missing.pt", Space(18))
    torch.save(torch.zeros(1, 512), tmp_path / "a.pt")
    with pytest.raises(InputError, match="holds no components"):
        load_components(tmp_path / "a.pt")
    torch.save({"mean": torch.zeros(512), "comp": torch.zeros(3, 1, 500), "std": torch.ones(3)}, tmp_path / "b.pt")
    with pytest.raises(InputError, match="do not fit together"):
        load_components(tmp_path / "b.pt")
