"""A template as the two files that ComfyUI reads: the editor's workflow and the API prompt."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .graph import Node, Template
from .layout import lay_out
from .node_info import HOLLOW, NodeInfo, inputs_of, is_widget

_GROUP_COLOUR = "#6fa3ad"
_SCALE, _MARGIN = 0.6, 120
"""How a template opens: how large, and where its first note stands."""
_NOTE_LOOK = {"color": "#332922", "bgcolor": "#593930"}
_WITHOUT_DEFAULTS = {"INT": 0, "FLOAT": 0.0, "STRING": "", "BOOLEAN": False}


def api_form(template: Template, info: NodeInfo) -> dict[str, Any]:
    """The prompt that POST /prompt takes."""
    numbers = _numbers(template)
    return {
        str(numbers[name]): {
            "class_type": node.type,
            "inputs": dict(_given(node, template, info, numbers)),
            "_meta": {"title": node.title or info[node.type]["display_name"]},
        }
        for name, node in template.nodes.items()
    }


def editor_form(template: Template, info: NodeInfo, notes: dict[str, str]) -> dict[str, Any]:
    """The workflow that the page opens. `notes` are Markdown by title.

    It has no id, so that the page gives it a new one each time it is opened: runs and drafts belong to an id.
    """
    layout = lay_out(template, notes.values())
    numbers = _numbers(template)
    nodes = {name: _editor_node(node, info, numbers[name], layout.nodes[name]) for name, node in template.nodes.items()}
    links = [*_connect(template, nodes, info)]
    first = len(numbers) + 1
    written = [
        _note(number, title, text, box)
        for number, ((title, text), box) in enumerate(zip(notes.items(), layout.notes, strict=True), first)
    ]
    return {
        "revision": 0,
        "last_node_id": first + len(notes) - 1,
        "last_link_id": len(links),
        "nodes": [*nodes.values(), *written],
        "links": links,
        "groups": [
            {"id": number, "title": title, "bounding": [*box], "color": _GROUP_COLOUR, "font_size": 24, "flags": {}}
            for number, (title, box) in enumerate(layout.groups.items(), 1)
        ],
        "config": {},
        "extra": {"ds": {"scale": _SCALE, "offset": [_MARGIN, _MARGIN - layout.notes[0][1]]}},
        "version": 0.4,
    }


def _numbers(template: Template) -> dict[str, int]:
    return {name: number for number, name in enumerate(template.nodes, 1)}


def _given(node: Node, template: Template, info: NodeInfo, numbers: dict[str, int]) -> Iterator[tuple[str, Any]]:
    for name, kind, options in inputs_of(info[node.type]):
        if name in node.links:
            source, slot = _source(node.links[name], template, info)
            yield name, [str(numbers[source]), slot]
        elif is_widget(kind, options):
            yield name, _value(node, name, kind, options)


def _known(node: Node, about: dict[str, Any]) -> dict[str, Any]:
    """What ComfyUI says of a node, once it has every input that the template speaks of."""
    unknown = {*node.settings, *node.links} - {name for name, *_ in inputs_of(about)}
    assert not unknown, f"{node.type} has no {', '.join(sorted(unknown))}"
    return about


def _editor_node(node: Node, info: NodeInfo, number: int, box: tuple[int, int, int, int]) -> dict[str, Any]:
    about = _known(node, info[node.type])
    optional = about["input"].get("optional", {})
    inputs, values = [], []
    for name, kind, options in inputs_of(about):
        if not is_widget(kind, options):
            shape = {"shape": HOLLOW} if name in optional else {}
            inputs.append({"name": name, "type": kind, **shape, "link": None})
            continue
        values.append(_value(node, name, kind, options))
        if options.get("control_after_generate"):
            values.append("fixed")
        if name in node.links:
            inputs.append({"name": name, "type": kind, "widget": {"name": name}, "link": None})
    outputs = zip(about["output_name"], about["output"], strict=True)
    return {
        "id": number,
        "type": node.type,
        "pos": [*box[:2]],
        "size": [*box[2:]],
        "flags": {},
        "order": number - 1,
        "mode": 0,
        **({"title": node.title} if node.title else {}),
        "inputs": inputs,
        "outputs": [{"name": name, "type": kind, "links": []} for name, kind in outputs],
        "properties": {"Node name for S&R": node.type, **node.properties},
        **({"widgets_values": values} if values else {}),
    }


def _connect(template: Template, nodes: dict[str, dict[str, Any]], info: NodeInfo) -> Iterator[list[Any]]:
    """Draw the links into the nodes; each as number, from node and slot, to node and slot, type."""
    number = 0
    for name, node in template.nodes.items():
        for slot, socket in enumerate(nodes[name]["inputs"]):
            if socket["name"] in node.links:
                number += 1
                source, output = _source(node.links[socket["name"]], template, info)
                sent = nodes[source]["outputs"][output]
                sent["links"].append(number)
                socket["link"] = number
                yield [number, nodes[source]["id"], output, nodes[name]["id"], slot, sent["type"]]


def _note(number: int, title: str, text: str, box: tuple[int, int, int, int]) -> dict[str, Any]:
    return {
        "id": number,
        "type": "MarkdownNote",
        "pos": [*box[:2]],
        "size": [*box[2:]],
        "flags": {},
        "order": number - 1,
        "mode": 0,
        "title": title,
        "inputs": [],
        "outputs": [],
        "properties": {},
        "widgets_values": [text],
        **_NOTE_LOOK,
    }


def _source(link: str, template: Template, info: NodeInfo) -> tuple[str, int]:
    node, output = link.split(".")
    return node, info[template.nodes[node].type]["output_name"].index(output)


def _value(node: Node, name: str, kind: str, options: dict[str, Any]) -> Any:
    if name in node.links:
        return ""
    if name in node.settings:
        return node.settings[name]
    if "default" in options:
        return options["default"]
    return _WITHOUT_DEFAULTS[kind] if kind in _WITHOUT_DEFAULTS else options["options"][0] if options["options"] else ""
