"""CelebAMask-HQ to 13 classes: labels, part masks, the release's folder and data sets of the Hub's form."""

import numpy as np
import pytest
from PIL import Image

from sfhub.errors import InputError
from sfhub.portraits import CLASSES
from sfhub.training.celebamask import PARTS, prepare_celebamask_hq, remap_labels
from sfhub.training.data import ImageMaskFolder

datasets = pytest.importorskip("datasets")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def test_every_label_becomes_its_class():
    classes = remap_labels(np.arange(19))
    assert [CLASSES[k] for k in classes] == list(PARTS.values())
    assert set(classes) == set(range(13))
    with pytest.raises(InputError, match="label 19"):
        remap_labels(np.array([19]))


def part(path, box):
    picture = np.zeros((8, 8), np.uint8)
    picture[box] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)


@pytest.fixture
def release(tmp_path):
    """A release of two people."""
    folder = tmp_path / "CelebAMask-HQ"
    (folder / "CelebA-HQ-img").mkdir(parents=True)
    for number in (0, 2000):
        Image.new("RGB", (16, 16), (number % 255, 90, 20)).save(folder / "CelebA-HQ-img" / f"{number}.jpg")
        parts = folder / "CelebAMask-HQ-mask-anno" / str(number // 2000)
        part(parts / f"{number:05d}_skin.png", np.s_[2:, :])
        part(parts / f"{number:05d}_l_lip.png", np.s_[6:, :4])
        part(parts / f"{number:05d}_hat.png", np.s_[:3, :])
    return folder


def test_the_release_becomes_folders_that_training_reads(release, tmp_path):
    out = tmp_path / "out"
    assert prepare_celebamask_hq(str(release), out, 8) == 2
    item = ImageMaskFolder(out / "images", out / "masks", 8)[1]
    assert item["image"].shape == (3, 8, 8)
    names = [CLASSES[k] for k in item["mask"][:, 0]]
    assert names == ["hat"] * 3 + ["skin"] * 3 + ["mouth"] * 2


def test_preparing_goes_on_where_it_was_stopped_and_mends_what_is_torn(release, tmp_path):
    out = tmp_path / "out"
    prepare_celebamask_hq(str(release), out, 8)
    whole = {path: path.read_bytes() for path in sorted(out.rglob("*.png"))}
    first, second = out / "images" / "00000.png", out / "masks" / "00001.png"
    for torn in (second.unlink, lambda: second.write_bytes(whole[second][:40]), lambda: second.write_bytes(b"")):
        torn()
        untouched = first.stat().st_mtime_ns
        assert prepare_celebamask_hq(str(release), out, 8) == 2
        assert {path: path.read_bytes() for path in sorted(out.rglob("*.png"))} == whole
        assert first.stat().st_mtime_ns == untouched


def test_pairs_of_another_size_are_not_mixed_with_those_of_before(release, tmp_path):
    prepare_celebamask_hq(str(release), tmp_path / "out", 8)
    with pytest.raises(InputError, match=r"00000\.png measures 8 x 8 pixels where 16 x 16"):
        prepare_celebamask_hq(str(release), tmp_path / "out", 16)


def test_a_data_set_of_the_hub_is_prepared_and_one_without_masks_refused(tmp_path):
    pictures = {"image": [Image.new("RGB", (12, 12), "red")], "mask": [Image.fromarray(np.full((6, 6), 13, np.uint8))]}
    features = datasets.Features({"image": datasets.Image(), "mask": datasets.Image()})
    (tmp_path / "data").mkdir()
    datasets.Dataset.from_dict(pictures, features=features).to_parquet(tmp_path / "data" / "train.parquet")
    assert prepare_celebamask_hq(str(tmp_path / "data"), tmp_path / "out", 8) == 1
    folder = ImageMaskFolder(tmp_path / "out" / "images", tmp_path / "out" / "masks", 8)
    assert (folder[0]["mask"] == CLASSES.index("hair")).all()
    (tmp_path / "plain").mkdir()
    datasets.Dataset.from_dict({"image": pictures["image"]}).to_parquet(tmp_path / "plain" / "train.parquet")
    with pytest.raises(InputError, match="image and mask are needed"):
        prepare_celebamask_hq(str(tmp_path / "plain"), tmp_path / "out2", 8)
