"""The workflows that come with the pack: they fit the nodes, and the quick start runs as it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.host.server import ComfyServer

WORKFLOWS = Path(__file__).parents[2] / "example_workflows"
_NOTES = ("Note", "MarkdownNote")


@pytest.fixture(scope="module")
def node_info(comfy: ComfyServer) -> dict[str, Any]:
    return comfy.get("/object_info")


@pytest.mark.parametrize("path", sorted(WORKFLOWS.glob("*.json")), ids=lambda path: path.stem)
def test_editor_workflow_fits_the_nodes(node_info, path):
    workflow = _read(path)
    nodes = {node["id"]: node for node in workflow["nodes"]}
    for node in nodes.values():
        if node["type"] not in _NOTES:
            _check_widgets(node, node_info[node["type"]])
    for number, *link in workflow["links"]:
        _check_link(number, link, nodes, node_info)


@pytest.mark.parametrize("path", sorted((WORKFLOWS / "api").glob("*.json")), ids=lambda path: path.stem)
def test_api_workflow_fits_the_nodes(node_info, path):
    for node in _read(path).values():
        assert node["inputs"].keys() == node_info[node["class_type"]]["input"]["required"].keys()


def test_both_forms_of_the_quick_start_say_the_same():
    api = _read(WORKFLOWS / "api" / "quick_start.json")
    editor = {str(node["id"]): node for node in _read(WORKFLOWS / "quick_start.json")["nodes"]}
    for number, node in api.items():
        values = [value for value in node["inputs"].values() if not isinstance(value, list)]
        assert values == editor[number].get("widgets_values", [])


def test_editor_workflows_are_offered_as_templates(comfy):
    assert "quick_start" in comfy.get("/workflow_templates")["lora-atelier"]


def test_quick_start_runs(comfy):
    graph = _read(WORKFLOWS / "api" / "quick_start.json")
    shown = comfy.run(graph)
    by_type = {node["class_type"]: shown.get(number) for number, node in graph.items()}
    for kind in ("LoraAtelierTrainLora", "LoraAtelierPreviewSample", "PreviewImage"):
        assert comfy.view(by_type[kind]["images"][0]).startswith(b"\x89PNG")
    (saved,) = by_type["LoraAtelierSaveLora"]["text"]
    assert (comfy.base / saved).stat().st_size > 10_000


def _check_widgets(node: dict[str, Any], info: dict[str, Any]) -> None:
    """A workflow's widget values have no names, only an order: each must fit the widget at its place."""
    linked = {entry["name"] for entry in node["inputs"]}
    specs = [(name, *info["input"]["required"][name]) for name in info["input_order"]["required"]]
    widgets = [spec for spec in specs if spec[0] not in linked]
    values = node.get("widgets_values", [])
    assert len(values) == len(widgets), node["type"]
    for value, (name, kind, options) in zip(values, widgets, strict=True):
        assert _fits(value, kind, options), f"{node['type']}.{name} = {value!r}"


def _fits(value: Any, kind: str, options: dict[str, Any]) -> bool:
    if kind == "COMBO":
        return value in options["options"]
    if kind in ("INT", "FLOAT"):
        return options["min"] <= value <= options["max"] and (kind == "FLOAT" or isinstance(value, int))
    return isinstance(value, {"STRING": str, "BOOLEAN": bool}[kind])


def _check_link(number: int, link: list[Any], nodes: dict[int, Any], node_info: dict[str, Any]) -> None:
    from_id, from_slot, to_id, to_slot, kind = link
    source, target = nodes[from_id], nodes[to_id]
    assert number in source["outputs"][from_slot]["links"]
    assert target["inputs"][to_slot]["link"] == number
    assert node_info[source["type"]]["output"][from_slot] == kind
    assert node_info[target["type"]]["input"]["required"][target["inputs"][to_slot]["name"]][0] == kind


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))
