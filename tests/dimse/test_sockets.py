"""Listening on IPv4, IPv6 and both."""

from __future__ import annotations

import socket

import pytest

from dimse.blocking.sockets import bare_host, listen, peer_of


@pytest.mark.parametrize(
    ("host", "dual", "reached"),
    [
        ("127.0.0.1", None, {"127.0.0.1": "127.0.0.1", "::1": ""}),
        ("::1", None, {"127.0.0.1": "", "::1": "::1"}),
        ("[::]", True, {"127.0.0.1": "127.0.0.1", "::1": "::1"}),
        ("::", False, {"127.0.0.1": "", "::1": "::1"}),
    ],
)
def test_who_reaches_a_listener(host: str, dual: bool | None, reached: dict[str, str]) -> None:
    with listen(host, 0, dual_stack=dual) as listener:
        port = listener.getsockname()[1]
        for caller, seen in reached.items():
            if not seen:
                with pytest.raises(ConnectionRefusedError):
                    socket.create_connection((caller, port), 1)
                continue
            with socket.create_connection((caller, port), 1) as sock:
                accepted, address = listener.accept()
                accepted.close()
                assert peer_of(address) == (seen, sock.getsockname()[1])


def test_addresses() -> None:
    assert [bare_host(host) for host in ("[::1]", "::1", "pacs", "")] == ["::1", "::1", "pacs", ""]
    assert peer_of(("::ffff:10.0.0.1", 7, 0, 0)) == ("10.0.0.1", 7)
    assert peer_of(("2001:db8::ffff:1", 7, 0, 0)) == ("2001:db8::ffff:1", 7)
    assert peer_of(("10.0.0.1", 7)) == ("10.0.0.1", 7)
