"""Datasets in a real ComfyUI: from folders and from other nodes, merged, cropped by masks and boxes, checked."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image, ImageDraw

from tests.host.graphs import Graph, node, training_graph
from tests.host.server import ComfyServer, error_message


@pytest.fixture(scope="module")
def wide(comfy: ComfyServer) -> str:
    """A folder of two wide pictures, each with a white square near its right end, and captions."""
    folder = comfy.base / "input" / "wide"
    folder.mkdir(exist_ok=True)
    for number in (1, 2):
        picture = Image.new("RGB", (600, 200), (40, 42, 38))
        ImageDraw.Draw(picture).rectangle((500, 60, 560, 140), "white")
        picture.save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text(f"square number {number}")
    return "input/wide"


def base_graph(folder: str, **crop: Any) -> Graph:
    """Load Dataset -> Smart Crop at 64 x 64, and the crop's report as text."""
    graph = training_graph(folder, {})
    kept = {name: graph[name] for name in ("load", "crop")}
    kept["crop"]["inputs"] |= {"method": "focus"} | crop
    kept["shown"] = node("PreviewAny", {"source": ["crop", 2]})
    kept["sheet"] = node("PreviewImage", {"images": ["crop", 1]})
    return kept


def text_of(outputs: dict[str, Any], name: str = "shown") -> str:
    return outputs[name]["text"][0]


def test_masks_from_other_nodes_lead_the_crop(comfy, wide):
    graph = base_graph(wide, masks=["mask", 0])
    graph["pictures"] = node(
        "LoraAtelierDatasetPictures", {"dataset": ["load", 0], "largest_side": 300, "cropped": False}
    )
    graph["mask"] = node("ImageToMask", {"image": ["pictures", 0], "channel": "red"})
    outputs = comfy.run(graph)
    assert "mask 2" in text_of(outputs)
    assert len(list((comfy.base / "output" / "lora_atelier" / "masks").glob("*.png"))) >= 1


