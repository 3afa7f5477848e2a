"""Faces by a detector of the user's own: YuNet and cascades through OpenCV, and a plain word where that cannot be."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainer_core.crop.crop import crop_dataset
from trainer_core.crop.faces import load_face_finder
from trainer_core.crop.rules import CropRules
from trainer_core.dataset.folder import read_folder
from trainer_core.errors import TrainingError


def yunet(path: Path) -> Path:
    """A net with YuNet's inputs and outputs that takes every bright cell for the middle of a face of 64 pixels."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    nodes, weights, outputs = [], [], []

    def constant(name: str, values: np.ndarray) -> str:
        weights.append(numpy_helper.from_array(values, name))
        return name

    for stride in (8, 16, 32):
        pooled = f"pooled{stride}"
        square = [stride, stride]
        nodes.append(helper.make_node("AveragePool", ["input"], [pooled], kernel_shape=square, strides=square))
        is_seen = 1.0 if stride == 8 else 0.0
        heads = {
            "cls": (1, is_seen / 765, 0.0),
            "obj": (1, is_seen / 765, 0.0),
            "bbox": (4, 0.0, np.array([0.5, 0.5, math.log(8), math.log(8)])),
            "kps": (10, 0.0, 0.0),
        }
        for head, (channels, weight, bias) in heads.items():
            name = f"{head}_{stride}"
            kernel = constant(f"{name}_w", np.full((channels, 3, 1, 1), weight, np.float32))
            shift = constant(f"{name}_b", np.broadcast_to(np.float32(bias), (channels,)).astype(np.float32).copy())
            shape = constant(f"{name}_s", np.array([1, -1, channels], np.int64))
            nodes.append(helper.make_node("Conv", [pooled, kernel, shift], [f"{name}_map"], kernel_shape=[1, 1]))
            nodes.append(helper.make_node("Transpose", [f"{name}_map"], [f"{name}_t"], perm=[0, 2, 3, 1]))
            nodes.append(helper.make_node("Reshape", [f"{name}_t", shape], [name]))
            outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, None, channels]))
    order = [f"{head}_{stride}" for head in ("cls", "obj", "bbox", "kps") for stride in (8, 16, 32)]
    outputs.sort(key=lambda output: order.index(output.name))
    picture = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 320, 320])
    graph = helper.make_graph(nodes, "yunet", [picture], outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


def bright_square(folder: Path, left: int) -> Path:
    folder.mkdir(exist_ok=True)
    picture = Image.new("RGB", (640, 320), "black")
    picture.paste("white", (left, 128, left + 64, 192))
    picture.save(folder / "a.png")
    return folder


def test_yunet_finds_the_face_and_the_crop_holds_it(tmp_path):
    pytest.importorskip("cv2")
    finder = load_face_finder(yunet(tmp_path / "face_detection_yunet.onnx"))
    folder = bright_square(tmp_path / "set", 560)
    (box, *_) = finder.find(Image.open(folder / "a.png"))
    assert box == pytest.approx((560, 128, 624, 192), abs=32)
    (image,) = crop_dataset(read_folder(folder), CropRules(width=320, height=320), faces=finder).images
    assert image.crop.method == "face"
    assert image.crop.left <= 560 and image.crop.right >= 624


def test_boxes_are_in_the_pictures_own_pixels(tmp_path):
    pytest.importorskip("cv2")
    finder = load_face_finder(yunet(tmp_path / "y.onnx"))
    picture = Image.new("RGB", (1280, 640), "black")
    picture.paste("white", (200, 300, 328, 428))
    assert finder.find(picture)[0] == pytest.approx((200, 300, 328, 428), abs=64)
    assert finder.find(Image.new("RGB", (640, 320), "black")) == []


def test_a_cascade_finds_a_real_face(tmp_path):
    cv2 = pytest.importorskip("cv2")
    data = pytest.importorskip("skimage.data")
    if not hasattr(cv2, "CascadeClassifier"):
        pytest.skip(f"OpenCV {cv2.__version__} has no cascades")
    finder = load_face_finder(Path(cv2.data.haarcascades) / "haarcascade_frontalface_alt.xml")
    (left, top, right, bottom), *_ = finder.find(Image.fromarray(data.astronaut()))
    assert left <= 225 <= right and top <= 120 <= bottom, "her face is around (225, 120)"


@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_a_model_is_read_whatever_its_path_is_called(tmp_path, suffix):
    """OpenCV on Windows opens only paths in the system's own code page; here it opens none that are not UTF-8."""
    cv2 = pytest.importorskip("cv2")
    file = tmp_path / os.fsdecode(b"\xc1\xb3" + suffix.encode())
    try:
        file.touch()
    except OSError:
        pytest.skip("this system keeps names in UTF-8")
    if suffix == ".onnx":
        yunet(file)
    elif hasattr(cv2, "CascadeClassifier"):
        file.write_bytes((Path(cv2.data.haarcascades) / "haarcascade_frontalface_alt.xml").read_bytes())
    else:
        pytest.skip(f"OpenCV {cv2.__version__} has no cascades")
    assert load_face_finder(file).find(Image.new("RGB", (640, 320), "black")) == []
    file.write_bytes(b"<no/>")
    with pytest.raises(TrainingError, match="cannot read"):
        load_face_finder(file)


def test_a_detector_that_opencv_cannot_run_is_explained(tmp_path, monkeypatch):
    cv2 = pytest.importorskip("cv2")
    (tmp_path / "broken.xml").write_text("<no/>")
    (tmp_path / "broken.onnx").write_bytes(b"nothing")
    for name in ("broken.xml", "broken.onnx"):
        with pytest.raises(TrainingError, match=name):
            load_face_finder(tmp_path / name)
    monkeypatch.delattr(cv2, "CascadeClassifier", raising=False)
    with pytest.raises(TrainingError, match="has no CascadeClassifier"):
        load_face_finder(tmp_path / "broken.xml")


def test_without_opencv_the_message_says_what_works(tmp_path, monkeypatch):
    (tmp_path / "y.onnx").touch()
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(TrainingError, match=r"needs OpenCV\. Install opencv-python-headless, or choose no face model"):
        load_face_finder(tmp_path / "y.onnx")


@pytest.mark.parametrize(("name", "words"), [("missing.onnx", "there is no face model"), ("a.pt", "not a face model")])
def test_what_is_no_model_is_refused(tmp_path, name, words):
    pytest.importorskip("cv2")
    (tmp_path / "a.pt").touch()
    with pytest.raises(TrainingError, match=words):
        load_face_finder(tmp_path / name)
