"""Keys and the focus in our windows, in a real browser on a real ComfyUI."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.host.browser import ComfyPage
from tests.host.made_runs import MadeRun, make_run
from tests.host.runs import runs_folder
from tests.host.server import ComfyServer
from tests.host.tag_editor import open_editor

if TYPE_CHECKING:
    from playwright.sync_api import Locator

_OPEN = "async (run) => (await import('/extensions/lora-atelier/runs/large_view.mjs')).openLargeView(run)"


@pytest.fixture(scope="module")
def run(comfy: ComfyServer) -> str:
    """One of two, so that there is another to compare with."""
    make_run(runs_folder(comfy), MadeRun(name="another", seed=4))
    return make_run(runs_folder(comfy), MadeRun(name="by-keys", seed=3))


@pytest.fixture
def view(page: ComfyPage, run: str) -> Locator:
    """The large view of a run."""
    page.page.evaluate(_OPEN, run)
    opened = page.page.get_by_role("dialog", name=re.compile("by-keys"))
    opened.locator(".la-large-legend output").first.wait_for()
    return opened


@pytest.fixture
def editor(page: ComfyPage, pictures: str) -> Locator:
    """The tag editor."""
    nodes = [("load", "LoraAtelierLoadDataset", {"folder": pictures}), ("tag", "LoraAtelierAutoTag", {})]
    page.build([*nodes, ("see", "PreviewAny", {})], [("load", 0, "tag", "dataset"), ("tag", 1, "see", "source")])
    page.run()
    open_editor(page)
    return page.find(".la-editor")


def press(page: ComfyPage, *keys: str) -> None:
    for key in keys:
        page.page.keyboard.press(key)


def test_the_tab_key_comes_to_every_list_and_fold(page: ComfyPage, view: Locator) -> None:
    view.locator("summary").first.wait_for()  # what it folds comes later than the curve
    view.get_by_role("button", name="Close (Esc)").focus()
    seen = set()
    for _ in range(60):
        press(page, "Tab")
        seen.add(page.page.evaluate("() => document.activeElement.localName"))
        if seen >= {"select", "summary"}:
            break
    assert seen >= {"select", "summary", "button"}
    press(page, "Tab")
    assert page.page.evaluate("() => document.activeElement.closest('.la-editor') !== null")


def test_in_before_and_after_the_tab_key_goes_round(page: ComfyPage, view: Locator) -> None:
    view.locator(".la-timeline-cell").last.click()
    page.find(".la-wipe-sheet").wait_for()
    names = []
    for _ in range(4):
        press(page, "Tab")
        names.append(page.page.evaluate("() => document.activeElement.localName"))
    assert sorted(names) == ["button", "input", "select", "select"]
    press(page, "Escape")
    assert page.find(".la-wipe-sheet").count() == 0 and view.count() == 1


def test_keys_go_on_where_a_button_took_itself_away(page: ComfyPage, view: Locator) -> None:
    view.locator(".la-large-plot").focus()
    press(page, "+")
    whole = view.get_by_role("button", name="Whole run", exact=True)
    whole.click()
    whole.wait_for(state="hidden")
    press(page, "Escape")
    view.wait_for(state="detached")


def test_undo_follows_a_press_on_a_button_that_is_gone(page: ComfyPage, editor: Locator) -> None:
    cell = page.find("#la-picture-0")
    before = cell.locator(".la-chip-text").all_inner_texts()
    bar = page.find(".la-bulk")
    bar.get_by_role("combobox").first.fill("cat")
    bar.get_by_role("button", name="Apply").click()
    page.until(lambda: cell.locator(".la-chip-text").all_inner_texts() != before)
    cell.click()
    clear = bar.locator(".la-target-box button")
    clear.click()
    clear.wait_for(state="hidden")
    press(page, "Control+z")
    page.until(lambda: cell.locator(".la-chip-text").all_inner_texts() == before)


def test_escape_closes_what_is_in_front_wherever_one_has_pressed(page: ComfyPage, editor: Locator) -> None:
    press(page, "?")
    page.find(".la-sheet dd").first.click()
    press(page, "Escape")
    page.find(".la-sheet").wait_for(state="detached")
    assert editor.count() == 1


def test_a_caption_that_is_being_written_is_kept_as_one_goes_on(page: ComfyPage, editor: Locator) -> None:
    page.find("#la-picture-1").click()
    editor.get_by_role("button", name="Edit as text").click()
    editor.locator("textarea").fill("written by hand")
    page.find("#la-picture-2").click()
    page.find("#la-picture-1 .la-chip-text", text="written by hand").wait_for()
    editor.get_by_role("button", name="Edit as text").click()
    editor.locator("textarea").fill("and saved")
    press(page, "Control+s")
    page.find("#la-picture-2 .la-chip-text", text="and saved").wait_for()
    assert page.find(".la-unsaved").count() == 0
