"""What a page reads of runs where a crash, a disk, another program or several pages at once have been at it."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor

import pytest

from trainer_core.runs.shown import ShownRuns
from trainer_core.runs.step_log import StepLog
from trainer_core.runs.summary import list_runs
from trainer_core.training.run import ABOUT, STEP_LOG

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


def test_the_list_of_runs_shows_the_last_step_that_is_whole(tmp_path):
    """A computer that lost its power leaves zeros at the end of a file."""
    run = tmp_path / "cat-1"
    run.mkdir()
    size = {"steps": 9, "epochs": 1, "pictures": 4}
    (run / ABOUT).write_text(json.dumps({"name": "cat", "base": "b", "family": "SD1.5", "size": size}))
    for damaged in ("", "\0\0\0\0\n", "5\n", "[]\n" + '{"step": 4', '{"step": null}\n'):
        (run / STEP_LOG).write_text(WHOLE.replace("1", "3", 1) + damaged)
        assert [one.step for one in list_runs(tmp_path)] == [3], damaged


def test_several_nodes_may_be_remembered_at_once(tmp_path):
    names = [str(number) for number in range(40)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda name: ShownRuns(tmp_path).remember("w", name, f"run-{name}"), names))
    assert [ShownRuns(tmp_path).of("w", name) for name in names] == [[f"run-{name}"] for name in names]


def test_what_is_no_name_of_a_run_is_not_remembered_as_one(tmp_path):
    (tmp_path / "shown.json").write_text('{"w 1": [3, null]}')
    assert ShownRuns(tmp_path).of("w", "1") == []
