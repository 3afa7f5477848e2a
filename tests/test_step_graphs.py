"""Recorded passes learn what plain ones do; tapes (tapes.py) stand for a GPU's graphs."""

from __future__ import annotations

import contextlib
import gc
import math
import unittest.mock
import weakref

import pytest
import torch
from diffusers.models.attention import BasicTransformerBlock

from tests.tapes import AS_ON_A_GPU, OnTape
from tests.training_jobs import digest, prepared, small_job, train
from trainer_core.lora.border import put_borders
from trainer_core.training import graph_trial, step_graphs
from trainer_core.training.adamw import AdamW
from trainer_core.training.amount import steps_from
from trainer_core.training.decision import Decision
from trainer_core.training.graph_trial import GraphTrial, use_graphs_where_they_help
from trainer_core.training.step_graphs import StepGraphs


@pytest.fixture(autouse=True)
def on_a_gpu(monkeypatch):
    """As if a CPU were a GPU whose graphs are faster."""
    for name, value in AS_ON_A_GPU.items():
        monkeypatch.setattr(name, value)


@pytest.fixture
def made(monkeypatch):
    """Every StepGraphs that is made."""
    found = []

    class Noted(StepGraphs):
        def __init__(self, *given) -> None:
            super().__init__(*given)
            found.append(self)

    monkeypatch.setattr(graph_trial, "StepGraphs", Noted)
    return found


