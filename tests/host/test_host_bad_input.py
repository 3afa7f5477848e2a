"""What a user, or a stranger's workflow, gets wrong: one clear line each, and the queue lives on."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from tests.host.graphs import SLIM, node, training_graph
from tests.host.server import ComfyServer, error_message


@pytest.mark.parametrize(
    "folder",
    [
        "input/../../outside",
        "../outside",
        "/etc",
        "C:\\Windows",
        "input/",
        "input/.",
        "input",
        "datasets/nothing_here",
        "demo/../../nodes",
        "input/escape",
        "input/%2e%2e/outside",
        "input/nul\0byte",
        "",
    ],
)
def test_folders_outside_the_roots_are_refused(comfy, folder):
    (comfy.base / "outside").mkdir(exist_ok=True)
    escape = comfy.base / "input" / "escape"
    if not escape.is_symlink():
        escape.symlink_to(comfy.base / "outside", target_is_directory=True)
    message = _refusal(comfy, training_graph(folder, {}))
    assert "is not a folder inside ComfyUI's input/ or datasets/" in message
    assert "extra_model_paths.yaml" in message


def test_a_linked_folder_is_not_offered(comfy):
    folders = comfy.get("/object_info/LoraAtelierLoadDataset")["LoraAtelierLoadDataset"]["input"]["required"]
    assert not any("escape" in name for name in folders["folder"][1]["options"])


def test_a_regularisation_folder_outside_the_roots_is_refused(comfy, pictures):
    graph = training_graph(pictures, {})
    graph["load"]["inputs"]["regularisation"] = "input/../../outside"
    assert "not in" in _refusal(comfy, graph)


def test_rank_0_is_refused_before_anything_is_trained(comfy, pictures):
    """ComfyUI runs the branches that are whole, up to Auto Tag, and says what is wrong with the other."""
    status, answer = comfy.post("/prompt", {"prompt": training_graph(pictures, {"rank": 0})})
    assert status == 200
    wrong = answer["node_errors"]["train"]
    assert "smaller than min" in wrong["errors"][0]["message"] + wrong["errors"][0]["details"]
    assert "save" in wrong["dependent_outputs"]
    assert comfy.wait(answer["prompt_id"])["outputs"].keys() == {"load", "crop", "tag"}


def test_training_nothing_is_refused(comfy, pictures):
    graph = training_graph(pictures, {"unet_rate": 0.0, "text_encoder_rate": 0.0})
    assert _failure(comfy, graph).startswith("the UNet rate and the text-encoder rate are both 0")


def test_a_folder_without_pictures(comfy):
    empty = comfy.base / "input" / "empty"
    empty.mkdir(exist_ok=True)
    (empty / "notes.txt").write_text("no picture")
    assert _failure(comfy, training_graph("input/empty", {})).startswith("no usable picture in ")


def test_a_checkpoint_of_another_family(comfy, pictures):
    path = comfy.base / "models" / "checkpoints" / "not_sd.safetensors"
    _write_safetensors(path, "joint_blocks.0.x_block.attn.qkv.weight")
    message = _failure(comfy, training_graph(pictures, {"base_model": path.name}))
    assert message.startswith("not_sd.safetensors is a Stable Diffusion 3 checkpoint.")


def test_a_checkpoint_that_is_cut_short(comfy, pictures):
    path = comfy.base / "models" / "checkpoints" / "half.safetensors"
    path.write_bytes((comfy.base / "models" / "checkpoints" / SLIM).open("rb").read(2_000_000))
    message = _failure(comfy, training_graph(pictures, {"base_model": path.name}))
    assert message.startswith("half.safetensors is cut short")


@pytest.mark.parametrize("name", ["../../escape", "/tmp/escape", "..\\escape", ""])
def test_a_name_that_is_a_path(comfy, pictures, name):
    before = set(comfy.base.rglob("*escape*"))
    message = _failure(comfy, training_graph(pictures, {"name": name}))
    assert "name" in message.splitlines()[0]
    assert set(comfy.base.rglob("*escape*")) == before


def test_a_save_name_that_is_a_path(comfy, pictures):
    graph = training_graph(pictures, {"name": "first"})
    graph["save"]["inputs"]["name"] = "../custom_nodes/evil"
    assert "contains a path" in _failure(comfy, graph)


def test_an_epoch_that_was_not_kept(comfy, pictures):
    graph = training_graph(pictures, {"name": "first"})
    graph["save"]["inputs"]["epoch"] = 7
    assert _failure(comfy, graph).startswith("epoch 7 was not kept. Choose one of 1, 2, 0 for the last or -1")


def _refusal(comfy: ComfyServer, graph: dict) -> str:
    """What ComfyUI says of a graph that it does not even queue."""
    status, answer = comfy.post("/prompt", {"prompt": graph})
    assert status == 400, answer
    (error,) = answer["node_errors"]["load" if "train" not in answer["node_errors"] else "train"]["errors"]
    _check_alive(comfy)
    return f"{error['message']}: {error['details']}"


def _failure(comfy: ComfyServer, graph: dict) -> str:
    """What the user reads when a graph fails while it runs."""
    entry = comfy.wait(comfy.queue(graph))
    assert entry["status"]["status_str"] == "error"
    message = error_message(entry)
    assert "Traceback" not in message
    _check_alive(comfy)
    return message


def _check_alive(comfy: ComfyServer) -> None:
    """The queue still takes and finishes work."""
    empty = node("EmptyImage", {"width": 8, "height": 8, "batch_size": 1, "color": 0})
    comfy.run({"1": empty, "2": node("PreviewImage", {"images": ["1", 0]})}, 30)


def _write_safetensors(path: Path, tensor: str) -> None:
    """A valid file with one small tensor of that name."""
    header = json.dumps({tensor: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 4)
