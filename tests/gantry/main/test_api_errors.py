"""One error shape for every way to fail, the headers of every answer, and the limits before Django."""

from __future__ import annotations

import http.client
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from tests.gantry.accounts import stored
from tests.gantry.accounts.people import bearer, person, token
from tests.gantry.accounts.served import Served, serving

from gantry import config
from gantry.main import errors_api, health_api
from gantry.main.asgi_limits import MAX_BODY_BYTES, policy_for

pytestmark = pytest.mark.django_db


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, transactional_db: None) -> Iterator[Served]:
    with serving(monkeypatch) as server:
        yield server


def shape(body: bytes) -> dict[str, Any]:
    """The error, checked for its shape."""
    content = json.loads(body)
    assert set(content) == {"error"}
    error = content["error"]
    assert set(error) == {"code", "message", "remedy", "details"}
    assert error["code"].replace("_", "").isalpha()
    assert error["message"]
    assert "Traceback" not in body.decode()
    return dict(error)


FAILURES = [
    ("GET", "/api/v1/nowhere", None, 404, "not_found"),
    ("GET", "/api/v1/", None, 404, "not_found"),
    ("GET", "/api/v2/studies", None, 404, "not_found"),
    ("GET", "/health/nowhere", None, 404, "not_found"),
    ("PUT", "/api/v1/studies", None, 405, "method_not_allowed"),
    ("DELETE", "/health/live", None, 405, "method_not_allowed"),
    ("GET", "/api/v1/studies/1.2.3", None, 404, "not_found"),
    ("GET", "/api/v1/studies/..%2f..%2fetc%2fpasswd", None, 404, "not_found"),
    ("GET", "/api/v1/studies/abc", None, 422, "invalid"),
    ("GET", "/api/v1/studies/" + "1" * 65, None, 422, "invalid"),
    ("GET", "/api/v1/studies/1.2.3%00", None, 422, "invalid"),
    ("GET", "/api/v1/studies/1.2.3/receipt", None, 404, "not_found"),
    ("GET", "/api/v1/series/1.2.3", None, 404, "not_found"),
    ("GET", "/api/v1/instances/1.2.3", None, 404, "not_found"),
    ("GET", "/api/v1/instances/1.2.3/file", None, 404, "not_found"),
    ("GET", "/api/v1/studies?limit=0", None, 422, "invalid"),
    ("GET", "/api/v1/studies?limit=1001", None, 422, "invalid"),
    ("GET", "/api/v1/studies?limit=x", None, 422, "invalid"),
    ("GET", "/api/v1/studies?cursor=%F0%9F", None, 422, "invalid"),
    ("GET", "/api/v1/studies?cursor=AAAA", None, 422, "invalid"),
    ("GET", "/api/v1/deliveries?cursor=AAAA", None, 422, "invalid"),
    ("GET", "/api/v1/nodes?cursor=AAAA", None, 422, "invalid"),
    ("GET", "/api/v1/quarantine?cursor=AAAA", None, 422, "invalid"),
    ("GET", "/api/v1/quarantine?cursor=8c6b6a0e-0000-4000-8000-000000000000", None, 422, "invalid"),
    ("GET", "/api/v1/studies?study_date=yesterday", None, 422, "invalid"),
    ("GET", "/api/v1/studies?patient_name=%00", None, 422, "invalid"),
    ("GET", "/api/v1/deliveries?status=lost", None, 422, "invalid"),
    ("GET", "/api/v1/nodes/nowhere", None, 404, "not_found"),
    ("POST", "/api/v1/nodes/nowhere/echo", None, 404, "not_found"),
    ("POST", "/api/v1/nodes", b"{", 400, "bad_request"),
    ("POST", "/api/v1/nodes", b"[" * 100_000, 400, "bad_request"),
    ("POST", "/api/v1/nodes", b"[]", 422, "invalid"),
    ("POST", "/api/v1/nodes", b"{}", 422, "invalid"),
    ("POST", "/api/v1/nodes", b'{"name": "a", "address": "nonsense"}', 422, "bad_address"),
    ("POST", "/api/v1/nodes", b'{"name": "a/b", "address": "A@b:1"}', 422, "invalid"),
    ("POST", "/api/v1/nodes", b'{"name": "a", "address": "A@b:1", "colour": "red"}', 422, "invalid"),
    ("POST", "/api/v1/nodes", b'{"name": "a", "address": "A@b:1", "connect_seconds": NaN}', 422, "invalid"),
    ("POST", "/api/v1/nodes", b'{"name": "\\ud800", "address": "A@b:1"}', 422, "invalid"),
    ("POST", "/api/v1/rules", b'{"name": "a", "destinations": []}', 422, "invalid"),
    ("POST", "/api/v1/rules", b'{"name": "a", "destinations": ["nowhere"]}', 404, "not_found"),
    ("POST", "/api/v1/rules", b'{"name": "a", "destinations": ["x"], "conditions": ["Colour=red"]}', 422, "bad_condition"),
    ("GET", "/api/v1/rules/nowhere", None, 404, "not_found"),
    ("POST", "/api/v1/deliveries/retry", b'{"statuses": ["confirmed"]}', 422, "invalid"),
    ("POST", "/api/v1/deliveries/retry", b'{"ids": [99999999999999999999]}', 422, "invalid"),
    ("POST", "/api/v1/tokens", b'{"name": "a", "actions": ["fly"]}', 422, "invalid"),
    ("DELETE", "/api/v1/tokens/999999", None, 404, "not_found"),
    ("DELETE", "/api/v1/tokens/99999999999999999999", None, 422, "invalid"),
    ("DELETE", "/api/v1/tokens/x", None, 422, "invalid"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "body", "status", "code"), FAILURES, ids=lambda value: str(value)[:40])
