"""Server-sent events (HTML Living Standard 9.2), as far as a Gantry server uses them."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gantry_client.errors import GantryClientError, Unreachable

_LINE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its kind and its text."""

    kind: str
    data: str


class Stream:
    """The events of one connection, as they come. `close()` from any thread ends it at once."""

    def __init__(self, connection: http.client.HTTPConnection, path: str, headers: dict[str, str]) -> None:
        connection.connect()
        self._socket = connection.sock
        self._connection = connection
        connection.request("GET", path, headers=headers)
        self.answer = connection.getresponse()

    def __iter__(self) -> Iterator[Event]:
        """Raises Unreachable when the connection breaks off, or is silent longer than the time limit."""
        kind, data = "", list[str]()
        try:
            while line := self.answer.readline(_LINE_BYTES):
                text = line.decode("utf-8", "replace").rstrip("\r\n")
                if not text:
                    if data:
                        yield Event(kind or "message", "\n".join(data))
                    kind, data = "", []
                    continue
                name, _, value = text.partition(":")
                value = value.removeprefix(" ")
                if name == "event":
                    kind = value
                elif name == "data":
                    data.append(value)
        except (OSError, ValueError, AttributeError, http.client.HTTPException) as error:
            raise Unreachable(f"the live connection broke off: {error or type(error).__name__}") from error

    def close(self) -> None:
        """End it."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._connection.close()


def change_of(event: Event) -> Any:
    """What an event says. Raises GantryClientError."""
    try:
        return json.loads(event.data)
    except (ValueError, RecursionError) as error:
        raise GantryClientError("An event cannot be understood; is this a Gantry server?") from error
