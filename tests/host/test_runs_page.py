"""The list of runs and the large view of one, in a real browser on a real ComfyUI, with nodes drawn either way."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.host.browser import ComfyPage, OpenPages
from tests.host.made_runs import MadeRun, make_run, overfit, run_event
from tests.host.runs import loras_folder, runs_folder
from tests.host.server import ComfyServer

if TYPE_CHECKING:
    from playwright.sync_api import Locator

WORKFLOW = {
    "id": "the-workflow-of-a-run", "version": 0.4, "last_node_id": 7, "last_link_id": 0, "links": [], "groups": [],
    "nodes": [{"id": 7, "type": "Note", "pos": [0, 0], "size": [200, 80], "widgets_values": ["made for a test"]}],
}  # fmt: skip
_TAB = "Workspace.ToggleSidebarTab.loraAtelierRuns"


@pytest.fixture(scope="module")
def runs(comfy: ComfyServer) -> dict[str, str]:
    """Runs by name: one that is overfit, one that is well, one that was stopped, and one that had no step yet. One
    picture of the first is gone, and all of those in between."""
    folder = runs_folder(comfy)
    pictures = comfy.base / "input" / "shown"
    made = [
        MadeRun(name="overfit-mochi", verdict=overfit(), pictures=pictures / "overfit", seed=1),
        MadeRun(name="calm-mochi", seed=2),
        MadeRun(name="half-way", base="sd_xl_base_1.0.safetensors", epochs=3, is_finished=False, workflow=WORKFLOW),
        MadeRun(name="not-begun", epochs=0, is_finished=False, pictures=pictures / "not_begun"),
        MadeRun(name="nothing-left", epochs=0, is_finished=False),
    ]
    found = {one.name: make_run(folder, one) for one in made}
    (pictures / "overfit" / "mochi_04.png").unlink()
    return found


@pytest.fixture(scope="module")
def shown(pages: OpenPages, renderer: str, runs: dict[str, str]) -> Iterator[ComfyPage]:
    """The page with the list of runs open."""
    opened = pages.show(renderer)
    opened.command(_TAB)
    opened.find(".la-run-card").first.wait_for()
    yield opened
    opened.command(_TAB)


@pytest.fixture
def view(page: ComfyPage, runs: dict[str, str]) -> Iterator[Locator]:
    """The large view of the overfit run."""
    card(page, runs["overfit-mochi"]).locator(".la-run-face").click()
    opened = page.page.get_by_role("dialog", name=re.compile("overfit-mochi"))
    opened.locator(".la-large-legend output").first.wait_for()
    yield opened
    if opened.count():
        opened.get_by_role("button", name="Close (Esc)").first.click()


def card(page: ComfyPage, run: str) -> Locator:
    return page.find(f".la-run-card[data-run='{run}']")


def listed(page: ComfyPage) -> list[str]:
    """Names of the runs in the list that this module made."""
    names = page.find(".la-run-card strong").all_text_contents()
    return [name for name in names if name in {"overfit-mochi", "calm-mochi", "half-way", "not-begun", "nothing-left"}]


# ----------------------------------------------------------------------------------------------------- the list


def test_runs_are_listed_with_what_became_of_them(page: ComfyPage, runs: dict[str, str]) -> None:
    assert sorted(listed(page)) == sorted(runs)
    assert "Overfit" in card(page, runs["overfit-mochi"]).inner_text()
    stopped = card(page, runs["half-way"]).inner_text()
    assert "Stopped" in stopped and "sd_xl_base_1.0" in stopped and "step 360 / 1,200" in stopped


def test_a_run_has_its_newest_sample_or_a_picture_that_it_learns_from(page: ComfyPage, runs: dict[str, str]) -> None:
    for name in ("overfit-mochi", "not-begun"):
        picture = card(page, runs[name]).locator("img")
        page.until(lambda: picture.evaluate("(image) => image.naturalWidth > 0"))  # noqa: B023
    page.until(lambda: card(page, runs["nothing-left"]).locator("img").count() == 0)
    assert card(page, runs["nothing-left"]).locator(".la-run-picture").count() == 1


def test_the_list_is_searched_by_words(page: ComfyPage) -> None:
    search = page.find(".la-runs").get_by_role("searchbox")
    search.fill("mochi overfit")
    page.until(lambda: listed(page) == ["overfit-mochi"])
    search.fill("sd_xl half")
    page.until(lambda: listed(page) == ["half-way"])
    search.fill("no such run")
    page.find(".la-runs").get_by_text("No run matches.").wait_for()
    search.fill("")
    page.until(lambda: len(listed(page)) == 5)


def test_two_curves_are_compared(page: ComfyPage, runs: dict[str, str]) -> None:
    card(page, runs["overfit-mochi"]).get_by_role("button", name="Compare").click()
    page.find(".la-runs-hint", "Choose the run to compare overfit-mochi with.").wait_for()
    card(page, runs["calm-mochi"]).get_by_role("button", name="Compare").click()
    view = page.page.get_by_role("dialog", name=re.compile("overfit-mochi"))
    view.locator("[data-line='otherSmooth']", has_text="calm-mochi").wait_for()
    assert view.get_by_label("Compare with another run").input_value() == runs["calm-mochi"]
    view.get_by_label("Compare with another run").select_option("")
    view.locator("[data-line='otherSmooth']").wait_for(state="detached")
    view.get_by_label("Compare with another run").select_option(runs["half-way"])
    view.locator("[data-line='otherSmooth']", has_text="half-way").wait_for()
    page.page.keyboard.press("Escape")
    view.wait_for(state="detached")
    assert page.find(".la-runs-hint").is_hidden()


def test_a_stopped_run_is_resumed_from_its_workflow(page: ComfyPage, runs: dict[str, str]) -> None:
    assert card(page, runs["overfit-mochi"]).get_by_role("button", name="Resume").count() == 0
    card(page, runs["half-way"]).get_by_role("button", name="Resume").click()
    page.until(lambda: page.workflow()["id"] == WORKFLOW["id"])
    title = "() => app.extensionManager.workflow.activeWorkflow.filename"
    page.until(lambda: page.page.evaluate(title).startswith("half-way"))


def test_a_resumed_run_takes_no_saved_workflows_place(page: ComfyPage, runs: dict[str, str]) -> None:
    """ComfyUI opens a workflow under the name of a saved one as that one, and would save it there."""
    save = """async (workflow) => {
        const { workflow: store } = app.extensionManager;
        if (store.getWorkflowByPath("workflows/half-way.json")) return;
        const made = store.createTemporary("half-way.json", workflow);
        await made.save();
        await store.closeWorkflow(made);
    }"""
    page.page.evaluate(save, WORKFLOW | {"id": "saved-by-a-user", "nodes": []})
    card(page, runs["half-way"]).get_by_role("button", name="Resume").click()
    page.until(lambda: page.workflow()["id"] == WORKFLOW["id"])
    active = "(name) => app.extensionManager.workflow.activeWorkflow[name]"
    # the workflow that the test before left open may be here for a moment, under that very name
    page.until(lambda: re.fullmatch(r"workflows/half-way.+\.json", page.page.evaluate(active, "path")))
    assert not page.page.evaluate(active, "isPersisted")


def test_the_folder_of_a_run_is_said_and_copied(page: ComfyPage, comfy: ComfyServer, runs: dict[str, str]) -> None:
    page.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    card(page, runs["calm-mochi"]).get_by_role("button", name="Folder").click()
    message = page.find(".p-toast-message", "The run's folder, copied")
    message.wait_for()
    folder = f"output/lora_atelier/runs/{runs['calm-mochi']}"
    assert folder in message.inner_text() and (comfy.base / folder).is_dir()
    assert page.page.evaluate("() => navigator.clipboard.readText()") == folder


def test_a_run_is_deleted_only_if_the_user_is_sure(page: ComfyPage, comfy: ComfyServer) -> None:
    runs = runs_folder(comfy)
    run = make_run(runs, MadeRun(name="unloved", epochs=1, seed=77))
    page.hear(run_event(run, {"changed": ["saves"], "state": "stopped"}))
    card(page, run).wait_for()
    for answer, is_left in (("Cancel", True), ("Delete", False)):
        card(page, run).get_by_role("button", name="Delete").click()
        question = page.page.get_by_role("dialog")
        question.get_by_text("unloved").wait_for()
        assert re.search(r"unloved: [\d.]+ MB", question.inner_text())
        question.get_by_role("button", name=answer).click()
        question.wait_for(state="detached")
        if is_left:
            assert (runs / run).is_dir() and card(page, run).count() == 1
    card(page, run).wait_for(state="detached")
    assert not (runs / run).exists()


def test_five_hundred_runs_are_listed_at_once(page: ComfyPage) -> None:
    """The list with many runs stays quick: a card that is out of view is not drawn."""
    many = """async () => {
        const listed = await (await fetch("/lora_atelier/runs")).json();
        const [one] = listed.runs;
        const runs = Array.from({ length: 500 }, (_, at) => ({ ...one, run: `many-${at}`, name: `many ${at}` }));
        const { api } = await import("/scripts/api.js");
        const real = api.fetchApi;
        api.fetchApi = async () => new Response(JSON.stringify({ runs }));
        const began = performance.now();
        api.dispatchEvent(new CustomEvent("reconnected"));
        while (document.querySelectorAll(".la-run-card").length < 500) await new Promise(requestAnimationFrame);
        const took = performance.now() - began;
        api.fetchApi = real;
        api.dispatchEvent(new CustomEvent("reconnected"));
        return took;
    }"""
    assert page.page.evaluate(many) < 3000
    page.until(lambda: page.find(".la-run-card").count() < 100)


# ------------------------------------------------------------------------------------------------ the large view


def test_the_large_view_shows_all_of_a_run(view: Locator) -> None:
    text = view.inner_text()
    assert "Overfit since epoch 7" in text and "24 pictures × 10 repeats × 10 epochs ÷ batch 2 = 1,200 steps" in text
    assert view.locator(".la-timeline-row").count() == 2 and view.locator(".la-timeline-cell").count() == 22
    assert view.locator(".la-kept li").count() == 10
    losses = [float(one) for one in view.locator(".la-losses tbody td:nth-child(3)").all_text_contents()]
    assert len(losses) == 10 and losses == sorted(losses, reverse=True)
    assert view.locator(".la-losses [data-held-out]").count() == 2


def test_losses_are_told_beside_their_pictures(page: ComfyPage, view: Locator) -> None:
    rows = view.locator(".la-losses tbody tr")
    rows.first.scroll_into_view_if_needed()
    rows.last.scroll_into_view_if_needed()
    seen = """(rows) => rows.map((row) => {
        const image = row.querySelector("img");
        return [row.querySelector("span").textContent, image.naturalWidth > 0, image.hasAttribute("data-lost")];
    })"""
    wanted = {(f"mochi_{place:02d}.png", place != 4, place == 4) for place in range(10)}
    page.until(lambda: {tuple(row) for row in rows.evaluate_all(seen)} == wanted)


def test_a_picture_grows_under_the_pointer_and_the_next_one_stays_in_reach(page: ComfyPage, view: Locator) -> None:
    faces = view.locator(".la-losses-face")
    large = """(faces) => faces.flatMap((face, at) =>
        face.querySelector("img").getBoundingClientRect().width > 150 ? [at] : [])"""
    faces.nth(2).scroll_into_view_if_needed()
    for at in range(3):
        box = faces.nth(at).bounding_box()
        page.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.until(lambda at=at: faces.evaluate_all(large) == [at])


def test_settings_that_differ_come_first_and_all_are_there(view: Locator) -> None:
    changed = view.locator(".la-plan > table tbody tr[data-changed]")
    changed.first.wait_for()
    assert changed.all_inner_texts() == ["batch_size\t2", "rank\t32", "alpha\t16", "learning_rate\t2e-4"]
    view.locator(".la-plan summary").click()
    assert view.locator(".la-plan details tr:not(:has([scope='rowgroup']))").count() > 60


def test_the_chart_is_zoomed_by_dragging_and_whole_again_by_two_clicks(page: ComfyPage, view: Locator) -> None:
    whole = view.get_by_role("button", name="Whole run")
    assert whole.is_hidden()
    box = view.locator(".u-over").bounding_box()
    middle = box["y"] + box["height"] / 2
    page.page.mouse.move(box["x"] + box["width"] * 0.3, middle)
    page.page.mouse.down()
    page.page.mouse.move(box["x"] + box["width"] * 0.6, middle, steps=4)
    page.page.mouse.up()
    whole.wait_for()
    page.page.mouse.move(box["x"] + box["width"] * 0.5, middle)
    step = int(view.locator(".la-large-step").inner_text().split()[-1].replace(",", ""))
    assert step == pytest.approx(540, abs=40)
    page.page.mouse.dblclick(box["x"] + box["width"] * 0.5, middle)
    whole.wait_for(state="hidden")


def test_the_legend_has_the_values_under_the_cursor_and_hides_lines(page: ComfyPage, view: Locator) -> None:
    view.locator(".la-large-plot").focus()
    for _ in range(3):
        page.page.keyboard.press("ArrowLeft")
    at = int(view.locator(".la-large-step").inner_text().split()[-1].replace(",", ""))
    assert 0 < at < 1200
    rate = view.get_by_role("button", name="learning rate")
    assert float(rate.locator("output").inner_text()) < 2e-4
    rate.click()
    assert rate.get_attribute("aria-pressed") == "false"
    rate.click()
    assert rate.get_attribute("aria-pressed") == "true"


def test_before_and_after_are_compared_with_the_keyboard(page: ComfyPage, view: Locator) -> None:
    view.locator(".la-timeline-cell").nth(6).click()
    line = view.get_by_role("slider", name="Line between the two pictures")
    sides = [view.get_by_label(side, exact=True) for side in ("Left", "Right")]
    assert [side.input_value() for side in sides] == ["0", "6"]
    images = view.locator(".la-wipe img")
    page.until(lambda: images.evaluate_all("(all) => all.every((image) => image.naturalWidth === 256)"))
    page.page.keyboard.press("ArrowLeft")
    assert float(line.input_value()) < 50
    page.page.keyboard.press("ArrowDown")
    assert sides[1].input_value() == "7" and "epoch=7" in images.first.get_attribute("src")
    page.page.keyboard.press("Escape")
    line.wait_for(state="detached")
    assert view.is_visible()


def test_the_line_follows_the_mouse(page: ComfyPage, view: Locator) -> None:
    view.locator(".la-timeline-cell").nth(3).click()
    box = view.locator(".la-wipe").bounding_box()
    page.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 40)
    page.page.mouse.down()
    page.page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + 40, steps=3)
    page.page.mouse.up()
    edge = view.locator(".la-wipe-edge").bounding_box()
    assert edge["x"] == pytest.approx(box["x"] + box["width"] * 0.8, abs=3)
    page.page.keyboard.press("Escape")


def test_a_kept_epoch_is_used_under_a_name(page: ComfyPage, comfy: ComfyServer, view: Locator) -> None:
    view.locator(".la-kept li", has_text="epoch 6").get_by_role("button", name="Use this one").click()
    question = page.page.get_by_role("dialog", name=re.compile("Use epoch 6"))
    assert question.get_by_role("textbox").input_value() == "overfit-mochi-e6"
    question.get_by_role("textbox").fill("best mochi")
    question.get_by_role("textbox").press("Enter")
    page.page.get_by_text(re.compile(r"output/loras/best mochi.*\.safetensors")).first.wait_for()
    assert list(loras_folder(comfy).glob("best mochi*.safetensors"))


def test_the_large_view_goes_on_with_the_training(page: ComfyPage, view: Locator, runs: dict[str, str]) -> None:
    """The training is played: the server is not asked, as it would say that this run has ended."""
    page.page.route("**/lora_atelier/runs/history?*", lambda route: route.abort())
    points = [[1201, 0.05, 1e-4], [1202, 0.05, 1e-4]]
    page.hear(run_event(runs["overfit-mochi"], {"step": 1202, "total_steps": 2400, "points": points}))
    view.locator(".la-state", has_text="step 1,202 / 2,400").wait_for()


def test_keys_of_the_large_view_do_nothing_to_the_graph(page: ComfyPage, view: Locator) -> None:
    before = page.workflow()["nodes"]
    for key in ("Delete", "Control+a", "Delete"):
        page.page.keyboard.press(key)
    assert page.workflow()["nodes"] == before
    page.page.keyboard.press("Escape")
    view.wait_for(state="detached")


@pytest.mark.parametrize(("locale", "title"), [("zh", "与默认值不同的设置"), ("zh-TW", "與預設值不同的設定")])
def test_the_large_view_speaks_the_users_language(
    pages: OpenPages, runs: dict[str, str], locale: str, title: str
) -> None:
    with pages.show("classic", locale).visit() as page:
        page.command(_TAB)
        card(page, runs["overfit-mochi"]).locator(".la-run-face").click()
        view = page.page.get_by_role("dialog")
        view.get_by_text(title).wait_for()
        view.locator(".la-settings").first.wait_for()
        label = {"zh": "学习率", "zh-TW": "學習率"}[locale]
        assert label in view.locator(".la-plan > table").inner_text()
        page.page.keyboard.press("Escape")
        view.wait_for(state="detached")
        page.command(_TAB)
