"""Edits by hand: applied as the page applies them, read from JSON, matched to files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trainer_core.captions.edits import NO_EDITS, CaptionEdit, CaptionEdits, apply, apply_to_all
from trainer_core.dataset.naming import ByFileName, file_keys
from trainer_core.errors import TrainingError

CASES = json.loads((Path(__file__).parent / "caption_edit_cases.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["why"])
def test_a_caption_is_edited_as_the_page_edits_it(case):
    assert apply(case["caption"], CaptionEdit(**case["edit"])) == case["result"]


def test_of_several_captions_the_text_stands_for_the_first():
    captions = ("a cat", "b, x")
    assert apply_to_all(captions, CaptionEdit(add=["hat"], remove=["x"])) == ("a cat, hat", "b, hat")
    assert apply_to_all(captions, CaptionEdit(text="c", add=["hat"])) == ("c, hat", "b, x, hat")


def test_edits_come_back_from_json():
    pictures = {
        "a.png": {"text": "", "replace": {"old": "new"}, "remove": ["x"], "add": ["y"]},
        "1_x/b.png": {"add": ["z"]},
    }
    edits = CaptionEdits.read(json.dumps({"version": 1, "pictures": pictures}))
    assert edits.of(Path("/set/a.png")) == CaptionEdit(text="", replace={"old": "new"}, remove=("x",), add=("y",))
    assert edits.to_json() == {"version": 1, "pictures": pictures}


@pytest.mark.parametrize("text", ["", "  \n", "{}", '{"version": 1}', '{"version": 1, "pictures": {}}'])
def test_empty_edits_change_nothing(text):
    edits = CaptionEdits.read(text)
    assert edits.of(Path("a.png")) is None and edits.lost([Path("a.png")]) == []
    assert NO_EDITS.of(Path("a.png")) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not valid JSON"),
        ("nope", "not valid JSON"),
        ("[]", "no such JSON"),
        ('"a"', "no such JSON"),
        ("1" * 5000, "no such JSON"),
        ("[" * 100_000, "no such JSON"),
        ('{"a.png": {"add": ["x"]}}', "no such JSON"),
        ('{"version": 2, "pictures": {}}', "version 2"),
        ('{"version": 1, "pictures": []}', "not an object of file names"),
        ('{"version": 1, "pictures": {"a.png": "x"}}', "'a.png' has other fields"),
        ('{"version": 1, "pictures": {"a.png": {"delete": ["x"]}}}', "'a.png' has other fields"),
        ('{"version": 1, "pictures": {"a.png": {"text": 1}}}', "\"text\" in the caption edit of 'a.png'"),
        ('{"version": 1, "pictures": {"a.png": {"add": "x"}}}', '"add"'),
        ('{"version": 1, "pictures": {"a.png": {"remove": [1]}}}', '"remove"'),
        ('{"version": 1, "pictures": {"a.png": {"replace": ["x"]}}}', '"replace"'),
        ('{"version": 1, "pictures": {"a.png": {"replace": {"x": null}}}}', '"replace"'),
        (" " + "x" * (20 * 2**20 + 1), "20 MB"),
    ],
    ids=lambda text: text[:40],
)
def test_what_cannot_be_read_is_told_in_one_line(text, words):
    with pytest.raises(TrainingError) as caught:
        CaptionEdits.read(text)
    assert words in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 200


def test_half_a_character_is_left_out():
    edits = CaptionEdits.read('{"version": 1, "pictures": {"a.png": {"add": ["cat \\ud83d"]}}}')
    assert edits.of(Path("a.png")).add == ("cat ",)


def test_edits_for_pictures_that_are_not_here_are_named():
    edits = CaptionEdits({"a.png": CaptionEdit(), "x/b.png": CaptionEdit(), "c.png": CaptionEdit()})
    assert edits.lost([Path("/set/a.png"), Path("/set/y/b.png")]) == ["x/b.png", "c.png"]


def test_the_longest_key_that_fits_wins():
    entries = ByFileName({"a.png": 1, "5_dog/a.png": 2, r"6_cat\a.png": 3})
    paths = [Path("/set/10_mochi/a.png"), Path("/set/5_dog/a.png"), Path("/set/6_cat/a.png"), Path("/set/b.png")]
    assert [entries.of(path) for path in paths] == [1, 2, 3, None]


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("e\u0301.png", "é.png"),
        ("é.png", "e\u0301.png"),
        ("か\u3099.png", "が.png"),
        ("1_e\u0301\\a.png", "1_é/a.png"),
        ("a\\b.png", "a\\b.png"),
    ],
    ids=ascii,
)
def test_a_key_from_another_system_finds_its_picture(key, name):
    path = Path("/set") / name
    assert ByFileName({key: 1}).of(path) == 1 and ByFileName({key: 1}).lost([path]) == []


def test_a_key_in_the_pictures_own_spelling_comes_first():
    entries = ByFileName({"é.png": 1, "e\u0301.png": 2})
    assert [entries.of(Path("/set") / name) for name in ("é.png", "e\u0301.png")] == [1, 2]


def test_keys_are_as_short_as_tells_pictures_apart_and_find_each_one():
    paths = [Path(name) for name in ("/s/1_x/a.png", "/s/2_y/a.png", "/s/1_x/b.png", "/t/1_x/c.png", "/u/1_x/c.png")]
    keys = file_keys(paths)
    assert keys == ("1_x/a.png", "2_y/a.png", "b.png", "t/1_x/c.png", "u/1_x/c.png")
    entries = ByFileName({key: number for number, key in enumerate(keys)})
    assert [entries.of(path) for path in paths] == [0, 1, 2, 3, 4]


def test_a_picture_that_is_trained_twice_has_one_key():
    assert file_keys([Path("/s/a.png"), Path("/s/a.png")]) == ("a.png", "a.png")
