"""Colour profiles: what is sRGB stays as it is, what is not becomes sRGB, what makes no sense is left alone."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from trainer_core.dataset.colour import to_srgb
from trainer_core.dataset.pictures import inspect_picture, open_picture

from .colour_profiles import PRINT_RED, WIDE_RED, grey_profile, odd_printer_profile, rgb_profile, seen_in_srgb
from .picture_bytes import encoded, photo

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SRGB_RED = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))


def written(folder: Path, name: str, data: bytes) -> Path:
    (folder / name).write_bytes(data)
    return folder / name


@pytest.mark.parametrize("primaries", [WIDE_RED, PRINT_RED])
@pytest.mark.parametrize("colour", [(100, 150, 200), (40, 40, 40), (250, 128, 60)])
def test_a_wide_profile_is_brought_to_srgb(primaries, colour):
    converted, note = to_srgb(Image.new("RGB", (4, 4), colour), rgb_profile("Wide", primaries, 1.8))
    assert note == "colours converted from Wide"
    assert converted.getpixel((1, 1)) == pytest.approx(seen_in_srgb(colour, primaries, 461 / 256), abs=2)


def test_srgb_itself_changes_nothing():
    picture = photo(64, 64)
    converted, note = to_srgb(picture, SRGB)
    assert (converted.tobytes(), note) == (picture.tobytes(), "")


def test_a_profiles_name_is_not_believed():
    _, note = to_srgb(photo(8, 8), rgb_profile("sRGB IEC61966-2.1", PRINT_RED, 2.2))
    assert note == "colours converted from sRGB IEC61966-2.1"


@pytest.mark.parametrize("gamma", [1.9, 2.0, 2.4])
def test_a_profile_that_differs_visibly_is_not_taken_for_srgb(gamma):
    _, note = to_srgb(photo(8, 8), rgb_profile("Nearly", SRGB_RED, gamma))
    assert note == "colours converted from Nearly"


@pytest.mark.parametrize(
    ("mode", "level", "profile", "expected"),
    [
        ("L", 128, grey_profile("Linear grey", 1.0), 188),
        ("L", 128, rgb_profile("Screen", SRGB_RED, 1.0), 188),
        ("L", 128, SRGB, 128),
        ("L", 128, odd_printer_profile(), 128),
        ("RGB", (128, 128, 128), grey_profile("Linear grey", 1.0), 128),
    ],
)
def test_grey_takes_profiles_that_fit_it(mode, level, profile, expected):
    converted, _ = to_srgb(Image.new(mode, (4, 4), level), profile)
    assert converted.mode == "RGB"
    assert converted.getpixel((1, 1)) == pytest.approx((expected,) * 3, abs=2)


@pytest.mark.parametrize("profile", [b"garbage" * 40, SRGB[:200], odd_printer_profile(), grey_profile("Grey", 2.2)])
def test_a_profile_that_cannot_be_used_is_noted_and_left_alone(tmp_path, profile):
    picture = photo(64, 64)
    path = written(tmp_path, "a.png", encoded(picture, "PNG", icc_profile=profile))
    assert inspect_picture(path).notes == ("its colour profile cannot be used",)
    assert open_picture(path).tobytes() == picture.tobytes()


def test_without_a_colour_engine_profiles_are_noted(monkeypatch):
    def missing(*_):
        raise ImportError("The _imagingcms C module is not installed")

    monkeypatch.setattr(ImageCms, "ImageCmsProfile", missing)
    picture = photo(8, 8)
    converted, note = to_srgb(picture, SRGB)
    assert (converted.tobytes(), note) == (picture.tobytes(), "its colour profile cannot be used")


def test_transparency_survives_the_conversion(tmp_path):
    picture = Image.new("RGBA", (64, 64), (100, 150, 200, 255))
    picture.paste((100, 150, 200, 0), (0, 0, 64, 32))
    path = written(tmp_path, "a.png", encoded(picture, "PNG", icc_profile=rgb_profile("Wide", WIDE_RED, 2.2)))
    opened = open_picture(path, "#00ff00")
    assert opened.getpixel((5, 5)) == (0, 255, 0)
    assert opened.getpixel((5, 60)) == pytest.approx(seen_in_srgb((100, 150, 200), WIDE_RED, 2.2), abs=2)
    assert inspect_picture(path).is_transparent


@pytest.mark.parametrize("kind", ["grey 16", "grey alpha", "palette"])
def test_profiles_reach_every_mode(tmp_path, kind):
    profile = rgb_profile("Screen", SRGB_RED, 1.0) if kind == "palette" else grey_profile("Linear grey", 1.0)
    grey = Image.new("L", (64, 64), 128)
    picture = {
        "grey 16": Image.fromarray(np.full((64, 64), 128 * 257, np.uint16)),
        "grey alpha": Image.merge("LA", (grey, Image.new("L", (64, 64), 255))),
        "palette": grey.convert("RGB").quantize(4),
    }[kind]
    path = written(tmp_path, "a.png", encoded(picture, "PNG", icc_profile=profile))
    assert open_picture(path).getpixel((5, 5)) == pytest.approx((188,) * 3, abs=2)


@pytest.mark.parametrize("profile", [rgb_profile("Wide", WIDE_RED, 2.2), odd_printer_profile(), SRGB])
def test_what_is_saved_of_a_picture_does_not_carry_its_old_profile(tmp_path, profile):
    data = encoded(photo(64, 64), "PNG", icc_profile=profile)
    again = encoded(open_picture(written(tmp_path, "a.png", data)), "PNG")
    assert "icc_profile" not in Image.open(io.BytesIO(again)).info


def test_a_lab_picture_is_read(tmp_path):
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    lab = ImageCms.applyTransform(Image.new("RGB", (64, 64), (200, 60, 90)), to_lab)
    path = written(tmp_path, "a.tiff", encoded(lab, "TIFF"))
    assert Image.open(io.BytesIO(path.read_bytes())).mode == "LAB"
    assert open_picture(path).getpixel((5, 5)) == pytest.approx((200, 60, 90), abs=4)
    assert inspect_picture(path).notes == ("colours converted from LAB",)
