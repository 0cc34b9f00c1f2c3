"""Stored data sets opened before their turn: read and hashed in a second thread while the one before is being sent."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue

from gantry.nodes.items import SendItem
from gantry.nodes.stored import ReadBuffer, StoredDataSet

#: So many are opened before their turn, and no more than so many bytes unless it is one alone. What is larger than
#: `stored.READ_UP_TO` is mapped: of those the bytes are the page cache's, not ours.
AHEAD_ITEMS, AHEAD_BYTES = 2, 16 << 20
#: Below this the hand-over between two threads costs more than it saves, bytes.
AHEAD_FROM = 64 * 1024


class Prepared:
    """One instance on its way: opened by the second thread, or by `open` when it was too small for that."""

    __slots__ = ("_buffer", "_data", "_dropped", "_error", "_guard", "_ready", "item", "verify")

    def __init__(self, item: SendItem, buffer: ReadBuffer, *, verify: bool) -> None:
        self.item = item
        self.verify = verify
        self._buffer = buffer
        self._data: StoredDataSet | None = None
        self._error: BaseException | None = None
        self._dropped = False
        self._guard = threading.Lock()
        self._ready: threading.Lock | None = None

    def promise(self) -> None:
        """Another thread will call `prepare`: `open` waits for that."""
        self._ready = threading.Lock()
        self._ready.acquire()

    def prepare(self) -> None:
        """Open it now, unless it was dropped. Never raises: `open` tells."""
        data: StoredDataSet | None = None
        try:
            if not self._dropped:
                data = StoredDataSet(self.item, self._buffer, verify=self.verify)
        except BaseException as error:
            self._error = error
        with self._guard:
            if self._dropped and data is not None:
                data.close()
            else:
                self._data = data
        if self._ready is not None:
            self._ready.release()

    @contextmanager
    def open(self) -> Iterator[StoredDataSet]:
        """The data set, for the length of the block. Raises Damaged."""
        if self._ready is None:
            self.prepare()
        else:
            self._ready.acquire()
            self._ready.release()
        try:
            if self._error is not None:
                raise self._error
            assert self._data is not None  # only what was dropped has none
            yield self._data
        finally:
            self.drop()

    def drop(self) -> None:
        """It is not needed (any more)."""
        with self._guard:
            self._dropped = True
            data, self._data = self._data, None
        if data is not None:
            data.close()


class ReadAhead:
    """Goes through `items` in order; each must be opened and closed, or left alone, before the next is taken.

    With `verify` the digest of each is compared before it is given out. Close it: what was opened ahead is given back.
    """

    def __init__(self, items: Iterable[SendItem], *, verify: bool = True) -> None:
        self._items = iter(items)
        self._verify = verify
        # One more than is ahead: that of the one whose turn it is. The second thread has its own: it may still read
        # into one that was dropped.
        self._buffers = [ReadBuffer() for _ in range(AHEAD_ITEMS + 1)]
        self._own = ReadBuffer()
        self._number = 0
        self._window: deque[Prepared] = deque()
        self._bytes = 0
        self._next: SendItem | None = next(self._items, None)
        self._orders: SimpleQueue[Prepared | None] | None = None

    def __iter__(self) -> Iterator[Prepared]:
        while True:
            self._fill()
            if not self._window:
                return
            prepared = self._window.popleft()
            self._bytes -= prepared.item.dataset_bytes
            try:
                yield prepared
            finally:
                prepared.drop()

    def _fill(self) -> None:
        # The one whose turn it is now is still in the window, so there is one more in it than is ahead of it.
        while self._next is not None and len(self._window) <= AHEAD_ITEMS:
            item = self._next
            if len(self._window) > 1 and self._bytes + item.dataset_bytes > AHEAD_BYTES:
                return
            self._next = next(self._items, None)
            self._bytes += item.dataset_bytes
            alone = self._next is None and not self._window
            if alone or item.dataset_bytes < AHEAD_FROM:
                self._window.append(Prepared(item, self._own, verify=self._verify))
                continue
            self._number += 1
            prepared = Prepared(item, self._buffers[self._number % len(self._buffers)], verify=self._verify)
            self._window.append(prepared)
            self._order(prepared)

    def _order(self, prepared: Prepared) -> None:
        if self._orders is None:
            self._orders = SimpleQueue()
            threading.Thread(target=_prepare_all, args=(self._orders,), name="read-ahead", daemon=True).start()
        prepared.promise()
        self._orders.put(prepared)

    def close(self) -> None:
        """Drop what is ahead. The second thread ends by itself: whoever cancels does not wait for a digest."""
        while self._window:
            self._window.popleft().drop()
        if self._orders is not None:
            self._orders.put(None)
            self._orders = None
        self._next = None


def _prepare_all(orders: SimpleQueue[Prepared | None]) -> None:
    while (prepared := orders.get()) is not None:
        prepared.prepare()
