"""Which caption a picture gets: from the files beside it, a metadata table, or the words given for its folder."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from trainer_core.dataset.caption_files import CaptionFiles, FoundCaption
from trainer_core.dataset.caption_text import join_lines


class Folder:
    """A folder under test. Captions never look into pictures, so these are empty."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def put(self, *pictures: str) -> Folder:
        return self.write(dict.fromkeys(pictures, ""))

    def write(self, files: dict[str, str | bytes]) -> Folder:
        for name, data in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return self

    def captions(self) -> CaptionFiles:
        files = [Path(parent) / name for parent, _, names in sorted(os.walk(self.path)) for name in sorted(names)]
        return CaptionFiles(self.path, files)

    def find(self, picture: str, fallback: str = "") -> FoundCaption:
        return self.captions().find(self.path / picture, fallback)

    def remarks(self, *pictures: str) -> tuple[str, ...]:
        """After these pictures were asked for."""
        captions = self.captions()
        for picture in pictures:
            captions.find(self.path / picture, "")
        return captions.remarks()


@pytest.fixture
def folder(tmp_path) -> Folder:
    return Folder(tmp_path / "set").put("a.png")


def said(found: FoundCaption) -> tuple[str, str]:
    return join_lines(found.lines), found.source


ORDER = ["a.txt", "a.png.txt", "a.caption", "a.png.caption", "a.tags", "a.png.tags", "metadata.jsonl", "metadata.csv"]


@pytest.mark.parametrize("first", range(len(ORDER)))
def test_captions_are_asked_in_this_order(folder, first):
    special = {
        "metadata.jsonl": '{"file_name": "a.png", "text": "from metadata.jsonl"}',
        "metadata.csv": "file_name,text\na.png,from metadata.csv",
    }
    folder.write({name: special.get(name, f"from {name}") for name in ORDER[first:]})
    assert said(folder.find("a.png", "words")) == (f"from {ORDER[first]}", ORDER[first])


@pytest.mark.parametrize("bad", ["", " , ,\n", b"\x00\x01\x02", "красная кошка".encode("cp1251")])
def test_an_empty_or_unreadable_file_lets_the_next_one_speak(folder, bad):
    folder.write({"a.txt": bad, "a.caption": "cat"})
    assert said(folder.find("a.png", "words")) == ("cat", "a.caption")
    folder.write({"a.caption": bad})
    found = folder.find("a.png", "mochi cat")
    assert said(found) == ("mochi cat", "folder name")
    is_text = isinstance(bad, str)
    assert found.notes == (("caption: no words in a.txt", "caption: no words in a.caption") if is_text else ())
    assert [entry.path.name for entry in found.skipped] == ([] if is_text else ["a.txt", "a.caption"])
    assert folder.find("a.png").source == ("empty" if is_text else "none")


def test_notes_say_that_they_are_the_captions(folder):
    folder.write({"a.txt": "红色的猫".encode("gb18030")})
    assert folder.find("a.png").notes == ("caption: read as GB18030, not UTF-8; save it as UTF-8",)


@pytest.mark.parametrize(
    ("picture", "files", "source"),
    [
        ("A.PNG", ["a.txt"], "a.txt"),
        ("a.png", ["A.TXT"], "A.TXT"),
        ("A.PNG", ["a.txt", "A.txt"], "A.txt"),
        ("a.png", ["a.txt", "A.txt"], "a.txt"),
        ("a.png", ["a.TXT", "a.txt"], "a.txt"),
        ("a.b.png", ["a.txt", "a.b.txt"], "a.b.txt"),
        ("a.png", ["sub/a.txt"], "none"),
        ("sub/a.png", ["a.txt"], "none"),
        ("caf\u00e9.png", ["cafe\u0301.txt"], "cafe\u0301.txt"),
        ("[x] 100%.png", ["[x] 100%.txt"], "[x] 100%.txt"),
    ],
)
def test_a_caption_lies_beside_its_picture_and_has_its_name_in_any_case(tmp_path, picture, files, source):
    folder = Folder(tmp_path / "set").put(picture).write(dict.fromkeys(files, "cat"))
    assert folder.find(picture).source == source


