"""Loading and saving model folders: whole ones come back as they were, all others are refused and run nothing."""

import json
import shutil
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from sfhub.errors import InputError
from sfhub.models.stylegan2 import StyleGAN2Generator
from sfhub.pipelines.sample import Sample
from sfhub.pipelines.stylegan import StyleGANPipeline
from sfhub.steps.recipe import make_recipe

WEIGHTS = "diffusion_pytorch_model.safetensors"


def pixels(sample):
    return np.asarray(sample.image)


@pytest.fixture(scope="module")
def saved(tiny_pipeline, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    tiny_pipeline.save_pretrained(folder)
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    """A copy of a saved model to be spoilt."""
    return shutil.copytree(saved, tmp_path / "model")


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def refusal(folder, **options):
    """The one sentence with which a folder is refused."""
    with pytest.raises(InputError) as caught:
        StyleGANPipeline.from_pretrained(folder, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Whole ones


def test_a_saved_pipeline_comes_back_as_it_was(saved, tiny_pipeline):
    pipe = StyleGANPipeline.from_pretrained(saved)
    a, b = pipe.sample([1, 2])
    x, y = tiny_pipeline.sample([1, 2])
    assert np.array_equal(pixels(pipe.mix(a, {"hair": b})), pixels(tiny_pipeline.mix(x, {"hair": y})))
    assert not pipe.generator.training


def test_saving_again_keeps_the_revision_wherever_the_model_was_loaded_from(saved, tmp_path):
    first = StyleGANPipeline.from_pretrained(saved)
    first.save_pretrained(tmp_path / "second")
    second = StyleGANPipeline.from_pretrained(tmp_path / "second")
    assert second.source.revision == first.source.revision
    assert str(saved) not in "".join(path.read_text() for path in tmp_path.rglob("*.json"))


def test_the_revision_changes_with_the_weights(saved, folder):
    weights = load_file(folder / "generator" / WEIGHTS)
    save_file({**weights, "const": weights["const"] + 1}, folder / "generator" / WEIGHTS, {"format": "pt"})
    changed = StyleGANPipeline.from_pretrained(folder).source.revision
    assert changed != StyleGANPipeline.from_pretrained(saved).source.revision


def test_what_was_measured_of_a_catalog_is_no_part_of_the_revision(saved, folder):
    def revision(**changes):
        edit(folder / "catalog" / "config.json", **changes)
        return StyleGANPipeline.from_pretrained(folder).source.revision

    of_saved = StyleGANPipeline.from_pretrained(saved).source.revision
    assert revision(measured={"hair": {"transfer": 0.9, "selectivity": 8.0}}) == of_saved
    assert revision(defaults={"hair": {"method": "influence"}}) != of_saved


def test_dtype_behaves_as_in_diffusers(tiny_generator, tmp_path):
    StyleGANPipeline(tiny_generator).save_pretrained(tmp_path / "full")
    half = StyleGANPipeline.from_pretrained(tmp_path / "full", dtype=torch.float16)
    assert half.dtype == half.generator.const.dtype == torch.float16
    assert half.model_record["dtype"] == "float16"
    half.save_pretrained(tmp_path / "half")
    assert load_file(tmp_path / "half" / "generator" / WEIGHTS)["const"].dtype == torch.float16
    assert StyleGANPipeline.from_pretrained(tmp_path / "half").dtype == torch.float32
    assert StyleGANPipeline.from_pretrained(tmp_path / "full", torch_dtype=torch.bfloat16).dtype == torch.bfloat16


def test_variants_lie_side_by_side(tiny_generator, tmp_path):
    pipe = StyleGANPipeline(tiny_generator)
    pipe.save_pretrained(tmp_path)
    pipe.save_pretrained(tmp_path, variant="fp16")
    assert {path.name for path in (tmp_path / "generator").glob("*.safetensors")} == {
        WEIGHTS,
        WEIGHTS.replace(".safetensors", ".fp16.safetensors"),
    }
    assert StyleGANPipeline.from_pretrained(tmp_path, variant="fp16").source.kind == "folder"
    assert "no such modeling files" in refusal(tmp_path, variant="int8")


def test_a_component_can_be_passed_in_or_left_out(saved, tiny_generator, tiny_catalog):
    assert StyleGANPipeline.from_pretrained(saved, catalog=None).regions == ()
    pipe = StyleGANPipeline.from_pretrained(saved, generator=tiny_generator)
    assert pipe.generator is tiny_generator
    assert pipe.source.kind == "memory"


def test_exchanging_a_component_changes_the_source(saved, tiny_generator):
    pipe = StyleGANPipeline.from_pretrained(saved)
    before = pipe.source
    pipe.catalog = None
    assert (before.kind, pipe.source.kind) == ("folder", "memory")
    assert before.revision != pipe.source.revision


def test_a_bare_generator_folder_is_a_pipeline_without_regions(tiny_generator, tiny_pipeline, tmp_path):
    tiny_generator.save_pretrained(tmp_path)
    pipe = StyleGANPipeline.from_pretrained(tmp_path)
    assert np.array_equal(pixels(pipe.sample(3)[0]), pixels(tiny_pipeline.sample(3)[0]))
    assert pipe.regions == () and pipe.source.kind == "folder"


def test_weights_in_shards_load(tiny_pipeline, tmp_path):
    tiny_pipeline.save_pretrained(tmp_path, max_shard_size="30KB")
    assert len(list((tmp_path / "generator").glob("*.safetensors"))) > 1
    pipe = StyleGANPipeline.from_pretrained(tmp_path)
    assert np.array_equal(pixels(pipe.sample(3)[0]), pixels(tiny_pipeline.sample(3)[0]))


# Others


def test_a_name_that_is_nothing_is_one_sentence(tmp_path):
    assert "is neither a folder, nor a built-in model (portraits" in refusal(tmp_path / "nowhere")
    (tmp_path / "ffhq.pt").write_bytes(b"")
    assert "turn an official checkpoint into one with 'sfhub convert" in refusal(tmp_path / "ffhq.pt")


def test_a_folder_of_something_else_says_what_it_looks_like(tmp_path):
    assert "has neither model_index.json nor config.json; check the path" in refusal(tmp_path)
    (tmp_path / "network.pkl").write_bytes(b"")
    assert "turn network.pkl into one with 'sfhub convert'" in refusal(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    assert "its config.json describes bert" in refusal(tmp_path)
    (tmp_path / "config.json").write_text('{"_class_name": "UNet2DModel"}')
    assert "holds a UNet2DModel, but StyleGANPipeline takes a StyleGAN2Generator" in refusal(tmp_path)
    index = {"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet2DConditionModel"]}
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    assert "looks like a StableDiffusionPipeline with diffusers components" in refusal(tmp_path)


@pytest.mark.parametrize(
    "component",
    [
        ["os", "system"],
        ["sfhub.pipelines.base", "os"],
        ["sfhub.__main__", "main"],
        ["sfhub.models.stylegan2", "standard_channels"],
        ["sfhub.models.stylegan2_discriminator", "StyleGAN2Discriminator"],
        ["sfhub.not_there", "StyleGAN2Generator"],
        ["transformers", "BertModel"],
        ["diffusers", "UNet2DModel"],
        ["stylegan2", "StyleGAN2Generator"],
    ],
)
def test_only_the_classes_of_the_signature_are_loaded(folder, component):
    modules = set(sys.modules)
    edit(folder / "model_index.json", generator=component)
    sentence = refusal(folder)
    assert "not a model of sfhub" in sentence or "but StyleGAN2Generator is expected there" in sentence
    assert not {name for name in set(sys.modules) - modules if name.startswith("sfhub.")}


def test_a_component_that_the_pipeline_does_not_have_is_refused(folder):
    edit(folder / "model_index.json", helper=["sfhub.models.stylegan2", "StyleGAN2Generator"])
    assert "Component 'helper' in model is a sfhub.models.stylegan2.StyleGAN2Generator, but no such" in refusal(folder)


def test_code_in_the_folder_never_runs(folder, tmp_path):
    trap = f"open({str(tmp_path / 'ran')!r}, 'w')\n"
    for place in ("None.py", "pipeline.py", "StyleGANPipeline.py", "generator/sfhub.models.stylegan2.py"):
        (folder / place).write_text(trap)
    refusal(folder)
    (folder / "None.py").unlink()
    edit(folder / "model_index.json", _class_name=["pipeline", "StyleGANPipeline"])
    refusal(folder)
    for option in ("custom_pipeline", "trust_remote_code"):
        assert "never runs code of a repository" in refusal(folder, **{option: "pipeline"})
    assert not (tmp_path / "ran").exists()


def test_pickled_weights_are_refused_unopened(folder):
    (folder / "generator" / WEIGHTS).rename(folder / "generator" / "diffusion_pytorch_model.bin")
    assert "a pickle, which may run code when opened" in refusal(folder)
    assert "loads no pickled weights" in refusal(folder, use_safetensors=False)


@pytest.mark.parametrize("size", [0, 4, 100, -1])
def test_a_truncated_weight_file_is_named(folder, size):
    path = folder / "generator" / WEIGHTS
    path.write_bytes(path.read_bytes()[:size])
    assert f"{path} is truncated or damaged" in refusal(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "\ufffe", "[" * 100_000])
def test_a_damaged_configuration_is_named(folder, text):
    path = folder / "generator" / "config.json"
    path.write_text(text)
    assert f"{path} is" in refusal(folder)
    (folder / "model_index.json").write_text(text)
    assert "model_index.json is" in refusal(folder)


@pytest.mark.parametrize("name", ["generator", "generator/config.json", f"generator/{WEIGHTS}", "catalog/config.json"])
def test_a_missing_part_is_named(folder, name):
    path = folder / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert str(path) in refusal(folder) or str(path.parent) in refusal(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"resolution": 33},
        {"resolution": 2**40},
        {"num_mapping_layers": 10**9},
        {"channels": {"4": 10**9}},
        {"resolution": "big"},
        {"w_dim": 64},
        {"w_dim": -1},
        {"quantization_config": {"quant_method": "bitsandbytes"}},
    ],
)
def test_a_configuration_that_does_not_fit_its_weights_is_named(folder, changes):
    edit(folder / "generator" / "config.json", **changes)
    assert str(folder / "generator") in refusal(folder)


