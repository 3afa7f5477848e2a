"""Opening pictures: every kind of file gives an upright RGB picture or a plain reason."""

from __future__ import annotations

import os
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from trainer_core.dataset.folder import read_folder
from trainer_core.dataset.opening import UnreadableFile, read_regular_file
from trainer_core.dataset.pictures import inspect_picture, open_picture, training_pixels
from trainer_core.dataset.types import CropBox
from trainer_core.demo.world import Scene, draw
from trainer_core.errors import TrainingError

RED_BALL = Scene("ball", "red", "white")


def saved(folder: Path, name: str, picture: Image.Image, **options) -> Path:
    picture.save(folder / name, **options)
    return folder / name


def size_of(path: Path) -> tuple[int, int]:
    facts = inspect_picture(path)
    return facts.width, facts.height


def reason(path: Path) -> str:
    with pytest.raises(UnreadableFile) as caught:
        inspect_picture(path)
    assert path.name in str(caught.value) and "\n" not in str(caught.value)
    return caught.value.reason


@pytest.mark.parametrize(
    ("suffix", "mode", "tolerance"),
    [
        ("png", "RGB", 0),
        ("png", "P", 40),
        ("jpg", "RGB", 12),
        ("jpg", "CMYK", 12),
        ("webp", "RGB", 12),
        ("bmp", "RGB", 0),
        ("tiff", "RGB", 0),
        ("gif", "P", 40),
        ("png", "RGBA", 0),
    ],
)
def test_every_format_and_mode_opens_as_the_same_rgb_picture(tmp_path, suffix, mode, tolerance):
    original = draw(RED_BALL, 64)
    path = saved(tmp_path, f"a.{suffix}", original.convert(mode))
    picture = open_picture(path)
    assert picture.mode == "RGB"
    assert size_of(path) == (64, 64)
    middle = np.asarray(picture, dtype=int)[24:40, 24:40].mean((0, 1))
    assert np.abs(middle - (214, 40, 40)).max() <= tolerance


def test_the_fingerprint_is_of_the_bytes(tmp_path):
    first = saved(tmp_path, "a.png", draw(RED_BALL, 64))
    (tmp_path / "b.png").write_bytes(first.read_bytes())
    other = saved(tmp_path, "c.png", draw(RED_BALL, 64), compress_level=1)
    prints = [inspect_picture(path).fingerprint for path in (first, tmp_path / "b.png", other)]
    assert prints[0] == prints[1] != prints[2]
    assert len(prints[0]) == 32


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_cameras_rotation_is_applied(tmp_path, orientation):
    upright = draw(Scene("ball", "red", "white", 0.3, 0.2, 0.3), 96, 64)
    back = {
        1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270,
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = upright if back is None else upright.transpose(back)
    path = saved(tmp_path, "a.png", stored, exif=exif)
    assert size_of(path) == (96, 64)
    assert np.array_equal(np.asarray(open_picture(path)), np.asarray(upright))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_a_garbled_exif_block_is_ignored(tmp_path):
    path = saved(tmp_path, "a.jpg", draw(RED_BALL, 64), exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff")
    assert size_of(path) == (64, 64)


@pytest.mark.parametrize(("mode", "white"), [("I;16", 65535), ("F", 1.0), ("F", 255.0)])
def test_deep_grey_keeps_its_brightness(tmp_path, mode, white):
    ramp = np.tile(np.linspace(0, white, 128), (64, 1))
    values = ramp.astype(np.uint16 if mode == "I;16" else np.float32)
    path = saved(tmp_path, "a.tiff", Image.fromarray(values))
    assert np.asarray(open_picture(path)).mean() == pytest.approx(127.5, abs=1)


def test_float_pixels_that_are_not_numbers_are_refused(tmp_path):
    values = np.full((64, 64), 0.5, dtype=np.float32)
    values[3, 3] = np.nan
    assert "NaN" in reason(saved(tmp_path, "a.tiff", Image.fromarray(values)))


@pytest.mark.parametrize("mode", ["RGBA", "P"])
def test_the_colour_under_transparency_never_shows(tmp_path, mode):
    magenta = Image.new("RGB", (64, 64), (255, 0, 255))
    if mode == "RGBA":
        magenta.putalpha(0)
        path = saved(tmp_path, "a.png", magenta)
    else:
        path = saved(tmp_path, "a.png", magenta.quantize(), transparency=0)
    assert np.asarray(open_picture(path)).min() == 255


def test_an_animation_gives_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "green", "blue")]
    path = saved(tmp_path, "a.gif", frames[0], save_all=True, append_images=frames[1:])
    assert open_picture(path).getpixel((5, 5)) == (255, 0, 0)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "empty file"),
        (b"just some text", "not a picture"),
        (b"<!DOCTYPE html><html></html>", "a web page"),
        (b"<?xml version='1.0'?><svg xmlns='x'/>", "an SVG drawing"),
        (b"\x89PNG\r\n\x1a\n", ""),
    ],
)
def test_what_is_no_picture_gives_its_reason(tmp_path, data, expected):
    (tmp_path / "a.png").write_bytes(data)
    assert expected in reason(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "gif"])
