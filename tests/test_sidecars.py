"""Caption files written beside their pictures: read again, they give the captions; nothing of a person's is lost."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from trainer_core.captions.sidecars import as_read, read_sidecars, with_digests, write_sidecars
from trainer_core.dataset.folder import read_folder
from trainer_core.dataset.rules import ReadingRules
from trainer_core.dataset.types import Dataset
from trainer_core.errors import TrainingError

JOIN, PICK = ReadingRules(), ReadingRules(caption_lines="pick")


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "set"


def fill(folder: Path, *names: str, **files: str | bytes) -> None:
    """Pictures by name, and files whose dots are written as __."""
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        Image.new("RGB", (64 + number, 64), (number * 40, 90, 30)).save(folder / name)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_bytes(text.encode() if isinstance(text, str) else text)


def captioned(dataset: Dataset, *captions: str | tuple[str, ...]) -> Dataset:
    """The dataset with new captions, as a tagger gives them, in the order of its pictures."""
    texts = [(entry,) if isinstance(entry, str) else entry for entry in captions]
    images = tuple(
        replace(image, caption=first, other_captions=tuple(others), caption_source="wd")
        for image, (first, *others) in zip(dataset.images, texts, strict=True)
    )
    return dataset.with_images(images)


def write(folder: Path, *captions: str | tuple[str, ...], rules: ReadingRules = JOIN) -> dict[str, str]:
    """Read, caption and write; what became of each file by its name."""
    dataset = read_folder(folder, rules=rules)
    before = read_sidecars(dataset)
    return {entry.path.name: entry.state for entry in write_sidecars(captioned(dataset, *captions), before)}


def captions_of(folder: Path, rules: ReadingRules = JOIN) -> dict[str, tuple[str, ...]]:
    return {image.path.name: image.captions for image in read_folder(folder, rules=rules).images}


def test_captions_are_written_beside_their_pictures_and_read_again(folder):
    fill(folder, "a.png", "b.png")
    assert write(folder, "cat, hat", "猫, A cat sits on a mat.") == {"a.txt": "written", "b.txt": "written"}
    assert captions_of(folder) == {"a.png": ("cat, hat",), "b.png": ("猫, A cat sits on a mat.",)}
    assert sorted(path.name for path in folder.iterdir()) == ["a.png", "a.txt", "b.png", "b.txt"]


@pytest.mark.skipif(os.name == "nt", reason="Windows counts letters, not bytes")
def test_a_name_that_leaves_no_room_for_more_stops_no_other(folder):
    long = "一" * 83  # 249 bytes: with .txt there is room, with .png.txt or .txt.bak there is none
    fill(folder, "b.png", f"{long}.png")
    assert write(folder, "dog", "cat") == {f"{long}.txt": "written", "b.txt": "written"}
    assert write(folder, "cap", "hat") == {f"{long}.txt": "refused", "b.txt": "written"}, "nothing would be kept of it"
    assert captions_of(folder) == {f"{long}.png": ("cat",), "b.png": ("cap",)}


@pytest.mark.parametrize("name", ["a__caption", "a__png__txt", "a__png__caption", "a__tags", "a__TXT"])
def test_the_file_that_the_caption_came_from_is_written(folder, name):
    fill(folder, "a.png", **{name: "cat"})
    real = name.replace("__", ".")
    assert write(folder, "dog") == {real: "written"}
    assert (folder / real).read_text() == "dog" and (folder / f"{real}.bak").read_text() == "cat"
    assert captions_of(folder) == {"a.png": ("dog",)}


@pytest.mark.parametrize("text", ["", "  \n"])
def test_a_file_without_words_makes_room(folder, text):
    fill(folder, "a.png", a__txt=text)
    write(folder, "dog")
    assert captions_of(folder) == {"a.png": ("dog",)}


def test_a_table_is_outranked_not_changed(folder):
    fill(folder, "a.png", metadata__jsonl='{"file_name": "a.png", "text": "cat"}')
    assert write(folder, "dog") == {"a.txt": "written"}
    assert captions_of(folder) == {"a.png": ("dog",)} and "cat" in (folder / "metadata.jsonl").read_text()


def test_several_captions_are_written_a_line_each(folder):
    fill(folder, "a.png", a__txt="cat\ndog, hat")
    assert write(folder, ("mochi, cat", "mochi, dog, hat"), rules=PICK) == {"a.txt": "written"}
    assert captions_of(folder, PICK) == {"a.png": ("mochi, cat", "mochi, dog, hat")}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "gb18030"])
def test_a_file_in_another_encoding_becomes_utf_8_and_its_first_bytes_are_kept(folder, encoding):
    old = "一个女孩坐在草地上看着天空, 长发".encode(encoding)
    fill(folder, "a.png", a__txt=old)
    write(folder, "女孩, 帽子")
    assert (folder / "a.txt").read_bytes() == "女孩, 帽子".encode() and (folder / "a.txt.bak").read_bytes() == old
    assert captions_of(folder) == {"a.png": ("女孩, 帽子",)}


@pytest.mark.parametrize("text", [b"cat, hat", b"cat,hat,\r\n", b"cat\nhat", "cat, hat".encode("utf-16")])
def test_a_file_that_says_the_same_is_not_touched(folder, text):
    fill(folder, "a.png", a__txt=text)
    assert write(folder, "cat, hat") == {"a.txt": "unchanged"}
    assert (folder / "a.txt").read_bytes() == text and not (folder / "a.txt.bak").exists()


def test_no_file_is_made_for_a_picture_without_a_caption(folder):
    fill(folder, "a.png")
    assert write(folder, "") == {"a.txt": "unchanged"} and not (folder / "a.txt").exists()


def test_a_caption_that_was_emptied_empties_its_file(folder):
    fill(folder, "a.png", a__txt="cat")
    assert write(folder, "") == {"a.txt": "written"} and captions_of(folder) == {"a.png": ("",)}


def test_only_the_first_text_is_kept(folder):
    fill(folder, "a.png", a__txt="first")
    write(folder, "second")
    write(folder, "third")
    assert (folder / "a.txt").read_text() == "third" and (folder / "a.txt.bak").read_text() == "first"


@pytest.mark.parametrize("change", ["edited", "made", "deleted"])
def test_a_file_that_changed_meanwhile_is_left_alone(folder, change):
    fill(folder, "a.png", "b.png", a__txt="cat") if change != "made" else fill(folder, "a.png", "b.png")
    dataset = read_folder(folder)
    before = read_sidecars(dataset)
    (folder / "a.txt").unlink() if change == "deleted" else (folder / "a.txt").write_text("by hand")
    first, second = write_sidecars(captioned(dataset, "dog", "dog"), before)
    assert (first.state, second.state) == ("refused", "written") and "changed" in first.reason
    assert (folder / "a.txt").exists() == (change != "deleted")
    assert change == "deleted" or (folder / "a.txt").read_text() == "by hand"
    assert not (folder / "a.txt.bak").exists()


def test_a_file_of_higher_rank_that_was_made_meanwhile_is_left_alone(folder):
    fill(folder, "a.png", a__caption="cat")
    dataset = read_folder(folder)
    before = read_sidecars(dataset)
    (folder / "a.txt").write_text("by hand")
    (found,) = write_sidecars(captioned(dataset, "dog"), before)
    assert found.state == "refused" and captions_of(folder) == {"a.png": ("by hand",)}


def test_pictures_that_share_a_file_get_one_each_once_they_differ(folder):
    fill(folder, "a.jpg", "a.png", "b.png", a__txt="cat")
    states = write(folder, "dog", "wolf", "x")
    assert states == {"a.jpg.txt": "written", "a.png.txt": "written", "b.txt": "written", "a.txt": "set aside"}
    assert captions_of(folder) == {"a.jpg": ("dog",), "a.png": ("wolf",), "b.png": ("x",)}
    assert (folder / "a.txt.bak").read_text() == "cat" and not (folder / "a.txt").exists()
    assert set(write(folder, "dog", "fox", "x").values()) == {"unchanged", "written"}
    assert captions_of(folder)["a.png"] == ("fox",)


def test_a_shared_file_that_is_set_aside_is_kept_beside_an_older_one(folder):
    fill(folder, "a.jpg", "a.png", a__txt="of today", a__txt__bak="of long ago")
    assert write(folder, "dog", "wolf")["a.txt"] == "set aside"
    assert (folder / "a.txt.bak").read_text() == "of long ago" and (folder / "a.txt.bak2").read_text() == "of today"


def edit(path: Path) -> None:
    path.write_text("by hand")


@pytest.mark.parametrize(("held", "change"), [("cat", edit), ("", edit), ("cat", Path.unlink)])
def test_a_file_that_changed_before_the_captions_were_made_is_left_alone(folder, held, change):
    """While a long graph ran between reading the folder and making captions."""
    fill(folder, "a.png", "b.png", b__txt="cow", **({"a__txt": held} if held else {}))
    dataset = read_folder(folder)
    change(folder / "a.txt")
    before = as_read(dataset, read_sidecars(dataset))
    states = {entry.path.name: entry.state for entry in write_sidecars(captioned(dataset, "dog", "ox"), before)}
    assert states["a.txt"] == "refused" and states["b.txt"] == "written"
    assert captions_of(folder)["a.png"] == ("by hand" if change is edit else "",)


def test_captions_are_written_twice_in_a_row_but_not_over_an_edit(folder):
    fill(folder, "a.jpg", "a.png", "b.png", "c.png", a__txt="cat", c__txt="cow")
    dataset = read_folder(folder)

    def written(*captions):
        before = as_read(dataset, read_sidecars(dataset))
        made = captioned(dataset, *captions)
        report = list(write_sidecars(made, before))
        return with_digests(made, report), {entry.path.name: entry.state for entry in report}

    edit(folder / "c.txt")
    dataset, _ = written("dog", "wolf", "x", "ox")
    dataset, states = written("dogs", "wolves", "y", "oxen")
    assert states == {"a.jpg.txt": "written", "a.png.txt": "written", "b.txt": "written", "c.txt": "refused"}
    assert captions_of(folder)["c.png"] == ("by hand",)


@pytest.mark.parametrize(
    ("files", "first"),
    [
        ({"a__txt": "cat"}, ("",)),
        ({"a__caption": "cat", "a__tags": "dog"}, ("",)),
        ({"a__txt": "cat"}, ("", "wolf")),
    ],
    ids=["no words are left", "another file has words", "a shared file is set aside"],
)
def test_what_was_written_empty_is_written_again(folder, files, first):
    fill(folder, *["a.jpg", "a.png"][: len(first)], **files)
    dataset, reports = read_folder(folder), []
    for captions in (first, ("x", "y")[: len(first)]):
        before, dataset = as_read(dataset, read_sidecars(dataset)), captioned(dataset, *captions)
        reports += (report := list(write_sidecars(dataset, before)))
        dataset = with_digests(dataset, report)
    assert "refused" not in {entry.state for entry in reports}


def test_a_dataset_that_nobody_read_from_a_folder_is_written_as_ever(folder):
    fill(folder, "a.png", a__txt="cat")
    dataset = read_folder(folder)
    unknown = dataset.with_images(tuple(replace(image, caption_digest=None) for image in dataset.images))
    edit(folder / "a.txt")
    before = read_sidecars(unknown)
    assert as_read(unknown, before) == before


def test_pictures_that_share_a_file_and_a_caption_go_on_sharing(folder):
    fill(folder, "a.jpg", "a.png", a__txt="cat")
    write(folder, "dog", "dog")
    assert (folder / "a.txt").read_text() == "dog" and not (folder / "a.png.txt").exists()


def test_one_of_two_namesakes_may_have_no_caption(folder):
    fill(folder, "a.jpg", "a.png", a__txt="cat")
    write(folder, "", "cat")
    assert captions_of(folder) == {"a.jpg": ("",), "a.png": ("cat",)}


def test_namesakes_without_captions_do_not_read_each_others(folder):
    fill(folder, "a.jpg", "a.png", a__png__txt="cat")
    write(folder, "dog", "cat")
    assert captions_of(folder) == {"a.jpg": ("dog",), "a.png": ("cat",)}


def test_a_shared_file_that_changed_meanwhile_stays(folder):
    fill(folder, "a.jpg", "a.png", a__txt="cat")
    dataset = read_folder(folder)
    before = read_sidecars(dataset)
    (folder / "a.txt").write_text("by hand")
    found = list(write_sidecars(captioned(dataset, "dog", "wolf"), before))
    assert found[-1].state == "refused" and (folder / "a.txt").read_text() == "by hand"


def test_a_name_that_means_two_pictures_is_refused(folder):
    fill(folder, "a.jpg", "a.png", "a.png.jpg")
    assert write(folder, "x", "y", "z")["a.png.txt"] == "refused"
    assert captions_of(folder) == {"a.jpg": ("x",), "a.png": ("",), "a.png.jpg": ("z",)}


def test_a_shared_file_stays_where_one_of_its_pictures_is_refused(folder):
    fill(folder, "a.png", "a.png.jpg", a__png__txt="cat")
    assert write(folder, "x", "y")["a.png.txt"] == "refused"
    assert (folder / "a.png.txt").read_text() == "cat"


def test_a_picture_named_like_another_with_one_more_suffix(folder):
    fill(folder, "a.png", "a.png.jpg")
    write(folder, "x", "y")
    assert captions_of(folder) == {"a.png": ("x",), "a.png.jpg": ("y",)}


def test_a_picture_that_is_in_the_set_twice_needs_one_caption(folder):
    fill(folder, "a.png")
    dataset = read_folder(folder)
    before = read_sidecars(dataset)
    twice = dataset.with_images(dataset.images * 2)
    assert {entry.state for entry in write_sidecars(captioned(twice, "x", "y"), before)} == {"refused"}
    assert [entry.state for entry in write_sidecars(captioned(twice, "x", "x"), before)] == ["written", "unchanged"]


def test_a_link_that_leaves_the_folder_is_refused(folder, tmp_path):
    fill(folder, "a.png")
    (tmp_path / "outside.txt").write_text("secret")
    (folder / "a.txt").symlink_to(tmp_path / "outside.txt")
    dataset = read_folder(folder)
    (found,) = write_sidecars(captioned(dataset, "dog"), read_sidecars(dataset))
    assert (found.state, found.reason) == ("refused", "a link that leaves the folder")
    assert (tmp_path / "outside.txt").read_text() == "secret" and (folder / "a.txt").is_symlink()


def test_what_is_no_text_is_refused(folder):
    fill(folder, "a.png", a__txt=bytes(range(256)) * 8)
    dataset = read_folder(folder)
    (found,) = write_sidecars(captioned(dataset, "dog"), read_sidecars(dataset))
    assert found.state == "refused" and found.reason


def test_a_folder_that_cannot_be_written_to_is_told_in_one_line(folder, monkeypatch):
    fill(folder, "a.png", "b.png", a__txt="cat")
    dataset = read_folder(folder)
    before = read_sidecars(dataset)
    folder.chmod(0o500)
    if os.access(folder, os.W_OK):  # as root, to whom nothing is read-only
        monkeypatch.setattr("os.replace", refuse)
    try:
        with pytest.raises(TrainingError, match="cannot write") as caught:
            list(write_sidecars(captioned(dataset, "x", "y"), before))
    finally:
        folder.chmod(0o700)
    assert "\n" not in str(caught.value) and (folder / "a.txt").read_text() == "cat"


def refuse(*_: object) -> None:
    raise PermissionError(13, "Permission denied")