def test_failures(method: str, path: str, body: bytes | None, status: int, code: str) -> None:
    client = bearer("administrator")
    answer = client.generic(method, path, body or b"", content_type="application/json")
    assert answer.status_code == status, answer.content
    error = shape(answer.content)
    assert error["code"] == code
    assert error["remedy"]
    if status == 405:
        assert answer["Allow"]
    if code == "invalid" and error["details"]:
        assert {"where", "message", "type"} == set(error["details"][0])


def test_the_body_must_be_declared_as_json() -> None:
    answer = bearer().post("/api/v1/nodes", b"{}", content_type="text/plain")
    assert (answer.status_code, shape(answer.content)["code"]) == (415, "not_json")


@pytest.mark.parametrize(
    "header", ["Bearer nonsense", "Bearer ", "Bearer", "Basic YTpi", "gty_x", "Bearer gty_" + "A" * 43, "bearer " + "x" * 5000]
)
def test_credentials_that_do_not_hold(header: str) -> None:
    client = Client()
    client.force_login(person("administrator"))
    answer = client.get("/api/v1/studies", headers={"authorization": header})
    assert answer.status_code == 401, "a session must not stand in for a bad token"
    assert answer["WWW-Authenticate"] == "Bearer"
    assert shape(answer.content)["code"] == "not_signed_in"


def test_what_is_there_is_not_added_twice() -> None:
    client = bearer()
    node = {"name": "a", "address": "A@127.0.0.1:104"}
    rule = {"name": "r", "destinations": ["a"]}
    for path, body, code in (("nodes", node, "node_exists"), ("rules", rule, "rule_exists")):
        assert client.post(f"/api/v1/{path}", body, content_type="application/json").status_code == 201
        again = client.post(f"/api/v1/{path}", body, content_type="application/json")
        assert (again.status_code, shape(again.content)["code"]) == (409, code)


def test_a_node_with_open_deliveries_stays() -> None:
    node = stored.node()
    stored.deliveries(stored.study(), node)
    answer = bearer().delete("/api/v1/nodes/archive")
    assert (answer.status_code, shape(answer.content)["code"]) == (409, "node_in_use")


