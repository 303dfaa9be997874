"""Training data: order that resumes exactly, folders with broken files, the render cache."""

import itertools
import os
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sfhub.errors import InputError
from sfhub.images.folders import ImageFolder
from sfhub.portraits import (
    ATTRIBUTES,
    CLASSES,
    attribute_vector,
    flip_attributes,
    render,
    sample_attributes,
)
from sfhub.portraits.attributes import attributes_from_vector
from sfhub.training import render_cache
from sfhub.training.data import (
    BatchOrder,
    ImageMaskFolder,
    MaskedPortraits,
    PairedPortraits,
    RenderedPortraits,
    StyledPortraits,
    image_batches,
    with_even_kinds,
)


def first(order, count):
    return list(itertools.islice(iter(order), count))


def test_order_from_a_later_step_is_the_rest_of_the_same_order():
    whole = first(BatchOrder(10, 3, seed=1), 12)
    assert first(BatchOrder(10, 3, seed=1, first_step=7), 5) == whole[7:]
    assert first(BatchOrder(10, 3, seed=2), 12) != whole


def test_processes_share_an_epoch_without_repeating():
    parts = [first(BatchOrder(12, 2, rank=rank, world=2), 3) for rank in (0, 1)]
    assert sorted(itertools.chain(*itertools.chain(*parts))) == list(range(12))


def test_too_few_images_are_refused():
    with pytest.raises(InputError, match="fewer than one batch"):
        BatchOrder(3, 4)


def test_a_broken_image_is_named_and_passed_over(tmp_path, caplog):
    Image.new("RGB", (40, 20), "red").save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no picture")
    Image.new("L", (20, 40), 255).save(tmp_path / "c.jpg")
    folder = ImageFolder(tmp_path, 16)
    images = next(image_batches(folder, BatchOrder(3, 3)))
    assert images.shape == (3, 3, 16, 16) and images.dtype == torch.uint8
    assert "b.png" in caplog.text


@pytest.mark.parametrize("make", [lambda path: path / "none", lambda path: path])
def test_a_folder_without_images_is_refused(tmp_path, make):
    with pytest.raises(InputError, match="image"):
        ImageFolder(make(tmp_path), 16)


def test_renders_are_made_once_with_their_masks(tmp_path):
    dataset = RenderedPortraits(6, 32, seed=3, cache_dir=tmp_path)
    again = RenderedPortraits(6, 32, seed=3, cache_dir=tmp_path)
    assert torch.equal(dataset[5], again[5]) and dataset[5].shape == (3, 32, 32)
    assert dataset.masks.shape == (6, 32, 32) and dataset.masks.max() < len(CLASSES)
    assert np.std(dataset.images) > 10 and len(dataset.attributes["yaw"]) == 6


@pytest.fixture
def renders(monkeypatch):
    """Resolutions and numbers of portraits that were asked of the renderer."""
    calls = []

    def counted(values, resolution):
        calls.append((resolution, len(values["yaw"])))
        return render(values, resolution)

    monkeypatch.setattr(render_cache, "render", counted)
    return calls


def test_an_opened_folder_renders_a_few_pictures_only_and_may_come_from_another_machine(tmp_path, renders):
    first = RenderedPortraits(300, 8, seed=3, cache_dir=tmp_path)
    assert sum(count for _, count in renders) == 300
    renders.clear()
    path = tmp_path / "portraits-8-300-3" / "images.npy"
    images = np.load(path)
    images[::7] += images[::7] < 255  # rounded differently
    np.save(path, images)
    again = RenderedPortraits(300, 8, seed=3, cache_dir=tmp_path)
    assert np.array_equal(again.images, images) and len(first) == 300
    assert sum(count for _, count in renders) < 100


