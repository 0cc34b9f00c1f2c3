"""The change feed: by pages, and live."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gantry_client.errors import PositionGone, Unreachable
from gantry_client.http import with_query
from gantry_client.nouns.asking import API, Asking, items_of, record
from gantry_client.records_watching import Change
from gantry_client.server_events import change_of


class Changes(Asking):
    """What happens. Who keeps the `id` of the last change seen goes on after it, and misses nothing and sees nothing twice."""

    def changes(
        self, after: int = 0, *, kinds: Sequence[str] = (), follow: bool = False, poll_seconds: float = 2.0
    ) -> Iterator[Change]:
        """Changes after a position, oldest first; `follow`: then wait for more. Raises PositionGone when the server no
        longer has what came right after the position."""
        while True:
            where = with_query(f"{API}/changes", {"after": after, "kinds": ",".join(kinds) or None, "limit": 1000})
            page = self._http.ask("GET", where)
            for item in items_of(page):
                change = record(Change, item)
                after = change.id
                yield change
            if not page.get("next"):
                if not follow:
                    return
                self._pause(poll_seconds)

    def events(
        self, after: int | None = None, *, kinds: Sequence[str] = (), reconnect: bool = True, pause_seconds: float = 1.0
    ) -> Iterator[Change]:
        """What happens, live; without a position from now on. When the connection breaks off it is made again where it was,
        from the first change seen on. Raises PositionGone, and Unreachable without `reconnect`."""
        while True:
            where = with_query(f"{API}/events", {"after": after, "kinds": ",".join(kinds) or None})
            try:
                for event in self._http.events(where):
                    if event.kind == "reset":
                        raise PositionGone(410, "position_gone", "The position is no longer known.", "Begin with studies().")
                    change = record(Change, change_of(event))
                    after = change.id
                    yield change
            except Unreachable:
                if not reconnect:
                    raise
            self._pause(pause_seconds)