def test_weights_with_a_missing_tensor_are_refused(folder):
    path = folder / "generator" / WEIGHTS
    weights = load_file(path)
    del weights["convs.1.bias"]
    save_file(weights, path, {"format": "pt"})
    assert "convs.1.bias is missing where shape [16] is expected" in refusal(folder)


def test_shards_outside_the_folder_are_refused(folder):
    (folder / "generator" / WEIGHTS).unlink()
    index = {"weight_map": {"const": f"../catalog/{WEIGHTS}"}}
    (folder / "generator" / f"{WEIGHTS}.index.json").write_text(json.dumps(index))
    assert "names weight files that are not beside it" in refusal(folder)


def test_a_catalog_of_another_generator_is_refused_on_loading(folder):
    other = StyleGAN2Generator(resolution=8, z_dim=8, w_dim=8, num_mapping_layers=1, channels={"4": 8, "8": 8})
    shutil.rmtree(folder / "generator")
    other.save_pretrained(folder / "generator")
    assert "catalog was made for a generator of 32 pixels" in refusal(folder)


# Saving


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_saving_over_a_model_replaces_it_and_leaves_other_files_alone(folder, tiny_generator):
    (folder / "notes.txt").write_text("mine")
    (folder / "README.md").write_text("my card")
    (folder / "generator" / "stale.safetensors.index.json").write_text("{}")
    StyleGANPipeline(tiny_generator).save_pretrained(folder)
    after = contents(folder)
    assert after["notes.txt"] == b"mine" and after["README.md"] == b"my card"
    assert StyleGANPipeline.from_pretrained(folder).regions == ()
    assert not [name for name in after if "saving" in name]


