"""A page that stays open while its server is stopped in the middle of a training and started again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.host.browser import RENDERERS, ComfyPage, open_page
from tests.host.server import ComfyServer, Installation, make_base
from tests.host.templates.graph import DEMO_BASE, DEMO_FOLDER
from tests.host.training_page import LONG, SLOW, build, heightened, history_shown, show, step_shown

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def own(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyServer]:
    """A server that no other test needs."""
    with ComfyServer(installation, make_base(tmp_path_factory.mktemp("restarted"))) as server:
        yield server


@pytest.fixture(scope="module")
def shown(browser: Browser, own: ComfyServer, renderer: str) -> Iterator[ComfyPage]:
    with open_page(browser, own, RENDERERS[renderer]) as opened, heightened(opened):
        yield opened


def check_stopped(page: ComfyPage, name: str) -> int:
    """The node shows the run as one that was stopped, with the curve that its folder tells; its last step."""
    page.find(".la-run-state", f"{name}: stopped").wait_for(timeout=SLOW * 1000)
    told = history_shown(page)
    assert told["state"] == "stopped" and told["curve"]["step"][-1] == told["step"] >= 3
    page.until(lambda: step_shown(page) == told["step"])
    page.until(lambda: page.find(".la-chart").get_attribute("aria-label") == f"Loss of {told['step']:,} steps")
    assert page.find(".la-sample img").count() >= 1
    assert not page.find(".la-run-progress").is_visible()
    for button in ("Stop and keep", "Sample now", "Save now"):
        assert not page.find(".la-run").get_by_role("button", name=button).is_visible()
    return told["step"]


def test_a_run_whose_server_is_restarted_is_shown_as_stopped_and_goes_on(
    page: ComfyPage, own: ComfyServer, renderer: str
) -> None:
    name = f"cut-off-{renderer.split()[0]}"
    ids = build(page, DEMO_FOLDER, name, LONG + len(name))  # the same plan would be the same run
    page.set_widget(ids["train"], "base_model", DEMO_BASE)
    workflow = page.workflow()
    page.queue()
    page.until(lambda: step_shown(page) >= 3, SLOW)

    own.stop()
    own.start()
    stopped_at = check_stopped(page, name)

    page.reload()
    show(page, workflow, ids["train"])
    assert check_stopped(page, name) == stopped_at

    page.queue()
    page.until(lambda: step_shown(page) > stopped_at + 1, SLOW)
    page.find(".la-run").get_by_role("button", name="Stop and keep").click()
    page.find(".la-run-state", f"{name}: finished").wait_for(timeout=SLOW * 1000)
    told = history_shown(page)
    assert told["curve"]["step"] == list(range(1, told["step"] + 1))
