"""Reading a folder: which pictures, how often, with which caption, and what happens to the rest."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from trainer_core.dataset.folder import read_folder
from trainer_core.dataset.merge import combine
from trainer_core.dataset.rules import ReadingRules
from trainer_core.dataset.types import Dataset
from trainer_core.errors import TrainingError

LENIENT = ReadingRules(most_unusable=1)
"""However many files are bad, the rest is read."""


def put(path: Path, caption: str | bytes | None = None) -> Path:
    """A small picture at `path`, with a .txt beside it if there is a caption."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (96, 64), "red").save(path, "PNG")
    if caption is not None:
        data = caption if isinstance(caption, bytes) else caption.encode()
        path.with_suffix(".txt").write_bytes(data)
    return path


def names(dataset: Dataset) -> list[str]:
    return [image.path.name for image in dataset.images]


def reasons(dataset: Dataset) -> dict[str, str]:
    return {entry.path.name: entry.reason for entry in dataset.skipped}


def test_pictures_come_in_natural_order_from_all_folders(tmp_path):
    for name in ("a10.png", "a2.png", "B1.PNG", "a1.jpg", "sub/c.png", "sub/deeper/d.webp"):
        put(tmp_path / name)
    dataset = read_folder(tmp_path)
    assert names(dataset) == ["a1.jpg", "a2.png", "a10.png", "B1.PNG", "c.png", "d.webp"]
    assert dataset == read_folder(tmp_path)
    assert (dataset.images[0].width, dataset.images[0].height) == (96, 64)


@pytest.mark.parametrize("name", ["emoji 🐈 猫.png", "trailing .png", "new\nline.png", "100%[x]'\".png"])
def test_odd_names_load(tmp_path, name):
    put(tmp_path / name, "cat")
    assert read_folder(tmp_path).images[0].caption == "cat"


def test_hidden_files_and_other_files_are_not_looked_at(tmp_path):
    put(tmp_path / "a.png")
    put(tmp_path / "._a.png")
    put(tmp_path / ".cache/b.png")
    (tmp_path / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "folder.png").mkdir()
    dataset = read_folder(tmp_path)
    assert names(dataset) == ["a.png"]
    assert dataset.skipped == ()


@pytest.mark.parametrize(
    ("folder", "repeats", "caption"),
    [
        ("20_mochi cat", 20, "mochi cat"),
        ("7_my_thing", 7, "my_thing"),
        ("20_outer/3_inner", 3, "inner"),
        ("20_outer/plain", 20, "outer"),
        ("plain", 5, ""),
        ("2024_holiday", 5, ""),
        ("20_", 5, ""),
        ("x20_y", 5, ""),
    ],
)
def test_a_kohya_folder_name_gives_repeats_and_class_words(tmp_path, folder, repeats, caption):
    put(tmp_path / folder / "a.png")
    image = read_folder(tmp_path, repeats=5).images[0]
    assert (image.repeats, image.caption) == (repeats, caption)
    assert image.caption_source == ("folder name" if caption else "none")


def test_the_folder_itself_may_carry_the_repeats(tmp_path, monkeypatch):
    put(tmp_path / "12_cat" / "a.png")
    assert read_folder(tmp_path / "12_cat").images[0].repeats == 12
    monkeypatch.chdir(tmp_path / "12_cat")
    assert read_folder(Path()).images[0].caption == "cat"


def test_a_folder_of_zero_repeats_is_skipped_aloud(tmp_path):
    put(tmp_path / "a.png")
    put(tmp_path / "0_later" / "b.png")
    assert reasons(read_folder(tmp_path, rules=LENIENT)) == {"b.png": "its folder '0_later' asks for 0 repeats"}


@pytest.mark.parametrize(
    ("present", "chosen"),
    [
        (["a.txt", "a.png.txt", "a.caption"], "a.txt"),
        (["a.png.txt", "a.caption"], "a.png.txt"),
        (["a.caption", "a.png.caption"], "a.caption"),
        (["a.png.caption"], "a.png.caption"),
        (["a.TXT"], "a.TXT"),
    ],
)
def test_the_sidecar_is_found_in_this_order(tmp_path, present, chosen):
    put(tmp_path / "20_words" / "a.png")
    for name in present:
        (tmp_path / "20_words" / name).write_text(f"from {name}")
    image = read_folder(tmp_path).images[0]
    assert (image.caption, image.caption_source) == (f"from {chosen}", chosen)


