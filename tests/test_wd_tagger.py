"""WD taggers: lists of tags, preparation and scores against computations of their own, bad files."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from onnx import helper
from PIL import Image

from tests.photos import photo
from tests.resampling import bicubic, resampled
from tests.tagger_stand_ins import CELLS, ROWS, cell_of, write_onnx, write_tags_csv, write_wd_onnx
from trainer_core.errors import TrainingError
from trainer_core.tagging.tag_list import TagList
from trainer_core.tagging.tagger import LOWEST_SCORE
from trainer_core.tagging.wd import WdModel, WdTagger
from trainer_core.tagging.wd_tags import read_wd_tags
from trainer_core.tagging.wd_timm import WdTimmModel

SIDE = 32


@pytest.fixture
def model(tmp_path):
    """A stand-in whose outputs are the means of the cells it is shown."""
    pytest.importorskip("onnxruntime")
    return _model(tmp_path)


def _model(folder, *, batch="batch_size", rows=ROWS, name="wd-vit-tagger-v3"):
    write_wd_onnx(folder / "model.onnx", outputs=len(rows), side=SIDE, batch=batch)
    write_tags_csv(folder / "selected_tags.csv", rows)
    return WdModel(name, folder / "model.onnx", folder / "selected_tags.csv")


# The list of tags


def test_categories_come_from_their_column_not_from_the_place(tmp_path):
    file = tmp_path / "selected_tags.csv"
    write_tags_csv(file, [("miku", 4), ("1girl", 0), ("safe", 9), ("solo", 0), ("meta", 5), ("rin", 4)])
    tags = read_wd_tags(file)
    assert tags.outputs == 6
    assert tags.general == {1: "1girl", 3: "solo"}
    assert tags.character == {0: "miku", 5: "rin"}


def test_columns_are_found_by_their_names(tmp_path):
    file = tmp_path / "selected_tags.csv"
    file.write_text("count,category,tag_id,name\n9,4,1,miku\n8,0,2,solo\n", encoding="utf-8")
    tags = read_wd_tags(file)
    assert (tags.general, tags.character) == ({1: "solo"}, {0: "miku"})


@pytest.mark.parametrize("name", ["long_hair", "^_^", "saber_(fate)", "a,b", 'say_"hi"', "fate/stay_night", "初音ミク"])
def test_names_stay_as_the_list_spells_them(tmp_path, name):
    file = tmp_path / "selected_tags.csv"
    write_tags_csv(file, [(name, 0)])
    assert read_wd_tags(file).general == {0: name}


@pytest.mark.parametrize("start", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_files_of_any_system_are_read(tmp_path, start, end):
    file = tmp_path / "selected_tags.csv"
    file.write_bytes(end.join([f"{start}tag_id,name,category,count", "1,solo,0,5", "2,rin,4,5", ""]).encode())
    tags = read_wd_tags(file)
    assert (tags.general, tags.character) == ({0: "solo"}, {1: "rin"})


@pytest.mark.parametrize(
    "content",
    [b"", b"tag_id,name,category,count\n", b"solo\n1girl\n", b"tag_id,name,category,count\n1,solo\n",
     b"<html>404</html>", b"tag_id,name,category,count\n1,\xff\xfe,0,3\n", b'name,category\n"solo,0\n'],
)  # fmt: skip
def test_what_is_no_list_of_tags_is_refused_in_one_line(tmp_path, content):
    file = tmp_path / "selected_tags.csv"
    file.write_bytes(content)
    with pytest.raises(TrainingError, match="selected_tags.csv") as refused:
        read_wd_tags(file)
    assert "\n" not in str(refused.value)


# ONNX


@pytest.mark.parametrize(("width", "height"), [(32, 32), (32, 20), (18, 32), (32, 7), (1, 32)])
def test_scores_are_what_a_blue_first_picture_on_white_gives(model, width, height):
    """At the model's own size nothing is resized, so every score can be counted by hand."""
    picture = photo(1, width, height)
    tagger = model.load("cpu")
    (answer,) = tagger.answer([tagger.prepare(picture)])
    expected = {name: _mean(picture, cell_of(output)) for output, (name, _) in enumerate(ROWS)}
    for part, category in ((answer.general, 0), (answer.character, 4)):
        wanted = {name for name, own in ROWS if own == category}
        assert part == pytest.approx({n: expected[n] for n in wanted if expected[n] >= LOWEST_SCORE}, abs=1e-5)
        assert list(part.values()) == sorted(part.values(), reverse=True)


