"""Downloads against a server on this machine that does what Hugging Face and GitHub do, and what broken servers do."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from trainer_core.errors import TrainingError
from trainer_core.progress import StageReport
from trainer_core.tagging import arriving_file, download
from trainer_core.tagging.arriving_file import ArrivingFile
from trainer_core.tagging.catalogue import KnownTagger, RemoteFile
from trainer_core.tagging.download import MIRRORS, Download, mirrors

WEIGHTS = bytes(range(256)) * 2_000
TAGS = b"tag_id,name,category,count\n1,solo,0,9\n"


@dataclass
class Served:
    """A file of the server and how it misbehaves."""

    data: bytes
    etag: str = '"one"'
    linked_sha256: str = ""
    """Large files are answered with a redirect to a store that refuses HEAD, as Hugging Face's."""
    announced_size: int | None = None
    location: str = ""
    status: int = 200
    cuts: list[int] = field(default_factory=list)
    """How many bytes the coming answers send before the connection breaks."""
    stalls: bool = False
    """Instead of breaking, the connection stays open and nothing more comes."""
    knows_ranges: bool = True
    says_size: bool = True


class Server:
    """`files` by path; `requests` that came, as (method, path, Range)."""

    def __init__(self) -> None:
        self.files: dict[str, Served] = {}
        self.requests: list[tuple[str, str, str | None]] = []
        self.agents: set[str | None] = set()
        self._is_closed = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._is_closed.set()
        self._http.shutdown()
        self._http.server_close()

    def gets(self) -> list[str | None]:
        """The Range of each GET of the weights' store, in order."""
        return [asked for method, path, asked in self.requests if method == "GET" and path.startswith("/store/")]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.answer()

            def do_GET(self) -> None:
                self.answer()

            def answer(self) -> None:
                server.requests.append((self.command, self.path, self.headers["Range"]))
                server.agents.add(self.headers["User-Agent"])
                file = server.files.get(self.path.removeprefix("/store"))
                is_store = self.path.startswith("/store/")
                if file is None or file.status != 200 or (is_store and self.command == "HEAD"):
                    self.send_error(file.status if file and file.status != 200 else 403 if is_store else 404)
                elif file.location or (file.linked_sha256 and not is_store):
                    self.redirect(file)
                else:
                    self.send(file)

            def redirect(self, file: Served) -> None:
                self.send_response(302)
                self.send_header("Location", file.location or f"/store{self.path}")
                if file.linked_sha256:
                    self.send_header("X-Linked-ETag", f'"{file.linked_sha256}"')
                    self.send_header("X-Linked-Size", str(file.announced_size or len(file.data)))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def send(self, file: Served) -> None:
                asked, known = self.headers["Range"], self.headers["If-Range"]
                start = int(asked[6:-1]) if asked and file.knows_ranges and known == file.etag else 0
                self.send_response(206 if start else 200)
                if start:
                    self.send_header("Content-Range", f"bytes {start}-{len(file.data) - 1}/{len(file.data)}")
                if file.says_size:
                    size = file.announced_size if self.command == "HEAD" else None
                    self.send_header("Content-Length", str(size or len(file.data) - start))
                if file.etag:
                    self.send_header("ETag", file.etag)
                self.end_headers()
                if self.command == "GET":
                    is_cut = bool(file.cuts)
                    end = start + file.cuts.pop(0) if is_cut else len(file.data)
                    self.wfile.write(file.data[start:end])
                    if is_cut and file.stalls:
                        server._is_closed.wait(10)

            def log_message(self, *_) -> None:
                pass

        return Handler


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    running = Server()
    monkeypatch.setenv("HF_ENDPOINT", running.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "_SECONDS_BETWEEN_REPORTS", 0)
    running.files["/wd/resolve/main/selected_tags.csv"] = Served(TAGS)
    running.files["/wd/resolve/main/model.onnx"] = Served(WEIGHTS, linked_sha256=sha256(WEIGHTS))
    yield running
    running.close()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def tagger(*names: str, pinned: str = "") -> KnownTagger:
    names = names or ("selected_tags.csv", "model.onnx")
    files = [RemoteFile(name=name, address=f"wd/resolve/main/{name}", sha256="") for name in names]
    files[-1] = RemoteFile(name=names[-1], address=files[-1].address, sha256=pinned)
    return KnownTagger(
        name="wd", family="wd", repository="wd", files=tuple(files), size_bytes=0, licence="Apache-2.0", note=""
    )


