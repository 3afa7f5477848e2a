"""Every template in ComfyUI's page: nothing unknown in it, and the page queues what its API form says."""

from __future__ import annotations

from tests.host.templates.__main__ import WORKFLOWS
from tests.host.workflows import by_editor_form
from trainer_core.files import read_json

_SHOWN = """() => app.graph.nodes.map((node) => ({
    id: Number(node.id),
    type: node.type,
    isKnown: node.type in LiteGraph.registered_node_types,
    widgets: (node.widgets ?? []).filter((one) => one.serialize !== false).map((one) => one.name),
    size: [...node.size],
    needed: [...node.computeSize()],
}))"""


@by_editor_form
def test_no_node_and_no_widget_is_unknown(page, path):
    workflow = read_json(path)
    page.load(workflow)
    shown = {node["id"]: node for node in page.page.evaluate(_SHOWN)}
    assert [node["type"] for node in shown.values() if not node["isKnown"]] == []
    assert shown.keys() == {node["id"] for node in workflow["nodes"]}
    for node in workflow["nodes"]:
        values = len(node.get("widgets_values", []))
        assert values <= len(shown[node["id"]]["widgets"]), node["type"]
    assert page.find("[role=dialog]", "missing").count() == 0


@by_editor_form
def test_the_page_queues_what_the_api_form_says(page, path):
    page.load(read_json(path))
    queued = page.prompt()
    api = read_json(path.parent / "api" / path.name)
    assert {number: node["class_type"] for number, node in queued.items()} == {
        number: node["class_type"] for number, node in api.items()
    }
    for number, node in api.items():
        given = {name: value for name, value in queued[number]["inputs"].items() if name in node["inputs"]}
        assert given == node["inputs"], node["class_type"]


@by_editor_form
def test_every_node_has_the_room_it_needs(page, path):
    page.load(read_json(path))
    for node in page.page.evaluate(_SHOWN):
        assert node["size"][1] >= node["needed"][1], node


def test_a_template_opened_twice_is_two_workflows(page):
    """Else the second would show the first one's runs and go on with its drafts."""
    opened = set()
    for _ in range(2):
        page.load(read_json(WORKFLOWS / "quick_start.json"))
        opened.add(page.workflow()["id"])
    assert len(opened) == 2