def test_a_fault_of_ours_says_nothing_and_logs_no_values(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError(name)

    name = "Doe" + "^Jane"

    monkeypatch.setattr("gantry.catalogue.api.search_studies", broken)
    answer = bearer().get("/api/v1/studies")
    assert (answer.status_code, shape(answer.content)["code"]) == (500, "internal")
    assert b"Doe" not in answer.content
    ours = [record.getMessage() for record in caplog.records if record.name == "gantry.web"]
    assert ours
    assert "ValueError in api/v1/studies" in ours[0]
    assert "Doe" not in "".join(ours)


def test_a_database_that_is_away_is_503(monkeypatch: pytest.MonkeyPatch) -> None:
    client = bearer()

    def away(*_: object, **__: object) -> None:
        raise OperationalError("connection to 192.0.2.1 failed")

    monkeypatch.setattr("gantry.accounts.tokens.look_up", away)
    answer = client.get("/api/v1/studies")
    assert (answer.status_code, shape(answer.content)["code"]) == (503, "unavailable")
    assert b"192.0.2.1" not in answer.content


def test_bytes_that_are_gone_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gantry.catalogue.models import Version

    monkeypatch.setattr(config, "_current", config.current().model_copy(update={"home": tmp_path}))
    stored.study("1.2.3")
    client = bearer()
    answer = client.get("/api/v1/instances/1.2.3.1.1/file")
    assert (answer.status_code, shape(answer.content)["code"]) == (500, "bytes_missing")
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "objects").mkdir()
    Version.objects.update(file_path="objects/../secret")
    assert client.get("/api/v1/instances/1.2.3.1.1/file").status_code == 500


def test_pages_for_people_get_a_page() -> None:
    answer = Client().get("/nowhere")
    assert answer.status_code == 404
    assert b"<html" in answer.content
    assert b"{" not in answer.content


