"""User information items (PS3.7 annex D)."""

from __future__ import annotations

from dimse.errors import RemoteProtocolError
from dimse.items import (
    AsyncWindow,
    CommonExtendedNegotiation,
    ExtendedNegotiation,
    RoleSelection,
    UserIdentity,
    UserInformation,
    decode_user_information,
    encode_user_information,
    split_items,
)
from fuzz.targets.recorded import pdus

_FIND, _CT = "1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.5.1.4.1.1.2"
_RARE = (
    *(UserInformation(user_identity=UserIdentity(kind, b"doe", b"secret" * (kind == 2), bool(kind & 1))) for kind in range(7)),
    UserInformation(user_identity_response=b"ticket"),
    UserInformation(
        16384, "1.2.3", "FUZZ", AsyncWindow(8, 1),
        (RoleSelection(_CT, scu=False, scp=True), RoleSelection(_FIND, scu=True, scp=True)),
        (ExtendedNegotiation(_FIND, b"\1\1\0"), ExtendedNegotiation(_FIND, b"")),
        (CommonExtendedNegotiation(_CT, "1.2.840.10008.4.2", ("1.2.840.10008.5.1.4.1.1.88.22", "1.2")),),
        unknown=((0x5F, b"later"), (0x60, b"")),
    ),
)  # fmt: skip


def seeds() -> list[bytes]:
    """The user information of recorded PDUs, and every kind of item that is rare."""
    recorded = [value for pdu in pdus() if pdu[0] in {1, 2} for kind, value in split_items(pdu[74:], "seed") if kind == 0x50]
    return [*recorded, *(encode_user_information(user)[4:] for user in _RARE)]


def one(data: bytes) -> None:
    """Read, write, read."""
    try:
        found = decode_user_information(data)
    except RemoteProtocolError:
        return
    repr(found)
    again = encode_user_information(found)
    if len(again) - 4 <= 0xFFFF:
        assert decode_user_information(again[4:]) == found
