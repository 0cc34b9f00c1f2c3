"""One error shape for everything that goes wrong under /api, /health and /metrics.

`{"error": {"code", "message", "remedy", "details"}}`. Messages never hold what the client or a sender sent
in: no patient data, no stack traces. The table below is where errors of the rooms become HTTP.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import PurePath
from types import MappingProxyType
from typing import Any

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError
from ninja.parser import Parser

from gantry.accounts.errors import NotSignedIn, RequestRefused

log = logging.getLogger("gantry.web")

#: Status -> (code, message, remedy) where nothing more is known.
_BY_STATUS: Mapping[int, tuple[str, str, str]] = MappingProxyType({
    400: ("bad_request", "The request cannot be read.", "Send well-formed JSON in UTF-8."),
    401: ("not_signed_in", "You are not signed in.", NotSignedIn.remedy),
    403: ("not_allowed", "You may not do this.", "Ask an administrator."),
    404: ("not_found", "There is nothing at this address.", "The addresses are listed under /api."),
    405: ("method_not_allowed", "This address does not take this method.", "The header Allow lists those it takes."),
    413: ("too_large", "The request is too large.", "Send less than 1 MiB at once."),
    414: ("too_long", "The address is too long.", "Send less than 8 KiB."),
    415: ("not_json", "The body is not declared as JSON.", "Send `Content-Type: application/json`."),
    422: ("invalid", "The request is not valid.", "Correct the values that `details` names."),
    500: ("internal", "Something went wrong on this server.", "Look at the log of the web process at this time."),
    503: ("unavailable", "The database cannot be reached.", "Look at /health/ready and `gantry doctor`, then try again."),
})  # fmt: skip


def body(code: str, message: str, remedy: str = "", details: Any = None) -> dict[str, Any]:
    """The error shape."""
    return {"error": {"code": code, "message": message, "remedy": remedy, "details": details}}


def plain(status: int) -> dict[str, Any]:
    """The error shape for a status of which nothing more is known."""
    code, message, remedy = _BY_STATUS.get(status, ("refused", HTTPStatus(status).phrase, ""))
    return body(code, message, remedy)


def response(status: int, content: dict[str, Any] | None = None) -> HttpResponse:
    """A JSON answer in the error shape."""
    answer = JsonResponse(plain(status) if content is None else content, status=status)
    answer["Cache-Control"] = "no-store"
    if status == 401:
        answer["WWW-Authenticate"] = "Bearer"  # RFC 9110 15.5.2
    return answer


def refused(request: HttpRequest, error: RequestRefused) -> HttpResponse:
    """What a room's route refused."""
    answer = response(error.status, body(error.code, error.message, error.advice, error.details))
    if error.retry_after is not None:
        answer["Retry-After"] = str(error.retry_after)
    return answer


class JsonParser(Parser):
    """Bodies are JSON and say so. A form of another site cannot say so, which is what the check is for."""

    def parse_body(self, request: HttpRequest) -> Any:
        """The body as Python values. Raises HttpError 415."""
        if request.content_type != "application/json":
            raise HttpError(415, "")
        return super().parse_body(request)


def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    problems = []
    for issue in error.errors[:20]:
        place = ".".join(str(part) for part in issue.get("loc", ()))[:200]
        problems.append({"where": place, "message": str(issue.get("msg", ""))[:500], "type": issue.get("type", "")})
    code, message, remedy = _BY_STATUS[422]
    return response(422, body(code, message, remedy, problems))


def _http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    # ninja turns what the parser raises into its own 400; ours, underneath, says it better.
    cause = error.__cause__
    return response(cause.status_code if isinstance(cause, HttpError) else error.status_code)


def _unexpected(request: HttpRequest, error: Exception) -> HttpResponse:
    # Frames without values, and no message: those of a database driver quote the row.
    frames = traceback.extract_tb(error.__traceback__)[-8:]
    places = " < ".join(f"{PurePath(frame.filename).name}:{frame.lineno} {frame.name}" for frame in reversed(frames))
    log.error("%s in %s [%s]", type(error).__name__, getattr(request.resolver_match, "route", "?"), places)
    return response(500)


def _database(request: HttpRequest, error: Exception) -> HttpResponse:
    log.warning("the database did not answer: %s", type(error).__name__)
    return response(503)


def _of_room(status: int, code: str, remedy: str) -> Callable[[HttpRequest, Exception], HttpResponse]:
    def handle(request: HttpRequest, error: Exception) -> HttpResponse:
        message = str(error)
        return response(status, body(code, message[:1000], remedy))

    return handle


def _room_errors() -> list[tuple[type[Exception], int, str, str]]:
    """Errors of the rooms whose message is written for the caller: (class, status, code, remedy)."""
    from gantry.catalogue import errors as catalogue
    from gantry.nodes import errors as nodes
    from gantry.receiver import errors as receiver
    from gantry.routing import errors as routing
    from gantry.transfers import errors as transfers

    return [
        (catalogue.BadCursor, 422, "invalid", "Take it from `next` of the page before."),
        (transfers.StudyMissing, 404, "not_found", "GET /api/v1/studies searches them."),
        (transfers.DeliveryMissing, 404, "not_found", "GET /api/v1/deliveries lists them."),
        (transfers.BadFilter, 422, "bad_filter", "Correct the value."),
        (nodes.BadAddress, 422, "bad_address", "Write AET@HOST:PORT, as in ARCHIVE@192.0.2.7:104."),
        (nodes.BadNode, 422, "bad_node", "Correct the value."),
        (nodes.NodeExists, 409, "node_exists", "Choose another name, or remove that node first."),
        (nodes.NodeMissing, 404, "not_found", "GET /api/v1/nodes lists the nodes."),
        (nodes.BadQuery, 422, "bad_query", "Correct the keys; the page /api shows examples."),
        (nodes.QueryFailed, 502, "node_failed", "POST /api/v1/nodes/{name}/echo tells whether it answers at all."),
        (nodes.NodeInUse, 409, "node_in_use", "Wait for its deliveries, or take it out of the rules first."),
        (receiver.BadCaller, 422, "bad_caller", "Correct the value."),
        (receiver.CallerMissing, 404, "not_found", "GET /api/v1/callers lists the callers."),
        (routing.BadCondition, 422, "bad_condition", "Write Keyword=value, as in Modality=CT,MR."),
        (routing.BadRule, 422, "bad_rule", "Correct the value."),
        (routing.RuleExists, 409, "rule_exists", "Choose another name, or remove that rule first."),
        (routing.RuleMissing, 404, "not_found", "GET /api/v1/rules lists the rules."),
    ]


def install(api: NinjaAPI) -> None:
    """Give an API the one error shape."""

    def add(kind: type[Exception], handler: Callable[[HttpRequest, Any], HttpResponse]) -> None:
        api.add_exception_handler(kind, handler)

    add(Exception, _unexpected)
    add(DatabaseError, _unexpected)
    add(OperationalError, _database)
    add(InterfaceError, _database)
    add(RequestRefused, refused)
    add(ValidationError, _invalid)
    add(Http404, lambda _request, _error: response(404))
    add(HttpError, _http_error)
    add(SuspiciousOperation, lambda _request, _error: response(400))
    add(RequestDataTooBig, lambda _request, _error: response(413))
    for kind, status, code, remedy in _room_errors():
        add(kind, _of_room(status, code, remedy))
