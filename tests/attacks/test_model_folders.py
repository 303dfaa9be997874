"""A small folder that would run code, fill the memory, take forever or end in a traceback is refused."""

import json
import os
import resource
import shutil
import struct
import time

import pytest
import torch
from safetensors.torch import load_file, save_file

from sfhub.errors import InputError
from sfhub.models.region_tree import RegionTree
from sfhub.pipelines.families import open_pipeline
from sfhub.pipelines.semantic_stylegan import SemanticStyleGANPipeline
from sfhub.pipelines.stylegan import StyleGANPipeline
from sfhub.portraits.parser import PortraitParser

WEIGHTS = "diffusion_pytorch_model.safetensors"
SECONDS, MEBIBYTES = 40, 512
"""That a refusal may take, on a busy machine."""


@pytest.fixture(scope="module")
def saved(tiny_generator, tiny_catalog, tiny_hierarchy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "model"
    parser = PortraitParser(resolution=32, widths=(8, 8), feature_dim=16)
    StyleGANPipeline(tiny_generator, tiny_catalog, parser, tiny_hierarchy).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def saved_semantic(semantic_generator, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "semantic"
    SemanticStyleGANPipeline(semantic_generator).save_pretrained(folder)
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "model")


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def refusal(folder) -> str:
    """The sentence that refuses a folder, soon and without much memory."""
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    with pytest.raises(InputError) as caught:
        open_pipeline(folder)
    assert time.monotonic() - start < SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEBIBYTES * 1024
    sentence = str(caught.value)
    assert "\n" not in sentence and sentence.endswith(".") and len(sentence.replace(str(folder), "")) < 500
    return sentence


# Code


@pytest.mark.parametrize(
    "place",
    ["None.py", "pipeline.py", "StyleGANPipeline.py", "generator/sfhub.models.stylegan2.py", "catalog/x.PY", "a.pyc"],
)
def test_code_is_refused_whatever_diffusers_would_do(folder, tmp_path, place):
    (folder / place).write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    assert "holds code" in refusal(folder) and "never runs code of a model" in refusal(folder)
    assert not (tmp_path / "ran").exists()


def test_code_beside_a_bare_network_is_refused(tiny_generator, tmp_path):
    tiny_generator.save_pretrained(tmp_path / "bare")
    (tmp_path / "bare" / "None.py").write_text("raise SystemExit\n")
    assert "holds code, None.py" in refusal(tmp_path / "bare")


# Files that are none


@pytest.mark.parametrize("name", ["model_index.json", "generator/config.json", f"generator/{WEIGHTS}"])
@pytest.mark.parametrize("kind", ["zero", "fifo", "folder", "loop"])
def test_what_is_no_plain_file_is_refused(folder, name, kind):
    path = folder / name
    path.unlink()
    {
        "zero": lambda: path.symlink_to("/dev/zero"),
        "fifo": lambda: os.mkfifo(path),
        "folder": path.mkdir,
        "loop": lambda: path.symlink_to(path),
    }[kind]()
    refusal(folder)


@pytest.mark.parametrize("kind", ["fifo", "folder"])
def test_what_is_called_like_weights_and_is_no_file_is_refused(folder, kind):
    path = folder / "generator" / "x.safetensors"
    path.mkdir() if kind == "folder" else os.mkfifo(path)
    assert "x.safetensors is no regular file" in refusal(folder)


def test_an_extra_file_of_four_terabytes_is_not_read(folder):
    with open(folder / "generator" / "extra.safetensors", "wb") as file:
        try:
            file.truncate(4 * 10**12)
        except OSError:
            pytest.skip("this file system has no sparse files of that size")
    assert "extra.safetensors has 4,000,000,000,000 bytes, more than" in refusal(folder)


def test_a_header_of_a_million_tensors_is_not_read(folder):
    entry = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    header = json.dumps({f"t{k}": entry for k in range(100_000)}).encode()
    (folder / "generator" / WEIGHTS).write_bytes(struct.pack("<Q", len(header)) + header)
    assert "begins with a list of" in refusal(folder)


@pytest.mark.parametrize(
    "entries", [[], "x", {}, None, {"const": 1}, {"const": [WEIGHTS]}, {"const": "/etc/passwd"}, 7]
)
def test_an_index_of_weights_that_is_none_is_refused(folder, entries):
    (folder / "generator" / WEIGHTS).rename(folder / "generator" / "a.safetensors")
    (folder / "generator" / f"{WEIGHTS}.index.json").write_text(json.dumps({"weight_map": entries}))
    assert "names weight files that are not beside it" in refusal(folder)


# Configurations


@pytest.mark.parametrize(
    ("component", "changes"),
    [
        ("generator", {"num_classes": [1]}),
        ("generator", {"num_classes": True}),
        ("generator", {"num_classes": None}),
        ("generator", {"resolution": 32.0}),
        ("generator", {"conv_clamp": "high"}),
        ("generator", {"conv_clamp": float("nan")}),
        ("generator", {"channels": [16] * 8}),
        ("generator", {"channels": {str(2**k): 2**16 for k in range(2, 17)}, "resolution": 2**16}),
        ("generator", {"num_mapping_layers": 2**16}),
        ("catalog", {"regions": "hair"}),
        ("catalog", {"regions": ["hair"] * 5000}),
        ("catalog", {"style_layers": [["conv1", 1]] * 5000}),
        ("catalog", {"style_layers": [["conv1"]]}),
        ("catalog", {"class_regions": [0]}),
        ("catalog", {"class_regions": [9] * 13}),
        ("catalog", {"class_regions": [-1] * 13}),
        ("catalog", {"defaults": {"hair": 1}}),
        ("catalog", {"defaults": [1]}),
        ("catalog", {"layer": ["convs.3", "convs.99"], "metric": "euclidean"}),
        ("catalog", {"layer": "to_rgb99"}),
        ("parser", {"resolution": 2**16, "widths": [8] * 15}),
        ("parser", {"resolution": 2**15}),
        ("parser", {"widths": [8] * 5000}),
        ("parser", {"class_names": ["x"] * 5000}),
        ("parser", {"class_names": 3}),
        ("fusion", {"tree": [1]}),
        ("fusion", {"tree": {"children": {f"n{k}": [f"n{k + 1}", f"l{k}"] for k in range(20_000)}}}),
        ("fusion", {"style_layers": [["conv1", 1]] * 5000}),
        ("fusion", {"hidden_widths": [2**16] * 64}),
        ("fusion", {"encoding_repeats": 2**16}),
        ("fusion", {"width": 2**16, "hidden_widths": [2**16]}),
        ("fusion", {"fusion_nodes": ["all"] * 3}),
        ("fusion", {"fusion_nodes": 1}),
    ],
)
def test_a_configuration_of_wrong_types_or_sizes_is_refused(folder, component, changes):
    edit(folder / component / "config.json", **changes)
    refusal(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"num_classes": 2**16},
        {"num_classes": "many"},
        {"class_names": ["x"] * 5000},
        {"class_names": [1] * 14},
        {"transparent_classes": [1.5]},
        {"transparent_classes": "eyes"},
        {"local_layers": 2**16},
        {"coarse_resolution": 2**14, "resolution": 2**15},
        {"residual_refine": "yes"},
    ],
)
def test_so_is_that_of_a_semantic_generator(saved_semantic, tmp_path, changes):
    folder = shutil.copytree(saved_semantic, tmp_path / "model")
    edit(folder / "generator" / "config.json", **changes)
    refusal(folder)


