"""torch's AdamW, which takes parameters that lie behind each other (strip.py) as one: torch has a kernel for every few
dozen of a LoRA's small matrices, and looks at each, which can take longer than a fast GPU's pass."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim.adamw import adamw

from .strip import Strip


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
        if sum(map(len, of_it)) != len(strip.parameters) or not is_even:
            return
        self._counts = counts[0].expand(len(strip.parameters)).clone()
        for parameter, count in zip(strip.parameters, self._counts, strict=True):
            self.state[parameter]["step"] = count
        self._averages = self._moved(strip, "exp_avg"), self._moved(strip, "exp_avg_sq")
        self._states = [self.state[parameter] for parameter in strip.parameters]
        self._strip, self._spans = strip, spans

    def _moved(self, strip: Strip, name: str) -> Tensor:
        """One average of all parameters, of which each state has its part."""
        whole = torch.zeros_like(strip.whole)
        for parameter, part in zip(strip.parameters, strip.parts(whole), strict=True):
            state = self.state[parameter]
            if name in state:
                part.copy_(state[name])
            state[name] = part
        return whole

    @torch.no_grad()
    def step(self) -> None:
        if not self._strip or not self._strip.is_filled() or not self._is_up_to_date():
            self._step_of_each()
            return
        groups, others = self.param_groups, []
        for group, span in zip(groups, self._spans, strict=True):
            if span is None:
                others.append(group)
            else:
                count = self._counts[0].clone()
                self._step_of_span(group, span, count)
        self._counts.copy_(count)
        if others:
            try:
                self.param_groups = others
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

    def _step_of_span(self, group: dict[str, Any], span: slice, count: Tensor) -> None:
        beta1, beta2 = group["betas"]
        first, second = (average[span] for average in self._averages)
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
