"""Train LoRA in several processes, started by a real ComfyUI; on the CPU, each takes a core."""

from __future__ import annotations

import os

import pytest

from tests.host.graphs import training_graph
from tests.host.runs import folders_of, steps_logged
from tests.host.server import error_message
from tests.host.waiting import wait_until
from trainer_core.training.run_lock import RunLock

pytestmark = pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs two cores")


def test_two_processes_train_a_run_that_one_then_has(comfy, pictures):
    together = comfy.run(training_graph(pictures, {"name": "together", "devices": 2, "seed": 41}))
    (run,) = folders_of(comfy, "together")
    assert (run / "processes.log").exists()
    assert steps_logged(run) == 4
    alone = comfy.run(training_graph(pictures, {"name": "together", "devices": 1, "seed": 41}))
    assert alone["save"]["text"] == together["save"]["text"]


def test_stop_ends_both_processes_and_keeps_the_state(comfy, pictures):
    prompt = comfy.queue(training_graph(pictures, {"name": "stopped", "devices": 2, "epochs": 500, "seed": 41}))
    (run,) = wait_until(lambda: [run for run in folders_of(comfy, "stopped") if steps_logged(run)])
    comfy.post("/interrupt", {})
    entry = comfy.wait(prompt)
    assert any(kind == "execution_interrupted" for kind, _ in entry["status"]["messages"])
    assert not RunLock.is_held(run) and not (run / "stop").exists()
    (newest,) = [path.stem for path in (run / "state").glob("*.json")][-1:]
    assert newest in {f"step-{step:08d}" for step in (steps_logged(run) - 1, steps_logged(run))}


def test_more_devices_than_there_are_end_in_one_line(comfy, pictures):
    cores = os.cpu_count() or 1
    settings = {"name": "many", "devices": cores + 1, "accumulation": cores}
    message = error_message(comfy.wait(comfy.queue(training_graph(pictures, settings))))
    assert "Set devices to" in message and "\n" not in message.strip()
