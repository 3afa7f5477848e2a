"""The tag editor on ComfyUI's page: pictures with captions, the graph that opens it, and what a user does there."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from tests.host.browser import ComfyPage
from tests.host.server import ComfyServer
from trainer_core.demo import world

if TYPE_CHECKING:
    from playwright.sync_api import Locator

CAPTIONS = ("1girl, long hair, hat", "1girl, long hair, smile", "1girl, hat, outdoors", "1girl", "1girl, long hair", "")

_NUMBERS = count()


def make_album(server: ComfyServer, captions: Sequence[str]) -> Path:
    """A folder of pictures with these captions."""
    folder = server.base / "input" / f"album_{next(_NUMBERS)}"
    folder.mkdir()
    rng = random.Random(len(captions))
    for number, caption in enumerate(captions):
        world.draw(world.random_scene(rng), 64).save(folder / f"{number:04d}.png")
        (folder / f"{number:04d}.txt").write_text(caption, encoding="utf-8")
    return folder


def build(page: ComfyPage, album: Path) -> dict[str, int]:
    """Load Dataset, Auto Tag, and a node that shows the captions, run once; the nodes' ids."""
    nodes = [
        ("load", "LoraAtelierLoadDataset", {"folder": f"input/{album.name}"}),
        ("tag", "LoraAtelierAutoTag", {"trigger_word": "mochi"}),
        ("captions", "PreviewAny", {}),
    ]
    ids = page.build(nodes, [("load", 0, "tag", "dataset"), ("tag", 1, "captions", "source")])
    page.run()
    return ids


def captions_of(page: ComfyPage, ids: dict[str, int]) -> list[str]:
    """What Auto Tag gives now, one caption a picture."""
    text = page.run()[str(ids["captions"])]["text"][0]
    return [line.split(": ", 1)[1] for line in text.splitlines()]


def open_editor(page: ComfyPage) -> None:
    page.find(".la-node").get_by_role("button", name="Edit tags…").click()
    page.find(".la-cell").first.wait_for()


def bulk(page: ComfyPage, action: str, tags: str, new: str = "") -> None:
    bar = page.find(".la-bulk")
    bar.get_by_role("button", name=action, exact=True).click()
    bar.get_by_role("combobox").first.fill(tags)
    if new:
        bar.get_by_role("combobox").last.fill(new)
    bar.get_by_role("button", name="Apply").click()


def button(page: ComfyPage, name: str) -> Locator:
    return page.find(".la-editor").get_by_role("button", name=name, exact=True)


def texts(page: ComfyPage, number: int) -> list[str]:
    """The tags on the picture of that number."""
    return page.find(f"#la-picture-{number} .la-chip:not(.la-removed) .la-chip-text").all_inner_texts()
