"""A training on its node in a real browser: live, after a reload, in a second page, and not in another workflow."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.host.browser import RENDERERS, ComfyPage, OpenPages, open_page
from tests.host.made_runs import run_event
from tests.host.training_page import LONG, SLOW, build, heightened, history_shown, show, step_shown

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_INK = """(canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let count = 0;
    for (let at = 3; at < data.length; at += 4) count += data[at] > 0;
    return count;
}"""

_HEAR_MANY = """async ([first, start, end]) => {
    const { api } = await import("/scripts/api.js");
    for (let number = start; number < end; number++) {
        const steps = [2 * number + 1, 2 * number + 2];
        const points = steps.map((step) => [step, 0.1 + 0.05 * Math.sin(step), 1e-4]);
        const told = { ...first, step: steps[1], done: steps[1], total: 14400, total_steps: 14400, points };
        api.dispatchCustomEvent("lora_atelier.run", told);
        if (number % 20 === 0) await new Promise(requestAnimationFrame); // the page draws meanwhile
    }
}"""


@pytest.fixture(scope="module")
def shown(pages: OpenPages, renderer: str) -> Iterator[ComfyPage]:
    with heightened(pages.show(renderer)) as opened:
        yield opened


def arithmetic(page: ComfyPage) -> list[str]:
    return page.find(".la-arithmetic p").all_text_contents()


def test_a_node_that_never_ran_shows_its_arithmetic_and_nothing_else(page: ComfyPage, pictures: str) -> None:
    ids = build(page, pictures, "never", 10)
    page.until(lambda: arithmetic(page)[:1] == ["4 pictures × 1 repeat × 10 epochs = 40 steps"], SLOW)
    assert arithmetic(page)[1].startswith("5 saves of ")
    assert not page.find(".la-run").is_visible()
    page.set_widget(ids["load"], "repeats", 6)
    page.set_widget(ids["train"], "batch_size", 4)
    page.until(lambda: arithmetic(page)[0] == "4 pictures × 6 repeats × 10 epochs ÷ batch 4 = 60 steps", SLOW)


def test_a_training_that_would_be_refused_is_refused_in_red(page: ComfyPage, pictures: str) -> None:
    ids = build(page, pictures, "refused", 10)
    page.set_widget(ids["train"], "batch_size", 64)
    page.find(".la-refused", "the batch size 64 is larger than the set").wait_for(timeout=SLOW * 1000)
    page.set_widget(ids["train"], "batch_size", 1)
    page.find(".la-steps").wait_for(timeout=SLOW * 1000)


def test_a_training_is_seen_wherever_its_workflow_is_open(
    page: ComfyPage, pages: OpenPages, browser: Browser, pictures: str, renderer: str
) -> None:
    name = f"live-{renderer.split()[0]}"
    ids = build(page, pictures, name, LONG + len(name))  # the same plan would be the same run
    workflow, train = page.workflow(), ids["train"]
    page.queue()
    page.until(lambda: step_shown(page) >= 2, SLOW)
    page.find(".la-chart canvas").wait_for()
    assert page.find(".la-run").get_by_role("button", name="Stop and keep").is_visible()

    page.reload()
    show(page, workflow, train)
    before = step_shown(page)
    page.until(lambda: step_shown(page) > max(before, 2), SLOW)

    with open_page(browser, page.server, RENDERERS[renderer]) as second, heightened(second):
        show(second, workflow, train)
        second.until(lambda: step_shown(second) >= 2, SLOW)
        show(second, workflow | {"id": "00000000-0000-4000-8000-000000000000"}, train)
        seen = step_shown(page)
        page.until(lambda: step_shown(page) > seen + 1, SLOW)
        assert not second.find(".la-run").is_visible()

    page.find(".la-run").get_by_role("button", name="Save now").click()
    page.until(lambda: page.find(".la-save").count() >= 1, SLOW)
    page.until(lambda: page.find(".la-sample img").count() >= 1, SLOW)
    page.find(".la-run").get_by_role("button", name="Stop and keep").click()
    page.find(".la-run-state", f"{name}: finished").wait_for(timeout=SLOW * 1000)
    page.find(".la-verdict").wait_for(timeout=SLOW * 1000)
    told = history_shown(page)
    assert told["curve"]["step"] == list(range(1, told["step"] + 1))
    label = f"Loss of {told['step']:,} steps"
    page.until(lambda: page.find(".la-chart").get_attribute("aria-label") == label, SLOW)
    assert page.find(".la-chart canvas").evaluate(_INK) > 500
    assert page.find(".la-save").count() == len(told["saves"])
    assert not page.find(".la-run").get_by_role("button", name="Stop and keep").is_visible()

    with pages.show(renderer, "zh").visit() as chinese, heightened(chinese):
        show(chinese, workflow, train)
        chinese.find(".la-run-state", f"{name}：已完成").wait_for(timeout=SLOW * 1000)
        kinds = {"underfit": "欠拟合", "good": "良好", "overfit": "过拟合", "not measured": "未测量"}
        assert chinese.find(".la-verdict strong").text_content() == kinds[told["verdict"]["kind"]]
        assert not re.search(r"[a-z]{4,}", chinese.find(".la-verdict p").first.text_content())


def event(workflow: str | None, node: int, points: list[list[float]]) -> dict[str, Any]:
    return run_event("simulated-1", {"workflow": workflow, "node": str(node), "points": points})


def test_what_is_told_of_other_nodes_and_workflows_is_dropped(page: ComfyPage, pictures: str) -> None:
    ids = build(page, pictures, "dropped", 10)
    mine = page.page.evaluate("() => app.graph.id")
    for workflow, node in ((mine, ids["crop"]), ("another", ids["train"]), (None, ids["train"])):
        page.hear(event(workflow, node, []))
    page.page.wait_for_timeout(500)
    assert not page.find(".la-run").is_visible()
    page.hear(event(mine, ids["train"], [[1, 0.1, 1e-4]]))
    page.until(lambda: step_shown(page) == 1)
    assert page.find(".la-run-numbers").text_content() == "2 steps/s · 1 h 5 min left · 9.1 GB in use"


def test_an_hour_of_events_fills_no_memory(page: ComfyPage, pictures: str) -> None:
    """Two events a second, each of two steps; measured after the first ten minutes and at the end."""
    ids = build(page, pictures, "an-hour", 10)
    first = event(page.page.evaluate("() => app.graph.id"), ids["train"], [])
    client = page.page.context.new_cdp_session(page.page)

    def hear(start: int, end: int) -> None:
        page.page.evaluate(_HEAR_MANY, [first, start, end])
        page.until(lambda: step_shown(page) == 2 * end, SLOW)

    def held() -> float:
        """MB, of what is still needed."""
        page.page.wait_for_timeout(500)
        client.send("HeapProfiler.collectGarbage")
        return client.send("Runtime.getHeapUsage")["usedSize"] / 2**20

    hear(0, 1200)
    before = held()
    hear(1200, 7200)
    grown = held() - before
    client.detach()
    assert grown < 3


def test_the_node_is_as_high_as_what_it_shows(page: ComfyPage, pictures: str) -> None:
    ids = build(page, pictures, "height", 10)
    page.until(lambda: arithmetic(page) != [], SLOW)
    mine = page.page.evaluate("() => app.graph.id")
    height = f"() => app.graph.getNodeById({ids['train']}).size[1]"
    before = page.page.evaluate(height)
    page.hear(event(mine, ids["train"], [[1, 0.1, 1e-4], [2, 0.2, 1e-4]]))
    page.until(lambda: page.page.evaluate(height) > before + 150)
    run = page.find(".la-run")
    bottom = run.bounding_box()["y"] + run.bounding_box()["height"]
    panel = page.find(".la-training").bounding_box()
    assert 0 <= panel["y"] + panel["height"] - bottom < 30
