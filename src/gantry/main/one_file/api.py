"""Routes: the whole set-up as one document, and applying one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Schema
from ninja.errors import HttpError
from pydantic import Field

from gantry import config
from gantry.accounts.connection import of_request
from gantry.accounts.errors import Conflict, NotAllowed
from gantry.accounts.page import Text
from gantry.accounts.route import actor_of, may
from gantry.accounts.sign_in import address_of
from gantry.audit import by_actor, record
from gantry.main.errors import SetupError
from gantry.main.one_file import export
from gantry.main.one_file.apply import Options, apply

router = Router(tags=["setup"])
_YAML = "application/yaml"
_TYPES = frozenset({_YAML, "application/json"})


class ExportQuery(Schema):
    """In which form."""

    format: Literal["json", "yaml"] = "json"


class ApplyQuery(Schema):
    """How."""

    dry_run: bool = Field(default=False, description="Only say what would change")
    prune: bool = Field(default=False, description="Remove what the sections of the document do not name; never users")
    seal: bool = Field(default=False, description="Take secrets that stand in it in clear, and seal them")
    invite: bool = Field(default=False, description="Invite new users who have an e-mail address; else they are locked")
    settings: bool = Field(default=False, description="Write the settings into gantry.yaml; they hold after a restart")
    expected: Annotated[Text, Field(max_length=64)] = Field(
        default="", description="The `state` of the dry run you looked at; 409 when the set-up is another by now"
    )


class SetupChange(Schema):
    """One object that differs."""

    section: str = Field(examples=["nodes"])
    key: str = Field(examples=["archive"])
    change: Literal["added", "changed", "removed", "unmanaged", "named"] = Field(
        description="unmanaged: here and not in the document; named: a setting, which only `settings` writes"
    )
    line: int = Field(description="In the document; 0: it does not name this object")
    fields: dict[str, list[Any]] = Field(description="Name to [before, after]; secrets as words")


class SetupResult(Schema):
    """What became, or with `dry_run` would become, another."""

    dry_run: bool
    changed: bool
    changes: list[SetupChange]
    notes: list[str]
    state: str = Field(description="Digest of the set-up before; send it as `expected` to apply exactly this difference")


def only_administrators(request: HttpRequest) -> None:
    """Whoever applies a document can make administrators: no group and no narrowed token may. Raises NotAllowed."""
    actor = actor_of(request)
    if actor.role != "administrator" or actor.nodes is not None:
        raise NotAllowed("Not allowed: the set-up as a whole is for administrators.", details={"action": "setup.edit"})


@router.get(
    "/setup", auth=may("setup.view"), summary="Export the set-up",
    openapi_extra={"responses": {200: {"description": "OK", "content": {
        "application/json": {"schema": {"type": "object"}}, _YAML: {"schema": {"type": "string"}},
    }}}},
)  # fmt: skip
def export_setup(request: HttpRequest, query: Query[ExportQuery]) -> HttpResponse:
    """Nodes, rules, callers, people, retention, volumes, webhooks, settings; without secrets. `POST` takes it again."""
    only_administrators(request)
    found = export.collect(Path(config.current().home))
    record(of_request(), "file.export", by_actor(actor_of(request), address_of(request)))
    if query.format == "yaml":
        return HttpResponse(export.as_yaml(found), content_type=f"{_YAML}; charset=utf-8")
    return HttpResponse(export.as_json(found), content_type="application/json")


@router.post(
    "/setup", auth=may("setup.edit"), response=SetupResult, summary="Apply a set-up",
    openapi_extra={"requestBody": {"required": True, "content": {
        "application/json": {"schema": {"type": "object"}, "example": {"gantry": 1, "callers": [{"aet": "CT1"}]}},
        _YAML: {"schema": {"type": "string"}, "example": "gantry: 1\ncallers:\n  - aet: CT1\n"},
    }}},
)  # fmt: skip
def apply_setup(request: HttpRequest, query: Query[ApplyQuery]) -> dict[str, Any]:
    """Bring the instance to what the document says: all of it or nothing. 422 names every line that is wrong."""
    only_administrators(request)
    if request.content_type not in _TYPES:
        raise HttpError(415, "")
    by = by_actor(actor_of(request), address_of(request))
    options = Options(
        dry_run=query.dry_run, prune=query.prune, seal=query.seal, invite=query.invite, settings=query.settings, remote=True,
        expected=query.expected,
    )  # fmt: skip
    try:
        return apply(request.body, Path(config.current().home), by, options, name="document").as_dict()
    except SetupError as error:
        raise Conflict(f"{error.cause}.", remedy=error.remedy) from error