def test_pictures_that_share_a_caption_are_named(folder):
    pictures = ["a.jpg", "a.png", "A.PNG", "a.webp"]
    folder.put(*pictures).write({"a.txt": "cat"})
    captions = folder.captions()
    assert {said(captions.find(folder.path / picture, "")) for picture in pictures} == {("cat", "a.txt")}
    assert captions.remarks() == ("a.jpg, a.png, A.PNG, a.webp share a.txt",)


def test_many_shared_captions_are_counted(folder):
    pictures = [f"{number}.{suffix}" for number in range(9) for suffix in ("jpg", "png")]
    folder.put(*pictures).write({f"{number}.txt": "cat" for number in range(9)})
    *_, third, last = folder.remarks(*pictures)
    assert (third, last) == ("2.jpg, 2.png share 2.txt", "6 more caption files are shared by several pictures")


def test_an_unreadable_caption_is_told_once_however_many_share_it(folder):
    folder.put("a.jpg").write({"a.txt": b"\x00\x01\x02"})
    captions = folder.captions()
    skipped = [entry for name in ("a.jpg", "a.png") for entry in captions.find(folder.path / name, "").skipped]
    assert [(entry.path.name, entry.kind) for entry in skipped] == [("a.txt", "caption")]


def test_what_is_not_used_is_counted_with_the_first_names(folder):
    folder.write({f"no picture {number}.txt": "x" for number in range(5)})
    folder.write({"captions.json": "{}", "sub/list.CSV": "", "a.txt": "cat", "a.caption": "dog", "new\nline.txt": "x"})
    assert folder.remarks("a.png") == (
        "6 caption files belong to no picture beside them: new?line.txt, no picture 0.txt, no picture 1.txt and 3 more",
        "2 files are not read as captions: captions.json, sub/list.CSV",
        "1 caption file is not read, as its picture has one that comes first: a.caption",
    )


def test_a_caption_that_one_picture_passes_over_may_be_anothers(folder):
    folder.put("a.png.jpg").write({"a.txt": "cat", "a.png.txt": "dog"})
    assert [said(folder.find(name))[0] for name in ("a.png", "a.png.jpg")] == ["cat", "dog"]
    assert folder.remarks("a.png", "a.png.jpg") == ()


def test_the_caption_of_a_picture_that_is_not_used_is_not_called_lonely(folder):
    folder.put("broken.png", "phone.heic").write({"broken.txt": "x", "phone.heic.txt": "x"})
    assert folder.remarks("a.png") == ()


def jsonl(*entries: dict | str) -> str:
    return "\n".join(entry if isinstance(entry, str) else json.dumps(entry) for entry in entries)


@pytest.mark.parametrize(
    ("entry", "lines"),
    [
        ({"text": "cat, sitting"}, ("cat, sitting",)),
        ({"caption": "cat"}, ("cat",)),
        ({"tags": "cat, dog"}, ("cat, dog",)),
        ({"tags": ["cat", "dog", "Cat"]}, ("cat, dog",)),
        ({"text": ["A cat.", "A red cat."]}, ("A cat.", "A red cat.")),
        ({"text": "A cat.\nIt sits."}, ("A cat.", "It sits.")),
        ({"text": "", "caption": None, "tags": ["cat"]}, ("cat",)),
        ({"text": "first", "caption": "second"}, ("first",)),
        ({"text": 7, "caption": "cat"}, ("cat",)),
        ({"text": "c\u200bat \ud83d, ,"}, ("cat",)),
    ],
)
def test_a_line_of_json_gives_the_caption(folder, entry, lines):
    folder.write({"metadata.jsonl": jsonl({"file_name": "a.png", **entry})})
    found = folder.find("a.png")
    assert (found.lines, found.source) == (lines, "metadata.jsonl")


def test_an_entry_without_words_counts_as_empty(folder):
    folder.write({"metadata.jsonl": jsonl({"file_name": "a.png", "text": " , "})})
    found = folder.find("a.png")
    assert (said(found), found.notes) == (("", "empty"), ("caption: no words in metadata.jsonl",))
    assert said(folder.find("a.png", "words")) == ("words", "folder name")


@pytest.mark.parametrize("file_name", ["sub/b.png", "./sub/b.png", "sub\\b.png", "sub/../sub/B.PNG"])
def test_entries_name_pictures_from_the_tables_own_folder(folder, file_name):
    folder.put("sub/b.png").write({"metadata.jsonl": jsonl({"file_name": file_name, "text": "cat"})})
    assert said(folder.find("sub/b.png")) == ("cat", "metadata.jsonl")
    assert folder.remarks() == ()


