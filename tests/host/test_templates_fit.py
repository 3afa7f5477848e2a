"""The workflows that come with the pack: they fit the nodes, and both forms say the same."""

from __future__ import annotations

from typing import Any

import pytest

from tests.host.server import ComfyServer
from tests.host.templates.__main__ import WORKFLOWS, files
from tests.host.templates.node_info import HOLLOW, inputs_of, is_widget
from tests.host.workflows import API, EDITOR, TRAINING, by_api_form, by_editor_form
from trainer_core.files import read_json
from trainer_core.training.presets import preset

_NOTES = ("Note", "MarkdownNote")
_FROM_THE_USER = ("qwen3vl_4b_fp8_scaled.safetensors", "v1-5-pruned-emaonly-fp16.safetensors")
"""Models that templates name and that nobody can bring along."""


@pytest.fixture(scope="module")
def node_info(comfy: ComfyServer) -> dict[str, Any]:
    return comfy.get("/object_info")


@by_editor_form
def test_editor_workflow_fits_the_nodes(node_info, path):
    workflow = read_json(path)
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
    frames = [(*node["pos"], *node["size"], node["type"]) for node in read_json(path)["nodes"]]
    for index, (x, y, width, height, name) in enumerate(frames):
        for x2, y2, width2, height2, other in frames[:index]:
            is_apart = x + width <= x2 or x2 + width2 <= x or y + height <= y2 - title or y2 + height2 <= y - title
            assert is_apart, f"{name} lies on {other}"


@by_api_form
def test_api_workflow_fits_the_nodes(node_info, path):
    graph = read_json(path)
    for node in graph.values():
        info = node_info[node["class_type"]]
        specs = {name: (kind, options) for name, kind, options in inputs_of(info)}
        assert info["input"]["required"].keys() <= node["inputs"].keys() <= specs.keys()
        for name, value in node["inputs"].items():
            kind, options = specs[name]
            place = f"{node['class_type']}.{name} = {value!r}"
            if isinstance(value, list):
                source, slot = value
                assert _joins(node_info[graph[source]["class_type"]]["output"][slot], kind), place
            else:
                assert _fits(value, kind, options), place


@by_api_form
def test_both_forms_say_the_same(node_info, path):
    workflow = read_json(WORKFLOWS / path.name)
    editor = {str(node["id"]): node for node in workflow["nodes"] if node["type"] not in _NOTES}
    links = {number: [str(source), slot] for number, source, slot, *_ in workflow["links"]}
    api = read_json(path)
    assert api.keys() == editor.keys()
    for number, node in api.items():
        shown = editor[number]
        assert node["class_type"] == shown["type"]
        assert node["_meta"]["title"] == shown.get("title", node_info[shown["type"]]["display_name"])
        linked = {name: value for name, value in node["inputs"].items() if isinstance(value, list)}
        values = {name: value for name, value in node["inputs"].items() if name not in linked}
        named = _named_values(shown, node_info[shown["type"]])
        assert values == {name: value for name, value in named.items() if name not in linked}
        assert linked == {socket["name"]: links[socket["link"]] for socket in shown["inputs"] if socket["link"]}


def test_files_are_what_the_templates_say(comfy, node_info):
    """Else run python -m tests.host.templates: a node, a preset or a text has changed."""
    content = files(node_info, comfy.get("/lora_atelier/presets")["presets"])
    assert {*EDITOR, *API} == content.keys()
    for path, text in content.items():
        assert path.read_text(encoding="utf-8") == text, path.name


def test_editor_workflows_are_offered_as_templates_with_a_picture(comfy):
    assert set(comfy.get("/workflow_templates")["lora-atelier"]) == {path.stem for path in EDITOR}
    for path in EDITOR:
        picture = comfy.read(f"/api/workflow_templates/lora-atelier/{path.stem}.jpg")
        assert picture.startswith(b"\xff\xd8") and len(picture) < 150_000


@by_editor_form
def test_every_node_stands_in_the_frame_of_a_stage(path):
    workflow = read_json(path)
    frames = [group["bounding"] for group in workflow["groups"]]
    for node in workflow["nodes"]:
        assert (node["type"] in _NOTES) != any(_is_inside(node, frame) for frame in frames), node["type"]


