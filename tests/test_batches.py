"""Which pictures come in which step."""

from collections import Counter
from pathlib import Path

import pytest

from trainer_core.dataset.types import Dataset, DatasetImage
from trainer_core.errors import TrainingError
from trainer_core.training import amount, batches
from trainer_core.training.amount import steps_from, steps_per_epoch
from trainer_core.training.batches import (
    BatchOrder,
    batches_in_epoch,
    check_trainable,
    epoch_batches,
    step_generator,
)
from trainer_core.training.plan import TrainingPlan


def image(name, *, repeats=1, bucket=(64, 64), is_regularisation=False):
    return DatasetImage(
        path=Path(f"{name}.png"), width=64, height=64, caption=name, caption_source="none", repeats=repeats,
        is_regularisation=is_regularisation, fingerprint=str(name), bucket=bucket,
    )  # fmt: skip


def pictures(count, **settings):
    return Dataset(images=tuple(image(i, **settings) for i in range(count)))


def test_twenty_pictures_ten_repeats_ten_epochs_are_2000_steps():
    steps = steps_per_epoch(pictures(20, repeats=10), TrainingPlan(epochs=10, batch_size=1))
    assert sum(steps) == 2000 and steps == [200] * 10


def test_batch_2_halves_the_steps():
    assert sum(steps_per_epoch(pictures(20, repeats=10), TrainingPlan(epochs=10, batch_size=2))) == 1000


def test_every_picture_comes_as_often_as_its_repeats():
    dataset = Dataset(images=(image("a", repeats=3), image("b"), image("c", repeats=2, bucket=(64, 96))))
    counts = Counter(index for batch in epoch_batches(dataset, 2, 0, 0) for index in batch)
    assert counts == {0: 3, 1: 1, 2: 2}


def test_a_batch_never_mixes_buckets():
    dataset = Dataset(images=tuple(image(i, repeats=3, bucket=(64, 64 + 32 * (i % 3))) for i in range(9)))
    for batch in epoch_batches(dataset, 4, 5, 1):
        assert len({dataset.images[index].bucket for index in batch}) == 1


def test_order_depends_on_seed_and_epoch_alone():
    dataset = pictures(12)
    assert epoch_batches(dataset, 3, 1, 0) == epoch_batches(dataset, 3, 1, 0)
    assert epoch_batches(dataset, 3, 1, 0) != epoch_batches(dataset, 3, 1, 1)
    assert epoch_batches(dataset, 3, 1, 0) != epoch_batches(dataset, 3, 2, 0)


def test_regularisation_pictures_match_the_training_samples_and_all_are_seen_in_time():
    training = tuple(image(i, repeats=2) for i in range(3))
    regularisation = tuple(image(f"r{i}", is_regularisation=True) for i in range(9))
    dataset = Dataset(images=training + regularisation)
    seen = set()
    for epoch in range(2):
        samples = [index for batch in epoch_batches(dataset, 2, 0, epoch) for index in batch]
        drawn = [index for index in samples if index >= 3]
        assert len(drawn) == 6 and len(samples) == 12
        seen.update(drawn)
    assert seen == set(range(3, 12))


def test_few_regularisation_pictures_are_used_again():
    dataset = Dataset(images=(image("a", repeats=5), image("r", is_regularisation=True)))
    assert Counter(i for batch in epoch_batches(dataset, 1, 0, 0) for i in batch) == {0: 5, 1: 5}


@pytest.mark.parametrize(
    "dataset, plan, words",
    [
        (Dataset(images=()), TrainingPlan(), "no training pictures"),
        (pictures(3, is_regularisation=True), TrainingPlan(), "no training pictures"),
        (pictures(3, bucket=None), TrainingPlan(), "Smart Crop"),
        (pictures(3, repeats=2), TrainingPlan(batch_size=7), "batch size 7 is larger than the set"),
    ],
)
def test_a_set_that_cannot_be_trained_is_refused(dataset, plan, words):
    with pytest.raises(TrainingError, match=words):
        check_trainable(dataset, plan)


def test_streams_of_noise_never_coincide():
    states = {step_generator(seed, step).initial_seed() for seed in range(50) for step in range(50)}
    assert len(states) == 2500


def mixed_set():
    """Seven pictures in two buckets, some repeated, and regularisation pictures of which an epoch sees a part."""
    training = tuple(image(i, repeats=1 + i % 2, bucket=(64, 64 + 64 * (i % 3 == 0))) for i in range(7))
    regularisation = tuple(
        image(f"r{i}", is_regularisation=True, bucket=(64, 64 + 64 * (i % 4 == 0))) for i in range(17)
    )
    return Dataset(images=training + regularisation)


@pytest.mark.parametrize("dataset", [pictures(7, repeats=3), mixed_set()], ids=["plain", "regularised"])
@pytest.mark.parametrize("changes", [{"epochs": 5}, {"steps": 13}, {"steps": 13, "accumulation": 3}])
def test_a_batch_is_found_by_its_place_in_the_run(dataset, changes):
    plan = TrainingPlan(batch_size=2, **changes)
    lengths = steps_per_epoch(dataset, plan)
    order = BatchOrder(dataset, plan, lengths)
    walked = [list(batch) for step in steps_from(dataset, plan, lengths, 0) for batch in step.batches]
    assert [order[place] for place in range(len(order))] == walked
    assert order[0] == walked[0]


@pytest.mark.parametrize("dataset", [pictures(7, repeats=3), mixed_set()], ids=["plain", "regularised"])
def test_batches_are_counted_without_putting_them_in_order(dataset):
    for epoch in range(4):
        assert batches_in_epoch(dataset, 4, epoch) == len(epoch_batches(dataset, 4, 0, epoch))


def test_going_on_late_in_a_run_puts_no_epoch_before_it_in_order(monkeypatch):
    drawn = []
    monkeypatch.setattr(amount, "epoch_batches", lambda *a: drawn.append(a[3]) or batches.epoch_batches(*a))
    dataset, plan = pictures(6), TrainingPlan(epochs=50, batch_size=2)
    lengths = steps_per_epoch(dataset, plan)
    step = next(steps_from(dataset, plan, lengths, 3 * 40 + 1))
    assert (step.epoch, step.first_batch, drawn) == (40, 121, [40])
