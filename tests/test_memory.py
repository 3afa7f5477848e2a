"""The memory of a step: what is counted beforehand is what a step takes, and what a run does where it does not fit."""

from __future__ import annotations

import dataclasses
import functools
import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from tests.full_size_models import full_size
from tests.tiny_models import tiny_sd15
from tests.training_jobs import prepared, small_job, train
from trainer_core.errors import TrainingError
from trainer_core.lora.file import PLAN_KEY, read_header
from trainer_core.training import device_layers, memory_fit, preparation
from trainer_core.training.amount import Step
from trainer_core.training.memory import FIXED_OVERHEAD, largest_shape, step_memory
from trainer_core.training.memory_choice import MemoryChoice, choose, free_memory, keep_choice, kept_choice, savings
from trainer_core.training.memory_count import MemoryCount
from trainer_core.training.optimizer import make_optimizer, trained_parameters
from trainer_core.training.plan import OptimizerPlan, PrecisionPlan, TrainingPlan
from trainer_core.training.stand_ins import AsOnDevice
from trainer_core.training.step_memory import GB, StepMemory, StepShape
from trainer_core.training.trainer import Trainer

AS_SET = MemoryChoice(checkpoint_every=0, parts=1, base="full")
UNET_ONLY = TrainingPlan(optimizer=OptimizerPlan(text_encoder_rate=0.0))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("memory")


def counted_step(job, runs):
    """What the trainer's second step really allocates, and what was estimated for it."""
    trainer = Trainer(job, runs)
    estimate = trainer.step_memory()
    steps = trainer.steps()
    next(steps)
    with MemoryCount() as count:
        next(steps)
    steps.close()
    return count.peak, estimate


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("every", [0, 1])
@pytest.mark.parametrize("text_rate", [0.0, 1e-4])
def test_the_estimate_is_what_a_step_allocates(folder, tmp_path, family, precision, every, text_rate):
    job = small_job(
        folder,
        family=family,
        batch_size=2,  # so that the second step is not the last of an epoch, which is followed by saving
        optimizer={"text_encoder_rate": text_rate},
        precision={"training": precision, "gradient_checkpointing": bool(every)},
        captions={"shuffle": False},
    )
    real, estimate = counted_step(job, tmp_path)
    assert estimate.step == pytest.approx(real, rel=0.15)


@pytest.mark.parametrize("base", ["full", "fp8", "int8", "nf4"])
def test_the_estimate_knows_the_size_of_the_frozen_weights(folder, tmp_path, base):
    job = small_job(folder, precision={"base": base})
    trainer = prepared(job, tmp_path)
    model = trainer.learner.model
    frozen = [
        tensor
        for module in (model.unet, *model.text_encoders)
        for tensor in (*module.parameters(), *module.buffers())
        if not tensor.requires_grad
    ]
    assert trainer.step_memory().base == sum(tensor.nbytes for tensor in frozen)


@pytest.mark.parametrize("name", ["AdamW", "Prodigy", "Adafactor", "AdamWScheduleFree", "Lion", "CAME"])
def test_the_estimate_knows_the_optimizers_state(folder, tmp_path, name):
    plan = OptimizerPlan(name=name, learning_rate=1e-3, text_encoder_rate=0.0)
    job = small_job(folder, optimizer=dataclasses.asdict(plan), network={"rank": 64, "alpha": 1})
    trainer = prepared(job, tmp_path)
    adapters = trainer.learner.adapters[0]
    optimizer = make_optimizer(plan, unet=adapters.parameter_groups(), text_encoders=[])
    weights = trained_parameters(optimizer)
    for weight in weights:
        weight.grad = torch.ones_like(weight)
    optimizer.step()
    state = sum(
        value.nbytes
        for entry in optimizer.state.values()
        for value in entry.values()
        if isinstance(value, torch.Tensor)
    )
    real = state + sum(weight.nbytes for weight in weights)
    assert trainer.step_memory().lora == pytest.approx(real, rel=0.15)


