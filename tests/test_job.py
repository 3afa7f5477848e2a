"""Job files: what cannot be used is refused in words that name it, never by a traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from trainer_core.errors import TrainingError
from trainer_core.files import write_json
from trainer_core.job import Job, read_job


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (96, 64), "red").save(tmp_path / "pictures" / "a.png")
    return tmp_path


def read(folder: Path, **changed) -> Job:
    job = {"base_model": "base.safetensors", "dataset": {"folder": "pictures"}, **changed}
    (folder / "mochi.json").write_text(json.dumps(job))
    return read_job(folder / "mochi.json")


def of_pictures(**fields) -> dict:
    return {"dataset": {"folder": "pictures", **fields}}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"base_model": 5}, "base_model must be a text, got 5"),
        ({"base_model": None}, "base_model must be a text"),
        ({"base_model": ["a"]}, "base_model must be a text"),
        ({"name": 5}, "name must be a text, got 5"),
        ({"name": None}, "name must be a text"),
        ({"dataset": "pictures"}, "dataset must be an object"),
        ({"dataset": ["pictures"]}, "dataset must be an object"),
        ({"dataset": []}, "nothing to merge"),
        ({"dataset": {"images": ["a.png"]}}, "is not complete"),
        (of_pictures(folder=5), "dataset.folder must be a text"),
        (of_pictures(folder="x" * 5000), "there is no folder"),
        (of_pictures(folder="a\0b"), "there is no folder"),
        (of_pictures(folder="\ud800"), "there is no folder"),
        (of_pictures(repeats="10"), "dataset.repeats must be a whole number, got '10'"),
        (of_pictures(repeats=2.5), "dataset.repeats must be a whole number"),
        (of_pictures(repeats=True), "dataset.repeats must be a whole number"),
        (of_pictures(repeats=10**400), "dataset.repeats is too large a number: it has 401 digits"),
        (of_pictures(regularisation=5), "dataset.regularisation must be a text"),
        (of_pictures(regularisation="pictures", regularisation_repeats="x"), "regularisation_repeats must be a whole"),
        (of_pictures(reading=None), "reading must be an object"),
        ({"crop": {"size": 512}}, "crop.size must be a text, got 512"),
        ({"crop": {"face_model": 5}}, "crop.face_model must be a text"),
        ({"crop": {"overrides": {"a.png": [10**400, 0, 1, 1]}}}, "the crop override of 'a.png' is"),
        ({"captions": {"edits": None}}, "the caption edits are no such JSON"),
        ({"plan": {"optimizer": {"learning_rate": 10**400}}}, "learning_rate is too large a number"),
    ],
    ids=lambda value: str(value)[:50] if isinstance(value, dict) else "",
)
def test_a_value_of_another_kind_is_named(folder, changed, words):
    with pytest.raises(TrainingError, match=words) as caught:
        read(folder, **changed)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["9" * 5000, "[" * 100_000, "[]", "null", ""], ids=lambda text: text[:3])
def test_what_is_no_object_is_refused(folder, text):
    (folder / "mochi.json").write_text(text)
    with pytest.raises(TrainingError, match="is not valid JSON|must be an object"):
        read_job(folder / "mochi.json")


def test_a_name_may_begin_with_a_tilde_that_is_nobodys(folder):
    job = read(folder, base_model="~no such user~.safetensors", plan={"adapter": {"start_from": "~nobody.safetensors"}})
    assert job.base_model == folder / "~no such user~.safetensors"
    assert job.plan.adapter.start_from == str(folder / "~nobody.safetensors")


def test_the_name_is_one_that_a_disk_can_hold(folder):
    assert read(folder, name="half a \ud83d").name == "half a _"
    assert read(folder).name == "mochi"


def test_a_runs_own_job_file_is_read_from_anywhere(folder, monkeypatch):
    """Trained as `train mochi.json` from its folder, then again from another one, or by several processes."""
    job = {
        "base_model": "base.safetensors",
        "dataset": {"folder": "pictures"},
        "plan": {"adapter": {"start_from": "mine.safetensors", "merge_first": "other.safetensors:0.5"}},
    }
    (folder / "mochi.json").write_text(json.dumps(job))
    monkeypatch.chdir(folder)
    written = read_job(Path("mochi.json"))
    write_json(Path("runs/mochi-1/job.json"), written.to_json())
    monkeypatch.chdir(folder.parent)
    again = read_job(folder / "runs" / "mochi-1" / "job.json")
    assert (again.base_model, again.dataset) == (folder / "base.safetensors", written.dataset)
    assert [image.path for image in again.dataset.images] == [folder / "pictures" / "a.png"]
    assert again.plan == written.plan
    assert again.plan.adapter.files == [folder / "mine.safetensors", folder / "other.safetensors"]


def test_pictures_given_one_by_one_lie_from_the_job_files_folder(folder):
    (image,) = read(folder).dataset.to_json()["images"]
    mask = {"path": "masks/a.png", "fingerprint": "0" * 32, "is_transparency": False}
    job = read(folder, dataset={"images": [image | {"path": "pictures/a.png", "mask": mask}]})
    assert job.dataset.images[0].path == folder / "pictures" / "a.png"
    assert job.dataset.images[0].mask.path == folder / "masks" / "a.png"
    with pytest.raises(TrainingError, match="crop and captions in the job would do nothing"):
        read(folder, dataset={"images": [image]}, crop={"size": "64x64"}, captions={"trigger_word": "x"})
