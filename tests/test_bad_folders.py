"""The whole corpora of bad pictures and bad captions, read as folders: each file ends as it should, none is lost."""

from __future__ import annotations

import pytest

from tests import bad_captions
from tests.bad_pictures import write_corpus
from trainer_core.dataset.folder import FolderScan, read_folder
from trainer_core.dataset.rules import ReadingRules
from trainer_core.dataset.types import Dataset

LENIENT = ReadingRules(most_unusable=1)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus") / "set"
    rows = write_corpus(folder)
    return folder, rows, read_folder(folder, rules=LENIENT)


def outcome_of(dataset: Dataset, folder, name: str) -> tuple[str, str]:
    """What became of a file, and the words said about it."""
    for image in dataset.images:
        if image.path == folder / name:
            return ("REPAIRED" if image.is_repaired else "OK"), " ".join(image.notes)
    for entry in dataset.skipped:
        if entry.path == folder / name:
            return ("refused" if "link" in entry.reason else "SKIPPED"), entry.reason
    return "ignored", ""


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning", "ignore:Corrupt EXIF")
def test_every_bad_picture_ends_as_it_should(corpus):
    folder, rows, dataset = corpus
    wrong = []
    for row in rows:
        outcome, words = outcome_of(dataset, folder, row.name)
        if outcome != row.outcome or (outcome != "ignored" and row.words not in words):
            wrong.append(f"{row.number} {row.name!r}: {outcome} {words!r}, not {row.outcome} {row.words!r}")
    assert not wrong, "\n".join(wrong)
    assert len(rows) > 60 and {row.outcome for row in rows} >= {"OK", "REPAIRED", "SKIPPED", "ignored"}


def test_upright_sizes_come_through(corpus):
    folder, rows, dataset = corpus
    sizes = {image.path: (image.width, image.height) for image in dataset.images}
    expected = {folder / row.name: row.size for row in rows if row.size and folder / row.name in sizes}
    assert expected and {path: sizes[path] for path in expected} == expected


def test_a_second_scan_of_the_corpus_says_the_same(corpus, tmp_path):
    folder, _, first = corpus
    for _ in range(2):
        assert read_folder(folder, rules=LENIENT, caches=tmp_path) == first


def test_the_corpus_stops_a_reader_that_is_not_lenient(corpus):
    folder, _, _ = corpus
    with pytest.raises(Exception, match="cannot be used, more than 20%"):
        for _ in FolderScan(folder).steps():
            pass


@pytest.mark.parametrize("row", bad_captions.ROWS, ids=lambda row: f"{row.number} {row.what}"[:40])
def test_every_bad_caption_comes_out_as_it_should(row, tmp_path):
    folder = row.make(tmp_path)
    dataset = read_folder(folder, rules=LENIENT)
    (image,) = [image for image in dataset.images if image.path.name == "a.png"]
    assert (image.caption, image.caption_source) == (row.caption, row.source)
    assert row.note in " ".join(image.notes)
