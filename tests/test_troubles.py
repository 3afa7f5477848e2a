"""When losses that are no numbers end a run, and what counts as memory that ran out."""

from __future__ import annotations

import math

import pytest
import torch

from trainer_core.errors import TrainingError
from trainer_core.training.troubles import FiniteWatch, is_out_of_memory

NAN = float("nan")


def watched(losses):
    """The step at which a run with these losses is ended; None where it is not."""
    watch = FiniteWatch()
    for step, loss in enumerate(losses, start=1):
        try:
            watch.check(step, loss, was_taken=math.isfinite(loss))
        except TrainingError:
            return step
    return None


@pytest.mark.parametrize(
    ("losses", "end"),
    [
        ([1.0] * 100, None),
        ([1.0, NAN, NAN, 1.0] * 5, None),
        ([1.0, NAN, NAN, NAN, 1.0], 4),
        ([float("inf"), float("-inf"), NAN], 3),
        ([NAN] + [1.0] * 19 + [NAN] + [1.0] * 79, None),
        (([NAN] + [1.0] * 9) * 10, 41),
        (([1.0] * 50 + [NAN]) * 10, None),
    ],
)
def test_three_in_a_row_or_one_in_twenty_end_a_run(losses, end):
    assert watched(losses) == end


def test_gradients_that_stay_infinite_end_a_run_that_learns_nothing():
    watch = FiniteWatch()
    for step in range(1, 31):  # as in fp16, until the scale has come down
        watch.check(step, 1.0, was_taken=False)
    watch.check(31, 1.0, was_taken=True)
    with pytest.raises(TrainingError, match="not finite numbers in the last 40 steps, up to step 71"):
        for step in range(32, 100):
            watch.check(step, 1.0, was_taken=False)


@pytest.mark.parametrize(
    ("problem", "is_it"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (MemoryError(), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (TrainingError("the loss was not a finite number"), False),
    ],
)
def test_memory_that_ran_out_is_told_from_other_errors(problem, is_it):
    assert is_out_of_memory(problem) == is_it
