"""Trainer: a job in, a LoRA out. The loop is a generator; whoever drives it decides what happens between steps."""

from __future__ import annotations

import gc
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch

from ..families.base_model import BaseModel
from ..families.cpu_attention import use_cpu_attention
from ..families.loading import family_of, load_base_model, outline_of
from ..families.onednn import use_onednn
from ..families.quantised import quantise
from ..job import Job
from ..lora.adapters import Adapters
from ..lora.file import read_lora
from ..lora.merging import merge_loras
from ..lora.names import targets_of
from ..lora.start import start_from
from ..progress import StageReport
from ..runs.pace import StepTimes, Work
from . import objective
from .amount import Step, share_of_epochs, steps_from, steps_per_epoch
from .arithmetic import RunSize, run_size
from .batches import BatchOrder, check_trainable, stream_seed
from .caption_encodings import CaptionEncodings
from .captions import VisitCaptions
from .checkpointing import checkpoint_blocks
from .ema import WeightAverage
from .encode import Latents, encode_pictures, latent_mask
from .encoding_memory import encode_in_tiles
from .judging import Judge
from .keeping import Keeping, check_room
from .learner import Learner
from .memory import StepMemory
from .memory_choice import MemoryChoice
from .memory_fit import MemoryFit
from .metadata import shareable
from .optimizer import check_optimizer, make_optimizer, set_rates
from .picture_ranking import RankedPicture, rank_pictures
from .precision import FORMATS, device_name, resolve_precision
from .reports import StepReport, TrainedLora
from .run import Run, RunLock, StopAsked
from .samples import MissedSample, Sample, SampleDrawer
from .schedule import rate_factor
from .shares import check_shares
from .state import load_state
from .team import ALONE, Team
from .troubles import FiniteWatch, is_out_of_memory
from .verdict import Verdict


