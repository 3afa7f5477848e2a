"""Train LoRA in several processes, started by a real ComfyUI; on the CPU, each takes a core."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from tests.host.graphs import training_graph
from tests.host.server import ComfyServer, error_message

pytestmark = pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs two cores")


def test_two_processes_train_a_run_that_one_then_has(comfy, pictures):
    together = comfy.run(training_graph(pictures, {"name": "together", "devices": 2, "seed": 41}))
    (run,) = _runs(comfy, "together")
    assert (run / "processes.log").exists()
    assert len(_losses(run)) == 4
    alone = comfy.run(training_graph(pictures, {"name": "together", "devices": 1, "seed": 41}))
    assert alone["save"]["text"] == together["save"]["text"]


def test_stop_ends_both_processes_and_keeps_the_state(comfy, pictures):
    prompt = comfy.queue(training_graph(pictures, {"name": "stopped", "devices": 2, "epochs": 500, "seed": 41}))
    while not (runs := _runs(comfy, "stopped")) or not _losses(runs[0]):
        time.sleep(0.5)
    comfy.post("/interrupt", {})
    entry = comfy.wait(prompt)
    assert any(kind == "execution_interrupted" for kind, _ in entry["status"]["messages"])
    assert not (runs[0] / "run.lock").exists() and not (runs[0] / "stop").exists()
    (newest,) = [path.stem for path in (runs[0] / "state").glob("*.json")][-1:]
    assert newest in {f"step-{step:08d}" for step in (len(_losses(runs[0])) - 1, len(_losses(runs[0])))}


def test_more_devices_than_there_are_end_in_one_line(comfy, pictures):
    cores = os.cpu_count() or 1
    settings = {"name": "many", "devices": cores + 1, "accumulation": cores}
    message = error_message(comfy.wait(comfy.queue(training_graph(pictures, settings))))
    assert "Set devices to" in message and "\n" not in message.strip()


def _runs(comfy: ComfyServer, name: str) -> list[Path]:
    return [*(comfy.base / "output" / "lora_atelier" / "runs").glob(f"{name}-*")]


def _losses(run: Path) -> list[float]:
    log = run / "metrics.jsonl"
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return [json.loads(line)["loss"] for line in lines]
