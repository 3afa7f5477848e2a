"""LoRA weights brought into half precision in one go learn what they learn one by one, with far fewer operations."""

from __future__ import annotations

import contextlib
from collections import Counter

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.training_jobs import digest, prepared, small_job, train
from trainer_core.lora.low_rank import LoraLayer
from trainer_core.training import learner as module

KINDS = {
    "a scale of 1": {"network": {"rank": 4, "alpha": 4}},
    "a scale of 1/4 and checkpointing": {
        "network": {"rank": 4, "alpha": 1},
        "precision": {"training": "bf16", "gradient_checkpointing": True},
    },
    "convolutions, dropout, a text encoder": {
        "adapter": {"targets": "with convolutions", "dropout": 0.2, "rank_dropout": 0.2, "module_dropout": 0.1},
        "network": {"rank": 4, "alpha": 2},
        "optimizer": {"learning_rate": 1e-3, "text_encoder_rate": 1e-3},
    },
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("halves")


def job_of(folder, **changes):
    usual = {"precision": {"training": "bf16"}, "optimizer": {"learning_rate": 1e-3, "text_encoder_rate": 0.0}}
    return small_job(folder, **{"epochs": 1} | usual | changes)


@pytest.fixture
def one_by_one(monkeypatch):
    return lambda: monkeypatch.setattr(module, "halves_at_hand", lambda *_, **__: contextlib.nullcontext())


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_with_halves_is_the_run_without_to_the_bit(folder, tmp_path, monkeypatch, one_by_one, kind):
    monkeypatch.setattr(LoraLayer, "joins", lambda *_: False)  # which rounds less often
    job = job_of(folder, **KINDS[kind])
    together = train(job, tmp_path / "together")
    one_by_one()
    alone = train(job, tmp_path / "alone")
    assert together.result().losses == alone.result().losses
    assert digest(together) == digest(alone)


def test_a_scale_that_is_no_power_of_two_changes_no_more_than_rounding_does(folder, tmp_path, one_by_one):
    job = job_of(folder, network={"rank": 4, "alpha": 3})
    together = train(job, tmp_path / "together").result().losses
    one_by_one()
    assert together == pytest.approx(train(job, tmp_path / "alone").result().losses, rel=5e-3)


class Count(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.found = Counter()

    def __torch_dispatch__(self, called, types, args=(), kwargs=None):
        self.found[called] += 1
        return called(*args, **(kwargs or {}))


def test_a_pass_brings_all_weights_into_half_precision_at_once(folder, tmp_path, one_by_one):
    learner = prepared(job_of(folder), tmp_path).learner
    layers = len(learner.adapters[0].layers)
    given = learner.given(learner.first())
    with Count() as together:
        learner.learn(given)
    assert all(layer.halves is None for layer in learner.adapters[0].layers)
    assert all(parameter.grad.dtype == torch.float32 for parameter in learner.parameters)
    one_by_one()
    with Count() as alone:
        learner.learn(given)
    casts = torch.ops.aten._to_copy.default
    assert alone.found[casts] - together.found[casts] == 4 * layers, "two weights and two gradients of every layer"
    scales = torch.ops.aten.mul.Tensor
    assert alone.found[scales] - together.found[scales] == 2 * layers, "forwards and backwards"


def test_what_fails_within_a_pass_leaves_no_halves(folder, tmp_path):
    learner = prepared(job_of(folder), tmp_path).learner
    with pytest.raises(KeyboardInterrupt), learner.passing():
        assert all(layer.halves for layer in learner.adapters[0].layers)
        raise KeyboardInterrupt
    assert not any(layer.halves for layer in learner.adapters[0].layers)


@pytest.mark.parametrize("state", ["fp32", "compiled"])
def test_fp32_and_compiled_blocks_have_none(folder, tmp_path, state):
    job = job_of(folder, precision={"training": "fp32"}) if state == "fp32" else job_of(folder)
    learner = prepared(job, tmp_path).learner
    learner.is_compiled = state == "compiled"
    with learner.passing():
        assert not any(layer.halves for layer in learner.adapters[0].layers)
