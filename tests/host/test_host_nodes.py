"""The nodes as ComfyUI lists them: all there, and every input and output explained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.host.server import ComfyServer

PACK = Path(__file__).parents[2]
NODES = ("LoadDataset", "SmartCrop", "AutoTag", "TrainLora", "SaveLora", "PreviewSample")
NODE_IDS = [f"LoraAtelier{name}" for name in NODES]


@pytest.fixture(scope="module")
def node_info(comfy: ComfyServer) -> dict[str, Any]:
    return comfy.get("/object_info")


@pytest.mark.parametrize("node_id", NODE_IDS)
def test_node_is_listed_and_explained(node_info, node_id):
    node = node_info[node_id]
    assert node["category"] == "LoRA Atelier"
    assert node["display_name"] and node["description"]
    assert any(not alias.isascii() for alias in node["search_aliases"])
    for name, (_, options) in node["input"]["required"].items():
        assert len(options["tooltip"]) > 20, name
    assert all(node["output_tooltips"])


@pytest.mark.parametrize("node_id", NODE_IDS)
@pytest.mark.parametrize("language", ["en", "zh", "zh-TW"])
def test_translation_is_complete(node_info, node_id, language):
    text = json.loads((PACK / "locales" / language / "nodeDefs.json").read_text(encoding="utf-8"))[node_id]
    assert text["inputs"].keys() == node_info[node_id]["input"]["required"].keys()
    assert len(text["outputs"]) == len(node_info[node_id]["output"])
    entries = [*text["inputs"].values(), *text["outputs"].values()]
    assert text["display_name"] and text["description"]
    assert all(entry["name"] and entry["tooltip"] for entry in entries)


@pytest.mark.parametrize("node_id", NODE_IDS)
def test_english_texts_are_the_nodes_own(node_info, node_id):
    text = json.loads((PACK / "locales" / "en" / "nodeDefs.json").read_text(encoding="utf-8"))[node_id]
    node = node_info[node_id]
    assert text["description"] == node["description"]
    assert [entry["tooltip"] for entry in text["outputs"].values()] == node["output_tooltips"]
    for name, (_, options) in node["input"]["required"].items():
        assert text["inputs"][name]["tooltip"] == options["tooltip"]


@pytest.mark.parametrize("node_id", NODE_IDS)
def test_help_page_is_served(comfy, node_id):
    for page in (f"{node_id}.md", f"{node_id}/zh.md"):
        assert comfy.read(f"/extensions/lora-atelier/docs/{page}").startswith(b"# ")


def test_nothing_of_ours_was_lost_at_start(comfy):
    assert "IMPORT FAILED" not in comfy.log()
    assert "Error while calling comfy_entrypoint" not in comfy.log()
