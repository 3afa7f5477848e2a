"""What a list widget offers: the values that a plan's field can take."""

from typing import get_args, get_type_hints


def choices(plan: type, field: str) -> list[str]:
    """The values of a Literal field, in the plan's order."""
    return list(get_args(get_type_hints(plan)[field]))