def test_the_nearest_table_speaks(folder):
    folder.put("sub/b.png", "sub/c.png")
    far = [{"file_name": f"sub/{name}.png", "text": "far"} for name in "bc"]
    folder.write({"metadata.jsonl": jsonl(*far), "sub/metadata.csv": "file_name,text\nb.png,near\n"})
    assert [said(folder.find(name))[0] for name in ("sub/b.png", "sub/c.png")] == ["near", "far"]


def test_the_spelling_of_an_entry_decides_between_names_that_differ_in_case(folder):
    folder.put("A.PNG").write(
        {"metadata.jsonl": jsonl({"file_name": "A.PNG", "text": "big"}, {"file_name": "a.png", "text": "small"})}
    )
    assert [said(folder.find(name))[0] for name in ("A.PNG", "a.png")] == ["big", "small"]


@pytest.mark.parametrize("outside", ["../secret.png", "/etc/passwd", "sub/../../secret.png", "..", "..\\secret.png"])
def test_an_entry_that_leads_out_of_the_folder_is_counted_not_followed(folder, outside):
    (folder.path.parent / "secret.png").touch()
    folder.write({"metadata.jsonl": jsonl({"file_name": outside, "text": "x"})})
    assert folder.remarks() == (f"metadata.jsonl: 1 entry leads out of the folder: {outside}",)


def test_broken_lines_are_named_and_cost_nobody_else_anything(folder):
    lines = [
        "{",
        "[1]",
        "",
        '{"text": "x"}',
        '{"file_name": "a.png"}',
        "[" * 100_000,
        '{"file_name": "gone.png", "text": "x"}',
        '{"file_name": "C:/x.png\\u0000", "text": "x"}',
        '{"file_name": "a.png", "text": "cat"}',
        '{"file_name": "a.png", "text": "dog"}',
    ]
    folder.write({"metadata.jsonl": "\n".join(lines).encode() + b'\n{"file_name": "a.png", "text": "\xff"}'})
    assert said(folder.find("a.png")) == ("cat", "metadata.jsonl")
    assert folder.remarks() == (
        "metadata.jsonl: 6 lines are not used: line 1 (not a JSON object), line 2 (not a JSON object), "
        "line 4 (no file_name) and 3 more",
        "metadata.jsonl: 2 entries name no picture: gone.png, C:/x.png?",
        "metadata.jsonl: 1 picture has a second entry, not used: a.png",
    )


@pytest.mark.parametrize(
    "data",
    [
        "file_name,text\na.png,\"red, 'big' cat\"\n",
        "\ufefffile_name;text\r\na.png;red, 'big' cat\r\n",
        "file_name\ttext\na.png\tred, 'big' cat\n",
        "id,Text, File_Name \n1,\"red, 'big' cat\",a.png,too,many\n\n2\n",
        "file_name,text\na.png,\"red, 'big' cat\"\n".encode("utf-16"),
    ],
)
def test_csv_comes_as_spreadsheets_write_it(folder, data):
    folder.write({"metadata.csv": data})
    assert said(folder.find("a.png")) == ("red, 'big' cat", "metadata.csv")


def test_a_table_in_an_old_encoding_is_read_and_noted(folder):
    folder.write({"metadata.csv": "file_name,text\na.png,红色的猫\n".encode("gb18030")})
    assert said(folder.find("a.png")) == ("红色的猫", "metadata.csv")
    assert folder.remarks() == ("metadata.csv: read as GB18030, not UTF-8; save it as UTF-8",)


def test_a_quote_that_never_closes_ends_at_the_readers_limit(folder):
    folder.put("b.png", "c.png").write(
        {"metadata.csv": 'file_name,text\nb.png,dog\na.png,"' + "x\n" * 140_000 + "c.png,cat\n"}
    )
    assert [said(folder.find(name))[0] for name in ("b.png", "c.png")] == ["dog", "cat"]
    (remark,) = folder.remarks()
    assert "lines are not used: line 65539 (not CSV, or a field of more than 128 KB), line 65540" in remark


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ("name,text\na.png,cat\n", "metadata.csv is not read: its first line names no column file_name"),
        (b"PK\x03\x04\x14\x00\x00\x00\x08\x00", "metadata.csv is not read: not text"),
        ("", None),
    ],
)
def test_a_csv_that_is_none_is_told(folder, data, problem):
    folder.write({"metadata.csv": data})
    assert folder.find("a.png").source == "none"
    assert folder.remarks() == ((problem,) if problem else ())


