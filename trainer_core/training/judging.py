"""A run judged while it trains: measured after its epochs, and what the measurements say at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import torch
from torch import Tensor

from ..dataset.types import Dataset, DatasetImage
from ..dataset.wording import FileNames
from ..families.base_model import BaseModel, Conditioning, PictureSize
from ..progress import StageReport
from .caption_encodings import reading_of
from .encode import encode_pictures, picture_size
from .holdout import hold_out
from .latents import Latent, Latents
from .learner import Learner
from .masks import latent_mask
from .plan import TrainingPlan
from .precision import autocast
from .run import Run
from .two_prompt_test import TwoPromptTest
from .validation import Validation, ValidationPicture, within_bounds
from .validation_report import ValidationReport, append_report, read_reports, rewind_reports
from .verdict import Verdict, verdict


class Judge:
    """Holds out pictures, measures, and keeps a log of it. Nothing of this changes what is learned from the rest."""

    def __init__(self, dataset: Dataset, plan: TrainingPlan, run: Run, *, precision: str, device: str) -> None:
        split = hold_out(dataset, plan.validation)
        self.training, self.remark = split.training, split.remark
        """What is trained, and why pictures are held out or not."""
        self._held_out, self._whole = split.held_out, dataset
        self._plan, self._run, self._device = plan, run, device
        self._pictures: list[ValidationPicture] = []
        self._captions: dict[str, Conditioning] = {}
        self._validation: Validation | None = None
        self._two_prompts = TwoPromptTest(
            self.training, plan, run.folder / "two_prompts.json", precision=precision, device=device
        )

    @property
    def draws(self) -> bool:
        """Whether pictures are drawn for the verdict, which takes the VAE."""
        return self._two_prompts.is_on

    @property
    def held_out(self) -> int:
        """How many pictures are only measured."""
        return len(self._held_out)

    def encode_pictures(self, model: BaseModel, latents: Latents) -> Iterator[StageReport]:
        """Take the latents of what is trained, and encode what is held out. Needs the VAE on the device."""
        if not self._plan.validation.every_epochs:
            return
        extra = Latents(self._run.cache)
        aside = self.training.with_images(self._held_out)
        yield from encode_pictures(model, self._run.base_identity, aside, extra, self._device, flip=False)
        measured = within_bounds(self.training.training_images, len(self._held_out), self._plan.validation.seed)
        places = {id(image): index for index, image in enumerate(self.training.images)}
        trained = [(image, latents[places[id(image)], False]) for image in measured]
        kept = [(image, extra[index, False]) for index, image in enumerate(self._held_out)]
        names = FileNames(self._whole)
        self._pictures = [
            self._picture(image, latent, names, model, is_held_out=pairs is kept)
            for pairs in (trained, kept)
            for image, latent in pairs
        ]

    def _picture(
        self, image: DatasetImage, latent: Latent, names: FileNames, model: BaseModel, *, is_held_out: bool
    ) -> ValidationPicture:
        return ValidationPicture(
            name=names.of(image.path),
            fingerprint=image.fingerprint,
            is_held_out=is_held_out,
            latent_CHW=latent.mean_CHW * model.latent_scale,
            caption=image.caption,
            size=picture_size(image),
            mask_1HW=latent_mask(image, model.pixels_per_latent) / 255 if self._plan.loss.masked else None,
        )

    @torch.no_grad()
    def encode_captions(self, model: BaseModel) -> None:
        """Read the captions once, for runs whose text encoders are freed. Needs them on the device."""
        for caption in dict.fromkeys(picture.caption for picture in self._pictures):
            (row,) = model.encode_each([caption], self._plan.text.clip_skip, reading_of(self._plan.text))
            self._captions[caption] = row.to("cpu", row.states_BLD.dtype)
        self._two_prompts.encode(model)

    def begin(self, learner: Learner, step: int) -> None:
        """Get ready for a run that goes on from `step`."""
        if self._pictures:
            self._validation = Validation(
                self._pictures,
                learner.schedule,
                self._plan.timesteps,
                seed=self._plan.validation.seed,
                device=self._device,
            )
            rewind_reports(self._run.validation_log, step)

    def measure(self, learner: Learner, epoch: int, step: int, *, is_last: bool) -> Iterator[StageReport]:
        """Measure, if it is time after `epoch` epochs and has not been done.

        The base model, epoch 0, is measured together with the first of them, its adapters switched off, so that no run
        waits for it before its first step; only what a LoRA file starts from has to be measured while it is there.
        """
        every = self._plan.validation.every_epochs
        if self._validation is None or not (epoch % every == 0 or is_last):
            return
        known = {report.step for report in self.reports()}
        starts_anew = not self._plan.adapter.start_from
        if epoch and starts_anew and 0 not in known:
            with ExitStack() as off:
                for part in learner.adapters:
                    off.enter_context(part.switched_off())
                yield from self._measure(learner, 0, 0)
        if step not in known and (epoch or not starts_anew):
            yield from self._measure(learner, epoch, step)

    def _measure(self, learner: Learner, epoch: int, step: int) -> Iterator[StageReport]:
        def predict(noisy_BCHW: Tensor, t_B: Tensor, captions: list[str], sizes: list[PictureSize]) -> Tensor:
            with autocast(learner.precision, self._device):
                conditioning = self._conditioning(learner, captions)
            return learner.model.predict(noisy_BCHW, t_B, conditioning, sizes)

        learner.make_room()
        for part in learner.adapters:
            part.set_dropout_seed(None)
        modules = [learner.model.unet, *learner.model.text_encoders]
        report = yield from self._validation.measure(predict, modules, epoch=epoch, step=step)
        append_report(self._run.validation_log, report)

    def draw(self, learner: Learner) -> Iterator[StageReport]:
        """Draw the two-prompt test, at the end of a run."""
        learner.make_room()
        for part in learner.adapters:
            part.set_dropout_seed(None)
        with torch.no_grad():
            yield from self._two_prompts.draw(learner.model, learner.adapters)

    def reports(self) -> list[ValidationReport]:
        return read_reports(self._run.validation_log)

    def verdict(self, total_steps: int) -> Verdict:
        """What the measurements of the run say."""
        return verdict(self.reports(), self._plan, self.training, self._two_prompts.result(), total_steps)

    def _conditioning(self, learner: Learner, captions: list[str]) -> Conditioning:
        if not self._captions:
            return learner.model.encode_text(captions, self._plan.text.clip_skip, reading_of(self._plan.text))
        joined = Conditioning.join([self._captions[caption] for caption in captions])
        return joined.to(self._device, joined.states_BLD.dtype)