def test_pickles_are_never_written(tiny_pipeline, tmp_path):
    with pytest.raises(InputError, match="saves safetensors only"):
        tiny_pipeline.save_pretrained(tmp_path / "model", safe_serialization=False)
    assert not (tmp_path / "model").exists()


def test_a_file_in_the_way_is_one_sentence(tiny_pipeline, tmp_path):
    (tmp_path / "model").write_text("I am a file")
    with pytest.raises(InputError, match=r"could not be written .* and is as it was"):
        tiny_pipeline.save_pretrained(tmp_path / "model")
    assert (tmp_path / "model").read_text() == "I am a file"


@pytest.fixture
def little_room():
    """A limit of 20 kB on every file, which the system enforces as it does the end of a disk."""
    resource = pytest.importorskip("resource", reason="limits on file sizes are POSIX")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_while_saving_leaves_the_old_model_intact(folder, tiny_pipeline, little_room):
    before = contents(folder)
    with pytest.raises(InputError, match=r"could not be written .* and is as it was; make room or choose") as caught:
        tiny_pipeline.save_pretrained(folder)
    assert "\n" not in str(caught.value)
    assert contents(folder) == before


def test_a_full_disk_while_saving_a_new_model_leaves_nothing_behind(tiny_pipeline, tmp_path, little_room):
    with pytest.raises(InputError, match="could not be written"):
        tiny_pipeline.save_pretrained(tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_while_saving_a_picture_leaves_the_old_one(tmp_path, little_room):
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    step = {"op": "sample", "inputs": [], "seed": 1, "truncation_psi": 0.7, "label": None}
    model = {"kind": "builtin", "name": "portraits", "revision": "sha256:0", "dtype": "float32"}
    path = tmp_path / "face.png"
    path.write_bytes(b"old")
    with pytest.raises(InputError, match="could not be written"):
        Sample(Image.fromarray(noise), torch.zeros(1, 4), make_recipe(model, [step])).save(path)
    assert contents(tmp_path) == {"face.png": b"old"}
