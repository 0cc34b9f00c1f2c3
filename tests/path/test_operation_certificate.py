"""A certificate has expired: ours, that of a node, that of a web server. It is named with its remedy, nothing is given up
for it, and a renewed one is enough: nothing of ours is started again."""

from __future__ import annotations

import os
import shutil
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dimse.blocking import connect
from dimse.errors import DimseError, TlsError
from dimse.negotiation import ContextProposal
from dimse.tls import TlsContext, client_context
from dimse.uids import VERIFICATION
from tests.path.index import query
from tests.path.sink import Sink
from tests.support.certificates import Authority, Pair
from tests.support.dicomweb import WebServer
from tests.support.gantry_process import GantryProcess

#: Minutes, not seconds: with the fifty rounds of `make torture`, which CI runs too.
pytestmark = pytest.mark.torture

YESTERDAY = timedelta(days=-1)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "ca")


def put(pair: Pair, folder: Path) -> None:
    """As a renewal does it: the key, then the certificate, each by a rename."""
    for source, name in ((pair.key, "own.key"), (pair.certificate, "own.pem")):
        shutil.copy(source, folder / f"{name}.new")
        os.replace(folder / f"{name}.new", folder / name)


def server_side(pair: Pair) -> ssl.SSLContext:
    """A server that minds no date of its own certificate; `load_cert_chain` renews it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    return context


def echo(port: int, context: TlsContext | None) -> str:
    """Nothing, or the kind of the TLS error that a caller meets."""
    try:
        with connect("127.0.0.1", port, called_aet="GANTRY", calling_aet="CT1", contexts=[ContextProposal(VERIFICATION)],
                     connect_timeout=10, response_timeout=10, tls=context) as association:  # fmt: skip
            assert association.echo() == 0
    except TlsError as error:
        return error.kind
    except (DimseError, OSError) as error:
        return type(error).__name__
    return ""


def found(gantry: GantryProcess, subject: str) -> dict[str, str]:
    """What doctor says of it."""
    rows: list[dict[str, str]] = gantry.json("doctor", check=False)["findings"]
    return next(row for row in rows if row["subject"] == subject)


@pytest.mark.timeout(420)
def test_our_own(
    gantry_process: Callable[..., GantryProcess], authority: Authority, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    folder, port = tmp_path / "own", free_port()
    folder.mkdir()
    put(authority.issue("late", ends=YESTERDAY), folder)
    gantry = gantry_process(
        receivers=1, dicom_tls_address=f"127.0.0.1:{port}", dicom_tls_certificate=folder / "own.pem", dicom_tls_key=folder / "own.key",
        dicom_tls_authorities=authority.certificate,
    )  # fmt: skip
    gantry.start(180)
    caller = client_context(authority.issue("caller").files(authority.certificate))
    assert echo(port, caller) != "", "it must not be shown"
    assert echo(gantry.dicom_port, None) == "", "the plain port does not suffer for it"
    said = found(gantry, "TLS")
    assert (said["level"], "expired" in said["message"], "renew" in said["remedy"]) == ("problem", True, True)
    receiver = gantry.pid("receiver-r0")

    put(authority.issue("renewed"), folder)
    gantry.until(lambda: echo(port, caller) == "", 30)
    assert found(gantry, "TLS")["level"] == "warning", "valid again, for twenty days"

    # Half of a renewal: another certificate, the old key. The last good ones hold on.
    shutil.copy(authority.issue("other").certificate, folder / "own.pem")
    gantry.until(lambda: "the last good ones hold on" in gantry.output + logs(gantry) or echo(port, caller) != "", 30)
    assert echo(port, caller) == ""
    assert found(gantry, "TLS")["level"] == "problem"

    # A caller whose certificate is out of date is told so.
    assert echo(port, client_without_dates(authority)) in {"own-expired", "own-refused"}
    assert gantry.pid("receiver-r0") == receiver, "nothing was started again"


def client_without_dates(authority: Authority) -> TlsContext:
    """Of a caller that does not look at the date of its own certificate."""
    context = client_context(authority.issue("caller").files(authority.certificate))
    late = authority.issue("late caller", ends=YESTERDAY)
    context.load_cert_chain(late.certificate, late.key)
    return context


def logs(gantry: GantryProcess) -> str:
    return "".join(path.read_text(errors="replace") for path in (gantry.home / "logs").glob("receiver-*.log"))


@pytest.fixture
def destinations(authority: Authority, free_port: Callable[[], int]) -> Iterator[dict[str, Any]]:
    """A DICOM node and a web server, both with a certificate that has expired."""
    with ExitStack() as opened:
        contexts = [server_side(authority.issue(f"server{number}", ends=YESTERDAY)) for number in range(2)]
        port = free_port()
        sink = Sink(port, tls=contexts[0])
        opened.callback(sink.stop)
        web = opened.enter_context(
            WebServer(lambda request: (200, "application/dicom+json", b"[]" if request.method == "GET" else b""), contexts[1])
        )
        yield {"contexts": contexts, "port": port, "sink": sink, "web": web}


@pytest.mark.timeout(420)
def test_that_of_a_destination(
    gantry_process: Callable[..., GantryProcess],
    authority: Authority,
    destinations: dict[str, Any],
    make_ct: Callable[..., list[Path]],
) -> None:
    gantry = gantry_process(receivers=1, settle_quiet_seconds=0.5, retry_first_seconds=0.2, retry_max_seconds=1)
    gantry.start(180)
    gantry.cli("node", "add", "SINK", f"SINK@127.0.0.1:{destinations['port']}", "--tls", "--authorities", authority.certificate)
    gantry.cli("node", "add", "WEB", destinations["web"].url, "--authorities", authority.certificate)
    for name in ("SINK", "WEB"):
        gantry.cli("rule", "add", f"to-{name}", "--to", name)
        said = gantry.json("node", "echo", name, check=False)
        assert (said["ok"], "expired" in said["explanation"], "renew" in said["remedy"]) == (False, True, True), said
        said = found(gantry, f"node {name}")
        assert (said["level"], "expired" in said["message"], "renew" in said["remedy"]) == ("problem", True, True), said
    gantry.cli("send", str(make_ct(5)[0].parent), "--to", f"GANTRY@127.0.0.1:{gantry.dicom_port}")

    def states() -> set[tuple[str, str, int]]:
        rows = query(
            gantry,
            "select n.name, d.status, count(*) from transfers_delivery d join nodes_node n on n.id = d.node_id group by 1, 2",
        )
        return {tuple(row) for row in rows}  # type: ignore[misc]

    def refused_again() -> bool:
        rows = query(gantry, "select last_error, failure_count from nodes_node")
        return all("expired" in error and failures >= 3 for error, failures in rows)

    gantry.until(refused_again, 60)
    assert {status for _, status, _ in states()} <= {"waiting", "failed", "sent"}, "nothing is given up"
    assert not destinations["sink"].times
    assert not any(request.method == "POST" for request in destinations["web"].requests)
    for number, context in enumerate(destinations["contexts"]):
        renewed = authority.issue(f"renewed{number}")
        context.load_cert_chain(renewed.certificate, renewed.key)
    gantry.until(lambda: states() == {("SINK", "confirmed", 5), ("WEB", "confirmed", 5)}, 60)
    assert set(destinations["sink"].times.values()) == {1}
