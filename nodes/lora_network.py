"""LoRA Network: what kind of LoRA is trained, on which layers, and from where it starts."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from comfy_api.latest import io

from ..trainer_core.training.plan import AdapterPlan
from . import host
from .lora_network_inputs import NO_LORA, lora_network_inputs
from .types import NetworkSocket


class LoraNetwork(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LoraAtelierLoraNetwork",
            display_name="LoRA Network",
            category="LoRA Atelier",
            description="The kind of LoRA, the layers it changes, and the LoRA it starts from. Without this node Train "
            "LoRA makes a plain LoRA, which is right for most.",
            search_aliases=["locon", "lycoris", "loha", "lokr", "dora", "oft", "block weights", "网络", "分层", "網路"],
            inputs=lora_network_inputs(),
            outputs=[NetworkSocket.Output("network", tooltip="For Train LoRA's socket of the same name.")],
        )

    @classmethod
    def execute(
        cls, kind: str, targets: str, conv_rank: int, conv_alpha: float, dropout: float, block_weights: str,
        start_from: str, merge_first: str, lokr_factor: int, rank_stabilised: bool, rank_dropout: float,
        module_dropout: float, max_norm: float,
    ) -> io.NodeOutput:  # fmt: skip
        plan = AdapterPlan(
            kind=kind,
            targets=targets,
            conv_rank=conv_rank,
            conv_alpha=conv_alpha,
            lokr_factor=lokr_factor,
            rank_stabilised=rank_stabilised,
            dropout=dropout,
            rank_dropout=rank_dropout,
            module_dropout=module_dropout,
            max_norm=max_norm,
            block_weights=block_weights,
            start_from="" if start_from == NO_LORA else str(host.find_lora(start_from)),
            merge_first=merge_first,
        )
        return io.NodeOutput(replace(plan, merge_first=_with_paths(plan.merges)))


def _with_paths(merges: Iterable[tuple[Path, float]]) -> str:
    """The plan's text for LoRAs that the user named as Load LoRA lists them."""
    return "\n".join(f"{host.find_lora(str(name))}:{strength}" for name, strength in merges)
