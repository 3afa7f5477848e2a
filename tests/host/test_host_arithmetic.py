"""The size of a training before it is queued, in a real ComfyUI."""

from __future__ import annotations

from typing import Any

import pytest

from tests.host.graphs import training_graph
from tests.host.runs import history, run_named
from tests.host.server import ComfyServer

LOAD, CROP, MERGE = "LoraAtelierLoadDataset", "LoraAtelierSmartCrop", "LoraAtelierMergeDatasets"


def question(folder: str, settings: dict[str, Any], load: dict[str, Any] | None = None) -> dict[str, Any]:
    """What the page asks about a graph that loads, crops and trains."""
    graph = training_graph(folder, settings)
    loaded = {"node": LOAD, "values": graph["load"]["inputs"] | (load or {})}
    cropped = {"node": CROP, "values": _widgets(graph["crop"]), "datasets": [loaded]}
    return {"dataset": cropped, "train": _widgets(graph["train"])}


def _widgets(node: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in node["inputs"].items() if name != "dataset"}


def ask(comfy: ComfyServer, asked: dict[str, Any]) -> dict[str, Any]:
    status, answer = comfy.post("/lora_atelier/arithmetic", asked)
    assert status == 200, answer
    return answer


def test_the_answer_is_what_the_training_then_does(comfy: ComfyServer, pictures: str) -> None:
    settings = {"name": "counted", "epochs": 3, "batch_size": 2}
    answer = ask(comfy, question(pictures, settings, {"repeats": 2}))
    graph = training_graph(pictures, settings)
    graph["load"]["inputs"]["repeats"] = 2
    comfy.run(graph)
    told = history(comfy, run_named(comfy, "counted")["run"])
    assert answer["size"] == told["size"] and answer["size"]["steps"] == told["step"] == 12
    file = comfy.base / "output" / told["folder"] / "epochs" / told["saves"][-1]["file"]
    metadata = 2**17
    assert answer["size"]["bytes_each"] <= file.stat().st_size < answer["size"]["bytes_each"] + metadata


def test_the_time_is_that_of_the_last_run_like_it(comfy: ComfyServer, pictures: str) -> None:
    comfy.run(training_graph(pictures, {"name": "timed", "epochs": 2, "batch_size": 1}))
    short = ask(comfy, question(pictures, {"epochs": 10, "batch_size": 1}))
    long = ask(comfy, question(pictures, {"epochs": 30, "batch_size": 1}))
    assert 0 < short["seconds"] < 3600
    assert long["seconds"] == pytest.approx(3 * short["seconds"])
    measured = ask(comfy, question(pictures, {"epochs": 10, "batch_size": 1, "validate_every_epochs": 1}))
    # before the first step and after each of 10 epochs 4 pictures at 4 timesteps; three take as long as one of 40 shown
    assert measured["seconds"] == pytest.approx(short["seconds"] * (1 + 11 * 4 * 4 / 3 / 40))


def test_pictures_that_cannot_be_followed_are_those_of_the_last_run(comfy: ComfyServer, pictures: str) -> None:
    comfy.run(training_graph(pictures, {"name": "before", "epochs": 1}))
    run = run_named(comfy, "before")["run"]
    asked = question(pictures, {"epochs": 5, "batch_size": 1})
    assert ask(comfy, {"run": run, "train": asked["train"]})["size"]["steps"] == 20


def test_merged_datasets_are_counted_together(comfy: ComfyServer, pictures: str) -> None:
    asked = question(pictures, {"epochs": 1, "batch_size": 1})
    merged = {"node": MERGE, "datasets": [asked["dataset"], asked["dataset"]]}
    assert ask(comfy, asked | {"dataset": merged})["size"]["pictures"] == 8


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"dataset": "x"}, "dataset is not what this page sends"),
        ({"dataset": {"node": MERGE, "datasets": [[]]}}, "datasets is not what this page sends"),
        ({"dataset": {"node": "Anything"}}, "not known before the graph is run"),
        ({"dataset": {"node": LOAD, "values": {}}}, "smallest_side is None"),
        ({"dataset": None}, "not known before the graph is run"),
        ({"dataset": None, "run": "../runs"}, "there is no run"),
        ({"train": {}}, "epochs is None"),
        ({"train": {"epochs": True}}, "epochs is True"),
        ({"train": None, "again": {"lora": "../x"}}, "there is no LoRA"),
    ],
)
def test_what_no_page_sends_is_refused_in_one_line(
    comfy: ComfyServer, pictures: str, more: dict[str, Any], problem: str
) -> None:
    status, answer = comfy.post("/lora_atelier/arithmetic", question(pictures, {}) | more)
    assert status == 400 and problem in answer["error"]


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"base_model": "/etc/passwd"}, "there is no base model"),
        ({"batch_size": 64}, "the batch size 64 is larger than the set"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"epochs": 2**70}, "Give at most 10000"),
        ({"save_precision": "fp64"}, "fp64"),
    ],
)
def test_what_a_training_would_refuse_is_refused(
    comfy: ComfyServer, pictures: str, settings: dict[str, Any], problem: str
) -> None:
    status, answer = comfy.post("/lora_atelier/arithmetic", question(pictures, settings))
    assert status == 400 and problem in answer["error"]


def test_pictures_without_windows_are_refused(comfy: ComfyServer, pictures: str) -> None:
    asked = question(pictures, {})
    (loaded,) = asked["dataset"]["datasets"]
    status, answer = comfy.post("/lora_atelier/arithmetic", asked | {"dataset": loaded})
    assert status == 400 and "Add Smart Crop first" in answer["error"]


def test_no_folder_outside_of_the_roots_is_read(comfy: ComfyServer, pictures: str) -> None:
    status, answer = comfy.post("/lora_atelier/arithmetic", question(pictures, {}, {"folder": "input/../output"}))
    assert status == 400 and "is not a folder inside" in answer["error"]
