"""PDU readers: what is read can be written, and reads the same again."""

from __future__ import annotations

from dimse.errors import RemoteProtocolError
from dimse.pdu import (
    decode_abort,
    decode_accept,
    decode_reject,
    decode_request,
    encode_abort,
    encode_accept,
    encode_reject,
    encode_request,
)
from fuzz.targets.recorded import pdus

_READERS = {
    1: (decode_request, encode_request),
    2: (decode_accept, encode_accept),
    3: (decode_reject, encode_reject),
    7: (decode_abort, encode_abort),
}


def seeds() -> list[bytes]:
    """Type and body of recorded PDUs."""
    return [pdu[:1] + pdu[6:] for pdu in pdus() if pdu[0] in _READERS]


def one(data: bytes) -> None:
    """The first byte is the type, the rest the body."""
    if not data or data[0] not in _READERS:
        return
    read, write = _READERS[data[0]]
    try:
        found = read(data[1:])
    except RemoteProtocolError:
        return
    again = write(found)  # type: ignore[operator]  # reader and writer of a row belong together
    assert read(again[6:]) == found
    assert len(again) <= 2 * len(data) + 100
