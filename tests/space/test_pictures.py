import base64
import io

import numpy as np
import pytest
from PIL import Image

from sfhub.pipelines.sample import Segmentation
from space.pictures import DIFFERENCE_SCALE, REGION_COLOURS, colour_of, data_uri, enlarge, heat_map, overlay, thumbnail


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