def test_boxes_from_other_nodes_lead_the_crop_also_when_found_on_smaller_pictures(comfy, wide):
    graph = base_graph(wide, boxes=["box", 0], pictures=["pictures", 0])
    graph["one"] = node("LoraAtelierImagesToDataset", {"images": ["picked", 0], "repeats": 1, "regularisation": False})
    graph["pictures"] = node(
        "LoraAtelierDatasetPictures", {"dataset": ["one", 0], "largest_side": 300, "cropped": False}
    )
    graph["picked"] = node("LoadImage", {"image": "wide/1.png"})
    graph["box"] = node("PrimitiveBoundingBox", {"x": 10, "y": 30, "width": 30, "height": 40})
    graph["crop"]["inputs"]["dataset"] = ["one", 0]
    outputs = comfy.run(graph)
    assert "boxes 1" in text_of(outputs)
    picture = Image.open(io.BytesIO(comfy.view(outputs["sheet"]["images"][0]))).convert("RGB")
    across = [picture.getpixel((x, y)) for y in (picture.height // 3,) for x in range(picture.width)]
    framed = [x for x, colour in enumerate(across) if colour == (255, 196, 61)]
    assert framed and max(framed) < picture.width * 0.6, "the frame is at the left, where the box is"


def test_another_number_of_boxes_is_explained(comfy, wide):
    graph = base_graph(wide, boxes=["box", 0])
    graph["box"] = node("PrimitiveBoundingBox", {"x": 0, "y": 0, "width": 30, "height": 40})
    entry = comfy.wait(comfy.queue(graph))
    assert error_message(entry).startswith("there are 1 lists of boxes for 2 pictures")


def test_pictures_and_captions_of_other_nodes_are_a_dataset(comfy, wide):
    graph = {
        "folder": node("LoadImageTextDataSetFromFolder", {"folder": "wide"}),
        "images": node(
            "LoraAtelierImagesToDataset",
            {"images": ["folder", 0], "captions": ["folder", 1], "repeats": 3, "regularisation": False},
        ),
        "crop": base_graph(wide)["crop"],
        "check": node(
            "LoraAtelierCheckDataset", {"dataset": ["crop", 0], "epochs": 2, "batch_size": 1, "save_every_epochs": 1}
        ),
        "shown": node("PreviewAny", {"source": ["check", 1]}),
        "back": node("LoraAtelierDatasetPictures", {"dataset": ["crop", 0], "largest_side": 0, "cropped": True}),
        "captions": node("PreviewAny", {"source": ["back", 1]}),
        "pictures": node("PreviewImage", {"images": ["back", 0]}),
    }
    graph["crop"]["inputs"]["dataset"] = ["images", 0]
    outputs = comfy.run(graph)
    assert text_of(outputs).startswith("2 pictures x 3 repeats x 2 epochs / batch 1 = 12 steps, 2 saves")
    assert "square number" in text_of(outputs, "captions")
    picture = Image.open(io.BytesIO(comfy.view(outputs["pictures"]["images"][0])))
    assert picture.size == (64, 64)
    assert outputs["check"]["images"]


def test_merged_datasets_keep_their_repeats(comfy, wide, pictures):
    graph = base_graph(wide)
    graph["other"] = training_graph(pictures, {})["load"]
    graph["other"]["inputs"]["repeats"] = 5
    merged = {"datasets.dataset0": ["load", 0], "datasets.dataset1": ["other", 0]}
    graph["merge"] = node("LoraAtelierMergeDatasets", merged)
    graph["crop"]["inputs"]["dataset"] = ["merge", 0]
    graph["check"] = node(
        "LoraAtelierCheckDataset", {"dataset": ["crop", 0], "epochs": 1, "batch_size": 1, "save_every_epochs": 0}
    )
    graph["shown"] = node("PreviewAny", {"source": ["check", 1]})
    assert "(22 samples) x 1 epoch / batch 1 = 22 steps, 1 save" in text_of(comfy.run(graph))


def test_edited_pictures_and_captions_are_noticed(comfy, wide):
    graph = training_graph(wide, {})
    graph = {"load": graph["load"], "crop": graph["crop"], "tag": graph["tag"]}
    graph["shown"] = node("PreviewAny", {"source": ["tag", 1]})
    first = text_of(comfy.run(graph))
    caption = comfy.base / "input" / "wide" / "1.txt"
    caption.write_text("a quite different caption")
    second = text_of(comfy.run(graph))
    assert "square number 1" in first and "a quite different caption" in second
    Image.new("RGB", (300, 300), "red").save(comfy.base / "input" / "wide" / "3.png")
    assert "3.png" in text_of(comfy.run(graph))
    (comfy.base / "input" / "wide" / "3.png").unlink()
    caption.write_text("square number 1")


def test_an_override_is_followed_and_a_wrong_one_is_explained(comfy, wide):
    assert "override 1" in text_of(comfy.run(base_graph(wide, overrides="1.png: left")))
    entry = comfy.wait(comfy.queue(base_graph(wide, overrides="9.png: left")))
    assert error_message(entry).startswith("the crop override '9.png' names no picture")


def test_a_folder_of_mostly_broken_files_stops_with_reasons(comfy):
    folder = comfy.base / "input" / "broken"
    folder.mkdir(exist_ok=True)
    Image.new("RGB", (96, 96)).save(folder / "a.png")
    for number in range(3):
        (folder / f"{number}.jpg").write_text("<html>not found</html>")
    entry = comfy.wait(comfy.queue(base_graph("input/broken")))
    message = error_message(entry)
    assert message.startswith("3 of 4 files in ") and "web page" in message
    graph = base_graph("input/broken")
    graph["load"]["inputs"]["most_unusable"] = 100.0
    graph["report"] = node("PreviewAny", {"source": ["load", 1]})
    assert "web page" in text_of(comfy.run(graph), "report")


def test_a_face_model_that_is_not_there_is_refused(comfy, wide):
    status, answer = comfy.post("/prompt", {"prompt": base_graph(wide, face_model="../../evil.onnx")})
    assert status == 200  # Load Dataset, before it, is run
    assert answer["node_errors"].keys() == {"crop"} and "face_model" in str(answer["node_errors"])
