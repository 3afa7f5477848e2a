"""A tagger asked about every picture of a dataset: files decoded ahead by threads, batches, answers kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from ..ahead import prepare_ahead
from ..dataset.pictures import training_pixels
from ..dataset.types import Dataset, DatasetImage
from ..errors import TrainingError
from ..progress import StageReport
from .answers import AnswerStore, key_of
from .tagger import TagAnswer, Tagger, TaggerModel


class Asking:
    """Iterate `steps`, then take `answers`. The model is loaded for the first picture it has not answered yet, and
    not at all where there is none; it is freed when the steps end, come to an error, or are closed."""

    def __init__(self, dataset: Dataset, model: TaggerModel, *, device: str, caches: Path | None = None) -> None:
        self._images, self._model, self._device = dataset.images, model, device
        self.store = AnswerStore(caches, model.identity)
        """What the model has answered so far, of these pictures and others."""

    @property
    def is_done(self) -> bool:
        """Whether every picture was answered before, so that nothing would be loaded."""
        return not self._unknown()

    def steps(self) -> Iterator[StageReport]:
        """Ask about every picture, yielding after each batch. What was answered before a stop is kept.

        Raises:
            TrainingError: the model cannot be loaded, a picture cannot be read any more, or the model does not
                answer for each picture.
        """
        total = len(self._images)
        unknown = self._unknown()
        done = total - len(unknown)
        yield StageReport(stage="tagging", done=done, total=total)
        if not unknown:
            return
        tagger = self._model.load(self._device)
        size = tagger.batch_size
        batches = [unknown[start : start + size] for start in range(0, len(unknown), size)]
        for images, inputs in prepare_ahead(batches, partial(_input_of, tagger)):
            for image, answer in zip(images, self._asked(tagger, inputs), strict=True):
                self.store.remember(image, answer)
            done += len(images)
            yield StageReport(stage="tagging", done=done, total=total)

    def answers(self) -> list[TagAnswer]:
        """One for each picture, in the dataset's order; complete once `steps` has come to its end."""
        return [self.store.recall(image) or TagAnswer() for image in self._images]

    def _unknown(self) -> list[DatasetImage]:
        """One for each that looks alike."""
        return list({key_of(image): image for image in self._images if not self.store.recall(image)}.values())

    def _asked(self, tagger: Tagger, inputs: Sequence[np.ndarray]) -> list[TagAnswer]:
        answers = tagger.answer(inputs)
        if len(answers) != len(inputs):
            raise TrainingError(
                f"the tagger {self._model.name} answered for {len(answers)} of {len(inputs)} pictures. "
                "Choose another tagger."
            )
        return answers


def _input_of(tagger: Tagger, image: DatasetImage) -> np.ndarray:
    """The picture as it is cropped, at its own size: a tagger sees more in it than training does."""
    return tagger.prepare(training_pixels(replace(image, bucket=None)))