def test_a_table_outside_or_of_no_ordinary_kind_is_not_opened(folder):
    (folder.path.parent / "outside.jsonl").write_text(jsonl({"file_name": "a.png", "text": "secret"}))
    (folder.path / "metadata.jsonl").symlink_to(folder.path.parent / "outside.jsonl")
    os.mkfifo(folder.path / "metadata.csv")
    assert folder.find("a.png").source == "none"
    assert folder.remarks() == (
        "metadata.jsonl is not read: a link that leaves the folder",
        "metadata.csv is not read: not an ordinary file",
    )


def test_a_link_inside_the_folder_is_followed(folder):
    folder.write({"captions/cat.txt": "cat"})
    (folder.path / "a.txt").symlink_to(folder.path / "captions" / "cat.txt")
    assert said(folder.find("a.png")) == ("cat", "a.txt")


def test_a_huge_caption_file_is_not_read_at_all(folder):
    with open(folder.path / "a.txt", "wb") as file:
        file.truncate(20 * 2**20)
    assert [entry.reason for entry in folder.find("a.png").skipped] == ["larger than 16,384 KB"]


def test_captions_behind_a_linked_folder_are_not_read(folder, tmp_path):
    Folder(tmp_path / "elsewhere").put("b.png").write({"b.txt": "secret"})
    (folder.path / "sub").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    files = [folder.path / "sub" / name for name in ("b.png", "b.txt")]
    found = CaptionFiles(folder.path, files).find(files[0], "")
    assert (said(found), [entry.reason for entry in found.skipped]) == (("", "none"), ["a link that leaves the folder"])


def test_links_are_looked_up_only_where_something_is_one(folder, monkeypatch):
    """Each look-up asks the disk about every folder above a file, 100,000 times for 100,000 captions."""
    pictures = [f"{number}.png" for number in range(20)]
    folder.put(*pictures).write({f"{number}.txt": "cat" for number in range(20)})
    captions, looked_up, real = folder.captions(), [], os.path.realpath
    monkeypatch.setattr(os.path, "realpath", lambda path, **more: looked_up.append(path) or real(path, **more))
    assert all(captions.find(folder.path / picture, "").lines == ("cat",) for picture in pictures)
    assert len(looked_up) == 2


def test_a_table_that_never_ends_is_given_up(folder):
    folder.write({"metadata.jsonl": "x\n" * 250_000})
    assert folder.remarks()[0] == "metadata.jsonl: only its first 200,000 lines are read"


def test_the_folder_may_be_relative(folder, monkeypatch):
    folder.put("sub/b.png").write({"a.txt": "cat", "sub/metadata.jsonl": jsonl({"file_name": "b.png", "text": "dog"})})
    monkeypatch.chdir(folder.path)
    for here in (Path(), Path("../set"), Path("sub/..")):
        captions = CaptionFiles(here, [here / "a.png", here / "a.txt", here / "sub/b.png", here / "sub/metadata.jsonl"])
        assert [said(captions.find(here / name, ""))[0] for name in ("a.png", "sub/b.png")] == ["cat", "dog"]


@pytest.mark.parametrize("kind", ["sidecars", "table"])
def test_ten_thousand_pictures_take_three_seconds_at_most(folder, kind):
    text = "1girl, solo, long hair, blue eyes, looking at viewer, outdoors, smile, red dress, tree, number {}"
    pictures = [folder.path / f"{number}.png" for number in range(10_000)]
    if kind == "sidecars":
        files = [path.with_suffix(".txt") for path in pictures]
        for number, path in enumerate(files):
            path.write_text(text.format(number))
    else:
        files = [folder.path / "metadata.jsonl"]
        entries = [{"file_name": path.name, "text": text.format(number)} for number, path in enumerate(pictures)]
        files[0].write_text(jsonl(*entries))
    start = time.process_time()
    captions = CaptionFiles(folder.path, [*pictures, *files])
    found = [captions.find(path, "") for path in pictures]
    assert time.process_time() - start < 3
    assert captions.remarks() == () and found[77].lines == (text.format(77),)
