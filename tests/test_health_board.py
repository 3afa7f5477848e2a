"""What a health card is sent: the report of one run, in words that other languages have as well."""

from __future__ import annotations

import ast
import importlib
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from trainer_core.boards import Boards
from trainer_core.dataset.types import Dataset, DatasetImage, SkippedFile
from trainer_core.errors import TrainingError
from trainer_core.health.board import HealthBoard
from trainer_core.health.report import health_report
from trainer_core.training.arithmetic import run_size
from trainer_core.training.plan import TrainingPlan

ROOT = Path(__file__).parents[1]
CHECKS = sorted((ROOT / "trainer_core" / "health").glob("*.py"))
WORDS = (ROOT / "web" / "words" / "findings_zh.mjs").read_text(encoding="utf-8")


def image(name: str, source: str = "none") -> DatasetImage:
    return DatasetImage(
        path=Path("/set") / name, width=64, height=64, caption="a cat" * (source != "none"), caption_source=source,
        repeats=2, is_regularisation=False, fingerprint=name,
    )  # fmt: skip


@pytest.fixture
def dataset() -> Dataset:
    images = tuple(image(f"{number}.png", "file" if number else "none") for number in range(20))
    return Dataset(images=images, skipped=(SkippedFile(path=Path("/set/broken.png"), reason="truncated"),))


def test_a_card_has_the_counts_and_names_its_pictures_by_number(dataset):
    trained = dataset.with_images(tuple(replace(one, bucket=(64, 64)) for one in dataset.images))
    card = HealthBoard.of(dataset, health_report(dataset), run_size(trained, TrainingPlan(epochs=2))).card
    assert (card["pictures"], card["samples"], card["skipped"], card["size"]["steps"]) == (20, 40, 1, 80)
    found = {finding["kind"]: finding for finding in card["findings"]}
    assert found["caption missing"]["files"] == [{"name": "0.png", "label": "no caption", "picture": "0"}]
    assert found["caption missing"]["values"] == {"count": 1}
    assert found["skipped"]["files"][0]["picture"] is None
    assert found["skipped"]["values"] == {"count": 1, "reason": "cut short"}


def test_findings_are_worst_first(dataset):
    levels = [finding["level"] for finding in HealthBoard.of(dataset, health_report(dataset)).card["findings"]]
    assert levels == sorted(levels, key=("stop", "warn", "note").index)
    assert len(set(levels)) > 1


def test_a_card_of_many_files_stays_small():
    many = Dataset(images=tuple(image(f"{number}.png") for number in range(500)) + (image("a.png", "file"),))
    card = HealthBoard.of(many, health_report(many)).card
    (missing,) = [finding for finding in card["findings"] if finding["kind"] == "caption missing"]
    assert (len(missing["files"]), missing["more_files"], missing["values"]["count"]) == (200, 300, 500)


def test_a_board_comes_back_from_its_folder_as_it_was(tmp_path, dataset):
    board = HealthBoard.of(dataset, health_report(dataset))
    read = HealthBoard.from_json(Boards(tmp_path).read(Boards(tmp_path).keep(board.to_json())))
    assert read == board
    assert str(tmp_path) not in json.dumps(board.card)


def test_an_incomplete_board_is_a_plain_error():
    with pytest.raises(TrainingError, match="not complete"):
        HealthBoard.from_json({"card": {}})


@pytest.mark.parametrize("path", CHECKS, ids=lambda path: path.name)
def test_all_that_a_check_says_is_said_in_chinese_too(path):
    module = importlib.import_module(f"trainer_core.health.{path.stem}")
    for text in _advice_in(path, vars(module)):
        assert json.dumps(text, ensure_ascii=False) in WORDS or f"'{text}'" in WORDS, text
    for kind in _kinds_in(path):
        assert re.search(rf'"{re.escape(kind)}(/[a-z ]+)?": ', WORDS), kind


def _advice_in(path: Path, names: dict[str, object]) -> Iterator[str]:
    """Every advice that does not depend on the dataset."""
    for call in _calls(path):
        written = {"_Remedy": call.args[2:3], "_Wording": call.args[6:7]}.get(ast.unparse(call.func), [])
        written += [keyword.value for keyword in call.keywords if keyword.arg == "advice"]
        for value in written:
            if isinstance(value, ast.Constant):
                yield value.value
            elif isinstance(value, ast.JoinedStr) and not any(isinstance(node, ast.Call) for node in ast.walk(value)):
                yield "".join(_part(piece, names) for piece in value.values)


def _part(piece: ast.expr, names: dict[str, object]) -> str:
    """Of an f-string that fills in constants of its module."""
    return piece.value if isinstance(piece, ast.Constant) else str(names[ast.unparse(piece.value)])


def _kinds_in(path: Path) -> Iterator[str]:
    for call in _calls(path):
        by_name = [keyword.value for keyword in call.keywords if keyword.arg == "kind"]
        named = {"about": call.args[:1], "_Wording": call.args[:1], "Finding": by_name}.get(ast.unparse(call.func), [])
        yield from (value.value for value in named if isinstance(value, ast.Constant))


def _calls(path: Path) -> list[ast.Call]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
