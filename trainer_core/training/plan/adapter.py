"""What kind of adapter is trained, on which layers, and from where it starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ...errors import TrainingError
from ...lora.block_weights import BlockWeights, read_block_weights
from .checks import require

Kind = Literal["lora", "dora", "loha", "lokr", "oft"]
TargetSet = Literal["attention and mlp", "attention", "with convolutions"]


@dataclass(frozen=True, kw_only=True, slots=True)
class AdapterPlan:
    """What kind of adapter is trained, on which layers, and from where it starts."""

    kind: Kind = "lora"
    """lora: two small matrices; what everything reads, and the right choice unless you know why not.
    dora: lora that also learns the size of each input's weights; slower, closer to full training at low rank.
    loha: a product of two LoRAs, much richer at the same rank: use rank 4-16.
    lokr: Kronecker product, the smallest files.
    oft: turns each layer's outputs and stretches nothing; rank is the size of the blocks that turn together."""
    targets: TargetSet = "attention and mlp"
    """Which layers get an adapter. attention and mlp: kohya's default. attention: queries, keys, values and
    outputs only; smaller, learns less of style. with convolutions: also the residual blocks and samplers of the
    UNet (kohya's conv_dim, LoCon); larger, for styles with texture of their own."""
    conv_rank: int = 8
    """Rank of 3x3 convolutions, where they are trained. Half the rank or less is usual."""
    conv_alpha: float = 4.0
    """Alpha of 3x3 convolutions."""
    lokr_factor: int = 0
    """Size of lokr's first matrix: larger values learn finer detail in a smaller file, 4-8 is usual.
    0: as square as possible, the smallest file."""
    rank_stabilised: bool = False
    """Scale by alpha / sqrt(rank) instead of alpha / rank (rsLoRA, Kalajdzievski, arXiv:2312.03732), so that high
    ranks learn as fast as low ones. Lower alpha or the rate when you switch it on."""
    dropout: float = 0.0
    """Chance that each value inside a lora or dora adapter is left out of a step, 0 to below 1. 0.1 against
    overfitting on few pictures."""
    rank_dropout: float = 0.0
    """Chance that each rank (for loha and lokr: each output channel) is left out of a step. 0.1-0.3 is usual."""
    module_dropout: float = 0.0
    """Chance that each adapter as a whole is left out of a step. 0.1-0.3 is usual."""
    max_norm: float = 0.0
    """Longest weight change of a layer; longer ones are scaled down to it after each step (kohya's
    scale_weight_norms). 1 keeps LoRAs that are stacked from drowning each other; 0: no limit."""
    block_weights: str = ""
    """Factors of the learning rate for blocks of the UNet, such as "IN00-03=0, MID=0.5"; 0 leaves a block out.
    kohya's lists (down_lr_weight=… or 25 numbers) are read as well. Empty: 1 everywhere."""
    start_from: str = ""
    """LoRA file to go on from: of the same kind, targets and rank. Empty: start anew."""
    merge_first: str = ""
    """LoRA files merged into the base model before training, as "file:strength", one a line or separated by ";".
    The new LoRA then learns only what these do not know, and is used together with them."""

    @property
    def blocks(self) -> BlockWeights:
        return read_block_weights(self.block_weights)

    @property
    def merges(self) -> tuple[tuple[Path, float], ...]:
        """(file, strength) of each LoRA to be merged first; the strength is 1 where none is given."""
        entries = self.merge_first.replace(";", "\n").splitlines()
        return tuple(_merge(entry.strip()) for entry in entries if entry.strip())

    @property
    def files(self) -> list[Path]:
        """Every LoRA file that the run is made of; with other bytes in one of them it is another run."""
        start = [Path(self.start_from)] if self.start_from else []
        return [*start, *(path for path, _ in self.merges)]

    @property
    def drops_out(self) -> bool:
        """Whether anything is left out of a step by chance."""
        return bool(self.dropout or self.rank_dropout or self.module_dropout)

    def __post_init__(self) -> None:
        require(1 <= self.conv_rank <= 1024, "conv rank", self.conv_rank, "between 1 and 1024", "8 is usual")
        require(self.conv_alpha > 0, "conv alpha", self.conv_alpha, "above 0", f"try {self.conv_rank / 2:g}")
        require(0 <= self.lokr_factor <= 1024, "lokr factor", self.lokr_factor, "between 0 and 1024", "0 will do")
        for name, chance in (
            ("dropout", self.dropout),
            ("rank dropout", self.rank_dropout),
            ("module dropout", self.module_dropout),
        ):
            require(0 <= chance < 1, name, chance, "at least 0 and below 1", "0.1 is usual")
        require(self.max_norm >= 0, "max norm", self.max_norm, "0 or more", "1 is usual, 0 sets no limit")
        self._refuse_what_a_kind_does_not_have()
        self.blocks, self.merges  # noqa: B018 - reading them is the check

    def _refuse_what_a_kind_does_not_have(self) -> None:
        has_ranks = self.kind in ("lora", "dora")
        for name, is_set, kinds in (
            ("dropout", self.dropout, has_ranks),
            ("rank dropout", self.rank_dropout, self.kind != "oft"),
            ("max norm", self.max_norm, self.kind != "oft"),
            ("rank stabilisation", self.rank_stabilised, self.kind != "oft"),
            ("lokr factor", self.lokr_factor, self.kind == "lokr"),
        ):
            if is_set and not kinds:
                raise TrainingError(f"{self.kind} has no {name}. Set it to {_unset(is_set)}, or choose another kind.")


def _unset(value: float) -> str:
    return "false" if value is True else "0"


def _merge(entry: str) -> tuple[Path, float]:
    name, _, number = entry.rpartition(":")
    try:
        path, strength = (Path(name), float(number)) if name else (Path(number), 1.0)
    except ValueError:  # a path with a colon in it, such as C:\loras\mochi.safetensors
        path, strength = Path(entry), 1.0
    require(-10 <= strength <= 10, f"merge strength of {path.name}", strength, "between -10 and 10", "1 is full effect")
    return path, strength
