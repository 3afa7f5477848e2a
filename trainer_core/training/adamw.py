"""torch's AdamW, which takes parameters that lie behind each other (strip.py) as one: torch has a kernel for every few
dozen of a LoRA's small matrices, and looks at each, which can take longer than a fast GPU's pass."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim.adamw import adamw

from .strip import Strip

_AVERAGES = "exp_avg", "exp_avg_sq"
"""Of gradients and of their squares, as torch names them."""


class AdamW(torch.optim.AdamW):
    """What it remembers is as torch has it: either goes on from the other's state."""

    _strip: Strip | None = None

    @torch.no_grad()
    def take(self, strip: Strip) -> None:
        """From now on, what is remembered of the strip's parameters lies as they do.

        Nothing changes where they do not lie in the order of their groups, or some have learned more often than others.
        """
        spans = [strip.span_of(group["params"]) for group in self.param_groups]
        of_it = [group["params"] for group, span in zip(self.param_groups, spans, strict=True) if span]
        known = [state for parameter in strip.parameters if (state := self.state.get(parameter))]
        counts = torch.stack([state["step"] for state in known]) if known else strip.whole.new_zeros(1)
        is_even = len(known) in (0, len(strip.parameters)) and bool((counts == counts[0]).all())
        if not of_it or sum(map(len, of_it)) != len(strip.parameters) or not is_even:
            return
        # first all that takes memory, which may not be there
        self._averages = {name: torch.zeros_like(strip.whole) for name in _AVERAGES}
        self._counts = counts[0].expand(len(strip.parameters)).clone()
        self._states = [self.state[parameter] for parameter in strip.parameters]
        for name, whole in self._averages.items():
            for state, part in zip(self._states, strip.parts(whole), strict=True):
                if name in state:
                    part.copy_(state[name])
                state[name] = part
        for state, count in zip(self._states, self._counts, strict=True):
            state["step"] = count
        self._strip, self._spans = strip, spans

    @torch.no_grad()
    def step(self) -> None:
        if not self._strip or not self._strip.is_filled() or not self._is_up_to_date():
            self._step_of_each()
            return
        groups, spans = self.param_groups, self._spans
        counts = [self._step_of_span(group, span) for group, span in zip(groups, spans, strict=True) if span]
        self._counts.copy_(counts[0])
        try:
            self.param_groups = [group for group, span in zip(groups, spans, strict=True) if not span]
            super().step()
        finally:
            self.param_groups = groups

    def _is_up_to_date(self) -> bool:
        """Whether states are those that were moved; one that was loaded since is another."""
        pairs = zip(self._strip.parameters, self._states, strict=True)
        return all(self.state.get(parameter) is state for parameter, state in pairs)

    def _step_of_each(self) -> None:
        if self._strip and any(parameter.grad is None for parameter in self._strip.parameters):
            self._strip = None  # some learn more often than others
        super().step()

    def _step_of_span(self, group: dict[str, Any], span: slice) -> Tensor:
        """How many steps it has taken then."""
        count = self._counts[0].clone()
        beta1, beta2 = group["betas"]
        first, second = (self._averages[name][span] for name in _AVERAGES)
        adamw(
            [self._strip.whole[span]],
            [self._strip.whole.grad[span]],
            [first],
            [second],
            [],
            [count],
            fused=True,
            found_inf=getattr(self, "found_inf", None),
            amsgrad=False,
            beta1=beta1,
            beta2=beta2,
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )
        return count