FROZEN_TEXT = {"learning_rate": 1e-3, "text_encoder_rate": 0.0}
CLIPPED = "SDXL in nf4 with checkpointing, weighting, noise and clipped norms"
KINDS = {
    "text encoder, with dropout": {
        "adapter": {"dropout": 0.2},
        "optimizer": {"learning_rate": 1e-3, "text_encoder_rate": 1e-3},
    },
    "text encoder alone": {"optimizer": {"unet_rate": 0.0, "text_encoder_rate": 1e-3}},
    "SDXL with both encoders": {"family": "sdxl", "optimizer": {"learning_rate": 1e-3, "text_encoder_rate": 1e-3}},
    "accumulation and short batches": {"batch_size": 3, "accumulation": 2, "optimizer": FROZEN_TEXT},
    "regularisation, masks and flips": {
        "regularisation": True,
        "loss": {"masked": True, "prior_loss_weight": 0.5, "kind": "huber"},
        "augment": {"flip": True},
        "optimizer": FROZEN_TEXT,
    },
    CLIPPED: {
        "family": "sdxl",
        "precision": {"base": "nf4", "gradient_checkpointing": True},
        "weighting": {"min_snr_gamma": 5.0},
        "noise": {"offset": 0.05, "multires_iterations": 6},
        "optimizer": FROZEN_TEXT | {"max_grad_norm": 0.01},
    },
    "bf16": {"precision": {"training": "bf16"}, "optimizer": FROZEN_TEXT},
    "dropout of values and ranks, in parts, with checkpointing": {
        "batch_size": 3,
        "adapter": {"dropout": 0.2, "rank_dropout": 0.2},
        "precision": {"gradient_checkpointing": True},
        "optimizer": FROZEN_TEXT,
    },
    "measured": {"epochs": 2, "validation": {}, "optimizer": FROZEN_TEXT},
    "DoRA and an average": {
        "network": {"rank": 4, "alpha": 4},
        "adapter": {"kind": "dora"},
        "ema": {"decay": 0.9},
        "optimizer": FROZEN_TEXT,
    },
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("graphs")


def job_of(folder, kind, *, graphs):
    changes = {"epochs": 1, **KINDS.get(kind, {"optimizer": FROZEN_TEXT})}
    changes["precision"] = changes.get("precision", {}) | {"cuda_graphs": graphs}
    return small_job(folder, **changes)


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_from_graphs_is_the_plain_run_to_the_bit(folder, tmp_path, made, kind):
    plain = train(job_of(folder, kind, graphs=False), tmp_path / "plain")
    trainer = train(job_of(folder, kind, graphs=True), tmp_path / "graphs")
    assert any(remark.startswith("CUDA graphs: ") for remark in trainer.remarks)
    assert any(made[0]._graphs.values())
    if kind == CLIPPED:  # the gradients' norm adds them up in another order
        assert trainer.result().losses == pytest.approx(plain.result().losses, rel=1e-5)
        return
    assert trainer.result().losses == plain.result().losses
    assert weights(trainer) == weights(plain)


def weights(trainer) -> list[bytes]:
    """Of all LoRAs; the plans in their headers differ."""
    found = [saved.path.read_bytes() for saved in trainer.result().epochs]
    return [file[8 + int.from_bytes(file[:8], "little") :] for file in found]


def test_a_run_from_graphs_that_is_stopped_goes_on_from_graphs(folder, tmp_path, monkeypatch):
    job = job_of(folder, "accumulation and short batches", graphs=True)
    whole = train(job, tmp_path / "whole")
    train(job, tmp_path / "cut", until=1)
    monkeypatch.setattr(graph_trial, "_try", None)
    again = train(job, tmp_path / "cut")
    assert digest(again) == digest(whole)
    assert any(remark.startswith("CUDA graphs: ") for remark in again.remarks)


def test_every_shape_has_its_graph_and_more_shapes_than_are_kept_are_plain(folder, tmp_path, made, monkeypatch):
    job = job_of(folder, "accumulation and short batches", graphs=True)
    many = train(job, tmp_path / "many")
    monkeypatch.setattr(step_graphs, "MOST_SHAPES", 1)
    few = train(job, tmp_path / "few")
    assert [graph is not None for graph in made[0]._graphs.values()] == [True, True], "batches of 3 and of 2"
    assert sorted(graph is not None for graph in made[1]._graphs.values()) == [False, True]
    assert digest(few) == digest(many)


def test_graphs_go_with_the_run_and_take_the_model_with_them(folder, tmp_path, made):
    trainer = prepared(job_of(folder, "plain", graphs=True), tmp_path / "runs")
    unet = weakref.ref(trainer.learner.model.unet)
    gc.disable()
    try:
        for _ in trainer.steps():
            pass
        made.clear()
        assert unet() is None, "reference counts alone free it"
    finally:
        gc.enable()


def test_a_pass_that_cannot_be_recorded_is_computed_plainly(folder, tmp_path, monkeypatch):
    class Fails(OnTape):
        def record(self, run):
            raise RuntimeError("operation not permitted when stream is capturing")

    job = job_of(folder, "plain", graphs=True)
    plain = train(job_of(folder, "plain", graphs=False), tmp_path / "plain")
    monkeypatch.setattr(graph_trial, "GpuRecorder", lambda device: Fails())
    trainer = train(job, tmp_path / "runs")
    assert "no CUDA graphs: a pass could not be recorded" in trainer.remarks
    assert weights(trainer) == weights(plain)


class Short(OnTape):
    """Has memory for one graph."""

    def record(self, run):
        if self.recorded:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return super().record(run)


def test_who_gives_graphs_up_keeps_no_places_for_gradients(folder, tmp_path):
    trainer = prepared(job_of(folder, "accumulation and short batches", graphs=True), tmp_path / "runs")
    learner, told = trainer.learner, []
    use_graphs_where_they_help(learner, tmp_path / "graphs.json", learner.parameters, told.append, recorder=Short())
    strip = learner.strip
    steps = list(steps_from(trainer.dataset, trainer.plan, trainer.lengths, 0))
    losses = [learner._learn(learner.draw(step)) for step in steps]
    assert told == [step_graphs.GIVEN_UP] and all(loss.isfinite().all() for loss in losses)
    assert learner.learns_itself and strip.whole.grad is None


def test_where_memory_does_not_do_for_one_more_all_graphs_go_and_the_run_goes_on(folder, tmp_path, monkeypatch):
    recorder = Short()
    monkeypatch.setattr(graph_trial, "GpuRecorder", lambda device: recorder)
    kind = "accumulation and short batches"
    plain = train(job_of(folder, kind, graphs=False), tmp_path / "plain")
    trainer = train(job_of(folder, kind, graphs=True), tmp_path / "runs")
    assert (recorder.recorded, recorder.forgotten) == (1, 1) and step_graphs.GIVEN_UP in trainer.remarks
    assert weights(trainer) == weights(plain)


def runs_out_of_memory(*_):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


@pytest.mark.parametrize("where", ["_seconds", "StepGraphs", "record"])
def test_memory_that_runs_out_in_the_trial_costs_the_graphs_alone(folder, tmp_path, monkeypatch, where):
    plain = train(job_of(folder, "plain", graphs=False), tmp_path / "plain")
    monkeypatch.setattr(OnTape if where == "record" else graph_trial, where, runs_out_of_memory)
    trainer = train(job_of(folder, "plain", graphs=True), tmp_path / "runs")
    assert "no CUDA graphs: memory ran out" in trainer.remarks
    assert not (trainer.run_folder / "graphs.json").exists(), "there may be more another time"
    assert weights(trainer) == weights(plain)


def test_memory_that_does_not_do_for_what_adamw_remembers_costs_the_graphs(folder, tmp_path, monkeypatch):
    plain = train(job_of(folder, "plain", graphs=False), tmp_path / "plain")
    real = AdamW.take

    def take(optimizer, strip):
        with monkeypatch.context() as patched:
            patched.setattr(torch, "zeros_like", runs_out_of_memory)
            real(optimizer, strip)

    monkeypatch.setattr(AdamW, "take", take)
    trainer = train(job_of(folder, "plain", graphs=True), tmp_path / "runs")
    assert step_graphs.GIVEN_UP in trainer.remarks
    assert weights(trainer) == weights(plain)


def test_a_step_that_finds_no_memory_is_taken_without_graphs_before_anything_is_checkpointed(
    folder, tmp_path, monkeypatch
):
    plain = train(job_of(folder, "plain", graphs=False), tmp_path / "plain")
    learn = StepGraphs.learn

    def runs_out(self, given):
        if given.part.place == 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return learn(self, given)

    monkeypatch.setattr(StepGraphs, "learn", runs_out)
    trainer = train(job_of(folder, "plain", graphs=True), tmp_path / "runs")
    assert step_graphs.GIVEN_UP in trainer.remarks and not any("checkpointing" in told for told in trainer.remarks)
    assert weights(trainer) == weights(plain)


@pytest.mark.parametrize(("free", "is_in_the_way"), [(25, False), (19, True)])
def test_graphs_are_in_the_way_where_less_is_left_than_they_hold(monkeypatch, free, is_in_the_way):
    recorder = step_graphs.GpuRecorder("cuda")
    recorder._held = 10
    monkeypatch.setattr(step_graphs, "free_memory", lambda device: free)  # with what they hold
    assert recorder.is_in_the_way() == is_in_the_way


class Stale(OnTape):
    """Repeats nothing: what was computed when it was recorded is the answer for ever."""

    def record(self, run):
        run()
        return lambda: None


def test_a_recording_that_fails_is_ended_with_its_second_stream(monkeypatch):
    ended = []
    for name in ("device", "stream", "graph"):
        monkeypatch.setattr(torch.cuda, name, lambda *_, **__: contextlib.nullcontext())
    for name in ("Stream", "current_stream", "CUDAGraph"):
        monkeypatch.setattr(torch.cuda, name, lambda *_: unittest.mock.MagicMock())
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: 0)

    @contextlib.contextmanager
    def ends():
        try:
            yield
        finally:
            ended.append(True)

    monkeypatch.setattr(step_graphs, "ends_beside", ends)
    passes = iter([None] * step_graphs._WARM_UPS)
    with pytest.raises(StopIteration):
        step_graphs.GpuRecorder("cuda").record(lambda: next(passes))
    assert ended == [True]


