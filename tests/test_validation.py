"""The loss at fixed noise and timesteps: what it is, what moves it, what it leaves alone, how it is kept."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from tests.tiny_models import tiny_sd15
from trainer_core.errors import TrainingError
from trainer_core.families.base_model import Conditioning, PictureSize
from trainer_core.progress import finished
from trainer_core.training import objective
from trainer_core.training.batches import stream_seed
from trainer_core.training.plan.timesteps import TimestepPlan
from trainer_core.training.plan.validation import ValidationPlan
from trainer_core.training.validation import MOST_ROWS, Validation, ValidationPicture, cost_remark
from trainer_core.training.validation_report import ValidationReport, append_report, read_reports, rewind_reports

SIZE = PictureSize((64, 64), (0, 0), (64, 64))
SCHEDULE = objective.noise_schedule(tiny_sd15())


def picture(name: str, *, held_out: bool = False, shape=(4, 8, 8), **changed) -> ValidationPicture:
    generator = torch.Generator().manual_seed(stream_seed("latent", name))
    fields = {"name": name, "fingerprint": f"bytes of {name}", "is_held_out": held_out, "caption": f"a {name}"}
    fields |= {"latent_CHW": torch.randn(shape, generator=generator), "size": SIZE}
    return ValidationPicture(**fields | changed)


def validation(*pictures, seed=0, timesteps=TimestepPlan(), schedule=SCHEDULE) -> Validation:  # noqa: B008 - frozen
    return Validation(pictures, schedule, timesteps, seed=seed, device="cpu")


def halve(noisy_BCHW, t_B, captions, sizes):
    """A model of no weights."""
    return noisy_BCHW / 2


def measured(*pictures, predict=halve, modules=(), **settings) -> ValidationReport:
    return finished(validation(*pictures, **settings).measure(predict, modules, epoch=3, step=30))


# ------------------------------------------------------------------------------------------------ what it measures


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_the_loss_is_the_mean_squared_error_at_125_375_625_and_875(prediction):
    model = tiny_sd15()
    model.prediction_type = prediction
    generator = torch.Generator().manual_seed(stream_seed(5, "validation", "bytes of a"))
    noise = torch.randn((4, 4, 8, 8), generator=generator).double()
    x = picture("a").latent_CHW.double()
    beta = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    alpha = torch.cumprod(1 - beta, 0)[[125, 375, 625, 875]].reshape(4, 1, 1, 1)
    noisy = alpha.sqrt() * x + (1 - alpha).sqrt() * noise
    wanted = noise if prediction == "epsilon" else alpha.sqrt() * noise - (1 - alpha).sqrt() * x
    report = measured(picture("a"), seed=5, schedule=objective.noise_schedule(model))
    assert report.per_picture["a"] == pytest.approx((noisy / 2 - wanted).square().mean().item(), rel=1e-5)


def test_the_means_are_over_the_trained_and_over_the_held_out_pictures():
    report = measured(picture("a"), picture("b"), picture("c", held_out=True))
    assert report.per_picture.keys() == {"a", "b"} and report.per_held_out.keys() == {"c"}
    assert report.training_loss == pytest.approx(sum(report.per_picture.values()) / 2)
    assert report.held_out_loss == report.per_held_out["c"]
    assert (report.epoch, report.step) == (3, 30)


def test_without_held_out_pictures_there_is_no_held_out_loss():
    assert measured(picture("a")).held_out_loss is None


def test_a_mask_leaves_out_the_errors_outside_of_it():
    whole, half = picture("a"), picture("a", mask_1HW=torch.ones(1, 8, 8).index_fill(2, torch.arange(4), 0.0))
    flat = measured(half, predict=lambda noisy, *_: torch.zeros_like(noisy)).training_loss
    assert 0.3 < flat / measured(whole, predict=lambda noisy, *_: torch.zeros_like(noisy)).training_loss < 0.7


def test_timesteps_are_the_middles_of_the_trained_range():
    seen = []

    def predict(noisy, t, captions, sizes):
        seen.extend(t.tolist())
        return noisy

    measured(picture("a"), predict=predict, timesteps=TimestepPlan(first=200, last=599))
    assert seen == [250, 350, 450, 550]


def test_predict_is_given_the_caption_and_size_of_the_picture_for_every_row():
    seen = []

    def predict(noisy, t, captions, sizes):
        seen.append((captions, sizes))
        return noisy

    large = PictureSize((96, 64), (3, 0), (96, 64))
    measured(picture("a"), picture("b", size=large), predict=predict)
    assert seen == [(["a a"] * 4, [SIZE] * 4), (["a b"] * 4, [large] * 4)]


# -------------------------------------------------------------------------------------------------- what moves it


def test_a_picture_counts_the_same_alone_as_among_others_bit_for_bit():
    model = tiny_sd15()
    states = torch.randn(1, 77, 64, generator=torch.Generator().manual_seed(0))

    def predict(noisy, t, captions, sizes):
        return model.predict(noisy, t, Conditioning(states.expand(len(captions), -1, -1)), sizes)

    def loss(*others):
        return measured(*others, predict=predict, modules=[model.unet]).per_picture["a cat"]

    cat = picture("a cat")
    alone = loss(cat)
    assert loss(picture("b"), cat, picture("c", held_out=True)) == alone
    assert loss(cat, picture("d", shape=(4, 8, 16))) == alone


def test_measuring_again_gives_the_same_and_training_moves_it():
    weight = nn.Linear(1, 1, bias=False)
    watch = validation(picture("a"), picture("b", held_out=True))

    def report():
        return finished(watch.measure(lambda noisy, *_: noisy * weight.weight, [weight], epoch=1, step=1))

    before = report()
    assert report() == before
    with torch.no_grad():
        weight.weight += 0.1
    assert report() != before


def test_noise_follows_the_seed_and_the_pictures_bytes():
    losses = {
        measured(picture("a", fingerprint=bytes_), seed=seed).training_loss for seed in (0, 1) for bytes_ in ("x", "y")
    }
    assert len(losses) == 4


def test_one_picture_in_two_shapes_is_measured_in_both():
    report = measured(picture("a"), picture("wide", fingerprint="bytes of a", shape=(4, 8, 16)))
    assert len(report.per_picture) == 2


def test_progress_is_told_picture_by_picture_and_whoever_hears_it_may_learn():
    pictures = [picture("a"), picture("b"), picture("c", held_out=True)]
    told = []
    for report in validation(*pictures).measure(halve, [], epoch=1, step=1):
        assert torch.is_grad_enabled()
        told.append((report.stage, report.done, report.total))
    assert told == [("measuring", done, 3) for done in range(4)]


# ------------------------------------------------------------------------------------------- what it leaves alone


def test_training_modes_gradients_and_the_global_rng_stay_as_they_are():
    model = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5))
    model[1].eval()
    before = torch.get_rng_state()

    def predict(noisy, *_):
        assert not model.training and not torch.is_grad_enabled()
        return model(noisy)

    measured(picture("a"), predict=predict, modules=[model])
    assert (model.training, model[0].training, model[1].training) == (True, True, False)
    assert model[0].weight.grad is None and torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), before)


def test_training_modes_come_back_after_an_error():
    model = nn.Linear(8, 8)

    def fail(*_):
        raise TrainingError("out of memory")

    with pytest.raises(TrainingError):
        measured(picture("a"), predict=fail, modules=[model])
    assert model.training


@pytest.mark.parametrize(
    ("trained", "held_out", "pictures", "rows"),
    [(6, 0, 6, 24), (14, 2, 16, 64), (18, 2, 20, 60), (27, 3, 30, 60), (200, 16, 32, 64), (5000, 0, 32, 64)],
)
def test_a_measurement_takes_64_rows_at_most_and_keeps_every_held_out_picture(trained, held_out, pictures, rows):
    chosen = [picture(f"t{i}", shape=(1, 1, 1)) for i in range(trained)]
    watch = validation(*chosen, *(picture(f"h{i}", held_out=True, shape=(1, 1, 1)) for i in range(held_out)))
    assert (len(watch.pictures), watch.rows) == (pictures, rows) and rows <= MOST_ROWS
    assert sum(p.is_held_out for p in watch.pictures) == held_out


# ------------------------------------------------------------------------------------------------------- the log

REPORT = ValidationReport(
    epoch=1, step=10, training_loss=0.1, held_out_loss=0.2, per_picture={"ä.png": 0.1}, per_held_out={"b.png": 0.2}
)


def test_reports_come_back_from_the_log_as_they_went_in(tmp_path):
    log = tmp_path / "validation.jsonl"
    assert read_reports(log) == []
    without = replace(REPORT, held_out_loss=None, per_held_out={}, epoch=2, step=20)
    append_report(log, REPORT)
    append_report(log, without)
    assert read_reports(log) == [REPORT, without]


def test_a_line_that_a_crash_cut_is_left_out_wherever_it_was_cut(tmp_path):
    log = tmp_path / "validation.jsonl"
    named = replace(REPORT, per_picture={"图片.png": 0.5}, per_held_out={"b": 0.25})
    append_report(log, named)
    whole = log.read_bytes()
    for length in range(len(whole) - 1):  # also within a letter, and behind an inner bracket
        log.write_bytes(whole + whole[:length])
        assert read_reports(log) == [named]


@pytest.mark.parametrize(
    ("every", "epochs", "shown", "told"),
    [
        (1, 10, 2000, ""),
        (1, 200, 4000, "about 100% as long as training, as epochs are of few steps."),
        (1, 200, 4000, "Set validate_every_epochs to 11, or raise the repeats."),
        (11, 200, 4000, ""),
        (0, 200, 4000, ""),
        (1, 30, 450, "Set validate_every_epochs to 10, or raise"),
        (1, 10, 150, "Set validate_every_epochs to 3, or raise"),
        (1, 3, 12, "of few steps. Raise the repeats."),
    ],
)
def test_measuring_that_takes_long_is_told(every, epochs, shown, told):
    remark = cost_remark(every, pictures=15, epochs=epochs, shown=shown)
    assert told in remark and bool(told) == bool(remark)


def test_where_memory_runs_out_timesteps_are_measured_one_by_one():
    rows = []

    def short_of_memory(noisy_BCHW, t_B, *_):
        rows.append(len(t_B))
        if len(t_B) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return noisy_BCHW / 2

    expected = measured(picture("a"))
    found = measured(picture("a"), predict=short_of_memory)
    assert rows == [4, 1, 1, 1, 1]
    assert found.training_loss == pytest.approx(expected.training_loss, rel=1e-6)
    with pytest.raises(RuntimeError, match="another trouble"):
        measured(picture("a"), predict=lambda *_: (_ for _ in ()).throw(RuntimeError("another trouble")))


def test_going_back_to_a_step_drops_what_was_measured_later(tmp_path):
    log = tmp_path / "validation.jsonl"
    for step in (0, 10, 20, 30):
        append_report(log, replace(REPORT, step=step))
    rewind_reports(log, 20)
    assert [report.step for report in read_reports(log)] == [0, 10, 20]


def test_a_loss_that_is_not_a_number_is_valid_json_and_comes_back(tmp_path):
    log = tmp_path / "validation.jsonl"
    append_report(log, replace(REPORT, training_loss=math.nan, held_out_loss=math.inf, per_picture={"a": math.nan}))
    assert "NaN" not in log.read_text() and "Infinity" not in log.read_text()
    (report,) = read_reports(log)
    assert math.isnan(report.training_loss) and math.isnan(report.held_out_loss) and math.isnan(report.per_picture["a"])


@pytest.mark.parametrize(
    ("field", "value"), [("every_epochs", -1), ("held_out_share", 0.6), ("held_out_share", math.nan), ("seed", -1)]
)
def test_the_plan_refuses_what_makes_no_sense(field, value):
    with pytest.raises(TrainingError, match="must be"):
        ValidationPlan(**{field: value})
