"""Train LoRA on ComfyUI's page: its graph, and what its panel shows of a run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.host.browser import WINDOW, ComfyPage
from tests.host.graphs import SLIM
from tests.host.runs import history

LONG = 400
"""Epochs, of a training that is stopped long before."""
SLOW = 400
"""Seconds in which something must have happened on a busy machine."""

_CENTRE = """([id]) => {
    const node = app.graph.getNodeById(id);
    app.canvas.ds.scale = 1;
    app.canvas.ds.offset = [80 - node.pos[0], 80 - node.pos[1]];
    app.canvas.setDirty(true, true);
}"""


@contextmanager
def heightened(page: ComfyPage) -> Iterator[ComfyPage]:
    """The page in a window that has room for the whole panel."""
    page.page.set_viewport_size({"width": 1000, "height": 1600})
    try:
        yield page
    finally:
        page.page.set_viewport_size(WINDOW)


def build(page: ComfyPage, folder: str, name: str, epochs: int) -> dict[str, int]:
    """Load, crop, train with samples; Train LoRA in the middle of the page."""
    train = {"base_model": SLIM, "name": name, "epochs": epochs, "rank": 4, "alpha": 4.0, "save_every_epochs": 2}
    train |= {"text_encoder_rate": 0.0, "validate_every_epochs": LONG}  # quick: measured only before and after
    samples = {"prompts": "mochi, cat", "every_epochs": 1, "width": 64, "height": 64, "steps": 1}
    ids = page.build(
        [
            ("load", "LoraAtelierLoadDataset", {"folder": folder}),
            ("crop", "LoraAtelierSmartCrop", {"width": 64, "height": 64, "method": "center"}),
            ("samples", "LoraAtelierSamples", samples),
            ("train", "LoraAtelierTrainLora", train),
        ],
        [("load", 0, "crop", "dataset"), ("crop", 0, "train", "dataset"), ("samples", 0, "train", "samples")],
    )
    page.page.evaluate(_CENTRE, [ids["train"]])
    return ids


def show(page: ComfyPage, workflow: dict[str, Any], train: int) -> None:
    page.load(workflow)
    page.page.evaluate(_CENTRE, [train])


def step_shown(page: ComfyPage) -> int:
    """0 while there is none."""
    counts = page.find(".la-run:not([hidden]) .la-run-count").all_text_contents()
    found = re.search(r"step ([\d,]+) /", counts[0]) if counts else None
    return int(found[1].replace(",", "")) if found else 0


def history_shown(page: ComfyPage) -> dict[str, Any]:
    """What the server tells of the run that the node shows."""
    return history(page.server, page.find(".la-run").get_attribute("data-run"))
