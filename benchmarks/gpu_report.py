"""rows.md and rows.json of gpu_rows.py: whole after every row, and gone on with by the next run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trainer_core.files import read_json, write_atomic, write_json

from .speed_table import MARKDOWN_HEAD, Row, markdown_lines

CURVES = "loss curves"


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What came of one row."""

    what: str
    flops: int
    flops_per_second: float
    """Of the best multiplication."""
    held_per_second: float
    """Of many, one behind the other."""
    rows: list[Row]
    """Of the contenders that took two steps at least, ours first."""
    failures: list[str]

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Result:
        return cls(**value | {"rows": [Row(**row) for row in value["rows"]]})

    def remarks(self) -> Iterator[str]:
        """The limit, what our trainer told, and who failed; a line each."""
        seconds = self.flops / self.flops_per_second
        speed = f"{self.flops / 1e12:.2f} TFLOP at {self.flops_per_second / 1e12:.1f} TFLOP/s"
        yield f"limit {seconds:.4f} s: {speed}, which holds for half a second at {self.held_per_second / 1e12:.1f}"
        for row in self.rows:
            yield from (f"{row.contender}: {remark}" for remark in row.remarks)
        yield from self.failures


class Report:
    """What is known so far, from this run and from those before it in the same folder."""

    def __init__(self, folder: Path, machine: str) -> None:
        self._folder, self._machine = folder, machine
        self._results: list[Result] = []
        self._curves = ""
        if (folder / "rows.json").is_file():
            found = read_json(folder / "rows.json")
            self._results = [Result.from_json(value) for value in found["results"]]
            self._curves = found["curves"]

    def has(self, what: str) -> bool:
        """Whether it need not be measured again."""
        if what == CURVES:
            return bool(self._curves)
        return any(result.what == what and not result.failures for result in self._results)

    def add(self, result: Result) -> None:
        """In place of one that failed."""
        self._results = [*(one for one in self._results if one.what != result.what), result]
        self._write()

    def add_curves(self, markdown: str) -> None:
        self._curves = markdown
        self._write()

    def markdown(self) -> str:
        lines = [self._machine, "", MARKDOWN_HEAD]
        for result in self._results:
            lines += markdown_lines(result.what, result.rows)
        lines.append("")
        for result in self._results:
            lines += [f"- {result.what}: {remark}" for remark in result.remarks()]
        return "\n".join([*lines, "", self._curves])

    def _write(self) -> None:
        results = list(map(asdict, self._results))
        write_json(self._folder / "rows.json", {"machine": self._machine, "results": results, "curves": self._curves})
        write_atomic(self._folder / "rows.md", self.markdown().encode())
