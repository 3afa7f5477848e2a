"""What is told of runs from their folders alone."""

from __future__ import annotations

import contextlib
import json
import math
import shutil
import time
from dataclasses import replace

import pytest
import torch

from tests.training_jobs import small_job, train
from trainer_core.errors import TrainingError
from trainer_core.lora.file import lora_bytes
from trainer_core.progress import StageReport
from trainer_core.runs.history import run_history
from trainer_core.runs.pace import Pace, StepTimes, Work, expected_seconds_per_step, read_pace
from trainer_core.runs.pictures import dataset_of, pictures_of
from trainer_core.runs.saves import BEST, LAST, choose_kept, kept_loras
from trainer_core.runs.shown import ShownRuns
from trainer_core.runs.step_log import StepLog
from trainer_core.runs.summary import find_run, list_runs
from trainer_core.training.kept_samples import Sample
from trainer_core.training.loss_chart import running_mean
from trainer_core.training.plan import TrainingPlan
from trainer_core.training.reports import StepReport
from trainer_core.training.run import ABOUT, RESULT, STEP_LOG, StopAsked
from trainer_core.training.run_lock import RunLock
from trainer_core.training.trainer import Trainer

SAMPLES = {"prompts": "mochi\ncat", "width": 32, "height": 32, "steps": 1, "sampler": "euler", "before_first": True}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs: one finished, with samples and held-out pictures, and one that was stopped after five steps."""
    folder = tmp_path_factory.mktemp("runs")
    train(small_job(folder, samples=SAMPLES, saving={"every_epochs": 1}, validation={}), folder / "runs")
    train(small_job(folder, seed=9), folder / "runs", until=5)
    return folder / "runs"


def folder_of(runs, state):
    (found,) = [one for one in list_runs(runs) if one.state == state]
    return runs / found.run


def seconds_of(does):
    """Of this process alone: others may keep the machine busy."""
    start = time.process_time()
    does()
    return time.process_time() - start


def write_log(folder, losses, rate=1e-4):
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"step": i, "epoch": 1, "loss": loss, "rate": rate}) for i, loss in enumerate(losses, start=1)]
    (folder / STEP_LOG).write_text("".join(f"{line}\n" for line in lines))


# ---------------------------------------------------------------------------------------------------------- the log


def test_a_log_is_read_on_from_where_it_was(tmp_path):
    write_log(tmp_path, [3.0, 2.0])
    log = StepLog(tmp_path)
    log.read()
    assert list(log.losses) == [3.0, 2.0]
    with open(tmp_path / STEP_LOG, "a") as file:
        file.write('{"step": 3, "epoch": 2, "loss": 1.0, "rate": 5e-5}\n{"step": 4, "epo')
    log.read()
    assert (list(log.steps), list(log.epochs), list(log.losses)) == ([1, 2, 3], [1, 1, 2], [3.0, 2.0, 1.0])
    with open(tmp_path / STEP_LOG, "a") as file:
        file.write('ch": 2, "loss": 0.5, "rate": 5e-5}\n')
    log.read()
    assert list(log.losses) == [3.0, 2.0, 1.0, 0.5]


def test_a_log_that_was_rewound_is_read_anew(tmp_path):
    write_log(tmp_path, [3.0, 2.0, 1.0])
    log = StepLog(tmp_path)
    log.read()
    (tmp_path / STEP_LOG).unlink()
    write_log(tmp_path, [3.0, 9.0])
    log.read()
    assert list(log.losses) == [3.0, 9.0]
    (tmp_path / STEP_LOG).unlink()
    log.read()
    assert len(log) == 0 and log.curve(10).step == ()


def test_a_log_of_the_same_length_that_says_something_else_is_read_anew(tmp_path):
    write_log(tmp_path, [3.0, 2.0])
    log = StepLog(tmp_path)
    log.read()
    write_log(tmp_path, [1.0, 7.0])
    assert log.read() == (2, 1)
    assert list(log.losses) == [1.0, 7.0]


def test_a_damaged_line_is_left_out(tmp_path):
    write_log(tmp_path, [3.0, 2.0])
    with open(tmp_path / STEP_LOG, "ab") as file:
        file.write(b"\0\0\0\n" + b'{"step": 4, "epoch": 1, "loss": 1.0, "rate": 1}\n')
    log = StepLog(tmp_path)
    log.read()
    assert list(log.steps) == [1, 2, 4]


def test_a_curve_in_few_points_holds_means_and_extremes(tmp_path):
    write_log(tmp_path, [4.0, 2.0, math.nan, 6.0, 1.0, 1.0, math.nan, math.nan])
    log = StepLog(tmp_path)
    log.read()
    curve = log.curve(4)
    assert curve.step == (2, 4, 6, 8)
    assert curve.loss == (3.0, 6.0, 1.0, None)
    assert curve.low == (2.0, 6.0, 1.0, None) and curve.high == (4.0, 6.0, 1.0, None)
    assert curve.rate == (1e-4,) * 4


def test_with_a_point_for_each_step_the_smooth_line_is_the_charts(tmp_path):
    losses = [1 / (1 + i) + 0.1 * math.sin(i) for i in range(100)]
    write_log(tmp_path, losses)
    log = StepLog(tmp_path)
    log.read()
    assert log.curve(500).smooth == pytest.approx(running_mean(losses), rel=1e-4)


def test_a_run_of_100_000_steps_is_told_quickly_and_in_few_bytes(runs, tmp_path):
    folder = tmp_path / "long"
    write_log(folder, [0.1 + 0.01 * math.sin(i) for i in range(100_000)])
    (folder / ABOUT).write_bytes((folder_of(runs, "finished") / ABOUT).read_bytes())
    log = StepLog(folder)
    first, again = (seconds_of(lambda: run_history(folder, log, points=1500, is_training=True)) for _ in range(2))
    assert first < 0.3 and again < 0.1
    history = run_history(folder, log, points=1500, is_training=True)
    assert len(json.dumps(history)) < 200_000
    assert len(history["curve"]["step"]) == 1500 and history["curve"]["step"][-1] == 100_000


# ---------------------------------------------------------------------------------------------------------- history


def test_the_history_of_a_finished_run_tells_everything(runs):
    folder = folder_of(runs, "finished")
    history = run_history(folder, StepLog(folder), points=100, is_training=False)
    assert (history["step"], history["total_steps"], history["epoch"], history["epochs"]) == (8, 8, 2, 2)
    assert history["arithmetic"].startswith("4 pictures x 2 repeats x 2 epochs / batch 2 = 8 steps")
    assert history["plan"]["epochs"] == 2 and history["defaults"] == TrainingPlan().to_json()
    assert [measured["epoch"] for measured in history["validation"]] == [0, 1, 2]
    assert [(s["epoch"], s["number"], s["prompt"]) for s in history["samples"]] == [
        (epoch, number, prompt) for epoch in (0, 1, 2) for number, prompt in ((1, "mochi"), (2, "cat"))
    ]
    saves = [(save["epoch"], save["step"], save["is_last"]) for save in history["saves"]]
    assert saves == [(1, 4, False), (2, 8, True)]
    losses = [picture["last"] for picture in history["pictures"]]
    assert len(losses) == 4 and losses == sorted(losses, reverse=True)
    assert history["verdict"]["kind"] in ("underfit", "good", "overfit") and history["verdict"]["sentences"]
    assert history["plan"]["network"] == {"rank": 4, "alpha": 2.0}
    assert str(runs) not in json.dumps(history)


def test_measured_pictures_are_found_by_their_names(tmp_path):
    trainer = train(small_job(tmp_path, regularisation=True, validation={}), tmp_path / "runs")
    folder = trainer.run_folder
    measured = run_history(folder, StepLog(folder), points=100, is_training=False)["pictures"]
    found = pictures_of(folder)
    assert sorted(found) == sorted(picture["name"] for picture in measured) and len(found) == 4
    assert all(image.path.is_file() and not image.is_regularisation for image in found.values())
    assert dataset_of(folder) == trainer.run.job.dataset


def test_a_stopped_run_keeps_its_place_and_says_no_verdict(runs):
    folder = folder_of(runs, "stopped")
    history = run_history(folder, StepLog(folder), points=100, is_training=False)
    assert (history["state"], history["step"], history["verdict"]) == ("stopped", 5, None)
    assert run_history(folder, StepLog(folder), points=100, is_training=True)["state"] == "training"


def test_losses_that_are_not_finite_are_told_as_none(runs, tmp_path):
    write_log(tmp_path, [math.nan, math.inf])
    (tmp_path / ABOUT).write_bytes((folder_of(runs, "finished") / ABOUT).read_bytes())
    history = run_history(tmp_path, StepLog(tmp_path), points=10, is_training=False)
    json.dumps(history, allow_nan=False)
    assert history["curve"]["loss"] == (None, None)


# ------------------------------------------------------------------------------------------------------------- list


def test_runs_are_listed_newest_first(runs):
    listed = list_runs(runs)
    assert [(one.state, one.step, one.total_steps) for one in listed] == [("stopped", 5, 8), ("finished", 8, 8)]
    stopped, finished = listed
    assert finished.verdict.keys() == {"kind", "since_epoch", "best_epoch"} and stopped.verdict is None
    assert finished.thumbnail == {"epoch": 2.0, "number": 1} and stopped.thumbnail is None
    assert finished.family == "SD1.5" and finished.base == "tiny_sd15.safetensors" and finished.megabytes > 0


def test_a_run_that_another_process_trains_is_told(runs):
    folder = folder_of(runs, "stopped")
    with RunLock(folder):
        assert {one.state for one in list_runs(runs)} == {"training", "finished"}
    assert {one.state for one in list_runs(runs)} == {"stopped", "finished"}


def test_what_cannot_be_read_is_left_out(runs, tmp_path):
    broken = tmp_path / "broken-1"
    broken.mkdir()
    (broken / ABOUT).write_text("{")
    (tmp_path / "latents").mkdir()
    assert list_runs(tmp_path) == []


@pytest.mark.parametrize("name", ["", ".", "..", "../runs", "a/b", "a\\b", "/etc", "none", "latents", "a\0b"])
def test_only_names_of_runs_find_one(runs, name):
    with pytest.raises(TrainingError, match="there is no run"):
        find_run(runs, name)


def test_a_path_that_leads_to_a_run_is_no_name(runs):
    run = folder_of(runs, "finished").name
    assert find_run(runs, run).name == run
    with pytest.raises(TrainingError, match="there is no run"):
        find_run(runs, f"{run}/../{run}")


def test_a_link_to_a_run_is_none(runs, tmp_path):
    (tmp_path / "link").symlink_to(folder_of(runs, "finished"))
    with pytest.raises(TrainingError):
        find_run(tmp_path, "link")
    assert list_runs(tmp_path) == []


def test_200_runs_are_listed_at_once(runs, tmp_path):
    about = (folder_of(runs, "finished") / ABOUT).read_bytes()
    for number in range(200):
        write_log(tmp_path / f"run-{number:03d}", [0.1] * 50)
        (tmp_path / f"run-{number:03d}" / ABOUT).write_bytes(about)
        (tmp_path / f"run-{number:03d}" / "samples").mkdir()
        for sample in range(50):
            (tmp_path / f"run-{number:03d}" / "samples" / f"{sample:06d}-01.png").touch()
    first, again = (seconds_of(lambda: list_runs(tmp_path)) for _ in range(2))
    assert first < 0.3 and again < 0.1
    assert len(list_runs(tmp_path)) == 200


def test_a_list_shows_what_has_changed_since_it_was_shown(runs, tmp_path):
    folder = tmp_path / "mochi-1"
    shutil.copytree(folder_of(runs, "stopped"), folder)
    (folder / "samples").mkdir()
    (before,) = list_runs(tmp_path)
    write_log(folder, [0.1] * 7)
    (stepped,) = list_runs(tmp_path)
    (folder / "samples" / "000001-01.png").touch()
    (drawn,) = list_runs(tmp_path)
    assert (before.step, before.thumbnail, before.state) == (5, None, "stopped")
    assert (stepped.step, stepped.thumbnail) == (7, None)
    assert drawn.thumbnail == {"epoch": 1.0, "number": 1}
    (folder / RESULT).write_text("{}")
    assert [one.state for one in list_runs(tmp_path)] == ["finished"]


# ------------------------------------------------------------------------------------------------ saves and requests


def test_a_kept_lora_is_found_by_its_epoch(runs):
    folder = folder_of(runs, "finished")
    assert [choose_kept(folder, epoch).step for epoch in (1, 2, LAST)] == [4, 8, 8]
    with pytest.raises(TrainingError, match="Choose one of 1, 2, 0 for the last or -1 for the best"):
        choose_kept(folder, 7)
    with pytest.raises(TrainingError, match="measured on held-out"):
        choose_kept(folder, BEST)


def test_of_several_loras_of_an_epoch_that_of_the_step_is_chosen_or_else_the_last(tmp_path):
    (tmp_path / "epochs").mkdir()
    for epoch, step in ((1, 3), (1, 4), (2, 8)):
        told = {"ss_epoch": str(epoch), "ss_steps": str(step)}
        path = tmp_path / "epochs" / f"{step}.safetensors"
        path.write_bytes(lora_bytes({"lora_unet_a.lora_down.weight": torch.zeros(4, 4)}, told, torch.float16))
    assert [choose_kept(tmp_path, 1, step=step).step for step in (3, 4, None, 8)] == [3, 4, 4, 4]
    assert choose_kept(tmp_path, LAST, step=3).step == 8


def test_a_run_without_loras_says_so(tmp_path):
    with pytest.raises(TrainingError, match="has kept no LoRA yet"):
        choose_kept(tmp_path, LAST)


def test_samples_and_a_lora_can_be_asked_for_and_change_nothing(runs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("asked")
    job = small_job(folder, samples={**SAMPLES, "before_first": False})
    straight = train(job, folder / "straight").result()
    trainer = Trainer(job, folder / "asked")
    drawn, told = [], []
    for report in trainer.steps():
        if isinstance(report, StepReport) and report.saved:
            told.append(report.step)
        if isinstance(report, StepReport) and report.step == 2:
            trainer.run.ask("sample")
            trainer.run.ask("save")
        if isinstance(report, Sample):
            drawn.append((report.epoch, report.step, report.number))
    assert drawn[:2] == [(0.5, 2, 1), (0.5, 2, 2)]
    assert (trainer.run_folder / "samples" / "000000.5-01.png").is_file()
    asked = trainer.result()
    assert asked.file.read_bytes() == straight.file.read_bytes()
    assert [saved.step for saved in asked.epochs] == [3, 4, 8]
    assert [kept.step for kept in kept_loras(trainer.run_folder)] == [3, 4, 8]
    assert told == [3, 4, 8]
    assert not trainer.run.asked()


def test_a_lora_that_was_asked_for_outlives_a_stop_and_keep_last(tmp_path):
    job = small_job(tmp_path, epochs=4, saving={"every_epochs": 1, "keep_last": 1})
    trainer = Trainer(job, tmp_path / "runs")
    steps = trainer.steps()
    for report in steps:
        if report.step == 2:
            trainer.run.ask("save")
        if report.step == 6:
            break
    steps.close()
    result = train(job, tmp_path / "runs").result()
    assert [saved.step for saved in result.epochs] == [3, 16]


def test_a_lora_that_is_saved_anyway_is_not_saved_twice(tmp_path):
    trainer = Trainer(small_job(tmp_path, saving={"every_epochs": 1}), tmp_path / "runs")
    for report in trainer.steps():
        if report.step == 3:
            trainer.run.ask("save")
    assert [saved.step for saved in trainer.result().epochs] == [4, 8]
    assert len(list((trainer.run_folder / "epochs").iterdir())) == 2


def test_what_was_asked_of_a_run_that_stops_is_forgotten(tmp_path):
    job = small_job(tmp_path)
    trainer = Trainer(job, tmp_path / "runs")
    with contextlib.closing(trainer.steps()) as steps:
        for report in steps:
            if report.step == 2:
                trainer.run.ask("finish")
                trainer.run.ask("save")
                break
    result = train(job, tmp_path / "runs").result()
    assert (len(result.losses), result.epochs[-1].step) == (8, 8)
    assert 3 not in [saved.step for saved in result.epochs]


@pytest.mark.parametrize("stage", ["measuring", "drawing"])
def test_a_run_stopped_while_it_ends_early_ends_there(tmp_path, stage):
    """In its last measurement, or as its verdict's pictures are drawn."""
    plan = {"epochs": 3, "saving": {"keep_last": 1}, "validation": {"two_prompts": True}}
    job, runs = small_job(tmp_path, **plan), tmp_path / "runs"
    trainer = Trainer(job, runs)
    with contextlib.closing(trainer.steps()) as steps:
        for report in steps:
            if isinstance(report, StepReport) and report.step == 5:
                trainer.run.ask("finish")
            if isinstance(report, StageReport) and stage in report.stage and trainer.run.losses()[5:]:
                break
    assert not trainer.run.is_finished and not trainer.run.asked()
    again = train(job, runs)
    assert [saved.step for saved in again.result().epochs] == [6] and len(again.result().losses) == 6
    assert [report.step for report in again._judge.reports()] == [0, 4, 6]
    assert not (again.run_folder / "end.json").exists()


