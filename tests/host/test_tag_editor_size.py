"""The tag editor with many pictures: quick, and little is sent to the page."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.host.browser import ComfyPage
from tests.host.server import ComfyServer
from tests.host.tag_editor import build, bulk, button, make_album, open_editor, texts

if TYPE_CHECKING:
    from playwright.sync_api import CDPSession

TAGS = ("1girl", "long hair", "hat", "smile", "outdoors", "blue eyes", "sitting", "white shirt", "night", "tree")


@pytest.fixture
def thousand(comfy: ComfyServer) -> Path:
    rng = random.Random(0)
    return make_album(comfy, [", ".join(tag for tag in TAGS if rng.random() < 0.6) for _ in range(1000)])


def test_a_thousand_pictures_stay_quick(page: ComfyPage, thousand: Path) -> None:
    build(page, thousand)
    open_editor(page)
    session = page.page.context.new_cdp_session(page.page)
    session.send("Performance.enable")
    before = _work(session)
    page.page.evaluate(
        """async () => {
            const grid = document.querySelector(".la-grid");
            const frame = () => new Promise(requestAnimationFrame);
            for (let step = 1; step <= 40; step++) {
                grid.scrollTop = (step / 40) * grid.scrollHeight;
                await frame();
                await frame();
            }
        }"""
    )
    assert _work(session) - before < 8  # 3 on a slow machine
    session.detach()
    page.find("#la-picture-999").wait_for()
    assert page.find(".la-cell").count() < 80
    started = time.monotonic()
    bulk(page, "Add", "one more")
    page.find(".la-status", text="1,000 pictures changed").wait_for()
    page.until(lambda: "one more" in texts(page, 999))
    button(page, "Undo").click()
    page.until(lambda: "one more" not in texts(page, 999))
    page.find(".la-search-input").fill("hat and not (smile or night)")
    page.until(lambda: "of 1,000 pictures" in page.find(".la-shown").inner_text())
    assert time.monotonic() - started < 15


def _work(session: CDPSession) -> float:
    """Seconds that the page has spent on scripts, styles and layout. What drawing takes without a GPU is none of the
    editor's."""
    spent = {metric["name"]: metric["value"] for metric in session.send("Performance.getMetrics")["metrics"]}
    return sum(spent[f"{name}Duration"] for name in ("Script", "RecalcStyle", "Layout"))


def test_pictures_are_kept_small(page: ComfyPage, album: Path) -> None:
    """Thumbnails, not the pictures themselves, go to the page."""
    build(page, album)
    page.page.evaluate("() => performance.clearResourceTimings()")
    open_editor(page)

    def asked() -> list[str]:
        return page.page.evaluate("() => performance.getEntriesByType('resource').map((one) => one.name)")

    page.until(lambda: len({url for url in asked() if "/thumbnail/" in url}) >= len(list(album.glob("*.png"))))
    assert not [url for url in asked() if "/view" in url]
