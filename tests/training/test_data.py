"""Training data: order that resumes exactly, folders with broken files, the render cache."""

import itertools

import numpy as np
import pytest
import torch
from PIL import Image

from sfhub.errors import InputError
from sfhub.portraits import CLASSES
from sfhub.training.data import BatchOrder, ImageFolder, RenderedPortraits, image_batches


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
