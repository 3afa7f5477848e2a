"""The pictures of the templates: each graph in ComfyUI's page, run in small on the demo base, then photographed.

python -m tests.host.templates.photos [NAME...]
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

from .__main__ import WORKFLOWS
from .graph import DEMO_REGULARISATION, Template
from .preparing import preparing_templates
from .training import training_templates

_WIDTH, _HEIGHT = 800, 600
_MARGIN = 30
_EDGES = (80, 120)
"""Where the canvas is free of the page's menus, from its left and its top."""
_SMALL = {"width": 32, "height": 32, "cfg": 4.0, "negative": "", "steps": 25, "sampler": "ddim", "seed": 1}
DEMO = {
    "LoraAtelierLoadDataset": {"regularisation": DEMO_REGULARISATION},
    "LoraAtelierSmartCrop": {"width": 32, "height": 32},
    "LoraAtelierTrainLora": {
        "name": "mochi", "epochs": 10, "steps": 0, "batch_size": 8, "rank": 16, "alpha": 16.0, "learning_rate": 0.002,
        "unet_rate": -1.0, "text_encoder_rate": 0.001, "scheduler": "cosine", "gradient_checkpointing": False,
        "clip_skip": 1, "save_every_epochs": 2, "save_every_steps": 0,
    },
    "LoraAtelierNoiseAndLoss": {"noise_offset": 0.0, "min_snr_gamma": 0.0},
    "LoraAtelierCaptionOptions": {"shuffle": False, "caption_dropout": 0.0},
    "LoraAtelierPreviewSample": {**_SMALL, "count": 4},
    "LoraAtelierEpochSheet": _SMALL,
}  # fmt: skip
"""The quick start's settings, with which the demo base shows what it can."""
_NOT_RUN = ("train_and_use", "tag_a_dataset", "caption_with_a_language_model")
"""Templates that need a model of the user's."""
_QUIET = {
    "Comfy.VueNodes.Enabled": False,
    "Comfy.Locale": "en",
    "Comfy.Minimap.Visible": False,
    "Comfy.NodeBadge.NodeSourceBadgeMode": "None",
}

_MUTE = """([type, mode]) => app.graph.nodes.filter((node) => node.type === type)
    .forEach((node) => { node.mode = mode; })"""
_MUTED, _ACTIVE = 2, 0
"""Modes of a node."""
_GROWING = 2500
"""Milliseconds that nodes take to show what a run has made."""
_SET = """(settings) => app.graph.nodes.flatMap((node) =>
    Object.entries(settings[node.type] ?? {}).map(([name, value]) => {
        const widget = node.widgets.find((one) => one.name === name);
        const before = widget.value;
        widget.value = value;
        return [node.id, name, before];
    })
)"""
_RESTORE = """(values) => values.forEach(([id, name, value]) => {
    app.graph.getNodeById(id).widgets.find((one) => one.name === name).value = value;
})"""
_AROUND = """(ids) => {
    const boxes = ids.map((id) => app.graph.getNodeById(id).getBounding());
    return [Math.min(...boxes.map((box) => box[0])), Math.min(...boxes.map((box) => box[1])),
            Math.max(...boxes.map((box) => box[0] + box[2])), Math.max(...boxes.map((box) => box[1] + box[3]))];
}"""
_LOOK = """([x, y, scale]) => {
    app.canvas.ds.scale = scale;
    [app.canvas.ds.offset[0], app.canvas.ds.offset[1]] = [x, y];
    app.canvas.draw(true, true);
}"""


def photograph(page: ComfyPage, template: Template) -> bytes:
    """The nodes of `photo` as a JPEG, after a run where that needs nothing of the user's."""
    page.load(json.loads((WORKFLOWS / f"{template.name}.json").read_text(encoding="utf-8")))
    if template.name not in _NOT_RUN:
        changed = page.page.evaluate(_SET, DEMO if "train" in template.nodes else {})
        page.page.evaluate(_MUTE, ["LoraAtelierSamples", _MUTED])  # so that all are one run, which is trained once
        page.run()
        page.page.evaluate(_MUTE, ["LoraAtelierSamples", _ACTIVE])
        page.page.evaluate(_RESTORE, changed)
        page.page.wait_for_timeout(_GROWING)
    numbers = {name: number for number, name in enumerate(template.nodes, 1)}
    return _picture(page, page.page.evaluate(_AROUND, [numbers[name] for name in template.photo]))


def _picture(page: ComfyPage, around: list[float]) -> bytes:
    left, top, right, bottom = (edge + side * _MARGIN for edge, side in zip(around, (-1, -1, 1, 1), strict=True))
    scale = max(_WIDTH / (right - left), _HEIGHT / (bottom - top))
    x, y = _EDGES
    top = max(top, bottom - _HEIGHT / scale)  # what a run shows stands at the bottom
    page.page.evaluate(_LOOK, [x / scale - left, y / scale - top, scale])
    page.page.wait_for_timeout(1000)
    clip: Any = {"x": x, "y": y, "width": _WIDTH, "height": _HEIGHT}
    picture = Image.open(BytesIO(page.page.screenshot(clip=clip))).convert("RGB")
    packed = BytesIO()
    picture.save(packed, "JPEG", quality=85, optimize=True)
    return packed.getvalue()


def take_photos(names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder, open_browser() as browser:
        with ComfyServer(find_installation(), make_base(Path(folder)), threads=2) as server:
            page = ComfyPage(browser, server, _QUIET)
            presets = server.get("/lora_atelier/presets")["presets"]
            for template in [*training_templates(presets), *preparing_templates()]:
                if not names or template.name in names:
                    (WORKFLOWS / f"{template.name}.jpg").write_bytes(photograph(page, template))


if __name__ == "__main__":
    try:
        take_photos(sys.argv[1:])
    except (LookupError, RuntimeError) as problem:
        sys.exit(f"error: {problem}")
