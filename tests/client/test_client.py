"""gantry_client against a real server on a real database."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest
from tests.gantry.accounts import stored
from tests.gantry.accounts.people import token
from tests.gantry.accounts.served import Served, serving

from gantry import config
from gantry_client import (
    ConflictError,
    DamagedDownload,
    GantryClient,
    GantryClientError,
    InvalidRequest,
    NotAllowed,
    NotFound,
    NotSignedIn,
    ServerFailed,
    Unreachable,
)

database = pytest.mark.django_db(transaction=True)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(config, "_current", config.current().model_copy(update={"home": tmp_path / "home"}))
    return tmp_path / "home"


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, transactional_db: None) -> Iterator[Served]:
    with serving(monkeypatch) as server:
        yield server


@pytest.fixture
def client(served: Served) -> GantryClient:
    return GantryClient(served.url, token("administrator"))


@database
def test_searching(client: GantryClient) -> None:
    stored.study("1.2.3", patient_name="Müller^Jürgen")
    stored.study("1.2.4", instances=3)
    assert [study.study_instance_uid for study in client.studies()] == ["1.2.4", "1.2.3"]
    (found,) = client.studies(patient_name="müller*")
    assert found == client.study("1.2.3")
    assert (found.patient_name, found.study_date, found.modalities) == ("Müller^Jürgen", date(2024, 3, 1), ("CT",))
    assert found.first_received_at.tzinfo is not None
    assert found.first_received_at <= datetime.now(UTC)
    assert list(client.studies(study_date_from=date(2024, 3, 2))) == []
    assert [series.series_instance_uid for series in client.series(study_instance_uid="1.2.4")] == ["1.2.4.1"]
    assert len(list(client.instances(study_instance_uid="1.2.4"))) == 3
    assert client.instance("1.2.4.1.2").instance_number == 2


@database
def test_paging_over_more_than_a_page(client: GantryClient) -> None:
    study = stored.study("1.2.3", instances=2345)
    uids = [instance.sop_instance_uid for instance in client.instances()]
    assert len(uids) == len(set(uids)) == 2345
    stored.deliveries(study, stored.node())
    ids = [delivery.id for delivery in client.deliveries(status="waiting")]
    assert ids == sorted(set(ids))
    assert len(ids) == 2345


@database
def test_nodes_and_rules(client: GantryClient) -> None:
    node = client.add_node("archive", "ARCHIVE@127.0.0.1:1", connect_seconds=1)
    assert (node.aet, node.port, node.connect_seconds) == ("ARCHIVE", 1, 1.0)
    assert client.node("archive") == node
    assert list(client.nodes()) == [node]
    echo = client.echo("archive")
    assert echo.ok is False
    assert echo.message
    assert client.enable_node("archive", False).enabled is False
    rule = client.add_rule("ct", ["archive"], when=["Modality=CT,MR"], trigger="settled")
    assert (rule.when, rule.destinations, rule.trigger) == (("Modality=CT,MR",), ("archive",), "settled")
    assert client.enable_rule("ct", False).enabled is False
    assert [one.name for one in client.rules()] == ["ct"]
    with pytest.raises(ConflictError) as error:
        client.add_node("archive", "ARCHIVE@127.0.0.1:1")
    assert error.value.code == "node_exists"
    client.remove_rule("ct")
    client.remove_node("archive")
    with pytest.raises(NotFound):
        client.rule("ct")
    with pytest.raises(NotFound):
        client.node("archive")


@database
def test_deliveries_and_the_receipt(client: GantryClient) -> None:
    study = stored.study("1.2.3", instances=2)
    stored.deliveries(study, stored.node(), status="dead")
    receipt = client.receipt("1.2.3")
    (destination,) = receipt.destinations
    assert (receipt.complete, destination.node, destination.ordered, destination.confirmed) == (False, "archive", 2, 0)
    assert {one.status for one in destination.instances} == {"dead"}
    assert client.retry(node="nowhere") == 0
    assert client.retry(study_instance_uid="1.2.3") == 2
    assert {one.status for one in client.deliveries(study_instance_uid="1.2.3")} == {"waiting"}


@database
def test_a_download_is_checked(client: GantryClient, home: Path, tmp_path: Path) -> None:
    stored.study("1.2.3", home=home)
    target = tmp_path / "one.dcm"
    size = client.download("1.2.3.1.1", target)
    (kept,) = home.rglob("*.dcm")
    assert target.read_bytes() == kept.read_bytes()
    assert size == kept.stat().st_size
    kept.write_bytes(kept.read_bytes()[:-1] + b"x")
    before = target.read_bytes()
    with pytest.raises(DamagedDownload):
        client.download("1.2.3.1.1", target)
    assert target.read_bytes() == before
    with pytest.raises(NotFound):
        client.download("1.2.3.9", tmp_path / "none.dcm")
    kept.unlink()
    with pytest.raises(ServerFailed):
        client.download("1.2.3.1.1", tmp_path / "gone.dcm")
    assert {path.name for path in tmp_path.iterdir()} == {"home", "one.dcm"}


@database
def test_errors(served: Served, client: GantryClient) -> None:
    with pytest.raises(NotSignedIn):
        list(GantryClient(served.url, "gty_nothing").studies())
    with pytest.raises(NotAllowed) as refused:
        GantryClient(served.url, token("viewer")).remove_node("x")
    assert refused.value.details == {"action": "nodes.edit"}
    assert refused.value.remedy
    with pytest.raises(InvalidRequest) as invalid:
        client.add_node("a", "nonsense")
    assert (invalid.value.status, invalid.value.code) == (422, "bad_address")
    with pytest.raises(NotFound):
        client.study("../nodes")
    with pytest.raises(NotFound):
        client.study("1.2.3")


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_names_that_would_change_the_path(name: str) -> None:
    with pytest.raises(ValueError, match="cannot name"):
        GantryClient("http://127.0.0.1:1", "t").node(name)


def test_addresses_that_are_none() -> None:
    with pytest.raises(ValueError, match="no address"):
        GantryClient("ftp://127.0.0.1", "t").study("1")


def test_nobody_there(free_port: Callable[[], int]) -> None:
    with pytest.raises(Unreachable):
        GantryClient(f"http://127.0.0.1:{free_port()}", "t", retries=0).study("1")


class Liar(http.server.BaseHTTPRequestHandler):
    """A server that answers from a script: (status, headers, body) for one request after another."""

    script: ClassVar[list[tuple[int, dict[str, str], bytes]]] = []
    seen: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        status, headers, body = type(self).script.pop(0)
        type(self).seen.append(f"{self.headers['Host']} {self.path}")
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815  http.server's name

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def liar() -> Iterator[tuple[type[Liar], GantryClient]]:
    Liar.script, Liar.seen = [], []
    server = http.server.HTTPServer(("127.0.0.1", 0), Liar)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Liar, GantryClient(f"http://127.0.0.1:{server.server_port}", "secret", timeout=2)
    server.shutdown()
    thread.join()
    server.server_close()


def test_what_may_be_repeated_is(liar: tuple[type[Liar], GantryClient]) -> None:
    server, client = liar
    server.script += [(503, {}, b"<html>proxy</html>"), (502, {}, b""), (200, {}, b'{"items": [], "next": null}')]
    assert list(client.rules()) == []
    assert len(server.seen) == 3
    server.script += [(503, {}, b'{"error": {"code": "unavailable", "message": "away"}}')]
    with pytest.raises(ServerFailed, match="away"):
        client.add_rule("a", ["b"])
    assert len(server.seen) == 4


def test_the_token_goes_to_no_other_host(liar: tuple[type[Liar], GantryClient]) -> None:
    server, client = liar
    server.script += [
        (200, {}, b'{"items": [], "next": "http://192.0.2.1/api/v1/rules?limit=1000&cursor=x"}'),
        (200, {}, b'{"items": [], "next": null}'),
    ]
    assert list(client.rules()) == []
    assert server.seen[1].startswith("127.0.0.1")
    assert server.seen[1].endswith("cursor=x")
    server.script += [(302, {"Location": "http://192.0.2.1/"}, b"")]
    with pytest.raises(GantryClientError):
        client.study("1")


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b"{", b"[" * 100_000, b'{"items": 1}', b'{"items": [{}]}', b'{"items": [{"name": 1}]}']
)
def test_answers_that_are_none_of_ours(liar: tuple[type[Liar], GantryClient], body: bytes) -> None:
    server, client = liar
    server.script += [(200, {}, body)]
    with pytest.raises(GantryClientError):
        list(client.rules())


def test_a_file_that_breaks_off(liar: tuple[type[Liar], GantryClient], tmp_path: Path) -> None:
    server, client = liar
    digest = hashlib.sha256(b"abc").hexdigest()
    server.script += [(200, {"Content-Length": "100", "X-Gantry-Dataset-SHA256": digest}, b"abc")]
    with pytest.raises(Unreachable):
        client.download("1.2.3", tmp_path / "x.dcm")
    assert list(tmp_path.iterdir()) == []
