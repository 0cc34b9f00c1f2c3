"""STOW-RS to Orthanc's DICOMweb plugin, and to a server that answers whatever one can meet."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import unused_port
from tests.gantry.nodes.test_folder import item
from tests.support.certificates import Authority
from tests.support.dicomweb import Request, WebServer, orthanc

from gantry.dataset.scan import scan
from gantry.nodes.errors import BadAddress
from gantry.nodes.items import Outcome, Security, SendItem, SendOutcome, SendResult, WebTarget
from gantry.nodes.kinds import ask
from gantry.nodes.send import send
from gantry.nodes.stow_answer import read_answer
from gantry.nodes.stow_client import check_url
from gantry.nodes.stow_query import instances_of

JSON = "application/dicom+json"


def deliver(target: WebTarget, items: list[SendItem], associations: int = 2) -> tuple[SendOutcome, dict[str, SendResult]]:
    waiting, results = list(items), {}

    def source(limit: int) -> list[SendItem]:
        some, waiting[:limit] = waiting[:limit], []
        return some

    def note(result: SendResult) -> None:
        assert result.item.sop_instance_uid not in results, "one result each"
        results[result.item.sop_instance_uid] = result

    return send(target, source, note, associations=associations, stop=threading.Event()), results


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with orthanc(tmp_path_factory.mktemp("orthanc") / "home", unused_port(), user="gantry", password="s3cret") as root:
        yield root


def known(server: str, **changes: str) -> WebTarget:
    return WebTarget(server, security=Security(user="gantry", passcode=changes.get("passcode", "s3cret")), auth="basic")


def test_orthanc_has_every_byte(server: str, tmp_path: Path) -> None:
    items = [item(tmp_path, number) for number in range(1, 31)]
    outcome, results = deliver(known(server), items)
    assert outcome.counts[Outcome.CONFIRMED] == 30, [result.explanation for result in results.values()]
    assert all(result.sha256 == result.item.sha256 for result in results.values())
    series = _series(items[0])
    assert instances_of(known(server), *series) == {one.sop_instance_uid for one in items}
    assert instances_of(known(server), series[0], "1.2.99") == set()
    assert ask(known(server)).ok
    request = urllib.request.Request(f"{server.removesuffix('/dicom-web')}/instances")
    request.add_header("Authorization", "Basic " + base64.b64encode(b"gantry:s3cret").decode())
    with urllib.request.urlopen(request, timeout=60) as reply:
        ids = json.load(reply)
    files = set()
    for one in ids:
        request.full_url = f"{server.removesuffix('/dicom-web')}/instances/{one}/file"
        with urllib.request.urlopen(request, timeout=60) as reply:
            files.add(reply.read())
    assert files == {Path(one.path).read_bytes() for one in items}, "file meta and all, as stored here"


def _series(one: SendItem) -> tuple[str, str]:
    found = scan(Path(one.path).read_bytes()[one.dataset_offset :], one.transfer_syntax_uid, whole=True)
    return str(found.values["StudyInstanceUID"]), str(found.values["SeriesInstanceUID"])


def test_orthanc_explains_a_wrong_password(server: str, tmp_path: Path) -> None:
    outcome, results = deliver(known(server, passcode="wrong"), [item(tmp_path, 1)])
    assert "does not know us" in outcome.failure
    assert results == {}
    assert len(outcome.untried) == 1
    sign = ask(known(server, passcode="wrong"))
    assert not sign.ok
    assert "passcode" in sign.remedy


def uids_in(request: Request) -> list[str]:
    """Of the parts, by the file meta of each."""
    boundary = request.headers["Content-Type"].partition("boundary=")[2]
    parts = request.body.split(f"--{boundary}".encode())[1:-1]
    return [part.partition(b"\x02\x00\x03\x00UI")[2][2:].partition(b"\x00")[0].partition(b"\x02")[0].decode() for part in parts]


def said(stored: dict[str, int], failed: dict[str, int]) -> bytes:
    def one(uid: str, tag: str, reason: int) -> dict[str, object]:
        return {"00081155": {"vr": "UI", "Value": [uid]}, **({tag: {"vr": "US", "Value": [reason]}} if reason else {})}

    return json.dumps(
        {
            "00081199": {"vr": "SQ", "Value": [one(uid, "00081196", reason) for uid, reason in stored.items()]},
            "00081198": {"vr": "SQ", "Value": [one(uid, "00081197", reason) for uid, reason in failed.items()]},
        }
    ).encode()


def test_some_are_stored_some_refused_some_forgotten(tmp_path: Path) -> None:
    def answer(request: Request) -> tuple[int, str, bytes]:
        stored, failed = {}, {}
        for uid in uids_in(request):
            number = int(uid.rpartition(".")[2])
            if number == 2:
                failed[uid] = 0xA900
            elif number == 3:
                failed[uid] = 0xA700
            elif number != 4:
                stored[uid] = 0xB000 if number == 5 else 0
        return 202, JSON, said(stored, failed)

    with WebServer(answer) as web:
        _, results = deliver(WebTarget(web.url), [item(tmp_path, number) for number in range(1, 7)], 1)
        assert web.requests[0].path == "/web/studies"
        assert len(web.requests) == 1, "in one request"
    by_number = {int(uid.rpartition(".")[2]): (result.outcome, result.permanent) for uid, result in results.items()}
    assert by_number == {
        1: (Outcome.CONFIRMED, False), 2: (Outcome.REFUSED, True), 3: (Outcome.REFUSED, False), 4: (Outcome.FAILED, False),
        5: (Outcome.CONFIRMED, False), 6: (Outcome.CONFIRMED, False),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [(200, b"", Outcome.CONFIRMED), (200, b"<html>ok</html>", Outcome.CONFIRMED), (200, said({"9.9": 0}, {}), Outcome.FAILED),
     (409, said({}, {"1.2.3.1": 0xC000}), Outcome.REFUSED), (413, b"", Outcome.REFUSED)],
)  # fmt: skip
def test_answers_that_one_meets(tmp_path: Path, status: int, body: bytes, outcome: Outcome) -> None:
    with WebServer(lambda _request: (status, JSON, body)) as web:
        _, results = deliver(WebTarget(web.url), [item(tmp_path, 1)])
    assert [result.outcome for result in results.values()] == [outcome]


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 409, 415, 429, 500, 503])
def test_what_is_of_the_server_pauses_it_and_loses_nothing(tmp_path: Path, status: int) -> None:
    with WebServer(lambda _request: (status, "text/html", b"<p>")) as web:
        outcome, results = deliver(WebTarget(web.url), [item(tmp_path, number) for number in range(1, 13)])
    assert f"HTTP {status}" in outcome.failure
    assert (len(results), len(outcome.untried)) == (0, 12)


def test_nobody_there_and_nobody_answers(tmp_path: Path) -> None:
    outcome, _ = deliver(WebTarget(f"http://127.0.0.1:{unused_port()}"), [item(tmp_path, 1)])
    assert "nothing listens" in outcome.failure
    slow = threading.Event()

    def answer(_request: Request) -> tuple[int, str, bytes]:
        slow.wait(10)
        return 200, JSON, b""

    with WebServer(answer) as web:
        target = WebTarget(web.url, response_seconds=0.3)
        _, results = deliver(target, [item(tmp_path, 1)])
        assert [result.outcome for result in results.values()] == [Outcome.FAILED]
        assert "in time" in results["1.2.3.1"].explanation
        slow.set()


def test_a_server_that_says_no_before_all_was_sent(tmp_path: Path) -> None:
    with WebServer(lambda _request: (401, "text/plain", b"no"), read_body=False) as web:
        outcome, results = deliver(WebTarget(web.url), [item(tmp_path, 1, size=30_000_000)])
    assert "HTTP 401" in outcome.failure or "broke the connection off" in next(iter(results.values())).explanation


def test_tls_with_authority_pin_and_client_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    pair, ours = authority.issue("server"), authority.issue("ours")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    context.load_verify_locations(authority.certificate)
    context.verify_mode = ssl.CERT_REQUIRED

    def answer(request: Request) -> tuple[int, str, bytes]:
        assert request.headers["Authorization"] == "Bearer t0ken"
        return 200, JSON, said(dict.fromkeys(uids_in(request), 0), {})

    def target(**changes: object) -> WebTarget:
        security = {"tls": True, "certificate": str(ours.certificate), "key": str(ours.key), "passcode": "t0ken", **changes}
        return WebTarget(web.url, security=Security(**security), auth="bearer")  # type: ignore[arg-type]

    with WebServer(answer, tls=context) as web:
        for how in ({"authorities": str(authority.certificate)}, {"fingerprint": _fingerprint(pair.certificate)}):
            outcome, _ = deliver(target(**how), [item(tmp_path, 1)])
            assert outcome.counts[Outcome.CONFIRMED] == 1, outcome.failure
        outcome, _ = deliver(target(), [item(tmp_path, 1)])
        assert "certificate" in outcome.failure, "the authorities of the system do not know it"
        outcome, _ = deliver(target(fingerprint="0" * 64), [item(tmp_path, 1)])
        assert "pinned" in outcome.failure
        assert len(web.requests) == 2, "nothing was said to whom we do not trust"


def _fingerprint(path: object) -> str:
    import hashlib

    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(Path(str(path)).read_text())).hexdigest()


XML = b"""<?xml version="1.0"?><NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM">
<DicomAttribute tag="00081199" vr="SQ"><Item number="1"><DicomAttribute tag="00081155" vr="UI"><Value number="1">1.2</Value>
</DicomAttribute></Item></DicomAttribute><DicomAttribute tag="00081198" vr="SQ"><Item number="1">
<DicomAttribute tag="00081155" vr="UI"><Value number="1">1.3</Value></DicomAttribute>
<DicomAttribute tag="00081197" vr="US"><Value number="1">43264</Value></DicomAttribute></Item></DicomAttribute></NativeDicomModel>"""


def test_answers_in_xml_and_in_nonsense() -> None:
    found = read_answer(XML, "application/dicom+xml")
    assert (dict(found.stored), dict(found.failed), found.readable) == ({"1.2": 0}, {"1.3": 0xA900}, True)
    bomb = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa">]><NativeDicomModel>&a;</NativeDicomModel>'
    for body in (
        b"",
        b"{",
        b"[]",
        b"[1]",
        b"<a",
        b"null",
        b'{"00081199": 5}',
        b"[" * 100_000,
        bomb,
        b'{"00081199":{"Value":[7]}}',
    ):
        assert not read_answer(body, JSON).stored
        assert not read_answer(body, "application/dicom+xml").readable or body[:1] == b"{"


@pytest.mark.parametrize(
    "url", ["ftp://x/", "https://", "https://a:b@host/", "https://host/?a=1", "https://host/#x", "https://host:0/", "https://ho st/",
            "https://host/a\r\nX: y", "https://host:99999/"],
)  # fmt: skip
def test_addresses_that_cannot_be_meant(url: str) -> None:
    with pytest.raises(BadAddress):
        check_url(url)


def test_an_address_is_kept_without_its_end() -> None:
    assert check_url(" https://host:8443/dicom-web/ ") == "https://host:8443/dicom-web"
