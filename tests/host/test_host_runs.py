"""What the page asks of runs, in a real ComfyUI: while one is trained, and afterwards from its folder."""

from __future__ import annotations

import io
import json
import shutil
import time
import urllib.error
import urllib.request
from urllib.parse import quote

import pytest
from PIL import Image

from tests.host.graphs import training_graph, with_samples
from tests.host.listening import Listener
from tests.host.runs import history, listed_runs, run_named, runs_folder
from tests.host.server import ComfyServer, make_base
from tests.host.waiting import wait_until
from trainer_core.dataset.folder import read_folder
from trainer_core.files import write_json
from trainer_core.training.run import ABOUT, JOB

LONG = {"name": "live", "epochs": 40, "batch_size": 1, "seed": 3, "validate_every_epochs": 1}
BAD_NAMES = ["", ".", "..", "../runs", "live/../live", "/etc", "none", "a%00b", "..%2f..", "latents"]


def queue_from(comfy: ComfyServer, graph: dict, workflow: str) -> str:
    """Queue a graph as a page does that has it as a workflow; the prompt's id."""
    extra = {"extra_pnginfo": {"workflow": {"id": workflow, "nodes": []}}}
    status, answer = comfy.post("/prompt", {"prompt": graph, "extra_data": extra})
    assert status == 200, answer
    return answer["prompt_id"]


def training_node(graph: dict) -> str:
    return next(name for name, one in graph.items() if one["class_type"] == "LoraAtelierTrainLora")


@pytest.fixture(scope="module")
def finished(comfy: ComfyServer, pictures: str) -> str:
    """A run that was watched, asked for a sample and a LoRA, and ended early."""
    graph = with_samples(training_graph(pictures, LONG), {"prompts": "cat", "width": 64, "height": 64, "steps": 1})
    prompt = comfy.queue(graph)
    training = wait_until(lambda: [one for one in listed_runs(comfy) if one["state"] == "training"])
    run = training[0]["run"]
    seen = wait_until(lambda: (now := history(comfy, run))["step"] >= 2 and now)
    assert seen["state"] == "training" and seen["memory_mb"] > 0 and seen["total_steps"] == 160
    assert seen["curve"]["step"][0] == 1 and len(seen["curve"]["loss"]) == len(seen["curve"]["step"])
    for what in ("sample", "save"):
        assert comfy.post(f"/lora_atelier/runs/{what}", {"run": run})[0] == 200
    assert comfy.post("/lora_atelier/runs/delete", {"run": run})[0] == 400
    wait_until(lambda: (now := history(comfy, run))["saves"] and any(s["epoch"] for s in now["samples"]))
    assert comfy.post("/lora_atelier/runs/finish", {})[1] == {"name": "live"}
    comfy.wait(prompt)
    return run


def test_a_run_is_told_from_its_folder_when_it_is_over(comfy, finished):
    told = history(comfy, finished)
    assert told["state"] == "finished" and 2 < told["step"] < 160 and told["verdict"]["kind"]
    assert told["seconds_per_step"] > 0 and told["seconds_left"] is None
    assert told["saves"][-1]["is_last"] and len(told["saves"]) >= 2
    assert str(comfy.base) not in json.dumps(told)


def test_runs_are_listed_with_what_became_of_them(comfy, finished):
    (listed,) = [one for one in listed_runs(comfy) if one["run"] == finished]
    assert listed["state"] == "finished" and listed["base"] == "slim_sd15.safetensors"
    assert listed["thumbnail"]["number"] == 1 and listed["megabytes"] > 0


def test_samples_are_shown_whole_and_small(comfy, finished):
    sample = history(comfy, finished)["samples"][-1]
    path = f"/lora_atelier/runs/sample?run={finished}&epoch={sample['epoch']}&number={sample['number']}"
    whole = Image.open(io.BytesIO(comfy.read(path)))
    assert (whole.format, whole.size) == ("PNG", (sample["width"], sample["height"]))
    small = Image.open(io.BytesIO(comfy.read(f"{path}&side=64")))
    assert small.format == "JPEG" and max(small.size) == 64


def test_a_sample_that_the_browser_has_is_not_sent_again(comfy, finished):
    url = f"http://127.0.0.1:{comfy.port}/lora_atelier/runs/sample?run={finished}&epoch=0&number=1&side=64"
    with urllib.request.urlopen(url) as answer:
        tag, headers = answer.headers["ETag"], answer.headers
    assert headers["X-Content-Type-Options"] == "nosniff" and "private" in headers["Cache-Control"]
    with pytest.raises(urllib.error.HTTPError, match="304"):
        urllib.request.urlopen(urllib.request.Request(url, headers={"If-None-Match": tag}))


def test_pictures_are_shown_as_they_are_trained(comfy, finished):
    path = f"/lora_atelier/runs/picture?run={finished}&size=64"
    for measured in history(comfy, finished)["pictures"]:
        shown = Image.open(io.BytesIO(comfy.read(f"{path}&name={quote(measured['name'])}")))
        assert shown.format == "JPEG" and max(shown.size) == 64
    assert Image.open(io.BytesIO(comfy.read(path))).size == shown.size, "the first one"
    for name in ("none.png", "../../secret.png"):
        assert comfy.status(f"{path}&name={quote(name)}") == 404


