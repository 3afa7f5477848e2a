"""What reading the folder met: files it could not use, files it repaired, and what it noticed on the way."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from ..dataset.types import Dataset, DatasetImage, SkippedFile
from ..dataset.wording import FileNames, many, some_of
from .findings import Finding, Level, about


@dataclass(frozen=True, slots=True)
class _Remedy:
    """What to say where a reason or a note matches `pattern`."""

    pattern: str
    meaning: str
    """A few words in its place; empty where its own are plain enough."""
    advice: str
    level: Level = "note"


_SKIPPED = (
    _Remedy(r"not text|plain text|UTF-8|^damaged", "", "Save the captions as plain UTF-8 text", "warn"),
    _Remedy(r"^\w+ cannot be read", "a format this install cannot read", "Save such files as PNG or JPEG", "warn"),
    _Remedy(r"^truncated", "cut short", "Copy or download such files again", "warn"),
    _Remedy(r"^broken", "damaged", "Copy or download such files again, or save them anew", "warn"),
    _Remedy(r"^empty file", "empty", "Copy or download such files again", "warn"),
    _Remedy(r"^too small", "", "Use larger originals; enlarging them would teach the LoRA blur", "warn"),
    _Remedy(r"^too long", "", "Cut out the part that matters", "warn"),
    _Remedy(r"^too large|^larger than", "", "Save such files smaller", "warn"),
    _Remedy(r"not a picture", "", "Download the pictures themselves, or save them as PNG or JPEG", "warn"),
    _Remedy(r"0 repeats$", "", "Put a number above 0 before the folder's name to train them"),
    _Remedy(r"^a link", "", "Copy what the links lead to into the folder"),
    _Remedy(r"permission denied", "", "Give yourself the right to read such files", "warn"),
    _Remedy(r"still being written", "", "Load the dataset again once such files are complete", "warn"),
    _Remedy(r"", "", "Replace such files, or take them out of the folder", "warn"),
)
_NOTES = (
    _Remedy(r"^animated|pages is used", "", "If another one shows your subject better, save that one as a PNG"),
    _Remedy(r"heavy compression", "", "Use better copies: the LoRA learns the JPEG blocks as well", "warn"),
    _Remedy(r"^an? \w+ named", "", "Nothing need be done here; other programs may want the right ending"),
    _Remedy(r"^colours converted", "", "Nothing need be done: models are trained on sRGB"),
    _Remedy(r"colour profile", "", "If the colours look wrong, save such pictures as sRGB"),
    _Remedy(r"^its mask", "", "Repair the mask, or take it away", "warn"),
    _Remedy(r"longer than", "", "Shorten such captions: a text encoder reads some 75 tokens"),
    _Remedy(r"", "", "Look whether that is what you meant"),
)
_NOUNS = {"picture": "file", "caption": "caption file", "folder": "folder"}
_SAID_ELSEWHERE = ("greyscale", "the file ends early")
_REMARKS = (
    _Remedy(r"belongs? to no picture", "", "Name each caption like its picture, or delete it"),
    _Remedy(r"hidden", "", "Nothing need be done"),
    _Remedy(r"more than one dataset", "", "Take such pictures out of all datasets but one"),
    _Remedy(r" share |shared by", "", "Give each its own caption, such as a.png.txt for a.png"),
    _Remedy(r"", "", "Look whether that is what you meant"),
)


def reading_findings(dataset: Dataset, names: FileNames) -> list[Finding]:
    """Skipped files by their reason, repaired pictures, notes of pictures by what they say, remarks on the folder."""
    repaired = [image for image in dataset.images if image.is_repaired]
    return [
        *_skipped(dataset.skipped, names),
        *about(
            "repaired",
            "warn",
            repaired,
            names,
            one="was damaged and is used all the same",
            several="were damaged and are used all the same",
            advice="Look at the lower edge, or copy such files again",
            labels="repaired",
        ),
        *_notes(dataset.images, names),
        *(
            Finding(
                kind="remark",
                level="note",
                text=remark,
                advice=_remedy(_REMARKS, remark).advice,
                values={"remark": remark},
            )
            for remark in dataset.remarks
        ),
    ]


def _skipped(skipped: Sequence[SkippedFile], names: FileNames) -> list[Finding]:
    groups: dict[tuple[str, str, _Remedy], list[SkippedFile]] = defaultdict(list)
    for entry in skipped:
        remedy = _remedy(_SKIPPED, entry.reason)
        groups[entry.kind, remedy.meaning or _without_numbers(entry.reason), remedy].append(entry)
    return [_skipped_alike(entries, remedy, names) for (_, _, remedy), entries in groups.items()]


def _skipped_alike(entries: Sequence[SkippedFile], remedy: _Remedy, names: FileNames) -> Finding:
    files = tuple(names.of(entry.path) for entry in entries)
    why = remedy.meaning or entries[0].reason
    if remedy.meaning.startswith("a format"):
        why += f" ({', '.join(sorted({entry.reason.split()[0] for entry in entries}))})"
    count = many(len(files), _NOUNS[entries[0].kind])
    return Finding(
        kind="skipped",
        level=remedy.level,
        text=f"{count} skipped, {why}: {some_of(files)}",
        advice=remedy.advice,
        files=files,
        labels=tuple(f"skipped: {re.split('[:;,]', entry.reason)[0]}" for entry in entries),
        values={"reason": why},
    )


def _notes(images: Sequence[DatasetImage], names: FileNames) -> list[Finding]:
    groups: dict[str, list[tuple[DatasetImage, str]]] = defaultdict(list)
    for image in images:
        for note in image.notes:
            if not note.startswith(_SAID_ELSEWHERE):
                groups[_without_numbers(note)].append((image, note))
    findings = []
    for members in groups.values():
        remedy = _remedy(_NOTES, members[0][1])
        files = tuple(names.of(image.path) for image, _ in members)
        findings.append(
            Finding(
                kind="reading note",
                level=remedy.level,
                text=f"{members[0][1]} ({many(len(files), 'picture')}): {some_of(files)}",
                advice=remedy.advice,
                files=files,
                labels=tuple(note for _, note in members),
                values={"note": members[0][1]},
            )
        )
    return findings


def _remedy(remedies: Sequence[_Remedy], text: str) -> _Remedy:
    return next(remedy for remedy in remedies if re.search(remedy.pattern, text))


def _without_numbers(text: str) -> str:
    """What two reasons have in common: sizes, shares and quoted names differ from file to file."""
    return re.sub(r"\d+(\.\d+)?|'[^']*'", "#", text)