@pytest.mark.parametrize("forgiving", [False, True])
def test_half_a_picture_is_refused_even_if_pillow_was_told_to_be_forgiving(tmp_path, monkeypatch, suffix, forgiving):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", forgiving)
    noise = np.random.default_rng(0).integers(0, 255, (96, 96, 3), dtype=np.uint8)
    path = saved(tmp_path, f"a.{suffix}", Image.fromarray(noise))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert reason(path)
    assert forgiving is ImageFile.LOAD_TRUNCATED_IMAGES


def test_a_truncated_jpeg_is_called_truncated(tmp_path):
    path = saved(tmp_path, "a.jpg", draw(RED_BALL, 200))
    path.write_bytes(path.read_bytes()[:-500])
    assert reason(path).startswith("truncated")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_bomb_is_refused_by_its_header(tmp_path):
    path = saved(tmp_path, "a.png", Image.new("1", (64, 64)))
    data = bytearray(path.read_bytes())
    data[16:24] = (11_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    path.write_bytes(data)
    assert reason(path) == "too large: more than 100 million pixels"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")
def test_a_fifo_named_png_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    assert reason(tmp_path / "a.png") == "not an ordinary file"


def test_a_folder_or_a_missing_file_is_refused(tmp_path):
    (tmp_path / "a.png").mkdir()
    assert reason(tmp_path / "a.png") == "not an ordinary file"
    assert reason(tmp_path / "b.png") == "no such file or directory"


def test_a_file_over_the_limit_is_not_read(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"x" * 2049)
    with pytest.raises(UnreadableFile, match="larger than 2 KB"):
        read_regular_file(tmp_path / "a.txt", 2048)


def test_training_sees_the_crop_at_the_buckets_size(tmp_path):
    left_red = Image.new("RGB", (200, 100), "blue")
    left_red.paste("red", (0, 0, 100, 100))
    saved(tmp_path, "a.png", left_red)
    image = read_folder(tmp_path).images[0]
    crop = CropBox(left=0, top=0, right=100, bottom=100, method="focus")
    pixels = training_pixels(replace(image, crop=crop, bucket=(64, 64)))
    assert pixels.size == (64, 64)
    assert set(pixels.getcolors()) == {(64 * 64, (255, 0, 0))}, "the resize must not reach past the crop"
    assert training_pixels(image).size == (200, 100)
    assert training_pixels(replace(image, bucket=(64, 128))).size == (64, 128)


def test_a_picture_replaced_after_reading_is_noticed(tmp_path):
    path = saved(tmp_path, "a.png", draw(RED_BALL, 64))
    image = read_folder(tmp_path).images[0]
    saved(tmp_path, path.name, draw(RED_BALL, 96))
    with pytest.raises(TrainingError, match="has changed since the dataset was read"):
        training_pixels(image)