def test_a_run_that_lost_its_end_is_trained_on(tmp_path):
    job, runs = small_job(tmp_path), tmp_path / "runs"
    trainer = train(job, runs, until=2)
    trainer.run.end_at(3)
    assert len(train(job, runs).result().losses) == 8


def test_a_run_that_is_asked_to_stop_goes_on_another_time(tmp_path):
    job = small_job(tmp_path)
    trainer = Trainer(job, tmp_path / "runs")
    with pytest.raises(StopAsked, match="after step 2. Start it again"):
        for report in trainer.steps():
            if report.step == 2:
                trainer.run.ask("stop")
    assert "stop" not in trainer.run.asked()
    assert len(train(job, tmp_path / "runs").result().losses) == 8


# ------------------------------------------------------------------------------------------------------------- pace

WORK = Work(
    family="SD1.5", pixels=512 * 512, pictures=2, precision="bf16", device="cpu", trains_text=False,
    checkpointing=False, rank=32,
)  # fmt: skip


def pace(folder, seconds, **changes):
    folder.mkdir()
    (folder / "pace.json").write_text(
        json.dumps(
            {
                "seconds_per_step": seconds,
                "work": {name: getattr(replace(WORK, **changes), name) for name in Work.__dataclass_fields__},
            }
        )
    )


