"""The plan of a run: a dataclass for each part of training, and TrainingPlan, which holds them all."""

from .adapter import AdapterPlan
from .augment import AugmentPlan
from .captions import CaptionPlan
from .ema import EmaPlan
from .loss import LossPlan
from .network import NetworkPlan
from .noise import NoisePlan
from .optimizer import OptimizerPlan
from .plan import TrainingPlan
from .precision import PrecisionPlan
from .samples import SamplePlan
from .saving import SavingPlan
from .schedule import SchedulePlan
from .text import TextPlan
from .timesteps import TimestepPlan
from .validation import ValidationPlan
from .weighting import WeightingPlan

__all__ = [
    "AdapterPlan",
    "AugmentPlan",
    "CaptionPlan",
    "EmaPlan",
    "LossPlan",
    "NetworkPlan",
    "NoisePlan",
    "OptimizerPlan",
    "PrecisionPlan",
    "SamplePlan",
    "SavingPlan",
    "SchedulePlan",
    "TextPlan",
    "TimestepPlan",
    "TrainingPlan",
    "ValidationPlan",
    "WeightingPlan",
]
