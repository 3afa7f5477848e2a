"""How far a long stage has come. Stages are generators that yield this; whoever drives them shows it or stops them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class StageReport:
    """Progress of one stage."""

    stage: str
    done: int
    total: int
