"""What we need to know of an X.509 certificate without a library: its validity and the name it goes by.

The standard library reads certificates only after they were trusted; a pinned or an expired one has to be read
before. Only the outer structure is walked (RFC 5280 section 4.1), each length is checked.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

#: Object identifiers of the names that are shown: common name, organisation (2.5.4.3, 2.5.4.10).
_COMMON_NAME, _ORGANISATION = b"\x55\x04\x03", b"\x55\x04\x0a"
_MAX_BYTES = 1 << 17


@dataclass(frozen=True, slots=True)
class Certificate:
    """What is shown of a certificate. Times are UTC."""

    fingerprint: str
    subject: str
    issuer: str
    not_before: datetime
    not_after: datetime


def fingerprint(der: bytes) -> str:
    """SHA-256 of a certificate (DER) as `AB:CD:...`, what `openssl x509 -fingerprint -sha256` shows."""
    return hashlib.sha256(der).digest().hex(":").upper()


def read_certificate(der: bytes) -> Certificate | None:
    """Read a certificate (DER); None when the bytes are none."""
    try:
        if len(der) > _MAX_BYTES:
            return None
        fields = _children(_children(der)[0][1])
        fields = _children(fields[0][1])
        if fields[0][0] == 0xA0:  # version, absent in version 1
            fields = fields[1:]
        _, _, (_, issuer), (_, validity), (_, subject) = fields[:5]
        begin, end = (_time(kind, value) for kind, value in _children(validity)[:2])
        return Certificate(fingerprint(der), _name(subject), _name(issuer), begin, end)
    except (ValueError, IndexError):
        return None


def _children(data: bytes) -> list[tuple[int, bytes]]:
    """Tag and value of what stands in a DER value. `ValueError` when it is none."""
    found: list[tuple[int, bytes]] = []
    at = 0
    while at < len(data):
        if at + 2 > len(data):
            raise ValueError("cut off")
        tag, size, at = data[at], data[at + 1], at + 2
        if size & 0x80:
            count = size & 0x7F
            if not 1 <= count <= 4 or at + count > len(data):
                raise ValueError("bad length")
            size, at = int.from_bytes(data[at : at + count], "big"), at + count
        if at + size > len(data):
            raise ValueError("cut off")
        found.append((tag, data[at : at + size]))
        at += size
    return found


def _time(kind: int, value: bytes) -> datetime:
    """UTCTime (17H, two digits of the year, from 1950) or GeneralizedTime (18H)."""
    text = value.decode("latin-1")
    if kind == 0x17:
        text = ("19" if text[:2] >= "50" else "20") + text
    elif kind != 0x18:
        raise ValueError("no time")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _name(data: bytes) -> str:
    """The common name, else the organisation, else nothing."""
    found: dict[bytes, str] = {}
    for _, group in _children(data):
        for _, pair in _children(group):
            parts = _children(pair)
            if len(parts) == 2:
                text = parts[1][1].decode("utf-16-be" if parts[1][0] == 0x1E else "utf-8", "replace")
                found.setdefault(parts[0][1], "".join(letter if letter.isprintable() else "?" for letter in text)[:128])
    return found.get(_COMMON_NAME) or found.get(_ORGANISATION, "")