@pytest.mark.parametrize(("width", "height"), [(90, 60), (61, 90), (20, 11), (64, 64), (9, 33)])
def test_pictures_are_made_square_first_and_resized_then(model, width, height):
    picture = photo(2, width, height)
    longest = max(width, height)
    square = np.full((longest, longest, 3), 255, np.uint8)
    top, left = (longest - height) // 2, (longest - width) // 2
    square[top : top + height, left : left + width] = np.asarray(picture)
    expected = resampled(square, SIDE, SIDE, bicubic)[:, :, [2, 1, 0]]
    prepared = model.load("cpu").prepare(picture)
    assert prepared.shape == (SIDE, SIDE, 3) and prepared.dtype == np.float32
    assert np.abs(prepared - expected).max() <= 1


@pytest.mark.parametrize("batch", [1, "batch_size", None])
def test_several_pictures_are_answered_in_order_whatever_the_export(tmp_path, batch):
    pytest.importorskip("onnxruntime")
    tagger = _model(tmp_path, batch=batch).load("cpu")
    pictures = [photo(seed, 32, 32) for seed in range(5)]
    answers = tagger.answer([tagger.prepare(picture) for picture in pictures])
    shown = [answer.general["tag_0"] for answer in answers]
    assert shown == pytest.approx([_mean(picture, (0, 0, 0)) for picture in pictures], abs=1e-5)


def test_one_session_serves_all_pictures(model, monkeypatch):
    import onnxruntime

    made = []
    session = onnxruntime.InferenceSession
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *a, **k: made.append(k) or session(*a, **k))
    tagger = model.load("cpu")
    for seed in range(3):
        tagger.answer([tagger.prepare(photo(seed))])
    assert [call["providers"] for call in made] == [["CPUExecutionProvider"]]


@pytest.mark.parametrize(
    ("device", "offered", "expected"),
    [
        ("cuda:1", ["CUDAExecutionProvider", "CPUExecutionProvider"],
         [("CUDAExecutionProvider", {"device_id": 1}), "CPUExecutionProvider"]),
        ("cuda", ["CUDAExecutionProvider", "CPUExecutionProvider"],
         [("CUDAExecutionProvider", {"device_id": 0}), "CPUExecutionProvider"]),
        ("cuda", ["CPUExecutionProvider"], ["CPUExecutionProvider"]),
        ("cpu", ["CUDAExecutionProvider", "CPUExecutionProvider"], ["CPUExecutionProvider"]),
        ("mps", ["CoreMLExecutionProvider", "CPUExecutionProvider"], ["CPUExecutionProvider"]),
    ],
)  # fmt: skip
def test_the_gpu_is_used_where_torch_and_onnxruntime_both_have_it(model, monkeypatch, device, offered, expected):
    import onnxruntime

    session, asked = onnxruntime.InferenceSession, []
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: offered)
    monkeypatch.setattr(
        onnxruntime,
        "InferenceSession",
        lambda file, providers: asked.append(providers) or session(file, providers=["CPUExecutionProvider"]),
    )
    model.load(device)
    assert asked == [expected]


@pytest.mark.parametrize(
    ("batch", "provider", "expected"),
    [("N", "CUDAExecutionProvider", 8), (1, "CUDAExecutionProvider", 1), ("N", "CPUExecutionProvider", 1)],
)
def test_several_at_once_are_for_the_gpu_and_exports_that_take_them(model, batch, provider, expected):
    def shaped(*shape):
        return [SimpleNamespace(name="", shape=list(shape))]

    session = SimpleNamespace(
        get_inputs=lambda: shaped(batch, SIDE, SIDE, 3),
        get_outputs=lambda: shaped(batch, len(ROWS)),
        get_providers=lambda: [provider, "CPUExecutionProvider"],
    )
    assert WdTagger(session, read_wd_tags(model.tags), model).batch_size == expected


def test_what_onnxruntime_says_in_many_lines_is_said_in_one(model, monkeypatch):
    import onnxruntime

    def fail(file, providers):
        raise RuntimeError("no kernel.\n  at a.cc:1\n  at b.cc:2")

    monkeypatch.setattr(onnxruntime, "InferenceSession", fail)
    with pytest.raises(TrainingError, match=r"model.onnx: no kernel\. Download model.onnx again, or choose") as refused:
        model.load("cpu")
    assert "\n" not in str(refused.value)


