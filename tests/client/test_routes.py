"""What the client asks is what the server documents: routes, queries, bodies and answers, without a server."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
import typing
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

import gantry_client
from gantry_client import (
    AsyncGantryClient,
    GantryClient,
    GantryClientError,
    models,
    records_deliveries,
    records_nodes,
    records_people,
    records_rules,
    records_storage,
    records_system,
    records_watching,
)

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTED = json.loads((ROOT / "docs" / "openapi.json").read_text(encoding="utf-8"))
SCHEMAS = DOCUMENTED["components"]["schemas"]
#: More than one question, or an answer that is read as it comes: asked of a real server in test_nouns.py.
STREAMS = {"download", "await_fetch", "export_audit", "verify_audit"}
PUBLIC = sorted(name for name in dir(GantryClient) if not name.startswith("_") and name not in STREAMS)
#: Records that are not named as their schema without `Out`.
NAMES = {
    "SentTo": "SentTo", "NewToken": "TokenMade", "NewWebhook": "WebhookMade", "Attempt": "Attempt", "AuditEntry": "AuditEntry",
    "InstituteRole": "InstituteRole", "Steered": "SteerOut", "Sent": "SendOut", "Found": "FindOut", "RefusedCaller": "RefusedOut",
    "Trashed": "TrashOut", "LegalHold": "HoldOut", "Group": "PeopleGroupOut", "Session": "SessionOut", "SignIn": "SessionRow", "SetupChange": "SetupChange",
    "SetupResult": "SetupResult", "Destination": "OutlookOut",
}  # fmt: skip
RECORDS = sorted(
    {
        one
        for module in (
            models,
            records_deliveries,
            records_nodes,
            records_people,
            records_rules,
            records_storage,
            records_system,
            records_watching,
        )
        for one in vars(module).values()
        # What a stream tells is no schema of the document.
        if isinstance(one, type) and is_dataclass(one) and one.__name__ not in {"AuditCheck", "AuditProblem"}
    },
    key=lambda one: one.__name__,
)


class Recorder:
    """Stands where the connection is; answers nothing."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Any]] = []

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        self.asked.append((method, path, body))
        raise GantryClientError("nobody is there")

    def events(self, path: str) -> Any:
        self.ask("GET", path)


SAMPLES = {
    str: "X", int: 7, float: 1.5, bool: True, date: date(2024, 3, 1), datetime: datetime(2024, 3, 1, tzinfo=UTC),
}  # fmt: skip


def sample(hint: Any, name: str) -> Any:
    hint = next((one for one in getattr(hint, "__args__", ()) if one in SAMPLES), hint) if "|" in str(hint) else hint
    if hint in SAMPLES:
        return SAMPLES[hint]
    text = str(hint)
    if "Sequence" in text and "Mapping" in text:
        return [{}]
    if "Mapping" in text:
        return {"X": "X"}
    if "Sequence[int]" in text:
        return [7]
    if "Sequence" in text:
        return ["X"]
    raise AssertionError(f"no sample for {name}: {hint}")


def asked_by(name: str) -> list[tuple[str, str, Any]]:
    """What a method asks when all its arguments are given."""
    client, recorder = GantryClient("http://127.0.0.1:1", "t"), Recorder()
    client._http = recorder  # type: ignore[assignment]
    method = getattr(client, name)
    hints = typing.get_type_hints(getattr(GantryClient, name), vars(gantry_client) | _names(name))
    arguments = {
        one.name: sample(hints[one.name], f"{name}({one.name})")
        for one in inspect.signature(method).parameters.values()
        if one.kind is not one.VAR_KEYWORD
    }
    with pytest.raises(GantryClientError, match="nobody"):
        list(method(**arguments))
    return recorder.asked


def _names(name: str) -> dict[str, Any]:
    return vars(sys.modules[getattr(GantryClient, name).__module__])


def operation_of(method: str, path: str) -> dict[str, Any]:
    # A fixed part goes before a parameter: /users/tokens/all is no user.
    for template, operations in sorted(DOCUMENTED["paths"].items(), key=lambda item: item[0].count("{")):
        pattern = "[^/]+".join(re.escape(text) for text in re.split(r"\{[^}]*\}", template))
        if re.fullmatch(pattern, path) and method.lower() in operations:
            return dict(operations[method.lower()])
    raise AssertionError(f"{method} {path} is not documented")


@pytest.mark.parametrize("name", PUBLIC)
def test_every_method_asks_what_is_documented(name: str) -> None:
    ((method, where, body),) = asked_by(name)
    operation = operation_of(method, urlsplit(where).path)
    known = {one["name"] for one in operation.get("parameters", []) if one["in"] == "query"}
    assert set(parse_qs(urlsplit(where).query)) <= known
    if body is not None:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        if "$ref" not in schema:
            assert name == "apply_setup", "the document has a schema of its own"
            return
        schema = SCHEMAS[schema["$ref"].rpartition("/")[2]]
        assert set(body) <= set(schema["properties"])
        assert set(schema.get("required", [])) <= set(body)


@pytest.mark.parametrize("record", RECORDS, ids=lambda one: one.__name__)
def test_records_are_what_the_server_says(record: type) -> None:
    name = NAMES.get(record.__name__, f"{record.__name__}Out")
    schema = SCHEMAS[name]
    hints = typing.get_type_hints(record)
    for field in fields(record):
        assert field.name in schema["properties"], f"{name} has no {field.name}"
        told = schema["properties"][field.name]
        nullable = any(one.get("type") == "null" for one in told.get("anyOf", []))
        assert ("None" in str(hints[field.name]) or hints[field.name] is Any) >= nullable, field.name


def test_both_flavours_are_the_same() -> None:
    done = subprocess.run(
        [sys.executable, "tools/generate_async_client.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    for name in [*PUBLIC, *STREAMS]:
        one, other = (inspect.signature(getattr(flavour, name)) for flavour in (GantryClient, AsyncGantryClient))
        assert list(one.parameters.values()) == list(other.parameters.values()), name
