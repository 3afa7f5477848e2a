"""Dataclasses to JSON, and from it, strictly: a field that is not known or not of its type is refused by name."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any, Literal

from .errors import TrainingError


def read_fields(cls: type, value: Any, where: str) -> Any:
    """Build dataclass `cls` from a dict; fields left out keep their defaults. `where` names the place in messages.

    Raises:
        TrainingError: an unknown field, or a value of the wrong type, by name.
    """
    if not isinstance(value, dict):
        raise TrainingError(f"{where} must be an object with named fields, got {value!r}.")
    known = typing.get_type_hints(cls)
    if unknown := sorted(set(value) - set(known)):
        raise TrainingError(f"{where} has no field {unknown[0]!r}. It has: {', '.join(known)}.")
    return cls(**{name: check_field(known[name], entry, f"{where}.{name}") for name, entry in value.items()})


def field_values(instance: Any) -> dict[str, Any]:
    """The fields of a dataclass with slots as they are, by name; `dataclasses.asdict` copies all that is in them."""
    return {name: getattr(instance, name) for name in instance.__slots__}


def check_field(expected: Any, entry: Any, where: str) -> Any:
    """`entry` as a value of the type `expected`: a whole number may stand for a number, an object for a dataclass.

    Raises:
        TrainingError: it is of another type, or too large a number; `where` says which.
    """
    if dataclasses.is_dataclass(expected):
        return read_fields(expected, entry, where)
    if typing.get_origin(expected) is Literal:
        if entry not in typing.get_args(expected):
            raise TrainingError(f"{where} must be one of {', '.join(typing.get_args(expected))}; got {entry!r}.")
        return entry
    if typing.get_origin(expected) in (typing.Union, types.UnionType):
        return None if entry is None else check_field(typing.get_args(expected)[0], entry, where)
    if type(entry) is int and abs(entry) >= _TOO_LARGE:
        raise TrainingError(f"{where} is too large a number: it has {len(str(abs(entry)))} digits.")
    if expected is float and type(entry) is int:
        return float(entry)
    if type(entry) is not expected:
        raise TrainingError(f"{where} must be {_KINDS[expected]}, got {entry!r}.")
    return entry


_TOO_LARGE = 2**64
_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
