"""The plan of a run: a dataclass for each part of training, and TrainingPlan, which holds them all."""

from .augment import AugmentPlan
from .loss import LossPlan
from .network import NetworkPlan
from .optimizer import OptimizerPlan
from .plan import TrainingPlan
from .precision import PrecisionPlan
from .saving import SavingPlan
from .schedule import SchedulePlan
from .text import TextPlan

__all__ = [
    "AugmentPlan",
    "LossPlan",
    "NetworkPlan",
    "OptimizerPlan",
    "PrecisionPlan",
    "SavingPlan",
    "SchedulePlan",
    "TextPlan",
    "TrainingPlan",
]
