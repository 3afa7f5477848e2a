"""Logs of steps that a crash, a disk or another program has been at: the page is told of the steps that are whole."""

from __future__ import annotations

import json
import math

import pytest

from trainer_core.runs.step_log import StepLog
from trainer_core.training.run import STEP_LOG

WHOLE = '{"step": 1, "epoch": 1, "loss": 0.25, "rate": 0.0001}\n'
LAST = '{"step": 9, "epoch": 2, "loss": NaN, "rate": 1e-05}\n'


def read(folder, text):
    (folder / STEP_LOG).write_text(text)
    log = StepLog(folder)
    log.read()
    return list(zip(log.steps, log.epochs, log.losses, log.rates, strict=True))


@pytest.mark.parametrize(
    "damaged",
    [
        '{"step": 5{"step": 6, "epoch": 1, "loss": 1.0, "rate": 1.0}\n',
        '{"step": 5, "epoch": 1, "loss": 0.1{"step": 6, "epoch": 1, "loss": 1.0, "rate": 1.0}\n',
        '{"step": 5, "epoch": 1, "loss": 1.0, "rate": 1.0}{"step": 6, "epoch": 1, "loss": 1.0, "rate": 1.0}\n',
        '{"step": 5, "epoch": 1, "loss": 1.0}\n',
        '{"step": 5, "epoch": 1, "loss": 1.0, "rate": \n',
        '{"step": 5, "epoch": 1, "loss": null, "rate": 1.0}\n',
        '{"step": 1e999, "epoch": 1, "loss": 1.0, "rate": 1.0}\n',
        "\0\0\0\0\n",
        "5\n[]\nnull\n{}\n\n",
    ],
)
@pytest.mark.parametrize("place", ["first", "between", "last"])
def test_a_damaged_line_is_left_out_wherever_it_is(tmp_path, damaged, place):
    texts = {"first": damaged + WHOLE + LAST, "between": WHOLE + damaged + LAST, "last": WHOLE + LAST + damaged}
    one, other = read(tmp_path, texts[place])
    assert one == (1, 1, 0.25, 1e-4)
    assert other[:2] == (9, 2) and math.isnan(other[2]) and other[3] == 1e-5


def test_lines_that_another_program_wrote_say_the_same(tmp_path):
    entry = {"rate": 1e-4, "loss": 0.25, "epoch": 1, "step": 1, "note": "2"}
    lines = [json.dumps(entry), json.dumps(entry | {"step": 2}, separators=(",", ":"), sort_keys=True)]
    assert [step[:3] for step in read(tmp_path, "\n".join(lines) + "\n")] == [(1, 1, 0.25), (2, 1, 0.25)]


def test_every_digit_of_a_loss_is_kept(tmp_path):
    losses = [math.pi / 3**power for power in range(40)] + [math.inf, -math.inf]
    lines = [json.dumps({"step": 1, "epoch": 1, "loss": loss, "rate": loss}) + "\n" for loss in losses]
    assert [step[2:] for step in read(tmp_path, "".join(lines))] == [(loss, loss) for loss in losses]
