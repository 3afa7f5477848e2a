"""The workflows that come with the pack: they fit the nodes, both forms agree, and they run as they are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.host.server import ComfyServer

WORKFLOWS = Path(__file__).parents[2] / "example_workflows"
EDITOR = sorted(WORKFLOWS.glob("*.json"))
API = sorted((WORKFLOWS / "api").glob("*.json"))
_NOTES = ("Note", "MarkdownNote")
_WIDGETS = ("COMBO", "INT", "FLOAT", "STRING", "BOOLEAN", "COMFY_DYNAMICCOMBO_V3")
_FROM_THE_USER = "qwen3vl_4b_fp8_scaled.safetensors"
"""A model that a template names and that nobody can bring along."""
_OPTIONAL_SHAPE = 7
"""How the page draws a socket that may stay empty: a hollow circle."""

Spec = tuple[str, str, dict[str, Any]]
"""Name, type and options of an input."""

by_editor_form = pytest.mark.parametrize("path", EDITOR, ids=lambda path: path.stem)
by_api_form = pytest.mark.parametrize("path", API, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def node_info(comfy: ComfyServer) -> dict[str, Any]:
    return comfy.get("/object_info")


@by_editor_form
def test_editor_workflow_fits_the_nodes(node_info, path):
    workflow = _read(path)
    nodes = {node["id"]: node for node in workflow["nodes"]}
    assert len(nodes) == len(workflow["nodes"]) and max(nodes) <= workflow["last_node_id"]
    for node in nodes.values():
        if node["type"] not in _NOTES:
            _check_sockets(node, node_info[node["type"]])
            _check_widgets(node, node_info[node["type"]])
    for number, *link in workflow["links"]:
        _check_link(number, link, nodes, node_info)
    assert _links_named_by_nodes(nodes.values()) == {number for number, *_ in workflow["links"]}


@by_editor_form
def test_nodes_of_an_editor_workflow_do_not_overlap(path):
    title = 30
    frames = [(*node["pos"], *node["size"], node["type"]) for node in _read(path)["nodes"]]
    for index, (x, y, width, height, name) in enumerate(frames):
        for x2, y2, width2, height2, other in frames[:index]:
            is_apart = x + width <= x2 or x2 + width2 <= x or y + height <= y2 - title or y2 + height2 <= y - title
            assert is_apart, f"{name} lies on {other}"


@by_api_form
def test_api_workflow_fits_the_nodes(node_info, path):
    graph = _read(path)
    for node in graph.values():
        info = node_info[node["class_type"]]
        specs = {name: (kind, options) for name, kind, options in _specs(info)}
        assert info["input"]["required"].keys() <= node["inputs"].keys() <= specs.keys()
        for name, value in node["inputs"].items():
            kind, options = specs[name]
            place = f"{node['class_type']}.{name} = {value!r}"
            if isinstance(value, list):
                source, slot = value
                assert kind in ("*", node_info[graph[source]["class_type"]]["output"][slot]), place
            else:
                assert _fits(value, kind, options), place


@by_api_form
def test_both_forms_say_the_same(node_info, path):
    workflow = _read(WORKFLOWS / path.name)
    editor = {str(node["id"]): node for node in workflow["nodes"] if node["type"] not in _NOTES}
    links = {number: [str(source), slot] for number, source, slot, *_ in workflow["links"]}
    api = _read(path)
    assert api.keys() == editor.keys()
    for number, node in api.items():
        shown = editor[number]
        assert node["class_type"] == shown["type"]
        assert node["_meta"]["title"] == shown.get("title", node_info[shown["type"]]["display_name"])
        values = [value for value in node["inputs"].values() if not isinstance(value, list)]
        assert values == shown.get("widgets_values", [])
        linked = {name: value for name, value in node["inputs"].items() if isinstance(value, list)}
        assert linked == {socket["name"]: links[socket["link"]] for socket in shown["inputs"] if socket["link"]}


def test_editor_workflows_are_offered_as_templates(comfy):
    assert set(comfy.get("/workflow_templates")["lora-atelier"]) == {path.stem for path in EDITOR}


def test_quick_start_runs(comfy):
    shown = _shown(comfy, "quick_start")
    for title in ("Train LoRA", "Preview Sample", "Proof sheet", "Loss curve"):
        _check_png(comfy, shown[title])
    (saved,) = shown["Save LoRA"]["text"]
    assert (comfy.base / saved).stat().st_size > 10_000


def test_crop_and_check_a_dataset_runs(comfy):
    shown = _shown(comfy, "crop_and_check_a_dataset")
    (report,) = shown["Report"]["text"]
    steps, counts, *_ = report.splitlines()
    assert steps == (
        "(15 pictures x 10 repeats + as many regularisation samples) x 10 epochs / batch 2 = 1,500 steps, 10 saves"
    )
    assert "OK" in counts
    for title in ("Check Dataset", "Pictures", "Proof sheet"):
        _check_png(comfy, shown[title])


def test_tag_a_dataset_runs(comfy, wd):
    shown = _shown(comfy, "tag_a_dataset")
    assert all("mochi, " in line for line in shown["Captions"]["text"][0].splitlines())
    assert len(shown["Auto Tag"]["lora_atelier_board"]) == 1


def test_caption_with_a_language_model_runs(comfy):
    """The model is the user's; in its place each picture is given its name, as a node that works picture by picture."""
    graph = _read(WORKFLOWS / "api" / "caption_with_a_language_model.json")
    del graph["4"]
    graph["5"] = {
        "class_type": "StringConcatenate",
        "inputs": {"string_a": "a picture called", "string_b": ["3", 2], "delimiter": " "},
        "_meta": {"title": "Generate Text"},
    }
    lines = _shown_by(comfy, graph)["Captions"]["text"][0].splitlines()
    assert lines[0] == "mochi_01.png: mochi, a picture called mochi_01.png" and len(lines) == 15


