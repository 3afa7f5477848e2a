"""The whole report: counts first, worst first, JSON, private; and its sheet."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from tests.photos import entry, healthy, photo
from trainer_core.dataset.folder import read_folder
from trainer_core.dataset.merge import combine
from trainer_core.dataset.rules import ReadingRules
from trainer_core.dataset.types import CropBox, Dataset, SkippedFile
from trainer_core.demo import DEMO_PICTURES
from trainer_core.errors import TrainingError
from trainer_core.health import sheet
from trainer_core.health.findings import LEVELS, Finding, worst_first
from trainer_core.health.report import health_report
from trainer_core.health.sheet import health_sheet

RED, YELLOW, BLUE, GREEN = (255, 92, 84), (255, 196, 61), (120, 190, 255), (132, 214, 140)


@pytest.fixture(scope="module")
def messy(tmp_path_factory) -> Dataset:
    """Pictures and files with one problem each, beside 15 good pictures and 10 of regularisation."""
    folder = tmp_path_factory.mktemp("pictures")
    things, ordinary = folder / "things", folder / "ordinary"
    things.mkdir()
    ordinary.mkdir()
    for number in range(15):
        photo(number, 512, 512).save(things / f"ok{number}.png")
        (things / f"ok{number}.txt").write_text(f"mychar, scene {number}")
    for number in range(10):
        photo(100 + number, 512, 512).save(ordinary / f"r{number}.png")
    odd = {
        "black.png": Image.new("RGB", (512, 512)),
        "blurred.png": photo(50, 512, 512).filter(ImageFilter.GaussianBlur(4)),
        "copy.jpg": photo(3, 512, 512),
        "grey.png": photo(51, 512, 512).convert("L"),
    }
    for name, picture in odd.items():
        picture.save(things / name)
        (things / name).with_suffix(".txt").write_text(f"mychar, {name}")
    (things / "empty.png").touch()
    rules = ReadingRules(most_unusable=1.0)
    dataset = combine(read_folder(things, rules=rules), read_folder(ordinary))
    return replace(dataset, trigger_words=("mychar",))


def test_a_healthy_varied_set_has_no_findings():
    assert health_report(Dataset(images=tuple(healthy(20)), trigger_words=("mychar",)), batch_size=4).findings == ()


def test_of_the_demo_only_what_is_true_is_said():
    """White backgrounds, few words that tell pictures apart, two pairs of drawn things of one outline."""
    demo = combine(read_folder(DEMO_PICTURES / "10_mochi"), read_folder(DEMO_PICTURES / "regularisation"))
    report = health_report(demo, batch_size=2)
    assert {finding.kind for finding in report.findings} == {
        "regularisation duplicate", "bright", "extreme light", "common tags", "caption equal",
    }  # fmt: skip
    assert {finding.level for finding in report.findings} == {"note"}
    assert report.ok == 35


def test_the_counts_come_first(messy):
    report = health_report(messy)
    assert report.lines()[:2] == [
        "25 pictures OK, 4 to look at, 1 skipped",
        "19 training samples an epoch from 19 pictures, beside 10 regularisation pictures",
    ]
    images = (replace(image, is_repaired=image.path.name in ("ok1.png", "blurred.png")) for image in messy.images)
    repaired = health_report(messy.with_images(tuple(images)))
    assert repaired.lines()[0] == "24 pictures OK, 3 to look at, 2 repaired, 1 skipped"
    assert health_report(Dataset(images=tuple(healthy(1)))).lines()[0] == "1 picture OK"


def test_the_worst_comes_first(messy):
    levels = [LEVELS.index(finding.level) for finding in health_report(messy).findings]
    assert levels == sorted(levels) and set(levels) == {0, 1, 2}
    found = {finding.kind: finding for finding in health_report(messy).findings}
    assert set(found) == {"flat", "skipped", "near duplicate", "blurred", "grey"}
    assert set(found["near duplicate"].files) == {"things/copy.jpg", "things/ok3.png"}
    assert found["skipped"].files == ("things/empty.png",)


def test_findings_of_a_level_keep_their_order():
    found = [Finding(kind=f"{level}{n}", level=level, text="", advice="") for n in "12" for level in ("note", "stop")]
    assert [finding.kind for finding in worst_first(found)] == ["stop1", "stop2", "note1", "note2"]


def test_every_line_says_what_to_do(messy):
    for finding in health_report(messy).findings:
        assert finding.line == f"{finding.level}: {finding.text}. {finding.advice}."
        assert finding.advice and not finding.advice.endswith(".") and not finding.text.endswith(".")
        assert len(finding.labels) == len(finding.files)
        assert "\n" not in finding.line


def test_findings_stand_between_the_counts_and_the_shapes(messy):
    report = health_report(messy)
    assert len(report.findings) == 5
    assert report.lines()[2:-1] == [finding.line for finding in report.findings]
    assert report.lines()[-1] == "shapes: square 29"
    assert [finding.level for finding in report.findings].count("stop") == 1


def test_shapes_are_counted():
    images = [entry(f"{n}.png", width=w, height=h) for n, (w, h) in enumerate([(110, 100), (111, 100), (100, 111)])]
    assert health_report(Dataset(images=tuple(images))).shapes == {"square": 1, "wide": 1, "tall": 1}


def test_the_report_is_json_and_says_nothing_about_the_disk(messy):
    report = health_report(messy)
    text = json.dumps(report.to_json()) + "\n".join(report.lines())
    assert str(messy.images[0].path.parents[1]) not in text and "/tmp" not in text
    value = json.loads(json.dumps(report.to_json()))
    assert value["pictures"] == 19 and value["skipped"] == 1 and value["findings"][0]["kind"] == "flat"
    assert set(value["findings"][0]) == {
        "kind", "level", "text", "advice", "files", "labels", "case", "values",
    }  # fmt: skip


def test_folders_without_a_common_place_are_told_by_their_names():
    blurred = entry("a.png", path=Path("/home/me/a/x.png"), measured={"sharpness": 1.0})
    report = health_report(Dataset(images=(blurred, entry("b.png", path=Path("/data/b/y.png")))))
    assert [finding.files for finding in report.findings if finding.kind == "blurred"] == [("a/x.png",)]
    assert "home" not in json.dumps(report.to_json())


def test_the_lines_about_crops_are_about_crops_only():
    def cropped(name: str, width: int, kept: float = 1.0, **changed):
        crop = CropBox(left=0, top=0, right=512, bottom=512, method="focus", subject_kept=kept)
        return entry(name, width=width, crop=crop, bucket=(512, 512), **changed)

    images = (cropped("a.png", 600), cropped("b.png", 600, kept=0.7), cropped("c.png", 512, measured={"luma": 3.0}))
    report = health_report(Dataset(images=images))
    assert report.crop_lines() == [
        next(finding.line for finding in report.findings if finding.kind == "subject cut"),
        "crop: focus 3",
        "bucket 512 x 512: 3 pictures, 3 samples, cuts 10% on average, 15% at most",
    ]
    assert report.lines()[-2:] == report.crop_lines()[-2:]
    assert health_report(Dataset(images=tuple(healthy(3)))).crop_lines() == []
    assert report.to_json()["buckets"][0]["most_cut"] == pytest.approx(0.147, abs=0.001)


# ------------------------------------------------------------------------------------------------------ the sheet


def tiles(drawn: Image.Image, columns: int, rows: int, cell: int = 192) -> list[tuple[int, int, int]]:
    """The colour of each tile's frame: the topmost bright pixel in the middle of its column."""
    pixels = np.asarray(drawn).astype(int)
    pitch_x, pitch_y = (drawn.width - 16) // columns, (drawn.height - 16) // rows
    found = []
    for row in range(rows):
        for column in range(columns):
            line = pixels[16 + row * pitch_y :, 16 + column * pitch_x + cell // 2]
            bright = np.flatnonzero(line.max(-1) > 100)
            found.append(tuple(line[bright[0]]))
    return found


def test_the_sheet_frames_each_picture_by_its_worst_problem_worst_first(messy):
    report = health_report(messy)
    drawn = health_sheet(messy, report, columns=6, limit=6)
    assert tiles(drawn, 6, 1) == [RED, YELLOW, YELLOW, YELLOW, BLUE, YELLOW], "the last is the skipped file"
    drawn = health_sheet(messy, report, columns=7, limit=7)
    assert tiles(drawn, 7, 1)[6] == GREEN


def test_the_sheet_writes_what_was_found(messy, monkeypatch):
    written, notes = [], []

    def record(sheet_tiles, *, columns, cell, note):
        written.extend(tile.lines for tile in sheet_tiles)
        notes.append(note)
        return Image.new("RGB", (8, 8))

    monkeypatch.setattr("trainer_core.health.sheet.captioned_sheet", record)
    health_sheet(messy, health_report(messy), limit=8)
    assert written[0] == ("things/black.png", "all black")
    assert ("things/copy.jpg", "near copy of ok3.png") in written
    assert ("things/empty.png", "skipped: empty file") == written[5]
    assert len(written) == 8 and len(written[7]) == 1
    assert notes[0].startswith("and 22 more · red:")
    health_sheet(messy, health_report(messy))
    assert notes[1].startswith("red: repair")


def test_of_two_pictures_of_one_level_the_one_with_more_problems_comes_first():
    a, b, c, d = (entry(f"{name}.png", path=Path(f"/nowhere/{name}.png")) for name in "abcd")
    problems = (("warn", "abc"), ("warn", "b"), ("note", "cab"), ("note", "d"))
    findings = [
        Finding(kind="", level=level, text="", advice="", files=files, labels=("x",) * len(files))
        for level, files in ((level, tuple(f"{name}.png" for name in letters)) for level, letters in problems)
    ]
    dataset = Dataset(images=(a, d, c, b))
    report = replace(health_report(dataset), findings=tuple(findings))
    assert [entry.name for entry in sheet._worst_first(dataset, report)] == ["b.png", "a.png", "c.png", "d.png"]
    assert tiles(health_sheet(dataset, report, columns=4), 4, 1) == [YELLOW, YELLOW, YELLOW, BLUE]


def test_many_problems_of_one_picture_are_packed_into_three_lines(monkeypatch):
    labels = ["blurred", "dark", "near copy of b.png", "no 'mychar'", "99 tokens", "not English", "upscaled x1.40", "z"]
    findings = [
        Finding(kind=label, level="warn", text="", advice="", files=("a.png",), labels=(label,)) for label in labels
    ]
    dataset = Dataset(images=(entry("a.png"),))
    report = replace(health_report(dataset), findings=tuple(findings))
    written = []
    monkeypatch.setattr("trainer_core.health.sheet.captioned_sheet", lambda tiles, **_: written.extend(tiles))
    monkeypatch.setattr("trainer_core.health.sheet.open_picture", lambda *_: photo(1))
    health_sheet(dataset, report)
    assert written[0].lines == (
        "a.png", "blurred · dark", "near copy of b.png", "no 'mychar' · 99 tokens +3",
    )  # fmt: skip


def test_a_sheet_of_many_pictures_is_bounded(messy):
    report = health_report(messy)
    small = health_sheet(messy, report, cell=96)
    assert small.width < 6 * 110 + 20
    assert health_sheet(messy, report, limit=1).width < 240


def test_a_file_that_vanished_is_still_on_the_sheet(tmp_path):
    dataset = Dataset(images=(entry("a.png", path=tmp_path / "a.png"),))
    assert health_sheet(dataset, health_report(dataset)).width > 192


def test_skipped_captions_are_not_pictures(tmp_path):
    skipped = SkippedFile(path=tmp_path / "a.txt", reason="caption not read: x", kind="caption")
    dataset = Dataset(images=(), skipped=(skipped,))
    with pytest.raises(TrainingError, match="no pictures to show"):
        health_sheet(dataset, health_report(dataset))


@pytest.mark.parametrize("layout", [{"columns": 0}, {"cell": 63}, {"limit": 0}])
def test_a_layout_that_cannot_be_drawn_is_refused(messy, layout):
    with pytest.raises(TrainingError, match="cannot be drawn"):
        health_sheet(messy, health_report(messy), **layout)
