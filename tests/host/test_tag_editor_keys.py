"""The tag editor by keyboard alone."""

from __future__ import annotations

from pathlib import Path

from tests.host.browser import ComfyPage
from tests.host.tag_editor import CAPTIONS, build, open_editor, texts


def test_the_keyboard_does_it_all(page: ComfyPage, album: Path) -> None:
    build(page, album)
    nodes = page.page.evaluate("() => app.graph.nodes.length")
    open_editor(page)
    press = page.page.keyboard.press
    selected = page.find('.la-cell[aria-selected="true"]')
    press("ArrowRight")
    press("Shift+ArrowRight")
    page.until(lambda: selected.count() == 2)
    press("Control+a")
    page.until(lambda: selected.count() == len(CAPTIONS))
    press("End")
    press("Home")
    press("Space")
    page.until(lambda: selected.count() == 0)
    press("t")
    page.page.keyboard.type("cat")
    press("Enter")
    page.until(lambda: "cat" in texts(page, 0))
    press("Control+z")
    page.until(lambda: "cat" not in texts(page, 0))
    press("Control+Shift+z")
    page.until(lambda: "cat" in texts(page, 0))
    page.find(".la-grid").focus()
    press("?")
    page.find(".la-sheet", text="Keyboard").wait_for()
    press("Escape")
    page.until(lambda: page.find(".la-sheet").count() == 0)
    press("/")
    page.page.keyboard.type("(hat")
    page.find(".la-error", text="A bracket is not closed.").wait_for()
    press("Delete")
    press("Escape")
    press("Escape")
    page.until(lambda: page.find(".la-editor").count() == 0)
    assert page.page.evaluate("() => app.graph.nodes.length") == nodes


def test_the_focus_stays_inside(page: ComfyPage, album: Path) -> None:
    build(page, album)
    open_editor(page)
    for key in ["Tab"] * 60 + ["Shift+Tab"] * 5:
        page.page.keyboard.press(key)
        assert page.page.evaluate("() => document.activeElement.closest('.la-editor') !== null")
