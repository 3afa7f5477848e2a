"""Compiled blocks: taken where their gradients hold and the wait pays, left alone elsewhere, and kept to."""

from __future__ import annotations

import pytest
import torch
from diffusers.models.attention import BasicTransformerBlock

from tests.tapes import OnTape
from tests.training_jobs import prepared, small_job, train
from trainer_core.families.cpu import matrices
from trainer_core.training import compile_trial, compiling
from trainer_core.training.compile_trial import Trial, blocks_of, try_one_block
from trainer_core.training.compiling import compile_where_it_pays

GOOD = {"wait": 30.0, "plain": 0.010, "compiled": 0.007, "plain_error": 1e-3, "compiled_error": 1.1e-3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("compiling")


@pytest.fixture(autouse=True)
def as_on_a_gpu(monkeypatch):
    """Layers compute as on a GPU, and what one test has compiled is not there for the next."""
    monkeypatch.setattr(matrices, "_MULTIPLY", None)
    torch._dynamo.reset()


@pytest.fixture
def learner(folder, tmp_path):
    job = small_job(folder, adapter={"dropout": 0.2})
    return prepared(job, tmp_path).learner


@pytest.fixture
def anywhere(monkeypatch):
    """As if a CPU were a GPU."""
    monkeypatch.setattr(compiling, "_impossible", lambda learner: "")


def slightly_wrong(graph, inputs):
    """A backend whose answers are 3 % too large."""
    return lambda *args: [answer * 1.03 if torch.is_tensor(answer) else answer for answer in graph(*args)]


def trial(**changes) -> Trial:
    return Trial(blocks=16, kinds=4, **(GOOD | changes))


def test_the_wait_pays_from_some_step_on():
    assert trial().break_even == pytest.approx(4 * 30 / (16 * 0.003))
    assert trial().pays(2501) and not trial().pays(2499)
    assert trial().line(5000) == "compiled: 120 s of compiling pay after 2,500 steps"
    assert trial().line(800) == "not compiled: 120 s of compiling pay after 2,500 steps, and 800 are left"


def test_nothing_is_compiled_that_is_slower_or_less_exact():
    assert not trial(compiled=0.011).pays(10**9) and "no faster" in trial(compiled=0.011).line(10**9)
    assert not trial(compiled_error=0.08).pays(10**9) and "8.0e-02 off" in trial(compiled_error=0.08).line(10**9)


def test_gradients_of_a_sound_backend_are_found_sound(learner):
    found = try_one_block(learner, "aot_eager")
    assert found.is_sound and found.plain_error < 1e-5 and found.wait > found.compiled
    assert found.kinds >= 1 and found.blocks >= 1


def test_gradients_of_a_wrong_backend_are_found_wrong(learner):
    found = try_one_block(learner, slightly_wrong)
    assert found.compiled_error > 0.02 and not found.is_sound


@pytest.fixture
def timed(monkeypatch):
    """What is timed, without taking its time: as blocks' classes and what they computed."""
    found = []

    def seconds(work, device):
        work()
        return float(len(found))

    real = compile_trial._gradients

    def gradients(run, block, given):
        found.append((type(block).__name__, run is block, real(run, block, given)))
        return found[-1][2]

    monkeypatch.setattr(compile_trial, "_gradients", gradients)
    monkeypatch.setattr(compile_trial, "seconds", seconds)
    return found


def test_a_compiled_block_is_measured_against_the_layers_that_the_run_has_otherwise(learner, timed, monkeypatch):
    class Fused(BasicTransformerBlock):
        pass

    def fuse(block, device, dtype, *, will_compile):
        assert type(block) is BasicTransformerBlock and not will_compile
        block.__class__ = Fused

    monkeypatch.setattr(compile_trial, "use_gpu_layers", fuse)
    found = try_one_block(learner, "aot_eager")
    (*_, (fused, is_itself, gradients)), expected = timed[:-1], timed[1][2]
    assert (fused, is_itself) == ("Fused", True) and timed[-1][:2] == ("BasicTransformerBlock", False)
    assert found.plain == len(timed) - 1 and found.compiled == len(timed)
    assert compile_trial.distance(gradients, expected) < 1e-6, "it has the block's adapters"


@pytest.mark.parametrize(("allowed", "recorded"), [(True, 1), (False, 0)])
def test_blocks_are_measured_from_graphs_where_the_run_takes_them(
    folder, tmp_path, timed, monkeypatch, allowed, recorded
):
    learner = prepared(small_job(folder, precision={"cuda_graphs": allowed}), tmp_path).learner
    recorders = []
    monkeypatch.setattr(compile_trial, "GpuRecorder", lambda device: recorders.append(OnTape()) or recorders[-1])
    try_one_block(learner, "aot_eager")
    assert recorders == [], "a CPU has none"
    monkeypatch.setattr(compile_trial, "is_gpu", lambda device: True)
    try_one_block(learner, "aot_eager")
    assert [(one.recorded, one.forgotten) for one in recorders] == [(2, 1)] * recorded


def test_where_one_cannot_be_recorded_both_are_measured_without(learner, timed, monkeypatch):
    class Fails(OnTape):
        def record(self, run):
            if self.recorded:
                raise RuntimeError("operation not permitted when stream is capturing")
            return super().record(run)

    monkeypatch.setattr(compile_trial, "is_gpu", lambda device: True)
    monkeypatch.setattr(compile_trial, "GpuRecorder", lambda device: Fails())
    found = try_one_block(learner, "aot_eager")
    assert (found.plain, found.compiled) == (len(timed) - 1, len(timed)), "the last two, one after the other"


def test_trying_changes_nothing_in_what_is_learned(learner):
    before = [parameter.detach().clone() for parameter in learner.parameters]
    try_one_block(learner, "aot_eager")
    assert all(torch.equal(one, other) for one, other in zip(before, learner.parameters, strict=True))
    assert all(parameter.grad is None for parameter in learner.parameters)


def test_a_cpu_compiles_nothing_and_says_why(folder, tmp_path):
    trainer = train(small_job(folder, precision={"compile": True}), tmp_path)
    assert "not compiled: it is for GPUs" in trainer.remarks
    assert not (trainer.run_folder / "compile.json").exists()


def test_a_run_keeps_to_what_it_decided(learner, anywhere, monkeypatch, tmp_path):
    path = tmp_path / "compile.json"
    monkeypatch.setattr(compiling, "try_one_block", lambda *_: trial())
    told = compile_where_it_pays(learner, path, 5000, backend="aot_eager")
    compiled = [block for block in blocks_of(learner) if block._compiled_call_impl]
    assert told.startswith("compiled") and compiled == blocks_of(learner)
    monkeypatch.setattr(compiling, "try_one_block", None)
    assert compile_where_it_pays(learner, path, 10, backend="aot_eager") == told
    monkeypatch.setattr(compiling, "_impossible", lambda _: "it is for GPUs")
    assert compile_where_it_pays(learner, path, 10, backend=None) == "not compiled: it is for GPUs", "wherever it began"


def test_a_compiled_run_learns_what_a_plain_one_learns(folder, tmp_path, anywhere, monkeypatch):
    plain = train(small_job(folder), tmp_path / "plain").result()
    monkeypatch.setattr(compiling, "try_one_block", lambda *_: trial(wait=0.0))
    job = small_job(
        folder, precision={"compile": True}, samples={"prompts": "a", "width": 32, "height": 32, "steps": 1}
    )
    monkeypatch.setattr(compiling.compile_where_it_pays, "__kwdefaults__", {"backend": "aot_eager"})
    train(job, tmp_path / "cut", until=3)
    trainer = train(job, tmp_path / "cut")
    assert any(remark.startswith("compiled:") for remark in trainer.remarks)
    assert trainer.result().losses == pytest.approx(plain.losses, rel=1e-4)
