"""The bounded queue between the source of items and the threads that send them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable

from gantry.nodes.items import SendItem


class Feed:
    """Items wait here. One thread puts, several take; what a broken association held is pushed back."""

    def __init__(self, stop: threading.Event) -> None:
        self._items: deque[SendItem] = deque()
        self._changed = threading.Condition()
        self._stop = stop
        self._ended = False
        self._takers = 0
        #: Every presentation context asked for so far, newest last (a dict keeps the order).
        self.contexts: dict[tuple[str, str], None] = {}

    def __len__(self) -> int:
        return len(self._items)

    def put(self, items: Iterable[SendItem]) -> None:
        """Add items at the end."""
        with self._changed:
            for item in items:
                self.contexts.pop(item.context, None)
                self.contexts[item.context] = None
                self._items.append(item)
            self._changed.notify_all()

    def wait_below(self, level: int) -> bool:
        """Wait until fewer than `level` items are left; False when nobody takes any more or all is to stop."""
        with self._changed:
            # The event is not ours, so it is looked at every now and then.
            while len(self._items) >= level and self._takers and not self._stop.is_set():
                self._changed.wait(0.2)
            return bool(self._takers) and not self._stop.is_set()

    def enter(self) -> None:
        """A taker begins."""
        with self._changed:
            self._takers += 1

    def leave(self) -> int:
        """A taker ends; gives how many are left."""
        with self._changed:
            self._takers -= 1
            self._changed.notify_all()
            return self._takers

    def take(self, *, wait: bool = True) -> SendItem | None:
        """The next item; None at the end, at the stop, or (without `wait`) when none is there now."""
        with self._changed:
            while not self._items and not self._ended and wait and not self._stop.is_set():
                self._changed.wait(0.2)
            if not self._items or self._stop.is_set():
                return None
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def push_back(self, item: SendItem) -> None:
        """Give an item back that was not tried."""
        with self._changed:
            self._items.appendleft(item)
            self._changed.notify_all()

    def end(self) -> None:
        """No more will be put."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def drain(self) -> list[SendItem]:
        """Everything that is left, when no taker is."""
        with self._changed:
            left = list(self._items)
            self._items.clear()
            return left
