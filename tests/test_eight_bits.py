"""8-bit optimizers with many matrices at a time: what bitsandbytes computes matrix by matrix, to the bit."""

from __future__ import annotations

import copy

import pytest
import torch

from trainer_core.training import eight_bits
from trainer_core.training.eight_bits import in_bins

bitsandbytes = pytest.importorskip("bitsandbytes")

KINDS = {"AdamW": bitsandbytes.optim.AdamW8bit, "Lion": bitsandbytes.optim.Lion8bit}
SHAPES = [(32, 320), (320, 32), (10, 411), (7,), (16, 2560), (1280,), (10, 411), (5000,), (32, 320)]
"""Whole blocks and parts of one, what is remembered in 32 bits, and matrices that begin behind a gap."""
GROUPS = [slice(0, 5), slice(5, None)]


class Walk:
    """An optimizer and its matrices, whose gradients are the same in every walk."""

    def __init__(self, kind, shapes=SHAPES):
        torch.manual_seed(1)
        self.matrices = [torch.nn.Parameter(torch.randn(shape)) for shape in shapes]
        groups = [{"params": self.matrices[part], "lr": rate} for part, rate in zip(GROUPS, (1e-2, 1e-3), strict=True)]
        self.optimizer = kind(groups, weight_decay=0.1)

    def go(self, steps, without=()):
        """Take steps with these numbers; `without`: matrices that have no gradient then, and one has zeros at first."""
        for step in steps:
            generator = torch.Generator().manual_seed(step)
            for place, matrix in enumerate(self.matrices):
                gradient = torch.randn(matrix.shape, generator=generator) * (place != 2 or step > 1)
                matrix.grad = None if place in without else gradient
            self.optimizer.step()
        return self

    def go_on_from(self, other):
        """With the weights of another walk, and its state as it comes from a file."""
        with torch.no_grad():
            for own, theirs in zip(self.matrices, other.matrices, strict=True):
                own.copy_(theirs)
                self.optimizer.state[own] = copy.deepcopy(other.optimizer.state[theirs])
        return self

    def numbers(self):
        states = [self.optimizer.state[matrix] for matrix in self.matrices]
        assert len(self.optimizer.state) == len(self.matrices)
        return [self.matrices, *([state[name] for state in states] for name in ("step", "state1"))] + [
            [state[name] for state in states if name in state] for name in ("state2", "absmax1", "absmax2")
        ]


def assert_same(first, second):
    for own, others in zip(first.numbers(), second.numbers(), strict=True):
        assert len(own) == len(others)
        assert all(torch.equal(torch.as_tensor(a), torch.as_tensor(b)) for a, b in zip(own, others, strict=True))


@pytest.mark.parametrize("name", KINDS)
def test_steps_are_those_of_bitsandbytes_to_the_bit(name):
    own, reference = Walk(in_bins(KINDS[name])), Walk(KINDS[name])
    assert_same(own.go(range(6)), reference.go(range(6)))


@pytest.mark.parametrize("name", KINDS)
def test_a_matrix_without_a_gradient_is_left_alone(name):
    walks = [Walk(kind).go([0, 1]).go([2, 3], without=(1, 8)).go([4]) for kind in (in_bins(KINDS[name]), KINDS[name])]
    assert walks[0].optimizer.state[walks[0].matrices[1]]["step"] == 3
    assert_same(*walks)


def test_matrices_that_never_have_a_gradient_keep_no_other_from_the_bins():
    """As those of CLIP's last layer, where clip skip leaves it out."""
    walks = [Walk(kind).go(range(3), without=(1, 8)) for kind in (in_bins(KINDS["AdamW"]), KINDS["AdamW"])]
    assert sum(len(bin_._matrices) for bin_ in walks[0].optimizer._bins) == len(SHAPES) - 2
    assert all(map(torch.equal, walks[0].matrices, walks[1].matrices))
    assert_same(*(walk.go([3]) for walk in walks))


def test_matrices_that_have_learned_as_often_again_are_together_again():
    evens, odds = range(0, len(SHAPES), 2), range(1, len(SHAPES), 2)
    walks = [
        Walk(kind).go([0]).go([1], without=evens).go([2], without=odds).go([3])
        for kind in (in_bins(KINDS["AdamW"]), KINDS["AdamW"])
    ]
    assert walks[0].optimizer._bins
    assert_same(*walks)


def test_a_step_without_any_gradient_changes_nothing():
    walk = Walk(in_bins(KINDS["AdamW"])).go([0]).go([1], without=range(len(SHAPES)))
    assert_same(walk, Walk(KINDS["AdamW"]).go([0]))
    assert_same(walk.go([2]), Walk(KINDS["AdamW"]).go([0, 2]))


def test_blocks_of_another_size_are_left_to_bitsandbytes(monkeypatch):
    monkeypatch.setattr(eight_bits, "_BLOCK", 2048)  # as if bitsandbytes' were others than ours
    walk = Walk(in_bins(KINDS["AdamW"])).go(range(2))
    assert not walk.optimizer._bins
    assert_same(walk, Walk(KINDS["AdamW"]).go(range(2)))


@pytest.mark.parametrize("name", KINDS)
def test_either_goes_on_from_the_others_state(name):
    reference = Walk(KINDS[name]).go(range(5))
    kinds = KINDS[name], in_bins(KINDS[name])
    for first, second in (kinds, kinds[::-1]):
        assert_same(Walk(second).go_on_from(Walk(first).go(range(3))).go([3, 4]), reference)


def test_a_state_loaded_between_steps_counts():
    """What lay in the bins before it does not."""
    walk = Walk(in_bins(KINDS["AdamW"])).go(range(2))
    other = Walk(KINDS["AdamW"]).go(range(7, 10))
    assert_same(walk.go_on_from(other).go([3]), other.go([3]))


def test_bitsandbytes_is_asked_for_bins_and_never_waits(monkeypatch):
    asked = []
    kind = in_bins(KINDS["AdamW"])
    real = kind.update_step
    monkeypatch.setattr(
        kind, "update_step", lambda self, group, p, *at: asked.append(p.numel()) or real(self, group, p, *at)
    )
    monkeypatch.setattr("bitsandbytes.optim.optimizer.sync_gpu", lambda tensor: pytest.fail("waits for the GPU"))
    Walk(kind, SHAPES * 20).go([0])
    assert len(asked) == 4  # two groups, of each what is remembered in 8 and in 32 bits


def test_a_bin_is_no_larger_than_it_may_be(monkeypatch):
    monkeypatch.setattr(eight_bits, "_MOST", 12_000)
    own = Walk(in_bins(KINDS["AdamW"])).go(range(3))
    sizes = [bin_.length for bin_ in own.optimizer._bins]
    assert sorted(sizes) == [
        7,
        1280,
        17 * 256,
        17 * 256 + 20 * 256,
        10240,
        10240,
        10240,
        40960,
    ]  # the last is one alone
    assert {bin_.whole.untyped_storage().nbytes() for bin_ in own.optimizer._bins} == {2 * 4 * max(sizes)}
    assert_same(own, Walk(KINDS["AdamW"]).go(range(3)))
