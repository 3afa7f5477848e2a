"""What comes next, prepared by threads while the present is worked on."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Ready = TypeVar("Ready")

_THREADS = min(4, os.cpu_count() or 1)
_BATCHES_AHEAD = 2


def prepare_ahead(
    batches: Sequence[Sequence[Item]], prepare: Callable[[Item], Ready]
) -> Iterator[tuple[Sequence[Item], list[Ready]]]:
    """Each batch, in order, with what `prepare` makes of its items. No more than two batches ahead are prepared, and
    none any more once the iterator is closed.

    Raises:
        Exception: whatever `prepare` raises, when its batch is due.
    """
    with ThreadPoolExecutor(_THREADS, "preparing pictures") as pool:
        ahead: deque[tuple[Sequence[Item], list[Future[Ready]]]] = deque()
        try:
            for batch in batches:
                ahead.append((batch, [pool.submit(prepare, item) for item in batch]))
                if len(ahead) > _BATCHES_AHEAD:
                    yield _awaited(*ahead.popleft())
            while ahead:
                yield _awaited(*ahead.popleft())
        finally:
            pool.shutdown(cancel_futures=True)


def _awaited(batch: Sequence[Item], made: Sequence[Future[Ready]]) -> tuple[Sequence[Item], list[Ready]]:
    return batch, [future.result() for future in made]


def one_ahead(
    items: Iterable[Item], prepare: Callable[[Item], Ready], *, begin: Callable[[], None] | None = None
) -> Generator[tuple[Item, Ready]]:
    """Each item, in order, with what `prepare` makes of it; the next one's is made while this one is worked on, by a
    thread that does `begin` first.

    Raises:
        Exception: whatever `prepare` raises, when its item is due.
    """
    with ThreadPoolExecutor(1, "preparing steps", initializer=begin) as thread:
        coming: tuple[Item, Future[Ready]] | None = None
        try:
            for item in items:
                due, coming = coming, (item, thread.submit(prepare, item))
                if due:
                    yield due[0], due[1].result()
            if coming:
                yield coming[0], coming[1].result()
        finally:
            thread.shutdown(cancel_futures=True)
