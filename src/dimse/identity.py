"""User identity negotiation (PS3.7 D.3.3.7): who asks, from the requestor; read and answered by the acceptor.

Requestor: `connect(..., user_identity=username_passcode("doe", "secret"))`. Acceptor: `read(request)` gives an `Identity`
to be judged, `positive_response` what to answer in `Accept(user_identity_response=...)`. Secrets never show in `repr`.
What a name, ticket or token is worth is not judged here.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from enum import IntEnum

from dimse.errors import LocalProtocolError
from dimse.items import UserIdentity
from dimse.pdu import AssociateRequest

#: The length fields of the item have two bytes (PS3.7 table D.3-14), and the item around both has, too.
MAX_FIELD = 65000


class Kind(IntEnum):
    """User-Identity-Type (PS3.7 table D.3-14)."""

    USERNAME = 1
    USERNAME_PASSCODE = 2
    KERBEROS = 3
    SAML = 4
    JWT = 5


@dataclass(frozen=True, slots=True)
class Identity:
    """What a requestor says of itself. `name` is set for kinds 1 and 2, `secret` is passcode, ticket, assertion or token.

    `kind` is None for a type the standard does not have. `malformed`: name or passcode is no UTF-8, or the name is empty.
    """

    kind: Kind | None
    name: str = ""
    secret: bytes = field(default=b"", repr=False)
    response_wanted: bool = False
    malformed: bool = False

    def passcode_is(self, expected: str) -> bool:
        """Compare in constant time."""
        return hmac.compare_digest(self.secret, expected.encode("utf-8"))


def username(name: str, *, response_wanted: bool = False) -> UserIdentity:
    """A name alone (type 1). `LocalProtocolError` for an empty or overlong one."""
    return _make(Kind.USERNAME, _text(name, "user name"), b"", response_wanted)


def username_passcode(name: str, passcode: str, *, response_wanted: bool = False) -> UserIdentity:
    """A name and a passcode (type 2). The passcode goes over the wire as it is: use TLS."""
    return _make(Kind.USERNAME_PASSCODE, _text(name, "user name"), _text(passcode, "passcode"), response_wanted)


def kerberos(ticket: bytes, *, response_wanted: bool = False) -> UserIdentity:
    """A Kerberos service ticket (type 3); it is opaque here."""
    return _make(Kind.KERBEROS, ticket, b"", response_wanted)


def saml(assertion: bytes | str, *, response_wanted: bool = False) -> UserIdentity:
    """A SAML assertion (type 4), XML; it is opaque here."""
    return _make(Kind.SAML, _bytes(assertion), b"", response_wanted)


def jwt(token: bytes | str, *, response_wanted: bool = False) -> UserIdentity:
    """A JSON web token (type 5); it is opaque here."""
    return _make(Kind.JWT, _bytes(token), b"", response_wanted)


def read(request: AssociateRequest) -> Identity | None:
    """What the requestor says of itself; None when it says nothing. Never raises for what came."""
    item = request.user.user_identity
    if item is None:
        return None
    if item.kind not in Kind.__members__.values():
        return Identity(None, response_wanted=item.response_wanted, malformed=True)
    kind = Kind(item.kind)
    if kind not in {Kind.USERNAME, Kind.USERNAME_PASSCODE}:
        return Identity(kind, "", item.primary, item.response_wanted, not item.primary)
    try:
        name = item.primary.decode("utf-8")
        item.secondary.decode("utf-8")
    except UnicodeDecodeError:
        return Identity(kind, response_wanted=item.response_wanted, malformed=True)
    secret = item.secondary if kind is Kind.USERNAME_PASSCODE else b""
    return Identity(kind, name, secret, item.response_wanted, not name or not name.isprintable())


def positive_response(identity: Identity | None, server_response: bytes = b"") -> bytes | None:
    """What `Accept.user_identity_response` has to be: an answer only when one was wanted (PS3.7 D.3.3.7.2).

    It is empty for names; for Kerberos, SAML and JWT it is what their mechanism gives.
    """
    if identity is None or not identity.response_wanted:
        return None
    return b"" if identity.kind in {Kind.USERNAME, Kind.USERNAME_PASSCODE} else server_response


def _make(kind: Kind, primary: bytes, secondary: bytes, response_wanted: bool) -> UserIdentity:
    if not primary:
        raise LocalProtocolError(f"the user identity ({kind.name.lower()}) is empty")
    if len(primary) + len(secondary) > MAX_FIELD:
        raise LocalProtocolError(f"a user identity has at most {MAX_FIELD} bytes, not {len(primary) + len(secondary)}")
    return UserIdentity(int(kind), primary, secondary, response_wanted)


def _text(text: str, what: str) -> bytes:
    if not text.isprintable():
        raise LocalProtocolError(f"the {what} has a character that cannot be printed")
    return text.encode("utf-8")


def _bytes(value: bytes | str) -> bytes:
    return value.encode("utf-8") if isinstance(value, str) else value
