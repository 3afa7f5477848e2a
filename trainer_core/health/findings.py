"""What a check finds: how bad it is, what it is, what to do, and which files it is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from ..dataset.types import DatasetImage
from ..dataset.wording import FileNames, some_of

Level = Literal["stop", "warn", "note"]
"""stop: repair it before training. warn: look at it. note: worth knowing."""
LEVELS: tuple[Level, ...] = get_args(Level)


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that was noticed."""

    kind: str
    """A name for programs: "blurred", "near duplicate"."""
    level: Level
    text: str
    """What was found, with the names of a few of its files; no full stop."""
    advice: str
    """What to do about it; no full stop."""
    files: tuple[str, ...] = ()
    """All files it is about, named as `FileNames` names them; none if it is about the whole set."""
    labels: tuple[str, ...] = ()
    """What the proof sheet says below each of `files`, a few words."""
    case: str = ""
    """Which sentence `text` is, where the kind has several: for saying it in another language."""
    values: Mapping[str, str | int] = field(default_factory=dict)
    """What `text` and `advice` fill in beside the number of files."""

    @property
    def line(self) -> str:
        return f"{self.level}: {self.text}. {self.advice}."

    def to_json(self) -> dict[str, Any]:
        value = asdict(self)
        return {**value, "files": list(self.files), "labels": list(self.labels), "values": dict(self.values)}


def worst_first(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """By level; within a level in the order in which the checks ran."""
    return tuple(sorted(findings, key=lambda finding: LEVELS.index(finding.level)))


def about(
    kind: str,
    level: Level,
    images: Sequence[DatasetImage],
    names: FileNames,
    *,
    one: str,
    several: str,
    advice: str,
    labels: Sequence[str] | str,
    values: Mapping[str, str | int] | None = None,
) -> list[Finding]:
    """A finding about some pictures; none if there are no pictures.

    `one` is what is wrong with one picture ("is blurred"), `several` the same of more ("are blurred"). One label
    may stand for all.
    """
    if not images:
        return []
    files = tuple(names.of(image.path) for image in images)
    subject = f"1 picture {one}" if len(images) == 1 else f"{len(images):,} pictures {several}"
    labels = (labels,) * len(files) if isinstance(labels, str) else tuple(labels)
    return [
        Finding(
            kind=kind,
            level=level,
            text=f"{subject}: {some_of(files)}",
            advice=advice,
            files=files,
            labels=labels,
            values=values or {},
        )
    ]
