"""Pictures and masks: what must be there, what an attribute may change, and what stays the same at any size."""

import pytest
import torch
from torch.nn.functional import avg_pool2d, max_pool2d

from sfhub.errors import InputError
from sfhub.portraits import ATTRIBUTES, CLASSES, PALETTE, flip_attributes, render, sample_attributes


@pytest.fixture(scope="module")
def people() -> dict[str, torch.Tensor]:
    return sample_attributes(256, seed=11)


@pytest.fixture(scope="module")
def pictures(people):
    return render(people, 64)


def _some(attributes: dict[str, torch.Tensor], count: int) -> dict[str, torch.Tensor]:
    return {name: value[:count] for name, value in attributes.items()}


def _region(mask: torch.Tensor, *names: str, grow: int = 2) -> torch.Tensor:
    """Where a mask shows one of the classes, grown by some pixels."""
    inside = torch.isin(mask, torch.tensor([CLASSES.index(name) for name in names], dtype=torch.uint8)).float()
    return max_pool2d(inside[:, None], 2 * grow + 1, 1, grow)[:, 0] > 0


def test_images_and_masks_have_the_promised_form(pictures):
    assert pictures.image.shape == (256, 3, 64, 64) and pictures.image.dtype == torch.float32
    assert torch.isfinite(pictures.image).all() and pictures.image.abs().max() <= 1
    assert pictures.mask.shape == (256, 64, 64) and pictures.mask.dtype == torch.uint8
    assert PALETTE.shape == (len(CLASSES), 3) and PALETTE.dtype == torch.uint8


def test_every_class_occurs_among_a_few_hundred_people(pictures):
    pixels = torch.bincount(pictures.mask.flatten().long(), minlength=13)
    assert len(pixels) == 13 and (pixels > 500).all()


def test_almost_everybody_shows_eyes_mouth_and_nose(pictures):
    for name in ("skin", "eyes", "mouth", "nose", "clothes"):
        shown = (pictures.mask == CLASSES.index(name)).flatten(1).sum(dim=1) >= 5
        assert shown.float().mean() > 0.98, name


def test_same_attributes_give_the_same_picture_whatever_the_batch(people, pictures):
    alone = render({name: value[37:38] for name, value in people.items()}, 64)
    assert torch.allclose(alone.image[0], pictures.image[37], atol=1e-5)
    assert torch.equal(alone.mask[0], pictures.mask[37])


def test_flipped_attributes_give_the_mirrored_picture(people, pictures):
    mirrored = render(_some(flip_attributes(people), 64), 64)
    assert torch.allclose(mirrored.image.flip(-1), pictures.image[:64], atol=1e-3)
    assert (mirrored.mask.flip(-1) != pictures.mask[:64]).float().mean() < 1e-4


def test_half_the_resolution_is_the_same_picture_averaged(people, pictures):
    large = render(_some(people, 32), 128)
    error = (avg_pool2d(large.image, 2) - pictures.image[:32]).abs()
    assert error.mean() < 0.03
    assert (large.mask[:, ::2, ::2] != pictures.mask[:32]).float().mean() < 0.06


@pytest.mark.parametrize(
    ("change", "regions"),
    [
        ({"hair_red": 0.9, "hair_green": 0.1, "hair_blue": 0.5}, ("hair", "brows")),
        ({"eye_red": 0.1, "eye_green": 0.8, "eye_blue": 0.9}, ("eyes",)),
        ({"clothes_red": 0.9, "clothes_green": 0.2, "clothes_blue": 0.2}, ("clothes",)),
        ({"background_red": 0.9, "background2_green": 0.1}, ("background",)),
        ({"gaze_x": 1.0}, ("eyes",)),
        ({"lip_tint": 1.0}, ("mouth",)),
    ],
)
def test_an_attribute_changes_its_own_region_only(people, change, regions):
    # A beard has the hair's colour and the label of skin, and lenses let a little of everything through.
    base = _some(people, 48) | {"beard": "none", "glasses": "none"}
    before, after = render(base, 64), render(base | change, 64)
    outside = ~(_region(before.mask, *regions) | _region(after.mask, *regions))
    difference = (before.image - after.image).abs().amax(dim=1)
    # Slivers thinner than half a pixel colour a pixel without owning it.
    assert (difference[outside] > 0.02).float().mean() < 0.004
    assert difference[~outside].max() > 0.2


def test_a_smile_moves_the_mouth_and_leaves_hair_clothes_and_background(people):
    base = _some(people, 48) | {"beard": "none", "glasses": "none"}
    before, after = (render(base | {"smile": smile}, 64) for smile in (-0.5, 1.0))
    difference = (before.image - after.image).abs().amax(dim=1)
    mouth = _region(before.mask, "mouth") | _region(after.mask, "mouth")
    elsewhere = _region(before.mask, "hair", "clothes", "background", grow=0) & ~mouth
    assert (difference[elsewhere] > 0.02).float().mean() < 1e-4
    # Lower lids and cheeks join in a smile, gently.
    assert difference[mouth].mean() > 15 * difference[~mouth].mean()


@pytest.mark.parametrize("name", ["hat", "glasses", "earrings"])
def test_what_is_not_worn_is_not_in_the_mask(people, name):
    label = CLASSES.index(name)
    bare = render(_some(people, 16) | {name: "none"}, 64)
    worn = render(_some(people, 16) | {name: ATTRIBUTES[name].choices[-1], "yaw": 0.0}, 64)
    assert not (bare.mask == label).any()
    assert ((worn.mask == label).flatten(1).sum(dim=1) > 0).all()


def test_eyes_keep_their_label_behind_lenses(people):
    base = _some(people, 32) | {"fringe": "none", "hat": "none", "eye_openness": 1.0}
    bare, worn = (render(base | {"glasses": kind}, 64).mask for kind in ("none", "round"))
    eyes = CLASSES.index("eyes")
    kept = (worn == eyes).sum() / (bare == eyes).sum()
    assert kept > 0.8


def test_a_fringe_hides_brows_behind_hair(people):
    base = _some(people, 32) | {"hat": "none", "glasses": "none", "hair_style": "bob"}
    free, hidden = (render(base | {"fringe": kind}, 64).mask for kind in ("none", "straight"))
    brows = CLASSES.index("brows")
    assert (hidden == brows).sum() < 0.6 * (free == brows).sum()


def test_turning_the_head_moves_the_nose_and_hides_the_far_ear():
    masks = render({"yaw": torch.tensor([-35.0, 0.0, 35.0])}, 128).mask
    columns = torch.arange(128.0)
    nose = (masks == CLASSES.index("nose")).float()
    middle = (nose.sum(dim=1) * columns).sum(dim=1) / nose.sum(dim=(1, 2))
    assert middle[0] < middle[1] - 4 and middle[2] > middle[1] + 4
    ears = (masks == CLASSES.index("ears")).float()
    left, right = ears[..., :64].sum(dim=(1, 2)), ears[..., 64:].sum(dim=(1, 2))
    assert right[2] < 0.5 * left[2] and left[0] < 0.5 * right[0]


def test_a_name_or_a_number_overrides_one_attribute_of_a_batch(people):
    changed = render(_some(people, 3) | {"hat": "beanie", "smile": 1}, 32).attributes
    assert changed["hat"].tolist() == [1, 1, 1] and changed["smile"].tolist() == [1, 1, 1]
    assert torch.equal(changed["yaw"], people["yaw"][:3])


@pytest.mark.parametrize("resolution", [0, 4, 5000])
def test_absurd_resolutions_are_refused(resolution):
    with pytest.raises(InputError, match=f"Resolution {resolution} is out of range"):
        render({}, resolution)
