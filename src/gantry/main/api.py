"""The REST API under /api/v1: the rooms' routes, put together; and /health and /metrics at the root."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.http.response import HttpResponseBase
from django.middleware.csrf import get_token
from django.urls import URLPattern, get_script_prefix
from django.utils.cache import get_conditional_response
from ninja import NinjaAPI
from ninja.openapi.schema import OpenAPISchema
from ninja.openapi.views import openapi_view
from ninja.operation import Operation

import gantry
from gantry.accounts import connection
from gantry.accounts.api import router as accounts
from gantry.accounts.errors import RequestRefused
from gantry.accounts.people_api import router as people
from gantry.accounts.route import view_may
from gantry.accounts.schemas import ErrorAnswer
from gantry.alerts.api import router as alerts
from gantry.catalogue.api import router as catalogue
from gantry.catalogue.api_search import router as study_search
from gantry.catalogue.life_api import router as life
from gantry.catalogue.life_api import wiring as life_wiring
from gantry.dicomweb.api import router as dicomweb_routes
from gantry.dicomweb.detail_api import router as details
from gantry.facts.api import router as live
from gantry.intake.api import router as intake
from gantry.intake.storage_api import router as storage
from gantry.main import errors_api
from gantry.main.audit_api import router as audit
from gantry.main.health_api import router as health
from gantry.main.one_file.api import router as setup
from gantry.main.overview_api import router as overview
from gantry.main.settings_api import router as settings
from gantry.main.study_history import router as study_history
from gantry.main.welcome_api import router as welcome
from gantry.nodes.api import router as nodes
from gantry.nodes.api import wiring
from gantry.nodes.setup_api import router as node_setup
from gantry.receiver.api import router as callers
from gantry.routing.api import router as routing
from gantry.routing.editor_api import router as rule_editor
from gantry.transfers.find import count_open
from gantry.transfers.recycle import ABOVE, delivered, unlink_job
from gantry.transfers.send_api import router as transfers

DESCRIPTION = """\
Send `Authorization: Bearer TOKEN` (`gantry token create` makes one) or sign in with `POST /api/v1/session`.

Lists come in pages, `{"items": [...], "next": URL or null}`, up to `?limit=1000` items each. Every answer that
is no success has the body `{"error": {"code", "message", "remedy", "details"}}`. Decide on `code`; the words of
`message` may change. `x-action` names the permission that an operation needs.
"""
#: Which refusals an operation can answer with, beyond its own successes.
_REFUSALS = {
    "400": "The request cannot be read",
    "401": "Not signed in, or the token does not hold",
    "403": "Signed in, but not allowed",
    "404": "There is no such thing",
    "409": "It clashes with something that is there",
    "410": "What it asks for is no longer kept",
    "413": "The body is too large",
    "415": "The body is not declared as JSON",
    "422": "The values are not valid",
    "429": "Too many attempts; see the header Retry-After",
    "500": "A fault of this server",
    "502": "A node did not answer as it should",
    "503": "Something this server needs is away",
}


class Api(NinjaAPI):
    """ninja's API with one error shape also for 405, and an OpenAPI document that names permissions and refusals."""

    def get_openapi_operation_id(self, operation: Operation) -> str:
        """The name of the function: what generated clients call it."""
        return operation.view_func.__name__.rstrip("_")

    def _get_urls(self) -> list[Any]:
        patterns = super()._get_urls()
        for pattern in patterns:
            if isinstance(pattern, URLPattern):
                pattern.callback = _shape_not_allowed(pattern.callback)
        root = patterns[-1]
        root.callback = _nothing_here
        return patterns

    def get_openapi_schema(self, *, path_prefix: str | None = None, path_params: Any = None) -> OpenAPISchema:
        """The document, with `x-action` and the error shape at every operation."""
        schema = super().get_openapi_schema(path_prefix=path_prefix, path_params=path_params)
        schema["components"]["schemas"].update(_error_schemas())
        actions = {
            (router_operation.operation_id or self.get_openapi_operation_id(router_operation)): _action(router_operation)
            for router_operation in self.operations()
        }
        for path in schema["paths"].values():
            for operation in path.values():
                _complete(operation, actions[operation["operationId"]])
        return schema

    def operations(self) -> list[Operation]:
        """Every operation, of all routers."""
        return [
            operation
            for bound in self._get_bound_routers()
            for view in bound.path_operations.values()
            for operation in view.operations
        ]


def _action(operation: Operation) -> str:
    return next((str(gate.action) for gate in operation.auth_callbacks if hasattr(gate, "action")), "")


