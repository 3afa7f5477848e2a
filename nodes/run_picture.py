"""What a training node shows of its run: the loss, and below it the samples, a row for each prompt."""

from __future__ import annotations

from collections.abc import Iterable

from PIL import Image

from ..trainer_core.epoch_sheet import fitted
from ..trainer_core.sheets import BACKGROUND, picture_grid
from ..trainer_core.training.samples import Sample

_MOST_ROWS, _MOST_COLUMNS = 4, 5
_CELL = 172  # pixels: five of them are as wide as the chart


class RunPicture:
    """The samples of a run, kept as small as they are shown."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._pictures: dict[tuple[int, int], Image.Image] = {}
        for sample in samples:
            self.add(sample)

    def add(self, sample: Sample) -> None:
        if sample.number <= _MOST_ROWS:
            with Image.open(sample.path) as picture:
                self._pictures[sample.number, sample.epoch] = fitted(picture, _CELL)

    def draw(self, chart: Image.Image) -> Image.Image:
        """The chart, and below it the samples of the first prompts, from the first epoch to the newest."""
        if not self._pictures:
            return chart
        numbers = sorted({number for number, _ in self._pictures})
        epochs = _spread(sorted({epoch for _, epoch in self._pictures}))
        missing = Image.new("RGB", (_CELL, _CELL), BACKGROUND)
        rows = [[self._pictures.get((number, epoch), missing) for epoch in epochs] for number in numbers]
        titles = [f"epoch {epoch}" if epoch else "base model" for epoch in epochs]
        grid = picture_grid(rows, titles, [], cell=_CELL)
        whole = Image.new("RGB", (max(chart.width, grid.width), chart.height + grid.height), BACKGROUND)
        whole.paste(chart, (0, 0))
        whole.paste(grid, ((whole.width - grid.width) // 2, chart.height))
        return whole


def _spread(epochs: list[int]) -> list[int]:
    """As many as there is room for, evenly from the first to the last."""
    if len(epochs) <= _MOST_COLUMNS:
        return epochs
    last = len(epochs) - 1
    return [epochs[round(place * last / (_MOST_COLUMNS - 1))] for place in range(_MOST_COLUMNS)]