def test_pictures_of_another_renderer_are_never_trained_on_and_left_to_who_does(tmp_path, monkeypatch, caplog):
    old = RenderedPortraits(70, 16, seed=3, cache_dir=tmp_path)
    wearing = old.attributes["hat"] > 0
    assert 0 < wearing.sum() < 60

    def with_new_hats(values, resolution):
        drawn = render(values, resolution)
        drawn.image[:, :, 0, :6] *= (values["hat"] == 0)[:, None, None]
        return drawn

    monkeypatch.setattr(render_cache, "render", with_new_hats)
    new = RenderedPortraits(70, 16, seed=3, cache_dir=tmp_path)
    assert Path(new.images.filename).parent.name == "portraits-16-70-3.1"
    assert "drawn by another version" in caplog.text
    changed = torch.from_numpy((new.images != old.images).any(axis=(1, 2, 3)))
    assert torch.equal(changed, wearing)
    monkeypatch.undo()
    assert Path(RenderedPortraits(70, 16, seed=3, cache_dir=tmp_path).images.filename) == Path(old.images.filename)


def test_portraits_that_are_drawn_from_another_distribution_are_rendered_anew(tmp_path, monkeypatch):
    RenderedPortraits(70, 8, seed=3, cache_dir=tmp_path)
    monkeypatch.setattr(RenderedPortraits, "_draw", lambda self, count, seed: (sample_attributes(count, seed=9), {}))
    other = RenderedPortraits(70, 8, seed=3, cache_dir=tmp_path)
    assert torch.equal(other.attributes["yaw"], sample_attributes(70, seed=9)["yaw"])


@pytest.mark.parametrize("changed", [False, True])
def test_a_killed_rendering_goes_on_where_it_was_unless_the_renderer_changed(tmp_path, monkeypatch, changed):
    class Killed(BaseException):
        pass

    class Renderer:
        rendered = 0
        gain = 1.0

        def __call__(self, values, resolution):
            self.rendered += len(values["yaw"])
            if self.rendered > 250:
                raise Killed
            drawn = render(values, resolution)
            drawn.image.mul_(self.gain)
            return drawn

    renderer = Renderer()
    monkeypatch.setattr(render_cache, "render", renderer)
    with pytest.raises(Killed):
        StyledPortraits(300, 8, "ink", seed=3, cache_dir=tmp_path)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["portraits-ink-8-300-3.partial"]
    renderer.rendered, renderer.gain = -10_000, 0.5 if changed else 1.0
    resumed = StyledPortraits(300, 8, "ink", seed=3, cache_dir=tmp_path)
    work = 2 * (300 if changed else 300 - 64)
    assert work <= renderer.rendered + 10_000 <= work + 2 * 100
    whole = StyledPortraits(300, 8, "ink", seed=3, cache_dir=tmp_path / "whole")
    assert np.array_equal(resumed.images, whole.images)
    assert {path.name for path in Path(resumed.images.filename).parent.iterdir()} == {
        *("attributes.npy", "images.npy", "masks.npy")
    }


def test_what_killed_runs_have_left_goes_with_the_next_rendering(tmp_path):
    names = {
        "gone": "portraits-8-4-3.4194304.partial",
        "other": "portraits-8-5-3.partial",
        "old": "paired-8-4-1.partial",
    }
    names["alive"] = f"portraits-8-4-3.{os.getpid()}.partial"
    for name in names.values():
        (tmp_path / name).mkdir()
    os.utime(tmp_path / names["old"], (0, 0))
    RenderedPortraits(4, 8, seed=3, cache_dir=tmp_path)
    left = {path.name for path in tmp_path.glob("*.partial")}
    assert left == {names["other"], names["alive"]}


def test_two_processes_render_a_set_once(tmp_path, renders):
    sets = [None, None]

    def work(index):
        sets[index] = RenderedPortraits(130, 8, seed=3, cache_dir=tmp_path)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.array_equal(sets[0].images, sets[1].images)
    assert sum(count for _, count in renders) < 130 + 100


def test_a_mirrored_pair_is_the_picture_of_the_mirrored_attributes(tmp_path):
    dataset = PairedPortraits(6, 32, seed=3, cache_dir=tmp_path, mirror=True)
    assert len(dataset) == 12
    for index in range(6):
        plain, turned = dataset[index], dataset[index + 6]
        flipped = flip_attributes(attributes_from_vector(plain["target"][None]))
        assert torch.allclose(turned["target"], attribute_vector(flipped)[0], atol=1e-5)
        drawn = render(flipped, 32)
        assert (turned["image"] / 127.5 - 1 - drawn.image[0]).abs().max() < 0.02
        assert (turned["mask"] != drawn.mask[0]).float().mean() < 0.01
        assert not torch.equal(plain["code"], turned["code"])


