"""The pictures of a graph at work and of the large view that README.md shows, and Train LoRA's panel after a run for
its help pages.

python -m tests.host.graph_at_work
"""

from __future__ import annotations

import json
import sys
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from tests.host.browser import ComfyPage, NewLink, NewNode, open_browser
from tests.host.help_pictures import PICTURES
from tests.host.server import ComfyServer, find_installation, make_base
from tests.host.templates.__main__ import WORKFLOWS

_DOCS = Path(__file__).parents[2] / "docs"
GRAPH, LARGE_VIEW = _DOCS / "graph-at-work.jpg", _DOCS / "large-view.jpg"
_PANELS = {"en": "live_panel.jpg", "zh": "live_panel.zh.jpg"}
_SETTINGS = {
    "Comfy.VueNodes.Enabled": False,
    "Comfy.Locale": "en",
    "Comfy.Minimap.Visible": False,
    "Comfy.NodeBadge.NodeSourceBadgeMode": "None",
}
_SAMPLES = {
    "prompts": "mochi, cat, pink background\nmochi, cat", "width": 32, "height": 32, "every_epochs": 4, "steps": 25,
    "cfg": 4.0, "sampler": "ddim", "seed": 1,
}  # fmt: skip
_ROOM = {"crop": 50, "proof": 260, "train": 20, "preview": 70, "curve": 10}
"""Height that these nodes need for pictures and messages beside what their widgets take."""
_COLUMNS: tuple[tuple[int, tuple[str, ...]], ...] = (
    (360, ("load", "crop", "samples")),
    (400, ("proof", "tag")),
    (480, ("train",)),
    (460, ("save", "preview", "curve")),
)
"""From left to right: a column's width and its nodes, from the top."""
_GAP, _TITLE = 40, 30
"""Between two nodes; a node's title stands above its place."""
_WIDTH, _PANEL_WIDTH = 1600, 640
_AROUND_PANEL = 12
_LARGE = {"width": 1480, "height": 1400}
_EDGES = (80, 120)
"""Where the canvas is free of the page's menus, from its left and its top."""
_GROWING = 3000
"""Milliseconds that nodes take to show what a run has made."""

_PLACE = """([columns, ids, heights, gap, title]) => {
    let x = 0;
    for (const [width, names] of columns) {
        let y = 0;
        for (const name of names) {
            const node = app.graph.getNodeById(ids[name]);
            node.setSize([width, node.computeSize()[1] + (heights[name] ?? 0)]);
            node.pos = [x, y];
            y += node.size[1] + gap + title;
        }
        x += width + gap;
    }
}"""
_AROUND = """([ids, title]) => {
    const nodes = ids.map((id) => app.graph.getNodeById(id));
    return [Math.min(...nodes.map(({ pos }) => pos[0])), Math.min(...nodes.map(({ pos }) => pos[1])) - title,
            Math.max(...nodes.map(({ pos, size }) => pos[0] + size[0])),
            Math.max(...nodes.map(({ pos, size }) => pos[1] + size[1]))];
}"""
_LOOK = """([x, y, scale]) => {
    app.canvas.ds.scale = scale;
    [app.canvas.ds.offset[0], app.canvas.ds.offset[1]] = [x, y];
    app.canvas.draw(true, true);
}"""


def quick_start() -> tuple[list[NewNode], list[NewLink]]:
    """The quick start's nodes with its settings, and samples on the way."""
    saved = json.loads((WORKFLOWS / "api" / "quick_start.json").read_text(encoding="utf-8")).values()
    settings = {node["class_type"]: node["inputs"] for node in saved}

    def with_settings(name: str, node_type: str) -> NewNode:
        return name, node_type, {key: value for key, value in settings[node_type].items() if not _is_link(value)}

    nodes = [
        with_settings("load", "LoraAtelierLoadDataset"),
        with_settings("crop", "LoraAtelierSmartCrop"),
        ("proof", "PreviewImage", {}),
        with_settings("tag", "LoraAtelierAutoTag"),
        ("samples", "LoraAtelierSamples", _SAMPLES),
        with_settings("train", "LoraAtelierTrainLora"),
        with_settings("save", "LoraAtelierSaveLora"),
        with_settings("preview", "LoraAtelierPreviewSample"),
        ("curve", "PreviewImage", {}),
    ]
    links = [
        ("load", 0, "crop", "dataset"),
        ("crop", 1, "proof", "images"),
        ("crop", 0, "tag", "dataset"),
        ("tag", 0, "train", "dataset"),
        ("samples", 0, "train", "samples"),
        ("train", 0, "save", "lora"),
        ("train", 0, "preview", "lora"),
        ("train", 1, "curve", "images"),
    ]
    return nodes, links


