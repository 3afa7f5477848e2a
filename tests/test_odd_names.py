"""Pictures whose names are in an encoding of another system, as archives made on Chinese Windows unpack to: every
stage takes them."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import pytest
from PIL import Image

from trainer_core.boards import Boards
from trainer_core.captions.composing import compose
from trainer_core.captions.rules import CaptionRules
from trainer_core.captions.sidecars import read_sidecars, write_sidecars
from trainer_core.command_line import main
from trainer_core.crop.board import CropBoard
from trainer_core.crop.crop import crop_dataset
from trainer_core.crop.rules import CropRules
from trainer_core.crop.writing import write_crops
from trainer_core.dataset.folder import read_folder
from trainer_core.dataset.types import Dataset
from trainer_core.families.sd15 import SD15
from trainer_core.files import read_json, write_json
from trainer_core.health.board import HealthBoard
from trainer_core.health.report import health_report
from trainer_core.health.sheet import health_sheet
from trainer_core.training.metadata import lora_metadata
from trainer_core.training.plan import TrainingPlan

RULES = CropRules(width=64, height=64)


@pytest.fixture
def folder(tmp_path) -> Path:
    path = tmp_path / os.fsdecode("5_测试 cat".encode("gb18030"))
    try:
        path.mkdir()
        Image.new("RGB", (96, 64), "red").save(path / os.fsdecode("测试.png".encode("gb18030")))
    except OSError:
        pytest.skip("this system keeps names in UTF-8")
    return path


def test_they_are_read_checked_captioned_cropped_and_kept(folder, tmp_path):
    dataset = read_folder(folder, caches=tmp_path / "caches")
    assert dataset == read_folder(folder, caches=tmp_path / "caches") and len(dataset.images) == 1
    report = health_report(dataset)
    health_sheet(dataset, report)
    before = read_sidecars(dataset)
    dataset = crop_dataset(compose(dataset, CaptionRules(trigger_word="mochi")).dataset, RULES)
    for board in (HealthBoard.of(dataset, report), CropBoard(dataset=dataset, rules=RULES)):
        boards = Boards(tmp_path / "boards")
        assert type(board).from_json(boards.read(boards.keep(board.to_json()))) == board
    write_json(tmp_path / "job.json", dataset.to_json())
    assert Dataset.from_json(read_json(tmp_path / "job.json")) == dataset
    assert [entry.state for entry in write_sidecars(dataset, before)] == ["written"]
    assert [path.suffix for path in write_crops(dataset, tmp_path / "crops")] == [".png"]


def test_words_in_a_folders_name_are_as_clean_as_a_caption(folder):
    caption = read_folder(folder).images[0].caption
    assert caption.endswith("cat") and caption.encode("utf-8")


def test_they_are_said_in_a_loras_metadata(folder):
    """It is written after the first epoch, when hours may be lost."""
    said = lora_metadata(
        name="odd",
        family=SD15,
        prediction_type="epsilon",
        plan=TrainingPlan.from_json({"adapter": {"start_from": str(folder / "old.safetensors")}}),
        dataset=crop_dataset(read_folder(folder), RULES),
        base_model=folder / os.fsdecode(b"\xc4\xe3.safetensors"),
        base_identity="",
        epoch=1,
        step=1,
        total_steps=1,
        batches_per_epoch=1,
    )
    assert "".join(said.values()).encode("utf-8")
    assert said["ss_sd_model_name"] == "??.safetensors"
    dirs = json.loads(said["ss_dataset_dirs"])
    assert [value["img_count"] for value in dirs.values()] == [1]
    assert json.loads(said["ss_tag_frequency"]).keys() == dirs.keys()


@pytest.mark.parametrize("answer", [(), ("--json",)], ids=["for people", "for machines"])
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_they_are_printed_wherever_the_answer_goes(folder, monkeypatch, encoding, answer):
    (folder / "猫 🐈.txt").write_text("a caption of nobody", encoding="utf-8")
    console = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", console)
    assert main(["dataset", str(folder), *answer]) == 0
    console.seek(0)
    printed = console.read()
    assert json.loads(printed)["pictures"] == 1 if answer else "1 picture" in printed
