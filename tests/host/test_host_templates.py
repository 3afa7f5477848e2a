"""The workflows that come with the pack: they fit the nodes, both forms agree, and they run as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.host.graphs import SLIM
from tests.host.server import ComfyServer
from tests.host.templates.__main__ import WORKFLOWS, files
from tests.host.templates.node_info import HOLLOW, inputs_of, is_widget
from tests.host.workflows import API, EDITOR, by_api_form, by_editor_form
from tests.tiny_models import tiny_sdxl, write_checkpoint
from trainer_core.files import read_json
from trainer_core.training.presets import preset

_NOTES = ("Note", "MarkdownNote")
_FROM_THE_USER = ("qwen3vl_4b_fp8_scaled.safetensors", "v1-5-pruned-emaonly-fp16.safetensors")
"""Models that templates name and that nobody can bring along."""
_SLIM_SDXL = "slim_sdxl/slim_sdxl.safetensors"
_PRESETS = {
    "train_a_person_sd15": ("person", "SD1.5"),
    "train_an_anime_character_sd15": ("anime character", "SD1.5"),
    "train_a_character_sdxl": ("anime character", "SDXL"),
    "train_a_style": ("style", "SD1.5"),
    "train_with_regularisation": ("anime character", "SD1.5"),
    "compare_epochs": ("anime character", "SD1.5"),
    "train_and_use": ("anime character", "SD1.5"),
}
"""What each template trains, and the family of its base model."""
_CUTS = {
    "LoraAtelierSmartCrop": {"width": 64, "height": 64},
    "LoraAtelierTrainLora": {
        "base_model": SLIM, "steps": 2, "save_every_steps": 1, "batch_size": 1, "rank": 4, "precision": "fp32"
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


@pytest.mark.parametrize("name", _PRESETS)
def test_a_template_trains_with_the_preset_of_its_subject(name):
    found = preset(*_PRESETS[name], 12)
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


def test_quick_start_runs(comfy):
    shown = _shown(comfy, "quick_start")
    for title in ("Preview Sample", "Proof sheet · 裁剪总览", "Loss curve · 损失曲线"):
        _check_png(comfy, shown[title])
    (saved,) = shown["Save LoRA"]["text"]
    assert (comfy.base / saved).stat().st_size > 10_000


@pytest.mark.parametrize("name", [*_PRESETS, "continue_a_lora"])
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


def _is_inside(node: dict[str, Any], frame: list[int]) -> bool:
    left, top, width, height = frame
    (x, y), (wide, high) = node["pos"], node["size"]
    return left <= x and top <= y and x + wide <= left + width and y + high <= top + height


def _check_png(comfy: ComfyServer, shown: dict[str, Any]) -> None:
    assert comfy.view(shown["images"][0]).startswith(b"\x89PNG")


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