def _shown(comfy: ComfyServer, name: str) -> dict[str, Any]:
    """What each node of a template shows once it has run, by the node's title."""
    return _shown_by(comfy, _read(WORKFLOWS / "api" / f"{name}.json"))


def _shown_by(comfy: ComfyServer, graph: dict[str, Any]) -> dict[str, Any]:
    outputs = comfy.run(graph)
    return {node["_meta"]["title"]: outputs.get(number, {}) for number, node in graph.items()}


def _check_png(comfy: ComfyServer, shown: dict[str, Any]) -> None:
    assert comfy.view(shown["images"][0]).startswith(b"\x89PNG")


def _check_sockets(node: dict[str, Any], info: dict[str, Any]) -> None:
    """Sockets are all there and in order, optional ones drawn as such; so are our own nodes' outputs."""
    optional = info["input"].get("optional", {})
    sockets = [(name, kind) for name, kind, options in _specs(info) if not _is_widget(kind, options)]
    assert [(entry["name"], entry["type"]) for entry in node["inputs"]] == sockets, node["type"]
    for entry in node["inputs"]:
        assert (entry.get("shape") == _OPTIONAL_SHAPE) == (entry["name"] in optional), entry["name"]
        assert entry["link"] or entry["name"] in optional, entry["name"]
    if node["type"].startswith("LoraAtelier"):
        outputs = [(entry["name"], entry["type"]) for entry in node["outputs"]]
        assert outputs == list(zip(info["output_name"], info["output"], strict=True)), node["type"]


def _check_widgets(node: dict[str, Any], info: dict[str, Any]) -> None:
    """A workflow's widget values have no names, only an order: each must fit the widget at its place."""
    widgets = [spec for spec in _specs(info) if _is_widget(*spec[1:])]
    values = node.get("widgets_values", [])
    assert len(values) == len(widgets), node["type"]
    for value, (name, kind, options) in zip(values, widgets, strict=True):
        assert _fits(value, kind, options), f"{node['type']}.{name} = {value!r}"


def _specs(info: dict[str, Any]) -> Iterator[Spec]:
    """A node's inputs as the page lays them out: required ones, then optional ones."""
    for group in ("required", "optional"):
        for name in info["input_order"].get(group, []):
            kind, *options = info["input"][group][name]
            given = options[0] if options else {}
            yield (name, "COMBO", {**given, "options": kind}) if isinstance(kind, list) else (name, kind, given)


def _is_widget(kind: str, options: dict[str, Any]) -> bool:
    return kind in _WIDGETS and not options.get("forceInput")


def _fits(value: Any, kind: str, options: dict[str, Any]) -> bool:
    if kind == "COMBO":
        return value in options["options"] or value == _FROM_THE_USER
    if kind == "COMFY_DYNAMICCOMBO_V3":
        return value in [option["key"] for option in options["options"]]
    if kind in ("INT", "FLOAT"):
        is_number = type(value) is int or (kind == "FLOAT" and type(value) is float)
        return is_number and options["min"] <= value <= options["max"]
    return isinstance(value, {"STRING": str, "BOOLEAN": bool}[kind])


def _check_link(number: int, link: list[Any], nodes: dict[int, Any], node_info: dict[str, Any]) -> None:
    from_id, from_slot, to_id, to_slot, kind = link
    source, target = nodes[from_id], nodes[to_id]
    assert number in source["outputs"][from_slot]["links"]
    assert target["inputs"][to_slot]["link"] == number
    assert node_info[source["type"]]["output"][from_slot] == kind
    specs = {name: taken for name, taken, _ in _specs(node_info[target["type"]])}
    assert specs[target["inputs"][to_slot]["name"]] in ("*", kind)


def _links_named_by_nodes(nodes: Any) -> set[int]:
    """Every link that an input or an output speaks of."""
    ends = [[socket["link"]] for node in nodes for socket in node["inputs"]]
    ends += [socket["links"] or [] for node in nodes for socket in node["outputs"]]
    return {link for end in ends for link in end if link}


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))
