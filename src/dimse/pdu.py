"""Protocol data units of PS3.8 section 9.3: what they hold, how they are written and read.

Readers take the body of a PDU (without its 6-byte header) and raise `RemoteProtocolError` on anything wrong.
P-DATA-TF has no reader here: its payload is passed on as it comes, see `dimse.messages`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from dimse.errors import RemoteProtocolError
from dimse.items import (
    MAX_CONTEXTS,
    ContextAnswer,
    ProposedContext,
    UserInformation,
    decode_context_answer,
    decode_proposed_context,
    decode_user_information,
    encode_context_answer,
    encode_proposed_context,
    encode_user_information,
    pack_item,
    split_items,
    text_of,
)

ASSOCIATE_RQ = 0x01
ASSOCIATE_AC = 0x02
ASSOCIATE_RJ = 0x03
P_DATA_TF = 0x04
RELEASE_RQ = 0x05
RELEASE_RP = 0x06
ABORT = 0x07

PDU_HEADER = struct.Struct(">BxL")
#: P-DATA-TF header and the header of its first presentation data value (PS3.8 9.3.5).
DATA_HEADER = struct.Struct(">BxLLBB")
PDV_HEADER = struct.Struct(">LBB")
_ASSOCIATE = struct.Struct(">H2x16s16s32x")
APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
#: Largest body that is accepted of an association PDU, bytes. 128 contexts of 60 syntaxes are below 0.6 MB.
MAX_ASSOCIATE_BODY = 1 << 20

RELEASE_REQUEST_BYTES = PDU_HEADER.pack(RELEASE_RQ, 4) + bytes(4)
RELEASE_REPLY_BYTES = PDU_HEADER.pack(RELEASE_RP, 4) + bytes(4)


@dataclass(frozen=True, slots=True)
class AssociateRequest:
    """A-ASSOCIATE-RQ (PS3.8 section 9.3.2)."""

    called_aet: str
    calling_aet: str
    contexts: tuple[ProposedContext, ...]
    user: UserInformation = field(default_factory=UserInformation)
    application_context: str = APPLICATION_CONTEXT
    protocol_version: int = 1


@dataclass(frozen=True, slots=True)
class AssociateAccept:
    """A-ASSOCIATE-AC (PS3.8 section 9.3.3). The AE titles are an echo of the request and never tested."""

    called_aet: str
    calling_aet: str
    contexts: tuple[ContextAnswer, ...]
    user: UserInformation = field(default_factory=UserInformation)
    application_context: str = APPLICATION_CONTEXT
    protocol_version: int = 1


@dataclass(frozen=True, slots=True)
class AssociateReject:
    """A-ASSOCIATE-RJ (PS3.8 table 9-21)."""

    result: int
    source: int
    reason: int


@dataclass(frozen=True, slots=True)
class Abort:
    """A-ABORT (PS3.8 table 9-26)."""

    source: int
    reason: int


def _aet(title: str) -> bytes:
    raw = title.encode("latin-1")
    if len(raw) > 16:
        raise ValueError(f"an AE title has at most 16 characters, not {len(raw)}")
    return raw.ljust(16)


def _encode_associate(kind: int, pdu: AssociateRequest | AssociateAccept, contexts: list[bytes]) -> bytes:
    body = b"".join(
        [
            _ASSOCIATE.pack(pdu.protocol_version, _aet(pdu.called_aet), _aet(pdu.calling_aet)),
            pack_item(0x10, pdu.application_context.encode("latin-1")),
            *contexts,
            encode_user_information(pdu.user),
        ]
    )
    return PDU_HEADER.pack(kind, len(body)) + body


def encode_request(pdu: AssociateRequest) -> bytes:
    """A-ASSOCIATE-RQ with its header. `ValueError` when an AE title does not fit."""
    return _encode_associate(ASSOCIATE_RQ, pdu, [encode_proposed_context(item) for item in pdu.contexts])


def encode_accept(pdu: AssociateAccept) -> bytes:
    """A-ASSOCIATE-AC with its header."""
    return _encode_associate(ASSOCIATE_AC, pdu, [encode_context_answer(item) for item in pdu.contexts])


def encode_reject(pdu: AssociateReject) -> bytes:
    """A-ASSOCIATE-RJ with its header."""
    return PDU_HEADER.pack(ASSOCIATE_RJ, 4) + bytes((0, pdu.result, pdu.source, pdu.reason))


def encode_abort(pdu: Abort) -> bytes:
    """A-ABORT with its header."""
    return PDU_HEADER.pack(ABORT, 4) + bytes((0, 0, pdu.source, pdu.reason))


@dataclass(slots=True)
class _Associate:
    """What both association PDUs have in common, as read."""

    version: int
    called: str
    calling: str
    contexts: list[bytes]
    application_context: str = ""
    user: UserInformation | None = None


def _decode_associate(body: bytes, context_kind: int) -> _Associate:
    if len(body) < _ASSOCIATE.size:
        raise RemoteProtocolError(f"association PDU of {len(body)} bytes is too short")
    version, called, calling = _ASSOCIATE.unpack_from(body)
    found = _Associate(version, text_of(called), text_of(calling), [])
    for kind, value in split_items(body[_ASSOCIATE.size :], "association PDU"):
        if kind == context_kind:
            found.contexts.append(value)
            if len(found.contexts) > MAX_CONTEXTS:
                raise RemoteProtocolError(f"more than {MAX_CONTEXTS} presentation contexts")
        elif kind == 0x10:
            found.application_context = text_of(value)
        elif kind == 0x50:
            if found.user is not None:
                raise RemoteProtocolError("two user information items")
            found.user = decode_user_information(value)
    return found


def decode_request(body: bytes) -> AssociateRequest:
    """A-ASSOCIATE-RQ. Context ids must be odd and unlike each other, and there must be at least one."""
    found = _decode_associate(body, 0x20)
    contexts = tuple(decode_proposed_context(item) for item in found.contexts)
    if not contexts:
        raise RemoteProtocolError("association request without presentation context")
    ids = {context.context_id for context in contexts}
    if len(ids) != len(contexts):
        raise RemoteProtocolError("two presentation contexts with the same id")
    if any(number % 2 == 0 for number in ids):
        raise RemoteProtocolError("presentation context with an even id")
    return AssociateRequest(
        called_aet=found.called,
        calling_aet=found.calling,
        contexts=contexts,
        user=found.user or UserInformation(),
        application_context=found.application_context,
        protocol_version=found.version,
    )


def decode_accept(body: bytes) -> AssociateAccept:
    """A-ASSOCIATE-AC."""
    found = _decode_associate(body, 0x21)
    return AssociateAccept(
        called_aet=found.called,
        calling_aet=found.calling,
        contexts=tuple(decode_context_answer(item) for item in found.contexts),
        user=found.user or UserInformation(),
        application_context=found.application_context,
        protocol_version=found.version,
    )


def _four(body: bytes, name: str) -> bytes:
    if len(body) != 4:
        raise RemoteProtocolError(f"{name} has {len(body)} bytes, not 4")
    return body


def decode_reject(body: bytes) -> AssociateReject:
    """A-ASSOCIATE-RJ."""
    _, result, source, reason = _four(body, "A-ASSOCIATE-RJ")
    return AssociateReject(result, source, reason)


def decode_abort(body: bytes) -> Abort:
    """A-ABORT."""
    _, _, source, reason = _four(body, "A-ABORT")
    return Abort(source, reason)
