"""The rows for a GPU are measured in order, in turns, until the time is over; here by contenders that pretend."""

from __future__ import annotations

import sys
import time
from dataclasses import replace

import pytest

from benchmarks import contender_process, gpu_rows, loss_curves, training_speed
from benchmarks.contender_process import Contender, ContenderFailed, running
from benchmarks.gpu_cases import Case, gpu_cases, loading_together
from benchmarks.gpu_report import CURVES, Report
from benchmarks.task import USUAL, Setting
from tests.training_jobs import write_base
from trainer_core.files import read_json
from trainer_core.training.step_memory import GB

PRETENDER = """
import sys, time
from benchmarks.step_clock import LOADED, StepClock
from benchmarks.task import Task

task = Task.from_command_line()
clock = StepClock(task)
if task.holds:
    print(LOADED, flush=True)
    sys.stdin.readline()
for step in range(task.all_steps):
    if task.contender == "peft" and task.setting.batch == 8 and step == task.steps:
        sys.exit("memory ran out")
    if task.setting.batch == 16:
        time.sleep(60)
    with open(task.pictures + "/../../../log.txt", "a") as log:
        print(task.contender, file=log)
    print("much else")
    clock.stepped([f"{task.contender} remarks"])
"""
SETTING = Setting(family="sd15", side=64, batch=1, rank=4, precision="fp32", checkpointing=False, device="cpu")
CASE = Case(setting=SETTING, own=USUAL, against_others=True, steps=3, turns=2, gb=1)


OTHERS = ["peft", "sd-scripts", "comfyui", "comfyui bypass"]


@pytest.fixture
def base(tmp_path, monkeypatch):
    """A tiny base model, and contenders that only pretend to train it."""
    (tmp_path / "work").mkdir()
    monkeypatch.setattr(contender_process, "_command", lambda task: [sys.executable, "-c", PRETENDER, task.to_json()])
    monkeypatch.setattr("benchmarks.limit._SIDES_OF_MATRICES", {"cpu": (64,)})
    monkeypatch.setattr("benchmarks.limit._HELD", 0.05)
    monkeypatch.setattr(gpu_rows, "write_base", lambda *_: write_base(tmp_path, "sd15"))
    monkeypatch.setattr(gpu_rows, "_curves", lambda *_: "| curves |\n")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "work"))
    for name in ("SD_SCRIPTS_DIR", "COMFYUI_DIR"):
        monkeypatch.delenv(name, raising=False)
    return write_base(tmp_path, "sd15")


def measure(cases, folder, *, seconds=300.0, only=(), free=100):
    """`free`: GB."""
    report = Report(folder, "a machine")
    gpu_rows.measure(cases, report, time.monotonic() + seconds, int(free * GB), only=only)
    return read_json(folder / "rows.json") if (folder / "rows.json").exists() else None


def test_contenders_take_turns_and_load_once(base, tmp_path):
    found = measure([CASE], tmp_path / "out")
    log = (tmp_path / "work" / "log.txt").read_text().split()
    assert log == [*["ours"] * 3, *["peft"] * 3] * 2
    (result,) = found["results"]
    assert [(row["contender"], row["steps"]) for row in result["rows"]] == [("ours", 4), ("peft", 4)]
    assert result["failures"] == [] and found["curves"] == "| curves |\n"
    text = (tmp_path / "out" / "rows.md").read_text()
    assert text.startswith("a machine\n") and f"| {CASE.words()} | peft |" in text
    assert "ours remarks" in text and text.endswith("| curves |\n")


def test_the_contenders_of_several_rows_load_together_as_far_as_memory_goes(base, tmp_path, monkeypatch):
    began = []
    real = Contender.begin
    monkeypatch.setattr(Contender, "begin", lambda self: began.append(self._task.setting.batch) or real(self))
    monkeypatch.setattr(Contender, "has_loaded", lambda self, within: began.append("waits"))
    cases = [replace(CASE, setting=replace(SETTING, batch=batch)) for batch in (1, 2, 3)]
    found = measure(cases, tmp_path / "out", free=15)
    assert began == [1, 1, 2, 2, *["waits"] * 4, 3, 3, *["waits"] * 2]
    log = (tmp_path / "work" / "log.txt").read_text().split()
    assert log == [*["ours"] * 3, *["peft"] * 3] * 2 * 3, "one row after the other"
    assert [len(result["rows"]) for result in found["results"]] == [2, 2, 2]