def _error_schemas() -> dict[str, Any]:
    schema = ErrorAnswer.model_json_schema(ref_template="#/components/schemas/{model}")
    definitions: dict[str, Any] = schema.pop("$defs")
    return {**definitions, "ErrorAnswer": schema}


def _complete(operation: dict[str, Any], action: str) -> None:
    operation["x-action"] = action
    if action == "public":
        operation["security"] = []
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorAnswer"}}}
    answers = {str(status): answer for status, answer in operation["responses"].items()}
    for status, description in _REFUSALS.items():
        answers.setdefault(status, {"description": description, "content": content})
    operation["responses"] = dict(sorted(answers.items()))


def _shape_not_allowed(view: Callable[..., Any]) -> Callable[..., Any]:
    """ninja answers 405 in plain text before any handler is asked; give it the error shape."""

    @functools.wraps(view, updated=("__dict__",))
    def shaped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        answer = view(request, *args, **kwargs)
        if not isinstance(answer, HttpResponseNotAllowed):
            return answer  # type: ignore[no-any-return]  # a view's answer
        refusal = errors_api.response(405)
        refusal["Allow"] = ", ".join(sorted(answer["Allow"].split(", ")))
        return refusal

    shaped.gantry_path_view = view  # type: ignore[attr-defined]  # read by main.permissions_check
    return shaped


def _nothing_here(request: HttpRequest) -> HttpResponseBase:
    return errors_api.response(404)


_nothing_here.gantry_action = "public"  # type: ignore[attr-defined]  # it answers 404, always


@functools.lru_cache(maxsize=4)
def _document_text(prefix: str) -> tuple[bytes, str]:
    """The OpenAPI document under this prefix and its ETag: made once, for it takes longer than any other answer."""
    text = json.dumps(v1.get_openapi_schema(), ensure_ascii=False, default=str, separators=(",", ":")).encode()
    return text, f'"{hashlib.sha256(text).hexdigest()[:32]}"'


def _document(request: HttpRequest, **_: Any) -> HttpResponseBase:
    """openapi.json; 304 for who has it already."""
    text, etag = _document_text(get_script_prefix())
    answer = HttpResponse(text, content_type="application/json; charset=utf-8")
    answer["ETag"] = etag
    answer["Cache-Control"] = "private, no-cache"
    return get_conditional_response(request, etag=etag, response=answer) or answer


def _docs(view: Callable[..., Any]) -> Callable[..., Any]:
    """The documentation is for people with an account; browsers are sent to the sign-in page, programs refused."""
    page = getattr(view, "func", None) is openapi_view
    guarded = view_may("docs.view", sign_in_at="/admin/login/" if page else "")(view if page else _document)

    def answering(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
        if request.method not in {"GET", "HEAD"}:
            return HttpResponseNotAllowed(["GET", "HEAD"])
        get_token(request)  # Swagger's requests with a session need the CSRF cookie
        try:
            return guarded(request, **kwargs)
        except RequestRefused as error:
            return errors_api.refused(request, error)

    answering.gantry_action = "docs.view"  # type: ignore[attr-defined]  # read by main.permissions_check
    return answering


def _build_v1() -> Api:
    api = Api(
        title="Gantry", version=gantry.__version__, description=DESCRIPTION, urls_namespace="api-v1",
        parser=errors_api.JsonParser(), docs_decorator=_docs,
    )  # fmt: skip
    errors_api.install(api)
    rooms = (catalogue, nodes, callers, routing, transfers, intake, storage, life, accounts, people, audit, live, alerts, setup)
    for router in (*rooms, details, rule_editor, node_setup, settings, welcome, overview, study_search, study_history, health):
        api.add_router("", router)
    return api


def _build_root() -> Api:
    """/health/... and /metrics, where supervisors and Prometheus look for them; the same routes as in v1."""
    api = Api(title="Gantry", version=gantry.__version__, urls_namespace="root", openapi_url=None, docs_url=None)
    errors_api.install(api)
    api.add_router("", health)
    return api


def _build_dicomweb() -> Api:
    """The DICOMweb face under /dicomweb, where viewers look for it (PS3.18)."""
    api = Api(title="Gantry DICOMweb", version=gantry.__version__, urls_namespace="dicomweb", openapi_url=None, docs_url=None)
    errors_api.install(api)
    api.add_router("", dicomweb_routes)
    return api


wiring.open_deliveries = lambda node_id: count_open(connection.of_request(), node_id)
life_wiring.above = ABOVE
life_wiring.delivered = delivered
life_wiring.unlink_soon = unlink_job.defer
v1 = _build_v1()
root = _build_root()
dicomweb = _build_dicomweb()
