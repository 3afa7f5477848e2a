"""A step waits for the device as seldom as it can, however many parts it has."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tests.training_jobs import prepared, small_job
from tests.waits import ONCE, Waits
from trainer_core.families.cpu import matrices
from trainer_core.training.amount import steps_from
from trainer_core.training.loop import optimizer_of


@pytest.mark.parametrize(
    ("family", "masked", "regularisation", "batch_size", "accumulation"),
    [(family, True, True, *shape) for family in ("sd15", "sdxl") for shape in ((1, 1), (4, 1), (1, 4), (2, 2))]
    + [("sd15", *kind, 2, 2) for kind in ((False, False), (False, True), (True, False))],
)
def test_a_step_fetches_its_losses_and_its_norm_in_one_go(
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
    trainer = prepared(job, tmp_path / "runs")
    learner, optimizer = trainer.learner, optimizer_of(trainer.learner, trainer.plan)
    first, second, *_ = steps_from(trainer.dataset, trainer.plan, trainer.lengths, 0)
    _ = learner.step(learner.draw(first), optimizer).value
    drawn = learner.draw(second)
    with Waits(monkeypatch) as waits:
        _ = learner.step(drawn, optimizer).value
    assert waits.found == ONCE


@pytest.mark.parametrize("part", ["loss", "gradient"])
def test_what_is_not_finite_in_one_of_several_parts_reaches_no_weight(tmp_path, monkeypatch, part):
    job = small_job(tmp_path, batch_size=1, accumulation=4)
    trainer = prepared(job, tmp_path / "runs")
    learner, optimizer = trainer.learner, optimizer_of(trainer.learner, trainer.plan)
    (first, *_) = steps_from(trainer.dataset, trainer.plan, trainer.lengths, 0)
    before = [weight.detach().clone() for weight in learner.parameters]
    real = learner._losses

    def losses(given):
        found = real(given)
        if given.part.place == 2 and part == "loss":
            return found + math.inf
        if given.part.place == 2:
            found.register_hook(lambda gradient: gradient * math.nan)
        return found

    monkeypatch.setattr(learner, "_losses", losses)
    loss = learner.step(learner.draw(first), optimizer).value
    assert math.isfinite(loss) == (part == "gradient")
    assert all(torch.equal(weight, was) for weight, was in zip(learner.parameters, before, strict=True))
    assert not optimizer.state


class Transfers(TorchDispatchMode):
    """Notes what goes from the CPU to a device."""

    def __init__(self) -> None:
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, called, types, args=(), kwargs=None):
        answer = called(*args, **(kwargs or {}))
        given = {leaf.device.type for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)}
        made = {leaf.device.type for leaf in tree_leaves(answer) if isinstance(leaf, torch.Tensor)}
        if "cpu" in given and "meta" in made:
            self.found.append(str(called))
        return answer


def elsewhere(value):
    """A tensor, or a module with all of its own, on a device that is not the CPU; without storage."""
    if isinstance(value, torch.nn.Module):
        for part in value.modules():
            for tensors in (part._parameters, part._buffers):
                tensors.update({name: elsewhere(tensor) for name, tensor in tensors.items()})
        return value
    if isinstance(value, torch.nn.Parameter):
        return torch.nn.Parameter(value.detach().to("meta"), requires_grad=value.requires_grad)
    return None if value is None else value.detach().to("meta")


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("sdxl", {}),
        ("sd15", {"loss": {"kind": "huber", "masked": True}, "weighting": {"min_snr_gamma": 5.0}}),
        ("sd15", {"precision": {"base": "fp8"}}),
        ("sd15", {"precision": {"base": "int8"}}),
        ("sd15", {"precision": {"base": "nf4"}}),
        ("sd15", {"adapter": {"dropout": 0.2, "rank_dropout": 0.2}}),
    ],
    ids=str,
)
def test_a_pass_takes_nothing_from_the_cpu(tmp_path, monkeypatch, family, changes):
    monkeypatch.setattr(matrices, "_MULTIPLY", None)  # layers compute as on a GPU
    job = small_job(tmp_path, family=family, optimizer={"learning_rate": 1e-3, "text_encoder_rate": 0.0}, **changes)
    learner = prepared(job, tmp_path / "runs").learner
    given = learner.given(learner.first())
    elsewhere(learner.model.unet)
    shown = {name: elsewhere(tensor) for name, tensor in given.shown.tensors().items()}
    added = {name: elsewhere(tensor) for name, tensor in given.added.items()}
    states = elsewhere(given.states_BLD)
    given = replace(given, shown=replace(given.shown, **shown), states_BLD=states, added=added)
    learner.schedule.alphas_cumprod = elsewhere(learner.schedule.alphas_cumprod)
    with Transfers() as transfers:
        loss = learner.loss(given)
        loss.backward()
    with Transfers() as noticed:
        torch.tensor([1.0, 2.0]).to("meta")
    assert loss.device.type == "meta" and transfers.found == []
    assert noticed.found, "a transfer would have been noticed"
