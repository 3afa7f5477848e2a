"""Every optimizer in the real loop, stopped within an epoch, within a step, at an epoch's edge, and twice in a row."""

from __future__ import annotations

import contextlib
import typing

import pytest

from tests.training_jobs import digest, prepared, small_job, train
from trainer_core.training.plan import OptimizerPlan

OPTIMIZERS = typing.get_args(typing.get_type_hints(OptimizerPlan)["name"])
PACKAGES = {
    "AdamW8bit": "bitsandbytes",
    "Lion8bit": "bitsandbytes",
    "Lion": "pytorch_optimizer",
    "Prodigy": "pytorch_optimizer",
    "AdamWScheduleFree": "pytorch_optimizer",
    "CAME": "pytorch_optimizer",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("resume")


def job_of(folder, name):
    """Two epochs of four steps of two batches of one picture."""
    rate = {"Prodigy": 1.0, "Lion": 1e-4, "Lion8bit": 1e-4}.get(name, 1e-3)
    return small_job(
        folder,
        batch_size=1,
        accumulation=2,
        optimizer={"name": name, "learning_rate": rate, "text_encoder_rate": None},
        schedule={"name": "constant"},
    )


def stop_within_a_step(job, runs, batch):
    """As if the process were told to end while the `batch`-th batch of the run is in the UNet."""
    trainer = prepared(job, runs)
    real = trainer.learner._losses

    def losses(given):
        if given.part.place == batch:
            raise KeyboardInterrupt
        return real(given)

    trainer.learner._losses = losses
    with pytest.raises(KeyboardInterrupt), contextlib.closing(trainer.steps()) as steps:
        for _ in steps:
            pass


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_run_stopped_again_and_again_ends_with_the_same_bytes(folder, tmp_path, name):
    if name in PACKAGES:
        pytest.importorskip(PACKAGES[name])
    job = job_of(folder, name)
    straight = digest(train(job, tmp_path / "straight"))
    train(job, tmp_path / "cut", until=1)
    stop_within_a_step(job, tmp_path / "cut", batch=5)
    train(job, tmp_path / "cut", until=4)
    stop_within_a_step(job, tmp_path / "cut", batch=9)
    stop_within_a_step(job, tmp_path / "cut", batch=9)
    assert digest(train(job, tmp_path / "cut")) == straight
