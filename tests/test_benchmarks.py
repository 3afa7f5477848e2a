"""The speed benchmark's contenders obey what they are asked for, and what it says of them is what they did."""

from __future__ import annotations

import io
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks import device_clock, peft_loop, random_inputs, speed_table, step_clock, training_contenders
from benchmarks.limit import fastest_multiplication, flops_of_step
from benchmarks.other_trainers import sd_scripts
from benchmarks.step_clock import MARK, Measured, StepClock
from benchmarks.task import PLAIN, OwnMode, Setting, Task
from tests.full_size_models import REFERENCE_UNETS, full_size
from tests.tiny_models import tiny_sdxl
from tests.training_jobs import write_base
from trainer_core.demo.tokenizer import vocabulary_size
from trainer_core.families import configs
from trainer_core.families.identify import UNET, identify
from trainer_core.families.loading import load_base_model, outline_of
from trainer_core.families.writing import original_tensors

BF16 = Setting(family="sdxl", side=64, batch=2, rank=4, precision="bf16", checkpointing=True, device="cpu")
FP32 = replace(BF16, family="sd15", precision="fp32", checkpointing=False, batch=1)


@pytest.fixture
def task_for(tmp_path):
    """Makes a task on the tests' tiny models and on noise."""

    def make(contender: str, setting: Setting, *, own: OwnMode = PLAIN, steps: int = 2, turns: int = 1) -> Task:
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
            began=time.time(),
        )

    return make


def measured(text: str) -> list[Measured]:
    return [Measured.from_line(line) for line in text.splitlines() if line.startswith(MARK)]


# ----------------------------------------------------------------------------------------------------- contenders


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
    from trainer_core.training import preparation

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
    own = OwnMode(compile=True, base="nf4", offload=True, optimizer="AdamW8bit")
    plan = training_contenders.plan_of(task_for("ours", BF16, own=own))
    assert (plan.batch_size, plan.network.rank, plan.network.alpha) == (2, 4, 4.0)
    assert plan.steps > 100 and plan.optimizer.name == "AdamW8bit" and not plan.optimizer.rate_of_text_encoder
    precision = plan.precision
    assert (precision.training, precision.gradient_checkpointing) == ("bf16", True)
    assert (precision.base, precision.offload, precision.compile) == ("nf4", True, True)


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


# ---------------------------------------------------------------------------------------------------------- a GPU


class Gpu:
    """Stands in for torch.cuda, and remembers what it was asked in order."""

    def __init__(self, monkeypatch) -> None:
        self.asked = []
        answers = {"max_memory_allocated": 3 * 2**30, "max_memory_reserved": 4 * 2**30}
        for name in ("synchronize", "reset_peak_memory_stats", "empty_cache", *answers):
            monkeypatch.setattr(torch.cuda, name, self._remembering(name, answers.get(name)))

    def _remembering(self, name, answer):
        def ask():
            self.asked.append(name)
            return answer

        return ask


def test_on_a_gpu_the_clock_waits_for_it_and_counts_its_memory_after_the_first_step(task_for, monkeypatch, capsys):
    gpu = Gpu(monkeypatch)
    monkeypatch.setattr(sys, "stdin", io.StringIO("go on\n"))
    times = iter(range(100))

    def now():
        gpu.asked.append("clock")
        return next(times)

    clock = StepClock(task_for("ours", replace(FP32, device="cuda"), steps=2, turns=2))
    monkeypatch.setattr(step_clock.time, "perf_counter", now)
    clock.stepped()
    assert gpu.asked == ["synchronize", "clock", "reset_peak_memory_stats", "clock"]
    gpu.asked.clear()
    clock.stepped(["a remark"])
    assert [name for name in gpu.asked if name != "clock"] == [
        "synchronize",
        "max_memory_allocated",
        "max_memory_reserved",
        "empty_cache",
    ]
    clock.stepped()
    with pytest.raises(SystemExit):
        clock.stepped()
    first, second = measured(capsys.readouterr().out)
    assert (first.peak_allocated, first.peak_reserved, first.remarks) == (3 * 2**30, 4 * 2**30, ["a remark"])
    assert second.peak_allocated == 3 * 2**30


def test_on_a_cpu_no_gpu_is_asked(monkeypatch):
    gpu = Gpu(monkeypatch)
    for ask in (device_clock.synchronise, device_clock.forget_peaks, device_clock.peaks, device_clock.give_back):
        assert ask("cpu") is None
    assert not gpu.asked


# ------------------------------------------------------------------------------------------------ limit and inputs


