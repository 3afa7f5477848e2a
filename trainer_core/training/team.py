"""The processes that train one run together, one for each GPU, as torchrun starts them.

Each takes a share of every step's pictures (shares.py), their gradients are added up, and all take the same optimizer
step. Only the first one writes. What they agree on goes over the CPU (gloo), gradients over the GPU (NCCL) where there
is one. Nothing that is sent is ever unpickled.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

import torch
from torch import Tensor, distributed, nn

from ..devices import is_gpu
from ..errors import TrainingError
from .strip import Strip
from .troubles import is_out_of_memory

_PATIENCE = timedelta(hours=6)
"""How long the others wait while the first one draws samples. A process that dies is noticed by torchrun."""
_WORDS = 3
"""Numbers that are agreed on at a time. Always as many, so that a process that leaves meets the others wherever they
wait."""
OTHERS_LEFT = "another process of this run has stopped, and so has this one. The other one says why."


class Team:
    """One process that trains alone: nobody to agree with."""

    rank, size = 0, 1

    @property
    def is_first(self) -> bool:
        """Whether this process keeps the run: writes, measures, draws samples and reports."""
        return self.rank == 0

    def add_up(self, *numbers: float) -> list[float]:
        """The sum of what every process gives, in float64; all wait here for each other.

        Raises:
            TrainingError: another process has left.
        """
        return list(numbers)

    def add_up_losses(self, compute: Callable[[], Tensor], has_strip: Callable[[], bool]) -> tuple[Tensor, bool]:
        """Losses (N) that add up to what all processes together compute, on the device; alone, they are its own. And
        whether every process has a strip once it has computed them.

        Raises:
            torch.OutOfMemoryError: in every process, where memory ran out in any.
        """
        return compute(), has_strip()

    def add_up_gradients(self, parameters: Sequence[nn.Parameter], strip: Strip | None) -> None:
        """Give every process the sum of all gradients; one that no process has stays None.

        Args:
            strip: Which has some of them, if every process has one: theirs stay in their places, and are 0 where no
                process has one.
        """

    def check_alike(self, weights: Sequence[Tensor], step: int) -> None:
        """Compare what all processes hold after `step` steps, bit by bit.

        Raises:
            TrainingError: they differ.
        """

    @contextlib.contextmanager
    def first_alone(self) -> Iterator[None]:
        """What the first process does before the others do it too, in the caches that it has filled."""
        yield

    def leave(self) -> None:
        """Tell the others, who stop where they wait next."""


ALONE = Team()


class Processes(Team):
    """Several processes, each of which does the same in the same order, on its own share."""

    def __init__(self) -> None:
        self.rank, self.size = distributed.get_rank(), distributed.get_world_size()
        self._is_over = False

    def add_up(self, *numbers: float) -> list[float]:
        *sums, left = self._exchange(numbers, has_left=False)
        if left:
            self._is_over = True
            raise TrainingError(OTHERS_LEFT)
        return sums[: len(numbers)]

    def add_up_losses(self, compute: Callable[[], Tensor], has_strip: Callable[[], bool]) -> tuple[Tensor, bool]:
        own, problem = torch.zeros(0), None
        try:
            own = compute()
        except RuntimeError as found:
            if not is_out_of_memory(found):
                raise
            problem = found
        loss, short, strips = self.add_up(sum(own.tolist()), problem is not None, has_strip())
        if problem:
            raise problem
        if short:
            raise torch.OutOfMemoryError("another process has no memory left")
        return own.new_tensor([loss]), strips == self.size

    @torch.no_grad()
    def add_up_gradients(self, parameters: Sequence[nn.Parameter], strip: Strip | None) -> None:
        if strip:
            strip.place_gradients()
            distributed.all_reduce(strip.whole.grad)
            _, *parameters = strip.with_others(parameters)
        if parameters:
            self._add_up(parameters)

    def _add_up(self, parameters: Sequence[nn.Parameter]) -> None:
        """In one go, and behind them for each parameter how many processes have a gradient for it."""
        gradients = [parameter.grad for parameter in parameters]
        filled = [
            torch.zeros_like(parameter) if gradient is None else gradient
            for parameter, gradient in zip(parameters, gradients, strict=True)
        ]
        counts = filled[0].new_tensor([gradient is not None for gradient in gradients])
        flat = torch.cat([*(gradient.flatten() for gradient in filled), counts])
        distributed.all_reduce(flat)
        *sums, counts = flat.split([*(gradient.numel() for gradient in filled), len(counts)])
        for parameter, gradient, count in zip(parameters, sums, counts.tolist(), strict=True):
            parameter.grad = gradient.view_as(parameter) if count else None

    def check_alike(self, weights: Sequence[Tensor], step: int) -> None:
        if self.add_up(step) != [step * self.size]:
            raise TrainingError(
                "the machines of this run do not see the same state. Put the runs folder where all of them see it."
            )
        own = hashlib.blake2b(digest_size=4)
        for weight in weights:
            own.update(weight.detach().cpu().contiguous().view(torch.uint8).numpy())
        number = int.from_bytes(own.digest(), "big")
        if self.add_up(number) != [number * self.size]:
            raise TrainingError(
                f"after step {step} the processes hold different weights. Use GPUs of one kind and the same torch on "
                "every machine; the run goes on from its last state."
            )

    @contextlib.contextmanager
    def first_alone(self) -> Iterator[None]:
        if not self.is_first:
            self.add_up()
        yield
        if self.is_first:
            self.add_up()

    def leave(self) -> None:
        if not self._is_over:
            self._is_over = True
            with contextlib.suppress(RuntimeError):  # they are gone already
                self._exchange((), has_left=True)

    def _exchange(self, numbers: Sequence[float], *, has_left: bool) -> list[float]:
        words = torch.zeros(_WORDS + 1, dtype=torch.float64)
        words[: len(numbers)] = torch.tensor(numbers, dtype=torch.float64)
        words[-1] = has_left
        distributed.all_reduce(words)
        return words.tolist()


@contextlib.contextmanager
def joined(device: str) -> Iterator[Team]:
    """The processes that torchrun started with this one, while the context lasts; without torchrun, this one alone.

    `device`: "cuda" is then a GPU of its own for each process of a machine.

    Raises:
        TrainingError: there are more processes than GPUs, or all were given the same one.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ or os.environ["WORLD_SIZE"] == "1":
        yield ALONE
        return
    is_on_gpu = is_gpu(device)
    if is_on_gpu:
        _take_gpu(torch.device(device), int(os.environ["LOCAL_RANK"]), torch.cuda.device_count())
    has_nccl = is_on_gpu and distributed.is_nccl_available()
    distributed.init_process_group("cpu:gloo,cuda:nccl" if has_nccl else "gloo", timeout=_PATIENCE)
    team = Processes()
    try:
        yield team
    except BaseException:
        team.leave()
        raise
    finally:
        distributed.destroy_process_group()


def _take_gpu(device: torch.device, place: int, gpus: int) -> None:
    if device.index is not None:
        raise TrainingError(f"every process would train on {device}. Give --device cuda, and each takes its own GPU.")
    if place >= gpus:
        raise TrainingError(
            f"this machine has {gpus} GPUs, and more processes were started on it. Set --nproc-per-node to {gpus}."
        )
    torch.cuda.set_device(place)
