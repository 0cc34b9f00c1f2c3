"""What holds for every request before Django sees it, and for every answer after: sizes and headers."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from functools import cache
from typing import Any

from gantry.main.errors_api import plain

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

log = logging.getLogger("gantry.web")

#: No route takes files; a rule or a node fits in far less.
MAX_BODY_BYTES = 1024 * 1024
MAX_TARGET_BYTES = 8 * 1024
#: Requests at once; more are answered 503. Each runs in a thread of its own.
MAX_CONCURRENT = 200

_STRICT = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_PAGE = "default-src 'none'; style-src 'self'; img-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
_ADMIN = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
# Swagger UI writes style attributes and shows its icons from data: addresses; scripts stay ours alone.
_DOCS = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
_HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"permissions-policy": b"camera=(), geolocation=(), microphone=()",
}
# WhiteNoise lets any site read static files; ours are for our pages.
_DROPPED = frozenset({b"server", b"access-control-allow-origin"})


#: In the scope: headers by which an inner application replaces those below for its answer (main.web_app).
HEADERS_KEY = "gantry.headers"


def policy_for(path: str) -> str:
    """The Content-Security-Policy of an address."""
    if path.startswith("/admin/"):
        return _ADMIN
    if path == "/api/v1/docs":
        return _DOCS
    if path.startswith(("/api/", "/dicomweb/", "/health/", "/metrics", "/static/")):
        return _STRICT
    return _PAGE


@cache
def _words() -> frozenset[str]:
    """The parts of our addresses that are always the same."""
    from gantry.main.permissions_check import walk

    return frozenset(part for one in walk() for part in one.route.split("/") if part.replace("-", "").replace(".", "").isalnum())


def shape_of(path: str) -> str:
    """An address for the log: what a client may choose, as an id or a name, is a star. The query is never logged."""
    words = _words()
    return "/".join(part if not part or part in words else "*" for part in path.split("/"))


class TooLarge(Exception):
    """The body grew beyond the limit while it came in."""


class Limits:
    """An ASGI application around another."""

    def __init__(self, inner: Application) -> None:
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; only HTTP is known."""
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        send = _with_headers(scope, send)
        refusal = _refusal(scope)
        if refusal:
            await _answer(send, refusal)
            return
        started = False

        async def note_start(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._inner(scope, _counted(receive), note_start)
        except TooLarge:
            if not started:
                await _answer(send, 413)


class Busy:
    """An ASGI application around another: at most so many requests at once in it, as each takes a thread.

    Live connections are no longer in it once they stream, so idle ones do not keep requests out.
    """

    def __init__(self, inner: Application, limit: int = MAX_CONCURRENT) -> None:
        self._inner = inner
        self._limit = limit
        self._count = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve or answer 503."""
        if self._count >= self._limit:
            await _answer(send, 503)
            return
        self._count += 1
        try:
            await self._inner(scope, receive, send)
        finally:
            self._count -= 1


def _refusal(scope: Scope) -> int:
    if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > MAX_TARGET_BYTES:
        return 414
    for name, value in scope["headers"]:
        if name == b"content-length" and (not value.isdigit() or len(value) > 12 or int(value) > MAX_BODY_BYTES):
            return 413
    return 0


def _counted(receive: Receive) -> Receive:
    """Bodies of unknown length are counted as they come."""
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        if message["type"] == "http.request":
            seen += len(message.get("body", b""))
            if seen > MAX_BODY_BYTES:
                raise TooLarge
        return message

    return counted


def _with_headers(scope: Scope, send: Send) -> Send:
    path = scope["path"]
    common = {**_HEADERS, b"content-security-policy": policy_for(path).encode("ascii")}
    if not path.startswith("/static/"):
        common[b"cache-control"] = b"no-store"

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            if log.isEnabledFor(logging.DEBUG):
                log.debug("%s %s %s", scope["method"], shape_of(path), message["status"])
            extra = {**common, **scope.get(HEADERS_KEY, {}), **_own_caching(path, message)}
            kept = [
                (name, value) for name, value in message.get("headers", [])
                if name.lower() not in extra and name.lower() not in _DROPPED
            ]  # fmt: skip
            message = {**message, "headers": [*kept, *extra.items()]}
        await send(message)

    return sending


def _own_caching(path: str, message: Message) -> dict[bytes, bytes]:
    """Pictures and metadata may stay in the browser of who asked, when their route says so and asks again each time."""
    if path.startswith(("/api/v1/", "/dicomweb/")) and message["status"] in {200, 206, 304}:
        for name, value in message.get("headers", []):
            if name.lower() == b"cache-control" and value.startswith(b"private"):
                return {b"cache-control": value}
    return {}


async def _answer(send: Send, status: int) -> None:
    content = json.dumps(plain(status)).encode("utf-8")
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode("ascii"))]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": content})
