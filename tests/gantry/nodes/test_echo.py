"""echo, and what its failures are called."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

import pytest
from tests.gantry.nodes.destination import Destination

from dimse.acceptance import Limits, Reject
from gantry.nodes.address import DimseAddress
from gantry.nodes.echo import echo
from gantry.nodes.items import SendTarget


def test_a_peer_that_answers() -> None:
    with Destination() as destination:
        result = echo(destination.target())
        assert result.ok
        assert result.dimse_status == 0
        assert 0 < result.seconds < 60
        assert destination.associations[0].calling_aet.strip() == "GANTRY"


@pytest.mark.parametrize(
    ("reject", "message", "remedy"),
    [
        (Reject(1, 1, 3), "does not know our AE title 'GANTRY'", "ask its administrator to add 'GANTRY'"),
        (Reject(1, 1, 7), "is not called 'DEST'", "correct the AE title"),
        (Reject(2, 3, 2), "no association left", "we try again"),
        (Reject(1, 1, 1), "rejected the association", "may connect"),
    ],
)
def test_a_peer_that_rejects(reject: Reject, message: str, remedy: str) -> None:
    with Destination(reject=reject) as destination:
        result = echo(destination.target())
    assert not result.ok
    assert message in result.explanation
    assert remedy in result.remedy


def test_nothing_listens() -> None:
    with Destination() as gone:
        target = gone.target()
    result = echo(target)
    assert "nothing listens" in result.explanation
    assert "start the DICOM service" in result.remedy


def test_a_name_that_does_not_exist() -> None:
    result = echo(SendTarget(DimseAddress("A", "no-such-host.invalid", 104), "GANTRY", connect_seconds=5))
    assert not result.ok
    assert "is not known" in result.explanation


@pytest.fixture
def talker() -> Callable[[bytes], SendTarget]:
    """A TCP service that says something and closes, or says nothing until the caller has gone."""

    def make(words: bytes) -> SendTarget:
        listener = socket.create_server(("127.0.0.1", 0))

        def serve() -> None:
            with listener:
                client, _ = listener.accept()
                with client:
                    if words:
                        client.sendall(words)
                        client.recv(4096)
                    while not words and client.recv(4096):
                        pass

        threading.Thread(target=serve, daemon=True).start()
        address = DimseAddress("A", "127.0.0.1", listener.getsockname()[1])
        return SendTarget(address, "GANTRY", connect_seconds=30, response_seconds=30 if words else 0.3)

    return make


def test_a_service_that_is_not_dicom(talker: Callable[[bytes], SendTarget]) -> None:
    result = echo(talker(b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n"))
    assert not result.ok
    assert "does not speak DICOM" in result.explanation
    assert "host and port" in result.remedy


def test_a_service_that_says_nothing(talker: Callable[[bytes], SendTarget]) -> None:
    result = echo(talker(b""))
    assert not result.ok
    assert "in time" in result.explanation


def test_verification_refused() -> None:
    with Destination(refused=["1.2.840.10008.1.1"], limits=Limits(close_seconds=0.2)) as destination:
        result = echo(destination.target())
    assert not result.ok
    assert "takes none" in result.explanation