def fetch(server: Server, folder: Path, known: KnownTagger | None = None) -> list[StageReport]:
    return list(Download(known or tagger(), folder, mirror=server.url).steps())


def refusal(server: Server, folder: Path, known: KnownTagger | None = None) -> str:
    with pytest.raises(TrainingError) as refused:
        fetch(server, folder, known)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def stop_after(server: Server, folder: Path, size: int) -> None:
    """Download the weights until `size` bytes of them have come, then stop."""
    steps = Download(tagger("model.onnx"), folder, mirror=server.url).steps()
    for report in steps:
        if report.stage == "downloading model.onnx" and report.done >= size:
            break
    steps.close()


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "wd").iterdir())


def weights(server: Server) -> Served:
    return server.files["/wd/resolve/main/model.onnx"]


def test_the_files_of_a_tagger_arrive_in_a_folder_of_its_name(server, tmp_path):
    fetch(server, tmp_path / "models" / "taggers")
    folder = tmp_path / "models" / "taggers" / "wd"
    assert (folder / "model.onnx").read_bytes() == WEIGHTS
    assert (folder / "selected_tags.csv").read_bytes() == TAGS
    assert names_in(tmp_path / "models" / "taggers") == ["model.onnx", "selected_tags.csv"]
    assert server.agents == {"lora-atelier"}


def test_progress_counts_the_bytes_of_all_files_and_never_falls(server, tmp_path):
    weights(server).cuts = [100_000, 100_000]
    first, *reports = fetch(server, tmp_path)
    assert (first.done, first.total) == (0, 1)
    total = len(TAGS) + len(WEIGHTS)
    assert {report.total for report in reports} == {total}
    assert [report.done for report in reports] == sorted(report.done for report in reports)
    assert reports[-1].done == total
    assert {report.stage for report in reports} == {"downloading selected_tags.csv", "downloading model.onnx"}


