"""What is measured on a picture: the hashes are the known ones, and each number answers to what it is about."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from tests.photos import photo
from trainer_core.dataset.measures import Measures, measure


def bits_apart(one: str, other: str) -> int:
    return (int(one, 16) ^ int(other, 16)).bit_count()


def grey(level: int, width: int = 64, height: int = 64) -> Image.Image:
    return Image.new("RGB", (width, height), (level,) * 3)


def with_bars(picture: Image.Image, left: int, top: int, right: int, bottom: int, colour="black") -> Image.Image:
    """Bars over a picture's own pixels."""
    framed = Image.new("RGB", picture.size, colour)
    box = (left, top, picture.width - right, picture.height - bottom)
    framed.paste(picture.crop(box), box[:2])
    return framed


SIZES = ((256, 256), (300, 200), (123, 457), (1024, 768), (33, 31), (2000, 150), (1, 1), (7, 200))


@pytest.mark.parametrize("size", SIZES)
def test_the_phash_is_imagehashs_bit_for_bit(size):
    imagehash = pytest.importorskip("imagehash")
    for seed in range(6):
        picture = photo(seed, *size)
        assert measure(picture).phash == str(imagehash.phash(picture))


@pytest.mark.parametrize("size", SIZES)
def test_the_dhash_and_the_mirrored_hashes_are_imagehashs_but_for_rounding(size):
    imagehash = pytest.importorskip("imagehash")
    for seed in range(4):
        picture, mirror = photo(seed, *size), ImageOps.mirror(photo(seed, *size))
        found = measure(picture)
        assert bits_apart(found.dhash, str(imagehash.dhash(picture))) <= 2
        assert bits_apart(found.mirrored_dhash, str(imagehash.dhash(mirror))) <= 2
        assert bits_apart(found.mirrored_phash, str(imagehash.phash(mirror))) <= 2


@pytest.mark.parametrize(
    "changed",
    [
        lambda p: p.resize((128, 128)),
        lambda p: p.filter(ImageFilter.GaussianBlur(1.5)),
        lambda p: ImageEnhance.Brightness(p).enhance(1.1),
        lambda p: ImageEnhance.Color(p).enhance(0.3),
    ],
    ids=["half size", "blur", "brighter", "paler"],
)
def test_a_changed_copy_keeps_its_hash(changed):
    for seed in range(5):
        one, other = measure(photo(seed)), measure(changed(photo(seed)))
        assert bits_apart(one.phash, other.phash) <= 4 or bits_apart(one.dhash, other.dhash) <= 4


def test_different_pictures_have_distant_hashes():
    found = [measure(photo(seed)) for seed in range(12)]
    pairs = [(a, b) for index, a in enumerate(found) for b in found[:index]]
    assert min(bits_apart(a.phash, b.phash) for a, b in pairs) > 8
    assert min(bits_apart(a.dhash, b.dhash) for a, b in pairs) > 8


def test_blur_lowers_sharpness_below_the_limits():
    for seed in range(4):
        picture = photo(seed, 512, 512)
        soft, blurred = (picture.filter(ImageFilter.GaussianBlur(sigma)) for sigma in (1, 3))
        assert measure(picture).sharpness > 300 > measure(soft).sharpness > measure(blurred).sharpness
        assert measure(blurred).sharpness < 30


def test_a_sharp_subject_before_a_blurred_background_is_sharp():
    picture = photo(1, 512, 512).filter(ImageFilter.GaussianBlur(6))
    assert measure(picture).sharpness < 30
    picture.paste(photo(1, 512, 512).crop((150, 150, 350, 350)), (150, 150))
    assert measure(picture).sharpness > 300


def test_sharpness_is_measured_at_512_pixels_and_small_pictures_are_not_enlarged():
    """A large photograph that is soft at full size is sharp enough at the size it is trained at, and no small picture
    is called blurred for being small."""
    small = photo(2, 128, 128)
    assert measure(small).sharpness > 300
    large = photo(2, 2048, 2048).filter(ImageFilter.GaussianBlur(1))
    assert measure(large).sharpness > 75 > measure(large.crop((0, 0, 512, 512))).sharpness


@pytest.mark.parametrize(
    ("level", "dark", "bright"), [(15, 1, 0), (16, 0, 0), (240, 0, 0), (241, 0, 1), (0, 1, 0), (255, 0, 1)]
)
def test_the_limits_of_dark_and_bright(level, dark, bright):
    found = measure(grey(level))
    assert (found.luma, found.dark_share, found.bright_share, found.contrast) == (level, dark, bright, 0)


def test_light_is_a_mean_over_the_whole_picture():
    picture = grey(0, 100, 100)
    picture.paste((200, 200, 200), (0, 0, 25, 100))
    found = measure(picture)
    assert (found.luma, found.dark_share) == (50, 0.75)
    assert found.contrast == pytest.approx(np.asarray(picture.convert("L")).std(), abs=0.01)


def test_grey_is_told_from_colour():
    picture = photo(3)
    assert not measure(picture).is_grey
    assert measure(picture.convert("L").convert("RGB")).is_grey
    assert not measure(ImageOps.colorize(picture.convert("L"), "#100800", "#fff0d0")).is_grey, "sepia is a colour"


@pytest.mark.parametrize(
    ("bars", "share"),
    [
        ((0, 32, 0, 32), 0.125),
        ((32, 0, 64, 0), 0.25),
        ((0, 64, 0, 0), 0.25),
        ((0, 0, 0, 26), 0.1),
        ((0, 0, 0, 0), 0),
    ],
)
@pytest.mark.parametrize("colour", ["black", "white"])
def test_bars_along_the_borders(bars, share, colour):
    assert measure(with_bars(photo(4), *bars, colour)).bars == pytest.approx(share, abs=0.012)


def test_a_pair_of_coloured_bars_counts_and_a_single_one_does_not():
    assert measure(with_bars(photo(4), 0, 32, 0, 32, "teal")).bars == pytest.approx(0.125, abs=0.012)
    assert measure(with_bars(photo(4), 0, 64, 0, 0, "skyblue")).bars == 0, "a sky over a horizon"


def test_a_subject_on_a_plain_background_has_no_bars():
    picture = Image.new("RGB", (256, 256), "white")
    picture.paste(photo(5, 120, 160), (68, 50))
    assert measure(picture).bars == 0
    assert measure(Image.new("RGB", (256, 256), "black")).bars == 0


def test_bars_are_found_in_large_jpegs(tmp_path):
    path = tmp_path / "a.jpg"
    with_bars(photo(6, 1500, 1000), 0, 100, 0, 100).save(path, quality=70)
    assert measure(Image.open(path).convert("RGB")).bars == pytest.approx(0.1, abs=0.01)


def test_measures_are_plain_numbers():
    """They go into JSON."""
    found = measure(photo(1))
    kinds = [type(getattr(found, name)) for name in Measures.__slots__]
    assert kinds == [str] * 4 + [float] * 5 + [bool, float]