def test_the_next_run_is_expected_to_be_as_fast_as_the_one_most_like_it(tmp_path):
    assert expected_seconds_per_step(tmp_path, WORK) is None
    pace(tmp_path / "a", 2.0)
    pace(tmp_path / "b", 9.0, checkpointing=True)
    pace(tmp_path / "c", 1.0, device="another")
    assert expected_seconds_per_step(tmp_path, WORK) == 2.0
    assert expected_seconds_per_step(tmp_path, replace(WORK, pictures=4)) == 4.0
    assert expected_seconds_per_step(tmp_path, replace(WORK, rank=4)) == 2.0
    assert expected_seconds_per_step(tmp_path, replace(WORK, family="SDXL")) is None


def test_a_run_keeps_the_median_of_its_steps(tmp_path):
    times = StepTimes(tmp_path, WORK)
    for seconds in (0.2, 0.01, 0.01, 0.05):
        with times.step():
            time.sleep(seconds)
    times.write()
    assert read_pace(tmp_path).seconds_per_step == pytest.approx(0.01, abs=0.008)
    assert read_pace(tmp_path).work == WORK


def test_a_pace_of_another_version_counts_as_none(tmp_path):
    (tmp_path / "pace.json").write_text('{"seconds_per_step": 1, "work": {"family": "SD1.5"}}')
    assert read_pace(tmp_path) is None and isinstance(WORK, Work) and Pace(seconds_per_step=1, work=WORK)


