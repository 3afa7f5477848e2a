"""What gpu_rows.py measures, the most important first."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from trainer_core.training.step_memory import GB

from .task import USUAL, OwnMode, Setting

_SIDES = {"sd15": 512, "sdxl": 1024}
_GB_OF_STEP = {("sd15", 1): 3, ("sd15", 4): 7, ("sd15", 8): 13, ("sdxl", 1): 15, ("sdxl", 4): 41, ("sdxl", 8): 76}
"""Memory of a step without checkpointing, by our trainer's own count for bf16 and rank 32."""
_OTHERS_NEED = 1.3
"""Times as much is left for whoever takes more than that."""
_GB_LOADED = {"sd15": 3, "sdxl": 8}
"""What a contender takes that waits before its first step, with its part of the driver's."""
_LOADING = 6
"""Contenders at a time: three took 60 to 110 s, nine 110, and once eight had not loaded after 186."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One measurement."""

    setting: Setting
    own: OwnMode
    against_others: bool
    """Whether all contenders are measured, or ours alone."""
    steps: int
    """In a turn; the first is not counted."""
    turns: int
    gb: float
    """What ours takes in a step."""

    def words(self) -> str:
        return self.setting.words() + self.own.words()

    def contenders(self, others: Sequence[str]) -> list[str]:
        """Who takes part, of ours and `others`."""
        return ["ours", *others] if self.against_others else ["ours"]


def gpu_cases(device: str, free: int) -> list[Case]:
    """Speed against the others by batch, then what the small modes take, then ours without CUDA graphs and compiled.
    All in bf16.

    `free`: bytes on the device; where a step needs more, all contenders checkpoint.
    """

    def speed(family: str, batch: int, steps: int) -> Case:
        gb = _GB_OF_STEP[family, batch]
        setting = _setting(device, family, batch, rank=32, checkpointing=_OTHERS_NEED * gb * GB > free)
        return Case(setting=setting, own=USUAL, against_others=True, steps=steps, turns=2, gb=gb)

    def otherwise(family: str, batch: int, *, compiles: bool) -> Case:
        own = replace(USUAL, compile=compiles, cuda_graphs=compiles)
        return replace(speed(family, batch, 10), own=own, against_others=False)

    def small(family: str, base: str, *, offload: bool) -> Case:
        setting = _setting(device, family, 1, rank=16, checkpointing=True)
        own = replace(USUAL, base=base, offload=offload, optimizer=_small_optimizer())
        return Case(setting=setting, own=own, against_others=False, steps=4, turns=1, gb=_GB_OF_STEP[family, 1])

    modes = (("fp8", False), ("nf4", False), ("full", True), ("full", False))
    return [
        speed("sd15", 1, 10),
        speed("sdxl", 1, 8),
        speed("sdxl", 8, 5),
        speed("sd15", 8, 8),
        *(small("sdxl", base, offload=offload) for base, offload in modes),
        *(small("sd15", base, offload=offload) for base, offload in modes),
        speed("sdxl", 4, 5),
        speed("sd15", 4, 8),
        otherwise("sd15", 1, compiles=False),
        otherwise("sdxl", 1, compiles=False),
        otherwise("sdxl", 1, compiles=True),
        otherwise("sdxl", 8, compiles=True),
    ]


def loading_together(cases: Sequence[Case], others: Sequence[str], free: int) -> Iterator[list[Case]]:
    """The cases in their order, in groups whose contenders can all be on the device while those of one take turns: ours
    keeps what its CUDA graphs hold while another takes steps. A case that has no room for that is alone.

    Args:
        others: The contenders beside ours.
        free: Bytes on the device.
    """
    group: list[Case] = []
    for case in cases:
        more = [*group, case]
        counts = [len(one.contenders(others)) for one in more]
        loaded = sum(count * _GB_LOADED[one.setting.family] for count, one in zip(counts, more, strict=True))
        steps = max(one.gb * (1 + _OTHERS_NEED if one.against_others else 1) for one in more)
        is_much = (loaded + steps) * GB > free or sum(counts) > _LOADING
        if group and is_much:
            yield group
            group = []
        group.append(case)
    if group:
        yield group


def _setting(device: str, family: str, batch: int, *, rank: int, checkpointing: bool) -> Setting:
    return Setting(
        family=family,
        side=_SIDES[family],
        batch=batch,
        rank=rank,
        precision="bf16",
        checkpointing=checkpointing,
        device=device,
    )


def _small_optimizer() -> str:
    """AdamW8bit where its package is."""
    return "AdamW8bit" if importlib.util.find_spec("bitsandbytes") else "AdamW"
