"""Auto Tag and the tag editor's routes in a real ComfyUI."""

from __future__ import annotations

import http.client
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.host.graphs import node, tagging_graph
from tests.host.server import ComfyServer, error_message
from tests.tagger_stand_ins import cell_of

COUNT = 6


@pytest.fixture
def folder(comfy: ComfyServer, request: pytest.FixtureRequest) -> Iterator[Path]:
    """Six pictures, each with one bright cell: the tags it gets are known."""
    place = comfy.base / "input" / f"tags_{abs(hash(request.node.name)) % 10**8}"
    place.mkdir()
    for number in range(COUNT):
        picture = Image.new("RGB", (128, 128), (90, 90, 90))
        for tag in (1, 2 + number % 3):
            channel, row, column = cell_of(tag)
            cell = Image.new("RGB", (32, 32), tuple(255 if 2 - channel == c else 90 for c in range(3)))
            picture.paste(cell, (32 * column, 32 * row))
        picture.save(place / f"{number}.png")
    yield place
    shutil.rmtree(place)


def run(comfy: ComfyServer, folder: Path, **settings: Any) -> tuple[list[str], str, str]:
    """The captions by picture, the report, and the board of a run of Auto Tag."""
    shown = comfy.run(tagging_graph(f"input/{folder.name}", settings))
    captions = [line.split(": ", 1)[1] for line in shown["captions"]["text"][0].splitlines()]
    return captions, shown["report"]["text"][0], shown["tag"]["lora_atelier_board"][0]


def tag_path(board: str, rest: str = "") -> str:
    return f"/lora_atelier/tagging/{board}{rest}"


def test_a_tagger_captions_every_picture(comfy, wd, folder):
    captions, _, _ = run(comfy, folder, method=wd, threshold=0.9, trigger_word="mochi", order="alphabet")
    assert captions[0] == "mochi, 1girl, long hair"
    assert captions[1] == "mochi, 1girl, blue eyes"


def test_characters_have_a_threshold_of_their_own(comfy, wd, folder):
    captions, _, _ = run(comfy, folder, method=wd, threshold=0.9, character_threshold=1.0)
    strict = run(comfy, folder, method=wd, threshold=1.0, character_threshold=0.5)[0]
    assert "hatsune miku" in strict[2] and captions[2].startswith("1girl")


def test_a_moved_threshold_asks_no_model(comfy, wd, folder):
    run(comfy, folder, method=wd, threshold=0.9)
    answers = comfy.base / "output" / "lora_atelier" / "tags"
    before = {path: path.read_bytes() for path in answers.iterdir()}
    captions, _, _ = run(comfy, folder, method=wd, threshold=0.3)
    assert len(captions[0].split(", ")) > 2
    assert {path: path.read_bytes() for path in answers.iterdir()} == before


def test_a_captioner_writes_sentences(comfy, taggers, folder):
    captions, _, _ = run(comfy, folder, method="blip-base", beams=1, most_tokens=12)
    assert all(captions) and len(captions) == COUNT


def test_a_tagger_that_is_missing_says_how_to_get_it(comfy, folder):
    graph = tagging_graph(f"input/{folder.name}", {"method": "wd-eva02-large-tagger-v3"})
    message = error_message(comfy.wait(comfy.queue(graph)))
    assert "model.onnx" in message and "Download" in message and "\n" not in message.strip()


def test_captions_of_other_nodes_are_taken(comfy, folder):
    graph = tagging_graph(f"input/{folder.name}", {"captions": ["pictures", 2], "existing": "overwrite"})
    settings = {"dataset": ["load", 0], "largest_side": 64, "cropped": False}
    graph["pictures"] = node("LoraAtelierDatasetPictures", settings)
    shown = comfy.run(graph)
    assert shown["captions"]["text"][0].splitlines()[2] == "2.png: 2.png"


def test_edits_by_hand_come_after_the_rules(comfy, wd, folder):
    pictures = {"0.png": {"add": ["hat"], "remove": ["1girl"]}, "1.png": {"text": "x"}}
    edits = json.dumps({"version": 1, "pictures": pictures})
    captions, _, _ = run(comfy, folder, method=wd, threshold=0.9, trigger_word="mochi", edits=edits)
    assert captions[0] == "mochi, long hair, hat" and captions[1] == "mochi, x"


