"""No picture file that somebody uploads fills the memory, starts another program, or ends in a traceback."""

import os
import resource
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sfhub.errors import InputError
from sfhub.images.folders import ImageFolder
from sfhub.images.pixels import open_picture
from sfhub.space.build_face.state import Backdrop
from sfhub.steps.png import read_recipe

ROOT = Path(__file__).parents[2]


def png_header(path, width, height, colour_type=6):
    """A PNG file that promises a picture of that size, and holds next to nothing of it."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, colour_type, 0, 0, 0)
    rows = zlib.compress(bytes(4096))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
    return path


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [4900, 13_300, 40_000, 2**31 - 1])
def test_a_picture_of_too_many_pixels_is_refused_by_its_header(tmp_path, side):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match=r"huge\.png (has|cannot be read)"):
        open_picture(png_header(tmp_path / "huge.png", side, side), 1024)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


def test_how_many_pixels_are_too_many_can_be_set(tmp_path, monkeypatch):
    path = tmp_path / "photo.png"
    Image.new("RGB", (50, 40)).save(path)
    assert open_picture(path).size == (50, 40)
    monkeypatch.setenv("SFHUB_PHOTO_PIXELS", "1999")
    with pytest.raises(InputError, match=r"photo\.png has 50 x 40 pixels, more than the 1,999 that are taken"):
        open_picture(path)
    monkeypatch.setenv("SFHUB_PHOTO_PIXELS", "many")
    with pytest.raises(InputError, match="SFHUB_PHOTO_PIXELS is 'many'; set it to a whole number"):
        open_picture(path)


def test_a_photograph_that_is_opened_takes_less_than_half_a_gigabyte(tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(np.zeros((4800, 5000, 4), np.uint8)).save(path, compress_level=1)
    code = (
        "import resource, sys; from sfhub.images.pixels import open_picture;"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024;"
        "before = peak(); open_picture(sys.argv[1], 1024); print(peak() - before)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code, path], env=environment, capture_output=True, text=True)
    assert int(done.stdout) < 512, done.stderr


@pytest.mark.parametrize("suffix", ["png", "jpg", "eps"])
@pytest.mark.parametrize("kind", ["EPS", "TIFF", "PPM", "ICNS", "PCX", "TGA", "PDF"])
def test_only_a_few_formats_are_tried_whatever_the_file_is_called(tmp_path, kind, suffix):
    path = tmp_path / f"photo.{suffix}"
    Image.new("RGB", (32, 32), "red").save(path, format=kind)
    with pytest.raises(InputError, match="cannot be read as a picture; give a PNG, JPEG, WebP, BMP or GIF file"):
        Backdrop.opened(str(path))


def test_a_postscript_file_named_png_starts_no_program(tmp_path, monkeypatch):
    ghostscript = tmp_path / "bin" / "gs"
    ghostscript.parent.mkdir()
    ghostscript.write_text(f"#!/bin/sh\ntouch {tmp_path / 'ran'}\n")
    ghostscript.chmod(0o755)
    monkeypatch.setenv("PATH", str(ghostscript.parent), prepend=os.pathsep)
    Image.new("RGB", (8, 8)).save(tmp_path / "photo.png", format="EPS")
    with pytest.raises(InputError):
        open_picture(tmp_path / "photo.png")
    folder = ImageFolder(tmp_path, 8)
    with pytest.raises(InputError):
        folder[0]
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF"])
def test_the_formats_of_photographs_are_read(tmp_path, kind):
    Image.new("RGB", (32, 20), "teal").save(tmp_path / "photo", format=kind)
    assert open_picture(tmp_path / "photo", 16).size == (16, 10)


def test_pictures_of_phones_with_several_pictures_inside_are_read(tmp_path):
    first, second = Image.new("RGB", (32, 20), "teal"), Image.new("RGB", (32, 20), "red")
    first.save(tmp_path / "photo.jpg", format="MPO", save_all=True, append_images=[second])
    assert open_picture(tmp_path / "photo.jpg").getpixel((4, 4))[0] < 32


@pytest.mark.parametrize("place", ["folder", "fifo", "/dev/zero", "missing"])
def test_what_is_no_file_is_one_sentence(tmp_path, place):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    for read in (open_picture, read_recipe):
        with pytest.raises(InputError):
            read(tmp_path / place)


def test_a_recipe_is_looked_for_in_a_huge_picture_without_decoding_it(tmp_path):
    with pytest.raises(InputError, match=r"huge\.png (carries no recipe|cannot be read)"):
        read_recipe(png_header(tmp_path / "huge.png", 40_000, 40_000))


def test_a_picture_cut_anywhere_is_one_sentence_or_a_picture(tmp_path):
    path = tmp_path / "photo"
    for kind in ("PNG", "JPEG", "WEBP", "BMP", "GIF"):
        Image.effect_noise((24, 24), 60).convert("RGB").save(path, format=kind)
        whole = path.read_bytes()
        for length in range(0, len(whole), 37):
            path.write_bytes(whole[:length])
            try:
                open_picture(path, 16)
            except InputError as error:
                assert "\n" not in str(error)
