"""What a verdict says, in every language of the page."""

from __future__ import annotations

import json
import shutil
import string
import subprocess
from pathlib import Path

import pytest

from trainer_core.dataset.types import Dataset, DatasetImage
from trainer_core.training.plan import OptimizerPlan, TrainingPlan
from trainer_core.training.verdict import Kind
from trainer_core.training.verdict_words import SENTENCES, remedies

_WORDS = Path(__file__).parents[1] / "web" / "words"
_READ = "import(process.argv[1]).then((words) => console.log(JSON.stringify(Object.values(words)[0])))"
_KINDS = Kind.__args__
_PLANS = (
    TrainingPlan(),
    TrainingPlan(steps=100),
    TrainingPlan(optimizer=OptimizerPlan(name="Prodigy", unet_rate=1.0, text_encoder_rate=1.0)),
    TrainingPlan(optimizer=OptimizerPlan(unet_rate=0.0)),
)

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js on the PATH")


@pytest.fixture(scope="module", params=["en", "zh", "zh-TW"])
def words(request: pytest.FixtureRequest) -> dict[str, str]:
    return _words_in(request.param)


def test_every_sentence_and_kind_has_words(words: dict[str, str]) -> None:
    assert [key for key in SENTENCES if f"verdict.{key}" not in words] == []
    assert [kind for kind in _KINDS if f"kindOfRun.{kind}" not in words] == []


def test_no_words_are_left_of_a_sentence_that_is_gone(words: dict[str, str]) -> None:
    assert [key for key in words if key.startswith("verdict.") and key[len("verdict.") :] not in SENTENCES] == []


def test_every_sentence_fills_in_what_the_server_gives(words: dict[str, str]) -> None:
    for key, sentence in SENTENCES.items():
        assert _places(words[f"verdict.{key}"]) == _places(sentence), key


@pytest.mark.parametrize("repeats", [(1, 1), (1, 2)], ids=["same repeats", "other repeats"])
def test_every_field_that_a_change_names_has_words(words: dict[str, str], repeats: tuple[int, int]) -> None:
    images = tuple(_picture(f"{place}.png", times) for place, times in enumerate(repeats))
    advised = [remedies(plan, Dataset(images=images), more=True) for plan in _PLANS]
    assert [change.field for changes in advised for change in changes if f"field.{change.field}" not in words] == []


def test_the_english_of_the_page_is_the_servers() -> None:
    english = _words_in("en")
    for key, sentence in SENTENCES.items():
        assert english[f"verdict.{key}"] == f"{sentence[0].upper()}{sentence[1:]}."


def _words_in(language: str) -> dict[str, str]:
    address = (_WORDS / f"{language}.mjs").as_uri()
    run = subprocess.run(["node", "-e", _READ, address], capture_output=True, text=True, encoding="utf-8", check=True)
    return json.loads(run.stdout)


def _picture(name: str, repeats: int) -> DatasetImage:
    return DatasetImage(
        path=Path(name), width=64, height=64, caption="", caption_source="none", repeats=repeats,
        is_regularisation=False, fingerprint=name,
    )  # fmt: skip


def _places(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name}
