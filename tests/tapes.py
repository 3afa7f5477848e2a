"""A tape in place of a GPU's graph: it repeats the same operations on the same memory, and knows nothing of the Python
that led to them."""

from __future__ import annotations

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Tape(TorchDispatchMode):
    """Notes every operation with the memory it read and wrote."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, called, types, args=(), kwargs=None):
        answer = called(*args, **(kwargs or {}))
        self.calls.append((called, args, kwargs or {}, answer))
        return answer

    @torch.no_grad()
    def replay(self) -> None:
        for called, args, kwargs, answer in self.calls:
            again = called(*args, **kwargs)
            for place, tensor in zip(tree_leaves(answer), tree_leaves(again), strict=True):
                if torch.is_tensor(place) and place.data_ptr() != tensor.data_ptr():
                    place.copy_(tensor)


class OnTape:
    """A recorder that records nothing of a GPU."""

    is_short_of_memory = False
    recorded_by_all = 0

    def __init__(self) -> None:
        self.recorded = self.forgotten = 0

    def record(self, run):
        run()  # as a GPU warms up
        tape = Tape()
        with tape:
            run()
        self.recorded += 1
        OnTape.recorded_by_all += 1
        return tape.replay

    def is_in_the_way(self) -> bool:
        return self.is_short_of_memory

    def forget(self) -> None:
        self.forgotten += 1


AS_ON_A_GPU = {
    "trainer_core.training.loop.is_gpu": lambda device: True,
    "trainer_core.training.graph_trial.GpuRecorder": lambda device: OnTape(),
    "trainer_core.training.graph_trial._seconds": lambda learner, part, learn: 1.0 if learn == learner.learn else 0.5,
}
"""What a CPU is to have in its place to be a GPU whose graphs are faster."""
