"""The nodes as ComfyUI lists them: all there, and every input and output explained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.host.server import ComfyServer

PACK = Path(__file__).parents[2]
NODES = (
    "LoadDataset", "ImagesToDataset", "MergeDatasets", "DatasetPictures", "SmartCrop", "AutoTag", "CheckDataset",
    "LoraNetwork", "NoiseAndLoss", "CaptionOptions", "Samples", "TrainLora", "TrainAgain", "SaveLora", "PreviewSample",
    "EpochSheet",
)  # fmt: skip
NODE_IDS = [f"LoraAtelier{name}" for name in NODES]
LANGUAGES = ("en", "zh", "zh-TW")

by_node = pytest.mark.parametrize("node_id", NODE_IDS)
by_language = pytest.mark.parametrize("language", LANGUAGES)


@pytest.fixture(scope="module")
def node_info(comfy: ComfyServer) -> dict[str, Any]:
    return comfy.get("/object_info")


def test_every_node_of_ours_is_looked_at(node_info):
    assert {node_id for node_id in node_info if node_id.startswith("LoraAtelier")} == set(NODE_IDS)


@by_node
def test_node_is_listed_and_explained(node_info, node_id):
    node = node_info[node_id]
    assert node["category"] == "LoRA Atelier"
    assert node["display_name"] and node["description"]
    assert any(not alias.isascii() for alias in node["search_aliases"])
    for name, tooltip in _tooltips(node).items():
        assert len(tooltip) > 20, name
    assert all(node["output_tooltips"])


@by_language
def test_only_nodes_that_exist_are_translated(language):
    assert list(_texts(language)) == NODE_IDS


@by_node
@by_language
def test_translation_is_complete(node_info, node_id, language):
    text = _texts(language)[node_id]
    assert text["inputs"].keys() == _tooltips(node_info[node_id]).keys()
    assert [*text["outputs"]] == [str(number) for number in range(len(node_info[node_id]["output"]))]
    entries = [*text["inputs"].values(), *text["outputs"].values()]
    assert text["display_name"] and text["description"]
    assert all(entry["name"] and entry["tooltip"] for entry in entries)


@by_node
@pytest.mark.parametrize("language", ["zh", "zh-TW"])
def test_chinese_texts_are_chinese(node_id, language):
    text = _texts(language)[node_id]
    tooltips = [entry["tooltip"] for entry in (*text["inputs"].values(), *text["outputs"].values())]
    for said in (text["display_name"], text["description"], *tooltips):
        assert any("\u4e00" <= character <= "\u9fff" for character in said), said


@by_node
@by_language
def test_no_text_holds_what_the_page_takes_for_a_placeholder(node_id, language):
    text = _texts(language)[node_id]
    names = [entry["name"] for entry in (*text["inputs"].values(), *text["outputs"].values())]
    for said in (text["display_name"], text["description"], *names):
        assert not set("{}@|") & set(said), said


@by_node
def test_english_texts_are_the_nodes_own(node_info, node_id):
    text = _texts("en")[node_id]
    node = node_info[node_id]
    assert text["display_name"] == node["display_name"]
    assert text["description"] == node["description"]
    assert [entry["name"] for entry in text["outputs"].values()] == node["output_name"]
    assert [entry["tooltip"] for entry in text["outputs"].values()] == node["output_tooltips"]
    assert {name: entry["tooltip"] for name, entry in text["inputs"].items()} == _tooltips(node)


@by_node
def test_help_page_is_served(comfy, node_id):
    for page in (f"{node_id}.md", f"{node_id}/zh.md"):
        assert comfy.read(f"/extensions/lora-atelier/docs/{page}").startswith(b"# ")


def test_nothing_of_ours_was_lost_at_start(comfy):
    assert "IMPORT FAILED" not in comfy.log()
    assert "Error while calling comfy_entrypoint" not in comfy.log()


def _tooltips(node: dict[str, Any]) -> dict[str, str]:
    """Every input's tooltip, optional sockets' too, by the key under which the page looks for its translation.

    An Autogrow input becomes sockets called "datasets.dataset0" and so on, whose tooltips the page finds in the
    locales alone, with _ for the full stop; the node has only one for all of them.
    """
    tooltips = {}
    for name, (kind, options) in (node["input"]["required"] | node["input"].get("optional", {})).items():
        if kind != "COMFY_AUTOGROW_V3":
            tooltips[name] = options["tooltip"]
            continue
        template = options["template"]
        ((_, socket),) = template["input"]["required"].values()
        tooltips[name] = socket["tooltip"]
        for number in range(template["max"]):
            tooltips[f"{name}_{template['prefix']}{number}"] = socket["tooltip"]
    return tooltips


def _texts(language: str) -> dict[str, Any]:
    return json.loads((PACK / "locales" / language / "nodeDefs.json").read_text(encoding="utf-8"))
