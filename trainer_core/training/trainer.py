"""Trainer: a job in, a LoRA out. The loop is a generator; whoever drives it decides what happens between steps."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ..errors import TrainingError
from ..families.base_model import BaseModel, Conditioning
from ..families.loading import family_of, load_base_model, outline_of
from ..files import write_atomic
from ..job import Job
from ..lora.adapters import Adapters
from ..lora.file import lora_bytes
from ..lora.names import targets_of
from ..progress import StageReport
from . import objective
from .arithmetic import RunSize, run_size
from .batches import (
    check_trainable,
    draw_captions,
    draw_flips,
    epoch_batches,
    step_generator,
    steps_per_epoch,
    stream_seed,
)
from .encode import Latents, draw_latents, encode_captions, encode_pictures, latent_mask, picture_size
from .metadata import lora_metadata
from .optimizer import make_optimizer, rate_factor, set_rates
from .precision import FORMATS, autocast, resolve_precision
from .reports import SavedEpoch, StepReport, TrainedLora
from .run import Run, RunLock
from .state import load_state, save_state

_NOT_FINITE_IN_A_ROW = 3


class Trainer:
    """One job on one device. Building it is cheap and refuses what would fail later.

    Raises:
        TrainingError: the set, the base model or the runs folder cannot be used.
    """

    def __init__(
        self, job: Job, runs_folder: Path, *, device: str = "cpu", tokenizer_folders: Sequence[Path] = ()
    ) -> None:
        check_trainable(job.dataset, job.plan)
        self.family = family_of(job.base_model)
        self.job, self.plan, self.dataset = job, job.plan, job.dataset
        self.device, self.tokenizer_folders = device, tokenizer_folders
        self.precision = resolve_precision(job.plan.precision.training, device)
        self.run = Run(job, runs_folder, self.precision)
        self.steps_per_epoch = steps_per_epoch(job.dataset, job.plan)
        self.total_steps = sum(self.steps_per_epoch)
        self._model: BaseModel | None = None

    @property
    def run_folder(self) -> Path:
        return self.run.folder

    def size(self) -> RunSize:
        """The arithmetic of the run, to be shown before it starts."""
        return run_size(self.dataset, self.plan, outline_of(self.job.base_model))

    def result(self) -> TrainedLora:
        """The finished run; raises TrainingError while it is not finished."""
        return self.run.result()

    # ------------------------------------------------------------------------------------------- before the steps

    def prepare(self) -> Iterator[StageReport]:
        """Load the base model and encode the set, freeing each part once it has done its work.

        `steps` does this by itself; iterate it first to show its progress. A finished run needs none of it.
        """
        if self.run.is_finished or self._model is not None:
            return
        yield StageReport(stage="loading the base model", done=0, total=1)
        model = load_base_model(self.job.base_model, FORMATS[self.precision], self.tokenizer_folders)
        self._latents: Latents = {}
        model.vae.to(self.device)
        yield from encode_pictures(
            model,
            self.run.base_identity,
            self.dataset,
            self.run.cache,
            self.device,
            self._latents,
            flip=self.plan.augment.flip,
        )
        model.vae = None
        self._masks = {
            (index, mirrored): latent_mask(self.dataset.images[index], latent, mirrored)
            for (index, mirrored), latent in (self._latents.items() if self.plan.loss.masked else ())
        }

        self._captions: dict[str, Conditioning] = {}
        for encoder in model.text_encoders:
            encoder.to(self.device)
        if not self.plan.optimizer.rate_of_text_encoder:
            captions = [caption for image in self.dataset.images for caption in image.captions]
            yield from encode_captions(model, captions, self.plan.text.clip_skip, self._captions)
            model.text_encoders = []
        model.unet.to(self.device)
        self._attach_adapters(model)
        self._model = model

    def _attach_adapters(self, model: BaseModel) -> None:
        network, rates = self.plan.network, self.plan.optimizer
        unet, *encoders = targets_of(model)
        parts = ([unet] if rates.rate_of_unet else []) + (encoders if rates.rate_of_text_encoder else [])
        self._adapters = [Adapters(module, targets, network.rank, network.alpha) for module, targets in parts]
        for index, part in enumerate(self._adapters):
            part.initialise(stream_seed(self.plan.seed, "start", index))
        if self.plan.precision.gradient_checkpointing:
            model.unet.enable_gradient_checkpointing()
            for encoder in model.text_encoders:
                encoder.gradient_checkpointing_enable({"use_reentrant": False})
                encoder.train()  # transformers checkpoints only in training mode; CLIP has no dropout to wake

    # ------------------------------------------------------------------------------------------------------ steps

    def steps(self) -> Iterator[StepReport]:
        """Train, yielding after every optimizer step; from where the run stopped, or nothing where it is finished.

        Closing the generator, or any error in a step, leaves a state from which the same job goes on, bit for bit.

        Raises:
            TrainingError: the loss is not finite several times in a row, or the run is in use elsewhere.
        """
        if self.run.is_finished:
            return
        for _ in self.prepare():
            pass
        try:
            with RunLock(self.run):
                self.run.start()
                yield from self._train()
        finally:
            self._free()

    def _free(self) -> None:
        """Let go of everything large: whoever keeps the trainer for its result keeps no model."""
        self._model = self._optimizer = None
        self._latents, self._masks, self._captions, self._adapters = {}, {}, {}, []

    def _train(self) -> Iterator[StepReport]:
        self._schedule = objective.noise_schedule(self._model)
        self._optimizer = self._make_optimizer()
        self._scaler = torch.amp.GradScaler(torch.device(self.device).type, enabled=self.precision == "fp16")
        self._is_updating = False
        step = load_state(self.run.state, self._adapters, self._optimizer, self._scaler)
        self.run.rewind_log(step)
        self._save_missing_epoch(step)
        not_finite = 0
        try:
            for epoch, batch, is_last_of_epoch in self._batches_from(step):
                rate = set_rates(self._optimizer, rate_factor(self.plan.schedule, step, self.total_steps))
                loss = self._step(batch, step)
                step += 1
                not_finite = 0 if math.isfinite(loss) else not_finite + 1
                report = StepReport(
                    step=step, total_steps=self.total_steps, epoch=epoch + 1, loss=loss, learning_rate=rate
                )
                self.run.log(report)
                if not_finite == _NOT_FINITE_IN_A_ROW:
                    raise TrainingError(_not_finite(step))
                if is_last_of_epoch and self._keeps(epoch + 1):
                    report = replace(report, saved=self._save_epoch(epoch + 1, step))
                if report.saved or self._is_time_for_state(step):
                    self._save_state(step)
                yield report
        except BaseException:  # an error, an interrupt or close(): keep what was learned, then let it through
            if not self._is_updating:
                self._save_state(step)
            raise
        self.run.finish(self._saved_epochs())

    def _batches_from(self, step: int) -> Iterator[tuple[int, list[int], bool]]:
        """(epoch, image indices, last of its epoch) of every step from `step` on; epochs and steps from 0."""
        position = 0
        for epoch in range(self.plan.epochs):
            batches = epoch_batches(self.dataset, self.plan.batch_size, self.plan.seed, epoch)
            for index, batch in enumerate(batches):
                if position >= step:
                    yield epoch, batch, index == len(batches) - 1
                position += 1

    def _step(self, batch: list[int], step: int) -> float:
        """One optimizer step; returns the loss. A loss or gradient that is not finite changes no weight."""
        images = [self.dataset.images[index] for index in batch]
        weights_B = [self.plan.loss.prior_loss_weight if image.is_regularisation else 1.0 for image in images]
        flips = draw_flips(len(batch), self.plan.seed, step, flip=self.plan.augment.flip)
        sizes = [picture_size(image, mirrored) for image, mirrored in zip(images, flips, strict=True)]
        pictures = list(zip(batch, flips, strict=True))
        x_BCHW, noise_BCHW, t_B = self._draw(pictures, step)
        with autocast(self.precision, self.device):
            noisy_BCHW = self._schedule.add_noise(x_BCHW, noise_BCHW, t_B)
            conditioning = self._conditioning(draw_captions(images, self.plan.seed, step))
            predicted_BCHW = self._model.predict(noisy_BCHW, t_B, conditioning, sizes)
        target_BCHW = objective.target(self._schedule, x_BCHW, noise_BCHW, t_B)
        loss_B = objective.loss_per_picture(predicted_BCHW, target_BCHW, self._mask(pictures))
        loss = (loss_B * torch.tensor(weights_B, device=self.device)).mean()
        self._apply_gradients(loss)
        return loss.item()

    def _draw(self, batch: list[tuple[int, bool]], step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Latents, noise and timesteps of a step, drawn on the CPU so that every device gets the same."""
        generator = step_generator(self.plan.seed, step)
        x_BCHW = draw_latents([self._latents[picture] for picture in batch], self.family.latent_scale, generator)
        noise_BCHW = torch.randn(x_BCHW.shape, generator=generator)
        t_B = torch.randint(0, objective.TIMESTEPS, (len(batch),), generator=generator)
        return x_BCHW.to(self.device), noise_BCHW.to(self.device), t_B.to(self.device)

    def _mask(self, pictures: list[tuple[int, bool]]) -> Tensor | None:
        if not self._masks:
            return None
        return torch.stack([self._masks[picture] for picture in pictures]).to(self.device)

    def _conditioning(self, captions: Sequence[str]) -> Conditioning:
        if self._captions:
            joined = Conditioning.join([self._captions[caption] for caption in captions])
            return joined.to(self.device, joined.states_BLD.dtype)
        return self._model.encode_text(captions, self.plan.text.clip_skip)

    def _apply_gradients(self, loss: Tensor) -> None:
        self._scaler.scale(loss).backward()
        self._scaler.unscale_(self._optimizer)
        parameters = [parameter for part in self._adapters for parameter in part.parameters()]
        limit = self.plan.optimizer.max_grad_norm or math.inf
        norm = torch.nn.utils.clip_grad_norm_(parameters, limit)
        self._is_updating = True  # until this is done the weights are of no step, and must not be kept
        if torch.isfinite(norm) and torch.isfinite(loss):
            self._scaler.step(self._optimizer)
        self._is_updating = False
        self._scaler.update()
        self._optimizer.zero_grad()

    # ------------------------------------------------------------------------------------------------- what is kept

    def _make_optimizer(self) -> torch.optim.Optimizer:
        trains_unet = bool(self.plan.optimizer.rate_of_unet)
        unet = self._adapters[0].parameters() if trains_unet else []
        encoders = [parameter for part in self._adapters[trains_unet:] for parameter in part.parameters()]
        return make_optimizer(self.plan.optimizer, unet, encoders)

    def _keeps(self, epoch: int) -> bool:
        every = self.plan.saving.every_epochs
        return epoch == self.plan.epochs or bool(every and epoch % every == 0)

    def _save_missing_epoch(self, step: int) -> None:
        """Keep the LoRA of the epoch that ends at `step`, where a full disk or a crash came between."""
        for saved in self._saved_epochs():
            if saved.step == step and not saved.path.exists():
                self._save_epoch(saved.epoch, step)

    def _save_epoch(self, epoch: int, step: int) -> Path:
        tensors = {name: tensor for part in self._adapters for name, tensor in part.tensors().items()}
        metadata = lora_metadata(
            name=self.run.name,
            family=self.family,
            prediction_type=self._model.prediction_type,
            plan=self.plan,
            dataset=self.dataset,
            base_model=self.job.base_model,
            base_identity=self.run.base_identity,
            epoch=epoch,
            step=step,
            total_steps=self.total_steps,
            batches_per_epoch=self.steps_per_epoch[0],
        )
        path = self.run.epoch_file(epoch)
        write_atomic(path, lora_bytes(tensors, metadata, FORMATS[self.plan.precision.saving]))
        return path

    def _saved_epochs(self) -> list[SavedEpoch]:
        kept = [epoch for epoch in range(1, self.plan.epochs + 1) if self._keeps(epoch)]
        return [
            SavedEpoch(epoch=epoch, step=sum(self.steps_per_epoch[:epoch]), path=self.run.epoch_file(epoch))
            for epoch in kept
        ]

    def _is_time_for_state(self, step: int) -> bool:
        every = self.plan.saving.state_every_steps
        return bool(every and step % every == 0)

    def _save_state(self, step: int) -> None:
        save_state(self.run.state, step, self._adapters, self._optimizer, self._scaler)


def _not_finite(step: int) -> str:
    return (
        f"the loss was not a finite number {_NOT_FINITE_IN_A_ROW} times in a row, the last time at step {step}. "
        "Lower the learning rate, train in bf16 or fp32 instead of fp16, and check that the base model draws pictures."
    )
