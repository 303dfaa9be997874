import base64
import io
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sfhub.pipelines.sample import Segmentation
from sfhub.space.common.pictures import (
    DIFFERENCE_SCALE,
    REGION_COLOURS,
    _loops,
    colour_of,
    cut_out,
    data_uri,
    depth_map,
    enlarge,
    heat_map,
    outline,
    overlay,
    thumbnail,
)


def test_a_small_picture_is_shown_larger_and_a_large_one_as_it_is():
    assert enlarge(Image.new("RGB", (32, 32))).size == (384, 384)
    large = Image.new("RGB", (1024, 1024))
    assert enlarge(large) is large
    assert thumbnail(large).size == (128, 128)


def test_a_data_uri_holds_the_picture():
    picture = Image.new("RGB", (40, 30), (200, 60, 20))
    head, body = data_uri(picture).split(",")
    decoded = Image.open(io.BytesIO(base64.b64decode(body)))
    assert head == "data:image/webp;base64"
    assert decoded.size == (40, 30)
    assert np.abs(np.array(decoded).astype(int) - (200, 60, 20)).max() < 12


def test_every_region_gets_a_colour_and_the_first_ones_differ():
    assert len({colour_of(i) for i in range(len(REGION_COLOURS))}) == len(REGION_COLOURS)
    assert colour_of(len(REGION_COLOURS) + 1) == colour_of(1)


def test_the_overlay_shows_each_region_in_its_colour_over_the_picture():
    labels = np.zeros((32, 32), dtype=np.int64)
    labels[:, 16:] = 1
    shown = np.array(overlay(Image.new("RGB", (32, 32)), Segmentation(labels, ("left", "right")))).astype(float)
    for column, index in ((90, 0), (290, 1)):
        # Over black, a blend has the hue of the region: the same proportions of red, green and blue.
        expected = np.array(colour_of(index)) * 0.62
        assert shown[190, column] == pytest.approx(expected, abs=2)


def test_an_outline_goes_around_the_mask_and_its_holes():
    mask = np.zeros((16, 16), dtype=bool)
    mask[2:14, 3:13] = True
    mask[6:10, 6:10] = False
    paths = outline(mask).split("M")[1:]
    loops = [np.array(re.findall(r"[\d.]+", path), dtype=float).reshape(-1, 2) for path in paths]
    (left, top), (right, bottom) = loops[0].min(axis=0), loops[0].max(axis=0)
    assert (left, top, right, bottom) == (3, 2, 13, 14)
    assert (loops[1].min(axis=0) == (6, 6)).all() and (loops[1].max(axis=0) == (10, 10)).all()
    assert outline(np.zeros((4, 4), dtype=bool)) == ""


@given(st.integers(0, 2**16 - 1))
def test_every_mask_has_an_outline_of_its_size(bits):
    mask = np.array([bits >> k & 1 for k in range(16)], dtype=bool).reshape(4, 4)
    loops = [np.array(loop) for loop in _loops(np.pad(mask, 1))]
    # Clockwise outlines count what is inside, holes the other way take away what is not (shoelace formula).
    areas = [(x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2 for x, y in (loop.T for loop in loops)]
    assert sum(areas) == mask.sum()


def test_near_is_light_and_far_is_dark():
    depth = np.zeros((8, 8), dtype=np.float32)
    depth[:, 4:] = 3
    shown = np.array(depth_map(depth).convert("L")).astype(int)
    assert shown[100, 40] < 60 and shown[100, 340] > 220
    assert np.isfinite(np.array(depth_map(np.full((8, 8), 2.0)))).all()


def test_a_cut_out_has_nothing_around_the_mask():
    mask = np.zeros((32, 32), dtype=bool)
    mask[0:10, 20:32] = True
    shown = np.array(cut_out(Image.new("RGB", (32, 32), (200, 60, 20)), mask))
    assert shown.shape == (48, 48, 4)
    assert shown[24, 24].tolist() == [200, 60, 20, 255]
    assert shown[0, 0, 3] == 0


def test_no_difference_is_white_and_more_is_darker():
    difference = np.zeros((32, 32), dtype=np.float32)
    difference[:, 16:24] = DIFFERENCE_SCALE / 2
    difference[:, 24:] = DIFFERENCE_SCALE * 3
    shown = np.array(heat_map(difference, np.zeros((32, 32), dtype=bool)).convert("L")).astype(int)
    assert shown[190, 60] == 255
    assert shown[190, 60] > shown[190, 240] > shown[190, 350]


def test_the_heat_map_outlines_the_regions_meant_to_change():
    changed = np.zeros((32, 32), dtype=bool)
    changed[8:24, 8:24] = True
    shown = np.array(heat_map(np.zeros((32, 32), dtype=np.float32), changed))
    outline = (shown != 255).any(axis=-1)
    assert outline[100:284, 80:110].any(axis=1).all()
    assert not outline[120:260, 120:260].any()
