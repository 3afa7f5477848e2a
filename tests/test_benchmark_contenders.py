"""Contenders of the speed benchmark obey what they are asked for, on tiny models."""

from __future__ import annotations

import io
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks import peft_loop, random_inputs, training_contenders
from benchmarks.other_trainers import sd_scripts
from benchmarks.step_clock import MARK, Measured
from benchmarks.task import USUAL, OwnMode, Setting, Task
from tests.training_jobs import write_base
from trainer_core.training import preparation

BF16 = Setting(family="sdxl", side=64, batch=2, rank=4, precision="bf16", checkpointing=True, device="cpu")
FP32 = replace(BF16, family="sd15", precision="fp32", checkpointing=False, batch=1)


@pytest.fixture
def task_for(tmp_path):
    """Makes a task on the tests' tiny models and on noise."""

    def make(contender: str, setting: Setting, *, own: OwnMode = USUAL, steps: int = 2, turns: int = 1) -> Task:
        base = write_base(tmp_path, setting.family)
        pictures = random_inputs.write_pictures(tmp_path / "pictures", setting.side, setting.batch)
        return Task(
            contender=contender,
            setting=setting,
            own=own,
            base=str(base),
            pictures=str(pictures),
            tokenizer=str(base.with_name("tokenizer")),
            steps=steps,
            turns=turns,
            holds=False,
            began=time.time(),
        )

    return make


def measured(text: str) -> list[Measured]:
    return [Measured.from_line(line) for line in text.splitlines() if line.startswith(MARK)]


class Watch:
    """The UNet that a contender trains, and what goes into it."""

    def __init__(self, monkeypatch, module) -> None:
        self.unet, self.inputs = None, []
        load = module.load_base_model

        def load_and_watch(*arguments):
            model = load(*arguments)
            self.unet = model.unet
            model.unet.register_forward_pre_hook(self._saw, with_kwargs=True)
            return model

        monkeypatch.setattr(module, "load_base_model", load_and_watch)

    def _saw(self, _, arguments, keywords) -> None:
        self.inputs.append(arguments[0] if arguments else keywords["sample"])

    def parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.unet.parameters() if parameter.requires_grad)


@pytest.mark.parametrize("setting", [BF16, FP32])
def test_the_peft_loop_trains_what_ours_trains_with_the_same_settings(task_for, monkeypatch, setting):
    seen = {}
    for name, module in (("ours", preparation), ("peft", peft_loop)):
        watch = seen[name] = Watch(monkeypatch, module)
        steps = training_contenders.CONTENDERS[name](task_for(name, setting))
        next(steps)
        assert watch.unet.is_gradient_checkpointing == setting.checkpointing
        assert watch.unet.conv_in.weight.dtype == {"bf16": torch.bfloat16, "fp32": torch.float32}[setting.precision]
        assert {p.dtype for p in watch.unet.parameters() if p.requires_grad} == {torch.float32}
        assert watch.inputs[-1].shape[0] == setting.batch
        steps.close()
    assert seen["ours"].parameters() == seen["peft"].parameters()


@pytest.mark.parametrize("contender", ["ours", "peft"])
def test_a_contender_takes_its_turns_and_prints_each(task_for, monkeypatch, capsys, contender):
    monkeypatch.setattr(sys, "argv", ["", task_for(contender, BF16, steps=2, turns=2).to_json()])
    monkeypatch.setattr(sys, "stdin", io.StringIO("go on\n"))
    with pytest.raises(SystemExit) as end:
        training_contenders.main()
    assert not end.value.code
    first, second = measured(capsys.readouterr().out)
    for turn in (first, second):
        assert len(turn.seconds) == len(turn.cpu_seconds) == 2 and min(turn.seconds) > 0
        assert turn.peak_allocated is None and turn.peak_bytes >= (turn.peak_bytes_of_steps or 0) > 0
    assert first.to_first_step > 0 and second.to_first_step is None


def test_a_contender_ends_where_nobody_asks_for_another_turn(task_for, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["", task_for("peft", FP32, steps=1, turns=3).to_json()])
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    with pytest.raises(SystemExit):
        training_contenders.main()
    assert len(measured(capsys.readouterr().out)) == 1


def test_our_plan_says_what_the_task_says(task_for):
    own = OwnMode(compile=True, cuda_graphs=True, base="nf4", offload=True, optimizer="AdamW8bit")
    plan = training_contenders.plan_of(task_for("ours", BF16, own=own))
    assert (plan.batch_size, plan.network.rank, plan.network.alpha) == (2, 4, 4.0)
    assert plan.steps > 100 and plan.optimizer.name == "AdamW8bit" and not plan.optimizer.rate_of_text_encoder
    precision = plan.precision
    assert (precision.training, precision.gradient_checkpointing) == ("bf16", True)
    assert (precision.base, precision.offload, precision.compile, precision.cuda_graphs) == ("nf4", True, True, True)


@pytest.mark.parametrize(("family", "script"), [("sd15", "train_network.py"), ("sdxl", "sdxl_train_network.py")])
def test_sd_scripts_is_told_the_same(task_for, tmp_path, monkeypatch, family, script):
    checkout = tmp_path / "sd-scripts"
    checkout.mkdir()
    for name in {"train_network.py", script}:
        (checkout / name).write_text("import sys, pathlib; pathlib.Path('told.txt').write_text('\\n'.join(sys.argv))")
    monkeypatch.setenv("SD_SCRIPTS_DIR", str(checkout))
    monkeypatch.setenv("SD_SCRIPTS_PYTHON", sys.executable)
    monkeypatch.setattr(sys, "argv", [])
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)
    sd_scripts(task_for("sd-scripts", replace(BF16, family=family, batch=4)))
    told = (checkout / "told.txt").read_text().splitlines()
    assert Path(told[0]).name == script
    for option, value in (("--train_batch_size", "4"), ("--mixed_precision", "bf16"), ("--network_dim", "4")):
        assert told[told.index(option) + 1] == value
    assert "--gradient_checkpointing" in told
    assert ("--cache_text_encoder_outputs" in told) == (family == "sdxl")


def test_a_task_survives_the_command_line(task_for, monkeypatch):
    task = task_for("ours", BF16)
    monkeypatch.setattr(sys, "argv", ["", task.to_json()])
    assert Task.from_command_line() == task
    assert json.loads(task.to_json())["setting"]["batch"] == 2
