"""A dataset as JSON: everything comes back, and what changes training changes the fingerprint."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from tests.photos import measures
from trainer_core.dataset.types import CropBox, Dataset, DatasetImage, Mask, SkippedFile
from trainer_core.errors import TrainingError

PLAIN = DatasetImage(
    path=Path("set/a.png"), width=96, height=64, caption="mochi, a cat", caption_source="a.txt", repeats=10,
    is_regularisation=False, fingerprint="0" * 32,
)  # fmt: skip
FULL = replace(
    PLAIN,
    path=Path("set/猫.png"),
    crop=CropBox(left=0, top=0, right=64, bottom=64, method="mask", subject_kept=0.95),
    bucket=(64, 64),
    other_captions=("mochi, asleep",),
    background="#ffffff",
    mask=Mask(path=Path("set/猫-masklabel.png"), fingerprint="1" * 32),
    is_repaired=True,
    notes=("greyscale",),
    measures=measures(1),
)
DATASET = Dataset(
    images=(PLAIN, FULL),
    skipped=(SkippedFile(path=Path("set/b.png"), reason="empty file"),),
    trigger_words=("mochi",),
    remarks=("1 hidden file is not read",),
)


def test_all_of_it_is_there_in_the_order_of_the_fields_and_comes_back():
    text = json.dumps(DATASET.to_json())
    assert text == json.dumps(asdict(DATASET), default=str)
    assert Dataset.from_json(json.loads(text)) == DATASET


def test_the_fingerprint_is_the_one_that_earlier_runs_are_found_by():
    assert DATASET.fingerprint() == "0f9fc99d70fcda43e54f55bd56ce83b3"


@pytest.mark.parametrize(
    "changed",
    [
        {"caption": "mochi"}, {"other_captions": ()}, {"repeats": 2}, {"is_regularisation": True}, {"bucket": (32, 32)},
        {"fingerprint": "2" * 32}, {"background": ""}, {"mask": None}, {"crop": None},
        {"crop": replace(FULL.crop, left=1)}, {"mask": replace(FULL.mask, fingerprint="2" * 32)},
    ],
    ids=str,
)  # fmt: skip
def test_what_changes_training_changes_the_fingerprint(changed):
    assert DATASET.with_images((PLAIN, replace(FULL, **changed))).fingerprint() != DATASET.fingerprint()


@pytest.mark.parametrize(
    "changed",
    [
        {"path": Path("elsewhere/a.png")}, {"notes": ()}, {"measures": None}, {"is_repaired": False},
        {"caption_source": "given"}, {"crop": replace(FULL.crop, method="override", subject_kept=1.0)},
        {"mask": replace(FULL.mask, path=Path("elsewhere/a.png"))},
    ],
    ids=str,
)  # fmt: skip
def test_what_does_not_change_training_leaves_the_fingerprint(changed):
    assert DATASET.with_images((PLAIN, replace(FULL, **changed))).fingerprint() == DATASET.fingerprint()


@pytest.mark.parametrize(
    "value",
    [
        {}, [], None, {"images": None}, {"images": ["a.png"]}, {"images": [None]}, {"images": [{}]},
        {"images": [{"path": 5}]}, {"images": [], "skipped": ["a.png"]}, {"images": [], "skipped": [{}]},
        {"images": [DATASET.to_json()["images"][0] | {"crop": "left"}]},
        {"images": [DATASET.to_json()["images"][0] | {"mask": "a.png"}]},
        {"images": [DATASET.to_json()["images"][0] | {"bucket": 512}]},
        {"images": [DATASET.to_json()["images"][0] | {"colour": "red"}]},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_dataset_is_refused(value):
    with pytest.raises(TrainingError, match="is not complete"):
        Dataset.from_json(value)
