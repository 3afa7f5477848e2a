"""presets, from-kohya, train --from-kohya and train --like."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from tests.training_jobs import write_base, write_pictures
from trainer_core.command_line import main
from trainer_core.job import read_job
from trainer_core.training.presets import presets

COMMAND = "train_network.py --output_name mochi --network_dim 8 --resolution 64 --learning_rate 1e-3 --seed 4 "


def run(capsys, *arguments):
    """Exit code and JSON answer of a command."""
    code = main([*map(str, arguments), "--json"])
    return code, json.loads(capsys.readouterr().out)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with pictures and a base model; settings lie in settings/ below it."""
    write_pictures(tmp_path / "set" / "2_mochi")
    write_base(tmp_path)
    (tmp_path / "settings").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_settings(folder: Path, options: str = "") -> Path:
    files = "--pretrained_model_name_or_path tiny_sd15.safetensors --train_data_dir set --train_batch_size 4 "
    path = folder / "settings" / "train.sh"
    path.write_text(f"{COMMAND}{files}{options}", encoding="utf-8")
    return path


# ------------------------------------------------------------------------------------------------------------- presets


@pytest.mark.parametrize(
    ("asked", "count"), [((), len(presets())), (("person",), len(presets()) // 3), (("style", "SDXL"), 4)]
)
def test_presets_are_listed_by_what_is_asked(capsys, asked, count):
    code, answer = run(capsys, "presets", *asked)
    assert code == 0 and len(answer["presets"]) == count
    assert all(set(asked) <= set(row.values()) for row in answer["presets"])


def test_a_preset_gives_its_plan_its_crop_and_every_reason(capsys):
    code, answer = run(capsys, "presets", "anime character", "SDXL", 20)
    assert code == 0 and answer["name"] == "anime character, SDXL, 16 GB"
    assert answer["plan"]["network"] == {"alpha": 4.0, "rank": 8} and answer["crop"] == {"size": "1024x1024"}
    assert "file of 41 MiB" in answer["reasons"]["network.rank"]
    assert main(["presets", "anime character", "SDXL", "20"]) == 0
    text = capsys.readouterr().out
    assert all(reason in text for reason in answer["reasons"].values())


def test_what_a_preset_prints_is_a_part_of_a_job_file(folder, capsys):
    main(["presets", "person", "SD1.5", "8"])
    text = capsys.readouterr().out.partition("for a job file:")[2]
    job = {"base_model": "tiny_sd15.safetensors", "dataset": {"folder": "set"}, **json.loads(f"{{{text}}}")}
    (folder / "job.json").write_text(json.dumps(job))
    plan = read_job(folder / "job.json").plan
    assert (plan.network.rank, plan.steps) == (64, 2000)


def test_a_gpu_that_is_too_small_is_told_what_to_do(capsys):
    code, answer = run(capsys, "presets", "person", "SDXL", 6)
    assert code == 1 and "train SD1.5 instead" in answer["error"]


@pytest.mark.parametrize("words", [["cat"], ["person", "FLUX"], ["person", "SDXL", "much"]])
def test_an_unknown_preset_is_a_wrong_argument(words, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["presets", *words])
    assert stop.value.code == 2 and "usage" in capsys.readouterr().err


def test_the_page_has_a_widget_for_every_field_of_every_preset():
    tree = ast.parse((Path(__file__).parents[1] / "nodes" / "preset_routes.py").read_text(encoding="utf-8"))
    tables = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and node.targets[0].id in ("WIDGETS", "ELSEWHERE")
    }
    fields = {field for found in presets() for field in found.fields}
    assert {*tables["WIDGETS"], *tables["ELSEWHERE"], "crop.size"} == fields


# ---------------------------------------------------------------------------------------------------------- from-kohya


def test_settings_become_a_job_file_that_trains_wherever_it_lies(folder, capsys):
    job_file = folder / "elsewhere" / "job.json"
    code, answer = run(capsys, "from-kohya", write_settings(folder, "--random_crop"), "--out", job_file)
    assert code == 0 and answer["job"] == str(job_file)
    assert answer["unsupported"] == ["random_crop: crops are the same at every visit"]
    assert any("cropped in the middle" in note for note in answer["notes"])
    job = read_job(job_file)
    assert (job.name, job.plan.network.rank, job.plan.seed) == ("mochi", 8, 4)
    assert job.base_model.is_file() and len(job.dataset.images) == 4


def test_without_out_nothing_is_written(folder, capsys):
    settings = write_settings(folder, "--random_crop")
    before = sorted(folder.rglob("*"))
    assert main(["from-kohya", str(settings)]) == 0
    printed = capsys.readouterr().out
    assert '"rank": 8' in printed and "not taken over: random_crop" in printed and "note: " in printed
    assert sorted(folder.rglob("*")) == before


def test_files_beside_the_settings_come_before_those_of_the_current_folder(folder, capsys):
    nearer = write_pictures(folder / "settings" / "set" / "3_other")
    (folder / "settings" / "first.safetensors").touch()
    options = "--network_weights first.safetensors --base_weights first.safetensors gone.safetensors"
    code, answer = run(capsys, "from-kohya", write_settings(folder, options))
    job = answer["settings"]
    first = folder / "settings" / "first.safetensors"
    assert code == 0 and job["dataset"]["folder"] == str(nearer.parent)
    assert job["base_model"] == str(folder / "tiny_sd15.safetensors")
    assert job["plan"]["adapter"]["start_from"] == str(first)
    assert job["plan"]["adapter"]["merge_first"] == f"{first}:1; gone.safetensors:1"
    assert [note for note in answer["notes"] if "is not there" in note] == [
        "gone.safetensors is not there: correct it in the job file"
    ]


def test_an_existing_job_file_is_left_alone_unless_it_says_the_same(folder, capsys):
    settings, job_file = write_settings(folder), folder / "job.json"
    assert run(capsys, "from-kohya", settings, "--out", job_file)[0] == 0
    assert run(capsys, "from-kohya", settings, "--out", job_file)[0] == 0
    job_file.write_text("{}")
    code, answer = run(capsys, "from-kohya", settings, "--out", job_file)
    assert code == 1 and "says something else" in answer["error"] and job_file.read_text() == "{}"


def test_settings_train_at_once_and_leave_their_job_file(folder, capsys):
    settings = write_settings(folder, "--max_train_epochs 1")
    code, answer = run(capsys, "train", "--from-kohya", settings, "--device", "cpu")
    assert code == 0 and answer["lora"] == str(folder / "settings" / "loras" / "mochi.safetensors")
    job_file = folder / "settings" / "mochi_job.json"
    code, again = run(capsys, "train", job_file, "--device", "cpu")
    assert code == 0 and again["run"] == answer["run"]
    code, told = run(capsys, "inspect", answer["lora"])
    assert told["rank"] == 8 and told["plan"]["optimizer"]["learning_rate"] == 1e-3


def test_settings_and_a_job_file_exclude_each_other(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["train", "job.json", "--from-kohya", "train.sh"])
    assert stop.value.code == 2


# ---------------------------------------------------------------------------------------------------------------- like


def test_a_job_trains_like_a_lora_but_for_its_own_plan(folder, capsys):
    settings = write_settings(folder, "--max_train_epochs 1 --noise_offset 0.05 --clip_skip 2")
    _, first = run(capsys, "train", "--from-kohya", settings, "--device", "cpu")
    job = {
        "base_model": "tiny_sd15.safetensors",
        "dataset": {"folder": "set"},
        "crop": {"size": "64x64"},
        "plan": {"epochs": 2, "network": {"alpha": 4.0}},
    }
    (folder / "job.json").write_text(json.dumps(job))
    dry = run(capsys, "train", folder / "job.json", "--like", first["lora"], "--dry-run")
    assert dry[0] == 0 and dry[1]["steps"] == 4
    assert main(["train", str(folder / "job.json"), "--like", first["lora"], "--device", "cpu"]) == 0
    assert "as mochi.safetensors, but for the job file's own epochs, network" in capsys.readouterr().out
    plan = run(capsys, "inspect", folder / "loras" / "job.safetensors")[1]["plan"]
    assert plan["network"] == {"rank": 8, "alpha": 4.0}
    assert (plan["epochs"], plan["noise"]["offset"], plan["text"]["clip_skip"]) == (2, 0.05, 2)


def test_a_lora_that_says_nothing_is_refused_in_one_line(folder, capsys):
    (folder / "job.json").write_text(
        json.dumps({"base_model": "tiny_sd15.safetensors", "dataset": {"folder": "set"}, "crop": {"size": "64x64"}})
    )
    code, answer = run(capsys, "train", folder / "job.json", "--like", "tiny_sd15.safetensors", "--dry-run")
    assert code == 1 and "does not say how it was trained" in answer["error"]
