"""The crop keeps subjects that are known to be there: the benchmark's gates, on fewer pictures."""

from __future__ import annotations

import pytest

for package in ("cv2", "skimage", "sklearn", "matplotlib"):
    pytest.importorskip(package, reason=f"the composites are made with {package}: requirements-dev.txt")

from benchmarks import crop_quality  # noqa: E402


@pytest.fixture(scope="module")
def results():
    return crop_quality.run([103], 60)


def test_every_gate_of_the_benchmark_is_passed(results):
    failed = [gate for gate, is_passed in crop_quality.gates(results).items() if not is_passed]
    assert not failed, "\n".join([*failed, *crop_quality._table(results, True)])


def test_the_gates_can_fail(results):
    """With the centre crop in our place."""
    worse = {d: {**found, "ours": found["center"]} for d, found in results.items()}
    passed = crop_quality.gates(worse)
    assert not passed["easy: recall >= 0.97"] and not passed["hard: face >= 0.95"]


def test_the_sets_have_many_cases_of_every_subject(results):
    for found in results.values():
        assert len(found["ours"]) == 9 and min(len(rows) for rows in found["ours"].values()) >= 5
