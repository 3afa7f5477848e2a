"""Which of many pictures are alike, by their 64-bit hashes: every pair is compared, a block of rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ..dataset.measures import Measures

DUPLICATE, SIMILAR, SAME_SHOT = 4, 8, 12
"""Bits of 64 that may differ. JPEG copies, half size and gains stay below 4 or so, unrelated pictures lie near 32."""
_SAME_LAYOUT = 24
"""pHash bits that may differ where only the dHash says duplicate: a watermark changes 14 to 24, another subject on the
same plain background about 32."""
_BLOCK_CELLS = 500_000
"""Pairs compared at a time: 4 MB for each hash, however many pictures there are."""
_PAIRS_AT_ONCE = 50_000
"""Joining looks at every picture, however few pairs there are."""


@dataclass(frozen=True, slots=True, eq=False)
class Hashes:
    """The hashes of N pictures, each a uint64 array (N,)."""

    phash: np.ndarray
    dhash: np.ndarray
    mirrored_phash: np.ndarray
    mirrored_dhash: np.ndarray

    @classmethod
    def of(cls, measures: Sequence[Measures]) -> Hashes:
        names = ("phash", "dhash", "mirrored_phash", "mirrored_dhash")
        return cls(*(np.array([int(getattr(m, name), 16) for m in measures], dtype=np.uint64) for name in names))


Groups = list[list[int]]
"""Indices of pictures that are alike, directly or through others of the group; in order, two or more each."""


def duplicates(hashes: Hashes) -> Groups:
    """Copies of one picture: saved again, scaled, with other light, with a watermark."""
    phash, dhash = hashes.phash, hashes.dhash
    return _groups(len(phash), lambda rows, others: _is_copy(phash[rows], dhash[rows], phash[others], dhash[others]))


def mirrored(hashes: Hashes) -> Groups:
    """Pictures that are copies once one of them is mirrored."""
    phash, dhash, flipped = hashes.phash, hashes.dhash, (hashes.mirrored_phash, hashes.mirrored_dhash)
    return _groups(
        len(phash),
        lambda rows, others: _is_copy(phash[rows], dhash[rows], flipped[0][others], flipped[1][others]),
    )


def alike(hashes: Hashes, most_bits: int) -> Groups:
    """Pictures whose pHashes differ by at most `most_bits`."""
    phash = hashes.phash
    return _groups(len(phash), lambda rows, others: _apart(phash[rows], phash[others]) <= most_bits)


def _is_copy(phash: np.ndarray, dhash: np.ndarray, other_phash: np.ndarray, other_dhash: np.ndarray) -> np.ndarray:
    """(rows, others)"""
    by_phash = _apart(phash, other_phash)
    return (by_phash <= DUPLICATE) | ((_apart(dhash, other_dhash) <= DUPLICATE) & (by_phash <= _SAME_LAYOUT))


def _groups(count: int, are_alike: Callable[[slice, slice], np.ndarray]) -> Groups:
    """`are_alike` gives a mask (rows, others) for two ranges of pictures; each pair is asked about once."""
    group_of = np.arange(count)
    for one, other in _pairs(count, are_alike):
        group_of = _joined(group_of, one, other)
    order = np.argsort(group_of, kind="stable")
    borders = np.flatnonzero(np.diff(group_of[order])) + 1
    groups = [group.tolist() for group in np.split(order, borders) if len(group) > 1]
    return sorted(groups)


def _pairs(count: int, are_alike: Callable[[slice, slice], np.ndarray]) -> Iterator[np.ndarray]:
    """Pairs (2, P) of pictures that are alike, some thousands at a time; some of them of a picture with itself."""
    found, waiting = [], 0
    step = max(1, _BLOCK_CELLS // max(count, 1))
    for start in range(0, count, step):
        mask = are_alike(slice(start, start + step), slice(start, None))
        if np.count_nonzero(mask) > np.count_nonzero(mask.diagonal()):  # finding takes much longer than counting
            found.append(start + np.stack(divmod(np.flatnonzero(mask), mask.shape[1])))
            waiting += found[-1].shape[1]
        if waiting > _PAIRS_AT_ONCE:
            yield np.concatenate(found, axis=1)
            found, waiting = [], 0
    if found:
        yield np.concatenate(found, axis=1)


def _joined(group_of: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The groups (N,) once each pair of pictures is put into the same one."""
    edges = coo_array((np.ones(len(one), dtype=bool), (group_of[one], group_of[other])), shape=(len(group_of),) * 2)
    _, component = connected_components(edges, directed=False)
    return component[group_of]


def _apart(hashes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Bits that differ, for each of `hashes` (R,) with each of `others` (C,), as uint8 (R, C)."""
    return _bit_counts(hashes[:, None] ^ others[None, :])


def _bit_counts(values: np.ndarray) -> np.ndarray:
    return np.bitwise_count(values) if hasattr(np, "bitwise_count") else _bit_counts_by_sums(values)


def _bit_counts_by_sums(values: np.ndarray) -> np.ndarray:
    """For NumPy below 2: counts of 2, 4 and 8 bits side by side, then all bytes summed in the highest one."""
    values = values - ((values >> np.uint64(1)) & np.uint64(0x5555555555555555))
    pairs = np.uint64(0x3333333333333333)
    values = (values & pairs) + ((values >> np.uint64(2)) & pairs)
    values = (values + (values >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return ((values * np.uint64(0x0101010101010101)) >> np.uint64(56)).astype(np.uint8)
