"""Parameters in one piece: what is done with them at once is what is done with each."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from trainer_core.training import adamw as adamw_module
from trainer_core.training.adamw import AdamW
from trainer_core.training.strip import Strip

SHAPES = [(8, 40), (40, 8), (3, 7), (5,), (16, 64), (64, 16)]


def parameters(shapes=SHAPES) -> list[nn.Parameter]:
    torch.manual_seed(1)
    return [nn.Parameter(torch.randn(shape)) for shape in shapes]


def draw_gradients(of: list[nn.Parameter], step: int, strip: Strip | None = None) -> None:
    """The same in every walk; where there is a strip, in their places."""
    if strip:
        strip.place_gradients()
    generator = torch.Generator().manual_seed(step)
    for parameter in of:
        gradient = torch.randn(parameter.shape, generator=generator)
        if strip and any(parameter is one for one in strip.parameters):
            parameter.grad.copy_(gradient)
        else:
            parameter.grad = gradient


# -------------------------------------------------------------------------------------------------------------- a strip


def test_parameters_keep_their_values_and_are_parts_of_one_matrix():
    found, before = parameters(), parameters()
    strip = Strip(found)
    assert all(map(torch.equal, found, before))
    strip.whole.mul_(2)
    assert all(torch.equal(one, 2 * other) for one, other in zip(found, before, strict=True))
    assert all(one.data_ptr() % 256 == strip.whole.data_ptr() % 256 for one in found)
    assert strip.whole.norm() == pytest.approx(float(torch.cat([one.detach().flatten() for one in found]).norm()))


def test_gradients_are_placed_with_what_is_there_so_far():
    found = parameters()
    strip = Strip(found)
    assert not strip.is_filled()
    strip.place_gradients()
    assert strip.is_filled() and not strip.whole.grad.any()
    found[0].grad.fill_(3)
    found[1].grad = torch.full_like(found[1], 2)
    found[2].grad = None
    assert not strip.is_filled()
    strip.gradients[2].fill_(9)
    strip.place_gradients()
    assert strip.is_filled()
    assert [float(one.grad.mean()) for one in found] == [3, 2, 0, 0, 0, 0]
    assert strip.whole.grad.sum() == pytest.approx(3 * 320 + 2 * 320)
    for one in found:
        one.grad = None
    strip.place_gradients()
    assert not strip.whole.grad.any(), "those of the step before"


def test_numbers_that_clipping_left_between_them_do_not_stay():
    """A norm that is no number makes such of zeros too; then some passes come by other ways."""
    found = parameters()
    strip = Strip(found)
    strip.place_gradients()
    found[0].grad[0, 0] = float("nan")
    torch.nn.utils.clip_grad_norm_([strip.whole], 1.0)
    assert strip.whole.grad.isnan().all()
    for one in found:
        one.grad = torch.ones_like(one)
    strip.place_gradients()
    assert strip.whole.grad.sum() == sum(one.numel() for one in found)


def test_a_strip_of_nothing_holds_nothing():
    strip = Strip([])
    strip.place_gradients()
    assert not strip.is_filled() and not len(strip.whole)
    walk = Walk()
    walk.optimizer.take(strip)
    assert_same(walk.go(0), Walk(torch.optim.AdamW).go(0))


def test_who_lets_go_holds_no_gradients():
    strip = Strip(parameters())
    strip.place_gradients()
    strip.let_go()
    assert strip.whole.grad is None and not strip.is_filled()


def test_a_span_is_of_parameters_behind_each_other():
    found = parameters()
    strip, other = Strip(found), parameters()[0]
    assert strip.span_of(found) == slice(0, len(strip.whole))
    assert strip.span_of(found[1:3]) == slice(320, 320 + 320 + 64)
    assert strip.span_of([found[1], found[3]]) is None and strip.span_of(found[1::-1]) is None
    assert strip.span_of([*found, other]) is None
    assert strip.with_others([other, *found])[0] is strip.whole and len(strip.with_others([other, *found])) == 2


# ---------------------------------------------------------------------------------------------------------------- AdamW


class Walk:
    """An optimizer of two groups, and what it trains; `others` are not of the strip."""

    def __init__(self, kind=AdamW, *, others: int = 0, **options):
        self.parameters = parameters([*SHAPES, *SHAPES[:others]])
        cut = len(SHAPES)
        groups = [self.parameters[:2], self.parameters[2:cut], self.parameters[cut:]]
        self.optimizer = kind(
            [{"params": group, "lr": 10.0**-place} for place, group in enumerate(groups, 2) if group],
            weight_decay=0.1,
            betas=(0.8, 0.95),
            fused=True,
            **options,
        )
        self.strip = None

    def in_one(self):
        self.strip = Strip(self.parameters[: len(SHAPES)])
        self.optimizer.take(self.strip)
        return self

    def go(self, *steps, bad=(), without=()):
        for step in steps:
            draw_gradients(self.parameters, step, self.strip)
            for place in without:
                self.parameters[place].grad = None
            self.optimizer.found_inf = torch.tensor(float(step in bad))
            self.optimizer.step()
            for parameter in self.parameters:
                parameter.grad = None
        return self

    def numbers(self):
        states = [self.optimizer.state[parameter] for parameter in self.parameters]
        return [*self.parameters, *(state[name] for state in states for name in ("exp_avg", "exp_avg_sq", "step"))]


@pytest.fixture
def calls(monkeypatch):
    """How many matrices each call took."""
    found = []
    real = adamw_module.adamw
    monkeypatch.setattr(adamw_module, "adamw", lambda *given, **named: found.append(1) or real(*given, **named))
    return found


def assert_same(one: Walk, other: Walk) -> None:
    for own, theirs in zip(one.numbers(), other.numbers(), strict=True):
        torch.testing.assert_close(own, theirs, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("others", [0, 2])
def test_steps_are_torchs(others, calls):
    assert_same(Walk(others=others).in_one().go(*range(5)), Walk(torch.optim.AdamW, others=others).go(*range(5)))
    assert len(calls) == 5 * 2, "one for each group"


def test_a_step_that_is_not_finite_changes_nothing(calls):
    assert_same(Walk(others=1).in_one().go(0, 1, 2, bad=[1]), Walk(torch.optim.AdamW, others=1).go(0, 1, 2, bad=[1]))
    assert Walk().in_one().go(0, 1, 2, bad=[1]).optimizer._counts.tolist() == [2.0] * len(SHAPES)


def test_a_run_goes_on_from_what_each_remembers(calls):
    walk, reference = Walk().go(0, 1).in_one(), Walk(torch.optim.AdamW).go(*range(4))
    assert_same(walk.go(2, 3), reference)
    assert len(calls) == 2 * 2


def test_what_was_loaded_meanwhile_counts(calls):
    walk, other = Walk().in_one().go(0), Walk(torch.optim.AdamW).go(5, 6)
    with torch.no_grad():
        for own, theirs in zip(walk.parameters, other.parameters, strict=True):
            own.copy_(theirs)
            walk.optimizer.state[own] = copy.deepcopy(other.optimizer.state[theirs])
    assert_same(walk.go(7), other.go(7))
    assert len(calls) == 2, "of the first step only"


def test_gradients_elsewhere_and_parameters_without_one_are_torchs_to_update(calls):
    walk, reference = Walk().in_one().go(0), Walk(torch.optim.AdamW).go(0)
    strip, walk.strip = walk.strip, None
    walk.go(1)
    walk.strip = strip
    assert_same(walk.go(2), reference.go(1, 2))
    assert len(calls) == 2 * 2, "the first and the last"
    assert_same(walk.go(3, without=[2]).go(4), reference.go(3, without=[2]).go(4))
    assert len(calls) == 2 * 2, "some have learned more often than others"


def test_what_does_not_lie_in_the_order_of_the_groups_is_torchs_to_update(calls):
    walk = Walk()
    walk.strip = Strip(walk.parameters[::-1])
    walk.optimizer.take(walk.strip)
    assert_same(walk.go(0, 1), Walk(torch.optim.AdamW).go(0, 1))
    assert not calls


def test_what_has_learned_more_often_than_the_rest_is_torchs_to_update(calls):
    walk, reference = Walk().go(0, without=[1]), Walk(torch.optim.AdamW).go(0, without=[1])
    assert_same(walk.in_one().go(1), reference.go(1))
    some, reference = Walk().go(0, without=range(4)), Walk(torch.optim.AdamW).go(0, without=range(4))
    assert_same(some.in_one().go(1), reference.go(1))
    assert not calls, "some have another count, or none"


def test_its_state_is_torchs(calls):
    walk, other = Walk().in_one().go(0, 1), Walk(torch.optim.AdamW)
    other.optimizer.load_state_dict(copy.deepcopy(walk.optimizer.state_dict()))
    with torch.no_grad():
        for own, theirs in zip(other.parameters, walk.parameters, strict=True):
            own.copy_(theirs)
    assert_same(other.go(2), walk.go(2))
