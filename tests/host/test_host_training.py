"""Training in a real ComfyUI, on a checkpoint that its own nodes load too."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest
from PIL import Image

from tests.host.graphs import (
    drawing_graph,
    node,
    training_again_graph,
    training_graph,
    with_epoch_sheet,
    with_options,
    with_samples,
)
from tests.host.runs import folders_of, loras_folder, runs_folder, steps_logged
from tests.host.server import ComfyServer, error_message
from tests.host.waiting import wait_until
from trainer_core.files import read_json
from trainer_core.training.kept_samples import list_samples


@pytest.fixture(scope="module")
def saved_name(comfy: ComfyServer, pictures: str) -> str:
    """The name of a LoRA trained by the graph, as Load LoRA lists it."""
    (saved,) = comfy.run(training_graph(pictures, {"name": "first"}))["save"]["text"]
    return Path(saved).name


@pytest.fixture(scope="module")
def plain_picture(comfy: ComfyServer) -> bytes:
    return _drawn(comfy, drawing_graph(None))


def test_load_lora_lists_it_without_a_restart(comfy, saved_name):
    choices = comfy.get("/object_info/LoraLoader")["LoraLoader"]["input"]["required"]["lora_name"][0]
    assert saved_name in choices


def test_it_changes_what_comfyui_draws(comfy, saved_name, plain_picture):
    assert _drawn(comfy, drawing_graph(saved_name)) != plain_picture
    assert "lora key not loaded" not in comfy.log()
    assert "NOT LOADED" not in comfy.log()
    assert "ERROR lora" not in comfy.log()


def test_one_graph_trains_and_draws(comfy, pictures, saved_name, plain_picture):
    graph = training_graph(pictures, {"name": "first"}) | drawing_graph(["save", 0])
    assert _drawn(comfy, graph) == _drawn(comfy, drawing_graph(saved_name))


def test_the_same_graph_again_answers_at_once_and_saves_no_copy(comfy, pictures, saved_name, plain_picture):
    before = sorted(loras_folder(comfy).iterdir())
    start = time.monotonic()
    comfy.run(training_graph(pictures, {"name": "first"}))
    assert time.monotonic() - start < 5
    assert sorted(loras_folder(comfy).iterdir()) == before


def test_a_stopped_run_goes_on_to_the_same_bytes(comfy, pictures):
    straight = training_graph(pictures, {"name": "straight", "epochs": 4, "seed": 1})
    expected = _saved_bytes(comfy, straight)
    _forget_runs(comfy, "straight")

    stopped = training_graph(pictures, {"name": "straight", "epochs": 4, "seed": 1})
    prompt_id = comfy.queue(stopped)
    (run,) = wait_until(lambda: [run for run in folders_of(comfy, "straight") if steps_logged(run) >= 2])
    comfy.post("/interrupt", {})
    entry = comfy.wait(prompt_id)
    assert [kind for kind, _ in entry["status"]["messages"]][-1] == "execution_interrupted"
    assert steps_logged(run) < 8, "it was not stopped in time"

    assert _saved_bytes(comfy, stopped) == expected
    assert steps_logged(run) == 8


def test_stop_is_heard_while_the_run_is_prepared(comfy, pictures):
    prompt_id = comfy.queue(training_graph(pictures, {"name": "early", "seed": 2, "epochs": 50}))
    wait_until(lambda: prompt_id in str(comfy.get("/queue")["queue_running"]))
    comfy.post("/interrupt", {})
    entry = comfy.wait(prompt_id)
    assert entry["status"]["status_str"] == "error", error_message(entry)


def test_the_nodes_beside_train_lora_reach_the_run_and_leave_no_path_in_the_file(comfy, pictures, saved_name):
    graph = with_options(
        training_graph(pictures, {"name": "options", "steps": 3, "accumulation": 2, "beta2": 0.99}),
        network={"start_from": saved_name, "merge_first": f"{saved_name}:0.5", "dropout": 0.1},
        noise_and_loss={"noise_offset": 0.05, "min_snr_gamma": 5.0, "timestep_sampling": "style"},
        caption_options={"shuffle": True, "caption_dropout": 0.1},
    )
    saved = _saved_bytes(comfy, graph)
    (run,) = folders_of(comfy, "options")
    plan = _plan_of(comfy, "options")
    lora = str(loras_folder(comfy) / saved_name)
    assert (plan["steps"], plan["accumulation"], plan["optimizer"]["beta2"]) == (3, 2, 0.99)
    assert plan["optimizer"]["beta1"] is None
    assert plan["adapter"]["start_from"] == lora
    assert plan["adapter"]["merge_first"] == f"{lora}:0.5"
    assert plan["adapter"]["dropout"] == 0.1
    assert plan["noise"]["offset"] == 0.05
    assert plan["weighting"]["min_snr_gamma"] == 5
    assert plan["timesteps"]["sampling"] == "style"
    assert plan["captions"]["shuffle"] and plan["captions"]["caption_dropout"] == 0.1
    assert steps_logged(run) == 3
    assert str(comfy.base).encode() not in saved


@pytest.mark.parametrize("entry", ["missing.safetensors", "../outside.safetensors:1", "/etc/passwd"])
def test_only_loras_that_load_lora_lists_can_be_merged(comfy, pictures, entry):
    graph = with_options(
        training_graph(pictures, {"name": "refused"}),
        network={"merge_first": entry},
        noise_and_loss={},
        caption_options={},
    )
    assert "there is no LoRA" in error_message(comfy.wait(comfy.queue(graph)))


def test_samples_are_drawn_on_the_way(comfy, pictures):
    graph = with_samples(
        training_graph(pictures, {"name": "sampled", "seed": 3}), {"prompts": "mochi, cat\nred cat --d 5 --s 3"}
    )
    comfy.run(graph)
    (run,) = folders_of(comfy, "sampled")
    drawn = list_samples(run)
    assert [(sample.epoch, sample.number) for sample in drawn] == [(e, n) for e in range(3) for n in (1, 2)]
    assert [(sample.request.seed, sample.request.steps) for sample in drawn[:2]] == [(0, 2), (5, 3)]


def test_a_sample_prompt_that_cannot_be_read_is_refused_by_its_line(comfy, pictures):
    graph = with_samples(training_graph(pictures, {"name": "refused"}), {"prompts": "cat\ncat --q 5"})
    assert "line 2" in error_message(comfy.wait(comfy.queue(graph)))


def test_stop_is_heard_while_a_sample_is_drawn(comfy, pictures):
    graph = with_samples(training_graph(pictures, {"name": "drawing", "seed": 4}), {"steps": 200, "width": 256})
    prompt_id = comfy.queue(graph)
    wait_until(lambda: any((run / "job.json").is_file() for run in folders_of(comfy, "drawing")))
    comfy.post("/interrupt", {})
    entry = comfy.wait(prompt_id)
    assert [kind for kind, _ in entry["status"]["messages"]][-1] == "execution_interrupted"
    (run,) = folders_of(comfy, "drawing")
    assert list_samples(run) == []


def test_the_epoch_sheet_has_a_column_for_each_epoch_and_a_row_for_each_strength(comfy, pictures, saved_name):
    graph = training_graph(pictures, {"name": "first"})
    one = _picture(comfy, comfy.run(with_epoch_sheet(graph, {}))["sheet"])
    two = _picture(comfy, comfy.run(with_epoch_sheet(graph, {"strengths": "0.5, 1"}))["sheet"])
    assert one.width == two.width > 3 * 64
    assert one.height + 64 <= two.height
    assert len(one.getcolors(one.width * one.height)) > 100


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"strengths": "strong"}, "strengths must be numbers"), ({"prompts": ""}, "at least one prompt")],
)
def test_what_the_epoch_sheet_cannot_draw_is_said_before_the_model_is_loaded(
    comfy, pictures, saved_name, settings, said
):
    graph = with_epoch_sheet(training_graph(pictures, {"name": "first"}), settings)
    assert said in error_message(comfy.wait(comfy.queue(graph)))


def test_training_like_a_lora_takes_its_settings(comfy, pictures, saved_name):
    other = with_options(
        training_graph(pictures, {"name": "model", "steps": 3, "seed": 5}),
        network={"start_from": saved_name},
        noise_and_loss={"noise_offset": 0.05},
        caption_options={},
    )
    (saved,) = comfy.run(other)["save"]["text"]
    again = training_again_graph(pictures, Path(saved).name, "again")
    again["tag"]["inputs"]["trigger_word"] = "another"
    comfy.run(again)
    assert _plan_of(comfy, "again") == _plan_of(comfy, "model")


def test_training_like_a_lora_on_the_same_set_answers_with_the_same_run(comfy, pictures, saved_name):
    before = _all_runs(comfy)
    (saved,) = comfy.run(training_again_graph(pictures, saved_name, "first"))["save"]["text"]
    assert Path(saved).name == saved_name and _all_runs(comfy) == before


def _drawn(comfy: ComfyServer, graph: dict) -> bytes:
    """The pixels that ComfyUI shows, as a PNG without the graph inside."""
    return _without_text(comfy.view(comfy.run(graph)["picture"]["images"][0]))


def _without_text(png: bytes) -> bytes:
    """Only the chunks that hold pixels: ComfyUI writes the graph into the others."""
    found, place = b"", 8
    while place < len(png):
        length, kind = int.from_bytes(png[place : place + 4]), png[place + 4 : place + 8]
        found += png[place + 8 : place + 8 + length] if kind == b"IDAT" else b""
        place += 12 + length
    return found


def _picture(comfy: ComfyServer, shown: dict) -> Image.Image:
    """What a node shows."""
    return Image.open(io.BytesIO(comfy.view(shown["images"][0])))


def _saved_bytes(comfy: ComfyServer, graph: dict) -> bytes:
    (saved,) = comfy.run(graph)["save"]["text"]
    return (comfy.base / saved).read_bytes()


def _all_runs(comfy: ComfyServer) -> list[Path]:
    return sorted(file.parent for file in runs_folder(comfy).glob("*/job.json"))


def _plan_of(comfy: ComfyServer, name: str) -> dict:
    (run,) = folders_of(comfy, name)
    return read_json(run / "job.json")["plan"]


def _forget_runs(comfy: ComfyServer, name: str) -> None:
    """Move finished runs away and have ComfyUI drop its cache, so that the same graph has to train again."""
    for run in folders_of(comfy, name):
        run.rename(comfy.base / f"forgotten-{run.name}")
    comfy.post("/free", {"unload_models": True, "free_memory": True})
    comfy.run(drawing_graph(None))  # the cache is dropped after the next prompt


def test_stop_and_keep_ends_a_run_as_a_finished_one_and_the_graph_goes_on(comfy, pictures):
    assert comfy.post("/lora_atelier/runs/finish", {})[0] == 400
    graph = training_graph(pictures, {"name": "enough", "epochs": 1000, "seed": 3})
    prompt_id = comfy.queue(graph)
    wait_until(lambda: comfy.post("/lora_atelier/runs/finish", {})[0] == 200)
    entry = comfy.wait(prompt_id)
    assert entry["status"]["status_str"] == "success", error_message(entry)
    (run,) = folders_of(comfy, "enough")
    assert 0 < steps_logged(run) < 2000 and (run / "result.json").is_file()
    assert comfy.run(graph)["save"]["text"] == entry["outputs"]["save"]["text"]


def test_the_verdict_of_a_run_is_an_output(comfy, pictures, saved_name):
    graph = training_graph(
        pictures, {"name": "judged", "epochs": 3, "held_out_share": 0.5, "seed": 4, "validate_every_epochs": 3}
    )
    graph["verdict"] = node("PreviewAny", {"source": ["train", 3]})
    text = comfy.run(graph)["verdict"]["text"][0]
    assert "held out" in text.lower() or "held-out" in text.lower()


def test_comfyui_shows_the_metadata_of_a_saved_lora(comfy, saved_name):
    shown = comfy.get(f"/view_metadata/loras?filename={saved_name}")
    assert shown["ss_output_name"] and shown["ss_network_dim"] == "4" and shown["sshs_legacy_hash"]
    assert shown["modelspec.architecture"] == "stable-diffusion-v1/lora"
