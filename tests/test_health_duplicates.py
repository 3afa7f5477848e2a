"""Duplicates: the same file, copies, mirror images, the same shot; and ten thousand pictures in seconds."""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest
from PIL import ImageOps

from tests.photos import entry, healthy, photo
from trainer_core.dataset.folder import read_folder
from trainer_core.dataset.types import Dataset
from trainer_core.dataset.wording import FileNames
from trainer_core.health import similarity
from trainer_core.health.duplicates import duplicate_findings
from trainer_core.health.findings import Finding
from trainer_core.health.similarity import Hashes, alike, duplicates, mirrored


def findings(*images) -> dict[str, Finding]:
    dataset = Dataset(images=images)
    return {finding.kind: finding for finding in duplicate_findings(dataset, FileNames(dataset))}


def flipped(hex_hash: str, bits: int) -> str:
    """The hash with its lowest `bits` bits changed."""
    return f"{int(hex_hash, 16) ^ (2**bits - 1):016x}"


def near(name: str, original, *, phash: int = 64, dhash: int = 64, is_mirrored: bool = False, **changed):
    """A picture whose hashes differ from the original's (its mirror's) in so many bits; 64: no relation."""
    source = original.measures
    hashes = (source.mirrored_phash, source.mirrored_dhash) if is_mirrored else (source.phash, source.dhash)
    measured = {}
    if phash < 64:
        measured["phash"] = flipped(hashes[0], phash)
    if dhash < 64:
        measured["dhash"] = flipped(hashes[1], dhash)
    return entry(name, measured=measured, **changed)


A = entry("a.png", seed=1)


@pytest.mark.parametrize(
    ("phash", "dhash", "kind"),
    [
        (0, 64, "near duplicate"),
        (4, 64, "near duplicate"),
        (5, 64, "similar"),
        (8, 64, "similar"),
        (9, 64, None),
        (24, 4, "near duplicate"),
        (24, 5, None),
        (25, 4, None),
    ],
)
def test_the_limits_of_likeness(phash, dhash, kind):
    found = findings(*healthy(12), A, near("b.png", A, phash=phash, dhash=dhash))
    assert set(found) == ({kind} if kind else set())
    if kind:
        assert found[kind].files == ("a.png", "b.png")


@pytest.mark.parametrize(("phash", "dhash", "is_found"), [(4, 64, True), (5, 64, False), (24, 4, True), (24, 5, False)])
def test_the_limits_for_mirror_images(phash, dhash, is_found):
    found = findings(*healthy(12), A, near("b.png", A, phash=phash, dhash=dhash, is_mirrored=True))
    assert set(found) == ({"mirrored"} if is_found else set())
    if is_found:
        assert found["mirrored"].labels == ("mirror image of b.png", "mirror image of a.png")


def test_a_healthy_set_has_no_duplicates():
    assert findings(*healthy(300)) == {}
    assert findings() == {}
    assert findings(A) == {}


def test_copies_of_copies_are_one_group_named_after_the_first():
    b = near("b.png", A, phash=4)
    c = near("c.png", A, phash=8)  # 8 bits from a, 4 from b
    finding = findings(*healthy(12), A, b, c)["near duplicate"]
    assert finding.text.startswith("2 pictures are") and "a.png ~ b.png ~ c.png" in finding.text
    assert finding.labels == ("near copy of 2 others", "near copy of a.png", "near copy of a.png")


def test_the_same_file_is_told_apart_from_a_copy():
    same = entry("same.png", seed=1, fingerprint=A.fingerprint)
    found = findings(*healthy(12), A, same, near("b.png", A, phash=2))
    assert found["duplicate"].files == ("a.png", "same.png")
    assert found["near duplicate"].files == ("a.png", "b.png")
    assert found["duplicate"].labels == ("same file as same.png", "same file as a.png")


def test_a_picture_that_several_datasets_name_is_one_picture():
    assert findings(*healthy(12), A, A) == {}


def test_a_copy_is_not_told_again_as_a_mirror_image_or_as_similar():
    symmetric = entry("s.png", measured={"mirrored_phash": A.measures.phash, "phash": A.measures.phash})
    assert set(findings(*healthy(12), A, symmetric)) == {"near duplicate"}


def test_a_picture_that_is_its_own_mirror_image_is_no_duplicate():
    alone = entry("s.png", measured={"mirrored_phash": "00ff00ff00ff00ff", "phash": "00ff00ff00ff00ff"})
    assert findings(*healthy(12), alone) == {}


def test_a_picture_in_both_sets_stops_even_if_saved_again():
    for other in (
        entry("r.png", seed=1, fingerprint=A.fingerprint, is_regularisation=True),
        near("r.png", A, phash=3, is_regularisation=True),
    ):
        found = findings(*healthy(12), A, other)
        assert set(found) == {"in both sets"}
        assert found["in both sets"].level == "stop" and set(found["in both sets"].files) == {"a.png", "r.png"}


def test_copies_among_regularisation_pictures_are_only_noted():
    one = entry("r1.png", seed=1, is_regularisation=True)
    found = findings(*healthy(12), one, near("r2.png", one, phash=3, is_regularisation=True))
    assert {kind: finding.level for kind, finding in found.items()} == {"regularisation duplicate": "note"}


@pytest.mark.parametrize(("shots", "of", "is_told"), [(7, 20, True), (6, 20, False), (2, 5, False), (3, 5, True)])
def test_one_shot_again_and_again(shots, of, is_told):
    frames = [near(f"f{n}.png", A, phash=12 * (n % 2)) for n in range(shots)]
    found = findings(*healthy(of - shots), *frames)
    assert ("same shot" in found) == is_told
    if is_told:
        assert f"{shots} of {of}" in found["same shot"].text and len(found["same shot"].files) == shots


