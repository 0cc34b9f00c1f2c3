"""What can go wrong between us and the server.

GantryClientError
├── Unreachable        no connection, or no answer in time
├── DamagedDownload    the bytes that came are not those the server keeps
└── RequestFailed      the server answered with an error
    ├── NotSignedIn    401: the token does not hold
    ├── NotAllowed     403
    ├── NotFound       404
    ├── ConflictError  409
    ├── PositionGone   410: the feed no longer has what came after the position
    ├── InvalidRequest 400, 413, 414, 415, 422
    └── ServerFailed   5xx
"""

from __future__ import annotations

from typing import Any


class GantryClientError(Exception):
    """Something went wrong between us and the server."""


class Unreachable(GantryClientError):
    """No connection to the server, or no answer in time."""


class DamagedDownload(GantryClientError):
    """The bytes that came are not those the server keeps."""


class RequestFailed(GantryClientError):
    """The server answered with an error: `status`, `code` to decide on, `remedy`, `details`."""

    def __init__(self, status: int, code: str, message: str, remedy: str = "", details: Any = None) -> None:
        super().__init__(f"{message} {remedy}".strip())
        self.status = status
        self.code = code
        self.message = message
        self.remedy = remedy
        self.details = details


class NotSignedIn(RequestFailed):
    """The token does not hold."""


class NotAllowed(RequestFailed):
    """The token's user may not do this."""


class NotFound(RequestFailed):
    """There is no such thing."""


class ConflictError(RequestFailed):
    """It clashes with something that is there."""


class PositionGone(RequestFailed):
    """The change feed no longer has what came right after the position: read the lists, and begin anew."""


class InvalidRequest(RequestFailed):
    """The server does not accept these values."""


class ServerFailed(RequestFailed):
    """The server has a fault, or misses something it needs."""


def from_answer(status: int, content: Any) -> RequestFailed:
    """The error for a status and a body, whatever a proxy in between may have made of it."""
    error = content.get("error") if isinstance(content, dict) else None
    error = error if isinstance(error, dict) else {}
    kinds: dict[int, type[RequestFailed]] = {
        401: NotSignedIn, 403: NotAllowed, 404: NotFound, 409: ConflictError, 410: PositionGone,
    }  # fmt: skip
    kind = kinds.get(status) or (InvalidRequest if status in {400, 413, 414, 415, 422} else None)
    kind = kind or (ServerFailed if status >= 500 else RequestFailed)
    message = str(error.get("message") or f"The server answered with status {status}.")
    return kind(status, str(error.get("code") or "unknown"), message, str(error.get("remedy") or ""), error.get("details"))
