"""Errors of our nodes as ComfyUI's page shows them, in the user's language."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest

from tests.host.browser import OpenPages
from tests.host.server import ComfyServer

IN_A_RUN = {"en": "no usable picture in", "zh": "中没有可用的图片", "zh-TW": "中沒有可用的圖片"}
BEFORE_A_RUN = {"en": "is not a folder inside", "zh": "请把图片文件夹移到那里", "zh-TW": "請把圖片資料夾移到那裡"}
_ERRORS = """async () => {
    const { api } = await import("/scripts/api.js");
    const heard = new Promise((resolve) => api.addEventListener("execution_error", ({ detail }) => resolve(detail)));
    await app.queuePrompt(0, 1);
    return { refused: app.lastNodeErrors, message: app.lastNodeErrors ? "" : (await heard).exception_message };
}"""


@pytest.fixture(scope="module")
def useless(comfy: ComfyServer) -> str:
    """A folder without a picture that can be read."""
    folder = comfy.base / "input" / "useless"
    folder.mkdir()
    (folder / "mochi.png").write_bytes(b"")
    return f"input/{folder.name}"


@pytest.mark.parametrize("locale", ["en", "zh", "zh-TW"])
def test_errors_are_told_in_the_language_of_the_page(
    pages: OpenPages, useless: str, renderer: str, locale: str
) -> None:
    def load(folder: str) -> dict[str, Any]:
        page.build(
            [("load", "LoraAtelierLoadDataset", {"folder": folder}), ("see", "PreviewAny", {})],
            [("load", 1, "see", "source")],
        )
        return page.page.evaluate(_ERRORS)

    with pages.show(renderer, locale).visit() as page:
        assert IN_A_RUN[locale] in load(useless)["message"]
        page.find("[role=alert]", IN_A_RUN[locale]).wait_for()
        (refused,) = load("input/../../outside")["refused"].values()
        assert BEFORE_A_RUN[locale] in refused["errors"][0]["details"]


_LINES = """async () => {
    const { api } = await import("/scripts/api.js");
    const lines = [];
    api.addEventListener("progress_text", ({ detail }) => lines.push(detail.text));
    const end = new Promise((resolve) => api.addEventListener("execution_success", resolve, { once: true }));
    await app.queuePrompt(0, 1);
    await end;
    return lines.join("\\n");
}"""


_WIDTHS = itertools.count(208, 8)
"""Another one each time, which no other test has, so that ComfyUI has no answer in its cache."""


@pytest.mark.parametrize(("locale", "word"), [("en", "bucket"), ("zh", "分桶"), ("zh-TW", "分桶")])
def test_what_stands_below_a_node_is_in_the_language_of_the_page(
    pages: OpenPages, pictures: str, renderer: str, locale: str, word: str
) -> None:
    width = next(_WIDTHS)
    nodes = [
        ("load", "LoraAtelierLoadDataset", {"folder": pictures}),
        ("crop", "LoraAtelierSmartCrop", {"width": width, "height": 64}),
        ("see", "PreviewAny", {}),
    ]
    with pages.show(renderer, locale).visit() as page:
        page.build(nodes, [("load", 0, "crop", "dataset"), ("crop", 2, "see", "source")])
        assert re.search(rf"{word} \d+ x \d+", page.page.evaluate(_LINES))
