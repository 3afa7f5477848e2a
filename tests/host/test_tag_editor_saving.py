"""What becomes of tags that were edited: saved to the workflow, to caption files, or not yet."""

from __future__ import annotations

from pathlib import Path

from tests.host.browser import ComfyPage
from tests.host.tag_editor import build, bulk, button, open_editor, texts


def test_comfyui_notices_what_is_saved(page: ComfyPage, album: Path) -> None:
    """It keeps the workflow and offers to undo only as it noticed it last."""
    build(page, album)
    open_editor(page)
    bulk(page, "Add", "cat")
    button(page, "Save to workflow").click()
    state = "() => JSON.stringify(app.extensionManager.workflow.activeWorkflow.changeTracker.activeState)"
    page.until(lambda: '\\"cat\\"' in page.page.evaluate(state))


def test_what_is_saved_reaches_the_node_that_is_there_now(page: ComfyPage, album: Path) -> None:
    """Undoing makes all nodes anew, and some versions of ComfyUI undo behind an open editor."""
    ids = build(page, album)
    open_editor(page)
    bulk(page, "Add", "cat")
    same = "(id) => { window.before = app.graph.getNodeById(id); return app.loadGraphData(app.graph.serialize()); }"
    page.page.evaluate(same, ids["tag"])
    assert page.page.evaluate("(id) => window.before !== app.graph.getNodeById(id)", ids["tag"])
    button(page, "Save to workflow").click()
    page.until(lambda: "cat" in page.widget(ids["tag"], "edits"))


def test_the_graph_behind_the_editor_is_not_undone(page: ComfyPage, album: Path) -> None:
    ids = build(page, album)
    tracker = "app.extensionManager.workflow.activeWorkflow.changeTracker"
    page.page.evaluate(f"() => {tracker}.captureCanvasState()")
    page.set_widget(ids["tag"], "trigger_word", "other")
    page.page.evaluate(f"() => {tracker}.captureCanvasState()")
    undo = f"() => {tracker}.undoRedo(new KeyboardEvent('keydown', {{ key: 'z', ctrlKey: true }}))"
    open_editor(page)
    assert page.page.evaluate(undo) and page.widget(ids["tag"], "trigger_word") == "other"
    button(page, "Close").first.click()
    page.until(lambda: page.find(".la-editor").count() == 0)
    page.page.evaluate(undo)
    page.until(lambda: page.widget(ids["tag"], "trigger_word") == "mochi")


def test_unsaved_edits_outlive_the_editor_and_the_page(page: ComfyPage, album: Path) -> None:
    ids = build(page, album)
    open_editor(page)
    bulk(page, "Add", "cat")
    page.until(lambda: "cat" in texts(page, 0))
    page.page.keyboard.press("Escape")
    page.until(lambda: page.find(".la-editor").count() == 0)
    page.find(".la-node-line", text="Unsaved tag edits").wait_for()
    assert page.widget(ids["tag"], "edits") == ""
    saved = page.workflow()
    page.reload()
    page.load(saved)
    page.find(".la-node-line", text="Unsaved tag edits").wait_for()
    open_editor(page)
    page.until(lambda: "cat" in texts(page, 0))
    button(page, "Discard them").click()
    page.until(lambda: "cat" not in texts(page, 0))
    button(page, "Close").first.click()
    page.find(".la-node-line", text="No picture edited by hand").wait_for()


def test_caption_files_are_written_when_asked(page: ComfyPage, album: Path) -> None:
    build(page, album)
    open_editor(page)
    bulk(page, "Add", "cat")
    (album / "0003.txt").write_text("changed by someone else", encoding="utf-8")
    button(page, "Write caption files…").click()
    page.find(".la-sheet").get_by_role("button", name="Cancel").click()
    page.until(lambda: page.find(".la-shade").count() == 0)
    assert "cat" not in (album / "0001.txt").read_text(encoding="utf-8")
    button(page, "Write caption files…").click()
    page.find(".la-sheet").get_by_role("button", name="Write").click()
    report = page.find(".la-sheet", text="written")
    report.wait_for()
    assert "cat" in (album / "0001.txt").read_text(encoding="utf-8")
    assert (album / "0003.txt").read_text(encoding="utf-8") == "changed by someone else"
    assert "0003" in report.inner_text()
