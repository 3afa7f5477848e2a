"""The arithmetic before a run: the steps that will be taken, the files that will be kept, and their true size."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from safetensors import safe_open
from torch import nn

from tests.full_size_models import full_size
from tests.training_jobs import small_job
from trainer_core.families.architecture import outline_of
from trainer_core.lora.networks import fresh_layer
from trainer_core.training.amount import saves as saves_of
from trainer_core.training.arithmetic import lora_size, run_size
from trainer_core.training.plan import TrainingPlan
from trainer_core.training.trainer import Trainer


def planned(**fields) -> TrainingPlan:
    return TrainingPlan.from_json(fields)


@pytest.fixture
def dataset(tmp_path):
    """Twenty pictures of one bucket, ten repeats."""
    job = small_job(tmp_path)
    return job.dataset.with_images(tuple(replace(job.dataset.images[0], repeats=10) for _ in range(20)))


def test_the_guides_example(dataset):
    plan = planned(epochs=10, batch_size=2, saving={"every_epochs": 2}, network={"rank": 32, "alpha": 16})
    size = run_size(dataset, plan, full_size("sd15"))
    assert size.line() == "20 pictures x 10 repeats x 10 epochs / batch 2 = 1,000 steps, 5 saves, about 36 MB each"


def test_regularisation_uneven_repeats_and_short_batches_are_told(dataset):
    one = dataset.images[0]
    images = (*dataset.images[:3], replace(one, repeats=5), replace(one, is_regularisation=True))
    size = run_size(dataset.with_images(images), planned(epochs=1, batch_size=4, saving={"every_epochs": 0}))
    assert size.line() == (
        "(4 pictures x 5 to 10 repeats (35 samples) + as many regularisation samples) x 1 epoch / batch 4 = "
        "17.5 steps (18 as some batches are not full), 1 save"
    )


@pytest.mark.parametrize(("epochs", "every", "saves"), [(10, 1, 10), (10, 3, 4), (10, 0, 1), (3, 5, 1), (4, 2, 2)])
def test_saves_are_the_files_that_a_run_keeps(tmp_path, epochs, every, saves):
    job = small_job(tmp_path, epochs=epochs, saving={"every_epochs": every})
    trainer = Trainer(job, tmp_path / "runs")
    assert trainer.size().saves == saves == len(saves_of(job.plan, trainer.lengths))
    assert trainer.size().steps == trainer.total_steps


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
@pytest.mark.parametrize("rates", [{}, {"text_encoder_rate": 0.0}, {"unet_rate": 0.0}])
def test_the_size_is_the_files(tmp_path, family, rates):
    job = small_job(tmp_path, family=family, epochs=1, optimizer={"learning_rate": 1e-3, **rates})
    trainer = Trainer(job, tmp_path / "runs")
    promised = trainer.size().bytes_each
    for _ in trainer.steps():
        pass
    file = trainer.result().file
    with safe_open(file, "pt") as opened:
        metadata = len(json.dumps(opened.metadata(), ensure_ascii=False).encode())
    assert file.stat().st_size - metadata == pytest.approx(promised, rel=0.02)
    assert lora_size(outline_of(job.base_model), job.plan) == promised


@pytest.mark.parametrize(
    ("adapter", "scale", "told"),
    [
        ({}, 0.5, "0.5"),
        ({"rank_stabilised": True}, 4 / 8**0.5, "1.41"),
        ({"kind": "oft"}, None, "none (oft)"),
    ],
)
def test_the_scale_that_rank_and_alpha_make_is_told(dataset, adapter, scale, told):
    size = run_size(dataset, planned(network={"rank": 8, "alpha": 4}, adapter=adapter))
    assert size.scale == (pytest.approx(scale) if scale else None)
    assert size.scale_line() == f"scale of the LoRA at strength 1: {told}"


@pytest.mark.parametrize("adapter", [{}, {"rank_stabilised": True}, {"kind": "loha"}])
def test_that_scale_is_what_a_layer_counts(dataset, adapter):
    plan = planned(network={"rank": 8, "alpha": 4}, adapter=adapter)
    layer = fresh_layer(nn.Linear(16, 16), 8, 4.0, plan.adapter)
    assert layer.scale == pytest.approx(run_size(dataset, plan).scale)
