"""All checks on a dataset as one report: counts, findings worst first, training sizes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..dataset.report import bucket_table, samples, size_lines
from ..dataset.types import Dataset, DatasetImage
from ..dataset.wording import FileNames, many
from .balance import balance_findings
from .captions import caption_findings
from .crops import crop_findings
from .duplicates import duplicate_findings
from .findings import LEVELS, Finding, worst_first
from .pictures import picture_findings
from .reading import reading_findings
from .tags import tag_findings

if TYPE_CHECKING:
    from transformers import CLIPTokenizer

_CROP_KINDS = ("subject cut", "upscaled", "much cut", "trained small", "short batches")
_ABOUT_SQUARE = 1.1
"""Long side over short side."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HealthReport:
    """What is known of a dataset. Its texts name files, and never say where on the disk they lie."""

    pictures: int
    """Training pictures."""
    samples: int
    """Training pictures times their repeats: what an epoch sees of them."""
    regularisation_pictures: int
    ok: int
    """Pictures of both kinds that no finding of level stop or warn names."""
    repaired: int
    skipped: int
    """Files, and folders, that are not trained."""
    shapes: dict[str, int]
    """Pictures of both kinds that are square, tall and wide."""
    crop_methods: dict[str, int]
    """Pictures by what chose their crop."""
    buckets: tuple[dict[str, Any], ...]
    """Training sizes, as `bucket_table` has them; none before the crop."""
    findings: tuple[Finding, ...]
    """Worst first."""

    @property
    def to_look_at(self) -> int:
        """Pictures that are neither in order nor repaired."""
        return self.pictures + self.regularisation_pictures - self.ok - self.repaired

    def to_json(self) -> dict[str, Any]:
        return {
            "pictures": self.pictures,
            "samples": self.samples,
            "regularisation_pictures": self.regularisation_pictures,
            "ok": self.ok,
            "repaired": self.repaired,
            "skipped": self.skipped,
            "shapes": self.shapes,
            "crop_methods": self.crop_methods,
            "buckets": list(self.buckets),
            "findings": [finding.to_json() for finding in self.findings],
        }

    def lines(self) -> list[str]:
        """For people: counts, findings, worst first, and all training sizes."""
        found = [finding.line for finding in self.findings]
        return [*self.count_lines(), *found, self._shape_line(), *size_lines(self.crop_methods, self.buckets)]

    def crop_lines(self) -> list[str]:
        """For people, about crops only: what they do to the pictures, worst first, and all training sizes."""
        found = [finding.line for finding in self.findings if finding.kind in _CROP_KINDS]
        return [*found, *size_lines(self.crop_methods, self.buckets)]

    def count_lines(self) -> list[str]:
        """One line on the files, one on what an epoch sees."""
        parts = [f"{many(self.ok, 'picture')} OK"]
        parts += [f"{self.to_look_at:,} to look at"] if self.to_look_at else []
        parts += [f"{self.repaired:,} repaired"] if self.repaired else []
        parts += [f"{self.skipped:,} skipped"] if self.skipped else []
        epoch = f"{many(self.samples, 'training sample')} an epoch from {many(self.pictures, 'picture')}"
        if self.regularisation_pictures:
            epoch += f", beside {many(self.regularisation_pictures, 'regularisation picture')}"
        return [", ".join(parts), epoch]

    def _shape_line(self) -> str:
        return "shapes: " + ", ".join(f"{shape} {count:,}" for shape, count in self.shapes.items())


def health_report(
    dataset: Dataset, *, batch_size: int | None = None, tokenizer: CLIPTokenizer | None = None
) -> HealthReport:
    """Check everything that can be known of a dataset without opening its files again.

    Args:
        batch_size: pictures a step, to find training sizes that fill no batch.
        tokenizer: CLIP's; without it tokens are counted from below, and known trigger words are not found.
    """
    names = FileNames(dataset)
    findings = worst_first(
        [
            *reading_findings(dataset, names),
            *balance_findings(dataset, names),
            *duplicate_findings(dataset, names),
            *picture_findings(dataset, names),
            *crop_findings(dataset, names, batch_size),
            *tag_findings(dataset, names, tokenizer),
            *caption_findings(dataset, names, tokenizer),
        ]
    )
    harmed = {file for finding in findings if finding.level != LEVELS[-1] for file in finding.files}
    return HealthReport(
        pictures=len(dataset.training_images),
        samples=samples(dataset.training_images),
        regularisation_pictures=len(dataset.regularisation_images),
        ok=sum(names.of(image.path) not in harmed for image in dataset.images),
        repaired=sum(image.is_repaired for image in dataset.images),
        skipped=len(dataset.skipped),
        shapes=dict(Counter(map(_shape, dataset.images)).most_common()),
        crop_methods=dict(sorted(Counter(image.crop.method for image in dataset.images if image.crop).items())),
        buckets=tuple(bucket_table(dataset.images)),
        findings=findings,
    )


def _shape(image: DatasetImage) -> str:
    if max(image.width, image.height) <= _ABOUT_SQUARE * min(image.width, image.height):
        return "square"
    return "wide" if image.width > image.height else "tall"
