"""What we know about a received object, as it is written into our own group 0002 (PS3.10 7.1)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from struct import Struct
from uuid import UUID

# Ours, made once from random UUIDs (PS3.5 B.2).
IMPLEMENTATION_CLASS_UID = "2.25.61304582628126348195055376844653111836"
IMPLEMENTATION_VERSION_NAME = "GANTRY_1"
PRIVATE_INFORMATION_CREATOR_UID = "2.25.331856302065515009265345082731152458197"

_VERSION = 1
_NO_DIGEST = "0" * 64
_JSON_START = f'{{"v":{_VERSION},"sha256":"'
_MAX_TEXT = 4096
_MAX_AET = 64
_MAX_SHORT_VALUE = 65_534
_SHORT = Struct("<HH2sH")
_LONG = Struct("<HH2s2xI")
_GROUP_LENGTH = Struct("<HH2sHI")


@dataclass(frozen=True, slots=True)
class Envelope:
    """Where an object came from, and what its sender called it. `sha256` is of the data set alone.
    `received_at` has a time zone."""

    origin: str
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    calling_aet: str
    called_aet: str
    remote_address: str
    association_id: UUID | None
    slot: str
    received_at: datetime
    sha256: bytes | None
    #: Move Originator of the C-STORE (PS3.7 9.3.1.1): who asked the sender for it, and in which C-MOVE.
    move_originator_aet: str = ""
    move_originator_id: int | None = None


def build_prefix(envelope: Envelope) -> tuple[bytes, int]:
    """Preamble, DICM and group 0002 for a data set from the network; where its 64 digits of digest lie.

    The UIDs are written as sent, valid or not; only what is beyond 64 KB is cut.
    """
    before, after = _around_instance(
        envelope.sop_class_uid, envelope.transfer_syntax_uid, envelope.calling_aet, envelope.called_aet
    )
    digest = _NO_DIGEST if envelope.sha256 is None else envelope.sha256.hex()
    origin = _origin(
        envelope.origin, envelope.association_id, envelope.remote_address, envelope.slot, envelope.move_originator_aet,
        envelope.move_originator_id,
    )  # fmt: skip
    text = f'{_JSON_START}{digest}",{origin},"received_at":"{envelope.received_at.isoformat()}"}}'.encode("ascii")
    if len(text) & 1:
        text += b" "
    group = b"".join(
        (before, _short(0x0003, b"UI", envelope.sop_instance_uid), after,
         _LONG.pack(0x0002, 0x0102, b"OB", len(text)), text)
    )  # fmt: skip
    prefix = b"".join((_PREAMBLE, _GROUP_LENGTH.pack(0x0002, 0x0000, b"UL", 4, len(group)), group))
    return prefix, len(prefix) - len(text) + len(_JSON_START)


_PREAMBLE = bytes(128) + b"DICM"


def _short(element: int, vr: bytes, text: str) -> bytes:
    raw = text.encode("latin-1", "replace")[:_MAX_SHORT_VALUE]
    if len(raw) & 1:
        raw += b"\0" if vr == b"UI" else b" "
    return _SHORT.pack(0x0002, element, vr, len(raw)) + raw


@lru_cache(maxsize=128)  # few, as a hostile sender may make them 64 KB long
def _around_instance(sop_class_uid: str, transfer_syntax_uid: str, calling: str, called: str) -> tuple[bytes, bytes]:
    """The elements before and after Media Storage SOP Instance UID; the same for a whole association."""
    before = _LONG.pack(0x0002, 0x0001, b"OB", 2) + b"\0\1" + _short(0x0002, b"UI", sop_class_uid)
    after = (
        _short(0x0010, b"UI", transfer_syntax_uid),
        _short(0x0012, b"UI", IMPLEMENTATION_CLASS_UID),
        _short(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME),
        _short(0x0016, b"AE", calling),
        _short(0x0017, b"AE", calling),
        _short(0x0018, b"AE", called),
        _short(0x0100, b"UI", PRIVATE_INFORMATION_CREATOR_UID),
    )
    return before, b"".join(after)


@lru_cache(maxsize=1024)
def _origin(origin: str, association_id: UUID | None, remote_address: str, slot: str, move_aet: str, move_id: int | None) -> str:
    association = None if association_id is None else str(association_id)
    parts: dict[str, str | int | None] = {"origin": origin, "association": association, "remote": remote_address, "slot": slot}
    if move_id is not None:
        parts |= {"move_aet": move_aet[:_MAX_AET], "move_id": move_id}
    return json.dumps(parts, separators=(",", ":"))[1:-1]


def read_private_information(
    raw: bytes, *, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, calling_aet: str,
    called_aet: str,
) -> Envelope | None:  # fmt: skip
    """The envelope in our (0002,0102); None when the bytes are not what build_prefix writes."""
    if len(raw) > _MAX_TEXT:
        return None
    try:
        parts = json.loads(raw.rstrip(b"\0 "))
        if not isinstance(parts, dict) or parts.get("v") != _VERSION:
            return None
        texts = [parts[key] for key in ("origin", "remote", "slot", "sha256", "received_at")]
        if not all(isinstance(text, str) for text in texts):
            return None
        origin, remote, slot, digest, received_at = texts
        association = parts["association"]
        when = datetime.fromisoformat(received_at)
        sha256 = bytes.fromhex(digest)
        move_aet, move_id = parts.get("move_aet", ""), parts.get("move_id")
        named = isinstance(move_aet, str) and (move_id is None or (type(move_id) is int and 0 <= move_id <= 0xFFFF))
        if len(sha256) != 32 or when.tzinfo is None or not named:
            return None
        return Envelope(
            origin, sop_class_uid, sop_instance_uid, transfer_syntax_uid, calling_aet, called_aet, remote,
            None if association is None else UUID(association), slot, when,
            None if digest == _NO_DIGEST else sha256, move_aet, move_id,
        )  # fmt: skip
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError):
        return None
