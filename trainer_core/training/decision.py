"""What a run decided for its device before its first step, and keeps to when it goes on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from ..fields import read_fields
from ..files import read_json, write_json


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """Whether a way to be faster is taken."""

    is_taken: bool
    line: str
    """What to tell of it."""

    @classmethod
    def kept(cls, path: Path) -> Decision | None:
        """What the run decided before; None where it has not."""
        return read_fields(cls, read_json(path), path.name) if path.is_file() else None

    def keep(self, path: Path) -> None:
        write_json(path, asdict(self))