def _is_link(value: Any) -> bool:
    return isinstance(value, list)


def place(page: ComfyPage, ids: dict[str, int]) -> None:
    """Put the nodes where nothing covers anything; twice, as panels grow by what they show once they are in view."""
    for _ in range(2):
        page.page.evaluate(_PLACE, [_COLUMNS, ids, _ROOM, _GAP, _TITLE])
        look(page, list(ids.values()), _WIDTH)


def look(page: ComfyPage, ids: list[int], width: int) -> Any:
    """Bring the nodes into view in that width; the place of the page that shows them."""
    left, top, right, bottom = page.page.evaluate(_AROUND, [ids, _TITLE])
    margin = _GAP / 2
    scale = width / (right - left + 2 * margin)
    height = round((bottom - top + 2 * margin) * scale)
    x, y = _EDGES
    page.page.set_viewport_size({"width": width + 2 * x, "height": height + 2 * y})
    page.page.evaluate(_LOOK, [x / scale - left + margin, y / scale - top + margin, scale])
    page.page.wait_for_timeout(_GROWING)
    return {"x": x, "y": y, "width": width, "height": height}


def photograph(page: ComfyPage, clip: Any) -> bytes:
    """A place of the page as a JPEG."""
    opened = Image.open(BytesIO(page.page.screenshot(clip=clip))).convert("RGB")
    packed = BytesIO()
    opened.save(packed, "JPEG", quality=85, optimize=True)
    return packed.getvalue()


def panel(page: ComfyPage, node: int) -> Any:
    """The place of a training's panel on its node, with a little of the node around it."""
    look(page, [node], _PANEL_WIDTH)
    box: Any = page.find(".la-run").bounding_box()
    around = _AROUND_PANEL
    return {
        "x": box["x"] - around,
        "y": box["y"],
        "width": box["width"] + 2 * around,
        "height": box["height"] + around,
    }


def large_view(page: ComfyPage) -> bytes:
    """The large view of the run that is shown on the node."""
    page.page.set_viewport_size(_LARGE)
    page.find(".la-run").get_by_role("button", name="Large view").click()
    page.find(".la-losses img").last.scroll_into_view_if_needed()  # pictures come as they are looked at
    page.page.wait_for_timeout(_GROWING)
    page.find(".la-large-main h2").first.scroll_into_view_if_needed()
    page.page.wait_for_timeout(_GROWING)
    return photograph(page, page.find(".la-large").bounding_box())


def take_pictures(page: ComfyPage) -> None:
    """Run the graph once; the graph and the large view in English, Train LoRA's panel in each language."""
    ids = page.build(*quick_start())
    page.run()
    place(page, ids)
    GRAPH.write_bytes(photograph(page, look(page, list(ids.values()), _WIDTH)))
    LARGE_VIEW.write_bytes(large_view(page))
    workflow = page.workflow()
    for language, name in _PANELS.items():
        page.set({"Comfy.Locale": language})
        page.reload()
        page.load(workflow)
        place(page, ids)
        (PICTURES / name).write_bytes(photograph(page, panel(page, ids["train"])))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, open_browser() as browser:
        server = ComfyServer(find_installation(), make_base(Path(folder)), threads=2)
        try:
            take_pictures(ComfyPage(browser, server, _SETTINGS))
        finally:
            server.stop()


if __name__ == "__main__":
    try:
        main()
    except (LookupError, RuntimeError) as problem:
        sys.exit(f"error: {problem}")
