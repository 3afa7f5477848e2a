"""Samples that a run draws while it trains: when, once, and without changing it."""

from __future__ import annotations

import contextlib
import hashlib

import pytest
from PIL import Image

from tests.training_jobs import digest, small_job
from trainer_core.errors import TrainingError
from trainer_core.lora.file import THUMBNAIL_KEY, read_header
from trainer_core.training.kept_samples import MissedSample, Sample, list_samples
from trainer_core.training.reports import StepReport
from trainer_core.training.thumbnail import thumbnail
from trainer_core.training.trainer import Trainer

SAMPLES = {"prompts": "mochi, cat\ncat --d 5", "width": 32, "height": 32, "steps": 2, "sampler": "euler"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("samples")


def run(job, runs, until=None):
    """A run with all that it gives."""
    trainer, found = Trainer(job, runs), []
    with contextlib.closing(trainer.steps()) as steps:
        for report in steps:
            found.append(report)
            if until and until(report):
                break
    return trainer, found


def data_digest(trainer):
    """Of the tensors alone: the header holds the plan, and with it the prompts."""
    data = trainer.result().file.read_bytes()
    return hashlib.sha256(data[8 + int.from_bytes(data[:8], "little") :]).hexdigest()


@pytest.mark.parametrize("rate", [0.0, 1e-3], ids=["text encoder frozen", "text encoder trained"])
def test_samples_come_before_the_first_step_and_after_each_epoch_and_change_nothing(folder, tmp_path, rate):
    optimizer = {"learning_rate": 1e-3, "text_encoder_rate": rate}
    plain, _ = run(small_job(folder, optimizer=optimizer), tmp_path / "plain")
    trainer, found = run(small_job(folder, optimizer=optimizer, samples=SAMPLES), tmp_path / "samples")
    drawn = [(sample.epoch, sample.step, sample.number) for sample in found if isinstance(sample, Sample)]
    assert drawn == [(0, 0, 1), (0, 0, 2), (1, 4, 1), (1, 4, 2), (2, 8, 1), (2, 8, 2)]
    assert [(s.epoch, s.number) for s in list_samples(trainer.run_folder)] == [(e, n) for e, _, n in drawn]
    assert sum(isinstance(report, StepReport) for report in found) == 8
    assert data_digest(trainer) == data_digest(plain)


def test_a_run_that_ends_early_draws_its_last_samples(folder, tmp_path):
    trainer = Trainer(small_job(folder, epochs=4, samples=SAMPLES | {"every_epochs": 3}), tmp_path)
    for report in trainer.steps():
        if isinstance(report, StepReport) and report.step == 5:
            trainer.run.ask("finish")
    assert [sample.epoch for sample in list_samples(trainer.run_folder)] == [0, 0, 2, 2]
    assert THUMBNAIL_KEY in read_header(trainer.result().file)[0]


def test_other_prompts_are_the_same_run(folder, tmp_path):
    with_samples = Trainer(small_job(folder, samples=SAMPLES), tmp_path)
    assert with_samples.run_folder == Trainer(small_job(folder), tmp_path).run_folder
    plainly = Trainer(small_job(folder, precision={"cuda_graphs": False}), tmp_path)
    assert with_samples.run_folder == plainly.run_folder, "graphs change nothing in what is learned either"


def test_a_run_stopped_while_it_draws_goes_on_there_and_draws_nothing_twice(folder, tmp_path):
    job = small_job(folder, samples=SAMPLES)
    straight, _ = run(job, tmp_path / "straight")
    stopped, _ = run(job, tmp_path / "cut", until=lambda r: isinstance(r, Sample) and (r.epoch, r.number) == (1, 1))
    first = list_samples(stopped.run_folder)[-1].path
    before = first.stat().st_mtime_ns
    resumed, found = run(job, tmp_path / "cut")
    again = [(sample.epoch, sample.number) for sample in found if isinstance(sample, Sample)]
    assert again == [(1, 2), (2, 1), (2, 2)] and first.stat().st_mtime_ns == before
    assert digest(resumed) == digest(straight)


def test_the_average_is_what_is_drawn(folder, tmp_path):
    pictures = {}
    for decay in (0.0, 0.99):
        plan = {"ema": {"decay": decay, "warm_up": False}, "samples": SAMPLES, "epochs": 1}
        trainer, _ = run(small_job(folder, **plan), tmp_path / str(decay))
        pictures[decay] = [sample.path.read_bytes() for sample in list_samples(trainer.run_folder)]
    assert pictures[0.0][0] == pictures[0.99][0] and pictures[0.0][2] != pictures[0.99][2]


def test_a_lora_that_is_open_elsewhere_goes_without_its_small_picture(folder, tmp_path, monkeypatch):
    def in_use(*_):
        raise TrainingError("cannot write")

    monkeypatch.setattr("trainer_core.training.keeping.Keeping.illustrate", in_use)
    trainer, _ = run(small_job(folder, epochs=1, samples=SAMPLES), tmp_path)
    assert trainer.run.is_finished and THUMBNAIL_KEY not in read_header(trainer.result().file)[0]


def test_a_sample_that_fails_is_told_and_ends_nothing(folder, tmp_path, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("no picture today")
        yield

    monkeypatch.setattr("trainer_core.training.samples.draw_in_steps", broken)
    trainer, found = run(small_job(folder, epochs=1, samples=SAMPLES), tmp_path)
    assert trainer.run.is_finished
    assert sum(isinstance(report, MissedSample) for report in found) == 4
    told = [remark for remark in trainer.remarks if remark.startswith("Sample ")]
    assert len(told) == 4 and all("no picture today" in remark for remark in told)


def test_every_kept_lora_shows_the_sample_of_its_epoch_also_where_the_run_was_stopped(folder, tmp_path):
    job = small_job(folder, samples=SAMPLES, saving={"every_epochs": 1})
    run(job, tmp_path, until=lambda report: isinstance(report, Sample) and report.epoch == 1)
    trainer, _ = run(job, tmp_path)
    pictures = [thumbnail(Image.open(sample.path)) for sample in list_samples(trainer.run_folder) if sample.number == 1]
    kept = [read_header(saved.path)[0][THUMBNAIL_KEY] for saved in trainer.result().epochs]
    assert kept == pictures[1:] and len(set(kept)) == 2


def test_a_lora_without_samples_has_no_picture(folder, tmp_path):
    trainer, _ = run(small_job(folder, epochs=1), tmp_path)
    assert THUMBNAIL_KEY not in read_header(trainer.result().file)[0]
