"""A tagger asked about a dataset: each picture once, as it is cropped, and never again."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainer_core.dataset.folder import read_folder
from trainer_core.dataset.types import CropBox, Dataset
from trainer_core.errors import TrainingError
from trainer_core.tagging.answers import AnswerStore
from trainer_core.tagging.asking import Asking
from trainer_core.tagging.tagger import TagAnswer


class MeanColour:
    """A tagger that says how red, green and blue a picture is."""

    def __init__(self, batch_size: int, asked: list[int], answers_missing: int) -> None:
        self.batch_size, self._asked, self._missing = batch_size, asked, answers_missing

    def prepare(self, picture: Image.Image) -> np.ndarray:
        return np.asarray(picture, np.float32).mean(axis=(0, 1)) / 255

    def answer(self, prepared: Sequence[np.ndarray]) -> list[TagAnswer]:
        self._asked.append(len(prepared))
        names = ("red", "green", "blue")
        answers = [TagAnswer(general=dict(zip(names, map(float, colour), strict=True))) for colour in prepared]
        return answers[: len(answers) - self._missing]


@dataclass(frozen=True)
class MeanColourModel:
    name: str = "mean colour"
    identity: str = "mean colour 1"
    threshold: float = 0.5
    character_threshold: float = 0.5
    batch_size: int = 2
    answers_missing: int = 0
    asked: list[int] = field(default_factory=list)
    loaded: list[weakref.ref] = field(default_factory=list)

    def load(self, device: str) -> MeanColour:
        tagger = MeanColour(self.batch_size, self.asked, self.answers_missing)
        self.loaded.append(weakref.ref(tagger))
        return tagger


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Five pictures: the left half red by degrees, the right half blue."""
    folder = tmp_path / "set"
    folder.mkdir()
    for number in range(5):
        picture = Image.new("RGB", (128, 64), (50 * number, 0, 0))
        picture.paste((0, 0, 255), (64, 0, 128, 64))
        picture.save(folder / f"{number}.png")
    return read_folder(folder)


def ask(dataset: Dataset, model: MeanColourModel, caches: Path | None = None) -> list[TagAnswer]:
    asking = Asking(dataset, model, device="cpu", caches=caches)
    for _ in asking.steps():
        pass
    return asking.answers()


def reds(answers: Sequence[TagAnswer]) -> list[float]:
    return [answer.general["red"] for answer in answers]


def test_every_picture_is_answered_in_order_and_in_batches(dataset):
    model = MeanColourModel()
    assert reds(ask(dataset, model)) == pytest.approx([25 * number / 255 for number in range(5)])
    assert model.asked == [2, 2, 1]


def test_progress_counts_pictures_after_each_batch(dataset):
    steps = list(Asking(dataset, MeanColourModel(), device="cpu").steps())
    assert [(step.done, step.total) for step in steps] == [(0, 5), (2, 5), (4, 5), (5, 5)]


def test_the_tagger_sees_the_crop_at_its_own_size(dataset):
    box = CropBox(left=64, top=0, right=128, bottom=64, method="center")
    cropped = dataset.with_images(tuple(replace(i, crop=box, bucket=(32, 32)) for i in dataset.images))
    answers = ask(cropped, MeanColourModel())
    assert all(answer.general["blue"] == 1.0 and answer.general["red"] == 0.0 for answer in answers)


def test_what_was_answered_is_not_asked_again_and_no_model_is_loaded(dataset, tmp_path):
    first = ask(dataset, MeanColourModel(), tmp_path / "tags")
    again = MeanColourModel()
    assert ask(dataset, again, tmp_path / "tags") == first
    assert again.loaded == []


def test_only_a_changed_crop_is_asked_again(dataset, tmp_path):
    ask(dataset, MeanColourModel(), tmp_path)
    box = CropBox(left=0, top=0, right=64, bottom=64, method="center")
    first, *others = dataset.images
    model = MeanColourModel()
    ask(dataset.with_images((replace(first, crop=box), *others)), model, tmp_path)
    assert model.asked == [1]


def test_another_model_is_asked_for_itself(dataset, tmp_path):
    ask(dataset, MeanColourModel(), tmp_path)
    model = MeanColourModel(identity="mean colour 2")
    ask(dataset, model, tmp_path)
    assert sum(model.asked) == 5


def test_the_same_picture_twice_is_asked_once(dataset):
    model = MeanColourModel()
    answers = ask(dataset.with_images((*dataset.images, dataset.images[0])), model)
    assert sum(model.asked) == 5 and answers[5] == answers[0]


def test_what_was_answered_before_a_stop_is_kept(dataset, tmp_path):
    steps = Asking(dataset, MeanColourModel(), device="cpu", caches=tmp_path).steps()
    next(steps), next(steps)
    steps.close()
    model = MeanColourModel()
    ask(dataset, model, tmp_path)
    assert sum(model.asked) == 3


def test_the_model_leaves_memory_when_it_is_done_or_stopped(dataset):
    model = MeanColourModel()
    asking = Asking(dataset, model, device="cpu")
    for _ in asking.steps():
        pass
    steps = Asking(dataset, model, device="cpu").steps()
    next(steps), next(steps)
    steps.close()
    gc.collect()
    assert [tagger() for tagger in model.loaded] == [None, None]


def test_a_tagger_that_leaves_pictures_out_is_told(dataset):
    with pytest.raises(TrainingError, match="answered for 1 of 2 pictures"):
        ask(dataset, MeanColourModel(answers_missing=1))


def test_a_picture_that_changed_meanwhile_is_told(dataset):
    Image.new("RGB", (128, 64)).save(dataset.images[1].path)
    with pytest.raises(TrainingError, match="has changed since"):
        ask(dataset, MeanColourModel())


def test_a_line_that_a_crash_cut_short_costs_that_answer_only(dataset, tmp_path):
    ask(dataset, MeanColourModel(), tmp_path)
    (file,) = tmp_path.glob("*.jsonl")
    file.write_bytes(file.read_bytes()[:-20])
    model = MeanColourModel()
    ask(dataset, model, tmp_path)
    assert sum(model.asked) == 1
    again = MeanColourModel()
    ask(dataset, again, tmp_path)
    assert again.asked == []


@pytest.mark.parametrize("line", [b"\xff\xfe", b"[]", b'["k", 1]', b'["k", {"sentence": ""}]', b'{"k": 1}', b"null"])
def test_lines_that_are_something_else_are_passed_over(dataset, tmp_path, line):
    expected = ask(dataset, MeanColourModel(), tmp_path)
    (file,) = tmp_path.glob("*.jsonl")
    file.write_bytes(line + b"\n" + file.read_bytes() + b"\n" + line)
    assert AnswerStore(tmp_path, MeanColourModel().identity).recall(dataset.images[3]) == expected[3]


def test_answers_keep_every_digit(dataset, tmp_path):
    first = ask(dataset, MeanColourModel(), tmp_path)
    assert ask(dataset, MeanColourModel(), tmp_path) == first


def test_a_folder_that_cannot_be_written_is_told_in_one_line(dataset, tmp_path):
    (tmp_path / "tags").write_text("a file where the folder should be")
    with pytest.raises(TrainingError, match="cannot write") as caught:
        ask(dataset, MeanColourModel(), tmp_path / "tags")
    assert "\n" not in str(caught.value)
