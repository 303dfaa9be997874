"""Encoders open from folders in open_clip's format, read texts of any length, and give pictures gradients."""

import json
import shutil

import pytest
import torch

from sfhub.errors import InputError
from sfhub.text.encoder import TextEncoder, checked_text


def test_the_folder_is_one_that_open_clip_opens(tiny_clip, tiny_encoder):
    open_clip = pytest.importorskip("open_clip")
    network = open_clip.create_model(f"local-dir:{tiny_clip}").eval()
    tokens = open_clip.get_tokenizer(f"local-dir:{tiny_clip}")(["curly red hair"])
    theirs = torch.nn.functional.normalize(network.encode_text(tokens), dim=1)
    assert torch.allclose(theirs, tiny_encoder.texts(["curly red hair"]), atol=1e-6)
    assert tiny_encoder.name == tiny_clip.name


def test_embeddings_are_unit_vectors_and_pictures_have_gradients(tiny_encoder):
    images = (torch.rand(2, 3, 48, 48, generator=torch.Generator().manual_seed(0)) - 0.5).requires_grad_()
    seen, meant = tiny_encoder.pictures(images), tiny_encoder.texts(["sad", "a hat", "sad"])
    assert seen.shape == (2, 16) and meant.shape == (3, 16)
    assert torch.allclose(seen.norm(dim=1), torch.ones(2), atol=1e-5)
    assert torch.equal(meant[0], meant[2])
    (seen @ meant[0]).sum().backward()
    assert images.grad.abs().sum() > 0
    assert torch.allclose(tiny_encoder.averaged("sad").norm(), torch.tensor(1.0), atol=1e-5)


def test_a_long_text_is_shortened_and_that_is_said(tiny_encoder, caplog):
    text = "a portrait of a person with " + "curly red hair and " * 40
    kept = tiny_encoder.shortened(text)
    assert text.startswith(kept) and len(kept) < len(text)
    assert "longer than the 77 tokens" in caplog.text
    assert torch.equal(tiny_encoder.texts([kept])[0], tiny_encoder.texts([kept])[0])
    caplog.clear()
    assert tiny_encoder.shortened(kept) == kept and not caplog.text


@pytest.mark.parametrize("text", ["", "   ", None, 3, "x" * 3000, "a\x00b"])
def test_a_text_that_is_none_is_refused_in_a_sentence(text):
    with pytest.raises(InputError):
        checked_text(text)
    assert checked_text("  curly\n red  hair ") == "curly red hair"


def test_what_is_no_encoder_is_named(tiny_clip, tmp_path):
    with pytest.raises(InputError, match="no text encoder 'nonsense'"):
        TextEncoder.open("nonsense")
    with pytest.raises(InputError, match=r"holds no open_clip_config\.json"):
        TextEncoder.open(tmp_path)
    broken = tmp_path / "broken"
    shutil.copytree(tiny_clip, broken)
    (broken / "open_clip_model.safetensors").write_bytes(b"no weights")
    with pytest.raises(InputError, match="could not be opened"):
        TextEncoder.open(broken)


def test_another_encoder_is_told_apart_by_its_weights(tiny_clip, tiny_encoder, tmp_path):
    from safetensors.torch import load_file, save_file

    other = tmp_path / "other"
    shutil.copytree(tiny_clip, other)
    assert TextEncoder.open(other).digest == tiny_encoder.digest
    path = other / "open_clip_model.safetensors"
    weights = load_file(path)
    save_file({key: value + 0.01 if key == "ln_final.bias" else value for key, value in weights.items()}, path)
    assert TextEncoder.open(other).digest != tiny_encoder.digest


def test_templates_are_the_folder_s_own(tiny_clip, tmp_path):
    assert "{}" in TextEncoder.open(tiny_clip).templates
    other = tmp_path / "other"
    shutil.copytree(tiny_clip, other)
    config = json.loads((other / "open_clip_config.json").read_text())
    del config["sfhub_templates"]
    (other / "open_clip_config.json").write_text(json.dumps(config))
    assert len(TextEncoder.open(other).templates) == 80