def test_a_graph_that_reads_old_memory_is_found_and_not_taken(folder, tmp_path):
    trainer = prepared(job_of(folder, "plain", graphs=True), tmp_path / "runs")
    learner, path = trainer.learner, tmp_path / "graphs.json"
    told = use_graphs_where_they_help(learner, path, learner.parameters, print, recorder=Stale())
    assert told.startswith("no CUDA graphs: their gradients are ") and "off" in told
    assert trainer.learner.learns_itself


def test_a_trial_leaves_no_gradient_and_no_weight_behind(folder, tmp_path):
    learner = prepared(job_of(folder, "text encoder, with dropout", graphs=True), tmp_path / "runs").learner
    before = [parameter.detach().clone() for parameter in learner.parameters]
    use_graphs_where_they_help(learner, tmp_path / "graphs.json", learner.parameters, print)
    assert all(parameter.grad is None for parameter in learner.parameters)
    assert all(torch.equal(one, other) for one, other in zip(before, learner.parameters, strict=True))


def test_memory_that_runs_out_lets_the_graphs_go(folder, tmp_path):
    learner = prepared(job_of(folder, "plain", graphs=True), tmp_path / "runs").learner
    use_graphs_where_they_help(learner, tmp_path / "graphs.json", learner.parameters, print)
    strip = learner.strip
    assert not learner.learns_itself and strip.whole.grad is not None
    learner.checkpoint(1)
    assert learner.learns_itself and learner.strip is strip.whole.grad is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"adapter": {"module_dropout": 0.1}}, "whether module dropout leaves an adapter out is drawn on the CPU"),
    ],
)
def test_what_a_graph_cannot_do_is_told(folder, tmp_path, changes, reason):
    trainer = train(small_job(folder, precision={"cuda_graphs": True}, epochs=1, **changes), tmp_path / "runs")
    assert f"no CUDA graphs: {reason}" in trainer.remarks
    assert not (trainer.run_folder / "graphs.json").exists()


def test_a_cpu_records_nothing_and_says_nothing_of_it(folder, tmp_path, monkeypatch):
    monkeypatch.undo()
    trainer = train(small_job(folder, precision={"cuda_graphs": True}, epochs=1), tmp_path / "runs")
    assert not any("CUDA graphs" in remark for remark in trainer.remarks)


