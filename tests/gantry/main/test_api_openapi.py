"""The OpenAPI document: checked in, complete, and true (schemathesis asks every operation)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.gantry.accounts import stored
from tests.gantry.accounts.people import token
from tests.gantry.accounts.served import Served, serving

from gantry.accounts import ACTIONS
from gantry.main import openapi


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in json.loads(openapi.document())["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_the_file_in_the_repository_is_what_the_routes_say() -> None:
    assert openapi.PLACE.read_text(encoding="utf-8") == openapi.document(), "run `python -m gantry.main.openapi`"
    assert openapi.main(["--check"]) == 0


def test_every_operation_is_described() -> None:
    seen = set()
    for path, method, operation in operations():
        name = f"{method} {path}"
        assert operation["operationId"] not in seen, name
        seen.add(operation["operationId"])
        assert operation["summary"], name
        assert operation["description"], name
        assert operation["tags"], name
        assert operation["x-action"] in ACTIONS | {"public"}, name
        assert operation["security"] or operation["x-action"] == "public", name
        assert "401" in operation["responses"], name
        for status, answer in operation["responses"].items():
            if status >= "400" and "health" not in path:
                assert answer["content"]["application/json"]["schema"]["$ref"].endswith("/ErrorAnswer"), name


def test_lists_are_pages() -> None:
    document = json.loads(openapi.document())
    lists = [
        operation
        for _, method, operation in operations()
        if method == "get" and "limit" in {one["name"] for one in operation.get("parameters", [])}
    ]
    assert len(lists) > 20
    for operation in lists:
        name = operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]
        page = document["components"]["schemas"][name]
        assert set(page["properties"]) == {"items", "next"}
        limit = next(one for one in operation["parameters"] if one["name"] == "limit")
        assert (limit["schema"]["minimum"], limit["schema"]["maximum"]) == (1, 1000)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, transactional_db: None) -> Iterator[Served]:
    with serving(monkeypatch) as server:
        yield server


def _words(error: BaseException) -> str:
    """What schemathesis complains of: the leaves of its groups."""
    if isinstance(error, BaseExceptionGroup):
        return " | ".join(_words(one) for one in error.exceptions)
    return f"{type(error).__name__}: {error}"[:1500]


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.django_db(transaction=True)
@pytest.mark.filterwarnings("ignore")
def test_every_operation_keeps_its_word(served: Served) -> None:
    """Invented requests, right and wrong ones: no fault of ours, no answer that the document does not name."""
    import hypothesis
    import schemathesis
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

    stored.study("1.2.3")
    stored.node()
    headers = {"Authorization": f"Bearer {token('administrator')}"}
    schema = schemathesis.openapi.from_url(f"{served.url}/api/v1/openapi.json", headers=headers)
    checks = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)
    tried = 0
    broken: list[str] = []
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path.endswith(("/session", "/password", "/echo", "/file", "/events", "/test")):
            continue  # sessions and attempts are counted, others wait for somebody or never end; they have their own tests

        @hypothesis.settings(
            max_examples=4, deadline=None, database=None, derandomize=True, suppress_health_check=list(hypothesis.HealthCheck),
            phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
        )  # fmt: skip
        @hypothesis.given(case=operation.as_strategy())
        def ask(case: Any) -> None:
            nonlocal tried
            tried += 1
            case.call_and_validate(headers=headers, checks=checks)

        try:
            ask()
        except (Exception, BaseExceptionGroup) as error:
            broken.append(f"{operation.label}: {_words(error)}")
    assert broken == [], "\n".join(broken)
    assert tried > 400
