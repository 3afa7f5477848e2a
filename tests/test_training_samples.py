"""Samples while training: they show what is trained, change nothing of it, and never end it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from tests.tiny_models import tiny_sd15, write_checkpoint
from trainer_core.families.loading import load_base_model
from trainer_core.lora.adapters import Adapters
from trainer_core.lora.names import targets_of
from trainer_core.progress import StageReport
from trainer_core.sampling import draw_picture
from trainer_core.training.kept_samples import MissedSample, Sample, list_samples
from trainer_core.training.plan.adapter import AdapterPlan
from trainer_core.training.plan.samples import SamplePlan
from trainer_core.training.samples import SampleDrawer

PLAN = SamplePlan(
    prompts="red cat --n blue\n(green:1.3) ball --w 32 --ss euler_ancestral\n猫 --l 1 --ss dpmpp_sde_karras",
    width=64,
    height=32,
    steps=3,
    seed=4,
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("model") / "tiny.safetensors", tiny_sd15())


class TinyRun:
    """A model with trained adapters on all its parts, as the loop has it: training mode, checkpointing, dropout."""

    def __init__(self, checkpoint) -> None:
        self.model = load_base_model(checkpoint, torch.float32)
        plan = AdapterPlan(dropout=0.2)
        self.adapters = [Adapters(module, targets, 4, 2.0, plan) for module, targets in targets_of(self.model)]
        for seed, part in enumerate(self.adapters):
            part.initialise(seed)
        self.model.unet.enable_gradient_checkpointing()
        self.model.unet.train()
        for encoder in self.model.text_encoders:
            encoder.gradient_checkpointing_enable({"use_reentrant": False})
            encoder.train()
        weights = [weight for part in self.adapters for weight in part.parameters()]
        self.weights, self.optimizer = weights, torch.optim.AdamW(weights, lr=1e-2)

    def half_step(self, step: int) -> None:
        """Gradients of half a batch."""
        for part in self.adapters:
            part.set_dropout_seed(step)
        generator = torch.Generator().manual_seed(step)
        x_BCHW = torch.randn((1, 4, 4, 8), generator=generator)
        predicted = self.model.predict(x_BCHW, torch.tensor([500]), self.model.encode_text(["red cat"], 1), [])
        (predicted - x_BCHW).square().mean().backward()

    def finish_step(self) -> None:
        self.optimizer.step()
        self.optimizer.zero_grad()


def drawer_of(folder, plan: SamplePlan = PLAN) -> SampleDrawer:
    return SampleDrawer(plan, folder, clip_skip=1, precision="fp32", device="cpu")


def drawn(drawer: SampleDrawer, run: TinyRun, epoch: int = 1) -> list[Sample | MissedSample]:
    found = drawer.draw(run.model, run.adapters, epoch=epoch, step=7)
    return [one for one in found if not isinstance(one, StageReport)]


def test_training_with_samples_gives_the_same_bits_as_without(checkpoint, tmp_path):
    """Drawn in the middle of an accumulated step, left half-drawn too, with dropout that a sample must not use up."""
    runs = [TinyRun(checkpoint), TinyRun(checkpoint)]
    drawer = drawer_of(tmp_path)
    for run in runs:
        torch.manual_seed(1)
        for step in range(3):
            run.half_step(2 * step)
            if run is runs[1]:
                assert len(drawn(drawer, run, epoch=step)) == 3
                left_early = drawer.draw(run.model, run.adapters, epoch=100 + step, step=0)
                next(left_early)
                left_early.close()
            run.half_step(2 * step + 1)
            run.finish_step()
        run.random_state = torch.get_rng_state()
    assert all(torch.equal(*pair) for pair in zip(runs[0].weights, runs[1].weights, strict=True))
    assert torch.equal(runs[0].random_state, runs[1].random_state)


def test_drawing_leaves_modes_gradients_dropout_and_the_vae_as_they_were(checkpoint, tmp_path):
    run = TinyRun(checkpoint)
    run.half_step(0)
    run.model.unet.mid_block.eval()
    parts = [part for whole in (run.model.unet, run.model.vae, *run.model.text_encoders) for part in whole.modules()]

    def state():
        dropouts = [layer.dropout for part in run.adapters for layer in part.layers]
        gradients = [None if weight.grad is None else weight.grad.clone() for weight in run.weights]
        vae = run.model.vae
        return [part.training for part in parts], dropouts, gradients, (vae.use_tiling, vae.device)

    before = state()
    assert all(dropout is not None for dropout in before[1])
    drawn(drawer_of(tmp_path), run)
    after = state()
    assert before[0] == after[0] and before[1] == after[1] and before[3] == after[3]
    assert all((a is None and b is None) or torch.equal(a, b) for a, b in zip(before[2], after[2], strict=True))
    assert torch.is_grad_enabled()


def test_a_sample_is_the_picture_that_the_trained_weights_draw(checkpoint, tmp_path):
    run = TinyRun(checkpoint)
    for step in range(3):
        run.half_step(step)
        run.finish_step()
    samples = drawn(drawer_of(tmp_path), run)
    for part in run.adapters:
        part.set_dropout_seed(None)
    for part in (run.model.unet, *run.model.text_encoders):
        part.eval()
    for sample, request in zip(samples, PLAN.requests(), strict=True):
        expected = draw_picture(run.model, request, clip_skip=1, precision="fp32", device="cpu")
        assert (np.asarray(Image.open(sample.path)) == np.asarray(expected)).all()
    for part in run.adapters:
        part.scale(0.0)
    base = draw_picture(run.model, PLAN.requests()[0], clip_skip=1, precision="fp32", device="cpu")
    assert (np.asarray(Image.open(samples[0].path)) != np.asarray(base)).any()


def test_prompts_that_are_encoded_beforehand_need_no_text_encoders_afterwards(checkpoint, tmp_path):
    run = TinyRun(checkpoint)
    expected = [Image.open(sample.path).tobytes() for sample in drawn(drawer_of(tmp_path / "a"), run)]
    drawer = drawer_of(tmp_path / "b")
    drawer.encode(run.model)
    run.model.text_encoders = []
    assert [Image.open(sample.path).tobytes() for sample in drawn(drawer, run)] == expected


def test_a_sample_that_is_there_is_not_drawn_again_and_a_missing_one_is(checkpoint, tmp_path):
    run, drawer = TinyRun(checkpoint), drawer_of(tmp_path)
    first = drawn(drawer, run)
    assert drawn(drawer, run) == []
    bytes_before = first[1].path.read_bytes()
    first[1].path.unlink()
    assert drawn(drawer, run) == [first[1]]
    assert first[1].path.read_bytes() == bytes_before
    assert len(drawn(drawer, run, epoch=2)) == 3


def test_progress_is_told_after_every_sampler_step(checkpoint, tmp_path):
    run = TinyRun(checkpoint)
    found = list(drawer_of(tmp_path).draw(run.model, run.adapters, epoch=0, step=0))
    kinds = [one.done if isinstance(one, StageReport) else "sample" for one in found]
    assert kinds == [1, 2, 3, "sample"] * 3
    assert found[4] == StageReport(stage="drawing sample 2 of 3", done=1, total=3)


def test_samples_are_listed_with_all_that_they_say_of_themselves(checkpoint, tmp_path):
    run, drawer = TinyRun(checkpoint), drawer_of(tmp_path)
    late, early = drawn(drawer, run, epoch=10), drawn(drawer, run, epoch=2)
    (tmp_path / "samples" / "000002-09.png").write_bytes(b"cut short")
    Image.new("RGB", (8, 8)).save(tmp_path / "samples" / "foreign.png")
    listed = list_samples(tmp_path)
    assert listed == [*early, *late]
    assert [sample.request for sample in listed[:3]] == PLAN.requests()
    assert [sample.path.name for sample in early] == ["000002-01.png", "000002-02.png", "000002-03.png"]
    assert list_samples(tmp_path / "nowhere") == []
    with Image.open(early[0].path) as picture:
        assert picture.text["parameters"].splitlines()[:2] == ["red cat", "Negative prompt: blue"]


def with_problem(problem: Exception):
    """A decoder that fails at the second picture."""
    calls = []
    decode = type(tiny_sd15()).decode

    def failing(self, x_BCHW):
        calls.append(1)
        if len(calls) == 2:
            raise problem
        return decode(self, x_BCHW)

    return failing


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (RuntimeError("mat1 and mat2\ndo not fit"), "RuntimeError: mat1 and mat2 The run goes on without it."),
        (MemoryError(), "MemoryError"),
        (OSError("disk"), "OSError: disk"),
    ],
)
def test_a_sample_that_fails_is_told_in_one_line_and_the_others_are_drawn(
    checkpoint, tmp_path, monkeypatch, problem, words
):
    run = TinyRun(checkpoint)
    monkeypatch.setattr(type(run.model), "decode", with_problem(problem))
    first, missed, third = drawn(drawer_of(tmp_path), run)
    assert missed.remark.startswith("Sample 2 after epoch 1 is missing: ") and words in missed.remark
    assert "\n" not in missed.remark
    assert [sample.number for sample in list_samples(tmp_path)] == [first.number, third.number] == [1, 3]
    assert run.model.unet.training


def test_a_gpu_without_memory_gives_a_remark_on_what_to_change(checkpoint, tmp_path, monkeypatch):
    run = TinyRun(checkpoint)

    def full(self, *_):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(type(run.model), "predict", full)
    missed = drawn(drawer_of(tmp_path), run)
    assert len(missed) == 3
    assert "not enough GPU memory. Make the samples smaller" in missed[0].remark


def test_a_picture_of_nan_is_not_kept(checkpoint, tmp_path):
    run = TinyRun(checkpoint)
    run.weights[0].data.fill_(torch.nan)
    missed = drawn(drawer_of(tmp_path, replace(PLAN, prompts="cat")), run)
    assert "came out as NaN" in missed[0].remark
    assert list_samples(tmp_path) == []


def test_a_folder_that_cannot_be_written_gives_remarks(checkpoint, tmp_path):
    (tmp_path / "samples").write_text("a file in the way")
    missed = drawn(drawer_of(tmp_path), TinyRun(checkpoint))
    assert all("cannot write" in one.remark for one in missed) and len(missed) == 3
