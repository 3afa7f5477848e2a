"""How a picture varies from visit to visit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class AugmentPlan:
    """How a picture varies from visit to visit."""

    flip: bool = False
    """Show every second visit, by chance, mirrored left to right. Not for subjects that are not symmetric."""
