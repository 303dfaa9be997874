"""Training data: order that resumes exactly, folders with broken files, the render cache."""

import itertools

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