@pytest.mark.parametrize(
    ("data", "caption"),
    [
        ("\ufeffcat".encode(), "cat"),
        ("猫, 坐".encode("utf-16"), "猫, 坐"),
        (b"\xfe\xff" + "cat".encode("utf-16-be"), "cat"),
        (b"one\r\ntwo,\r\n\r\nthree\n", "one, two, three"),
        (b"\n\n a  cat \t here \n", "a cat here"),
        (b", ,1girl,,solo, ,", "1girl, solo"),
        ("zero\u200bwidth \u202ecat\x00".encode(), "zerowidth cat"),
        (b"A cat, 1,000 stars.", "A cat, 1,000 stars."),
        (rb"saber \(fate\), (x:1.2)", r"saber \(fate\), (x:1.2)"),
    ],
)
def test_captions_are_decoded_and_cleaned(tmp_path, data, caption):
    put(tmp_path / "a.png", data)
    assert read_folder(tmp_path).images[0].caption == caption


@pytest.mark.parametrize("data", [b"", b"  \n , ,"])
def test_an_empty_caption_counts_as_none(tmp_path, data):
    put(tmp_path / "a.png", data)
    put(tmp_path / "20_cat" / "b.png", data)
    sources = {image.path.name: image.caption_source for image in read_folder(tmp_path).images}
    assert sources == {"a.png": "empty", "b.png": "folder name"}


@pytest.mark.parametrize(
    ("data", "expected"),
    [(b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0d\xff\xfe", "not"), (bytes(range(128, 256)) * 4, "not")],
)
def test_an_unreadable_caption_keeps_its_picture_and_is_listed(tmp_path, data, expected):
    put(tmp_path / "a.png", data)
    dataset = read_folder(tmp_path)
    assert (dataset.images[0].caption, dataset.images[0].caption_source) == ("", "none")
    assert expected in reasons(dataset)["a.txt"]


def test_a_caption_that_is_a_fifo_or_leaves_the_folder_is_not_opened(tmp_path):
    put(tmp_path / "set" / "a.png")
    put(tmp_path / "set" / "b.png")
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "set" / "a.txt").symlink_to(tmp_path / "secret.txt")
    os.mkfifo(tmp_path / "set" / "b.txt")
    dataset = read_folder(tmp_path / "set")
    assert [image.caption for image in dataset.images] == ["", ""]
    assert "leaves the folder" in reasons(dataset)["a.txt"]
    assert "not an ordinary file" in reasons(dataset)["b.txt"]


def test_one_bad_file_is_never_fatal(tmp_path):
    put(tmp_path / "good.png")
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "phone.HEIC").write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe.png")
    dataset = read_folder(tmp_path, rules=LENIENT)
    assert names(dataset) == ["good.png"]
    assert reasons(dataset) == {
        "empty.png": "empty file",
        "phone.HEIC": "HEIC cannot be read; save it as PNG or JPEG",
        "pipe.png": "not an ordinary file",
        "text.jpg": "not a picture, or a format this Pillow cannot read",
    }


def test_links_that_leave_the_folder_are_refused_and_loops_end(tmp_path):
    outside = put(tmp_path / "outside" / "o.png")
    inside = put(tmp_path / "set" / "a.png")
    (tmp_path / "set" / "out.png").symlink_to(outside)
    (tmp_path / "set" / "ok.png").symlink_to(inside)
    (tmp_path / "set" / "self.png").symlink_to(tmp_path / "set" / "self.png")
    (tmp_path / "set" / "dangling.png").symlink_to(tmp_path / "set" / "nothing.png")
    (tmp_path / "set" / "loop").symlink_to(tmp_path / "set", target_is_directory=True)
    (tmp_path / "set" / "elsewhere").symlink_to(tmp_path / "outside", target_is_directory=True)
    dataset = read_folder(tmp_path / "set", rules=LENIENT)
    assert names(dataset) == ["a.png", "ok.png"]
    assert reasons(dataset)["out.png"] == "a link that leaves the folder"
    assert set(reasons(dataset)) == {"out.png", "self.png", "dangling.png", "loop", "elsewhere"}


