"""Crops, training sizes, numbers and balance: what is enlarged, cut, seen too seldom or too often."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.photos import entry, healthy
from trainer_core.dataset.report import cut_share, enlarged_by
from trainer_core.dataset.types import CropBox, Dataset, DatasetImage
from trainer_core.dataset.wording import FileNames
from trainer_core.health.balance import balance_findings
from trainer_core.health.crops import crop_findings
from trainer_core.health.findings import Finding


def cropped(name: str, *, size=(512, 512), crop=None, bucket=(512, 512), method="mask", kept=1.0, **changed):
    left, top, right, bottom = crop or (0, 0, *size)
    box = CropBox(left=left, top=top, right=right, bottom=bottom, method=method, subject_kept=kept)
    return entry(name, width=size[0], height=size[1], crop=box, bucket=bucket, **changed)


def findings(*images, batch_size=None) -> dict[str, Finding]:
    dataset = Dataset(images=images)
    found = crop_findings(dataset, FileNames(dataset), batch_size)
    assert len({(finding.kind, *finding.files) for finding in found}) == len(found), "no picture is told twice"
    return {finding.kind: finding for finding in found}


USUAL = [cropped(f"ok{n}.png") for n in range(4)]


def test_healthy_crops_give_no_findings():
    assert findings(*USUAL, batch_size=4) == {}
    assert findings(*healthy(5), batch_size=4) == {}, "before Smart Crop there is nothing to say"


@pytest.mark.parametrize(
    ("side", "level", "label"),
    [(512, None, None), (503, None, None), (500, "note", "x1.02"), (410, "note", "x1.25"), (409, "stop", "x1.25"),
     (366, "stop", "x1.40")],
)  # fmt: skip
def test_enlarged_pictures(side, level, label):
    found = findings(*USUAL, cropped("odd.png", size=(side, side)))
    assert set(found) == ({"upscaled"} if level else set())
    if level:
        assert (found["upscaled"].level, found["upscaled"].labels) == (level, (f"upscaled {label}",))


def test_the_crop_counts_not_the_picture():
    odd = cropped("odd.png", size=(2000, 2000), crop=(0, 0, 256, 256), method="override")
    assert enlarged_by(odd) == 2
    assert findings(*USUAL, odd)["upscaled"].files == ("odd.png",)


@pytest.mark.parametrize(("width", "is_told"), [(650, True), (651, False)])
@pytest.mark.parametrize("method", ["center", "focus", "override", "mask", "boxes", "face"])
def test_a_crop_that_cuts_much_away(width, is_told, method):
    """35 % of 1000 pixels is 350. A window that knows its subject cuts on purpose."""
    odd = cropped("odd.png", size=(1000, 600), crop=(0, 0, width - 1, 600), bucket=(640, 600), method=method)
    found = findings(odd)
    assert ("much cut" in found) == (is_told and method in ("center", "focus"))


def test_padding_is_not_counted_as_cut():
    padded = cropped("odd.png", size=(400, 800), crop=(-200, 0, 600, 800))
    assert cut_share(padded) == 0
    half = cropped("odd.png", size=(400, 800), crop=(-200, 400, 600, 1200))
    assert cut_share(half) == 0.5


@pytest.mark.parametrize(("kept", "level"), [(1.0, None), (0.9, None), (0.89, "warn"), (0.5, "warn"), (0.49, "stop")])
def test_a_subject_that_is_cut(kept, level):
    found = findings(*USUAL, cropped("odd.png", kept=kept))
    assert set(found) == ({"subject cut"} if level else set())
    if level:
        finding = found["subject cut"]
        assert (finding.level, finding.labels) == (level, (f"{1 - kept:.0%} of the subject cut",))
        assert f"loses {1 - kept:.0%} of its subject" in finding.text
        for remedy in ("buckets", "padding", "overrides"):
            assert remedy in finding.advice


def test_the_worst_cut_subject_comes_first():
    found = findings(*(cropped(f"{n}.png", kept=kept) for n, kept in enumerate((0.8, 0.6, 0.7))))
    assert found["subject cut"].files == ("1.png", "2.png", "0.png")
    assert "lose up to 40% of their subjects" in found["subject cut"].text


def test_pictures_trained_smaller_than_the_rest():
    small = cropped("odd.png", size=(400, 400), bucket=(384, 384))
    assert findings(*USUAL, small)["trained small"].files == ("odd.png",)
    other_shape = cropped("wide.png", size=(2000, 1000), bucket=(704, 320))
    assert "trained small" not in findings(*USUAL, other_shape)


@pytest.mark.parametrize(
    ("repeats", "batch_size", "is_told"), [(2, 4, True), (4, 4, False), (1, 1, False), (1, None, False)]
)
def test_sizes_that_fill_no_batch(repeats, batch_size, is_told):
    odd = cropped("odd.png", size=(768, 512), bucket=(768, 512), repeats=repeats)
    found = findings(*USUAL, odd, batch_size=batch_size)
    assert ("short batches" in found) == is_told
    if is_told:
        assert found["short batches"].text.endswith("batch of 4: 768 x 512 (2 samples)")


# ------------------------------------------------------------------------------------------------------- balance


def balance(*images: DatasetImage) -> dict[str, Finding]:
    dataset = Dataset(images=images)
    return {finding.kind: finding for finding in balance_findings(dataset, FileNames(dataset))}


def ordinary(count: int, **changed) -> list[DatasetImage]:
    return [entry(f"reg{n}.png", is_regularisation=True, **changed) for n in range(count)]


@pytest.mark.parametrize(
    ("count", "level"), [(1, "warn"), (4, "warn"), (5, "note"), (14, "note"), (15, None), (20, None), (500, None)]
)
def test_how_many_pictures_are_enough(count, level):
    found = balance(*healthy(count))
    assert {finding.level for finding in found.values()} == ({level} if level else set())
    if level:
        assert "angles, distances, poses, light and backgrounds" in found["few pictures"].advice


def test_regularisation_pictures_alone_stop():
    assert balance(*ordinary(12))["few pictures"].level == "stop"


@pytest.mark.parametrize(("count", "is_told"), [(9, True), (10, False), (20, False)])
def test_how_many_regularisation_pictures_are_usual(count, is_told):
    assert ("few regularisation pictures" in balance(*healthy(15), *ordinary(count))) == is_told


@pytest.mark.parametrize(
    ("repeats", "ordinary_repeats", "words"),
    [(5, 1, None), (6, 1, "about 9 times"), (1, 1, None), (1, 2, "take turns to match 15")],
)
def test_how_often_regularisation_pictures_are_seen(repeats, ordinary_repeats, words):
    """15 training pictures beside 10 regularisation pictures; they match at 1.5 samples each."""
    training = [entry(f"{n}.png", repeats=repeats) for n in range(15)]
    found = balance(*training, *ordinary(10, repeats=ordinary_repeats))
    assert ("regularisation balance" in found) == (words is not None)
    if words:
        assert words in found["regularisation balance"].text


@pytest.mark.parametrize(("repeats", "is_told"), [(29, False), (30, True)])
def test_folders_seen_unequally_often(repeats, is_told):
    def folder(name: str, repeats: int) -> list[DatasetImage]:
        return [entry(f"{name}{n}.png", path=Path(f"/p/{name}/{n}.png"), repeats=repeats) for n in range(10)]

    found = balance(*folder("cat", repeats), *folder("dog", 10))
    assert ("folder balance" in found) == is_told
    if is_told:
        assert "cat 300, dog 100" in found["folder balance"].text
        assert "give dog about 30 repeats" in found["folder balance"].advice


def test_the_repeats_to_give_follow_from_the_number_of_pictures():
    cats = [entry(f"c{n}.png", path=Path(f"/p/cat/{n}.png"), repeats=4) for n in range(10)]
    dogs = [entry(f"d{n}.png", path=Path(f"/p/dog/{n}.png")) for n in range(5)]
    assert "give dog about 8 repeats" in balance(*cats, *dogs)["folder balance"].advice


@pytest.mark.parametrize(("step", "is_told"), [(0.5, True), (4.0, False)])
def test_one_light_for_all(step, is_told):
    images = [entry(f"{n}.png", measured={"luma": 100 + step * (n % 10)}) for n in range(15)]
    assert ("one light" in balance(*images)) == is_told
    assert "one light" not in balance(*images[:9])


def test_white_backgrounds_are_left_to_the_check_for_bright_pictures():
    assert "one light" not in balance(*(entry(f"{n}.png", measured={"luma": 230.0}) for n in range(15)))
