"""The pictures of the help pages: each node alone, as a new one, in English and in Chinese; and what some nodes make.

python -m tests.host.help_pictures; Train LoRA's panel: python -m tests.host.graph_at_work
"""

from __future__ import annotations

import json
import sys
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from tests.host.browser import ComfyPage, open_browser
from tests.host.server import ComfyServer, find_installation, make_base
from tests.host.templates.__main__ import WORKFLOWS
from tests.host.templates.photos import DEMO

PICTURES = Path(__file__).parents[2] / "web" / "docs" / "images"
_LANGUAGES = {"en": "", "zh": ".zh"}
_QUIET = {
    "Comfy.VueNodes.Enabled": True,
    "Comfy.Minimap.Visible": False,
    "Comfy.NodeBadge.NodeSourceBadgeMode": "None",
}
_LEFT, _TOP, _MARGIN = 90, 130, 16
_RESULTS = {
    "prepare_a_dataset": {"Pictures, worst first · 图片总览": "health_sheet", "Proof sheet · 裁剪总览": "proof_sheet"},
    "quick_start": {"Preview Sample": "comparison"},
    "compare_epochs": {"Epoch sheet · 轮次对比": "epoch_sheet"},
}
"""What nodes of templates show, by title, and the name of the picture."""
_SHOWN_WIDTH = 640
_LOOK = f"""() => {{
    app.canvas.ds.scale = 1;
    [app.canvas.ds.offset[0], app.canvas.ds.offset[1]] = [{_LEFT} - app.graph.nodes[0].pos[0],
                                                         {_TOP} - app.graph.nodes[0].pos[1]];
    app.canvas.draw(true, true);
}}"""


def photograph(page: ComfyPage, node_type: str) -> bytes:
    """One node as a JPEG, on the canvas's background."""
    page.build([("node", node_type, {})], [])
    page.page.evaluate(_LOOK)
    page.page.wait_for_timeout(1200)
    box: Any = page.find("[data-node-id]").bounding_box()
    clip: Any = {
        "x": box["x"] - _MARGIN,
        "y": box["y"] - _MARGIN,
        "width": box["width"] + 2 * _MARGIN,
        "height": box["height"] + 2 * _MARGIN,
    }
    return _packed(page.page.screenshot(clip=clip))


def results(server: ComfyServer) -> dict[str, bytes]:
    """What nodes show after a run on the demo base, as JPEGs by name."""
    found: dict[str, bytes] = {}
    for template, names in _RESULTS.items():
        graph = json.loads((WORKFLOWS / "api" / f"{template}.json").read_text(encoding="utf-8"))
        if template != "prepare_a_dataset":
            for node in graph.values():
                node["inputs"] |= DEMO.get(node["class_type"], {})
                node["inputs"].pop("samples", None)  # so that both are one run
        outputs = server.run(graph, seconds=580)
        for number, node in graph.items():
            if name := names.get(node["_meta"]["title"]):
                found[name] = _packed(server.view(outputs[number]["images"][0]))
    return found


def _packed(picture: bytes) -> bytes:
    opened = Image.open(BytesIO(picture)).convert("RGB")
    opened.thumbnail((_SHOWN_WIDTH, opened.height))
    packed = BytesIO()
    opened.save(packed, "JPEG", quality=88, optimize=True)
    return packed.getvalue()


def take_pictures() -> None:
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, open_browser() as browser:
        with ComfyServer(find_installation(), make_base(Path(folder))) as server:
            types = [name for name in server.get("/object_info") if name.startswith("LoraAtelier")]
            for language, suffix in _LANGUAGES.items():
                page = ComfyPage(browser, server, {**_QUIET, "Comfy.Locale": language})
                for node_type in types:
                    (PICTURES / f"{node_type}{suffix}.jpg").write_bytes(photograph(page, node_type))
                page.page.close()
            for name, picture in results(server).items():
                (PICTURES / f"{name}.jpg").write_bytes(picture)


if __name__ == "__main__":
    try:
        take_pictures()
    except (LookupError, RuntimeError) as problem:
        sys.exit(f"error: {problem}")
