"""What reading met is grouped by reason, and each group says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests import bad_captions
from tests.photos import entry, healthy, photo
from trainer_core.dataset.folder import read_folder
from trainer_core.dataset.rules import ReadingRules
from trainer_core.dataset.types import Dataset, SkippedFile
from trainer_core.dataset.wording import FileNames
from trainer_core.health.findings import Finding
from trainer_core.health.reading import reading_findings


def findings(*images, skipped=(), remarks=()) -> list[Finding]:
    dataset = Dataset(images=images, skipped=skipped, remarks=remarks)
    return reading_findings(dataset, FileNames(dataset))


def skipped(name: str, reason: str, kind="picture") -> SkippedFile:
    return SkippedFile(path=Path("/pictures/set") / name, reason=reason, kind=kind)


def test_a_clean_folder_gives_no_findings():
    assert findings(*healthy(3)) == []


def test_files_skipped_for_one_reason_are_one_finding():
    entries = [
        skipped("a.heic", "HEIC cannot be read; save it as PNG or JPEG"),
        skipped("b.png", "truncated: the file ends before the picture does"),
        skipped("c.heic", "HEIC cannot be read; save it as PNG or JPEG"),
        skipped("d.jxl", "JXL cannot be read; save it as PNG or JPEG"),
        skipped("e.jpg", "truncated, 71% readable"),
    ]
    found = findings(*healthy(1), skipped=entries)
    assert [finding.line for finding in found] == [
        "warn: 3 files skipped, a format this install cannot read (HEIC, JXL): a.heic, c.heic, d.jxl. "
        "Save such files as PNG or JPEG.",
        "warn: 2 files skipped, cut short: b.png, e.jpg. Copy or download such files again.",
    ]
    assert found[0].labels[0] == "skipped: HEIC cannot be read"


def test_reasons_that_differ_only_in_numbers_are_one():
    reasons = [f"too small: its short side is {side} pixels, below 64" for side in (8, 31, 63)]
    (finding,) = findings(*healthy(1), skipped=[skipped(f"{n}.png", reason) for n, reason in enumerate(reasons)])
    assert finding.text.startswith("3 files skipped, too small") and len(finding.files) == 3


@pytest.mark.parametrize(
    ("reason", "kind", "level", "words"),
    [
        ("its folder '0_later' asks for 0 repeats", "picture", "note", "number above 0"),
        ("a web page, not text", "caption", "warn", "plain UTF-8 text"),
        ("a link that leaves the folder", "picture", "note", "Copy what the links lead to"),
        ("permission denied", "folder", "warn", "the right to read"),
        ("this is a web page, not a picture", "picture", "warn", "Download the pictures"),
        ("larger than 524,288 KB", "picture", "warn", "smaller"),
        ("a reason that nobody thought of", "picture", "warn", "take them out of the folder"),
    ],
)
def test_each_reason_has_its_remedy(reason, kind, level, words):
    (finding,) = findings(*healthy(1), skipped=[skipped("a", reason, kind)])
    assert (finding.level, reason in finding.text) == (level, True)
    assert words in finding.advice
    assert finding.text.startswith({"picture": "1 file ", "caption": "1 caption file ", "folder": "1 folder "}[kind])


def test_notes_are_grouped_by_what_they_say():
    noted = [
        entry("a.gif", notes=("animated: the first of 3 frames is used",)),
        entry("b.gif", notes=("animated: the first of 12 frames is used", "heavy compression")),
        entry("c.jpg", notes=("heavy compression", "greyscale")),
    ]
    found = {finding.text: finding for finding in findings(*noted)}
    assert list(found) == [
        "animated: the first of 3 frames is used (2 pictures): a.gif, b.gif",
        "heavy compression (2 pictures): b.gif, c.jpg",
    ]
    assert [finding.level for finding in found.values()] == ["note", "warn"]
    assert found[next(iter(found))].labels[1] == "animated: the first of 12 frames is used"


@pytest.mark.parametrize(("held", "words"), [("JPEG", "a JPEG named .png"), ("AVIF", "an AVIF named .png")])
def test_a_wrong_ending_does_no_harm(tmp_path, held, words):
    if held not in Image.SAVE:
        pytest.skip(f"this Pillow writes no {held}")
    photo(1).save(tmp_path / "a.png", held)
    dataset = read_folder(tmp_path)
    (finding,) = (f for f in reading_findings(dataset, FileNames(dataset)) if words in f.text)
    assert finding.advice.startswith("Nothing need be done here")


def test_repaired_pictures_are_told_once():
    (finding,) = findings(
        entry("a.jpg", is_repaired=True, notes=("the file ends early; nearly all of it is there",)), *healthy(1)
    )
    assert (finding.kind, finding.level, finding.files, finding.labels) == (
        "repaired", "warn", ("a.jpg",), ("repaired",),
    )  # fmt: skip


def test_remarks_on_the_folder_are_findings():
    remarks = ("3 hidden files are not read", "something new")
    found = findings(*healthy(1), remarks=remarks)
    assert [(finding.kind, finding.text) for finding in found] == [("remark", remark) for remark in remarks]


@pytest.mark.parametrize(
    ("pictures", "captions", "text", "advice"),
    [
        (["a.png"], ["b.txt"], "caption file belongs to no picture", "Name each caption like its picture"),
        (["a.png"], ["b.txt", "c.txt"], "caption files belong to no picture", "Name each caption like its picture"),
        (["a.png", "a.jpg"], ["a.txt"], "a.jpg, a.png share a.txt", "Give each its own caption"),
        ([f"{n}.{kind}" for n in range(5) for kind in ("png", "jpg")], [f"{n}.txt" for n in range(5)],
         "2 more caption files are shared by several pictures", "Give each its own caption"),
    ],
)  # fmt: skip
def test_remarks_of_a_real_folder_have_their_remedy(tmp_path, pictures, captions, text, advice):
    for number, name in enumerate(pictures):
        photo(number).save(tmp_path / name)
    for name in captions:
        (tmp_path / name).write_text("cat")
    dataset = read_folder(tmp_path)
    (found,) = (f.advice for f in reading_findings(dataset, FileNames(dataset)) if text in f.text)
    assert found.startswith(advice)


_NO_TEXTS = [row for row in bad_captions.ROWS if row.skipped and row.files]


@pytest.mark.parametrize("row", _NO_TEXTS, ids=lambda row: row.what)
def test_a_caption_that_is_no_text_is_to_be_saved_as_text(row, tmp_path):
    """Whatever reason reading really gives."""
    dataset = read_folder(row.make(tmp_path), rules=ReadingRules(smallest_side=1))
    (advice,) = (f.advice for f in reading_findings(dataset, FileNames(dataset)) if f.kind == "skipped")
    assert advice == "Save the captions as plain UTF-8 text"


def test_pictures_and_captions_are_told_apart_though_the_reason_is_one():
    reason = "a link that leaves the folder"
    found = findings(*healthy(1), skipped=[skipped("a.txt", reason, "caption"), skipped("a.png", reason, "picture")])
    assert [finding.text.partition(",")[0] for finding in found] == ["1 caption file skipped", "1 file skipped"]


def test_what_a_real_folder_holds(tmp_path):
    for number in range(6):
        photo(number).save(tmp_path / f"ok{number}.png")
    photo(7).save(tmp_path / "really_a_jpeg.png", "JPEG", quality=10)
    photo(8).save(tmp_path / "moving.gif", save_all=True, append_images=[photo(9)])
    (tmp_path / "empty.png").touch()
    (tmp_path / "phone.heic").write_bytes(b"x")
    Image.new("RGB", (20, 20)).save(tmp_path / "icon.png")
    (tmp_path / "lonely.txt").write_text("cat")
    dataset = read_folder(tmp_path, rules=ReadingRules(most_unusable=1.0))
    lines = "\n".join(finding.line for finding in reading_findings(dataset, FileNames(dataset)))
    for words in (
        "a format this install cannot read (HEIC): phone.heic", "empty: empty.png", "too small", "icon.png",
        "a JPEG named .png (1 picture): really_a_jpeg.png", "heavy compression", "animated", "lonely.txt",
    ):  # fmt: skip
        assert words in lines
    assert str(tmp_path) not in lines and "ok0" not in lines
