"""What a LoRA file holds for one layer, and which kind of adapter that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

_LORA = frozenset(("lora_down.weight", "lora_up.weight"))
_LOKR_W1 = (frozenset(("lokr_w1",)), frozenset(("lokr_w1_a", "lokr_w1_b")))
_LOKR_W2 = (frozenset(("lokr_w2",)), frozenset(("lokr_w2_a", "lokr_w2_b")))
_KINDS = {
    _LORA: "lora",
    _LORA | {"dora_scale"}: "dora",
    frozenset(("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")): "loha",
    **{w1 | w2: "lokr" for w1 in _LOKR_W1 for w2 in _LOKR_W2},
    frozenset(("oft_blocks",)): "oft",
}
_TUCKER = {"hada_t1": "hada_w1", "hada_t2": "hada_w2", "lokr_t2": "lokr_w2"}
"""The core of a decomposed convolution, and the pair of factors it stands between."""


@dataclass(frozen=True, slots=True)
class LoraModule:
    """The tensors of one layer."""

    name: str
    """As before the dot, such as "lora_unet_mid_block_attentions_0_proj_in"."""
    kind: str
    tensors: Mapping[str, Tensor]
    """By name after the dot, without alpha."""
    alpha: float | None
    """None where the file has none."""


def read_module(name: str, tensors: Mapping[str, Tensor]) -> LoraModule | None:
    """A module from its tensors by name after the dot; None where they are of no kind that is known.

    Tucker-decomposed convolutions are multiplied out to the two factors that they amount to. A dora_scale of the
    outputs is not known: programs disagree about the norm that belongs to it.
    """
    found = {suffix: tensor for suffix, tensor in tensors.items() if suffix != "alpha"}
    _multiply_out(found)
    kind = _KINDS.get(frozenset(found))
    if kind is None or (kind == "dora" and found["dora_scale"].shape[0] != 1):
        return None
    alpha = tensors.get("alpha")
    return LoraModule(name, kind, found, None if alpha is None else float(alpha))


def _multiply_out(tensors: dict[str, Tensor]) -> None:
    """core (R, R, kh, kw) between a (R, outputs) and b (R, inputs) -> a (outputs, R) and b (R, inputs * kh * kw)."""
    core = tensors.pop("lora_mid.weight", None)
    if core is not None:  # the one pair whose first factor is not transposed
        down = tensors["lora_down.weight"].flatten(1)
        tensors["lora_down.weight"] = _joined(core, down).reshape(len(core), down.shape[1], *core.shape[2:])
    for name, pair in _TUCKER.items():
        core = tensors.pop(name, None)
        if core is not None:
            tensors[f"{pair}_a"] = tensors[f"{pair}_a"].float().T.contiguous()
            tensors[f"{pair}_b"] = _joined(core, tensors[f"{pair}_b"])


def _joined(core: Tensor, inputs: Tensor) -> Tensor:
    """(R, inputs * kh * kw)."""
    rank, inner, height, width = core.shape
    by_kernel = core.float().permute(0, 2, 3, 1).reshape(-1, inner) @ inputs.float()
    return by_kernel.reshape(rank, height, width, -1).permute(0, 3, 1, 2).flatten(1)