@by_editor_form
def test_notes_are_there_in_both_languages(path):
    english, chinese = [node["widgets_values"][0] for node in read_json(path)["nodes"] if node["type"] in _NOTES]
    assert english.isascii() and not chinese.isascii()
    assert english.startswith("# ") and chinese.startswith("# ")


@pytest.mark.parametrize("name", TRAINING)
def test_a_template_trains_with_the_preset_of_its_subject(name):
    found = preset(*TRAINING[name], 12)
    plan, size = found.plan(), found.crop()["size"]
    nodes = {node["class_type"]: node["inputs"] for node in read_json(WORKFLOWS / "api" / f"{name}.json").values()}
    train, crop = nodes["LoraAtelierTrainLora"], nodes["LoraAtelierSmartCrop"]
    assert f"{crop['width']}x{crop['height']}" == size
    assert (train["steps"], train["batch_size"]) == (plan["steps"], plan["batch_size"])
    assert (train["rank"], train["alpha"]) == (plan["network"]["rank"], plan["network"]["alpha"])
    assert train["text_encoder_rate"] == plan["optimizer"]["text_encoder_rate"]
    assert train["scheduler"] == plan["schedule"]["name"]
    assert nodes["LoraAtelierNoiseAndLoss"]["min_snr_gamma"] == plan["weighting"]["min_snr_gamma"]
    assert nodes["LoraAtelierCaptionOptions"]["shuffle"] == plan["captions"]["shuffle"]


def _is_inside(node: dict[str, Any], frame: list[int]) -> bool:
    left, top, width, height = frame
    (x, y), (wide, high) = node["pos"], node["size"]
    return left <= x and top <= y and x + wide <= left + width and y + high <= top + height


def _check_sockets(node: dict[str, Any], info: dict[str, Any]) -> None:
    """Sockets are all there and in order, optional ones drawn as such; so are our own nodes' outputs."""
    optional = info["input"].get("optional", {})
    sockets = [(name, kind) for name, kind, options in inputs_of(info) if not is_widget(kind, options)]
    drawn = [entry for entry in node["inputs"] if "widget" not in entry]
    assert [(entry["name"], entry["type"]) for entry in drawn] == sockets, node["type"]
    for entry in drawn:
        assert (entry.get("shape") == HOLLOW) == (entry["name"] in optional), entry["name"]
        assert entry["link"] or entry["name"] in optional, entry["name"]
    if node["type"].startswith("LoraAtelier"):
        outputs = [(entry["name"], entry["type"]) for entry in node["outputs"]]
        assert outputs == list(zip(info["output_name"], info["output"], strict=True)), node["type"]


def _check_widgets(node: dict[str, Any], info: dict[str, Any]) -> None:
    """A workflow's widget values have no names, only an order: each must fit the widget at its place."""
    linked = {entry["name"] for entry in node["inputs"] if "widget" in entry and entry["link"]}
    for name, value in _named_values(node, info).items():
        _, kind, options = next(spec for spec in inputs_of(info) if spec[0] == name)
        assert name in linked or _fits(value, kind, options), f"{node['type']}.{name} = {value!r}"


def _named_values(node: dict[str, Any], info: dict[str, Any]) -> dict[str, Any]:
    """The values of an editor's node by widget, without what the page puts behind a seed."""
    names: list[str | None] = []
    for name, kind, options in inputs_of(info):
        if is_widget(kind, options):
            names += [name, None] if options.get("control_after_generate") else [name]
    values = node.get("widgets_values", [])
    assert len(values) == len(names), node["type"]
    return {name: value for name, value in zip(names, values, strict=True) if name}


def _fits(value: Any, kind: str, options: dict[str, Any]) -> bool:
    if kind == "COMBO":
        return value in options["options"] or value in _FROM_THE_USER
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
    specs = {name: taken for name, taken, _ in inputs_of(node_info[target["type"]])}
    assert _joins(kind, specs[target["inputs"][to_slot]["name"]])


def _joins(given: str, taken: str) -> bool:
    return given == taken or "*" in (given, taken)


def _links_named_by_nodes(nodes: Any) -> set[int]:
    """Every link that an input or an output speaks of."""
    ends = [[socket["link"]] for node in nodes for socket in node["inputs"]]
    ends += [socket["links"] or [] for node in nodes for socket in node["outputs"]]
    return {link for end in ends for link in end if link}