def test_a_trained_run_leaves_its_pace(runs):
    found = read_pace(folder_of(runs, "finished"))
    assert found.seconds_per_step > 0 and (found.work.family, found.work.pixels) == ("SD1.5", 64 * 64)


# ------------------------------------------------------------------------------------------------------------ shown


def test_a_node_finds_the_run_it_trained_last(tmp_path):
    ShownRuns(tmp_path).remember("w", "3:1", "first")
    ShownRuns(tmp_path).remember("w", "3:1", "second")
    ShownRuns(tmp_path).remember("other", "3:1", "third")
    ShownRuns(tmp_path).remember("w", "3:1", "first")
    assert ShownRuns(tmp_path).of("w", "3:1") == ["first", "second"]
    assert ShownRuns(tmp_path).of("other", "3:1") == ["third"]
    assert ShownRuns(tmp_path).of("w", "4") == []


def test_a_damaged_memory_of_nodes_is_forgotten(tmp_path):
    for damaged in ("[", "[]", '{"w 1": 3}'):
        (tmp_path / "shown.json").write_text(damaged)
        assert ShownRuns(tmp_path).of("w", "1") == []
        ShownRuns(tmp_path).remember("w", "1", "run")
        assert ShownRuns(tmp_path).of("w", "1") == ["run"]


def test_nodes_and_runs_of_long_ago_are_forgotten(tmp_path):
    for number in range(12):
        ShownRuns(tmp_path).remember("w", "1", f"run-{number}")
    assert ShownRuns(tmp_path).of("w", "1")[:2] == ["run-11", "run-10"]
    assert len(ShownRuns(tmp_path).of("w", "1")) == 8
