"""sd-scripts' prompts for pictures while training become samples of the plan."""

from __future__ import annotations

import pytest

from trainer_core.kohya.importing import KohyaImport, read_kohya
from trainer_core.training.plan import SamplePlan, TrainingPlan

COMMAND = "train_network.py --network_dim 8 "


def samples_of(found: KohyaImport) -> SamplePlan:
    return TrainingPlan.from_json(found.job["plan"]).samples


def with_prompts(folder, text: str, options: str = "", name: str = "prompts.txt") -> KohyaImport:
    (folder / name).write_text(text, encoding="utf-8")
    (folder / "train.sh").write_text(f"{COMMAND}--sample_prompts {name} {options}", encoding="utf-8")
    return read_kohya(folder / "train.sh")


def test_prompts_are_read_with_their_own_settings(tmp_path):
    text = "# mine\nmochi on a sofa --n blurry, dark --w 500 --h 768 --d 7 --s 25 --l 6 --ss k_euler_a\n\nmochi"
    plan = samples_of(with_prompts(tmp_path, text, "--sample_every_n_epochs 2 --sample_at_first"))
    first, second = plan.requests()
    assert (first.prompt, first.negative, first.seed, first.steps) == ("mochi on a sofa", "blurry, dark", 7, 25)
    assert (first.width, first.height, first.cfg, first.sampler) == (496, 768, 6.0, "euler_ancestral")
    assert (second.prompt, second.steps, second.cfg, second.sampler) == ("mochi", 30, 7.5, "ddim")
    assert (plan.every_epochs, plan.before_first) == (2, True)


def test_what_is_not_set_is_not_drawn(tmp_path):
    plan = samples_of(with_prompts(tmp_path, "mochi"))
    assert (plan.every_epochs, plan.before_first) == (0, False)


def test_without_prompts_nothing_is_set():
    found = read_kohya(f"{COMMAND}--sample_every_n_epochs 2 --sample_sampler euler_a")
    assert "samples" not in found.job["plan"] and found.unsupported == ()


def test_the_guis_prompts_are_the_text_itself():
    found = read_kohya(f'{COMMAND}--sample_prompts "mochi, a hat --w 512"')
    (request,) = samples_of(found).requests()
    assert (request.prompt, request.width) == ("mochi, a hat", 512)


def test_settings_that_there_are_not_here_are_told_once(tmp_path):
    found = with_prompts(tmp_path, "a --g 3 --ss heun\nb --g 3 --ss heun", "--sample_every_n_steps 50")
    assert [request.prompt for request in samples_of(found).requests()] == ["a", "b"]
    assert [line.split(":")[0] for line in found.unsupported] == [
        "sample_prompts --g 3", "sample_sampler heun", "sample_every_n_steps 50"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [("prompts.toml", "", "only a .txt"), ("prompts.txt", "a" * 2**20 + "b", "larger than 1 MB")],
)
def test_a_file_that_is_not_read_is_told(tmp_path, name, text, reason):
    found = with_prompts(tmp_path, text, name=name)
    assert "samples" not in found.job["plan"]
    assert [line for line in found.unsupported if reason in line]


def test_a_file_that_is_missing_is_told():
    assert "the file is not there" in read_kohya(f"{COMMAND}--sample_prompts gone.txt").unsupported[0]