def test_the_same_shot_ends_at_twelve_bits():
    steps = [near(f"f{n}.png", A, phash=13 * n) for n in range(3)]
    assert "same shot" not in findings(*healthy(3), *steps)


def test_flat_pictures_have_no_likeness():
    """Their hash is chance, and they are reported as flat already."""
    flat = [entry(f"{n}.png", measured={"phash": "0" * 16, "contrast": 0.0}) for n in range(5)]
    assert findings(*healthy(12), *flat) == {}
    assert findings(entry("a.png", measures=None), entry("b.png", measures=None)) == {}


def test_copies_on_disk_are_found(tmp_path):
    for number in range(8):
        photo(number).save(tmp_path / f"p{number}.png")
    picture = photo(0, 512, 512)
    picture.save(tmp_path / "original.png")
    picture.save(tmp_path / "saved_again.jpg", quality=50)
    picture.resize((200, 200)).save(tmp_path / "small.png")
    ImageOps.mirror(photo(1)).save(tmp_path / "mirrored.png")
    (tmp_path / "twice.png").write_bytes((tmp_path / "p3.png").read_bytes())
    found = findings(*read_folder(tmp_path).images)
    assert set(found["duplicate"].files) == {"p3.png", "twice.png"}
    assert {"original.png", "saved_again.jpg", "small.png"} <= set(found["near duplicate"].files)
    assert set(found["near duplicate"].files) <= {"original.png", "saved_again.jpg", "small.png", "p0.png"}
    assert set(found["mirrored"].files) == {"p1.png", "mirrored.png"}


def test_long_lists_of_copies_are_shortened():
    groups = [(entry(f"{n}.png", seed=n), near(f"{n}b.png", entry("", seed=n), phash=1)) for n in range(30)]
    finding = findings(*(image for group in groups for image in group))["near duplicate"]
    assert len(finding.text) < 120 and finding.text.endswith("and 27 more") and len(finding.files) == 60
    same = [entry(f"{n}.png", seed=1, fingerprint="one") for n in range(9)]
    assert findings(*healthy(40), *same)["duplicate"].text.endswith("0.png = 1.png = 2.png = 3.png = 5 more")


# ------------------------------------------------------------------------------------------- ten thousand pictures


def hashes(count: int, seed: int = 0) -> np.ndarray:
    """(4, count)"""
    return np.random.default_rng(seed).integers(0, 2**64, (4, count), dtype=np.uint64, endpoint=False)


def bits(count: int) -> np.uint64:
    return np.uint64(2**count - 1)


def test_ten_thousand_pictures_take_seconds_and_little_memory():
    values = hashes(10_000)
    values[0, 9_999] = values[0, 17] ^ bits(4)
    values[0, 5_000] = values[0, 17] ^ bits(4) << np.uint64(8)
    values[1, 123] = values[1, 4_567] ^ bits(3)
    values[0, 123] = values[0, 4_567] ^ bits(20)
    values[2, 8_000] = values[0, 31] ^ bits(2)
    found = Hashes(*values)
    started = time.monotonic()
    tracemalloc.start()
    assert duplicates(found) == [[17, 5_000, 9_999], [123, 4_567]]
    assert mirrored(found) == [[31, 8_000]]
    assert alike(found, 8) == [[17, 5_000, 9_999]]
    assert tracemalloc.get_traced_memory()[1] < 60 * 2**20
    tracemalloc.stop()
    assert time.monotonic() - started < 10


def test_ten_thousand_copies_of_one_picture_take_seconds_and_little_memory():
    """The worst case: fifty million pairs are alike."""
    values = np.repeat(hashes(1), 10_000, axis=1)
    started = time.monotonic()
    tracemalloc.start()
    assert duplicates(Hashes(*values)) == [list(range(10_000))]
    assert tracemalloc.get_traced_memory()[1] < 60 * 2**20
    tracemalloc.stop()
    assert time.monotonic() - started < 10


def test_bits_are_counted_alike_with_and_without_numpys_own_counting(monkeypatch):
    values = np.concatenate([hashes(5_000)[0], np.array([0, 1, 2**63, 2**64 - 1], dtype=np.uint64)])
    expected = [int(value).bit_count() for value in values]
    assert similarity._bit_counts(values).tolist() == expected
    assert similarity._bit_counts_by_sums(values).tolist() == expected
    monkeypatch.delattr(np, "bitwise_count", raising=False)
    assert similarity._bit_counts(values).tolist() == expected


def test_every_block_of_pairs_is_looked_at(monkeypatch):
    """Copies at the borders of blocks, with blocks of a few rows."""
    values = hashes(50)
    for index in range(0, 50, 5):
        values[0, index] = values[0, 0]
    values[0, 49] = values[0, 48]
    for cells in (1, 50, 130, 10_000):
        monkeypatch.setattr(similarity, "_BLOCK_CELLS", cells)
        assert duplicates(Hashes(*values)) == [list(range(0, 50, 5)), [48, 49]]


def test_a_set_of_one_and_of_none():
    assert duplicates(Hashes.of([])) == [] and mirrored(Hashes(*hashes(1))) == []


def test_hashes_come_from_their_hex_digits():
    found = Hashes.of([A.measures])
    assert int(found.phash[0]) == int(A.measures.phash, 16)
    assert int(found.mirrored_dhash[0]) == int(A.measures.mirrored_dhash, 16)
