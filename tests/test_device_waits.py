"""A step waits for the device as seldom as it can, however many parts it has."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.training_jobs import small_job
from trainer_core.training.amount import steps_from
from trainer_core.training.loop import optimizer_of
from trainer_core.training.trainer import Trainer

ONCE_EACH = {"losses": 1, "norm": 1}
"""The losses of all parts in one go, then the gradients' norm, before they are applied."""


class Waits(TorchDispatchMode):
    """Counts what would make the CPU wait for a GPU: numbers that are read from tensors."""

    def __init__(self, monkeypatch) -> None:
        super().__init__()
        self.found = Counter()
        for name in ("tolist", "cpu", "numpy"):
            monkeypatch.setattr(torch.Tensor, name, self._counting(getattr(torch.Tensor, name)))

    def __torch_dispatch__(self, called, types, args=(), kwargs=None):
        if called is torch.ops.aten._local_scalar_dense.default:
            self.found["norm"] += 1
        return called(*args, **(kwargs or {}))

    def _counting(self, real):
        def fetch(*arguments):
            self.found["losses"] += 1
            return real(*arguments)

        return fetch


def prepared(folder, job):
    trainer = Trainer(job, folder / "runs")
    list(trainer.prepare())
    learner = trainer._learner
    return trainer, learner, optimizer_of(learner, trainer.plan)


@pytest.mark.parametrize(
    ("family", "masked", "regularisation", "batch_size", "accumulation"),
    [(family, True, True, *shape) for family in ("sd15", "sdxl") for shape in ((1, 1), (4, 1), (1, 4), (2, 2))]
    + [("sd15", *kind, 2, 2) for kind in ((False, False), (False, True), (True, False))],
)
def test_a_step_fetches_its_losses_once_and_its_norm_once(
    tmp_path, monkeypatch, family, masked, regularisation, batch_size, accumulation
):
    job = small_job(
        tmp_path,
        family=family,
        regularisation=regularisation,
        batch_size=batch_size,
        accumulation=accumulation,
        loss={"masked": masked},
        optimizer={"learning_rate": 1e-3, "text_encoder_rate": 0.0},
    )
    trainer, learner, optimizer = prepared(tmp_path, job)
    first, second, *_ = steps_from(trainer.dataset, trainer.plan, trainer.lengths, 0)
    learner.step(first, optimizer)
    with Waits(monkeypatch) as waits:
        learner.step(second, optimizer)
    assert waits.found == ONCE_EACH


@pytest.mark.parametrize("part", ["loss", "gradient"])
def test_what_is_not_finite_in_one_of_several_parts_reaches_no_weight(tmp_path, monkeypatch, part):
    job = small_job(tmp_path, batch_size=1, accumulation=4)
    trainer, learner, optimizer = prepared(tmp_path, job)
    (first, *_) = steps_from(trainer.dataset, trainer.plan, trainer.lengths, 0)
    before = [weight.detach().clone() for weight in learner.parameters]
    real = learner._losses

    def losses(batch, place, rows):
        found = real(batch, place, rows)
        if place == 2 and part == "loss":
            return found + math.inf
        if place == 2:
            found.register_hook(lambda gradient: gradient * math.nan)
        return found

    monkeypatch.setattr(learner, "_losses", losses)
    loss = learner.step(first, optimizer)
    assert math.isfinite(loss) == (part == "gradient")
    assert all(torch.equal(weight, was) for weight, was in zip(learner.parameters, before, strict=True))
    assert not optimizer.state
