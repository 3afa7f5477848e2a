"""Flat, blurred, dark, bright, grey, letterboxed and transparent pictures: each is found from its limit on."""

from __future__ import annotations

import pytest
from PIL import Image, ImageEnhance, ImageFilter

from tests.photos import entry, healthy, photo
from trainer_core.dataset.measures import measure
from trainer_core.dataset.types import Dataset, DatasetImage, Mask
from trainer_core.dataset.wording import FileNames
from trainer_core.health.findings import Finding
from trainer_core.health.pictures import picture_findings


def findings(*images) -> list[Finding]:
    dataset = Dataset(images=images)
    return picture_findings(dataset, FileNames(dataset))


def kinds(*images) -> set[str]:
    return {finding.kind for finding in findings(*images)}


def test_healthy_pictures_give_no_findings():
    assert findings(*healthy(20)) == []
    assert findings() == []


@pytest.mark.parametrize(
    ("measured", "kind", "label"),
    [
        ({"sharpness": 29.9}, "blurred", "blurred"),
        ({"sharpness": 30.0}, "soft", "soft"),
        ({"sharpness": 74.9}, "soft", "soft"),
        ({"sharpness": 75.0}, None, None),
        ({"luma": 39.9}, "dark", "dark"),
        ({"luma": 40.0}, None, None),
        ({"dark_share": 0.61}, "dark", "dark"),
        ({"dark_share": 0.6}, None, None),
        ({"luma": 215.1}, "bright", "bright"),
        ({"luma": 215.0}, None, None),
        ({"bright_share": 0.61}, "bright", "bright"),
        ({"bright_share": 0.6}, None, None),
        ({"contrast": 1.9, "luma": 0}, "flat", "all black"),
        ({"contrast": 1.9, "luma": 255}, "flat", "all white"),
        ({"contrast": 1.9, "luma": 99}, "flat", "one flat colour"),
        ({"contrast": 2.0}, None, None),
        ({"bars": 0.02}, "bars", "bar of 2%"),
        ({"bars": 0.019}, None, None),
        ({"is_grey": True}, "grey", "no colour"),
    ],
)
def test_the_limit_of_each_measure(measured, kind, label):
    found = findings(*healthy(19), entry("odd.png", measured=measured))
    assert [(finding.kind, finding.files, finding.labels) for finding in found] == (
        [(kind, ("odd.png",), (label,))] if kind else []
    )


def seen(name: str, picture: Image.Image) -> DatasetImage:
    return entry(name, measures=measure(picture))


def test_real_pictures_are_judged_as_one_sees_them():
    looks = {
        "blurred": lambda p: p.filter(ImageFilter.GaussianBlur(4)),
        "dark": lambda p: ImageEnhance.Brightness(p).enhance(0.15),
        "bright": lambda p: Image.blend(p, Image.new("RGB", p.size, "white"), 0.75),
        "flat": lambda p: Image.new("RGB", p.size, "black"),
        "grey": lambda p: p.convert("L").convert("RGB"),
    }
    healthy_ones = [seen(f"{seed}.png", photo(seed, 512, 512)) for seed in range(30)]
    odd = [seen(name, look(photo(50, 512, 512))) for name, look in looks.items()]
    assert {finding.kind: finding.files for finding in findings(*healthy_ones, *odd)} == {
        name: (name,) for name in looks
    }


def test_a_dark_picture_is_not_called_blurred_for_its_lack_of_light():
    def at_night(picture: Image.Image, light: float = 0.07) -> DatasetImage:
        return seen("night.png", ImageEnhance.Brightness(picture).enhance(light))

    picture = photo(1, 512, 512)
    assert at_night(picture).measures.sharpness < 30
    assert kinds(*healthy(10), at_night(picture)) == {"dark"}
    assert kinds(*healthy(10), entry("a.png", measured={"luma": 26.0, "sharpness": 5.0})) == {"dark"}, "80 in the light"
    assert kinds(*healthy(10), at_night(picture.filter(ImageFilter.GaussianBlur(5)), 0.2)) == {"dark", "blurred"}


def test_a_set_that_is_soft_by_nature_is_explained_and_not_blamed():
    flat_art = [entry(f"{n}.png", measured={"sharpness": 20.0 + n}) for n in range(12)]
    (finding,) = findings(*flat_art, *healthy(2))
    assert (finding.kind, finding.level, finding.files) == ("soft set", "note", ())
    assert finding.text.startswith("12 of 14 pictures")


def test_in_a_soft_set_only_what_falls_far_behind_is_blurred():
    flat_art = [entry(f"{n}.png", measured={"sharpness": 40.0}) for n in range(12)]
    odd = entry("odd.png", measured={"sharpness": 3.9})
    even = entry("even.png", measured={"sharpness": 4.1})
    assert {finding.kind: finding.files for finding in findings(*flat_art, odd, even)} == {
        "blurred": ("odd.png",),
        "soft set": (),
    }


def test_half_of_a_set_is_not_most_of_it():
    soft = [entry(f"{n}.png", measured={"sharpness": 10.0}) for n in range(5)]
    assert kinds(*soft, *healthy(5)) == {"blurred"}
    assert kinds(*soft, *healthy(4)) == {"soft set"}


@pytest.mark.parametrize(("odd", "is_many"), [(2, False), (3, True)])
def test_many_dark_and_bright_pictures_call_for_other_noise(odd, is_many):
    """15 % of 20 training pictures are 3; regularisation pictures do not count."""
    images = [entry(f"{n}.png", measured={"luma": (10.0, 250.0)[n % 2]}) for n in range(odd)]
    ordinary = [entry(f"r{n}.png", is_regularisation=True, measured={"luma": 5.0}) for n in range(9)]
    found = {finding.kind: finding for finding in findings(*images, *healthy(20 - odd), *ordinary)}
    assert ("extreme light" in found) == is_many
    if is_many:
        assert "3 of 20" in found["extreme light"].text
        for words in ("multires noise", "6 to 10", "0.3 to 0.8"):
            assert words in found["extreme light"].advice


def test_a_set_without_colour_is_not_told_so():
    assert kinds(*(entry(f"{n}.png", measured={"is_grey": True}) for n in range(5))) == set()


def test_transparency_is_told_with_its_background_unless_it_is_a_mask():
    mask = Mask(path=entry("a.png").path, fingerprint="", is_transparency=True)
    clear, masked = entry("a.png", background="#ffffff"), entry("b.png", background="#ffffff", mask=mask)
    (finding,) = findings(clear, masked)
    assert (finding.kind, finding.files, finding.labels) == (
        "transparency", ("a.png",), ("transparent, on #ffffff",),
    )  # fmt: skip


def test_pictures_without_measures_are_left_alone():
    assert findings(entry("a.png", measures=None)) == []
