"""What the speed benchmark says of a contender is what the contender did."""

from __future__ import annotations

import io
import sys
import time
from dataclasses import replace

import pytest
import torch

from benchmarks import device_clock, speed_table
from benchmarks.step_clock import Measured, StepClock
from benchmarks.task import USUAL, Setting, Task

ON_A_GPU = Setting(family="sd15", side=512, batch=1, rank=16, precision="bf16", checkpointing=False, device="cuda")
TASK = Task(
    contender="ours",
    setting=ON_A_GPU,
    own=USUAL,
    base="",
    pictures="",
    tokenizer="",
    steps=3,
    turns=2,
    holds=False,
    began=0.0,
)


class Gpu:
    """Stands in for torch.cuda: remembers what it was asked in order, and passes a mark every 100 ms."""

    def __init__(self, monkeypatch) -> None:
        self.asked, self.marks = [], 0
        answers = {"max_memory_allocated": 3 * 2**30, "max_memory_reserved": 4 * 2**30}
        for name in ("synchronize", "reset_peak_memory_stats", "empty_cache", *answers):
            monkeypatch.setattr(torch.cuda, name, self._remembering(name, answers.get(name)))
        monkeypatch.setattr(torch.cuda, "Event", lambda enable_timing: Event(self))

    def _remembering(self, name, answer):
        def ask():
            self.asked.append(name)
            return answer

        return ask


class Event:
    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu

    def record(self) -> None:
        self._gpu.asked.append("mark")
        self._gpu.marks += 1
        self.place = self._gpu.marks

    def elapsed_time(self, later: Event) -> float:
        return 100.0 * (later.place - self.place)


def test_on_a_gpu_the_clock_waits_at_a_turns_first_and_last_step_and_counts_its_memory_between(monkeypatch, capsys):
    gpu = Gpu(monkeypatch)
    monkeypatch.setattr(sys, "stdin", io.StringIO("go on\n"))
    clock = StepClock(TASK)
    assert gpu.asked == [], "a trainer may set things up before"
    clock.stepped()
    assert gpu.asked == ["synchronize", "reset_peak_memory_stats", "mark"]
    gpu.asked.clear()
    clock.stepped()
    assert gpu.asked == ["mark"]
    gpu.asked.clear()
    clock.stepped(["a remark"])
    assert gpu.asked == ["mark", "synchronize", "max_memory_allocated", "max_memory_reserved", "empty_cache"]
    clock.stepped()
    clock.stepped()
    with pytest.raises(SystemExit):
        clock.stepped()
    first, second = map(Measured.from_line, capsys.readouterr().out.splitlines())
    assert (first.peak_allocated, first.peak_reserved, first.remarks) == (3 * 2**30, 4 * 2**30, ["a remark"])
    assert second.peak_allocated == 3 * 2**30
    assert first.seconds[1:] == second.seconds[1:] == [0.1, 0.1] and 0 < first.seconds[0] < 1


def test_on_a_cpu_a_step_is_what_passes_between_two(monkeypatch, capsys):
    at = {"perf_counter": iter([5.0, 7.0, 7.5, 10.5, 11.0]), "process_time": iter([2.0, 4.0, 4.5, 8.5, 8.75])}
    for name, times in at.items():
        monkeypatch.setattr(time, name, lambda times=times: next(times))
    clock = StepClock(replace(TASK, setting=replace(ON_A_GPU, device="cpu"), turns=1))
    clock.stepped()
    clock.stepped()
    with pytest.raises(SystemExit):
        clock.stepped()
    found = Measured.from_line(capsys.readouterr().out)
    assert found.seconds == [2.0, 3.0, 0.5] and found.cpu_seconds == [2.0, 4.0, 0.25]


def test_on_a_cpu_no_gpu_is_asked(monkeypatch):
    gpu = Gpu(monkeypatch)
    for ask in (device_clock.synchronise, device_clock.forget_peaks, device_clock.peaks, device_clock.give_back):
        assert ask("cpu") is None
    assert not gpu.asked


def a_turn(seconds: list[float], **changes) -> Measured:
    values = {
        "seconds": seconds,
        "cpu_seconds": [2 * value for value in seconds],
        "to_first_step": 9.0,
        "peak_bytes": 5 * 2**30,
        "peak_bytes_of_steps": None,
        "peak_allocated": None,
        "peak_reserved": None,
        "remarks": [],
    }
    return Measured(**values | changes)


def test_a_row_leaves_out_the_first_step_of_each_turn():
    turns = [a_turn([50, 1, 2]), a_turn([60, 3, 4], to_first_step=None, peak_allocated=2**30, peak_reserved=2**31)]
    row = speed_table.summarise("ours", turns, batch=4, flops=100, flops_per_second=200)
    assert (row.steps, row.seconds, row.cpu_seconds, row.pictures_per_second) == (4, 2.5, 5, 1.6)
    assert (row.to_first_step, row.peak_gb, row.peak_gb_of_steps) == (9, 5, None)
    assert (row.allocated_gb, row.reserved_gb, row.share_of_limit) == (1, 2, 0.2)


def test_the_tables_have_a_line_for_each_contender():
    ours = speed_table.summarise("ours", [a_turn([9, 1, 1])], 1, 1, 2)
    peft = speed_table.summarise("peft", [a_turn([9, 2, 2], peak_allocated=2**30)], 1, 1, 2)
    head, *lines = speed_table.text_table([ours, peft]).splitlines()
    assert [line.split()[0] for line in lines] == ["ours", "peft"]
    assert {len(line) for line in (head, *lines)} == {len(head)}
    of_ours, of_peft = speed_table.markdown_lines("SD1.5", [ours, peft])
    columns = speed_table.MARKDOWN_HEAD.splitlines()[0].count("|")
    assert of_ours.count("|") == of_peft.count("|") == columns
    assert "2.00 x as fast" in of_peft and "as fast" not in of_ours and "| 1.00 |" in of_peft
