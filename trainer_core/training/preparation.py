"""What comes before the first step: the base model loaded, pictures and captions encoded, the adapters attached."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..dataset.types import Dataset
from ..families.base_model import BaseModel
from ..families.cpu_attention import use_cpu_attention
from ..families.loading import load_base_model
from ..families.offloading import offload
from ..families.onednn import use_onednn
from ..families.quantised import quantise
from ..job import Job
from ..lora.adapters import Adapters
from ..lora.file import read_lora
from ..lora.merging import merge_loras
from ..lora.names import targets_of
from ..lora.start import start_from
from ..progress import StageReport
from . import objective
from .batches import BatchOrder, stream_seed
from .caption_encodings import CaptionEncodings
from .captions import VisitCaptions
from .encode import Latents, encode_pictures, latent_mask
from .encoding_memory import encode_in_tiles
from .judging import Judge
from .learner import Learner
from .memory_choice import MemoryChoice
from .plan import TrainingPlan
from .precision import FORMATS
from .run import Run
from .samples import SampleDrawer
from .team import Team


@dataclass(frozen=True, kw_only=True, slots=True)
class Preparation:
    """Makes the learner of a run. Each part of the base model leaves the device once it has done its work."""

    job: Job
    run: Run
    dataset: Dataset
    """What is trained."""
    lengths: Sequence[int]
    """Steps of each epoch."""
    choice: MemoryChoice
    judge: Judge
    samples: SampleDrawer
    remarks: list[str]
    """What is to be told of the run; this may add to it."""
    tokenizer_folders: Sequence[Path]
    device: str
    precision: str
    team: Team

    @property
    def plan(self) -> TrainingPlan:
        return self.job.plan

    def learner(self) -> Generator[StageReport, None, Learner]:
        """Yields its progress, and returns the learner."""
        yield StageReport(stage="loading the base model", done=0, total=1)
        model = self._load()
        latents = yield from self._encode_pictures(model)
        captions = VisitCaptions(
            plan=self.plan.captions,
            trigger_words=self.dataset.trigger_words,
            weights=self.plan.text.weights,
            seed=self.plan.seed,
        )
        encodings = yield from self._encode_captions(model, captions)
        if self.choice.offload:
            offload(model.unet, self.device)
        model.unet.to(self.device)
        adapters = self._attach_adapters(model, trains_text=encodings is None)
        masked = latents.items() if self.plan.loss.masked else ()
        learner = Learner(
            model,
            self.dataset,
            self.plan,
            latents=latents,
            masks={visit: latent_mask(self.dataset.images[visit[0]], latent, visit[1]) for visit, latent in masked},
            captions=captions,
            encodings=encodings,
            adapters=adapters,
            device=self.device,
            precision=self.precision,
            choice=self.choice,
            team=self.team,
        )
        if every := self.choice.checkpoint_every:
            learner.checkpoint(every)
        return learner

    def _load(self) -> BaseModel:
        model = load_base_model(self.job.base_model, FORMATS[self.precision], self.tokenizer_folders)
        objective.apply_prediction(model, self.plan.timesteps)
        merge_loras(model, [(read_lora(path), strength) for path, strength in self.plan.adapter.merges])
        if self.choice.packs_weights:
            quantise(model.unet, self.choice.base)
        if self.device == "cpu" and self.precision == "fp32":
            for part in (model.unet, *model.text_encoders):
                use_onednn(part)
            use_cpu_attention(model.unet)
        return model

    def _encode_pictures(self, model: BaseModel) -> Generator[StageReport, None, Latents]:
        """Every process encodes its share into the cache, and then takes all from there."""
        if self.choice.tiles:
            encode_in_tiles(model.vae)
        model.vae.to(self.device)
        latents: Latents = {}
        shares = [self.dataset]
        if self.team.size > 1:
            shares.insert(0, self.dataset.with_images(self.dataset.images[self.team.rank :: self.team.size]))
        for part in shares:
            latents.clear()
            yield from encode_pictures(
                model,
                self.run.base_identity,
                part,
                self.run.cache,
                self.device,
                latents,
                flip=self.plan.augment.flip,
            )
            self.team.add_up()
        if self.team.is_first:
            yield from self.judge.encode_pictures(model, latents)
        draws = self.team.is_first and (self.samples.requests or self.judge.draws)
        model.vae = model.vae.to("cpu") if draws else None
        return latents

    def _encode_captions(
        self, model: BaseModel, captions: VisitCaptions
    ) -> Generator[StageReport, None, CaptionEncodings | None]:
        """None where the text encoders are trained, and so run in every step."""
        for encoder in model.text_encoders:
            encoder.to(self.device)
        if self.plan.optimizer.rate_of_text_encoder:
            return None
        order = BatchOrder(self.dataset, self.plan, self.lengths)

        def captions_of(place: int) -> list[str]:
            return captions.of_batch([self.dataset.images[index] for index in order[place]], place)

        encodings = CaptionEncodings(
            model,
            self.plan.text,
            self.device,
            captions_of,
            known=captions.known(self.dataset.images),
            total_steps=len(order),
            batch_size=self.plan.batch_size,
        )
        if self.team.is_first:
            self.samples.encode(model)
            self.judge.encode_captions(model)
        yield from encodings.prepare()
        return encodings

    def _attach_adapters(self, model: BaseModel, *, trains_text: bool) -> list[Adapters]:
        network, adapter = self.plan.network, self.plan.adapter
        unet, *encoders = targets_of(model, adapter.targets, adapter.blocks)
        parts = ([unet] if self.plan.optimizer.rate_of_unet else []) + (encoders if trains_text else [])
        found = [Adapters(module, targets, network.rank, network.alpha, adapter) for module, targets in parts]
        for index, part in enumerate(found):
            part.initialise(stream_seed(self.plan.seed, "start", index))
        if adapter.start_from and (remark := start_from(model, found, read_lora(Path(adapter.start_from)))):
            self.remarks.append(remark)
        return found
