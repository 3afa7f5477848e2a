"""The sockets between the nodes: one per type of the core."""

from dataclasses import dataclass, field

from comfy_api.latest import io

from ..trainer_core.training.plan import NoisePlan, TimestepPlan, WeightingPlan

DatasetSocket = io.Custom("LORA_ATELIER_DATASET")
"""Carries a `Dataset`: paths, captions and crops, never pixels."""

LoraSocket = io.Custom("LORA_ATELIER_LORA")
"""Carries a `TrainedLora`: where a finished run is, never tensors."""

NetworkSocket = io.Custom("LORA_ATELIER_NETWORK")
"""Carries an `AdapterPlan`: what kind of LoRA is trained."""

NoiseAndLossSocket = io.Custom("LORA_ATELIER_NOISE_AND_LOSS")
"""Carries `NoiseAndLossPlans`."""

CaptionOptionsSocket = io.Custom("LORA_ATELIER_CAPTION_OPTIONS")
"""Carries a `CaptionPlan`: how captions vary from visit to visit."""

SamplesSocket = io.Custom("LORA_ATELIER_SAMPLES")
"""Carries a `SamplePlan`: what is drawn while a LoRA trains."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NoiseAndLossPlans:
    """The parts of a TrainingPlan that one node sets: what noise is added, when, and what an error counts there."""

    noise: NoisePlan = field(default_factory=NoisePlan)
    weighting: WeightingPlan = field(default_factory=WeightingPlan)
    timesteps: TimestepPlan = field(default_factory=TimestepPlan)
