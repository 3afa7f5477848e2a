"""python -m trainer_core: what it prints, and its exit codes."""

import json
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import pytest
from PIL import Image

from tests.training_jobs import write_base, write_pictures
from trainer_core.captions.rules import CaptionRules
from trainer_core.command_line import main
from trainer_core.crop.rules import CropRules
from trainer_core.dataset.rules import ReadingRules
from trainer_core.job import read_job
from trainer_core.tagging.captioning import CaptionerOptions

ROOT = Path(__file__).parent.parent


def run(capsys, *arguments):
    """Exit code and JSON answer of a command."""
    code = main([*map(str, arguments), "--json"])
    return code, json.loads(capsys.readouterr().out)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("set") / "5_cat")


def test_what_takes_seconds_to_import_is_left_to_the_commands_that_need_it():
    program = (
        "import sys\n"
        "from trainer_core.command_line import main\n"
        "for command in ('presets', 'crop --help'):\n"
        "    try:\n"
        "        main(command.split())\n"
        "    except SystemExit:\n"
        "        pass\n"
        "sys.exit(' '.join({'diffusers', 'transformers', 'peft', 'bitsandbytes'} & sys.modules.keys()) or None)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "" and "--proof-sheet" in done.stdout


@pytest.mark.parametrize("device", ["cuda:7", "a typing error", "mps:3"])
def test_a_device_that_is_not_there_is_refused_in_one_line(capsys, tmp_path, device):
    asked = "--base-model", tmp_path / "no.safetensors", "--prompt", "cat", "--device", device
    code = main(["sample", *map(str, asked), str(tmp_path / "lora.safetensors"), "--json"])
    said = capsys.readouterr()
    assert code and "there is no device" in said.out + said.err and "Choose cpu" in said.out + said.err


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a trained job."""
    folder = tmp_path_factory.mktemp("job")
    write_pictures(folder / "pictures")
    job = {
        "name": "mochi",
        "base_model": write_base(folder).name,
        "dataset": {"folder": "pictures", "repeats": 2},
        "captions": {"trigger_word": "mochi"},
        "crop": {"size": "64x64"},
        "plan": {"epochs": 1, "batch_size": 4, "network": {"rank": 4, "alpha": 2}},
    }
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    assert main(["train", str(folder / "job.json"), "--device", "cpu"]) == 0
    return folder


def test_dataset_tells_file_by_file_what_would_be_trained(pictures, capsys):
    code, report = run(capsys, "dataset", pictures)
    assert code == 0 and report["pictures"] == 4 and report["samples_per_epoch"] == 20
    assert [row["repeats"] for row in report["files"]] == [5] * 4
    assert main(["dataset", str(pictures)]) == 0
    assert "0.png" in capsys.readouterr().out


def test_crop_writes_pictures_of_the_size_with_captions_and_a_proof_sheet(pictures, tmp_path, capsys):
    sheet = tmp_path / "proof.png"
    size = ["--size", "64x96", "--enlarge"]
    code, answer = run(capsys, "crop", pictures, tmp_path / "out", *size, "--proof-sheet", sheet)
    assert code == 0 and len(answer["written"]) == 4
    for path in map(Path, answer["written"]):
        assert Image.open(path).size == (64, 96) and path.with_suffix(".txt").is_file()
    assert Image.open(sheet).width > 200


def test_tag_shows_captions_and_writes_only_when_asked(tmp_path, capsys):
    folder = write_pictures(tmp_path / "set")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    code, answer = run(capsys, "tag", folder, "--trigger-word", "zog", "--remove", "*background", "--add", "solo")
    assert code == 0 and answer["written"] == []
    for caption in answer["captions"].values():
        assert caption.startswith("zog, ") and caption.endswith(", solo") and "background" not in caption
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    code, answer = run(capsys, "tag", folder, "--trigger-word", "zog", "--write")
    assert code == 0 and len(answer["written"]) == 4
    assert (folder / "0.txt").read_text().startswith("zog, ")
    assert (folder / "0.txt.bak").read_bytes() == before["0.txt"]
    run(capsys, "tag", folder, "--trigger-word", "other", "--write")
    assert (folder / "0.txt.bak").read_bytes() == before["0.txt"]


def test_train_leaves_a_lora_and_a_loss_chart(trained):
    assert (trained / "loras" / "mochi.safetensors").is_file()
    (run_folder,) = [path for path in (trained / "runs").iterdir() if (path / "job.json").is_file()]
    assert Image.open(run_folder / "loss.png").size == (960, 480)


def test_a_run_folders_job_file_trains_the_same_run(trained, tmp_path, capsys):
    (job,) = (trained / "runs").glob("*/job.json")
    code, answer = run(capsys, "train", job, "--device", "cpu", "--runs", tmp_path / "runs", "--out", tmp_path)
    assert code == 0
    assert Path(answer["lora"]).read_bytes() == (trained / "loras" / "mochi.safetensors").read_bytes()
    losses = [picture["last"] for picture in answer["pictures"]]
    assert len(losses) == 4 and losses == sorted(losses, reverse=True)


def test_training_a_finished_job_again_gives_the_same_file(trained, capsys):
    code, answer = run(capsys, "train", trained / "job.json", "--device", "cpu")
    assert code == 0 and answer["lora"] == str(trained / "loras" / "mochi.safetensors")
    assert len(list((trained / "loras").iterdir())) == 1


def test_sample_draws_pictures(trained, tmp_path, capsys):
    lora, base = trained / "loras" / "mochi.safetensors", trained / "tiny_sd15.safetensors"
    size = ["--size", "64x64", "--steps", "2", "--device", "cpu", "--out", tmp_path]
    code, answer = run(capsys, "sample", lora, "--base-model", base, "--prompt", "a", "--prompt", "b", *size)
    assert code == 0 and [Image.open(path).size for path in answer["pictures"]] == [(64, 64)] * 2
    drawn = {Path(path): Path(path).read_bytes() for path in answer["pictures"]}
    code, answer = run(capsys, "sample", lora, "--base-model", base, "--prompt", "c", *size)
    assert [Path(path).name for path in answer["pictures"]] == ["mochi_0_3.png"]
    assert {path: path.read_bytes() for path in drawn} == drawn


def test_inspect_tells_rank_targets_and_plan(trained, capsys):
    code, answer = run(capsys, "inspect", trained / "loras" / "mochi.safetensors")
    assert code == 0 and answer["rank"] == 4 and answer["alpha"] == 2 and answer["scale"] == 0.5
    assert answer["modules"] == {"UNet": 48, "text encoder": 18}
    assert answer["plan"]["network"] == {"rank": 4, "alpha": 2.0}
    assert answer["metadata"]["modelspec.trigger_phrase"] == "mochi"


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["dataset", "nowhere"], "nowhere"),
        (["train", "nowhere.json"], "nowhere.json"),
        (["inspect", "README.md"], "LoRA"),
        (["crop", "nowhere", "out"], "nowhere"),
        (["crop", "pictures", "pictures/out"], "outside"),
        (["crop", "pictures", "more/out", "--merge", "more=2"], "outside"),
        (["dataset", "pictures", "--buckets", "--bucket-step", "8"], "--buckets, --bucket-step would do nothing"),
    ],
)
def test_what_fails_gives_one_line_and_exit_code_1(arguments, words, capsys):
    code, answer = run(capsys, *arguments)
    assert code == 1 and words in answer["error"] and "\n" not in answer["error"]
    assert main(arguments) == 1
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize(
    "arguments",
    [[], ["dance"], ["crop", "a", "b", "--size", "big"], ["crop", "a", "b", "--method", "magic"], ["train"]],
)
def test_wrong_arguments_give_exit_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "usage" in capsys.readouterr().err


@pytest.mark.parametrize(
    "change, words",
    [
        ({"plan": {"network": {"rank": 0}}}, "rank must be at least 1"),
        ({"plan": {"batch_size": 9}}, "batch size 9 is larger than the set"),
        ({"base_model": "nothing.safetensors"}, "nothing.safetensors"),
        ({"dataset": {"folder": "empty"}}, "empty"),
        ({"crop": {"size": "65x65"}}, "65"),
        ({"crop": {"shape": "64x64"}}, "no field 'shape'"),
        ({"dataset": {}}, "'folder'"),
        ({"plan": []}, "named fields"),
        ({"name": "../evil"}, "path"),
    ],
)
def test_a_bad_job_gives_one_line_that_says_what_to_change(trained, capsys, change, words):
    (trained / "empty").mkdir(exist_ok=True)
    job = json.loads((trained / "job.json").read_text()) | change
    path = trained / "bad.json"
    path.write_text(json.dumps(job), encoding="utf-8")
    code, answer = run(capsys, "train", path, "--device", "cpu")
    assert code == 1 and words in answer["error"] and "\n" not in answer["error"]


def test_the_core_runs_as_a_module_without_comfyui():
    """In a process where importing anything of ComfyUI would fail."""
    script = (
        "import sys; sys.modules.update(dict.fromkeys(('comfy', 'folder_paths', 'comfy_api', 'nodes')))\n"
        "import runpy; sys.argv = ['trainer_core', '--help']; runpy.run_module('trainer_core', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "inspect" in done.stdout


# ----------------------------------------------------------------------------------------------------- data options


def test_dataset_reports_health_the_run_and_a_sheet(pictures, tmp_path, capsys):
    sheet = tmp_path / "sheet.png"
    asked = ["dataset", pictures, "--size", "64x64", "--trigger-word", "mochi", "--batch-size", "2", "--epochs", "3"]
    code, found = run(capsys, *asked, "--sheet", sheet)
    assert code == 0 and found["run"]["line"].startswith("4 pictures x 5 repeats x 3 epochs / batch 2 = 30 steps")
    assert {finding["level"] for finding in found["health"]["findings"]} <= {"stop", "warn", "note"}
    assert found["trigger_words"] == ["mochi"]
    assert sheet.read_bytes().startswith(b"\x89PNG")
    assert main([*map(str, asked)]) == 0
    assert capsys.readouterr().out.startswith(found["run"]["line"])


def test_dataset_merges_folders_with_their_own_repeats(pictures, tmp_path, capsys):
    write_pictures(tmp_path / "more", 2, seed=5)
    code, found = run(capsys, "dataset", pictures, "--merge", f"{tmp_path / 'more'}=7")
    assert code == 0 and found["repeats"] == {"5": 4, "7": 2}


def test_overrides_are_read_from_a_file(pictures, tmp_path, capsys):
    (tmp_path / "crops.txt").write_text("0.png: left")
    code, found = run(capsys, "dataset", pictures, "--size", "64x64", "--overrides", tmp_path / "crops.txt")
    assert code == 0 and found["crop_methods"]["override"] == 1
    code, found = run(capsys, "dataset", pictures, "--size", "64x64", "--overrides", tmp_path / "none.txt")
    assert code == 1 and "none.txt" in found["error"]


def test_a_cache_is_used_where_one_is_named(pictures, tmp_path, capsys):
    for _ in range(2):
        assert run(capsys, "dataset", pictures, "--cache", tmp_path / "scans")[0] == 0
        time.sleep(0.15)
    assert len(list((tmp_path / "scans").glob("*.json"))) == 1


def test_a_dry_run_says_the_arithmetic_and_trains_nothing(trained, tmp_path, capsys):
    code, found = run(capsys, "train", trained / "job.json", "--dry-run", "--out", tmp_path / "out")
    assert code == 0 and "MB each" in found["line"] and found["steps"] == 2
    memory = found["memory"]
    assert memory["total"] == sum(memory[part] for part in ("base", "lora", "step", "overhead")) > 0
    assert not (tmp_path / "out").exists()


_SHORTER = {"remove_tags": "remove", "add_tags": "add", "ignore_tags": "ignore", "replace_tags": "replace"}


@pytest.mark.parametrize("rules", [ReadingRules, CropRules, CaptionRules, CaptionerOptions])
def test_every_rule_has_an_option_a_widget_and_a_line_in_the_job_files_page(rules):
    pack = Path(__file__).parents[1]
    commands = pack / "trainer_core" / "commands"
    options = "".join((commands / f"{name}.py").read_text() for name in ("folders", "data", "tagging"))
    nodes = ("load_dataset", "smart_crop", "auto_tag")
    widgets = "".join((pack / "nodes" / f"{name}_inputs.py").read_text() for name in nodes)
    page = (pack / "docs" / "job-file.md").read_text()
    for field in fields(rules):
        assert f'"{field.name}"' in widgets, field.name
        if field.name not in ("width", "height"):  # --size and crop.size
            option = _SHORTER.get(field.name, field.name.replace("_", "-"))
            assert f'"--{option}"' in options, field.name
            assert f".{field.name}`" in page, field.name


def test_lora_files_that_a_job_names_are_found_from_its_folder(trained, tmp_path):
    value = json.loads((trained / "job.json").read_text())
    value["dataset"]["folder"] = str(trained / value["dataset"]["folder"])
    files = {"start_from": "old/first.safetensors", "merge_first": "a.safetensors:0.5; /b.safetensors"}
    value["plan"]["adapter"] = files
    (tmp_path / "job.json").write_text(json.dumps(value))
    adapter = read_job(tmp_path / "job.json").plan.adapter
    assert adapter.start_from == str(tmp_path / "old" / "first.safetensors")
    assert adapter.merges == ((tmp_path / "a.safetensors", 0.5), (Path("/b.safetensors"), 1.0))
