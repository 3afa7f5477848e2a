"""A moving average of the LoRA's weights, which is what is kept and sampled (Polyak & Juditsky, 1992)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from ..errors import TrainingError
from .plan.ema import EmaPlan


class WeightAverage:
    """The average of some parameters over the steps. With a decay of 0 it holds nothing and does nothing."""

    def __init__(self, parameters: Sequence[nn.Parameter], plan: EmaPlan) -> None:
        """Begins as the parameters are now; make it once they have their start weights."""
        self.plan = plan
        self._parameters = list(parameters) if plan.decay else []
        self._average = [parameter.detach().clone() for parameter in self._parameters]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after optimizer step `step`, counted from 1.

        The decay d gives average = d * average + (1 - d) * weights; while warming up, d is at most
        (1 + step) / (10 + step), as in TensorFlow's ExponentialMovingAverage.
        """
        if self._average:
            decay = min(self.plan.decay, (1 + step) / (10 + step)) if self.plan.warm_up else self.plan.decay
            torch._foreach_lerp_(self._average, self._parameters, 1 - decay)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """The parameters hold the average while the context lasts, and then exactly what they held before."""
        trained = [parameter.detach().clone() for parameter in self._parameters]
        self._fill(self._average)
        try:
            yield
        finally:
            self._fill(trained)

    def tensors(self) -> dict[str, Tensor]:
        """The average for the resumable state: copies on the CPU, by the place of each parameter."""
        return {str(place): tensor.to("cpu", copy=True) for place, tensor in enumerate(self._average)}

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from what `tensors` gave.

        Raises:
            TrainingError: one is missing or has another shape.
        """
        for place, average in enumerate(self._average):
            tensor = tensors.get(str(place))
            if tensor is None or tensor.shape != average.shape:
                raise TrainingError("the saved average is not of this LoRA. Delete the run's folder to start it anew.")
            average.copy_(tensor)

    @torch.no_grad()
    def _fill(self, tensors: Sequence[Tensor]) -> None:
        for parameter, tensor in zip(self._parameters, tensors, strict=True):
            parameter.copy_(tensor)
