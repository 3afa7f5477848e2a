"""What a contender is to do. Knows no trainer, and so is read in each one's own Python."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """What is trained: the same for every contender."""

    family: str
    """sd15 or sdxl."""
    side: int
    """Pixels."""
    batch: int
    rank: int
    precision: str
    """fp32, bf16 or fp16: of the base model and of the arithmetic. LoRAs are fp32."""
    checkpointing: bool
    """Whether activations are computed again in the backward pass."""
    device: str
    """cpu or cuda."""

    def words(self) -> str:
        """ "SDXL 1024x1024, batch 8, rank 32, bf16, checkpointing" """
        title = {"sd15": "SD1.5", "sdxl": "SDXL"}[self.family]
        checkpointing = ", checkpointing" if self.checkpointing else ""
        return f"{title} {self.side}x{self.side}, batch {self.batch}, rank {self.rank}, {self.precision}{checkpointing}"


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnMode:
    """What only our trainer can do; the others have no such thing and do not look."""

    compile: bool
    cuda_graphs: bool
    """On a GPU, where they are faster: as usual."""
    base: str
    """full, fp8, int8 or nf4: how the frozen weights are kept."""
    offload: bool
    """Whether blocks of the UNet wait in the CPU's memory."""
    optimizer: str
    """AdamW, as everywhere, or AdamW8bit."""

    def words(self) -> str:
        """ ", base model in nf4, AdamW8bit"; nothing where it is as usual."""
        words = [
            "compiled" if self.compile else "",
            "" if self.cuda_graphs else "without CUDA graphs",
            f"base model in {self.base}" if self.base != "full" else "",
            "offloaded" if self.offload else "",
            self.optimizer if self.optimizer != "AdamW" else "",
        ]
        return "".join(f", {word}" for word in words if word)


USUAL = OwnMode(compile=False, cuda_graphs=True, base="full", offload=False, optimizer="AdamW")


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """What one process does: `turns` times `steps` steps, waiting for a line on its input between two turns."""

    contender: str
    setting: Setting
    own: OwnMode
    base: str
    """A checkpoint."""
    pictures: str
    """A folder of square pictures, at least as many as a batch has, with a caption beside each."""
    tokenizer: str
    """CLIP's vocabulary; for those who do not find it beside the base model."""
    steps: int
    turns: int
    holds: bool
    """Whether it waits for a line too when it has loaded, before its first step: then many can load at once."""
    began: float
    """Seconds since 1970 when the process was started."""

    @property
    def all_steps(self) -> int:
        return self.steps * self.turns

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Task:
        value = json.loads(text)
        return cls(**value | {"setting": Setting(**value["setting"]), "own": OwnMode(**value["own"])})

    @classmethod
    def from_command_line(cls) -> Task:
        return cls.from_json(sys.argv[1])