def test_even_kinds_are_drawn_for_the_chosen_portraits_only_and_no_hat_sits_on_a_bun():
    drawn = sample_attributes(4_000, seed=0)
    chosen = torch.arange(4_000) < 2_000
    changed = with_even_kinds(drawn, chosen, torch.Generator().manual_seed(0))
    for name, item in ATTRIBUTES.items():
        assert item.choices or torch.equal(changed[name], drawn[name])
        assert torch.equal(changed[name][~chosen], drawn[name][~chosen])
    bearded = [(values["beard"][chosen] > 0).float().mean() for values in (drawn, changed)]
    assert bearded[1] > bearded[0] + 0.15
    tall = [ATTRIBUTES["hair_style"].choices.index(style) for style in ("afro", "bun")]
    assert (changed["hat"][torch.isin(changed["hair_style"], torch.tensor(tall))] == 0).all()


@pytest.fixture
def pairs(tmp_path):
    """Three images and masks in folders of their own."""
    for k, name in enumerate("abc"):
        (tmp_path / "images").mkdir(exist_ok=True)
        (tmp_path / "masks").mkdir(exist_ok=True)
        Image.new("RGB", (24, 16), (80 * k, 0, 0)).save(tmp_path / "images" / f"{name}.jpg")
        labels = np.zeros((16, 24), np.uint8)
        labels[:, 12:] = k
        Image.fromarray(labels).save(tmp_path / "masks" / f"{name}.png")
    return tmp_path / "images", tmp_path / "masks"


def test_images_and_masks_are_cropped_together(pairs):
    item = ImageMaskFolder(*pairs, 8)[2]
    assert item["image"].shape == (3, 8, 8) and item["mask"].dtype == torch.uint8
    assert torch.equal(item["mask"], torch.tensor([0, 0, 0, 0, 2, 2, 2, 2], dtype=torch.uint8).expand(8, 8))


def test_a_missing_mask_is_refused_by_name(pairs):
    (pairs[1] / "b.png").unlink()
    with pytest.raises(InputError, match=r"1 of 3 images have no mask .*b\.jpg"):
        ImageMaskFolder(*pairs, 8)


def test_a_mask_of_another_size_is_refused_by_name(pairs):
    Image.new("L", (16, 24)).save(pairs[1] / "c.png")
    with pytest.raises(InputError, match=r"c\.jpg' measures 24 x 16 pixels and its mask 16 x 24"):
        ImageMaskFolder(*pairs, 8)


def test_labels_out_of_range_and_coloured_masks_are_refused_by_name(pairs):
    with pytest.raises(InputError, match=r"c\.png' holds label 2, but there are 2 classes"):
        ImageMaskFolder(*pairs, 8, classes=("background", "skin"))[2]
    Image.new("RGB", (24, 16)).save(pairs[1] / "a.png")
    with pytest.raises(InputError, match="in colours"):
        ImageMaskFolder(*pairs, 8)[0]


@pytest.mark.parametrize("broken", ["images/b.jpg", "masks/b.png"])
def test_a_broken_image_or_mask_is_named_and_passed_over(pairs, broken, caplog):
    path = pairs[0].parent / broken
    path.write_bytes(path.read_bytes()[:30])
    folder = ImageMaskFolder(*pairs, 8)
    assert torch.equal(folder[1]["mask"], folder[2]["mask"])
    assert path.name in caplog.text


def test_styled_portraits_show_the_portraits_of_the_same_seed(tmp_path):
    plain = MaskedPortraits(3, 32, seed=4, cache_dir=tmp_path)[0]["image"].float()
    styled = StyledPortraits(3, 32, "ink", seed=4, cache_dir=tmp_path)[0].float()
    assert (plain - styled).abs().mean() > 5
    assert torch.corrcoef(torch.stack([plain.flatten(), styled.flatten()]))[0, 1] > 0.5
