"""What one optimizer step does: the model with its adapters, the encoded pictures, and how they are put together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..dataset.types import Dataset
from ..devices import is_gpu
from ..families.base_model import BaseModel, Conditioning
from ..families.gpu.trial import can_drop
from ..families.sending import send
from ..lora.adapters import Adapters
from ..lora.dropout import seed_numbers
from ..lora.halves import halves_at_hand
from . import objective
from .amount import Step, steps_from, steps_per_epoch
from .caption_encodings import CaptionEncodings, reading_of
from .captions import VisitCaptions
from .checkpointing import checkpoint_blocks
from .draws import Part, Shown, StepDraws, dropout_seed
from .latents import Latents, Visit
from .memory_choice import MemoryChoice
from .plan import TrainingPlan
from .precision import FORMATS, autocast
from .shares import share
from .step_loss import StepLoss, skips_on_device, step_unless_bad
from .strip import Strip
from .team import Team

# Shape suffixes: B pictures of a part, C latent channels, H and W latent height and width, L tokens, D text width.


@dataclass(frozen=True, slots=True)
class Given:
    """A part on the device."""

    part: Part
    shown: Shown
    states_BLD: Tensor
    """Of the captions; with a gradient where text encoders are trained."""
    added: Mapping[str, Tensor]
    """What else the UNet is told."""


class Passes(Protocol):
    """What does in another way what `Learner.learn` does."""

    strip: Strip
    """Where it leaves gradients."""

    def learn(self, given: Given) -> Tensor: ...

    def make_room(self) -> None:
        """Let go of what it holds, where others may need it."""


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
        self.captions, self.encodings, self.adapters = captions, encodings, list(adapters)
        self.parameters = [parameter for part in self.adapters for parameter in part.parameters()]
        """All that are trained. Looking up SDXL's 1,444 takes 1.5 ms, of which a fast GPU's step has not many."""
        self.device, self.precision, self.choice, self.team = device, precision, choice, team
        self.schedule = objective.noise_schedule(model)
        self._draws = StepDraws(
            dataset,
            plan,
            self.schedule,
            latents=latents,
            latent_scale=model.latent_scale,
            masks=masks,
            device=device,
        )
        self._scaler = torch.amp.GradScaler(torch.device(device).type, enabled=precision == "fp16")
        self._scaler.scale(torch.zeros((), device=device))  # begins it: the first step may have no picture for us
        self.checkpoint_every = 0
        """Every how many blocks are computed again in the backward pass; 0: none."""
        self.is_compiled = False
        """Whether the UNet's blocks are."""
        self._drops_by_kernel = plan.adapter.drops_out and can_drop(device, FORMATS[precision])
        self._passes: Passes | None = None
        self.is_updating = False
        """Until a step is counted, by whoever asked for it, the weights are of no step and must not be kept."""

    @property
    def scaler(self) -> torch.amp.GradScaler:
        return self._scaler

    def checkpoint(self, every: int) -> None:
        """Compute every `every`-th block again in the backward pass instead of keeping what it computed."""
        self.checkpoint_every = every
        self.learn_itself()  # what was recorded keeps everything
        checkpoint_blocks(self.model, every)

    def draw(self, step: Step) -> list[Part]:
        """What this process computes of a step. Any thread may draw ahead."""
        return self._draws.parts(step, share(step, self.team.rank, self.team.size), self.choice.parts)

    def step(self, parts: Sequence[Part], optimizer: torch.optim.Optimizer) -> StepLoss:
        """The optimizer step whose parts were drawn; its loss is the mean over all its pictures.

        A loss or gradient that is not finite changes no weight. Where `is_ahead`, the device is not waited for.
        """
        losses, have_strips = self.team.add_up_losses(lambda: self._learn(parts), self._has_strip)
        self.team.add_up_gradients(self.parameters, self.strip if have_strips else None)
        return self._apply_gradients(optimizer, losses)

    def is_ahead(self, optimizer: torch.optim.Optimizer) -> bool:
        """Whether a step is asked for before the loss of the one before it is known, so that a GPU never idles.

        Several processes agree on their losses first, and only torch's AdamW leaves a step out by itself.
        """
        return is_gpu(self.device) and self.team.size == 1 and skips_on_device(optimizer)

    def learn_by(self, passes: Passes) -> None:
        """Let something else do what `learn` does."""
        self._passes = passes

    def learn_itself(self) -> None:
        """Let nothing else do it any more."""
        if self._passes:
            self._passes.strip.let_go()
        self._passes = None

    @property
    def learns_itself(self) -> bool:
        return self._passes is None

    @property
    def strip(self) -> Strip | None:
        """What gradients are left in, unless it learns itself."""
        return self._passes.strip if self._passes else None

    def _has_strip(self) -> bool:
        return self.strip is not None and bool(self.strip.parameters)

    def make_room(self) -> None:
        """To be called before something else than a step is computed on the device."""
        if self._passes:
            self._passes.make_room()

    def predict_once(self) -> None:
        """Go through the model as the first step does, for whoever looks on; nothing is learned."""
        self._losses(self.given(self.first()))

    def first(self) -> Part:
        """The run's first part."""
        step = next(steps_from(self.dataset, self.plan, steps_per_epoch(self.dataset, self.plan), 0))
        return self.draw(step)[0]

    def given(self, part: Part) -> Given:
        """A part on the device, with its captions read."""
        of_text = [adapters for adapters in self.adapters if adapters.module is not self.model.unet]
        if self.plan.adapter.drops_out and of_text:
            whole = send(seed_numbers(dropout_seed(self.plan, part.place), 1), self.device)
            for adapters in of_text:  # they read whole batches
                self._drop(adapters, part, whole)
        with autocast(self.precision, self.device):
            conditioning = self._conditioning(part)
        added = self.model.added_conditions(conditioning, part.sizes)
        return Given(part, part.shown.sent_to(self.device), conditioning.states_BLD, added)

    def learn(self, given: Given) -> Tensor:
        """Add the gradients of a part; returns what it adds to the step's loss, still on the device."""
        with self.passing():
            loss = self.loss(given)
            self._scaler.scale(loss).backward()
        return loss.detach()

    def passing(self, strip: Strip | None = None) -> AbstractContextManager[None]:
        """What a forward and backward pass through the UNet is to be in. `strip`: where gradients may be added, which
        then do not come back by autograd."""
        # compiled blocks bring weights into half precision as they multiply
        gradients = dict(zip(strip.parameters, strip.gradients, strict=True)) if strip else {}
        return halves_at_hand([] if self.is_compiled else self._of_unet, FORMATS[self.precision], gradients)

    @property
    def _of_unet(self) -> list[Adapters]:
        return [part for part in self.adapters if part.module is self.model.unet]

    def _drop(self, adapters: Adapters, part: Part, numbers: Tensor) -> None:
        seed = dropout_seed(self.plan, part.place)
        adapters.set_dropout_seed(seed, numbers, has_kernel=self._drops_by_kernel)

    def loss(self, given: Given) -> Tensor:
        """What a part adds to the step's loss. Nothing in here comes from the CPU or waits for the device."""
        if given.shown.drops_B3 is not None:
            for adapters in self._of_unet:
                self._drop(adapters, given.part, given.shown.drops_B3)
        return self._losses(given).sum() / given.shown.pictures

    def _learn(self, parts: Sequence[Part]) -> Tensor:
        """Gradients of all parts; what each adds to the loss."""
        learn = self._passes.learn if self._passes else self.learn
        losses = [learn(self.given(part)) for part in parts]
        return torch.stack(losses) if losses else torch.zeros(0, device=self.device)

    def _losses(self, given: Given) -> Tensor:
        """The weighted loss of each picture of a part (B)."""
        shown = given.shown
        noisy_BCHW = self.schedule.add_noise(shown.x_BCHW, shown.seen_BCHW, shown.t_B)
        predicted_BCHW = self.model.answer(noisy_BCHW, shown.t_B, given.states_BLD, given.added)
        target_BCHW = objective.target(self.schedule, shown.x_BCHW, shown.noise_BCHW, shown.t_B)
        mask_B1HW = None if shown.mask_B1HW is None else shown.mask_B1HW / 255
        loss_B = objective.loss_per_picture(predicted_BCHW, target_BCHW, mask_B1HW, self.plan.loss.kind, shown.bends_B)
        return loss_B * shown.weights_B

    def _conditioning(self, part: Part) -> Conditioning:
        if self.encodings:
            return self.encodings.of_step(part.place)[part.rows]
        captions = self.captions.of_batch([self.dataset.images[index] for index in part.batch], part.place)
        if self.plan.adapter.drops_out:  # which is drawn for all captions
            return self._read(captions)[part.rows]
        return self._read(captions[part.rows])

    def _read(self, captions: Sequence[str]) -> Conditioning:
        return self.model.encode_text(captions, self.plan.text.clip_skip, reading_of(self.plan.text))

    def _apply_gradients(self, optimizer: torch.optim.Optimizer, losses: Tensor) -> StepLoss:
        """Take the step, if all is finite."""
        self._scaler.unscale_(optimizer)
        limit = self.plan.optimizer.max_grad_norm or math.inf
        is_filled = self.strip is not None and self.strip.is_filled()
        trained = self.strip.with_others(self.parameters) if is_filled else self.parameters
        loss = StepLoss(losses, torch.nn.utils.clip_grad_norm_(trained, limit))
        self.is_updating = True
        if self.is_ahead(optimizer):
            step_unless_bad(optimizer, loss)
        elif loss.is_finite:
            optimizer.step()
        for part in self.adapters:
            part.limit_norms(loss.is_finite_on_device)
        self._scaler.update()
        optimizer.zero_grad()
        return loss