def test_what_is_whole_is_not_fetched_again_and_takes_no_room(server, tmp_path, monkeypatch):
    fetch(server, tmp_path)
    server.requests.clear()
    usage = shutil.disk_usage(tmp_path)._replace(free=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    reports = fetch(server, tmp_path)
    assert {method for method, *_ in server.requests} == {"HEAD"}
    assert (reports[-1].done, reports[-1].total) == (len(TAGS) + len(WEIGHTS),) * 2


def test_a_file_of_another_size_is_replaced(server, tmp_path):
    (tmp_path / "wd").mkdir()
    (tmp_path / "wd" / "model.onnx").write_bytes(WEIGHTS[:1000])
    fetch(server, tmp_path)
    assert (tmp_path / "wd" / "model.onnx").read_bytes() == WEIGHTS


def test_a_connection_that_breaks_is_taken_up_where_it_broke(server, tmp_path):
    weights(server).cuts = [100_000, 50_000]
    fetch(server, tmp_path)
    assert (tmp_path / "wd" / "model.onnx").read_bytes() == WEIGHTS
    assert server.gets() == [None, "bytes=100000-", "bytes=150000-"]


def test_a_connection_that_falls_silent_is_made_anew(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "_TIMEOUT", 0.3)
    weights(server).cuts, weights(server).stalls = [100_000], True
    start = time.monotonic()
    fetch(server, tmp_path)
    assert time.monotonic() < start + 5
    assert (tmp_path / "wd" / "model.onnx").read_bytes() == WEIGHTS
    assert server.gets() == [None, "bytes=100000-"]


def test_a_connection_that_brings_nothing_ends_the_download_and_the_next_goes_on(server, tmp_path):
    weights(server).cuts = [100_000, 0]
    text = refusal(server, tmp_path)
    assert text.startswith("the connection to 127.0.0.1 broke after 100,000 of 512,000 bytes of model.onnx.")
    assert (tmp_path / "wd" / "model.onnx.part").read_bytes() == WEIGHTS[:100_000]
    fetch(server, tmp_path)
    assert (tmp_path / "wd" / "model.onnx").read_bytes() == WEIGHTS
    assert server.gets()[-1] == "bytes=100000-"


def test_a_stop_keeps_what_has_arrived_and_the_next_download_goes_on(server, tmp_path):
    weights(server).cuts = [300_000]
    stop_after(server, tmp_path, 1)
    part = tmp_path / "wd" / "model.onnx.part"
    kept = part.stat().st_size
    assert 0 < kept < len(WEIGHTS) and names_in(tmp_path) == ["model.onnx.part", "model.onnx.part.etag"]
    weights(server).cuts = []
    reports = fetch(server, tmp_path, tagger("model.onnx"))
    assert server.gets()[-1] == f"bytes={kept}-"
    assert reports[1].done == kept
    assert names_in(tmp_path) == ["model.onnx"] and (tmp_path / "wd" / "model.onnx").read_bytes() == WEIGHTS


def test_a_part_that_was_whole_when_the_program_ended_is_only_checked(server, tmp_path):
    (tmp_path / "wd").mkdir()
    (tmp_path / "wd" / "model.onnx.part").write_bytes(WEIGHTS)
    (tmp_path / "wd" / "model.onnx.part.etag").write_text('"one"')
    fetch(server, tmp_path, tagger("model.onnx"))
    assert server.gets() == [] and names_in(tmp_path) == ["model.onnx"]


def test_an_etag_without_its_part_is_no_part(server, tmp_path):
    (tmp_path / "wd").mkdir()
    (tmp_path / "wd" / "model.onnx.part.etag").write_text('"one"')
    reports = fetch(server, tmp_path, tagger("model.onnx"))
    assert reports[1].done == 0
    assert server.gets() == [None] and names_in(tmp_path) == ["model.onnx"]


def test_a_file_that_changed_on_the_server_is_fetched_from_the_start(server, tmp_path):
    weights(server).cuts = [300_000]
    stop_after(server, tmp_path, 1)
    changed = WEIGHTS[::-1]
    server.files["/wd/resolve/main/model.onnx"] = Served(changed, etag='"two"', linked_sha256=sha256(changed))
    fetch(server, tmp_path)
    assert (tmp_path / "wd" / "model.onnx").read_bytes() == changed


def test_a_file_that_became_shorter_is_fetched_from_the_start(server, tmp_path):
    weights(server).cuts = [300_000]
    stop_after(server, tmp_path, 200_000)
    changed = WEIGHTS[:1000]
    server.files["/wd/resolve/main/model.onnx"] = Served(changed, linked_sha256=sha256(changed))
    fetch(server, tmp_path)
    assert (tmp_path / "wd" / "model.onnx").read_bytes() == changed
    assert server.gets()[-1] is None


def test_a_crash_at_the_start_of_another_file_leaves_no_part_that_is_taken_for_its(tmp_path, monkeypatch):
    file = ArrivingFile(path=tmp_path / "config.json", size=10, sha256="")
    with file.beginning('"old"') as part:
        part.write(b"old bytes")

    def write_and_crash(path, data):
        path.write_bytes(data)
        raise KeyboardInterrupt

    monkeypatch.setattr(arriving_file, "write_atomic", write_and_crash)
    with pytest.raises(KeyboardInterrupt), file.beginning('"new"'):
        pass
    assert (file.kept(), file.etag()) == (0, '"new"')


@pytest.mark.parametrize("broken", [{"knows_ranges": False}, {"etag": ""}, {"etag": 'W/"weak"'}])
def test_a_server_that_cannot_go_on_sends_the_file_from_the_start(server, tmp_path, broken):
    served = Served(WEIGHTS, linked_sha256=sha256(WEIGHTS), cuts=[300_000], **broken)
    server.files["/wd/resolve/main/model.onnx"] = served
    stop_after(server, tmp_path, 1)
    fetch(server, tmp_path)
    assert (tmp_path / "wd" / "model.onnx").read_bytes() == WEIGHTS


def test_a_server_without_ranges_that_breaks_again_and_again_ends_the_download(server, tmp_path):
    server.files["/wd/resolve/main/model.onnx"] = Served(WEIGHTS, knows_ranges=False, cuts=[1000] * 50)
    assert "broke after 1,000" in refusal(server, tmp_path)
    assert len(weights(server).cuts) == 48


@pytest.mark.parametrize("etag", [b"", b"one", b'"one"\r\nX: y', b"\xff\xfe"])
def test_a_part_of_nothing_known_is_dropped(server, tmp_path, etag):
    (tmp_path / "wd").mkdir()
    (tmp_path / "wd" / "model.onnx.part").write_bytes(b"x" * 1000)
    (tmp_path / "wd" / "model.onnx.part.etag").write_bytes(etag)
    fetch(server, tmp_path)
    assert (tmp_path / "wd" / "model.onnx").read_bytes() == WEIGHTS


@pytest.mark.parametrize("known", [tagger(pinned=sha256(b"pinned")), None], ids=["pinned", "announced"])
def test_a_file_with_another_hash_is_deleted(server, tmp_path, known):
    weights(server).linked_sha256 = sha256(WEIGHTS) if known else sha256(b"another")
    text = refusal(server, tmp_path, known)
    assert text.startswith("model.onnx is not the file it should be (its SHA-256 differs) and was deleted.")
    assert names_in(tmp_path) == ["selected_tags.csv"]


def test_the_pinned_hash_is_what_counts(server, tmp_path):
    weights(server).linked_sha256 = sha256(b"another")
    fetch(server, tmp_path, tagger(pinned=sha256(WEIGHTS)))
    assert (tmp_path / "wd" / "model.onnx").read_bytes() == WEIGHTS


def test_a_part_of_the_wrong_content_is_found_out(server, tmp_path):
    (tmp_path / "wd").mkdir()
    (tmp_path / "wd" / "model.onnx.part").write_bytes(b"x" * 1000)
    (tmp_path / "wd" / "model.onnx.part.etag").write_text('"one"')
    assert "SHA-256" in refusal(server, tmp_path)
    fetch(server, tmp_path)
    assert (tmp_path / "wd" / "model.onnx").read_bytes() == WEIGHTS


@pytest.mark.parametrize("linked", [sha256(WEIGHTS), ""])
@pytest.mark.parametrize("size", [1, len(WEIGHTS) + 1])
def test_a_file_of_another_size_than_announced_is_refused(server, tmp_path, linked, size):
    server.files["/wd/resolve/main/model.onnx"] = Served(WEIGHTS, linked_sha256=linked, announced_size=size)
    assert "sends model.onnx in another size than it said" in refusal(server, tmp_path)
    assert names_in(tmp_path) == ["selected_tags.csv"]


def test_a_server_that_does_not_say_the_size_is_refused(server, tmp_path):
    server.files["/wd/resolve/main/model.onnx"] = Served(WEIGHTS, says_size=False)
    assert refusal(server, tmp_path) == "127.0.0.1 does not say how large model.onnx is. Choose another mirror."


@pytest.mark.parametrize("status", [401, 403, 404, 416, 429, 500, 503])
def test_a_refusal_of_the_server_is_told_in_one_line(server, tmp_path, status):
    weights(server).status = status
    text = refusal(server, tmp_path)
    assert f"does not give {server.url}/wd/resolve/main/model.onnx (HTTP {status})." in text
    assert not (tmp_path / "wd").exists()


def test_a_server_that_is_not_there_is_told_in_one_line(server, tmp_path):
    server.close()
    assert refusal(server, tmp_path).startswith("cannot reach 127.0.0.1: ")


@pytest.mark.parametrize(
    "location",
    [
        "http://example.com/model.onnx",
        "ftp://example.com/model.onnx",
        "file:///etc/passwd",
        "http://localhost/model.onnx",
    ],
)
def test_a_redirect_to_anything_but_https_is_refused(server, tmp_path, location):
    weights(server).location, weights(server).linked_sha256 = location, ""
    assert refusal(server, tmp_path) == f"{location} is not https, so it is not asked. Choose another mirror."


def test_a_server_elsewhere_cannot_lead_to_this_machine(server, tmp_path, monkeypatch):
    """From an https address even plain http to 127.0.0.1 is refused: it could reach what listens there."""
    opened = []

    class Answer:
        status, headers = 302, {"Location": f"{server.url}/wd/resolve/main/model.onnx", "X-Linked-Size": ""}

        def close(self):
            pass

    class Opener:
        def open(self, request, timeout):
            opened.append(request.full_url)
            return Answer()

    monkeypatch.setattr(download, "build_opener", lambda *_: Opener())
    with pytest.raises(TrainingError, match="is not https"):
        list(Download(tagger("model.onnx"), tmp_path, mirror=MIRRORS[0]).steps())
    assert opened == ["https://huggingface.co/wd/resolve/main/model.onnx"]


@pytest.mark.parametrize("location", ["", "/wd/resolve/main/model.onnx"])
def test_redirects_in_a_circle_end(server, tmp_path, location):
    server.files["/wd/resolve/main/model.onnx"] = Served(WEIGHTS, location=location or "?again")
    server.files["/wd/resolve/main/model.onnx?again"] = Served(WEIGHTS, location="/wd/resolve/main/model.onnx")
    assert refusal(server, tmp_path) == "127.0.0.1 redirects without end. Choose another mirror."


@pytest.mark.parametrize("location", ["https://[", "http://127.0.0.1:no/", "/caf\u00e9"])
def test_a_redirect_to_nonsense_is_told_in_one_line(server, tmp_path, location):
    weights(server).location, weights(server).linked_sha256 = location, ""
    assert refusal(server, tmp_path).endswith("hoose another mirror.")


def test_a_redirect_within_the_server_is_followed_for_small_files(server, tmp_path):
    server.files["/cache/tags"] = server.files["/wd/resolve/main/selected_tags.csv"]
    server.files["/wd/resolve/main/selected_tags.csv"] = Served(TAGS, location="../../../cache/tags")
    fetch(server, tmp_path)
    assert (tmp_path / "wd" / "selected_tags.csv").read_bytes() == TAGS


def test_a_whole_address_is_taken_whatever_the_mirror(server, tmp_path, monkeypatch):
    address = f"{server.url}/wd/resolve/main/model.onnx"
    known = KnownTagger(
        name="wd",
        family="deepdanbooru",
        repository="",
        files=(RemoteFile(name="model.pt", address=address),),
        size_bytes=0,
        licence="MIT",
        note="",
    )
    list(Download(known, tmp_path, mirror=MIRRORS[1]).steps())
    assert (tmp_path / "wd" / "model.pt").read_bytes() == WEIGHTS


def test_too_small_a_disk_is_told_before_anything_is_fetched(server, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=len(WEIGHTS) + len(TAGS) - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    assert "Free some disk space." in refusal(server, tmp_path)
    assert {method for method, *_ in server.requests} == {"HEAD"}
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=len(WEIGHTS) + len(TAGS)))
    fetch(server, tmp_path)


