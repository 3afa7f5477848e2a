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
from trainer_core.dataset.pictures import inspect_picture, open_mask, open_picture, training_mask, training_pixels
from trainer_core.dataset.types import CropBox, DatasetImage, Mask
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


def image_of(path: Path, **fields) -> DatasetImage:
    facts = inspect_picture(path)
    return DatasetImage(
        path=path, width=facts.width, height=facts.height, caption="", caption_source="none", repeats=1,
        is_regularisation=False, fingerprint=facts.fingerprint, **fields,
    )  # fmt: skip


def box(left: int, top: int, right: int, bottom: int) -> CropBox:
    return CropBox(left=left, top=top, right=right, bottom=bottom, method="override")


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


def test_every_level_of_deep_grey_is_rounded_to_the_nearest(tmp_path):
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    opened = np.asarray(open_picture(saved(tmp_path, "a.png", Image.fromarray(levels))))[..., 0]
    assert np.array_equal(opened, (levels * (255 / 65535)).round().astype(np.uint8))


@pytest.mark.parametrize("mode", ["RGBA", "P"])
def test_the_colour_under_transparency_never_shows(tmp_path, mode):
    magenta = Image.new("RGB", (64, 64), (255, 0, 255))
    if mode == "RGBA":
        magenta.putalpha(0)
        path = saved(tmp_path, "a.png", magenta)
    else:
        path = saved(tmp_path, "a.png", magenta.quantize(), transparency=0)
    assert np.asarray(open_picture(path)).min() == 255


def test_what_shows_through_has_the_background_it_is_given(tmp_path):
    clear = Image.new("RGBA", (64, 64), (255, 0, 255, 0))
    clear.paste((10, 20, 30, 255), (0, 0, 32, 64))
    clear.paste((0, 0, 0, 128), (0, 0, 32, 8))
    path = saved(tmp_path, "a.png", clear)
    picture = open_picture(path, "#336699")
    assert [picture.getpixel(at) for at in ((50, 50), (10, 50))] == [(0x33, 0x66, 0x99), (10, 20, 30)]
    assert picture.getpixel((10, 4)) == pytest.approx((0x33 / 2, 0x66 / 2, 0x99 / 2), abs=1)
    assert inspect_picture(path).is_transparent
    assert inspect_picture(path, "#000000").measures.luma < inspect_picture(path, "#ffffff").measures.luma


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_an_alpha_channel_that_hides_nothing_is_no_transparency(tmp_path, mode):
    original = draw(RED_BALL, 64)
    opaque = original.convert("L" if mode == "LA" else "RGB").convert("RGBA" if mode == "PA" else mode)
    path = saved(tmp_path, "a.png", opaque)
    assert not inspect_picture(path).is_transparent
    assert np.array_equal(np.asarray(open_picture(path, "#123456")), np.asarray(opaque.convert("RGB")))


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


@pytest.mark.parametrize(("quality", "expected"), [(5, True), (29, True), (31, False), (75, False), (95, False)])
def test_heavy_compression_is_noted(tmp_path, quality, expected):
    path = saved(tmp_path, "a.jpg", draw(RED_BALL, 64), quality=quality)
    assert ("heavy compression" in inspect_picture(path).notes) is expected


def test_a_cameras_second_picture_is_no_animation(tmp_path):
    first, second = draw(RED_BALL, 64), Image.new("RGB", (64, 64))
    path = saved(tmp_path, "a.jpg", first, format="MPO", save_all=True, append_images=[second])
    assert Image.open(path).format == "MPO"
    assert inspect_picture(path).notes == ()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\0\0\0\x18ftypheix" + bytes(40), "a HEIC picture"),
        (b"\0\0\0\x18ftypisom" + bytes(40), "a film"),
        (b"\0\0\0\x18ftypavif" + bytes(40), "AVIF"),
        (b"8BPS\0\1" + bytes(40), "a PSD picture"),
        (b"%PDF-1.7", "a PDF document"),
        (b"PK\3\4" + bytes(40), "a ZIP archive"),
        (b"RIFF\xff\0\0\0WEBPVP8 ", "broken"),
        (b"GIF89a\0\0\0\0\0\0\0", "broken"),
        (b"BM" + bytes(60), ""),
    ],
)
def test_what_a_file_is_instead_is_told_by_its_first_bytes(tmp_path, data, expected):
    (tmp_path / "a.jpg").write_bytes(data)
    assert expected in reason(tmp_path / "a.jpg")


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


