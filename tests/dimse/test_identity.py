"""User identity negotiation: what is said, what is read, what is never shown."""

from __future__ import annotations

import dataclasses
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dimse import Accept, AssociationRequest, ContextProposal, PeerAddress, Reject, blocking, identity
from dimse.errors import AssociationRejected, LocalProtocolError
from dimse.identity import Identity, Kind, positive_response
from dimse.items import UserIdentity
from dimse.pdu import decode_request, encode_request
from dimse.requesting import build_request
from dimse.uids import VERIFICATION
from tests.dimse.drivers import QUICK, Keeper

SECRET = "s3cret-passcode"
WORDS = b"ticket-or-token"


def received(item: UserIdentity | None) -> AssociationRequest:
    """The request as the acceptor decodes it from the wire."""
    sent = build_request("GANTRY", "TESTER", [ContextProposal(VERIFICATION)], 16384, item)
    return decode_request(encode_request(sent)[6:])


@pytest.mark.parametrize(
    ("item", "read"),
    [
        (identity.username("Dörte"), Identity(Kind.USERNAME, "Dörte")),
        (identity.username_passcode("doe", SECRET), Identity(Kind.USERNAME_PASSCODE, "doe", SECRET.encode())),
        (identity.username_passcode("doe", ""), Identity(Kind.USERNAME_PASSCODE, "doe")),
        (identity.kerberos(WORDS), Identity(Kind.KERBEROS, "", WORDS)),
        (identity.saml("<Assertion/>"), Identity(Kind.SAML, "", b"<Assertion/>")),
        (identity.jwt("a.b.c", response_wanted=True), Identity(Kind.JWT, "", b"a.b.c", True)),
        (identity.jwt(b"x" * 65000), Identity(Kind.JWT, "", b"x" * 65000)),
    ],
)
def test_what_is_said_is_read(item: UserIdentity, read: Identity) -> None:
    assert identity.read(received(item)) == read


def test_nothing_said() -> None:
    assert identity.read(received(None)) is None


@pytest.mark.parametrize(
    "item",
    [
        UserIdentity(0, b"x"),
        UserIdentity(9, b"x", b"y"),
        UserIdentity(1, b""),
        UserIdentity(1, b"\xff\xfe"),
        UserIdentity(2, b"doe", b"\xff"),
        UserIdentity(2, b"do\ne", b"x"),
        UserIdentity(3, b""),
    ],
)
def test_what_cannot_be_read_is_marked(item: UserIdentity) -> None:
    found = identity.read(received(item))
    assert found is not None
    assert found.malformed


def test_what_cannot_be_said() -> None:
    for wrong in (
        lambda: identity.username(""),
        lambda: identity.username("do\x00e"),
        lambda: identity.username_passcode("doe", "x\n"),
        lambda: identity.kerberos(b""),
        lambda: identity.saml(b"x" * 65001),
        lambda: identity.username_passcode("n" * 40000, "p" * 30000),
    ):
        with pytest.raises(LocalProtocolError):
            wrong()


def test_secrets_are_never_shown() -> None:
    request = received(identity.username_passcode("doe", SECRET))
    found = identity.read(request)
    for shown in (request, request.user, request.user.user_identity, found, dataclasses.replace(request)):
        assert SECRET not in repr(shown)
        assert SECRET not in str(shown)
        assert "doe" not in repr(request)
    for item in (identity.kerberos(WORDS), identity.saml(WORDS), identity.jwt(WORDS)):
        assert WORDS.decode() not in f"{item!r}{identity.read(received(item))!r}"


def test_passcodes_are_compared() -> None:
    found = identity.read(received(identity.username_passcode("doe", "Größe")))
    assert found is not None
    assert found.passcode_is("Größe")
    assert not found.passcode_is("Grösse")
    assert not found.passcode_is("")


class Guard(Keeper):
    """Lets in who knows the passcode."""

    def association_requested(self, request: AssociationRequest, peer: PeerAddress) -> Accept | Reject:
        who = identity.read(request)
        if who is None or not who.passcode_is(SECRET):
            return Reject(1, 1, 1)
        return Accept(user_identity_response=positive_response(who))


@contextmanager
def guarded() -> Iterator[int]:
    with blocking.listen("127.0.0.1", 0) as listener:
        server = blocking.Server(listener, Guard(), limits=QUICK)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.address[1]
        finally:
            server.stop(0)
            thread.join()


def test_over_the_wire() -> None:
    with guarded() as port:
        for passcode, wanted in ((SECRET, True), (SECRET, False), ("wrong", False)):
            who = identity.username_passcode("doe", passcode, response_wanted=wanted)
            request = build_request("GANTRY", "TESTER", [ContextProposal(VERIFICATION)], 16384, who)
            sock = socket.create_connection(("127.0.0.1", port), 5)
            if passcode != SECRET:
                with pytest.raises(AssociationRejected):
                    blocking.connect_over(sock, request)
                continue
            with blocking.connect_over(sock, request) as association:
                assert association.echo() == 0
                accept = association.core.accept_pdu
                assert accept is not None
                assert accept.user.user_identity_response == (b"" if wanted else None)


def test_positive_responses() -> None:
    assert positive_response(None) is None
    assert positive_response(Identity(Kind.JWT), b"x") is None
    assert positive_response(Identity(Kind.JWT, response_wanted=True), b"x") == b"x"
    assert positive_response(Identity(Kind.USERNAME, "doe", response_wanted=True), b"x") == b""