@pytest.mark.django_db(transaction=True)
class TestServed:
    """What only shows behind a real server."""

    def test_a_host_that_is_not_ours(self, served: Served) -> None:
        answer = served.ask("GET", "/api/v1/studies", Host="evil.example")
        assert (answer.status, shape(answer.body)["code"]) == (400, "bad_request")

    def test_a_body_too_large_by_its_own_word(self, served: Served) -> None:
        answer = served.ask("POST", "/api/v1/session", b"", Content_Length=str(MAX_BODY_BYTES + 1))
        assert (answer.status, shape(answer.body)["code"]) == (413, "too_large")

    def test_a_body_that_grows_too_large(self, served: Served) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
        connection.putrequest("POST", "/api/v1/session")
        connection.putheader("Transfer-Encoding", "chunked")
        connection.putheader("Content-Type", "application/json")
        connection.endheaders()
        try:
            for _ in range(32):
                connection.send(b"10000\r\n" + b" " * 65536 + b"\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass
        answer = connection.getresponse()
        assert (answer.status, shape(answer.read())["code"]) == (413, "too_large")
        connection.close()

    def test_an_address_too_long(self, served: Served) -> None:
        answer = served.ask("GET", "/api/v1/studies?q=" + "x" * 9000)
        assert (answer.status, shape(answer.body)["code"]) == (414, "too_long")

    @pytest.mark.parametrize(
        "path", ["/", "/nowhere", "/api/v1/studies", "/admin/login/", "/health/live", "/static/gantry/gantry.css"]
    )
    def test_headers(self, served: Served, path: str) -> None:
        headers = served.ask("GET", path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] in {"same-origin", "no-referrer"}
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy.replace("'wasm-unsafe-eval'", "")  # decoders of pixels, no script
        assert "http" not in policy
        assert "server" not in headers
        assert "access-control-allow-origin" not in headers
        assert ("no-store" in headers["cache-control"]) is not path.startswith("/static/")

    def test_only_the_documentation_may_style_inline(self) -> None:
        assert "'unsafe-inline'" in policy_for("/api/v1/docs")
        assert "script-src 'self';" in policy_for("/api/v1/docs")
        assert "'unsafe-inline'" not in policy_for("/api/v1/docsx") + policy_for("/admin/") + policy_for("/")

    def test_the_file_comes_as_it_is_stored(self, served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import hashlib

        monkeypatch.setattr(config, "_current", config.current().model_copy(update={"home": tmp_path}))
        stored.study("1.2.3", home=tmp_path)
        answer = served.ask("GET", "/api/v1/instances/1.2.3.1.1/file", Authorization=f"Bearer {token()}")
        assert answer.status == 200
        (path,) = tmp_path.rglob("*.dcm")
        assert answer.body == path.read_bytes()
        assert answer.headers["content-type"] == "application/dicom"
        assert answer.headers["content-disposition"] == 'attachment; filename="1.2.3.1.1.dcm"'
        dataset = answer.body[int(answer.headers["x-gantry-dataset-offset"]) :]
        assert hashlib.sha256(dataset).hexdigest() == answer.headers["x-gantry-dataset-sha256"]

    def test_the_query_is_never_logged(self, served: Served, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        served.ask("GET", "/api/v1/studies?patient_name=Doe", Authorization=f"Bearer {token()}")
        assert any("/api/v1/studies 200" in record.getMessage() for record in caplog.records)
        assert "Doe" not in "".join(record.getMessage() for record in caplog.records if record.name not in SWITCHED_OFF)


#: pytest listens where nobody else does: uvicorn's own log of requests goes nowhere (see process_web).
SWITCHED_OFF = {"uvicorn.access", "django.db.backends"}


class TestHealth:
    def test_live_needs_no_database(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("django.db.backends.base.base.BaseDatabaseWrapper.ensure_connection", None)
        answer = Client().get("/health/live")
        assert (answer.status_code, answer.json()) == (200, {"status": "live"})

    @pytest.fixture
    def home(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setattr(config, "_current", config.current().model_copy(update={"home": tmp_path}))
        (tmp_path / "spool").mkdir()
        (tmp_path / "run").mkdir()
        return tmp_path

    def test_ready(self, home: Path) -> None:
        answer = Client().get("/health/ready")
        assert (answer.status_code, answer.json()) == (200, {"status": "ready", "checks": None})

    @pytest.mark.parametrize("broken", ["database", "spool", "disk", "indexer", "migrations"])
    def test_not_ready_and_why(self, broken: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import os

        client, viewer = bearer("operator"), bearer("viewer")
        if broken == "spool":
            (home / "spool").rmdir()
        elif broken == "disk":
            monkeypatch.setattr(config, "_current", config.current().model_copy(update={"disk_reserve_mb": 10**12}))
        elif broken == "indexer":
            (home / "run" / "indexer.alive").touch()
            os.utime(home / "run" / "indexer.alive", (1, 1))
        elif broken == "migrations":
            from django.db import connection

            monkeypatch.setattr(health_api, "_migrated", False)
            with connection.cursor() as cursor:
                cursor.execute("DELETE FROM django_migrations WHERE app = 'routing'")
        elif broken == "database":

            def away(*_: object) -> None:
                raise OperationalError

            monkeypatch.setattr("django.db.backends.utils.CursorWrapper.execute", away)
        try:
            answer = client.get("/health/ready")
            assert (answer.status_code, answer.json()["status"]) == (503, "not_ready")
            if broken != "database":
                assert [check["name"] for check in answer.json()["checks"] if not check["ok"]] == [broken]
            assert viewer.get("/api/v1/health/ready").json() == {"status": "not_ready", "checks": None}
            assert Client().get("/health/ready").status_code == 503
        finally:
            monkeypatch.undo()
            if broken == "migrations":
                from django.db import connection
                from django.db.migrations.recorder import MigrationRecorder

                MigrationRecorder(connection).record_applied("routing", "0001_initial")

    def test_metrics_of_this_process_and_of_all(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        client = bearer("operator")
        assert b"gantry_received_instances" in client.get("/metrics").content
        monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
        assert client.get("/api/v1/metrics").status_code == 200


def test_each_status_has_words() -> None:
    assert errors_api.plain(418)["error"]["message"]
    assert all(message.endswith(".") for _, message, _ in errors_api._BY_STATUS.values())
