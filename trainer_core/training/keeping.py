"""What a run keeps on its way: LoRAs, the resumable state, room on the disk."""

from __future__ import annotations

import contextlib
import re
import shutil
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

import torch
from PIL import Image

from ..errors import TrainingError
from ..files import write_atomic
from ..lora.file import THUMBNAIL_KEY, lora_bytes, read_header
from .amount import Save, Step, epoch_name, saves, step_name
from .arithmetic import RunSize
from .batches import batches_in_epoch
from .best import lowest_step
from .compiling import plainly
from .ema import WeightAverage
from .learner import Learner
from .metadata import lora_metadata
from .optimizer import optimizer_for_saving
from .precision import FORMATS
from .reports import SavedEpoch
from .run import Run
from .run_parts import RunParts
from .state import save_state
from .thumbnail import thumbnail

_STATE = 6
"""A resumable state in LoRAs of half precision: fp32 weights and an optimizer's two fp32 averages."""
_STATES = 3
"""Two are kept while one is being written."""

INTERRUPTED = "-interrupted"
"""End of the name of the LoRA that a stopped run leaves."""
_WITHIN_EPOCH, _OF_EPOCH = re.compile(r"-step(\d{8})"), re.compile(r"-(\d{6})")


def check_room(run: Run, size: RunSize, planned: Sequence[Save]) -> None:
    """Refuse a run whose files do not fit on the disk, beside those of them that are there already.

    Raises:
        TrainingError: says how much is missing.
    """
    if size.bytes_each is None:
        return
    kept = sum(path.exists() for path in (run.saved_file(save.name) for save in planned))
    states = min(len(list(run.state.glob("*.safetensors"))), _STATES - 1)
    loras = max(size.saves - kept, 1) + (_STATES - states) * _STATE
    best = bool(run.job.plan.validation.held_out_share)  # Keeping.keep_best
    needed = (loras + best) * size.bytes_each
    place = next(parent for parent in (run.folder, *run.folder.parents) if parent.exists())
    free = shutil.disk_usage(place).free
    if needed > free:
        raise TrainingError(
            f"the run would write about {needed / 2**20:,.0f} MB, and {free / 2**20:,.0f} MB are free. Free some disk "
            "space, keep fewer epochs (save every epochs, keep last), or lower the rank."
        )


