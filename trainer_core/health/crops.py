"""What cropping does to the pictures: enlarging, cutting away, cutting the subject, sizes that fill no batch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from ..dataset.report import cut_share, enlarged_by, samples
from ..dataset.types import Dataset, DatasetImage
from ..dataset.wording import FileNames, many, some_of
from .findings import Finding, Level, about

_ENLARGED, _MUCH_ENLARGED = 1.02, 1.25
_MOST_CUT = 0.35
_HALF_CUT = 0.5
_SMALLER = 0.75
"""Of the usual area. Buckets of one training size differ by less."""
_BY_INTENT = ("override", "mask", "boxes", "face")
"""What chose a window knowing the subject: what it cuts off is meant to go."""


def crop_findings(dataset: Dataset, names: FileNames, batch_size: int | None) -> list[Finding]:
    """Findings about the pictures that have a crop and a training size; none before Smart Crop."""
    images = [image for image in dataset.images if image.crop and image.bucket]
    return [
        *_subject_cut(images, names),
        *_enlarged(images, names),
        *_much_cut(images, names),
        *_trained_small(images, names),
        *_short_batches(images, batch_size),
    ]


def _subject_cut(images: Sequence[DatasetImage], names: FileNames) -> list[Finding]:
    half = [image for image in images if image.crop.subject_kept < _HALF_CUT]
    some = [image for image in images if image.crop.cuts_subject and image.crop.subject_kept >= _HALF_CUT]
    return _loses_subject("stop", half, names) + _loses_subject("warn", some, names)


def _loses_subject(level: Level, images: Sequence[DatasetImage], names: FileNames) -> list[Finding]:
    worst = sorted(images, key=lambda image: image.crop.subject_kept)
    lost = [1 - image.crop.subject_kept for image in worst]
    return about(
        "subject cut",
        level,
        worst,
        names,
        one=f"loses {max(lost, default=0):.0%} of its subject to the crop",
        several=f"lose up to {max(lost, default=0):.0%} of their subjects to the crop",
        advice="Use buckets, so that less is cut, or padding, or set the windows by hand in the overrides",
        labels=[f"{share:.0%} of the subject cut" for share in lost],
        values={"share": f"{max(lost, default=0):.0%}"},
    )


def _enlarged(images: Sequence[DatasetImage], names: FileNames) -> list[Finding]:
    much = [image for image in images if enlarged_by(image) > _MUCH_ENLARGED]
    little = [image for image in images if _ENLARGED < enlarged_by(image) <= _MUCH_ENLARGED]
    return _upscaled("stop", much, names) + _upscaled("note", little, names)


def _upscaled(level: Level, images: Sequence[DatasetImage], names: FileNames) -> list[Finding]:
    factors = [enlarged_by(image) for image in images]
    return about(
        "upscaled",
        level,
        images,
        names,
        one=f"is smaller than its training size, upscaled x{max(factors, default=1):.2f}",
        several=f"are smaller than their training size, upscaled up to x{max(factors, default=1):.2f}",
        advice="Use larger originals or a smaller training size, or do not enlarge: enlarging teaches blur",
        labels=[f"upscaled x{factor:.2f}" for factor in factors],
        values={"factor": f"{max(factors, default=1):.2f}"},
    )


def _much_cut(images: Sequence[DatasetImage], names: FileNames) -> list[Finding]:
    cut = [image for image in images if cut_share(image) > _MOST_CUT and image.crop.method not in _BY_INTENT]
    return about(
        "much cut",
        "warn",
        cut,
        names,
        one=f"loses more than {_MOST_CUT:.0%} of its area to the crop",
        several=f"lose more than {_MOST_CUT:.0%} of their area to the crop",
        advice="Use buckets, so that each keeps nearly its own shape, or look at the windows on the proof sheet",
        labels=[f"{cut_share(image):.0%} cut off" for image in cut],
        values={"share": f"{_MOST_CUT:.0%}"},
    )


def _trained_small(images: Sequence[DatasetImage], names: FileNames) -> list[Finding]:
    """Pictures that are trained at a smaller size than the rest, as they have no more pixels."""
    usual = max((image.bucket[0] * image.bucket[1] for image in images), default=0)
    small = [image for image in images if image.bucket[0] * image.bucket[1] < _SMALLER * usual]
    return about(
        "trained small",
        "note",
        small,
        names,
        one="is trained smaller than the rest, as it has no more pixels",
        several="are trained smaller than the rest, as they have no more pixels",
        advice="Use larger originals if you have them; a few small ones do no harm",
        labels=[f"trained at {image.bucket[0]} x {image.bucket[1]}" for image in small],
    )


def _short_batches(images: Sequence[DatasetImage], batch_size: int | None) -> list[Finding]:
    """Sizes that cannot fill one batch in an epoch. Regularisation pictures fill batches too, however many times."""
    if batch_size is None:
        return []
    members: dict[tuple[int, int], list[DatasetImage]] = defaultdict(list)
    for image in images:
        members[image.bucket].append(image)
    small = {bucket: samples(inside) for bucket, inside in sorted(members.items()) if samples(inside) < batch_size}
    if not small:
        return []
    listed = some_of(f"{width} x {height} ({many(count, 'sample')})" for (width, height), count in small.items())
    sizes = "1 training size has" if len(small) == 1 else f"{len(small):,} training sizes have"
    return [
        Finding(
            kind="short batches",
            level="warn",
            text=f"{sizes} fewer samples than a batch of {batch_size}: {listed}",
            advice="Lower the batch size, raise the repeats, or use fewer buckets: short batches make uneven steps",
            values={"count": len(small), "batch": batch_size, "sizes": listed},
        )
    ]
