"""Honest files open to exactly what was saved, in every format that people find them in."""

import argparse
import collections
import io
import pickle

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sfhub.convert import safe_load
from sfhub.errors import InputError


def same(got, expected):
    """Equality of nested data with tensors and arrays in it."""
    if isinstance(expected, torch.Tensor):
        return got.dtype == expected.dtype and torch.equal(got, expected)
    if isinstance(expected, np.ndarray):
        return got.dtype == expected.dtype and np.array_equal(got, expected)
    if isinstance(expected, dict):
        return got.keys() == expected.keys() and all(same(got[key], expected[key]) for key in expected)
    if isinstance(expected, (list, tuple)):
        return type(got) is type(expected) and len(got) == len(expected) and all(map(same, got, expected))
    return type(got) is type(expected) and got == expected


def checkpoint():
    """What training scripts save: networks, an optimiser, arguments, counters."""
    layer = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    optimiser = torch.optim.Adam(layer.parameters())
    layer(torch.randn(5, 3)).sum().backward()
    optimiser.step()
    base = torch.arange(24.0).reshape(4, 6)
    return {
        "g_ema": layer.state_dict(),
        "optimiser": optimiser.state_dict(),
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "view": base[1:3, ::2].T,
        "same storage": base,
        "empty": torch.zeros(0, 3),
        "scalar": torch.tensor(7.0, dtype=torch.float64),
        "types": [torch.ones(3, dtype=dtype) for dtype in (torch.float16, torch.bfloat16, torch.int64, torch.bool)],
        "args": argparse.Namespace(size=64, lr=2e-3, path="here", device=torch.device("cuda:0")),
        "shape": torch.Size([2, 3]),
        "dtype": torch.float32,
        "numbers": (1, -5, 2**40, 1.5, True, None, "text", b"bytes", {1, 2}),
        "ordered": collections.OrderedDict(a=1),
        "by number": {0: "zero", 1: "one"},
        "numpy": np.arange(6.0).reshape(2, 3),
        "numpy scalar": np.float64(0.25),
    }


def plain(value):
    """What `safe_load` makes of the classes that it does not keep."""
    if isinstance(value, argparse.Namespace):
        return {key: plain(entry) for key, entry in vars(value).items()}
    if isinstance(value, torch.Tensor):
        return value.detach()
    if isinstance(value, torch.Size):
        return tuple(value)
    if isinstance(value, torch.device):
        return str(value).partition(":")[0]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(plain, value))
    return value


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_training_checkpoint_opens_as_it_was_saved(tmp_path, zipped, protocol):
    value = checkpoint()
    torch.save(value, tmp_path / "file.pt", _use_new_zipfile_serialization=zipped, pickle_protocol=protocol)
    assert same(safe_load(tmp_path / "file.pt"), plain(value))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_plain_pickle_with_tensors_opens_as_it_was_saved(tmp_path, protocol):
    value = checkpoint()
    (tmp_path / "file.pkl").write_bytes(pickle.dumps(value, protocol))
    assert same(safe_load(tmp_path / "file.pkl"), plain(value))


def test_safetensors_open_too(tmp_path):
    value = {"a": torch.arange(3.0), "b": torch.ones(2, 2, dtype=torch.float16)}
    safetensors.torch.save_file(value, tmp_path / "file.safetensors")
    assert same(safe_load(tmp_path / "file.safetensors"), value)


def test_big_endian_arrays_keep_their_values(tmp_path):
    value = {"a": np.arange(5, dtype=">f4"), "b": np.asfortranarray(np.arange(6, dtype="<i8").reshape(2, 3))}
    (tmp_path / "file.pkl").write_bytes(pickle.dumps(value, 4))
    assert same(safe_load(tmp_path / "file.pkl"), value)


@pytest.mark.parametrize("name", ["missing.pt", "."])
def test_what_is_no_file_is_an_input_error(tmp_path, name):
    with pytest.raises(InputError, match=r"cannot be read|is a folder"):
        safe_load(tmp_path / name)


def small_files():
    """One small honest file of each pickle format."""
    value = {
        "g_ema": {"style.1.weight": torch.ones(2, 2)},
        "args": argparse.Namespace(size=8),
        "mean": np.float64(1.0),
        "array": np.arange(3.0),
        "list": [1, (2, "x"), {3}],
    }
    files = [pickle.dumps(value, 4)]
    for zipped in (True, False):
        file = io.BytesIO()
        torch.save(value, file, _use_new_zipfile_serialization=zipped)
        files.append(file.getvalue())
    return files


FILES = small_files()


@st.composite
def damaged(draw):
    """An honest file, cut short, with some bytes changed, removed or put in elsewhere."""
    data = bytearray(draw(st.sampled_from(FILES)))
    for _ in range(draw(st.integers(0, 6))):
        place = draw(st.integers(0, len(data)))
        kind = draw(st.sampled_from(["change", "remove", "insert", "copy"]))
        if kind == "change" and place < len(data):
            data[place] = draw(st.integers(0, 255))
        elif kind == "remove":
            del data[place : place + draw(st.integers(1, 8))]
        elif kind == "insert":
            data[place:place] = draw(st.binary(max_size=8))
        else:
            start = draw(st.integers(0, len(data)))
            data[place:place] = data[start : start + draw(st.integers(1, 64))]
    return bytes(data[: draw(st.integers(0, len(data)))]) if draw(st.booleans()) else bytes(data)


def open_or_refuse(path, data):
    """Open a file; anything but success or a deliberate, one-sentence refusal fails the test."""
    path.write_bytes(data)
    try:
        safe_load(path)
    except InputError as error:
        message = str(error)
        assert message.endswith(".") and "\n" not in message and len(message) < 400
        assert error.__cause__ is None, f"stopped by accident and not by a check: {error.__cause__!r}"


FUZZ = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(data=damaged())
def test_a_damaged_file_opens_or_is_refused(tmp_path, data):
    open_or_refuse(tmp_path / "file.pt", data)


OPCODES = b"()]}N\x88\x89.atesuq\x00\x94h\x00\x85\x86\x87\x8f\x90\x91Rb\x81\x93Q\x92K\x01"
GLOBALS = (
    b"ccollections\nOrderedDict\n",
    b"cargparse\nNamespace\n",
    b"ctorch._utils\n_rebuild_tensor_v2\n",
    b"ctorch.storage\n_load_from_bytes\n",
    b"ctorch\nFloatStorage\n",
    b"ctorch\nSize\n",
    b"cnumpy\ndtype\n",
    b"cnumpy.core.multiarray\nscalar\n",
    b"cnumpy.core.multiarray\n_reconstruct\n",
    b"ctorch_utils.persistence\n_reconstruct_persistent_obj\n",
    b"c_codecs\nencode\n",
    b"cbuiltins\nset\n",
)
WORDS = [bytes([code]) for code in OPCODES] + [b"U\x01a", b"C\x04abcd", b"K\x05", b"h\x01", b"q\x01", *GLOBALS]


@FUZZ
@given(words=st.lists(st.sampled_from(WORDS), max_size=60))
def test_any_program_of_allowed_opcodes_opens_or_is_refused(tmp_path, words):
    open_or_refuse(tmp_path / "file.pkl", b"\x80\x04" + b"".join(words) + b".")