@pytest.mark.parametrize("is_short", [True, False])
def test_graphs_make_room_for_pictures_where_memory_is_short_and_are_recorded_anew(
    folder, tmp_path, monkeypatch, is_short
):
    recorder = OnTape()
    recorder.is_short_of_memory = is_short
    monkeypatch.setattr(graph_trial, "GpuRecorder", lambda device: recorder)
    job = job_of(folder, "measured", graphs=True)
    trainer = train(job, tmp_path / "runs")
    plain = train(job_of(folder, "measured", graphs=False), tmp_path / "plain")
    assert (recorder.recorded > 1, recorder.forgotten > 1) == (is_short, is_short)
    assert weights(trainer) == weights(plain)


@pytest.mark.parametrize(
    ("figures", "line"),
    [
        ((0.040, 0.020, 1e-6), "CUDA graphs: a pass takes 20.0 ms with them, 40.0 ms without"),
        ((0.020, 0.021, 1e-6), "no CUDA graphs: a pass takes 21.0 ms with them, 20.0 ms without"),
        ((0.040, 0.020, 0.2), "no CUDA graphs: their gradients are 2.0e-01 off"),
        ((0.040, 0.020, float("nan")), "no CUDA graphs: their gradients are nan off"),
    ],
)
def test_the_trial_says_what_came_of_it(tmp_path, figures, line):
    plain, graph, off = figures
    trial = GraphTrial(plain=plain, graph=graph, off=off, most_off=1e-3)
    assert trial.line() == line and trial.is_taken == line.startswith("CUDA graphs")
    decision = Decision(is_taken=trial.is_taken, line=trial.line())
    decision.keep(tmp_path / "graphs.json")
    assert Decision.kept(tmp_path / "graphs.json") == decision and Decision.kept(tmp_path / "none.json") is None


@pytest.mark.parametrize(
    ("found", "expected", "off"),
    [
        ([3.0, 4.0], [3.0, 4.0], 0.0),
        ([3.0, 4.5], [3.0, 4.0], 0.1),
        ([3.0, math.inf], [3.0, math.inf], 0.0),
        ([3.0, math.inf], [3.0, 4.0], math.inf),
        ([math.nan, 4.0], [3.0, 4.0], math.nan),
    ],
)
def test_gradients_are_compared_where_the_plain_ones_do_not_overflow(found, expected, off):
    tensors = [[torch.tensor([value], dtype=torch.float64) for value in values] for values in (found, expected)]
    assert graph_trial._distance(*tensors) == pytest.approx(off, nan_ok=True)


def test_another_number_of_gradients_is_as_far_off_as_can_be():
    one = torch.ones(1, dtype=torch.float64)
    assert graph_trial._distance([one], [one, one]) == math.inf


def test_a_graph_adds_gradients_where_they_are_wanted_as_it_computes_them(folder, tmp_path, monkeypatch):
    """As on a GPU with borders: those of their LoRAs never come back by autograd. Others do."""
    narrow_gradients = pytest.importorskip("trainer_core.families.gpu.narrow_gradients", reason="Triton is for Linux")

    def compute(products, table):  # interpreted, kernels take the bits of bf16 for integers, and leave no tape
        for product in products:
            narrow_gradients._compute_plainly(product)

    monkeypatch.setattr(narrow_gradients, "_compute", compute)
    monkeypatch.setitem(KINDS, "wide", {**KINDS["bf16"], "network": {"rank": 8, "alpha": 4}})
    learner = prepared(job_of(folder, "wide", graphs=True), tmp_path / "runs").learner
    gathered = narrow_gradients.NarrowGradients()
    blocks = [one for one in learner.model.unet.modules() if isinstance(one, BasicTransformerBlock)]
    put_borders(((block.ff.net[2],) for block in blocks), lambda rank: gathered)
    part, (adapters, *_) = learner.first(), learner.adapters
    for parameter in adapters.parameters():
        parameter.data += 0.01  # ups are zero, and downs have no gradient then
    learner.learn(learner.given(part))
    order = list(adapters.parameters())
    plain = [parameter.grad.clone() for parameter in order]
    graphs = StepGraphs(learner, OnTape(), order, print)
    for parameter in order:
        parameter.grad = None
    come = []
    real = torch.autograd.grad
    monkeypatch.setattr(torch.autograd, "grad", lambda *given, **how: come.append(real(*given, **how)) or come[-1])
    for _ in range(2):
        graphs.learn(learner.given(part))
    added = [place for place, gradient in enumerate(come[-1]) if gradient is None]
    assert len(added) == 2 * len(blocks) and len(order) > len(added)
    for place, (expected, parameter) in enumerate(zip(plain, order, strict=True)):
        off = (parameter.grad - 2 * expected).norm() / (2 * expected).norm()
        assert off < (1e-2 if place in added else 1e-6), place
