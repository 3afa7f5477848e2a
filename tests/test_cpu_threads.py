"""Where a GPU computes, operations on the CPU take one thread, and those of others as many as before."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from tests.training_jobs import prepared, small_job
from trainer_core import cpu_threads
from trainer_core.cpu_threads import spare, spared
from trainer_core.training.learner import Learner


@pytest.fixture(autouse=True)
def three():
    """Threads, as many as hardly any machine has by itself."""
    usual = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(usual)


def threads_of_another(begin=None):
    with ThreadPoolExecutor(1, initializer=begin) as other:
        return other.submit(torch.get_num_threads).result()


@pytest.mark.parametrize(("device", "within"), [("cuda", 1), ("cuda:1", 1), ("cpu", 3)])
def test_one_is_taken_where_a_gpu_computes_and_only_while_the_context_lasts(device, within):
    with spared(device):
        assert (torch.get_num_threads(), threads_of_another()) == (within, 3)
    with pytest.raises(KeyboardInterrupt), spared(device):
        raise KeyboardInterrupt
    assert (torch.get_num_threads(), threads_of_another()) == (3, 3)


def test_a_thread_that_spares_others_spares_them_alone():
    assert threads_of_another(lambda: spare("cuda")) == 1 and torch.get_num_threads() == 3


def test_a_context_that_another_thread_leaves_takes_no_threads_from_others():
    with spared("cuda"), spared("cuda"):
        assert (torch.get_num_threads(), threads_of_another()) == (1, 3)
    left = spared("cuda")
    left.__enter__()
    with ThreadPoolExecutor(1) as other:
        other.submit(left.__exit__, None, None, None).result()
    with spared("cuda"):  # by the thread that has been left with one
        assert (torch.get_num_threads(), threads_of_another()) == (1, 3)
    assert threads_of_another() == 3


def test_on_a_cpu_nothing_is_set(monkeypatch):
    monkeypatch.setattr(torch, "set_num_threads", None)
    with spared("cpu"):
        spare("cpu")


def test_a_run_takes_and_draws_its_steps_so(tmp_path, monkeypatch):
    monkeypatch.setattr(cpu_threads, "is_gpu", lambda device: True)
    found = {"draw": set(), "step": set()}

    def noting(name):
        real = getattr(Learner, name)

        def noted(*given):
            found[name].add(torch.get_num_threads())
            return real(*given)

        monkeypatch.setattr(Learner, name, noted)

    trainer = prepared(small_job(tmp_path, epochs=2), tmp_path / "runs")
    noting("draw")
    noting("step")
    assert sum(1 for _ in trainer.steps()) > 1
    assert found == {"draw": {1}, "step": {1}} and torch.get_num_threads() == 3
