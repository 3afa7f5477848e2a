"""What a dataset holds, counted: for the page as JSON, for people as lines. What is wrong with it: health."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from .types import CropBox, Dataset, DatasetImage
from .wording import FileNames, many, some_of

_MOST_SKIPPED = 20


def dataset_report(dataset: Dataset) -> dict[str, Any]:
    """A JSON-able summary of a dataset: counts first, then one row per file.

    Samples are pictures times their repeats. Files are named relative to the folder they all share, so that
    the report tells nobody where on the disk they lie.
    """
    images, names = dataset.images, FileNames(dataset)
    return {
        "pictures": len(dataset.training_images),
        "regularisation_pictures": len(dataset.regularisation_images),
        "samples_per_epoch": samples(dataset.training_images),
        "regularisation_samples": samples(dataset.regularisation_images),
        "repeats": _counted(image.repeats for image in dataset.training_images),
        "trigger_words": list(dataset.trigger_words),
        "captions_missing": [names.of(image.path) for image in images if not image.caption],
        "captions_from_folder": sum(image.caption_source == "folder name" for image in images),
        "crop_methods": _counted(image.crop.method for image in images if image.crop),
        "buckets": bucket_table(images),
        "skipped": [{"file": names.of(entry.path), "reason": entry.reason} for entry in dataset.skipped],
        "files": [_file_row(names, image) for image in images],
    }


def report_lines(report: dict[str, Any]) -> list[str]:
    """The report for people, a few short lines; every skipped file is named, up to 20 of them."""
    return [
        *_count_lines(report),
        *_caption_lines(report),
        *size_lines(report["crop_methods"], report["buckets"]),
        *_skipped_lines(report["skipped"]),
    ]


def samples(images: Sequence[DatasetImage]) -> int:
    """How often all of them are seen in one epoch."""
    return sum(image.repeats for image in images)


def bucket_table(images: Sequence[DatasetImage]) -> list[dict[str, Any]]:
    """A row per training size: its pictures and samples, and the share of their area that its crops cut off."""
    members: dict[tuple[int, int], list[DatasetImage]] = defaultdict(list)
    for image in images:
        if image.bucket:
            members[image.bucket].append(image)
    rows = []
    for bucket, inside in sorted(members.items(), key=lambda member: member[0]):
        cut = [cut_share(image) for image in inside]
        rows.append(
            {
                "width": bucket[0],
                "height": bucket[1],
                "pictures": len(inside),
                "samples": samples(inside),
                "mean_cut": round(sum(cut) / len(cut), 3),
                "most_cut": round(max(cut), 3),
            }
        )
    return rows


def cut_share(image: DatasetImage) -> float:
    """The share of a picture's area that its crop leaves out, 0 to 1; padding around the picture does not count."""
    crop = image.crop
    if crop is None:
        return 0.0
    width = min(crop.right, image.width) - max(crop.left, 0)
    height = min(crop.bottom, image.height) - max(crop.top, 0)
    return 1 - max(width, 0) * max(height, 0) / (image.width * image.height)


def enlarged_by(image: DatasetImage) -> float:
    """The factor from a picture's crop to its training size; below 1 it is made smaller."""
    if image.crop is None or image.bucket is None:
        return 1.0
    return image.bucket[0] / image.crop.width


def size_lines(methods: dict[str, int], buckets: Sequence[dict[str, Any]]) -> list[str]:
    """How the crops were chosen, and a line per training size."""
    lines = []
    if methods:
        lines.append("crop: " + ", ".join(f"{method} {count}" for method, count in methods.items()))
    for row in buckets:
        cut = f", cuts {row['mean_cut']:.0%} on average, {row['most_cut']:.0%} at most" if row["most_cut"] else ""
        lines.append(
            f"bucket {row['width']} x {row['height']}: {many(row['pictures'], 'picture')}, "
            f"{many(row['samples'], 'sample')}{cut}"
        )
    return lines


def _counted(values: Iterable[Any]) -> dict[str, int]:
    """How often each value occurs, as a JSON object in the values' order."""
    return {str(value): count for value, count in sorted(Counter(values).items())}


def _file_row(names: FileNames, image: DatasetImage) -> dict[str, Any]:
    return {
        "file": names.of(image.path),
        "width": image.width,
        "height": image.height,
        "repeats": image.repeats,
        "is_regularisation": image.is_regularisation,
        "caption": image.caption,
        "caption_source": image.caption_source,
        "crop": _crop_row(image, image.crop) if image.crop else None,
        "bucket": list(image.bucket) if image.bucket else None,
    }


def _crop_row(image: DatasetImage, crop: CropBox) -> dict[str, Any]:
    """The crop box, the share of the picture it keeps, and how far it is enlarged (below 1: made smaller)."""
    return {
        "left": crop.left,
        "top": crop.top,
        "right": crop.right,
        "bottom": crop.bottom,
        "method": crop.method,
        "kept": round(1 - cut_share(image), 3),
        "enlarged": round(enlarged_by(image), 2),
    }


def _count_lines(report: dict[str, Any]) -> list[str]:
    repeats = ", ".join(f"{count} x{value}" for value, count in report["repeats"].items())
    lines = [
        f"{many(report['pictures'], 'picture')}, {many(report['samples_per_epoch'], 'sample')} per epoch "
        f"(repeats: {repeats or 'none'})"
    ]
    if report["regularisation_pictures"]:
        lines.append(
            f"{many(report['regularisation_pictures'], 'regularisation picture')}, "
            f"{many(report['regularisation_samples'], 'sample')}"
        )
    return lines


def _caption_lines(report: dict[str, Any]) -> list[str]:
    lines = []
    if report["trigger_words"]:
        lines.append(f"trigger words: {', '.join(report['trigger_words'])}")
    if report["captions_from_folder"]:
        lines.append(f"{many(report['captions_from_folder'], 'caption')} taken from the folder's name")
    if missing := report["captions_missing"]:
        lines.append(f"{many(len(missing), 'caption')} missing: {some_of(missing)}")
    return lines


def _skipped_lines(skipped: list[dict[str, str]]) -> list[str]:
    if not skipped:
        return []
    lines = [f"{many(len(skipped), 'file')} skipped:"]
    lines += [f"  {entry['file']}: {entry['reason']}" for entry in skipped[:_MOST_SKIPPED]]
    if len(skipped) > _MOST_SKIPPED:
        lines.append(f"  and {len(skipped) - _MOST_SKIPPED} more")
    return lines
