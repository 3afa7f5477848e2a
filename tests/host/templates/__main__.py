"""Write example_workflows/ from what the templates say and what ComfyUI says of the nodes.

    python -m tests.host.templates

Run it when a node's inputs, a preset or a template's text changes: widget values in a workflow have no names, only an
order. Pictures: python -m tests.host.templates.photos.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.host.server import ComfyServer, find_installation, make_base

from .forms import api_form, editor_form
from .graph import Template
from .node_info import NodeInfo
from .preparing import preparing_templates
from .training import Preset, training_templates

WORKFLOWS = Path(__file__).parents[3] / "example_workflows"
_NOTES = Path(__file__).parent / "notes"


def files(info: NodeInfo, presets: list[Preset]) -> dict[Path, str]:
    """Every file of example_workflows/ but the pictures, with its content."""
    content: dict[Path, str] = {}
    for template in [*training_templates(presets), *preparing_templates()]:
        content[WORKFLOWS / f"{template.name}.json"] = _json(editor_form(template, info, _notes(template)))
        content[WORKFLOWS / "api" / f"{template.name}.json"] = _json(api_form(template, info))
    return content


def _notes(template: Template) -> dict[str, str]:
    titles = {"Read me": f"{template.name}.md", "说明": f"{template.name}.zh.md"}
    return {title: (_NOTES / name).read_text(encoding="utf-8").strip() for title, name in titles.items()}


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def write_templates() -> None:
    with tempfile.TemporaryDirectory() as folder:
        with ComfyServer(find_installation(), make_base(Path(folder))) as server:
            content = files(server.get("/object_info"), server.get("/lora_atelier/presets")["presets"])
    for path, text in content.items():
        path.write_text(text, encoding="utf-8")
    for path in {*WORKFLOWS.glob("*.json"), *WORKFLOWS.glob("api/*.json")} - content.keys():
        path.unlink()


if __name__ == "__main__":
    try:
        write_templates()
    except (LookupError, RuntimeError) as problem:
        sys.exit(f"error: {problem}")
