"""Windows set by hand, where the page and the server must agree, and what Smart Crop leaves for the crop editor."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from trainer_core.boards import Boards
from trainer_core.crop.board import CropBoard
from trainer_core.crop.crop import crop_dataset, set_by_hand
from trainer_core.crop.overrides import Overrides, read_overrides
from trainer_core.crop.rules import CropRules
from trainer_core.dataset.types import Dataset, DatasetImage
from trainer_core.errors import TrainingError

CASES = json.loads((Path(__file__).parent / "crop_window_cases.json").read_text(encoding="utf-8"))


def image(path: str, width: int = 300, height: int = 200) -> DatasetImage:
    return DatasetImage(
        path=Path(path), width=width, height=height, caption="", caption_source="none", repeats=1,
        is_regularisation=False, fingerprint="0" * 32,
    )  # fmt: skip


@pytest.mark.parametrize("case", CASES["windows"], ids=lambda case: f"{case['picture']} {case['value']}")
def test_a_window_set_by_hand_is_where_the_page_shows_it(case):
    dataset = Dataset(images=(image("/set/a.png", *case["picture"]),))
    overrides = Overrides(read_overrides(f"a.png: {case['value']}"), dataset.images)
    (found,) = set_by_hand(dataset, CropRules(**case["rules"]), overrides).images
    assert [found.crop.left, found.crop.top, found.crop.right, found.crop.bottom] == case["window"]
    assert list(found.bucket) == case["shape"]
    assert found.crop.method == "override"


@pytest.mark.parametrize("case", CASES["texts"], ids=lambda case: case["text"][:20])
def test_overrides_are_read_as_the_page_reads_them(case):
    found = read_overrides(case["text"])
    as_json = {
        name: {"box": list(entry.box)} if entry.box else {"place": list(entry.place)} for name, entry in found.items()
    }
    assert as_json == case["overrides"]


@pytest.mark.parametrize("text", CASES["unreadable"])
def test_what_the_page_cannot_read_is_refused(text):
    with pytest.raises(TrainingError, match="override"):
        read_overrides(text)


@pytest.mark.parametrize("case", CASES["names"])
def test_overrides_find_the_pictures_that_the_page_finds(case):
    places = {key: f"0, {number / 10}" for number, key in enumerate(case["overrides"])}
    images = [image(f"/{path}") for path in case["paths"]]
    overrides = Overrides(read_overrides("\n".join(f"{key}: {place}" for key, place in places.items())), images)
    wanted = [None if key is None else read_overrides(f"x: {places[key]}")["x"] for key in case["keys"]]
    assert [overrides.of(one) for one in images] == wanted


def test_a_box_chooses_the_bucket_of_its_own_shape():
    dataset = Dataset(images=(image("/set/a.png", 1600, 900),))
    rules = CropRules(buckets=True)
    overrides = read_overrides("a.png: 100, 100, 500, 700")
    (found,) = crop_dataset(dataset, rules, overrides=overrides).images
    assert found.bucket == (384, 640)
    assert (found.crop.width, found.crop.height) == (400, 667)


@pytest.fixture
def board() -> CropBoard:
    rules = CropRules(width=64, height=64, method="center")
    dataset = Dataset(images=(image("/a/set/1.png"), image("/a/set/2.png")))
    return CropBoard(dataset=crop_dataset(dataset, rules), rules=rules)


def test_a_board_comes_back_from_its_folder_as_it_was(tmp_path, board):
    boards = Boards(tmp_path)
    name = boards.keep(board.to_json())
    assert CropBoard.from_json(boards.read(name)) == board
    assert boards.keep(board.to_json()) == name


def test_the_page_is_told_the_windows_and_the_shapes(board):
    content = board.content()
    assert content["shapes"] == ((64, 64),)
    first = content["pictures"][0]
    assert (first["key"], first["path"], first["window"]) == ("1.png", "a/set/1.png", (50, 0, 250, 200))
    assert (first["shape"], first["method"]) == ((64, 64), "center")


@pytest.mark.parametrize("name", ["../secret", "", "0" * 32, "x" * 32])
def test_a_board_is_found_by_a_name_that_was_given_and_by_no_other(tmp_path, name):
    (tmp_path.parent / "secret.json").write_text("{}", encoding="utf-8")
    with pytest.raises(TrainingError, match="Queue the graph once"):
        Boards(tmp_path).read(name)


def test_of_earlier_boards_the_oldest_go_when_a_new_one_comes(tmp_path):
    boards = Boards(tmp_path)
    names = [boards.keep({"number": number}) for number in range(40)]
    for number, name in enumerate(names):
        os.utime(tmp_path / f"{name}.json", (number, number))
    new = boards.keep({"number": 40})
    assert {path.stem for path in tmp_path.glob("*.json")} == {*names[10:], new}


def test_a_board_that_comfyuis_cache_may_point_to_is_never_deleted(tmp_path):
    boards = Boards(tmp_path)
    names = [boards.keep({"number": number}) for number in range(40)]
    assert [boards.read(name)["number"] for name in names] == [*range(40)]


def test_an_earlier_board_that_is_written_again_counts_as_new(tmp_path):
    boards = Boards(tmp_path)
    name = boards.keep({"number": 0})
    os.utime(tmp_path / f"{name}.json", (0, 0))
    assert boards.keep({"number": 0}) == name
    for number in range(1, 40):
        os.utime(tmp_path / f"{boards.keep({'number': number})}.json", (number, number))
    assert boards.read(name) == {"number": 0}


@pytest.mark.parametrize(
    "value", [{}, {"dataset": 1, "rules": {}}, {"dataset": {"images": []}, "rules": {"colour": 1}}]
)
def test_an_incomplete_board_is_a_plain_error(value):
    with pytest.raises(TrainingError, match="not complete"):
        CropBoard.from_json(value)


def test_a_board_that_another_write_deletes_meanwhile_stops_none(tmp_path, monkeypatch):
    """The page and the queue write boards of one kind at the same time."""
    boards = Boards(tmp_path)
    first = boards.keep({"number": 0})
    real = Path.glob

    def listed(folder, pattern):
        found = list(real(folder, pattern))
        (tmp_path / f"{first}.json").unlink()
        return found

    monkeypatch.setattr(Path, "glob", listed)
    assert boards.read(boards.keep({"number": 1})) == {"number": 1}
