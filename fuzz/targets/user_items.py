"""User information items (PS3.7 annex D)."""

from __future__ import annotations

from dimse.errors import RemoteProtocolError
from dimse.items import decode_user_information, encode_user_information, split_items
from fuzz.targets.recorded import pdus


def seeds() -> list[bytes]:
    """The user information of recorded PDUs."""
    return [value for pdu in pdus() if pdu[0] in {1, 2} for kind, value in split_items(pdu[74:], "seed") if kind == 0x50]


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
