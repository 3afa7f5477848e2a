"""What one optimizer step does: the model with its adapters, the encoded pictures, and how they are put together."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..dataset.types import Dataset
from ..families.base_model import BaseModel, Conditioning
from ..families.sending import send
from ..lora.adapters import Adapters
from ..lora.dropout import Rows
from . import objective
from .amount import Step, steps_from, steps_per_epoch
from .batches import draw_flips, step_generator, stream_seed
from .caption_encodings import CaptionEncodings, reading_of
from .captions import VisitCaptions
from .checkpointing import checkpoint_blocks
from .encode import Latents, Visit, draw_latents, picture_size
from .memory_choice import MemoryChoice
from .noise import perturb_noise, shape_noise
from .plan import TrainingPlan
from .precision import autocast
from .shares import Portion, share
from .team import Team
from .timesteps import draw_timesteps
from .weighting import timestep_weights

# Shape suffixes: B batch, C latent channels, H and W latent height and width, T timesteps.


class Learner:
    """Holds all that is needed to take steps. Everything that is drawn depends on the plan's seed and the place of the
    batch in the run, so a resumed run draws the same."""

    def __init__(
        self,
        model: BaseModel,
        dataset: Dataset,
        plan: TrainingPlan,
        *,
        latents: Latents,
        masks: dict[Visit, Tensor],
        captions: VisitCaptions,
        encodings: CaptionEncodings | None,
        adapters: Sequence[Adapters],
        device: str,
        precision: str,
        choice: MemoryChoice,
        team: Team,
    ) -> None:
        self.model, self.dataset, self.plan = model, dataset, plan
        self.latents, self.masks = latents, masks
        self.captions, self.encodings, self.adapters = captions, encodings, list(adapters)
        self.device, self.precision, self.choice, self._team = device, precision, choice, team
        self.schedule = objective.noise_schedule(model)
        self._weights_T = timestep_weights(plan.weighting, self.schedule)
        self._bends_T = objective.huber_thresholds(plan.loss, self.schedule)
        self._scaler = torch.amp.GradScaler(torch.device(device).type, enabled=precision == "fp16")
        self._scaler.scale(torch.zeros((), device=device))  # begins it: the first step may have no picture for us
        self.checkpoint_every = 0
        """Every how many blocks are computed again in the backward pass; 0: none."""
        self.is_updating = False
        """Until a step is done the weights are of no step, and must not be kept."""

    @property
    def scaler(self) -> torch.amp.GradScaler:
        return self._scaler

    @property
    def parameters(self) -> list[torch.nn.Parameter]:
        return [parameter for part in self.adapters for parameter in part.parameters()]

    def checkpoint(self, every: int) -> None:
        """Compute every `every`-th block again in the backward pass instead of keeping what it computed."""
        self.checkpoint_every = every
        checkpoint_blocks(self.model, every)

    def step(self, step: Step, optimizer: torch.optim.Optimizer) -> float:
        """One optimizer step over one or more batches; returns the loss, the mean over all their pictures.

        A loss or gradient that is not finite changes no weight.
        """
        loss = self._team.add_up_losses(lambda: self._learn(step))
        self._team.add_up_gradients(self.parameters)
        self._apply_gradients(optimizer, loss)
        return loss

    def predict_once(self) -> None:
        """Go through the model as the first step does, for whoever looks on; nothing is learned."""
        step = next(steps_from(self.dataset, self.plan, steps_per_epoch(self.dataset, self.plan), 0))
        portion = next(iter(share(step, self._team.rank, self._team.size)))
        self._losses(list(portion.batch), portion.place, self._parts_of(portion)[0])

    def _learn(self, step: Step) -> float:
        """Gradients of this process's share of a step; its share of the loss."""
        pictures = sum(map(len, step.batches))
        losses = []
        for portion in share(step, self._team.rank, self._team.size):
            for rows in self._parts_of(portion):
                part = self._losses(list(portion.batch), portion.place, rows).sum() / pictures
                self._scaler.scale(part).backward()
                losses.append(part.detach())
        return sum(torch.stack(losses).tolist()) if losses else 0.0  # fetched once, for a fetch waits for the device

    def _parts_of(self, portion: Portion) -> list[slice]:
        start, end = portion.rows.start, portion.rows.stop
        most = -(-(end - start) // self.choice.parts)
        return [slice(first, min(first + most, end)) for first in range(start, end, most)]

    def _losses(self, batch: list[int], place: int, rows: slice = slice(None)) -> Tensor:
        """The weighted loss of each picture of the batch that is `place`-th in the run (B), or of some rows of it.

        What is drawn is drawn for the whole batch, so that its parts see what they would see together.
        """
        flips = draw_flips(len(batch), self.plan.seed, place, flip=self.plan.augment.flip)
        visits = list(zip(batch, flips, strict=True))
        for part in self.adapters:
            shown = Rows(rows, len(batch)) if part.module is self.model.unet else None
            part.set_dropout_seed(stream_seed(self.plan.seed, "dropout", place), shown)
        drawn = [tensor[rows] for tensor in self._draw(visits, place)]
        x_BCHW, noise_BCHW, seen_BCHW, t_B = (send(tensor, self.device) for tensor in drawn)
        t_cpu_B = drawn[-1]
        visits = visits[rows]
        images = [self.dataset.images[index] for index, _ in visits]
        sizes = [picture_size(image, flips) for image, (_, flips) in zip(images, visits, strict=True)]
        with autocast(self.precision, self.device):
            noisy_BCHW = self.schedule.add_noise(x_BCHW, seen_BCHW, t_B)
            predicted_BCHW = self.model.predict(noisy_BCHW, t_B, self._conditioning(batch, place, rows), sizes)
        target_BCHW = objective.target(self.schedule, x_BCHW, noise_BCHW, t_B)
        loss_B = objective.loss_per_picture(
            predicted_BCHW,
            target_BCHW,
            self._mask(visits),
            self.plan.loss.kind,
            send(self._bends_T[t_cpu_B], self.device),
        )
        prior = self.plan.loss.prior_loss_weight
        counts_B = torch.tensor([prior if image.is_regularisation else 1.0 for image in images])
        return loss_B * send(counts_B * self._weights_T[t_cpu_B], self.device)

    def _draw(self, visits: list[Visit], place: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Latents, noise of the target, noise as it is shown, timesteps: drawn and left on the CPU, so that every
        device gets the same."""
        seed, generator = self.plan.seed, step_generator(self.plan.seed, place)
        x_BCHW = draw_latents([self.latents[visit] for visit in visits], self.model.latent_scale, generator)
        white_BCHW = torch.randn(x_BCHW.shape, generator=generator)
        t_B = draw_timesteps(len(visits), self.plan.timesteps, generator)
        noise_BCHW = shape_noise(white_BCHW, self.plan.noise, seed, place)
        seen_BCHW = perturb_noise(noise_BCHW, self.plan.noise, seed, place)
        return x_BCHW, noise_BCHW, seen_BCHW, t_B

    def _mask(self, visits: list[Visit]) -> Tensor | None:
        if not self.masks:
            return None
        return send(torch.stack([self.masks[visit] for visit in visits]), self.device)

    def _conditioning(self, batch: list[int], place: int, rows: slice) -> Conditioning:
        if self.encodings:
            return self.encodings.of_step(place)[rows]
        captions = self.captions.of_batch([self.dataset.images[index] for index in batch], place)
        if self.plan.adapter.drops_out:  # which is drawn for all captions
            return self._read(captions)[rows]
        return self._read(captions[rows])

    def _read(self, captions: Sequence[str]) -> Conditioning:
        return self.model.encode_text(captions, self.plan.text.clip_skip, reading_of(self.plan.text))

    def _apply_gradients(self, optimizer: torch.optim.Optimizer, loss: float) -> None:
        self._scaler.unscale_(optimizer)
        limit = self.plan.optimizer.max_grad_norm or math.inf
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, limit)
        self.is_updating = True
        if math.isfinite(loss) and math.isfinite(norm.item()):
            self._scaler.step(optimizer)
            for part in self.adapters:
                part.limit_norms()
        self.is_updating = False
        self._scaler.update()
        optimizer.zero_grad()
