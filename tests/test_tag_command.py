"""`tag` and `taggers` on the command line, and a tagger in a job file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.tagger_stand_ins import cell_of, write_tags_csv, write_wd_onnx
from trainer_core.command_line import main
from trainer_core.errors import TrainingError
from trainer_core.job import read_job

pytest.importorskip("onnxruntime")

TAGS = (("safe", 9), ("long_hair", 0), ("hat", 0), ("miku", 4))
WD = "wd-vit-tagger-v3"


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ComfyUI with a small WD tagger; it scores the brightness of known cells."""
    folder = tmp_path / "ComfyUI" / "models"
    (folder / "taggers" / WD).mkdir(parents=True)
    write_wd_onnx(folder / "taggers" / WD / "model.onnx", outputs=len(TAGS))
    write_tags_csv(folder / "taggers" / WD / "selected_tags.csv", TAGS)
    monkeypatch.setenv("COMFYUI_DIR", str(tmp_path / "ComfyUI"))
    return folder


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """The first is a hat, the second has long hair."""
    folder = tmp_path / "set"
    folder.mkdir()
    for number, tag in enumerate((2, 1)):
        channel, row, column = cell_of(tag)
        picture = Image.new("RGB", (128, 128), (60, 60, 60))
        colour = tuple(255 if 2 - channel == c else 60 for c in range(3))
        picture.paste(colour, (32 * column, 32 * row, 32 * column + 32, 32 * row + 32))
        picture.save(folder / f"{number}.png")
    return folder


def run(capsys: pytest.CaptureFixture, *arguments: object) -> tuple[int, dict[str, Any]]:
    code = main([*map(str, arguments), "--json"])
    return code, json.loads(capsys.readouterr().out)


def captions(found: dict[str, Any]) -> list[str]:
    return list(found["captions"].values())


def test_a_tagger_writes_captions(models, pictures, capsys):
    code, found = run(capsys, "tag", pictures, "--tagger", WD, "--threshold", 0.9, "--trigger-word", "mochi")
    assert code == 0 and captions(found) == ["mochi, hat", "mochi, long hair"]
    assert not list(pictures.glob("*.txt"))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--underscores"], ["hat", "long_hair"]),
        (["--remove", "h*"], ["", "long hair"]),
        (["--remove-kinds", "hair"], ["hat", ""]),
        (["--ignore", "hat"], ["", "long hair"]),
        (["--replace", "hat -> cap, red cap"], ["cap, red cap", "long hair"]),
        (["--add", "photo"], ["hat, photo", "long hair, photo"]),
        (["--fewest-tags", "2", "--order", "alphabet"], ["hat, long hair", "hat, long hair"]),
        (["--character-threshold", "0.2", "--most-tags", "1"], ["hat", "long hair"]),
    ],
)
def test_every_rule_reaches_the_captions(models, pictures, capsys, options, expected):
    _, found = run(capsys, "tag", pictures, "--tagger", WD, "--threshold", 0.9, *options)
    assert captions(found) == expected


def test_edits_by_hand_come_from_a_file(models, pictures, tmp_path, capsys):
    (tmp_path / "edits.json").write_text('{"version": 1, "pictures": {"1.png": {"add": ["scarf"]}}}')
    _, found = run(capsys, "tag", pictures, "--tagger", WD, "--threshold", 0.9, "--edits", tmp_path / "edits.json")
    assert captions(found) == ["hat", "long hair, scarf"]


def test_files_are_written_when_asked_and_never_twice(models, pictures, capsys):
    arguments = ("tag", pictures, "--tagger", WD, "--threshold", 0.9, "--existing", "overwrite", "--write")
    (pictures / "0.txt").write_text("mine")
    _, found = run(capsys, *arguments)
    assert len(found["written"]) == 2 and (pictures / "0.txt").read_text() == "hat"
    assert (pictures / "0.txt.bak").read_text() == "mine"
    assert run(capsys, *arguments)[1]["written"] == []


def test_answers_are_kept_where_a_cache_is_named(models, pictures, tmp_path, capsys):
    arguments = ("tag", pictures, "--tagger", WD, "--cache", tmp_path / "cache", "--threshold")
    run(capsys, *arguments, 0.9)
    (kept,) = (tmp_path / "cache").glob("*.jsonl")
    before = kept.read_bytes()
    _, found = run(capsys, *arguments, 0.1)
    assert kept.read_bytes() == before and captions(found) == ["hat, long hair", "long hair, hat"]


def test_taggers_are_listed_found_ones_as_such(models, capsys):
    _, found = run(capsys, "taggers")
    is_found = {entry["name"]: entry["found"] for entry in found["taggers"]}
    assert is_found[WD] and not is_found["deepdanbooru"]


def test_a_tagger_that_is_missing_is_told_in_one_line(models, pictures, capsys):
    code, found = run(capsys, "tag", pictures, "--tagger", "deepdanbooru")
    assert code == 1 and "model-resnet_custom_v3.pt" in found["error"] and "\n" not in found["error"]


def job(folder: Path, captions: Any) -> Path:
    value = {"base_model": "none", "dataset": {"folder": "set"}, "crop": {"size": "64x64"}, "captions": captions}
    path = folder / "job.json"
    path.write_text(json.dumps(value))
    return path


def test_a_job_file_names_a_tagger_rules_and_edits(models, pictures, tmp_path):
    asked = {"threshold": 0.9, "tagger": {"name": WD}, "edits": {"pictures": {"0.png": {"add": ["scarf"]}}}}
    dataset = read_job(job(tmp_path, asked), caches=tmp_path / "cache").dataset
    assert [image.caption for image in dataset.images] == ["hat, scarf", "long hair"]
    assert list((tmp_path / "cache").glob("*.jsonl"))


@pytest.mark.parametrize(
    ("captions", "words"),
    [
        ([], "captions must be an object"),
        ({"tags": 1}, "no field 'tags'"),
        ({"tagger": "wd"}, "captions.tagger must be an object"),
        ({"tagger": {"name": WD, "beam": 1}}, "no field 'beam'"),
        ({"tagger": {"name": "nothing"}}, "no tagger 'nothing'"),
        ({"edits": []}, "edits"),
    ],
)
def test_captions_of_a_job_that_cannot_be_are_refused_by_name(models, pictures, tmp_path, captions, words):
    with pytest.raises(TrainingError) as caught:
        read_job(job(tmp_path, captions))
    assert words in str(caught.value) and "\n" not in str(caught.value)