class Trainer:
    """One job on one device. Building it is cheap and refuses what would fail later.

    Raises:
        TrainingError: the set, the base model, the optimizer or the runs folder cannot be used.
    """

    def __init__(
        self,
        job: Job,
        runs_folder: Path,
        *,
        device: str = "cpu",
        tokenizer_folders: Sequence[Path] = (),
        team: Team = ALONE,
    ) -> None:
        """`team`: the processes that train this run together, each with a trainer of the same job."""
        self.family = family_of(job.base_model)
        self.job, self.plan = job, job.plan
        self.device, self.tokenizer_folders, self._team = device, tokenizer_folders, team
        self.precision = resolve_precision(job.plan.precision.training, device)
        check_optimizer(job.plan.optimizer, device)
        self.run = Run(job, runs_folder, self.precision)
        self._judge = Judge(job.dataset, job.plan, self.run, precision=self.precision, device=device)
        self.dataset = self._judge.training
        """What is trained: the job's dataset without the pictures that are held out."""
        check_trainable(self.dataset, job.plan)
        check_shares(job.plan, team.size)
        self.lengths = steps_per_epoch(self.dataset, job.plan)
        self.total_steps = sum(self.lengths)
        self.remarks: list[str] = []
        """What should be told about the run, a line each; more come while it is prepared."""
        if self._judge.held_out:
            self.remarks.append(self._judge.remark)
        self._samples = SampleDrawer(
            job.plan.samples,
            self.run.folder,
            clip_skip=job.plan.text.clip_skip,
            precision=self.precision,
            device=device,
        )
        self._memory = MemoryFit(
            job,
            self.run.base_identity,
            self.dataset,
            precision=self.precision,
            device=device,
            processes=team.size,
        )
        self._choice = MemoryChoice.as_set(job.plan)
        self._size: RunSize | None = None
        self._learner: Learner | None = None
        self._is_checkpointing = False

    @property
    def run_folder(self) -> Path:
        return self.run.folder

    def size(self) -> RunSize:
        """The arithmetic of the run, to be shown before it starts. It puts every epoch in order, so it is done once."""
        if self._size is None:
            self._size = run_size(self.dataset, self.plan, outline_of(self.job.base_model))
        return self._size

    def step_memory(self) -> StepMemory:
        """What a step needs as the plan has it: counted in seconds, and nothing is loaded for it."""
        return self._memory.as_set()

    def result(self) -> TrainedLora:
        """The finished run; raises TrainingError while it is not finished."""
        return self.run.result()

    def verdict(self) -> Verdict:
        """Underfit, good or overfit, and what to change: of a finished run, or of one so far."""
        return self._judge.verdict(self.total_steps)

    def pictures(self) -> list[RankedPicture]:
        """What the LoRA has made of each picture that is measured, the hardest first; none where none is measured."""
        return rank_pictures(self._judge.reports())

    # ------------------------------------------------------------------------------------------- before the steps

    def prepare(self) -> Iterator[StageReport]:
        """Load the base model and encode the set, freeing each part once it has done its work.

        `steps` does this by itself; iterate it first to show its progress. A finished run needs none of it.
        """
        if self.run.is_finished or self._learner is not None:
            return
        check_room(self.run_folder, self.size())
        yield StageReport(stage="estimating memory", done=0, total=1)
        with self._team.first_alone():
            self._choice, told = self._memory.settle(self.run_folder / "memory.json")
        self.remarks += told
        yield StageReport(stage="loading the base model", done=0, total=1)
        model = self._load()
        latents: Latents = {}
        if self._choice.tiles:
            encode_in_tiles(model.vae)
        model.vae.to(self.device)
        yield from self._encode_pictures(model, latents)
        if self._team.is_first:
            yield from self._judge.encode_pictures(model, latents)
        draws = self._team.is_first and (self._samples.requests or self._judge.draws)
        model.vae = model.vae.to("cpu") if draws else None
        captions = VisitCaptions(
            plan=self.plan.captions,
            trigger_words=self.dataset.trigger_words,
            weights=self.plan.text.weights,
            seed=self.plan.seed,
        )
        for encoder in model.text_encoders:
            encoder.to(self.device)
        encodings = self._encodings(model, captions)
        if encodings:
            if self._team.is_first:
                self._samples.encode(model)
                self._judge.encode_captions(model)
            yield from encodings.prepare()
        model.unet.to(self.device)
        adapters = self._attach_adapters(model, trains_text=encodings is None)
        masked = latents.items() if self.plan.loss.masked else ()
        self._learner = Learner(
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
            parts=self._choice.parts,
            team=self._team,
        )

    def _encode_pictures(self, model: BaseModel, latents: Latents) -> Iterator[StageReport]:
        """Every process encodes its share into the cache, and then takes all from there."""
        shares = [self.dataset]
        if self._team.size > 1:
            shares.insert(0, self.dataset.with_images(self.dataset.images[self._team.rank :: self._team.size]))
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
            self._team.add_up()

    def _load(self) -> BaseModel:
        model = load_base_model(self.job.base_model, FORMATS[self.precision], self.tokenizer_folders)
        objective.apply_prediction(model, self.plan.timesteps)
        merge_loras(model, [(read_lora(path), strength) for path, strength in self.plan.adapter.merges])
        if self._choice.base != "full":
            quantise(model.unet, self._choice.base)
        if self.device == "cpu" and self.precision == "fp32":
            for part in (model.unet, *model.text_encoders):
                use_onednn(part)
            use_cpu_attention(model.unet)
        return model

    def _encodings(self, model: BaseModel, captions: VisitCaptions) -> CaptionEncodings | None:
        """None where the text encoders are trained, and so run in every step."""
        if self.plan.optimizer.rate_of_text_encoder:
            return None
        order = BatchOrder(self.dataset, self.plan, self.lengths)

        def captions_of(place: int) -> list[str]:
            return captions.of_batch([self.dataset.images[index] for index in order[place]], place)

        return CaptionEncodings(
            model,
            self.plan.text,
            self.device,
            captions_of,
            known=captions.known(self.dataset.images),
            total_steps=len(order),
            batch_size=self.plan.batch_size,
        )

    def _attach_adapters(self, model: BaseModel, *, trains_text: bool) -> list[Adapters]:
        network, adapter = self.plan.network, self.plan.adapter
        unet, *encoders = targets_of(model, adapter.targets, adapter.blocks)
        parts = ([unet] if self.plan.optimizer.rate_of_unet else []) + (encoders if trains_text else [])
        found = [Adapters(module, targets, network.rank, network.alpha, adapter) for module, targets in parts]
        for index, part in enumerate(found):
            part.initialise(stream_seed(self.plan.seed, "start", index))
        if adapter.start_from and (remark := start_from(model, found, read_lora(Path(adapter.start_from)))):
            self.remarks.append(remark)
        if every := self._choice.checkpoint_every:
            self._checkpoint(model, every)
        return found

    # ------------------------------------------------------------------------------------------------------ steps

    def steps(self) -> Iterator[StepReport | StageReport | Sample | MissedSample]:
        """Train, yielding after every optimizer step; from where the run stopped, or nothing where it is finished.
        Where the plan has samples, also after every step of drawing one, and each sample.

        Closing the generator, or any error in a step, leaves a state from which the same job goes on, bit for bit.
        `run.ask` has it stop, end early as a finished run, draw its samples or keep a LoRA after the step it is at.

        Raises:
            TrainingError: too many losses are not finite, the run is in use elsewhere, or it was asked to stop.
        """
        if self.run.is_finished:
            return
        for _ in self.prepare():
            pass
        try:
            if not self._team.is_first:
                yield from self._follow(self._learner)
                return
            with RunLock(self.run), self.run.answering():
                self.run.start(self._about())
                yield from self._train(self._learner)
        finally:
            self._learner = None  # whoever keeps the trainer for its result keeps no model

    def _follow(self, learner: Learner) -> Iterator[StepReport]:
        """The steps of a process that keeps nothing: the first one does, and says when the run ends."""
        optimizer, _, step = self._begin(learner)
        finite = FiniteWatch()
        for turn in steps_from(self.dataset, self.plan, self.lengths, step):
            report = self._next(turn, step, learner, optimizer)
            step += 1
            finite.check(step, report.loss)
            is_last = self._agree(learner, turn, step, is_last=False)
            yield report
            if is_last:
                break
        self._team.add_up()

    def _begin(self, learner: Learner) -> tuple[torch.optim.Optimizer, WeightAverage, int]:
        """What a run goes on with, and from which step: its state, or a fresh start."""
        optimizer = self._make_optimizer(learner)
        average = WeightAverage(learner.parameters, self.plan.ema)
        averaged = average.tensors()
        step = load_state(self.run.state, learner.adapters, optimizer, learner.scaler, averaged)
        average.load(averaged)
        self._team.check_alike(learner.parameters, step)
        return optimizer, average, step

    def _next(self, turn: Step, step: int, learner: Learner, optimizer: torch.optim.Optimizer) -> StepReport:
        """The step after `step` whole ones."""
        rate = set_rates(optimizer, rate_factor(self.plan.schedule, step, self.total_steps))
        loss = self._take(turn, learner, optimizer)
        return StepReport(
            step=step + 1, total_steps=self.total_steps, epoch=turn.epoch + 1, loss=loss, learning_rate=rate
        )

    def _agree(self, learner: Learner, turn: Step, step: int, *, is_last: bool) -> bool:
        """Whether any process, and that is the first one, says that the run ends here."""
        if turn.is_last_of_epoch:
            self._team.check_alike(learner.parameters, step)
        (ends,) = self._team.add_up(is_last)
        return bool(ends)

    def _train(self, learner: Learner) -> Iterator[StepReport | StageReport | Sample | MissedSample]:
        optimizer, average, step = self._begin(learner)
        keeping = Keeping(self.job, self.run, self.dataset, self.lengths, learner, optimizer, average)
        self.run.rewind_log(step)
        keeping.save_missing(step)
        self._judge.begin(learner, step)
        finite = FiniteWatch()
        device = device_name(self.device)
        work = Work.of(self.dataset, self.plan, family=self.family.title, precision=self.precision, device=device)
        times = StepTimes(self.run_folder, work)
        try:
            if step in (edges := [0, *accumulate(self.lengths)]):
                yield from self._looked_at(learner, keeping, edges.index(step), step)
            for turn in steps_from(self.dataset, self.plan, self.lengths, step):
                with times.step():
                    report = self._next(turn, step, learner, optimizer)
                step += 1
                average.update(step)
                self.run.log(report)
                finite.check(step, report.loss)
                ends = step == self.total_steps or self.run.is_asked("finish")
                is_last = self._agree(learner, turn, step, is_last=ends)
                if saved := self._keep(keeping, turn, step, is_last=is_last):
                    report = replace(report, saved=saved)
                if saved or self._is_time_for_state(step):
                    keeping.save_state(step)
                yield report
                yield from self._answer(learner, keeping, turn, step)
                if turn.is_last_of_epoch or is_last:
                    yield from self._looked_at(learner, keeping, turn.epoch + 1, step, is_last=is_last)
                if is_last:
                    yield from self._drawn_for_the_verdict(learner, keeping)
                    break
        except BaseException:  # an error, an interrupt or close(): keep what was learned, then let it through
            if not learner.is_updating:
                keeping.save_interrupted(step)
            raise
        finally:
            times.write()
        self.run.tell(self.verdict().to_json(), self.remarks)
        keeping.finish()
        self._team.add_up()

    def _keep(self, keeping: Keeping, turn: Step, step: int, *, is_last: bool) -> Path | None:
        """The LoRA of this step, where the plan has one or the run was asked for it."""
        saved = keeping.save_due(turn, step, is_last=is_last)
        if self.run.is_asked("save"):
            saved = saved or keeping.save_asked(step)
            self.run.is_answered("save")
        return saved

    def _answer(
        self, learner: Learner, keeping: Keeping, turn: Step, step: int
    ) -> Iterator[StageReport | Sample | MissedSample]:
        """What the run was asked for since the step before. It changes nothing in what is learned.

        Raises:
            StopAsked: it was.
        """
        if self.run.is_asked("stop"):
            self.run.is_answered("stop")
            raise StopAsked(f"the run was asked to stop after step {step}. Start it again and it goes on.")
        if self.run.is_asked("sample"):
            self.run.is_answered("sample")
            done = step - sum(self.lengths[: turn.epoch])
            with keeping.showing():
                yield from self._draw_samples(learner, share_of_epochs(turn.epoch, done, self.lengths), step)

    def _looked_at(
        self, learner: Learner, keeping: Keeping, epoch: int, step: int, *, is_last: bool = False
    ) -> Iterator[StageReport | Sample | MissedSample]:
        """The LoRA after an epoch as it is kept: measured, and its samples drawn, each once."""
        with keeping.showing():
            self._judge.measure(learner, epoch, step, is_last=is_last)
            if not self._samples.requests or not self.plan.samples.is_due(epoch, len(self.lengths)):
                return
            yield from self._draw_samples(learner, epoch, step)
        if picture := self._samples.first_of(epoch):
            keeping.illustrate(step, picture)

    def _draw_samples(self, learner: Learner, epoch: float, step: int) -> Iterator[StageReport | Sample | MissedSample]:
        for found in self._samples.draw(learner.model, learner.adapters, epoch=epoch, step=step):
            if isinstance(found, MissedSample):
                self.remarks.append(found.remark)
            yield found

    def _drawn_for_the_verdict(self, learner: Learner, keeping: Keeping) -> Iterator[StageReport]:
        """A picture that fails is no reason to lose a run."""
        try:
            with keeping.showing():
                yield from self._judge.draw(learner)
        except Exception as problem:
            self.remarks.append(f"the two-prompt test could not be drawn: {problem}")

    def _take(self, turn: Step, learner: Learner, optimizer: torch.optim.Optimizer) -> float:
        """A step; where memory runs out for the first time, the same step again with every block checkpointed, which
        gives the same gradients."""
        try:
            return learner.step(turn, optimizer)
        except RuntimeError as problem:
            if not is_out_of_memory(problem) or self._is_checkpointing or learner.is_updating:
                raise
            traceback.clear_frames(problem.__traceback__)  # they hold what filled the memory
        optimizer.zero_grad()
        gc.collect()
        torch.cuda.empty_cache()
        self._checkpoint(learner.model, 1)
        self.remarks.append("memory ran out, so gradient checkpointing is on: the same result, about a third slower")
        return learner.step(turn, optimizer)

    def _checkpoint(self, model: BaseModel, every: int) -> None:
        self._is_checkpointing = every == 1
        checkpoint_blocks(model, every)

    def _make_optimizer(self, learner: Learner) -> torch.optim.Optimizer:
        trains_unet = bool(self.plan.optimizer.rate_of_unet)
        return make_optimizer(
            self.plan.optimizer,
            unet=learner.adapters[0].parameter_groups() if trains_unet else [],
            text_encoders=[group for part in learner.adapters[trains_unet:] for group in part.parameter_groups()],
        )

    def _about(self) -> dict[str, Any]:
        """What can be shown of the run without its pictures and models; no paths."""
        size = self.size()
        return {
            "name": self.run.name,
            "base": self.job.base_model.name,
            "family": self.family.title,
            "arithmetic": size.line(),
            "size": asdict(size),
            "plan": shareable(self.plan).to_json(),
        }

    def _is_time_for_state(self, step: int) -> bool:
        every = self.plan.saving.state_every_steps
        return bool(every and step % every == 0)