def test_arithmetic_is_that_of_the_family_the_side_and_the_batch(tmp_path):
    assert flops_of_step(full_size("sd15"), 256, 1) == pytest.approx(0.360e12, rel=0.01)
    tiny = outline_of(write_base(tmp_path, "sdxl"))
    assert flops_of_step(tiny, 64, 3) == 3 * flops_of_step(tiny, 64, 1) > 0
    assert flops_of_step(tiny, 128, 1) > 2 * flops_of_step(tiny, 64, 1)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_ceiling_is_a_speed(monkeypatch, precision):
    monkeypatch.setattr("benchmarks.limit._SIDES_OF_MATRICES", {"cpu": (64,)})
    assert fastest_multiplication("cpu", precision) > 1e6


def test_a_random_sdxl_of_full_size_is_known_as_one():
    shapes = {name: tuple(t.shape) for name, t in original_tensors(full_size("sdxl"), torch.float16).items()}
    assert identify(shapes, "random-sdxl") == "sdxl"
    config = configs.unet_config({n.removeprefix(UNET): s for n, s in shapes.items() if n.startswith(UNET)})
    reference = REFERENCE_UNETS["sdxl"]
    assert config["block_out_channels"] == reference["block_out_channels"]
    assert config["cross_attention_dim"] == reference["cross_attention_dim"]
    assert config["projection_class_embeddings_input_dim"] == reference["projection_class_embeddings_input_dim"]


def test_a_random_base_is_written_once_and_loads_with_its_tokenizers(tmp_path, monkeypatch):
    monkeypatch.delenv("COMFYUI_DIR", raising=False)
    monkeypatch.setattr(random_inputs, "full_size", lambda family, vocabulary: tiny_sdxl(vocabulary=vocabulary))
    path = random_inputs.write_base(tmp_path, "sdxl", "cpu")
    written = path.stat().st_mtime_ns
    model = load_base_model(random_inputs.write_base(tmp_path, "sdxl", "cpu"), torch.float32)
    assert path.stat().st_mtime_ns == written and path.name == "random-sdxl.safetensors"
    assert [len(tokenizer) for tokenizer in model.tokenizers] == [vocabulary_size()] * 2
    for part in (model.unet, model.vae, *model.text_encoders):
        assert all(weight.isfinite().all() for weight in part.parameters())
    assert model.unet.conv_in.weight.std() > 0


# ---------------------------------------------------------------------------------------------------------- table


def a_turn(seconds: list[float], **changes) -> Measured:
    values = {
        "seconds": seconds,
        "cpu_seconds": [2 * value for value in seconds],
        "to_first_step": 9.0,
        "peak_bytes": 5 * 2**30,
        "peak_bytes_of_steps": None,
        "peak_allocated": None,
        "peak_reserved": None,
        "remarks": [],
    }
    return Measured(**values | changes)


def test_a_row_leaves_out_the_first_step_of_each_turn():
    turns = [a_turn([50, 1, 2]), a_turn([60, 3, 4], to_first_step=None, peak_allocated=2**30, peak_reserved=2**31)]
    row = speed_table.summarise("ours", turns, batch=4, flops=100, flops_per_second=200)
    assert (row.steps, row.seconds, row.cpu_seconds, row.pictures_per_second) == (4, 2.5, 5, 1.6)
    assert (row.to_first_step, row.peak_gb, row.peak_gb_of_steps) == (9, 5, None)
    assert (row.allocated_gb, row.reserved_gb, row.share_of_limit) == (1, 2, 0.2)


def test_the_tables_have_a_line_for_each_contender():
    ours = speed_table.summarise("ours", [a_turn([9, 1, 1])], 1, 1, 2)
    peft = speed_table.summarise("peft", [a_turn([9, 2, 2], peak_allocated=2**30)], 1, 1, 2)
    head, *lines = speed_table.text_table([ours, peft]).splitlines()
    assert [line.split()[0] for line in lines] == ["ours", "peft"]
    assert {len(line) for line in (head, *lines)} == {len(head)}
    of_ours, of_peft = speed_table.markdown_lines("SD1.5", [ours, peft])
    columns = speed_table.MARKDOWN_HEAD.splitlines()[0].count("|")
    assert of_ours.count("|") == of_peft.count("|") == columns
    assert "2.00 x as fast" in of_peft and "as fast" not in of_ours and "| 1.00 |" in of_peft


def test_a_task_survives_the_command_line(task_for, monkeypatch):
    task = task_for("ours", BF16)
    monkeypatch.setattr(sys, "argv", ["", task.to_json()])
    assert Task.from_command_line() == task
    assert json.loads(task.to_json())["setting"]["batch"] == 2