def test_who_fails_is_told_with_its_last_words_and_keeps_the_turns_that_it_took(base, tmp_path):
    case = replace(CASE, setting=replace(SETTING, batch=8))
    (result,) = measure([case], tmp_path / "out", only=[case.words()])["results"]
    assert [(row["contender"], row["steps"]) for row in result["rows"]] == [("ours", 4), ("peft", 2)]
    assert result["failures"] == ["peft ended with code 1 before its turn was done: memory ran out"]


def test_what_runs_at_the_deadline_is_ended(base, tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_rows, "_WORTH_BEGINNING", 0)
    monkeypatch.setattr(gpu_rows, "_WORTH_A_TURN", 0)
    case = replace(CASE, setting=replace(SETTING, batch=16))
    began = time.monotonic()
    (result,) = measure([case], tmp_path / "out", seconds=3)["results"]
    assert time.monotonic() - began < 30
    assert result["rows"] == [] and len(result["failures"]) == 2 and "code -9" in result["failures"][0]


def test_nothing_is_begun_when_the_seconds_are_over(base, tmp_path):
    assert measure([CASE], tmp_path / "out", seconds=10) is None


def test_what_is_there_is_not_measured_again_but_for_what_failed(base, tmp_path):
    good, bad = CASE, replace(CASE, setting=replace(SETTING, batch=8))
    measure([good, bad], tmp_path / "out", only=["SD1.5"])
    log = tmp_path / "work" / "log.txt"
    log.unlink()
    found = measure([good, bad], tmp_path / "out")
    assert log.read_text().split().count("ours") == 6
    assert len(found["results"]) == 2 and found["curves"]
    assert Report(tmp_path / "out", "").has(good.words()) and Report(tmp_path / "out", "").has(CURVES)


def test_only_the_rows_that_are_asked_for_are_measured(base, tmp_path):
    found = measure(
        [CASE, replace(CASE, setting=replace(SETTING, batch=2))], tmp_path / "out", only=["batch 3", "batch 2"]
    )
    assert [result["what"] for result in found["results"]] == ["SD1.5 64x64, batch 2, rank 4, fp32"]
    assert not found["curves"]


def test_a_contender_that_stops_in_between_fails_its_turn(base, tmp_path):
    task = training_speed.task_of(
        "peft", replace(SETTING, batch=8), USUAL, base, tmp_path / "work" / "a" / "b", steps=1, turns=2, holds=False
    )
    (tmp_path / "work" / "a" / "b").mkdir(parents=True)
    with running(task, tmp_path / "errors.log") as contender:
        assert len(contender.turn(within=60).seconds) == 1
        with pytest.raises(ContenderFailed):
            contender.turn(within=60)


def test_the_first_rows_are_those_that_matter_most():
    cases = gpu_cases("cuda", free=140 * 2**30)
    speed = [(c.setting.family, c.setting.side, c.setting.batch) for c in cases if c.against_others]
    assert speed[:2] == [("sd15", 512, 1), ("sdxl", 1024, 1)]
    assert {(family, batch) for family, _, batch in speed} == {(f, b) for f in ("sd15", "sdxl") for b in (1, 4, 8)}
    assert {c.setting.precision for c in cases} == {"bf16"} and len({c.words() for c in cases}) == len(cases)
    small = [c for c in cases if c.setting.checkpointing]
    assert {(c.own.base, c.own.offload) for c in small} >= {("fp8", False), ("nf4", False), ("full", True)}
    assert all(c.setting.rank == 16 and not c.against_others for c in small)
    assert sum(c.own.compile for c in cases) == 2 and sum(not c.own.cuda_graphs for c in cases) == 2
    assert all(c.own.cuda_graphs for c in cases if c.against_others), "as users have it"