def test_room_is_only_asked_for_what_has_not_arrived(server, tmp_path, monkeypatch):
    weights(server).cuts = [300_000]
    stop_after(server, tmp_path, 300_000)
    usage = shutil.disk_usage(tmp_path)._replace(free=len(WEIGHTS) + len(TAGS) - 300_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    fetch(server, tmp_path)


def test_a_disk_that_fills_up_meanwhile_is_told_in_one_line_and_the_part_kept(server, tmp_path):
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        text = refusal(server, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert text.startswith(f"cannot write {tmp_path / 'wd' / 'model.onnx.part'}: ")
    fetch(server, tmp_path)
    assert server.gets()[-1] == "bytes=200000-"
    assert (tmp_path / "wd" / "model.onnx").read_bytes() == WEIGHTS


def test_a_folder_that_cannot_be_made_is_told_in_one_line(server, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    assert refusal(server, tmp_path / "file").startswith(f"cannot write {tmp_path / 'file' / 'wd'}")


def test_a_folder_on_a_disk_that_is_gone_is_told_in_one_line(server, tmp_path):
    (tmp_path / "wd").symlink_to(tmp_path / "unplugged" / "wd")
    assert refusal(server, tmp_path).startswith(f"cannot write {tmp_path / 'wd'}: ")


def test_a_place_that_is_taken_by_a_folder_is_told_in_one_line(server, tmp_path):
    (tmp_path / "wd" / "model.onnx").mkdir(parents=True)
    assert refusal(server, tmp_path).startswith(f"cannot write {tmp_path / 'wd' / 'model.onnx'}: ")


def test_the_mirror_is_one_of_the_known_or_of_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example/hf/")
    assert mirrors() == ("https://mirror.example/hf", *MIRRORS)
    monkeypatch.setenv("HF_ENDPOINT", MIRRORS[1])
    assert mirrors() == (MIRRORS[1], MIRRORS[0])
    monkeypatch.delenv("HF_ENDPOINT")
    assert mirrors() == MIRRORS
    with pytest.raises(TrainingError, match="^'https://evil.example' is not a mirror to download from. Choose one of "):
        Download(tagger(), tmp_path, mirror="https://evil.example")


@pytest.mark.parametrize("mirror", ["http://mirror.example", "mirror", "https://["])
def test_a_mirror_from_the_environment_must_be_an_https_address(tmp_path, monkeypatch, mirror):
    monkeypatch.setenv("HF_ENDPOINT", mirror)
    with pytest.raises(TrainingError, match="Choose another mirror"):
        list(Download(tagger(), tmp_path, mirror=mirror).steps())


def test_nothing_is_asked_before_the_first_step(server, tmp_path):
    Download(tagger(), tmp_path, mirror=server.url).steps()
    assert not server.requests and not os.listdir(tmp_path)