def test_files_are_written_only_when_asked(comfy, wd, folder):
    run(comfy, folder, method=wd, threshold=0.9)
    assert not list(folder.glob("*.txt"))
    (folder / "0.txt").write_text("before")
    _, report, _ = run(comfy, folder, method=wd, threshold=0.9, existing="overwrite", write_files=True)
    assert (folder / "0.txt").read_text() == "1girl, long hair"
    assert (folder / "0.txt.bak").read_text() == "before"
    assert "6 caption files written" in report


def test_a_board_shows_what_the_editor_needs(comfy, wd, folder):
    _, _, board = run(comfy, folder, method=wd, threshold=0.9, trigger_word="mochi")
    shown = comfy.get(tag_path(board))
    assert shown["trigger_words"] == ["mochi"] and shown["has_scores"] and shown["threshold"] == 0.9
    first = shown["pictures"][0]
    assert (first["key"], first["caption"], first["width"]) == ("0.png", "1girl, long hair", 128)
    assert shown["kinds"]["long hair"] == "hair" and shown["can_write_files"]
    lower = comfy.get(tag_path(board, "/captions?threshold=0.3&character_threshold=0.3"))["captions"]["0"]
    assert {"dress", "hatsune miku"} <= set(lower.split(", "))
    scores = comfy.get(tag_path(board, "/candidates/0"))["tags"]
    assert [entry["score"] for entry in scores] == sorted((entry["score"] for entry in scores), reverse=True)
    assert "^_^" in {entry["tag"] for entry in scores} and "safe" not in {entry["tag"] for entry in scores}
    thumbnail = Image.open(io.BytesIO(comfy.read(tag_path(board, "/thumbnail/0?size=64"))))
    assert thumbnail.format == "JPEG" and thumbnail.size == (64, 64)


def test_the_board_is_sent_again_when_nothing_has_to_run(comfy, board, board_folder):
    """A page that was opened later, or whose board is gone, gets it by queueing the graph once more."""
    (comfy.base / "output" / "lora_atelier" / "tag_boards" / f"{board}.json").touch()
    assert run(comfy, board_folder, trigger_word="mochi")[2] == board


def test_saving_writes_the_captions_with_the_edits_of_the_page(comfy, wd, folder):
    _, _, board = run(comfy, folder, method=wd, threshold=0.9, trigger_word="mochi")
    edits = {"version": 1, "pictures": {"0.png": {"add": ["hat"]}}}
    body = {"threshold": 0.9, "character_threshold": 1.0, "edits": edits}
    status, answer = comfy.post(tag_path(board, "/save"), body)
    assert (status, answer["written"], answer["refused"]) == (200, COUNT, [])
    assert (folder / "0.txt").read_text() == "mochi, 1girl, long hair, hat"
    (folder / "0.txt").write_text("edited meanwhile")
    body["edits"]["pictures"]["0.png"]["add"] = ["scarf"]
    status, answer = comfy.post(tag_path(board, "/save"), body)
    assert [entry["name"] for entry in answer["refused"]] == ["0.txt"]
    assert (folder / "0.txt").read_text() == "edited meanwhile"


@pytest.mark.parametrize(
    "path",
    [
        "/lora_atelier/tagging/nothing",
        "/lora_atelier/tagging/..",
        "/lora_atelier/tagging/%2e%2e",
        "/lora_atelier/tagging/..%2f..%2fuser%2fdefault%2fcomfy.settings",
        "/lora_atelier/tagging/" + "0" * 32,
        "/lora_atelier/tagging/" + "A" * 32,
        "/lora_atelier/tagging/{board}.json",
        "/lora_atelier/tagging/{board}%00",
        "/lora_atelier/tagging/{board}/thumbnail/-1",
        "/lora_atelier/tagging/{board}/thumbnail/6",
        "/lora_atelier/tagging/{board}/thumbnail/99999999999999999999",
        "/lora_atelier/tagging/{board}/thumbnail/..%2f0",
        "/lora_atelier/tagging/{board}/thumbnail/%2fetc%2fpasswd",
        "/lora_atelier/tagging/{board}/thumbnail/%D9%A3",
        "/lora_atelier/tagging/{board}/candidates/x",
        "/lora_atelier/tagging/{board}/files",
    ],
)
def test_paths_that_lead_nowhere_are_not_found(comfy, board, path):
    assert request(comfy, "GET", path.format(board=board))[0] == 404


@pytest.mark.parametrize("query", ["size=0", "size=100000", "size=x", "size=nan"])
def test_sizes_out_of_range_are_refused(comfy, board, query):
    assert request(comfy, "GET", tag_path(board, f"/thumbnail/0?{query}"))[0] == 400


