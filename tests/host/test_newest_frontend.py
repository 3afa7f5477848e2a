"""The page with another front end than ComfyUI brings: what will be ordinary in a few weeks, or what was when the
oldest ComfyUI that README names was new (1.38).

COMFYUI_FRONTEND names the folder of one: pip download comfyui-frontend-package, unzip the wheel, and take
comfyui_frontend_package/static in it. Without it these tests are skipped.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.host.browser import RENDERERS, ComfyPage, open_page
from tests.host.server import ComfyServer, Installation, make_base
from tests.host.templates.__main__ import WORKFLOWS
from tests.host.workflows import by_editor_form
from trainer_core.files import read_json

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_UNKNOWN = "() => app.graph.nodes.map((one) => one.type).filter((type) => !(type in LiteGraph.registered_node_types))"


@pytest.fixture(scope="module")
def newest(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyServer]:
    folder = os.environ.get("COMFYUI_FRONTEND")
    if not folder:
        pytest.skip("COMFYUI_FRONTEND names no folder of a front end")
    base = make_base(tmp_path_factory.mktemp("newest"))
    with ComfyServer(installation, base, arguments=("--front-end-root", str(Path(folder).resolve()))) as server:
        yield server


@pytest.fixture(scope="module")
def shown(browser: Browser, newest: ComfyServer, renderer: str) -> Iterator[ComfyPage]:
    with open_page(browser, newest, RENDERERS[renderer]) as opened:
        yield opened


@by_editor_form
def test_templates_are_read_and_queued_as_they_are_meant(page, path):
    page.load(read_json(path))
    assert page.page.evaluate(_UNKNOWN) == []
    queued = page.prompt()
    for number, node in read_json(path.parent / "api" / path.name).items():
        assert {name: queued[number]["inputs"][name] for name in node["inputs"]} == node["inputs"], node["class_type"]


@pytest.mark.parametrize(
    ("node", "button"),
    [
        ("LoraAtelierTrainLora", "Apply preset"),
        ("LoraAtelierAutoTag", "Edit tags"),
        ("LoraAtelierSmartCrop", "Edit crops"),
    ],
)
def test_nodes_have_their_buttons(page, node, button):
    page.build([("node", node, {})], [])
    page.command("Comfy.Canvas.FitView")
    page.find("body").get_by_role("button", name=button).first.wait_for()


def test_a_graph_runs_and_its_tags_can_be_edited(page):
    page.load(read_json(WORKFLOWS / "prepare_a_dataset.json"))
    page.run()
    page.command("LoraAtelier.EditTags")
    page.find("[role=dialog]", "mochi_01").first.wait_for()
    page.page.keyboard.press("Escape")
