"""Requests over the standard library's http.client: time limits, retries of what may be repeated, errors."""

from __future__ import annotations

import http.client
import json
import random
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from gantry_client.errors import Unreachable, from_answer
from gantry_client.server_events import Event, Stream

#: Asking again for these does nothing twice.
_REPEATABLE = frozenset({"GET", "PUT", "DELETE"})
_TRY_AGAIN = frozenset({502, 503, 504})
#: More than any page of the server has.
MAX_ANSWER_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Connector:
    """Where the server is and how patient we are with it (seconds). One connection per request."""

    base_url: str
    token: str
    timeout: float = 30.0
    retries: int = 3
    context: ssl.SSLContext | None = None

    def _connect(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"{self.base_url!r} is no address such as http://127.0.0.1:8080")
        if parts.scheme == "https":
            context = self.context or ssl.create_default_context()
            return http.client.HTTPSConnection(parts.hostname, parts.port, timeout=self.timeout, context=context)
        return http.client.HTTPConnection(parts.hostname, parts.port, timeout=self.timeout)

    @contextmanager
    def open(self, method: str, path: str, body: Any = None) -> Iterator[http.client.HTTPResponse]:
        """An answer with a success, its body not read yet. Raises Unreachable, RequestFailed."""
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/json"}
        content = None
        if body is not None:
            content = json.dumps(body).encode("utf-8")
            headers["Content-Type"] = "application/json"
        connection = self._connect()
        try:
            try:
                connection.request(method, urlsplit(self.base_url).path.rstrip("/") + path, content, headers)
                answer = connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                raise Unreachable(f"{self.base_url} does not answer: {error or type(error).__name__}") from error
            if answer.status >= 300:
                raise from_answer(answer.status, _parsed(answer.read(MAX_ANSWER_BYTES)))
            yield answer
        finally:
            connection.close()

    def stream(self, path: str) -> Stream:
        """A live connection. Raises Unreachable, RequestFailed."""
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "text/event-stream"}
        try:
            stream = Stream(self._connect(), urlsplit(self.base_url).path.rstrip("/") + path, headers)
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"{self.base_url} does not answer: {error or type(error).__name__}") from error
        if stream.answer.status != 200:
            content = _parsed(stream.answer.read(MAX_ANSWER_BYTES))
            stream.close()
            raise from_answer(stream.answer.status, content)
        return stream

    def events(self, path: str) -> Iterator[Event]:
        """The events of a live connection until it ends. Raises Unreachable, RequestFailed."""
        stream = self.stream(path)
        try:
            yield from stream
        finally:
            stream.close()

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON of an answer; None when it has none. What may be repeated is, when the server is away."""
        attempts = 1 + (self.retries if method in _REPEATABLE else 0)
        for attempt in range(1, attempts + 1):
            try:
                with self.open(method, path, body) as answer:
                    return _parsed(_body(answer))
            except Exception as error:
                away = isinstance(error, Unreachable) or getattr(error, "status", 0) in _TRY_AGAIN
                if not away or attempt == attempts:
                    raise
            time.sleep(min(5.0, 0.2 * 2**attempt) * random.uniform(0.5, 1.0))  # noqa: S311  jitter, no secret
        raise AssertionError("unreachable")


def _body(answer: http.client.HTTPResponse) -> bytes:
    try:
        content = answer.read(MAX_ANSWER_BYTES + 1)
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(f"the answer broke off: {error or type(error).__name__}") from error
    if len(content) > MAX_ANSWER_BYTES:
        raise Unreachable(f"the answer has more than {MAX_ANSWER_BYTES} bytes")
    return content


def _parsed(content: bytes) -> Any:
    if not content:
        return None
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def with_query(path: str, values: Mapping[str, object]) -> str:
    """A path with those values that are given."""
    given = {name: _text(value) for name, value in values.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
