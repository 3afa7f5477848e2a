"""The workflows that come with the pack run as they are, those that train with a few steps on a small model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.host.graphs import SLIM
from tests.host.server import ComfyServer
from tests.host.templates.__main__ import WORKFLOWS
from tests.host.workflows import TRAINING
from tests.tiny_models import tiny_sdxl, write_checkpoint
from trainer_core.files import read_json

_SLIM_SDXL = "slim_sdxl/slim_sdxl.safetensors"
_CUTS = {
    "LoraAtelierSmartCrop": {"width": 64, "height": 64},
    "LoraAtelierTrainLora": {
        "base_model": SLIM, "steps": 2, "save_every_steps": 1, "batch_size": 1, "rank": 4, "precision": "fp32",
        "validate_every_epochs": 0,
    },
    "LoraAtelierSamples": {"width": 64, "height": 64, "steps": 1, "every_epochs": 0},
    "LoraAtelierPreviewSample": {"width": 64, "height": 64, "steps": 1, "count": 1},
    "LoraAtelierEpochSheet": {"width": 64, "height": 64, "steps": 1, "strengths": "1", "prompts": "mochi, cat"},
    "CheckpointLoaderSimple": {"ckpt_name": SLIM},
    "EmptyLatentImage": {"width": 64, "height": 64},
    "KSampler": {"steps": 1},
}  # fmt: skip
"""What a test sets on the nodes of a template, so that it runs in seconds."""


@pytest.fixture(scope="module")
def slim_sdxl(comfy: ComfyServer) -> str:
    """A small SDXL that the trainer takes for a real one, in a folder of its own with the tokenizer that it has."""
    write_checkpoint(comfy.base / "models" / "checkpoints" / _SLIM_SDXL, tiny_sdxl())
    return _SLIM_SDXL


def test_quick_start_runs(comfy):
    shown = _shown(comfy, "quick_start")
    for title in ("Preview Sample", "Proof sheet · 裁剪总览", "Loss curve · 损失曲线"):
        _check_png(comfy, shown[title])
    (saved,) = shown["Save LoRA"]["text"]
    assert (comfy.base / saved).stat().st_size > 10_000


@pytest.mark.parametrize("name", [*TRAINING, "continue_a_lora"])
def test_a_template_that_trains_runs(comfy, slim_sdxl, name):
    graph = _cut(read_json(WORKFLOWS / "api" / f"{name}.json"))
    if name == "train_a_character_sdxl":
        _nodes(graph, "LoraAtelierTrainLora")["base_model"] = slim_sdxl
    if name == "continue_a_lora":
        _nodes(graph, "LoraAtelierLoraNetwork")["start_from"] = _trained_lora(comfy)
    shown = _shown_by(comfy, graph)
    (saved,) = shown["Save LoRA"]["text"]
    assert (comfy.base / saved).stat().st_size > 10_000
    (result,) = {"Preview Sample", "Epoch sheet · 轮次对比", "Picture · 成图"} & shown.keys()
    _check_png(comfy, shown[result])


def test_prepare_a_dataset_runs(comfy):
    shown = _shown(comfy, "prepare_a_dataset")
    (report,) = shown["Report · 检查报告"]["text"]
    steps, counts, *_ = report.splitlines()
    assert steps == "15 pictures x 10 repeats x 10 epochs / batch 2 = 750 steps, 10 saves"
    assert "OK" in counts
    for title in ("Check Dataset", "Pictures, worst first · 图片总览", "Proof sheet · 裁剪总览"):
        _check_png(comfy, shown[title])


def test_tag_a_dataset_runs(comfy, wd):
    shown = _shown(comfy, "tag_a_dataset")
    assert all("mochi, " in line for line in shown["Captions · 标注"]["text"][0].splitlines())
    assert len(shown["Auto Tag"]["lora_atelier_board"]) == 1


def test_caption_with_a_language_model_runs(comfy):
    """The model is the user's; in its place each picture is given its name, as a node that works picture by picture."""
    graph = read_json(WORKFLOWS / "api" / "caption_with_a_language_model.json")
    (pictures, model, writer) = [
        _number(graph, kind) for kind in ("LoraAtelierDatasetPictures", "CLIPLoader", "TextGenerate")
    ]
    del graph[model]
    graph[writer] = {
        "class_type": "StringConcatenate",
        "inputs": {"string_a": "a picture called", "string_b": [pictures, 2], "delimiter": " "},
        "_meta": {"title": "Generate Text"},
    }
    lines = _shown_by(comfy, graph)["Captions · 标注"]["text"][0].splitlines()
    assert lines[0] == "mochi_01.png: mochi, a picture called mochi_01.png" and len(lines) == 15


def _shown(comfy: ComfyServer, name: str) -> dict[str, Any]:
    """What each node of a template shows once it has run, by the node's title."""
    return _shown_by(comfy, read_json(WORKFLOWS / "api" / f"{name}.json"))


def _shown_by(comfy: ComfyServer, graph: dict[str, Any]) -> dict[str, Any]:
    outputs = comfy.run(graph)
    return {node["_meta"]["title"]: outputs.get(number, {}) for number, node in graph.items()}


def _cut(graph: dict[str, Any]) -> dict[str, Any]:
    """The same graph on the slim checkpoint, with a few steps and small pictures."""
    return {
        number: {**node, "inputs": node["inputs"] | _CUTS.get(node["class_type"], {})} for number, node in graph.items()
    }


def _number(graph: dict[str, Any], class_type: str) -> str:
    (number,) = [number for number, node in graph.items() if node["class_type"] == class_type]
    return number


def _nodes(graph: dict[str, Any], class_type: str) -> dict[str, Any]:
    """The inputs of the one node of a type."""
    return graph[_number(graph, class_type)]["inputs"]


def _trained_lora(comfy: ComfyServer) -> str:
    """A LoRA to go on from, as LoRA Network lists it."""
    graph = _cut(read_json(WORKFLOWS / "api" / "train_an_anime_character_sd15.json"))
    del graph[_number(graph, "LoraAtelierPreviewSample")]  # it takes longer than the run, which is there by now
    (saved,) = _shown_by(comfy, graph)["Save LoRA"]["text"]
    return Path(saved).name


def _check_png(comfy: ComfyServer, shown: dict[str, Any]) -> None:
    assert comfy.view(shown["images"][0]).startswith(b"\x89PNG")