@pytest.mark.parametrize("size", [(64, 64), (96, 96)])
def test_a_picture_edited_after_reading_is_noticed_even_at_its_old_size(tmp_path, size):
    image = image_of(saved(tmp_path, "a.png", draw(RED_BALL, 64)))
    saved(tmp_path, "a.png", Image.new("RGB", size))
    with pytest.raises(TrainingError, match=r"changed since the dataset was read\. Load the dataset again\.$"):
        training_pixels(image)


def test_an_ordinary_crop_is_what_pillow_makes_of_it(tmp_path):
    picture = draw(Scene("ball", "red", "white", 0.3, 0.2, 0.3), 200, 150)
    image = image_of(saved(tmp_path, "a.png", picture), crop=box(10, 0, 150, 140), bucket=(64, 64))
    expected = picture.crop((10, 0, 150, 140)).resize((64, 64), Image.Resampling.LANCZOS, reducing_gap=3.0)
    assert training_pixels(image).tobytes() == expected.tobytes()


def test_training_sees_the_background_behind_and_around_a_cut_out(tmp_path):
    cut_out = Image.new("RGBA", (64, 64), (255, 0, 255, 0))
    cut_out.paste((200, 0, 0, 255), (0, 0, 64, 32))
    path = saved(tmp_path, "a.png", cut_out)
    crop = box(-16, -32, 80, 96)
    pixels = training_pixels(image_of(path, crop=crop, background="#00ff00"))
    assert pixels.size == (96, 128)
    assert pixels.crop((16, 32, 80, 64)).getcolors() == [(64 * 32, (200, 0, 0))]
    assert sorted(pixels.getcolors()) == [(64 * 32, (200, 0, 0)), (96 * 128 - 64 * 32, (0, 255, 0))]
    assert training_pixels(image_of(path, crop=crop)).getpixel((0, 0)) == (255, 255, 255)


def test_a_mask_of_any_size_travels_with_the_crop(tmp_path):
    path = saved(tmp_path, "a.png", Image.new("RGB", (200, 100), "blue"))
    half_size = Image.new("L", (100, 50), 0)
    half_size.paste(255, (50, 0, 100, 50))
    mask = saved(tmp_path, "a-masklabel.png", half_size)
    image = image_of(path, mask=Mask(path=mask, fingerprint=inspect_picture(mask).fingerprint))
    assert training_mask(replace(image, mask=None)) is None
    assert open_mask(image).size == (200, 100)
    whole = training_mask(image)
    assert (whole.mode, whole.size) == ("L", (200, 100))
    assert [whole.getpixel((x, 50)) for x in (10, 190)] == [0, 255]
    inside = training_mask(replace(image, crop=box(120, 20, 180, 80), bucket=(32, 32)))
    assert inside.getcolors() == [(32 * 32, 255)]
    padded = training_mask(replace(image, crop=box(110, -100, 210, 200), bucket=(100, 300)))
    assert [padded.getpixel(at) for at in ((50, 50), (50, 150), (50, 250), (95, 150))] == [0, 255, 0, 0]


def test_a_masks_edges_have_no_rings(tmp_path):
    path = saved(tmp_path, "a.png", Image.new("RGB", (256, 256)))
    disc = Image.new("L", (256, 256), 0)
    disc.paste(255, (0, 0, 130, 256))
    mask = saved(tmp_path, "mask.png", disc)
    image = image_of(path, mask=Mask(path=mask, fingerprint=inspect_picture(mask).fingerprint), bucket=(64, 64))
    row = np.asarray(training_mask(image))[32].astype(int)
    assert (np.diff(row) <= 0).all(), row


@pytest.mark.parametrize("orientation", [1, 6])
def test_transparency_as_a_mask_is_upright(tmp_path, orientation):
    upright = Image.new("RGBA", (96, 64), (9, 9, 9, 0))
    upright.paste((9, 9, 9, 255), (0, 0, 96, 20))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = upright.transpose(Image.Transpose.ROTATE_90) if orientation == 6 else upright
    image = image_of(saved(tmp_path, "a.png", stored, exif=exif))
    own = Mask(path=image.path, fingerprint=image.fingerprint, is_transparency=True)
    assert training_mask(replace(image, mask=own)).tobytes() == upright.getchannel("A").tobytes()


def test_a_mask_changed_after_reading_is_noticed(tmp_path):
    path = saved(tmp_path, "a.png", draw(RED_BALL, 64))
    mask = saved(tmp_path, "mask.png", Image.new("L", (64, 64), 255))
    image = image_of(path, mask=Mask(path=mask, fingerprint=inspect_picture(mask).fingerprint))
    saved(tmp_path, "mask.png", Image.new("L", (64, 64), 254))
    with pytest.raises(TrainingError, match=r"mask\.png has changed"):
        training_mask(image)
