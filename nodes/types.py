"""The sockets between the nodes: one per type of the core."""

from comfy_api.latest import io

DatasetSocket = io.Custom("LORA_ATELIER_DATASET")
"""Carries a `Dataset`: paths, captions and crops, never pixels."""

LoraSocket = io.Custom("LORA_ATELIER_LORA")
"""Carries a `TrainedLora`: where a finished run is, never tensors."""
