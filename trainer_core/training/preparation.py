"""What comes before the first step: the base model loaded, pictures and captions encoded, the adapters attached."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ..devices import is_gpu
from ..families.base_model import BaseModel
from ..families.loading import load_base_model
from ..families.offloading import offload
from ..families.quantised import quantise
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
from .device_layers import (
    has_cpu_layers,
    put_borders_for_gpu,
    transform_for_cpu,
    use_gpu_layers,
    use_layers_of_cpu,
    usual_pixels,
)
from .encode import encode_pictures
from .encoding_memory import encode_in_tiles
from .latents import Latents
from .learner import Learner
from .masks import read_masks
from .memory_choice import MemoryChoice
from .plan import TrainingPlan
from .precision import FORMATS
from .run_parts import RunParts
from .shares import first_batches


@dataclass(frozen=True, kw_only=True, slots=True)
class Preparation:
    """Makes the learner of a run. Each part of the base model leaves the device once it has done its work."""

    parts: RunParts
    choice: MemoryChoice
    tokenizer_folders: Sequence[Path]

    @property
    def plan(self) -> TrainingPlan:
        return self.parts.plan

    def learner(self) -> Generator[StageReport, None, Learner]:
        """Yields its progress, and returns the learner."""
        parts = self.parts
        yield StageReport(stage="loading the base model", done=0, total=1)
        model = self._load()
        pixels_per_latent = model.pixels_per_latent  # known while the VAE is there
        masks = {}
        if self.plan.loss.masked:
            masks = yield from read_masks(parts.dataset.images, model.pixels_per_latent, flip=self.plan.augment.flip)
        latents = yield from self._encode_pictures(model)
        captions = VisitCaptions(
            plan=self.plan.captions,
            trigger_words=parts.dataset.trigger_words,
            weights=self.plan.text.weights,
            seed=self.plan.seed,
        )
        encodings = yield from self._encode_captions(model, captions)
        if is_gpu(parts.device):
            torch.cuda.empty_cache()  # what the VAE and the encoders took
        if self.choice.offload:
            offload(model.unet, parts.device)
        model.unet.to(parts.device)
        adapters = self._attach_adapters(model, trains_text=encodings is None)
        self._suit_adapters(model, pixels_per_latent)
        learner = Learner(
            model,
            parts.dataset,
            self.plan,
            latents=latents,
            masks=masks,
            captions=captions,
            encodings=encodings,
            adapters=adapters,
            device=parts.device,
            precision=parts.precision,
            choice=self.choice,
            team=parts.team,
        )
        if every := self.choice.checkpoint_every:
            learner.checkpoint(every)
        return learner

    def _load(self) -> BaseModel:
        model = load_base_model(self.parts.job.base_model, FORMATS[self.parts.precision], self.tokenizer_folders)
        objective.apply_prediction(model, self.plan.timesteps)
        merge_loras(model, [(read_lora(path), strength) for path, strength in self.plan.adapter.merges])
        if self.choice.packs_weights:
            quantise(model.unet, self.choice.base)
        self._suit_device(model)
        return model

    def _suit_device(self, model: BaseModel) -> None:
        """Have layers compute as they are fastest on the device."""
        if is_gpu(self.parts.device):
            for part in (model.unet, model.vae):
                part.to(memory_format=torch.channels_last)  # else convolutions turn what they are given
            dtype, will_compile = FORMATS[self.parts.precision], self.plan.precision.compile
            use_gpu_layers(model.unet, self.parts.device, dtype, will_compile=will_compile)
        elif self._has_cpu_layers:
            adapter = self.plan.adapter
            in_parts = adapter.kind == "lora" and not adapter.drops_out  # other kinds build a weight at every call
            use_layers_of_cpu(model, in_parts=in_parts)

    def _suit_adapters(self, model: BaseModel, pixels_per_latent: int) -> None:
        """Have the UNet, which has its adapters, compute with them as is fastest, on a CPU in batches of the usual
        size."""
        if is_gpu(self.parts.device):
            put_borders_for_gpu(model.unet, self.parts.device, FORMATS[self.parts.precision], self.plan.adapter)
        elif self._has_cpu_layers:
            dataset = self.parts.dataset
            batches = first_batches(dataset, self.plan, self.parts.team.size)
            pixels = usual_pixels(batches, [image.bucket for image in dataset.images], self.choice.parts)
            transform_for_cpu(model.unet, pixels // pixels_per_latent**2)

    @property
    def _has_cpu_layers(self) -> bool:
        return has_cpu_layers(self.parts.device, self.parts.precision)

    def _encode_pictures(self, model: BaseModel) -> Generator[StageReport, None, Latents]:
        """Every process encodes its share into the cache, and then takes all from there."""
        parts, team = self.parts, self.parts.team
        if self.choice.tiles:
            encode_in_tiles(model.vae)
        model.vae.to(parts.device)
        dataset, base = parts.dataset, parts.run.base_identity
        own = [dataset.with_images(dataset.images[team.rank :: team.size])] if team.size > 1 else []
        for share in (*own, dataset):
            latents = Latents(parts.run.cache)
            yield from encode_pictures(model, base, share, latents, parts.device, flip=self.plan.augment.flip)
            team.add_up()
        if team.is_first:
            yield from parts.judge.encode_pictures(model, latents)
            latents.delete_unused()
        draws = team.is_first and (parts.samples.requests or parts.judge.draws)
        model.vae = model.vae.to("cpu") if draws else None
        return latents

    def _encode_captions(
        self, model: BaseModel, captions: VisitCaptions
    ) -> Generator[StageReport, None, CaptionEncodings | None]:
        """None where the text encoders are trained, and so run in every step."""
        parts, images = self.parts, self.parts.dataset.images
        for encoder in model.text_encoders:
            encoder.to(parts.device)
        if self.plan.optimizer.rate_of_text_encoder:
            return None
        order = BatchOrder(parts.dataset, self.plan, parts.lengths)

        def captions_of(place: int) -> list[str]:
            return captions.of_batch([images[index] for index in order[place]], place)

        encodings = CaptionEncodings(
            model,
            self.plan.text,
            parts.device,
            captions_of,
            known=captions.known(images),
            total_steps=len(order),
            batch_size=self.plan.batch_size,
        )
        if parts.team.is_first:
            parts.samples.encode(model)
            parts.judge.encode_captions(model)
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
            self.parts.remarks.append(remark)
        return found
