"""What a dataset holds, counted: for the page as JSON, for people as lines."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .types import Dataset, DatasetImage

_MOST_NAMES = 5
_MOST_SKIPPED = 20


def dataset_report(dataset: Dataset) -> dict[str, Any]:
    """A JSON-able summary of a dataset: counts first, then one row per file.

    Samples are pictures times their repeats. Files are named relative to the folder they all share, so that
    the report tells nobody where on the disk they lie.
    """
    images = dataset.images
    root = _shared_folder([image.path for image in images] + [entry.path for entry in dataset.skipped])
    return {
        "pictures": len(dataset.training_images),
        "regularisation_pictures": len(dataset.regularisation_images),
        "samples_per_epoch": _samples(dataset.training_images),
        "regularisation_samples": _samples(dataset.regularisation_images),
        "repeats": _counted(image.repeats for image in dataset.training_images),
        "trigger_words": list(dataset.trigger_words),
        "captions_missing": [_name(root, image.path) for image in images if not image.caption],
        "captions_from_folder": sum(image.caption_source == "folder name" for image in images),
        "crop_methods": _counted(image.crop.method for image in images if image.crop),
        "buckets": _bucket_table(images),
        "skipped": [{"file": _name(root, entry.path), "reason": entry.reason} for entry in dataset.skipped],
        "files": [_file_row(root, image) for image in images],
    }


def report_lines(report: dict[str, Any]) -> list[str]:
    """The report for people, a few short lines; every skipped file is named, up to 20 of them."""
    return [
        *_count_lines(report),
        *_caption_lines(report),
        *_crop_lines(report),
        *_skipped_lines(report["skipped"]),
    ]


def _samples(images: Sequence[DatasetImage]) -> int:
    return sum(image.repeats for image in images)


def _counted(values: Iterable[Any]) -> dict[str, int]:
    """How often each value occurs, as a JSON object in the values' order."""
    return {str(value): count for value, count in sorted(Counter(values).items())}


def _bucket_table(images: Sequence[DatasetImage]) -> list[dict[str, int]]:
    buckets = sorted({image.bucket for image in images if image.bucket})
    members = {bucket: [image for image in images if image.bucket == bucket] for bucket in buckets}
    return [
        {"width": bucket[0], "height": bucket[1], "pictures": len(inside), "samples": _samples(inside)}
        for bucket, inside in members.items()
    ]


def _file_row(root: Path, image: DatasetImage) -> dict[str, Any]:
    return {
        "file": _name(root, image.path),
        "width": image.width,
        "height": image.height,
        "repeats": image.repeats,
        "is_regularisation": image.is_regularisation,
        "caption": image.caption,
        "caption_source": image.caption_source,
        "crop": _crop_row(image),
        "bucket": list(image.bucket) if image.bucket else None,
    }


def _crop_row(image: DatasetImage) -> dict[str, Any] | None:
    """The crop box, the share of the picture it keeps, and how far it is enlarged (below 1: made smaller)."""
    crop = image.crop
    if crop is None:
        return None
    enlarged = image.bucket[0] / crop.width if image.bucket else 1.0
    return {
        "left": crop.left,
        "top": crop.top,
        "right": crop.right,
        "bottom": crop.bottom,
        "method": crop.method,
        "kept": round(crop.width * crop.height / (image.width * image.height), 3),
        "enlarged": round(enlarged, 2),
    }


def _shared_folder(paths: Sequence[Path]) -> Path:
    try:
        return Path(os.path.commonpath([path.parent for path in paths]))
    except ValueError:  # no paths, two Windows drives, or relative beside absolute
        return Path()


def _name(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) and root != Path() else path.name


def _count_lines(report: dict[str, Any]) -> list[str]:
    repeats = ", ".join(f"{count} x{value}" for value, count in report["repeats"].items())
    lines = [
        f"{_many(report['pictures'], 'picture')}, {_many(report['samples_per_epoch'], 'sample')} per epoch "
        f"(repeats: {repeats or 'none'})"
    ]
    if report["regularisation_pictures"]:
        lines.append(
            f"{_many(report['regularisation_pictures'], 'regularisation picture')}, "
            f"{_many(report['regularisation_samples'], 'sample')}"
        )
    return lines


def _caption_lines(report: dict[str, Any]) -> list[str]:
    lines = []
    if report["trigger_words"]:
        lines.append(f"trigger words: {', '.join(report['trigger_words'])}")
    if report["captions_from_folder"]:
        lines.append(f"{_many(report['captions_from_folder'], 'caption')} taken from the folder's name")
    if missing := report["captions_missing"]:
        more = f" and {len(missing) - _MOST_NAMES} more" if len(missing) > _MOST_NAMES else ""
        lines.append(f"{_many(len(missing), 'caption')} missing: {', '.join(missing[:_MOST_NAMES])}{more}")
    return lines


def _crop_lines(report: dict[str, Any]) -> list[str]:
    lines = []
    if methods := report["crop_methods"]:
        lines.append("crop: " + ", ".join(f"{method} {count}" for method, count in methods.items()))
    for row in report["buckets"]:
        lines.append(
            f"bucket {row['width']} x {row['height']}: {_many(row['pictures'], 'picture')}, "
            f"{_many(row['samples'], 'sample')}"
        )
    return lines


def _skipped_lines(skipped: list[dict[str, str]]) -> list[str]:
    if not skipped:
        return []
    lines = [f"{_many(len(skipped), 'file')} skipped:"]
    lines += [f"  {entry['file']}: {entry['reason']}" for entry in skipped[:_MOST_SKIPPED]]
    if len(skipped) > _MOST_SKIPPED:
        lines.append(f"  and {len(skipped) - _MOST_SKIPPED} more")
    return lines


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
