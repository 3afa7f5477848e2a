"""Whether there are enough pictures, different enough, and seen often enough beside each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import pstdev

from ..dataset.report import samples
from ..dataset.types import Dataset, DatasetImage
from ..dataset.wording import FileNames, many, some_of
from .findings import Finding
from .pictures import is_bright

_TOO_FEW, _ENOUGH = 5, 15
_LEAST_REGULARISATION = 10
"""The usual advice is 10 to 20."""
_MOST_SEEN = 8
"""How much oftener than once an epoch a regularisation picture may be seen before it is learned by heart."""
_UNEVEN = 3.0
"""Samples of one folder over those of another."""
_LEAST_FOR_VARIETY = 10
_LIGHT_SPREAD = 6.0
"""Grey levels. Mean brightness of unrelated photographs spreads by some 45."""

_VARIETY = "different angles, distances, poses, light and backgrounds"


def balance_findings(dataset: Dataset, names: FileNames) -> list[Finding]:
    """Findings about the set as a whole."""
    training, regularisation = dataset.training_images, dataset.regularisation_images
    return [
        *_number(training),
        *_regularisation(training, regularisation),
        *_folders(training, names),
        *_one_light(training),
    ]


def _number(images: Sequence[DatasetImage]) -> list[Finding]:
    count = len(images)
    if count >= _ENOUGH:
        return []
    if count == 0:
        text, advice = "there are no training pictures", "Load a folder of them beside the regularisation pictures"
        return [Finding(kind="few pictures", level="stop", text=text, advice=advice, case="none")]
    if count < _TOO_FEW:
        return [
            Finding(
                kind="few pictures",
                level="warn",
                text=f"{many(count, 'training picture')}: too few to tell the subject from what is around it",
                advice=f"Add pictures until there are {_ENOUGH} or more, with {_VARIETY}",
                case="too few",
                values={"count": count},
            )
        ]
    return [
        Finding(
            kind="few pictures",
            level="note",
            text=f"{count} training pictures are enough to begin with",
            advice=f"{_ENOUGH} or more make the LoRA more flexible: add {_VARIETY}",
            case="enough",
            values={"count": count},
        )
    ]


def _regularisation(training: Sequence[DatasetImage], regularisation: Sequence[DatasetImage]) -> list[Finding]:
    """As in training: regularisation pictures are repeated, or take turns, until they match the training samples."""
    if not training or not regularisation:
        return []
    findings = []
    if len(regularisation) < _LEAST_REGULARISATION:
        findings.append(
            Finding(
                kind="few regularisation pictures",
                level="note",
                text=f"{many(len(regularisation), 'regularisation picture')}, where 10 to 20 are usual",
                advice="Add ordinary pictures of the same kind of thing, or the LoRA learns these few by heart",
                values={"count": len(regularisation)},
            )
        )
    wanted, have = samples(training), samples(regularisation)
    if wanted > _MOST_SEEN * have:
        findings.append(
            Finding(
                kind="regularisation balance",
                level="note",
                text=f"each regularisation picture is seen about {wanted / have:.0f} times as often as its repeats say "
                f"(it must match {wanted:,} training samples)",
                advice="Add regularisation pictures, or lower the training pictures' repeats",
                case="repeated",
                values={"times": f"{wanted / have:.0f}", "wanted": wanted},
            )
        )
    if have > wanted:
        findings.append(
            Finding(
                kind="regularisation balance",
                level="note",
                text=f"{have:,} regularisation samples take turns to match {wanted:,} training samples; "
                f"all are seen once in {have / wanted:.1f} epochs",
                advice="Nothing need be done",
                case="in turns",
                values={"have": have, "wanted": wanted, "epochs": f"{have / wanted:.1f}"},
            )
        )
    return findings


def _folders(images: Sequence[DatasetImage], names: FileNames) -> list[Finding]:
    """Sub-folders whose samples are far apart: the smaller subject is learned later, if at all."""
    folders: dict[Path, list[DatasetImage]] = defaultdict(list)
    for image in images:
        folders[image.path.parent].append(image)
    weights = {folder: samples(inside) for folder, inside in folders.items()}
    if len(folders) < 2 or max(weights.values()) < _UNEVEN * min(weights.values()):
        return []
    least = min(weights, key=weights.__getitem__)
    most = max(weights.values())
    wanted = round(most / len(folders[least]))
    by_weight = sorted(folders, key=lambda folder: -weights[folder])
    listed = some_of(f"{_folder_name(folder, names)} {weights[folder]:,}" for folder in by_weight)
    return [
        Finding(
            kind="folder balance",
            level="note",
            text=f"the folders are seen unequally often, in samples an epoch: {listed}",
            advice=f"If all matter alike, give {_folder_name(least, names)} about {wanted} repeats",
            values={"folders": listed, "folder": _folder_name(least, names), "repeats": wanted},
        )
    ]


def _folder_name(folder: Path, names: FileNames) -> str:
    name = names.of(folder)
    return folder.name if name == "." else name


def _one_light(images: Sequence[DatasetImage]) -> list[Finding]:
    """All equally bright: one light, and likely one background. White backgrounds are found as bright pictures."""
    lumas = [image.measures.luma for image in images if image.measures and not is_bright(image.measures)]
    if len(lumas) < _LEAST_FOR_VARIETY or 2 * len(lumas) < len(images) or pstdev(lumas) >= _LIGHT_SPREAD:
        return []
    return [
        Finding(
            kind="one light",
            level="note",
            text="the training pictures are all about equally bright: one light, likely one background",
            advice=f"Add {_VARIETY}, or say in the captions what is always the same",
        )
    ]
