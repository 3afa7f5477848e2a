"""Auto Tag's panel on its node, in a real browser on a real ComfyUI, with nodes drawn either way."""

from __future__ import annotations

from typing import Any

from tests.host.browser import ComfyPage
from tests.host.tag_editor import button


def test_the_node_keeps_its_widgets_and_hides_the_edits(page: ComfyPage) -> None:
    ids = page.build([("tag", "LoraAtelierAutoTag", {})], [])
    assert page.find(".la-node").count() == 1
    hidden = """(id) => app.graph.getNodeById(id).widgets.map((widget) =>
        [widget.name, widget.hidden ?? false, widget.options.hidden ?? false])"""
    widgets = page.page.evaluate(hidden, ids["tag"])
    assert [name for name, _, is_gone in widgets if is_gone] == ["edits"]  # rare ones are only folded away
    assert "edits" in page.prompt()[str(ids["tag"])]["inputs"]


def test_before_the_first_run_it_says_what_to_do(page: ComfyPage) -> None:
    page.build([("tag", "LoraAtelierAutoTag", {})], [])
    page.find(".la-node").get_by_role("button", name="Edit tags…").click()
    page.find(".la-empty", text="Queue the graph once").wait_for()
    button(page, "Close").click()
    page.until(lambda: page.find(".la-editor").count() == 0)


def test_a_missing_tagger_can_be_downloaded_and_stopped(page: ComfyPage) -> None:
    """The server is played: no test downloads anything."""
    download: dict[str, Any] = {}
    posted = []

    def answer(route: Any) -> None:
        tagger = {"name": "wd-vit-tagger-v3", "is_found": download.get("done") == 100, "megabytes": 379, "family": "wd"}
        route.fulfill(json={"taggers": [tagger], "download": download or None})

    def start(route: Any) -> None:
        posted.append(route.request.post_data_json)
        download.update(name="wd-vit-tagger-v3", done=0, total=379_000_000, error="", is_running=True)
        route.fulfill(json={"started": True})

    def stop(route: Any) -> None:
        download.update(is_running=False, error="stopped")
        route.fulfill(json={})

    page.page.route("**/lora_atelier/taggers", answer)
    page.page.route("**/lora_atelier/taggers/download", start)
    page.page.route("**/lora_atelier/taggers/stop", stop)
    page.build([("tag", "LoraAtelierAutoTag", {"method": "wd-vit-tagger-v3"})], [])
    node = page.find(".la-node")
    node.get_by_role("button", name="Download (379 MB)").click()
    node.get_by_text("Downloading wd-vit-tagger-v3: 0 of 379 MB").wait_for()
    download["done"] = 40_000_000
    node.get_by_text("40 of 379 MB").wait_for()
    node.get_by_role("button", name="Stop").click()
    setting = "(value) => app.extensionManager.setting.set('LoraAtelier.DownloadMirror', value)"
    page.page.evaluate(setting, "https://hf-mirror.com")
    node.get_by_role("button", name="Download (379 MB)").click()
    download["done"] = 100
    page.until(lambda: not node.get_by_text("MB").first.is_visible())
    page.page.evaluate(setting, "")
    assert [one["name"] for one in posted] == ["wd-vit-tagger-v3"] * 2
    assert [one["mirror"] for one in posted] == ["", "https://hf-mirror.com"]