def test_a_missing_onnxruntime_is_named_with_what_works_without(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(TrainingError, match="pip install onnxruntime.*deepdanbooru or BLIP"):
        model.load("cpu")


def test_a_list_of_another_model_is_refused(model):
    write_tags_csv(model.tags, ROWS[:-1])
    with pytest.raises(TrainingError, match="selected_tags.csv lists 47 tags, but its tagger has 48 outputs"):
        model.load("cpu")


@pytest.mark.parametrize("content", [b"", b"<html>404</html>", None])
def test_a_broken_graph_is_refused_in_one_line(model, content):
    model.model.write_bytes(model.model.read_bytes()[:-50] if content is None else content)
    with pytest.raises(TrainingError, match="cannot load .*model.onnx: .*Download model.onnx again") as refused:
        model.load("cpu")
    assert "\n" not in str(refused.value)


def test_a_missing_graph_is_refused_in_one_line(model):
    model.model.unlink()
    with pytest.raises(TrainingError, match="cannot load .*model.onnx"):
        model.load("cpu")


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        (["N", 3, SIDE, SIDE], ["N", 48]),
        (["N", SIDE, SIDE, 4], ["N", 48]),
        (["N", SIDE, 2 * SIDE, 3], ["N", 48]),
        (["N", "height", "height", 3], ["N", 48]),
        ([4, SIDE, SIDE, 3], [4, 48]),
        (["N", SIDE], ["N", 48]),
        (["N", SIDE, SIDE, 3], ["N", 6, 8]),
    ],
)
def test_a_graph_of_another_kind_is_refused(model, inputs, outputs):
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["mean"], keepdims=0),
        helper.make_node("Expand", ["mean", "shape"], ["output"]),
    ]
    shape = [size if isinstance(size, int) else 1 for size in outputs]
    write_onnx(model.model, nodes, {"shape": np.int64(shape)}, inputs=inputs, outputs=outputs)
    with pytest.raises(TrainingError, match="is not a WD tagger"):
        model.load("cpu")


def test_a_graph_whose_tags_cannot_be_counted_is_refused(model):
    nodes = [helper.make_node("NonZero", ["input"], ["places"]), helper.make_node("Cast", ["places"], ["output"], to=1)]
    write_onnx(model.model, nodes, {}, inputs=["N", SIDE, SIDE, 3], outputs=[4, "tags"])
    with pytest.raises(TrainingError, match="is not a WD tagger"):
        model.load("cpu")


def test_a_graph_that_fails_at_work_is_one_line(model):
    nodes = [
        helper.make_node("Flatten", ["input"], ["flat"]),
        helper.make_node("Gather", ["flat", "places"], ["output"], axis=1),
    ]
    beyond = {"places": np.full(len(ROWS), 10**6)}
    write_onnx(model.model, nodes, beyond, inputs=["N", SIDE, SIDE, 3], outputs=["N", len(ROWS)])
    tagger = model.load("cpu")
    with pytest.raises(TrainingError, match="the tagger wd-vit-tagger-v3 stopped: ") as refused:
        tagger.answer([tagger.prepare(photo(1))])
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "threshold"),
    [("wd-eva02-large-tagger-v3", 0.5296), ("wd-swinv2-tagger-v3", 0.2653), ("wd-v1-4-swinv2-tagger-v2", 0.3771),
     ("wd-v1-4-convnext-tagger-v2", 0.3685), ("wd-v1-4-vit-tagger-v2", 0.3537), ("wd-vit-tagger-v3", 0.35),
     ("my own tagger", 0.35)],
)  # fmt: skip
def test_each_model_has_a_threshold_of_its_own(tmp_path, name, threshold):
    for model in (WdModel(name, tmp_path / "a", tmp_path / "b"), WdTimmModel(name, tmp_path)):
        assert (model.threshold, model.character_threshold) == (threshold, 0.85)


@pytest.mark.parametrize("changed", ["model.onnx", "selected_tags.csv"])
def test_the_identity_changes_with_each_file(tmp_path, changed):
    model = _model(tmp_path)
    before = model.identity
    assert WdModel("another name", model.model, model.tags).identity == before
    (tmp_path / changed).write_bytes((tmp_path / changed).read_bytes() + b"\n")
    assert model.identity != before


def test_scores_below_the_lowest_are_not_kept(model):
    tagger = model.load("cpu")
    (answer,) = tagger.answer([tagger.prepare(Image.new("RGB", (32, 32), (0, 3, 2)))])
    kept = {**answer.general, **answer.character}
    channels = {name: cell_of(output)[0] for output, (name, _) in enumerate(ROWS)}
    assert {channels[name] for name in kept} == {1}
    assert set(kept.values()) == {round(3 / 255, 6)}


def test_a_score_on_the_threshold_reaches_it(tmp_path):
    """0.35 as float32 is 0.3499999940, which would be below a threshold of 0.35."""
    tags = TagList(outputs=2, general={0: "solo", 1: "1girl"}, character={})
    assert tags.answer(np.float32([0.35, 0.6])).general == {"1girl": 0.6, "solo": 0.35}


def _mean(picture, cell):
    """The mean of one cell of a picture in the middle of a white square, in one channel of blue, green, red; 0 to 1."""
    channel, row, column = cell
    left, top = (SIDE - picture.width) // 2, (SIDE - picture.height) // 2
    size = SIDE // CELLS
    total = 0
    for y in range(row * size, (row + 1) * size):
        for x in range(column * size, (column + 1) * size):
            inside = 0 <= x - left < picture.width and 0 <= y - top < picture.height
            total += picture.getpixel((x - left, y - top))[2 - channel] if inside else 255
    return total / size**2 / 255