def test_pictures_are_shown_from_folders_of_pictures_only(comfy, finished, tmp_path):
    elsewhere = tmp_path / "secret.png"
    Image.new("RGB", (64, 64)).save(elsewhere)
    folder = runs_folder(comfy) / "elsewhere-1"
    folder.mkdir()
    shutil.copy(runs_folder(comfy) / finished / ABOUT, folder)
    write_json(folder / JOB, {"dataset": read_folder(tmp_path).to_json()})
    try:
        assert comfy.status("/lora_atelier/runs/picture?run=elsewhere-1") == 404
        assert comfy.status("/lora_atelier/runs/picture?run=elsewhere-1&name=secret.png") == 404
    finally:
        shutil.rmtree(folder)


def test_a_kept_epoch_is_put_where_load_lora_finds_it(comfy, finished):
    status, answer = comfy.post("/lora_atelier/runs/use", {"run": finished, "epoch": 0, "name": "my favourite"})
    assert (status, answer) == (200, {"file": "my favourite.safetensors"})
    listed = comfy.get("/object_info/LoraLoader")["LoraLoader"]["input"]["required"]["lora_name"][0]
    assert "my favourite.safetensors" in listed
    bad_steps = ({"epoch": 0, "name": "x", "step": step} for step in ("1", 1.0, True))
    bad_epochs = ({"epoch": 999, "name": "x"}, {"epoch": "0", "name": "x"})
    for bad in (*bad_epochs, *bad_steps, {"epoch": 0, "name": "../x"}, {"epoch": 0}):
        status, answer = comfy.post("/lora_atelier/runs/use", {"run": finished, **bad})
        assert status == 400 and answer["error"], bad
    assert not (comfy.base / "output" / "x.safetensors").exists()


def test_a_node_shows_a_run_that_another_workflow_has_trained(comfy, finished):
    told = {"workflow": "w-cached", "node": "3", "run": finished}
    for bad in ({"run": "../outside"}, {"run": None}, {"node": ""}, {"workflow": 7}, {"node": "x" * 300}):
        assert comfy.post("/lora_atelier/runs/shown", told | bad)[0] in (400, 404)
    assert comfy.get("/lora_atelier/runs/of?workflow=w-cached&node=3")["run"] is None
    assert comfy.post("/lora_atelier/runs/shown", told) == (200, {"run": finished})
    assert comfy.get("/lora_atelier/runs/of?workflow=w-cached&node=3")["run"] == finished


def test_without_a_name_the_file_is_named_as_the_run(comfy, finished):
    status, answer = comfy.post("/lora_atelier/runs/use", {"run": finished, "epoch": 0, "name": " "})
    assert (status, answer) == (200, {"file": "live.safetensors"})


def test_a_name_that_another_folder_of_loras_has_is_refused(comfy, finished):
    other = comfy.base / "models" / "loras" / "taken.safetensors"
    other.parent.mkdir(parents=True, exist_ok=True)
    other.write_bytes(b"another")
    try:
        status, answer = comfy.post("/lora_atelier/runs/use", {"run": finished, "epoch": 0, "name": "taken"})
        assert status == 400 and "another folder of LoRAs" in answer["error"]
    finally:
        other.unlink()


@pytest.mark.parametrize("name", BAD_NAMES)
def test_what_is_no_run_is_not_there(comfy, finished, name):
    for path in ("history?run={}", "workflow?run={}", "sample?run={}&epoch=0&number=1", "picture?run={}"):
        assert comfy.status("/lora_atelier/runs/" + path.format(name)) == 404
    for path in ("delete", "use"):
        status, _ = comfy.post(f"/lora_atelier/runs/{path}", {"run": name, "epoch": 0, "name": "x"})
        assert status == 404
    assert runs_folder(comfy).is_dir()


@pytest.mark.parametrize("query", ["epoch=99&number=1", "epoch=0&number=9"])
def test_a_sample_that_is_not_there_is_told(comfy, finished, query):
    assert comfy.status(f"/lora_atelier/runs/sample?run={finished}&{query}") == 404


@pytest.mark.parametrize("query", ["epoch=x&number=1", "epoch=0&number=1&side=9999", "epoch=-1&number=1"])
def test_numbers_out_of_range_are_refused(comfy, finished, query):
    assert comfy.status(f"/lora_atelier/runs/sample?run={finished}&{query}") == 400


@pytest.mark.parametrize("what", ["finish", "sample", "save"])
def test_nothing_is_asked_of_a_run_that_is_not_trained(comfy, finished, what):
    assert comfy.post(f"/lora_atelier/runs/{what}", {"run": finished})[0] == 400
    assert comfy.post(f"/lora_atelier/runs/{what}", {})[1]["error"] == "nothing is being trained right now."