@pytest.mark.parametrize("query", ["threshold=2", "threshold=-1", "threshold=nan", "character_threshold=x"])
def test_thresholds_out_of_range_are_refused(comfy, board, query):
    assert request(comfy, "GET", tag_path(board, f"/captions?{query}"))[0] == 400


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Content-Type": "text/plain"}, "{}", 415),
        ({"Content-Type": "application/json", "Origin": "http://evil.example"}, "{}", 403),
        ({"Content-Type": "application/json", "Origin": "null"}, "{}", 403),
        ({"Content-Type": "application/json", "Sec-Fetch-Site": "same-site"}, "{}", 403),
        ({"Content-Type": "application/json"}, "{", 400),
        ({"Content-Type": "application/json"}, "[]", 400),
        ({"Content-Type": "application/json"}, '{"threshold": "x"}', 400),
        ({"Content-Type": "application/json"}, '{"threshold": true}', 400),
        ({"Content-Type": "application/json"}, '{"edits": {"pictures": []}}', 400),
        ({"Content-Type": "application/json"}, '{"edits": 7}', 400),
    ],
)
def test_requests_from_elsewhere_and_nonsense_write_nothing(comfy, board, board_folder, headers, body, status):
    assert request(comfy, "POST", tag_path(board, "/save"), headers, body)[0] == status
    assert not list(board_folder.glob("*.txt"))


def test_reading_never_writes(comfy, board):
    assert request(comfy, "GET", tag_path(board, "/save"))[0] in (404, 405)


def test_a_board_whose_pictures_lie_elsewhere_shows_and_writes_none(comfy, board, tmp_path):
    """A file of ours in output/ may be anyone's: ComfyUI lets pages upload there."""
    boards = comfy.base / "output" / "lora_atelier" / "tag_boards"
    value = json.loads((boards / f"{board}.json").read_text())
    Image.new("RGB", (64, 64)).save(tmp_path / "0.png")
    for image in value["dataset"]["images"]:
        image["path"] = str(tmp_path / "0.png")
    forged = "f" * 32
    (boards / f"{forged}.json").write_text(json.dumps(value))
    assert request(comfy, "GET", tag_path(forged, "/thumbnail/0"))[0] == 404
    status, _ = comfy.post(tag_path(forged, "/save"), {"threshold": 0.5, "edits": {}})
    assert status == 400 and [path.name for path in tmp_path.iterdir()] == ["0.png"]
    assert not comfy.get(tag_path(forged))["can_write_files"]


def test_taggers_are_listed_with_their_sizes(comfy, taggers):
    answer = comfy.get("/lora_atelier/taggers")
    by_name = {entry["name"]: entry for entry in answer["taggers"]}
    assert by_name["wd-vit-tagger-v3"]["is_found"] and not by_name["deepdanbooru"]["is_found"]
    assert by_name["deepdanbooru"]["licence"] == "MIT"
    assert by_name["deepdanbooru"]["megabytes"] > 600 and answer["download"] is None


@pytest.mark.parametrize("value", [{}, {"name": "x"}, {"name": "deepdanbooru", "mirror": "https://evil.example"}])
def test_only_what_is_known_is_downloaded_and_only_from_known_places(comfy, value):
    assert comfy.post("/lora_atelier/taggers/download", value)[0] == 400
    assert comfy.get("/lora_atelier/taggers")["download"] is None


@pytest.fixture(scope="module")
def board_folder(comfy: ComfyServer) -> Path:
    folder = comfy.base / "input" / "board"
    folder.mkdir()
    for number in range(COUNT):
        Image.new("RGB", (96, 64), (40 * number, 80, 120)).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def board(comfy: ComfyServer, board_folder: Path) -> str:
    """A board of captions from files."""
    return run(comfy, board_folder, trigger_word="mochi")[2]


def request(
    comfy: ComfyServer, method: str, path: str, headers: dict[str, str] | None = None, body: str | None = None
) -> tuple[int, bytes]:
    """A request exactly as written, which urllib would tidy."""
    connection = http.client.HTTPConnection("127.0.0.1", comfy.port, timeout=200)
    connection.putrequest(method, path, skip_accept_encoding=True)
    data = (body or "").encode()
    for name, value in {**(headers or {}), "Content-Length": str(len(data))}.items():
        connection.putheader(name, value)
    connection.endheaders(data)
    answer = connection.getresponse()
    return answer.status, answer.read()