@pytest.mark.parametrize("text", ['{"a": ' + "9" * 5000 + "}", "{" * 100_000, '{"a": ' + "[[]," * 2 * 10**6])
def test_json_that_is_a_bomb_is_refused(folder, text):
    (folder / "generator" / "config.json").write_text(text)
    refusal(folder)


@pytest.mark.parametrize(
    "value", ["x", 7, [], [1, 2], ["sfhub.models.stylegan2"], {"a": 1}, [None, "StyleGAN2Generator"]]
)
def test_a_component_that_is_none_is_refused(folder, value):
    edit(folder / "model_index.json", generator=value)
    refusal(folder)


@pytest.mark.parametrize("value", [None, [None, None]])
def test_a_model_without_its_generator_is_refused(folder, value):
    edit(folder / "model_index.json", generator=value)
    with pytest.raises(InputError):
        StyleGANPipeline.from_pretrained(folder)


def test_a_tree_of_twenty_thousand_nodes_is_refused_at_once():
    for children in (
        {f"n{k}": [f"n{k + 1}", f"l{k}"] for k in range(20_000)},
        {f"n{k}": [f"n{2 * k + 1}", f"n{2 * k + 2}"] for k in range(20_000)},
    ):
        start = time.monotonic()
        with pytest.raises(InputError, match=r"The tree has 40,001 nodes, more than the 256 allowed"):
            RegionTree(children)
        assert time.monotonic() - start < 1


def test_sentences_repeat_little_of_what_was_sent(folder):
    long = "A" * 5000
    edit(folder / "model_index.json", _class_name=long, generator=[long, long])
    assert "A" * 81 not in refusal(folder)
    edit(folder / "model_index.json", _class_name="StyleGANPipeline", generator=["sfhub." + long, long])
    assert "A" * 81 not in refusal(folder)
    shutil.rmtree(folder / "generator")
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "X", long: ["diffusers." + long, long]}))
    assert "A" * 81 not in refusal(folder)


def test_weights_of_another_shape_by_the_million_are_one_sentence(folder):
    path = folder / "generator" / WEIGHTS
    weights = load_file(path)
    save_file({**weights, "const": torch.zeros([1] * 60 + [16, 4, 4])}, path, {"format": "pt"})
    assert len(refusal(folder)) < 500