def test_a_page_that_is_opened_again_finds_the_run_of_its_node(comfy, pictures):
    graph = training_graph(pictures, {"name": "shown", "epochs": 1, "seed": 42})
    comfy.wait(queue_from(comfy, graph, "a-workflow"))
    run, node = run_named(comfy, "shown"), training_node(graph)
    of = f"/lora_atelier/runs/of?node={node}&workflow="
    assert comfy.get(f"{of}a-workflow") == {"run": run["run"]}
    assert comfy.get(f"{of}another") == {"run": None}
    kept = comfy.get(f"/lora_atelier/runs/workflow?run={run['run']}")
    assert run["has_workflow"] and kept == {"id": "a-workflow", "nodes": []}

    later = training_graph(pictures, {"name": "later", "epochs": 1, "seed": 43})
    comfy.wait(queue_from(comfy, later, "a-workflow"))
    newest = run_named(comfy, "later")["run"]
    assert comfy.get(f"{of}a-workflow") == {"run": newest}
    comfy.post("/lora_atelier/runs/delete", {"run": newest})
    assert comfy.get(f"{of}a-workflow") == {"run": run["run"]}


def test_a_listening_page_is_told_how_a_training_goes(comfy, pictures):
    listener = Listener(comfy.port, "lora_atelier.run")
    graph = training_graph(
        pictures, {"name": "told", "epochs": 4, "batch_size": 1, "seed": 21, "validate_every_epochs": 4}
    )
    start = time.monotonic()
    prompt = queue_from(comfy, graph, "told-workflow")
    comfy.wait(prompt)
    seconds = time.monotonic() - start
    wait_until(lambda: listener.heard and listener.heard[-1]["state"] == "finished")
    listener.close()
    told = listener.heard
    run = run_named(comfy, "told")["run"]
    places = {(event["run"], event["workflow"], event["node"], event["prompt"]) for event in told}
    assert places == {(run, "told-workflow", training_node(graph), prompt)}
    assert {event["stage"] for event in told} >= {"loading the base model", "training"}
    assert 3 <= len(told) <= 2 * seconds + 8
    points = [point for event in told for point in event["points"]]
    assert [step for step, _, _ in points] == sorted({step for step, _, _ in points}) and points[-1][0] == 16
    curve = history(comfy, run)["curve"]
    losses = dict(zip(curve["step"], curve["loss"], strict=True))
    assert all(loss == pytest.approx(losses[step], rel=1e-4) for step, loss, _ in points)
    assert told[-1]["changed"] == ["remarks", "samples", "saves", "validation", "verdict"]
    assert told[-1]["memory_mb"] > 0 and told[-1]["seconds_per_step"] > 0


def test_a_run_that_is_stopped_is_told_as_stopped_and_goes_on(comfy, pictures):
    listener = Listener(comfy.port, "lora_atelier.run")
    graph = training_graph(pictures, {**LONG, "name": "halted", "seed": 22})
    prompt = comfy.queue(graph)
    wait_until(lambda: listener.heard and listener.heard[-1]["step"] >= 2)
    run = listener.heard[-1]["run"]
    comfy.post("/interrupt", {})
    comfy.wait(prompt)
    wait_until(lambda: listener.heard[-1]["state"] == "stopped")
    listener.close()
    told = history(comfy, run)
    assert told["state"] == "stopped" and told["step"] >= 2 and told["verdict"] is None
    assert told["seconds_left"] == pytest.approx(told["seconds_per_step"] * (160 - told["step"]))
    assert comfy.post("/lora_atelier/runs/delete", {"run": run}) == (200, {"run": run})


def test_another_server_finds_the_runs_of_an_earlier_one(comfy, finished, installation, tmp_path):
    base = make_base(tmp_path)
    shutil.copytree(comfy.base / "output" / "lora_atelier", base / "output" / "lora_atelier")
    with ComfyServer(installation, base) as later:
        assert history(later, finished) == history(comfy, finished)
        assert listed_runs(later) == listed_runs(comfy)
        assert later.post("/lora_atelier/runs/use", {"run": finished, "epoch": 0, "name": ""})[1]["file"]


def test_a_run_is_deleted_with_all_its_files_and_trained_again_when_its_graph_is_queued(comfy, pictures):
    graph = training_graph(pictures, {"name": "unwanted", "epochs": 1, "seed": 5})
    comfy.run(graph)
    run = run_named(comfy, "unwanted")["run"]
    folder = runs_folder(comfy) / run
    assert folder.is_dir()
    assert comfy.post("/lora_atelier/runs/delete", {"run": run}) == (200, {"run": run})
    assert not folder.exists() and comfy.status(f"/lora_atelier/runs/history?run={run}") == 404
    comfy.run(graph)
    assert history(comfy, run)["state"] == "finished"


def test_a_link_among_the_runs_is_never_followed(comfy, finished, tmp_path):
    outside = tmp_path / "outside"
    shutil.copytree(runs_folder(comfy) / finished, outside)
    link = runs_folder(comfy) / "link-1"
    link.symlink_to(outside)
    try:
        assert comfy.status("/lora_atelier/runs/history?run=link-1") == 404
        assert comfy.post("/lora_atelier/runs/delete", {"run": "link-1"})[0] == 404
        assert outside.is_dir()
    finally:
        link.unlink()