class Keeping:
    """Writes the LoRAs that a plan asks for, under kohya's names, and deletes those that it does not keep."""

    def __init__(
        self, parts: RunParts, learner: Learner, optimizer: torch.optim.Optimizer, average: WeightAverage
    ) -> None:
        self._parts, self._run = parts, parts.run
        self._learner, self._optimizer, self._average = learner, optimizer, average
        self._planned = saves(parts.plan, parts.lengths)
        self._asked = self._asked_before()
        self._best = self._best_before()

    def save_due(self, turn: Step, step: int, *, is_last: bool) -> Path | None:
        """Write the LoRA that is due after `step` steps; with `is_last` in any case, as the end of the run."""
        if is_last:
            self.end(turn.epoch + 1, step)
        due = [save for save in self._planned if save.step == step]
        return self._write(due[0]) if due else None

    def end(self, epoch: int, step: int) -> None:
        """The run ends here, wherever the plan had its end."""
        self._planned = [save for save in self._planned if save.step < step] + [Save(epoch, step, "")]
        self._asked = [save for save in self._asked if save.step < step]

    def is_due(self, step: int) -> bool:
        """Whether the plan has a LoRA of this step."""
        return any(save.step == step for save in self._planned)

    def save_asked(self, step: int) -> Path:
        """Keep the LoRA of this step, which the plan has none of; it is not dropped for newer ones."""
        self._asked.append(self._within_epoch(step))
        return self._write(self._asked[-1])

    def keep_best(self, epoch: int, step: int) -> None:
        """Of what was measured on held-out pictures the best LoRA stays, also where the plan keeps none of its epoch:
        what is said to be best can be chosen. To be called once an epoch is measured."""
        best = self._best_step()
        if best is None:
            return
        if step == best and not any(saved.step == step for saved in self.kept()):
            self._best.append(Save(epoch, step, epoch_name(epoch)))
            self._write(self._best[-1])
        else:
            self._drop_old()

    def save_missing(self, step: int) -> None:
        """Write the LoRA of the step that a run goes on from, where a full disk or a crash came between."""
        for save in self._planned:
            if save.step == step and not self._run.saved_file(save.name).exists():
                self._write(save)

    def save_interrupted(self, step: int) -> None:
        """Write the state of a run that is stopped, and what it has learned as a LoRA to look at.

        The LoRA goes when the run is finished. That it cannot be written is no reason to hide why the run stopped.
        """
        self.save_state(step)
        if step and not any(save.step == step for save in self._planned):
            with contextlib.suppress(OSError, TrainingError):
                self._write(replace(self._within_epoch(step), name=INTERRUPTED))

    def finish(self) -> None:
        """Mark the run as done. Its states, many times as large as its LoRA, are of no use any more."""
        self._run.saved_file(INTERRUPTED).unlink(missing_ok=True)
        self._run.finish(self.kept())
        shutil.rmtree(self._run.state, ignore_errors=True)

    def illustrate(self, step: int, picture: Path) -> None:
        """Put a small picture into the LoRA of `step`, where one was kept, for programs that list LoRAs."""
        for save in (*self._planned, *self._best):
            path = self._run.saved_file(save.name)
            if save.step == step and path.exists() and THUMBNAIL_KEY not in read_header(path)[0]:
                with Image.open(picture) as opened:
                    self._write(save, thumbnail(opened))

    def save_state(self, step: int) -> None:
        """Write the state after `step` whole steps."""
        learner = self._learner
        save_state(self._run.state, step, learner.adapters, self._optimizer, learner.scaler, self._average.tensors())

    def kept(self) -> list[SavedEpoch]:
        """Every LoRA that is there, in the order of their steps; the last one is the end of the run."""
        saves = {save.step: save for save in (*self._best, *self._asked, *self._planned)}
        return [
            SavedEpoch(epoch=save.epoch, step=step, path=path)
            for step, save in sorted(saves.items())
            if (path := self._run.saved_file(save.name)).exists()
        ]

    @contextlib.contextmanager
    def showing(self) -> Iterator[None]:
        """The adapters hold what is kept and shown, while the context lasts: averages, where the plan has them."""
        with optimizer_for_saving(self._optimizer), self._average.in_place(), plainly(self._learner):
            yield

    def _write(self, save: Save, small_picture: str = "") -> Path:
        learner, plan, dataset = self._learner, self._parts.plan, self._parts.dataset
        job = self._parts.job
        with self.showing():
            tensors = {name: tensor for part in learner.adapters for name, tensor in part.tensors().items()}
        metadata = lora_metadata(
            name=self._run.name,
            family=type(learner.model),
            prediction_type=learner.model.prediction_type,
            plan=replace(plan, precision=replace(plan.precision, base=learner.choice.base)),
            dataset=dataset,
            base_model=job.base_model,
            base_identity=self._run.base_identity,
            epoch=save.epoch,
            step=save.step,
            total_steps=self._parts.total_steps,
            batches_per_epoch=batches_in_epoch(dataset, plan.batch_size, 0),
            zero_terminal_snr=learner.model.zero_terminal_snr,
            arithmetic=learner.precision,
            held_out=len(job.dataset.images) - len(dataset.images),
            thumbnail=small_picture,
        )
        path = self._run.saved_file(save.name)
        write_atomic(path, lora_bytes(tensors, metadata, FORMATS[plan.precision.saving]))
        self._drop_old()
        return path

    def _asked_before(self) -> list[Save]:
        """LoRAs that were asked for before the run was stopped."""
        return [self._within_epoch(step) for step in self._left(_WITHIN_EPOCH) - {save.step for save in self._planned}]

    def _best_before(self) -> list[Save]:
        """LoRAs that were kept as the best before the run was stopped."""
        planned, left = {save.step for save in self._planned}, self._left(_OF_EPOCH)
        ends = enumerate(accumulate(self._parts.lengths), start=1)
        return [Save(epoch, step, epoch_name(epoch)) for epoch, step in ends if epoch in left and step not in planned]

    def _left(self, ending: re.Pattern[str]) -> set[int]:
        """The numbers in the names of LoRAs that are there and end so."""
        names = (path.stem for path in self._run.saved_file("").parent.glob("*.safetensors"))
        endings = (name.removeprefix(self._run.name) for name in names if name.startswith(self._run.name))
        return {int(match[1]) for name in endings if (match := ending.fullmatch(name))}

    def _within_epoch(self, step: int) -> Save:
        """A LoRA that was asked for after `step` steps."""
        return Save(bisect_left(list(accumulate(self._parts.lengths)), step) + 1, step, step_name(step))

    def _drop_old(self) -> None:
        last, kept = self._parts.plan.saving.keep_last, self.kept()
        asked, were_best = {save.step for save in self._asked}, {save.step for save in self._best}
        planned = [saved.step for saved in kept if saved.step not in asked | were_best]
        dropped = {*were_best, *(planned[:-last] if last else ())} - {self._best_step()}
        for saved in kept:
            if saved.step in dropped:
                saved.path.unlink(missing_ok=True)

    def _best_step(self) -> int | None:
        return lowest_step(report for report in self._parts.judge.reports() if report.epoch)
