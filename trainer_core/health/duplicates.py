"""Pictures that are in the set more than once: the same file, a copy of it, its mirror image, the same shot again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from ..dataset.types import Dataset, DatasetImage
from ..dataset.wording import FileNames, some_of
from .findings import Finding, Level
from .pictures import FLAT
from .similarity import SAME_SHOT, SIMILAR, Groups, Hashes, alike, duplicates, mirrored

_MOST_OF_ONE_SHOT = 0.3
_LEAST_SHOTS = 3
_MOST_GROUPS_NAMED = 3
_MOST_OF_A_GROUP_NAMED = 4

Copies = list[list[DatasetImage]]
"""Groups of two or more pictures that are alike."""


@dataclass(frozen=True, slots=True)
class _Wording:
    """How one kind of likeness is told."""

    kind: str
    level: Level
    one: str
    several: str
    sign: str
    """Between the names of a group."""
    label: str
    advice: str


_SAME_FILE = _Wording(
    "duplicate", "warn", "is there twice", "are there more than once", " = ", "same file as",
    "Keep one of each, and raise its repeats if it should count for more",
)  # fmt: skip
_COPY = _Wording(
    "near duplicate", "warn", "is nearly the same as another", "are nearly the same as others", " ~ ", "near copy of",
    "Keep the best of each: copies make the LoRA repeat that picture",
)  # fmt: skip
_MIRROR = _Wording(
    "mirrored", "note", "is the mirror image of another", "are mirror images of others", " ~ ", "mirror image of",
    "Take such pictures out, or leave flipping off: they count twice",
)  # fmt: skip
_ALIKE = _Wording(
    "similar", "note", "is much like another", "are much like others", " ~ ", "much like",
    "Keep those that show something the others do not",
)  # fmt: skip
_REGULARISATION = _Wording(
    "regularisation duplicate", "note", "of regularisation is nearly the same as another",
    "of regularisation are nearly the same as others", " ~ ", "near copy of",
    "Use different ones: variety is their purpose",
)  # fmt: skip


def duplicate_findings(dataset: Dataset, names: FileNames) -> list[Finding]:
    """Duplicates of every kind, and sets that are mostly one shot. Flat pictures have no hash and are left out."""
    images = list({image.path: image for image in dataset.images}.values())
    same_files = _by_fingerprint(images)
    distinct = _one_of_each(_shown(images))
    hashes = _hashes(distinct)
    copy_groups = duplicates(hashes)
    copies = _pictures(distinct, copy_groups)
    repeated = {index for group in copy_groups for index in group[1:]}
    originals = [image for index, image in enumerate(distinct) if index not in repeated]
    hashes = _hashes(originals)
    return [
        *_in_both_sets([*same_files, *copies], names),
        *_told(_SAME_FILE, _training(same_files), names),
        *_told(_COPY, _training(copies), names),
        *_told(_MIRROR, _training(_pictures(originals, mirrored(hashes))), names),
        *_told(_ALIKE, _training(_pictures(originals, alike(hashes, SIMILAR))), names),
        *_told(_REGULARISATION, [group for group in (*same_files, *copies) if _is_regularisation(group)], names),
        *_one_shot([image for image in _shown(images) if not image.is_regularisation], names),
    ]


def _shown(images: Sequence[DatasetImage]) -> list[DatasetImage]:
    """Those that show something: the hash of a flat colour is chance."""
    return [image for image in images if image.measures and image.measures.contrast >= FLAT]


def _hashes(images: Sequence[DatasetImage]) -> Hashes:
    return Hashes.of([image.measures for image in images])


def _pictures(images: Sequence[DatasetImage], groups: Groups) -> Copies:
    return [[images[index] for index in group] for group in groups]


def _by_fingerprint(images: Sequence[DatasetImage]) -> Copies:
    groups: dict[str, list[DatasetImage]] = defaultdict(list)
    for image in images:
        groups[image.fingerprint].append(image)
    return [group for group in groups.values() if len(group) > 1]


def _one_of_each(images: Sequence[DatasetImage]) -> list[DatasetImage]:
    """The first picture of each file's content."""
    firsts: dict[str, DatasetImage] = {}
    for image in images:
        firsts.setdefault(image.fingerprint, image)
    return list(firsts.values())


def _training(groups: Copies) -> Copies:
    training = ([image for image in group if not image.is_regularisation] for group in groups)
    return [group for group in training if len(group) > 1]


def _is_regularisation(group: Sequence[DatasetImage]) -> bool:
    return all(image.is_regularisation for image in group)


def _told(wording: _Wording, groups: Copies, names: FileNames) -> list[Finding]:
    """One finding for all groups; the first picture of each counts as the original."""
    if not groups:
        return []
    files, labels = [], []
    for first, second, *others in groups:
        files += [names.of(image.path) for image in (first, second, *others)]
        labels.append(f"{wording.label} {f'{1 + len(others)} others' if others else second.path.name}")
        labels += [f"{wording.label} {first.path.name}"] * (1 + len(others))
    count = len(files) - len(groups)
    subject = f"1 picture {wording.one}" if count == 1 else f"{count:,} pictures {wording.several}"
    return [
        Finding(
            kind=wording.kind,
            level=wording.level,
            text=f"{subject}: {_listed(groups, wording.sign, names)}",
            advice=wording.advice,
            files=tuple(files),
            labels=tuple(labels),
            values={"count": count},
        )
    ]


def _listed(groups: Copies, sign: str, names: FileNames) -> str:
    def joined(group: Sequence[DatasetImage]) -> str:
        shown = [names.of(image.path) for image in group[:_MOST_OF_A_GROUP_NAMED]]
        return sign.join([*shown, f"{len(group) - len(shown):,} more"] if len(group) > len(shown) else shown)

    return some_of(map(joined, groups), _MOST_GROUPS_NAMED)


def _in_both_sets(groups: Copies, names: FileNames) -> list[Finding]:
    """Pictures that are trained with the trigger word and, as regularisation pictures, against it."""
    mixed = [group for group in groups if len({image.is_regularisation for image in group}) == 2]
    if not mixed:
        return []
    files = tuple(dict.fromkeys(names.of(image.path) for group in mixed for image in group))
    return [
        Finding(
            kind="in both sets",
            level="stop",
            text=f"training pictures are regularisation pictures as well: {_listed(mixed, ' = ', names)}",
            advice="Take such pictures out of one of the two: each set undoes what the other teaches",
            files=files,
            labels=("in both sets",) * len(files),
        )
    ]


def _one_shot(images: Sequence[DatasetImage], names: FileNames) -> list[Finding]:
    """Whether much of the set is one shot, such as frames of a video."""
    largest = max(alike(_hashes(images), SAME_SHOT), key=len, default=[])
    if len(largest) < _LEAST_SHOTS or len(largest) <= _MOST_OF_ONE_SHOT * len(images):
        return []
    files = tuple(names.of(images[index].path) for index in largest)
    return [
        Finding(
            kind="same shot",
            level="warn",
            text=f"{len(files):,} of {len(images):,} pictures are nearly the same shot "
            f"({len(files) / len(images):.0%}): {some_of(files)}",
            advice="Keep the best two or three, and add other angles, distances, poses, light and backgrounds",
            files=files,
            labels=("same shot",) * len(files),
            values={"total": len(images), "share": f"{len(files) / len(images):.0%}"},
        )
    ]