def test_what_loads_together_has_room_for_one_of_them_to_step():
    def sizes(free: int) -> list[int]:
        return [len(group) for group in loading_together(cases, OTHERS[:2], free * 2**30)]

    cases = gpu_cases("cuda", free=140 * 2**30)
    assert [case for group in loading_together(cases, OTHERS[:2], 140 * 2**30) for case in group] == cases
    assert sizes(140)[:3] == [2, 1, 4], "SDXL at batch 8 is alone"
    assert sizes(80)[4] < sizes(140)[4]
    for free, others in ((24, 2), (80, 2), (140, 2), (140, 4), (10_000, 2)):
        for group in loading_together(cases, OTHERS[:others], free * 2**30):
            counts = [others + 1 if case.against_others else 1 for case in group]
            loaded = sum(
                count * {"sd15": 3, "sdxl": 8}[case.setting.family] for count, case in zip(counts, group, strict=True)
            )
            steps = max(case.gb * (2.3 if case.against_others else 1) for case in group)  # ours keeps its graphs'
            assert len(group) == 1 or (sum(counts) <= 6 and loaded + steps <= free)


def test_where_memory_is_short_everyone_checkpoints():
    def checkpointed(free: int) -> set[tuple[str, int]]:
        cases = gpu_cases("cuda", free=free * 2**30)
        return {(c.setting.family, c.setting.batch) for c in cases if c.against_others and c.setting.checkpointing}

    assert checkpointed(140) == set()
    assert checkpointed(80) == {("sdxl", 8)}
    assert checkpointed(24) == {("sdxl", 8), ("sdxl", 4)}


# --------------------------------------------------------------------------------------------- the whole benchmark


def test_the_benchmark_prints_a_table_and_writes_the_figures(base, tmp_path, capsys):
    out = tmp_path / "figures.json"
    options = ["--device", "cpu", "--base", str(base), "--side", "64", "--batch", "2", "--precision", "bf16"]
    training_speed.main([*options, "--checkpoint", "--rank", "8", "--rounds", "2", "--steps", "3", "--out", str(out)])
    text = capsys.readouterr().out
    assert "SD1.5 64x64, batch 2, rank 8, bf16, checkpointing; limit: " in text
    assert [line.split()[1] for line in text.splitlines() if line.startswith(("ours ", "peft "))] == ["4", "4"]
    found = read_json(out)
    assert found["setting"]["batch"] == 2 and found["setting"]["family"] == "sd15" and found["setting"]["checkpointing"]
    assert [row["contender"] for row in found["rows"]] == ["ours", "peft"]
    assert [len(turns) for turns in found["turns"].values()] == [2, 2]
    seconds = found["rows"][0]["seconds"]
    assert found["rows"][0]["pictures_per_second"] == pytest.approx(2 / seconds)
    share = found["flops"] / max(found["flops_per_second"]) / seconds
    assert found["rows"][0]["share_of_limit"] == pytest.approx(share)


def test_a_gpu_that_is_not_there_is_refused(capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for main, options in ((training_speed.main, ["--device", "cuda"]), (gpu_rows.main, [])):
        with pytest.raises(SystemExit):
            main(options)
        assert "no CUDA GPU is here" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------------ loss curves


def test_curves_are_compared_smoothed_and_with_the_noise_of_another_seed(monkeypatch):
    monkeypatch.setattr(loss_curves, "WINDOW", 2)
    whole = [1.0, 3.0, 1.0, 3.0]
    assert loss_curves.smoothed(whole) == [2, 2, 2]
    assert loss_curves.largest_distance(whole, [1, 3, 2, 3]) == pytest.approx(0.25)
    curves = {"whole": whole, "seed": [1, 3, 3, 3], "fp8": [1, 3, 1, 3.1], "nf4": [1, 3, 9, 3], "same": whole}
    lines = loss_curves.markdown(curves, "bf16").splitlines()[4:]
    verdicts = [line.split("|")[-2].strip() for line in lines]
    assert verdicts == ["", "", "yes", "no", "yes"]


def test_a_curve_is_of_the_mode_that_is_asked_for(monkeypatch):
    plans = []

    class Trainer:
        def __init__(self, job, runs, *, device):
            plans.append(job.plan)

        def steps(self):
            return []

    monkeypatch.setattr(loss_curves, "Trainer", Trainer)
    for mode in (loss_curves.WHOLE, loss_curves.OTHER_SEED, *loss_curves.MODES):
        loss_curves.losses_of(mode, "cpu", 20)
    assert [plan.precision.base for plan in plans] == ["full", "full", "fp8", "int8", "nf4", "full"]
    assert [plan.seed for plan in plans] == [0, 1, 0, 0, 0, 0] and plans[-1].precision.offload
    assert len({plan.steps for plan in plans}) == 1