def test_junctions_of_windows_are_no_way_out_either(tmp_path, monkeypatch):
    """They are folders to Python, and only their reparse tag says that they lead elsewhere."""
    put(tmp_path / "a.png")
    put(tmp_path / "junction" / "b.png")
    put(tmp_path / "plain" / "c.png")
    real = os.scandir

    @contextmanager
    def listing(folder):
        with real(folder) as entries:
            yield [Entry(entry) for entry in entries]

    class Entry:
        def __init__(self, entry: os.DirEntry) -> None:
            self.name, self.is_dir, self.is_symlink = entry.name, entry.is_dir, entry.is_symlink

        def stat(self, *, follow_symlinks: bool):
            return SimpleNamespace(st_reparse_tag=0xA0000003 if self.name == "junction" else 0)

    monkeypatch.setattr(os, "scandir", listing)
    dataset = read_folder(tmp_path, rules=LENIENT)
    assert names(dataset) == ["a.png", "c.png"]
    assert reasons(dataset) == {"junction": "a link to a folder is not followed"}


def test_what_systems_keep_to_themselves_is_not_read(tmp_path):
    put(tmp_path / "a.png")
    for folder in ("@eaDir/a.png", "#recycle", "$RECYCLE.BIN", "inner/@eaDir", "__MACOSX", ".trash"):
        put(tmp_path / folder / "small.png")
    put(tmp_path / "recycle" / "b.png")
    assert names(read_folder(tmp_path)) == ["a.png", "b.png"]


def test_samples_of_runs_are_no_pictures_to_learn_from(tmp_path):
    put(tmp_path / "a.png")
    run = tmp_path / "runs" / "mochi-1234"
    put(run / "samples" / "000010-01.png")
    for name in ("job.json", "about.json"):
        (run / name).write_text("{}")
    (tmp_path / "job.json").write_text("{}")
    dataset = read_folder(tmp_path)
    assert names(dataset) == ["a.png"]
    assert reasons(dataset) == {"mochi-1234": "the folder of a training run; its pictures are not read"}
    assert names(read_folder(run)) == ["000010-01.png"], "who asks for them gets them"


def test_the_same_stem_twice_shares_the_caption(tmp_path):
    put(tmp_path / "a.png", "cat")
    put(tmp_path / "a.webp")
    assert [image.caption for image in read_folder(tmp_path).images] == ["cat", "cat"]


def test_no_usable_picture_says_what_was_found(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "b.png").touch()
    with pytest.raises(TrainingError) as caught:
        read_folder(tmp_path)
    text = str(caught.value)
    assert str(tmp_path) in text and "1 .txt" in text and "b.png: empty file" in text and ".webp" in text


@pytest.mark.parametrize(
    ("folder", "repeats", "message"),
    [("missing", 1, "there is no folder"), ("", 0, "repeats is 0"), ("", 1, "found no files")],
)
def test_wrong_arguments_are_refused(tmp_path, folder, repeats, message):
    with pytest.raises(TrainingError, match=message):
        read_folder(tmp_path / folder, repeats=repeats)


def test_combine_marks_the_regularisation_pictures(tmp_path):
    put(tmp_path / "train" / "a.png")
    put(tmp_path / "reg" / "b.png")
    (tmp_path / "reg" / "broken.png").touch()
    training = read_folder(tmp_path / "train", repeats=3, rules=LENIENT)
    both = combine(training, read_folder(tmp_path / "reg", rules=LENIENT))
    assert [image.is_regularisation for image in both.images] == [False, True]
    assert names(both) == ["a.png", "b.png"] and set(reasons(both)) == {"broken.png"}
    assert combine(training, None) is training
    assert read_folder(tmp_path / "reg", is_regularisation=True, rules=LENIENT).training_images == ()