def test_what_a_step_needs_is_told_in_gigabytes():
    large = StepMemory(base=5 * GB, lora=GB // 4, step=8 * GB, overhead=GB // 2)
    parts = "(base model 5.0, LoRA and optimizer 0.2, activations and gradients 8.0, overhead 0.5)"
    assert large.line() == f"a step needs about 13.8 GB of memory {parts}"
    small = StepMemory(base=GB // 50, lora=GB // 100, step=GB // 20, overhead=GB // 2)
    parts = "(base model 0.02, LoRA and optimizer 0.01, activations and gradients 0.05, overhead 0.50)"
    assert small.line() == f"a step needs about 0.58 GB of memory {parts}"


def test_checkpointing_parts_and_fewer_bits_need_less_each():
    needed = [_wide_sd15(choice) for choice in [AS_SET, *savings(UNET_ONLY, 2, on_gpu=True)]]
    totals = [memory.total for memory in needed]
    assert totals == sorted(totals, reverse=True) and len(set(totals)) == len(totals) == 7


def test_fused_layers_of_a_gpu_keep_a_fifth_less(monkeypatch):
    plain = _wide_sd15(AS_SET, device="cuda")
    assert plain.step == pytest.approx(_wide_sd15(AS_SET).step, rel=0.1), "nothing is fused where no GPU is"
    monkeypatch.setattr(device_layers, "can_fuse", lambda *_: True)
    assert 0.7 < _wide_sd15.__wrapped__(AS_SET, device="cuda").step / plain.step < 0.85


@pytest.mark.parametrize(("device", "dtype"), [("cuda", torch.float32), ("cpu", torch.bfloat16)])
def test_norms_under_autocast_are_counted_in_fp32_on_a_gpu(device, dtype):
    with AsOnDevice(device), torch.autocast("cpu", torch.bfloat16):
        answer = torch.nn.functional.layer_norm(torch.zeros(2, 8, dtype=torch.bfloat16), (8,))
    assert answer.dtype == dtype, "of text encoders that are trained"


def test_gradients_that_graphs_add_to_are_there_all_the_time():
    plans = [replace(UNET_ONLY, precision=PrecisionPlan(cuda_graphs=has)) for has in (False, True)]
    plain, kept = (_wide_sd15(AS_SET, device="cuda", plan=plan) for plan in plans)
    weights = kept.lora / 3  # AdamW has two values for each
    added = kept.step - plain.step
    assert 1.5 * weights < added < 2.1 * weights, "gradients that stay, and a copy beside activations that do"


def test_only_a_gpu_keeps_gradients_for_graphs_and_several_once_more():
    def step(device, *, processes=1, has_graphs=True):
        plan = replace(UNET_ONLY, precision=PrecisionPlan(cuda_graphs=has_graphs))
        return _counted(tiny_sd15(), AS_SET, device=device, plan=plan, processes=processes)

    weights = step("cuda").lora / 3
    assert step("cuda").step > step("cuda", has_graphs=False).step == step("cuda", processes=2, has_graphs=False).step
    assert step("cuda", processes=2).step - step("cuda").step == pytest.approx(weights, rel=0.01)
    assert step("cpu").step == step("cpu", has_graphs=False).step


def test_attention_is_counted_as_fused_without_the_matrix_of_all_pairs():
    wide, narrow = (_wide_sd15(AS_SET, width=width).step for width in (1024, 512))
    assert wide / narrow < 2.2  # the matrix would grow fourfold


@functools.cache
def _wide_sd15(choice, *, width=512, device="cpu", plan=UNET_ONLY):
    """As wide as SD1.5, and half as deep."""
    return _counted(full_size("sd15", layers=1), choice, width=width, device=device, plan=plan)


def _counted(model, choice, *, width=512, device="cpu", plan=UNET_ONLY, processes=1):
    shape = StepShape(pictures=4, width=width, height=512, chunks=1)
    return step_memory(model, plan, shape, choice, precision="bf16", device=device, processes=processes)


def test_the_largest_batch_is_the_one_with_most_pixels():
    plan = TrainingPlan.from_json({"text": {"longest_prompt": 150}})
    shape = largest_shape([[0], [1, 2]], [(512, 512), (448, 320), (448, 320)], plan)
    assert shape == StepShape(pictures=2, width=448, height=320, chunks=2)
    assert largest_shape([[0], [1]], [(512, 512), (448, 320)], plan).width == 512


# ------------------------------------------------------------------------------------------------------- choices


def needs(choice):
    """A stand-in: 10 GB, less 3 or 5 for checkpointing by two or by one, 1 a halving, 1 or 2 for fewer bits."""
    saved = (
        {0: 0, 2: 3, 1: 5}[choice.checkpoint_every] + choice.parts // 2 + {"full": 0, "fp8": 1, "nf4": 2}[choice.base]
    )
    return StepMemory(base=0, lora=0, step=(10 - saved) * GB, overhead=0)


@pytest.mark.parametrize(
    ("free", "words"),
    [
        (10, "no checkpointing, batch 4"),
        (7, "checkpointing every 2 blocks, batch 4"),
        (5, "checkpointing, batch 4"),
        (4, "checkpointing, batch 4 in 2 parts"),
        (3, "checkpointing, batch 4 in 4 parts"),
        (2, "checkpointing, batch 4 in 4 parts, base model in fp8"),
        (1, "checkpointing, batch 4 in 4 parts, base model in nf4"),
    ],
)
def test_a_run_that_may_reduce_does_no_more_than_it_must(free, words):
    plan = TrainingPlan(batch_size=4, precision=PrecisionPlan(short_memory="reduce"))
    choice, told = choose(plan, 4, needs, free * GB)
    assert choice.words(plan) == words
    assert free == 10 or words in told[0]


def test_a_run_that_must_not_reduce_is_refused_with_what_would_help():
    with pytest.raises(TrainingError) as refused:
        choose(TrainingPlan(batch_size=4), 4, needs, 5 * GB)
    assert "needs about 10.0 GB" in str(refused.value) and "5.0 GB are free" in str(refused.value)
    assert "Set short_memory to reduce (checkpointing, batch 4: 5.0 GB)" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_cannot_be_reduced_enough_is_refused():
    plan = TrainingPlan(batch_size=4, precision=PrecisionPlan(short_memory="reduce"))
    with pytest.raises(TrainingError, match="nothing that short_memory can reduce is enough"):
        choose(plan, 4, needs, GB // 2)


def test_a_run_may_be_tried_as_it_is_set():
    plan = TrainingPlan(batch_size=4, precision=PrecisionPlan(short_memory="try"))
    choice, (told,) = choose(plan, 4, needs, 5 * GB)
    assert choice == AS_SET and "memory may run out" in told


def test_where_nobody_knows_what_is_free_the_run_is_as_set():
    assert choose(TrainingPlan(batch_size=4), 4, needs, None) == (AS_SET, [needs(AS_SET).line()])
    assert free_memory("mps") is None and free_memory("cpu") > 0


def test_a_plan_with_checkpointing_is_never_given_less_of_it():
    plan = TrainingPlan(precision=PrecisionPlan(gradient_checkpointing=True, checkpoint_every=2, base="int8"))
    assert MemoryChoice.as_set(plan, on_gpu=False) == MemoryChoice(checkpoint_every=2, parts=1, base="int8")
    found = savings(plan, 1, on_gpu=False)
    assert [(choice.checkpoint_every, choice.base) for choice in found] == [(1, "int8"), (1, "nf4")]


# ---------------------------------------------------------------------------------------------------- whole runs


def with_free(monkeypatch, share):
    """As if there were free what a step needs, times `share`."""
    needed = memory_fit.MemoryFit.as_set

    def settle(self, path, **begun):
        monkeypatch.setattr(memory_fit, "free_memory", lambda _: int(needed(self).total * share))
        return real(self, path, **begun)

    real = memory_fit.MemoryFit.settle
    monkeypatch.setattr(memory_fit.MemoryFit, "settle", settle)
    monkeypatch.delitem(FIXED_OVERHEAD, "cpu")
    for name in ("_counted", "_counted_encoding"):  # with that overhead it was counted, and will be
        monkeypatch.setattr(memory_fit, name, getattr(memory_fit, name).__wrapped__)


def test_a_run_that_does_not_fit_is_refused_before_the_model_is_loaded(folder, tmp_path, monkeypatch):
    with_free(monkeypatch, 0.9)
    trainer = Trainer(small_job(folder), tmp_path)
    monkeypatch.setattr(preparation, "load_base_model", None)
    with pytest.raises(TrainingError, match="Set short_memory to reduce"):
        list(trainer.prepare())


def test_a_run_that_is_reduced_learns_the_same_and_goes_on_as_it_began(folder, tmp_path, monkeypatch):
    job = small_job(folder, precision={"short_memory": "reduce"})
    plain = train(job, tmp_path / "plain")
    with monkeypatch.context() as patch:
        with_free(patch, 0.9)
        trainer = train(job, tmp_path / "tight", until=3)
    kept = json.loads((trainer.run_folder / "memory.json").read_text())
    assert kept["checkpoint_every"] and any("GB are free: checkpointing" in remark for remark in trainer.remarks)
    resumed = train(job, tmp_path / "tight")
    assert "as the run began: checkpointing" in resumed.remarks[0]
    expected = load_file(plain.result().file)
    for name, tensor in load_file(resumed.result().file).items():
        torch.testing.assert_close(tensor, expected[name], atol=2e-4, rtol=1e-2)


@pytest.mark.parametrize(
    ("precision", "found"),
    [
        ({}, MemoryChoice(checkpoint_every=0, parts=1, base="fp8")),
        ({"gradient_checkpointing": True}, MemoryChoice(checkpoint_every=1, parts=1, base="fp8")),
        ({"short_memory": "reduce"}, MemoryChoice(checkpoint_every=2, parts=2, base="fp8")),
        (
            {"short_memory": "reduce", "gradient_checkpointing": True},
            MemoryChoice(checkpoint_every=1, parts=2, base="fp8"),
        ),
    ],
)
def test_what_a_run_began_with_and_what_is_asked_by_now_both_hold(folder, tmp_path, precision, found):
    """Its base model above all: in fewer bits it is another one."""
    keep_choice(tmp_path / "memory.json", MemoryChoice(checkpoint_every=2, parts=2, base="fp8"))
    job = small_job(folder, precision=precision)
    fit = memory_fit.MemoryFit(job, job.dataset, precision="fp32", device="cpu", processes=1)
    assert fit.settle(tmp_path / "memory.json", has_begun=True)[0] == found
    assert fit.settle(tmp_path / "memory.json", has_begun=False)[0] == MemoryChoice.as_set(job.plan, on_gpu=False)
    kept = kept_choice(tmp_path / "memory.json")
    assert kept == (None if "short_memory" not in precision else MemoryChoice.as_set(job.plan, on_gpu=False))


def test_a_run_that_fits_no_longer_as_it_began_is_reduced_further(folder, tmp_path, monkeypatch):
    began = MemoryChoice(checkpoint_every=2, parts=1, base="fp8")
    keep_choice(tmp_path / "memory.json", began)
    job = small_job(folder, batch_size=4, precision={"short_memory": "reduce"})
    fit = memory_fit.MemoryFit(job, job.dataset, precision="fp32", device="cpu", processes=1)
    needed = fit._needed(began).total
    monkeypatch.setattr(memory_fit, "free_memory", lambda _: needed - 1)
    monkeypatch.setattr(memory_fit, "choose_tiles", lambda *_: (False, []))
    choice, _ = fit.settle(tmp_path / "memory.json", has_begun=True)
    assert fit._needed(choice).total < needed and choice.base == "fp8" and choice.checkpoint_every == 1
    assert fit.settle(tmp_path / "memory.json", has_begun=True)[0] == choice


def test_a_base_model_in_fewer_bits_that_was_not_asked_for_is_told(folder, tmp_path):
    job = small_job(folder)
    trainer = train(job, tmp_path, until=2)
    remark = "the base model is in nf4, as this run began. Delete the run to train on the whole one."
    assert remark not in Trainer(job, tmp_path).remarks
    keep_choice(trainer.run.memory, MemoryChoice(checkpoint_every=0, parts=1, base="nf4"))
    assert remark in Trainer(job, tmp_path).remarks
    reduced = small_job(folder, precision={"short_memory": "reduce"})
    assert remark not in Trainer(reduced, tmp_path).remarks


def test_a_run_that_has_begun_keeps_its_base_model(folder, tmp_path, monkeypatch):
    """It may be reduced from now on, but in fewer bits the base model would be another one."""
    job = small_job(folder, precision={"short_memory": "reduce"})
    fit = memory_fit.MemoryFit(job, job.dataset, precision="fp32", device="cpu", processes=1)
    smallest = [fit._needed(one).total for one in savings(job.plan, 1, on_gpu=False)][-1]
    monkeypatch.setattr(memory_fit, "free_memory", lambda _: smallest)
    monkeypatch.setattr(memory_fit, "choose_tiles", lambda *_: (False, []))
    with pytest.raises(TrainingError, match="nothing that short_memory can reduce is enough"):
        fit.settle(tmp_path / "memory.json", has_begun=True)
    assert fit.settle(tmp_path / "memory.json", has_begun=False)[0].base == "nf4"


def test_a_lora_says_that_its_base_was_lowered(folder, tmp_path, monkeypatch):
    lowered = MemoryChoice(checkpoint_every=0, parts=1, base="fp8")
    monkeypatch.setattr(memory_fit.MemoryFit, "settle", lambda self, path, **_: (lowered, []))
    trainer = train(small_job(folder, precision={"short_memory": "reduce"}), tmp_path)
    plan = json.loads(read_header(trainer.result().file)[0][PLAN_KEY])
    assert plan["precision"]["base"] == "fp8"


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
@pytest.mark.parametrize("text_rate", [0.0, 1e-4])
def test_a_batch_in_parts_has_the_gradients_of_the_whole(folder, tmp_path, family, text_rate):
    job = small_job(folder, family=family, batch_size=4, optimizer={"text_encoder_rate": text_rate})
    learner = prepared(job, tmp_path).learner
    step, found = Step(0, ((0, 1, 2, 3),), 0, False), []
    for parts in (1, 2, 3, 4):
        learner.choice = replace(learner.choice, parts=parts)
        learner._learn(learner.draw(step))
        found.append([parameter.grad for parameter in learner.parameters])
        for parameter in learner.parameters:
            parameter.grad = None
    whole, *others = found
    for parts, split in enumerate(others, start=2):
        torch.testing.assert_close(split, whole, atol=1e-6, rtol=1e-3, msg=lambda why, n=parts: f"{n} parts: {why}")


def test_every_second_block_is_checkpointed(folder, tmp_path):
    job = small_job(folder, precision={"gradient_checkpointing": True, "checkpoint_every": 2})
    plain = load_file(train(small_job(folder), tmp_path).result().file)
    for name, tensor in load_file(train(job, tmp_path).result().file).items():
        assert torch.equal(tensor, plain[name])
    choices = [MemoryChoice(checkpoint_every=every, parts=1, base="full") for every in (0, 4, 2, 1)]
    peaks = [_wide_sd15(choice).step for choice in choices]
    assert peaks == sorted(set(peaks), reverse=True) and peaks[2] < 0.75 * peaks[0]
