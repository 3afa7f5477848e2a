"""make demo-comfyui: the quick start, queued as a graph in a real ComfyUI.

    python -m tests.host.demo FOLDER

Starts the ComfyUI in COMFYUI_DIR with a base folder of its own below FOLDER, posts the API form of the template
and leaves the pictures and the LoRA in FOLDER.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from tests.host.server import ComfyServer, find_installation, make_base

GRAPH = Path(__file__).parents[2] / "example_workflows" / "api" / "quick_start.json"


def run_graph(folder: Path) -> None:
    installation = find_installation()
    print(f"Starting the ComfyUI in {installation.folder}", flush=True)
    with ComfyServer(installation, make_base(folder / "base"), threads=2) as server:
        print("Queueing the quick start graph", flush=True)
        started = time.monotonic()
        outputs = server.run(json.loads(GRAPH.read_text(encoding="utf-8")), seconds=580)
        print(f"Done in {time.monotonic() - started:.0f} s. Look at:")
        for node, shown in sorted(outputs.items()):
            _keep_pictures(server, folder, node, shown)
    for lora in sorted((folder / "base" / "output" / "loras").glob("*.safetensors")):
        print(f"  {lora}\n      the LoRA, where Load LoRA finds it")


def _keep_pictures(server: ComfyServer, folder: Path, node: str, shown: dict) -> None:
    title = json.loads(GRAPH.read_text(encoding="utf-8"))[node]["_meta"]["title"]
    for index, picture in enumerate(shown.get("images", [])):
        path = folder / f"{title.lower().replace(' ', '-')}-{index + 1}.png"
        path.write_bytes(server.view(picture))
        print(f"  {path}\n      shown by the node {title!r}")


if __name__ == "__main__":
    try:
        run_graph(Path(sys.argv[1]).resolve())
    except (LookupError, AssertionError, RuntimeError) as problem:
        sys.exit(f"error: {problem}")
