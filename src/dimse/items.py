"""Items inside association PDUs: presentation contexts and user information (PS3.8 9.3.2-9.3.3, PS3.7 annex
D).

Every reader takes bytes that were cut to length already, checks every length inside and raises
`RemoteProtocolError`. Unknown user information items are skipped (PS3.8 section 9.3.1) and kept as bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from dimse.errors import RemoteProtocolError

_ITEM = struct.Struct(">BxH")
_SHORT = struct.Struct(">H")
#: More items than this in one PDU is an attack, not an association: 128 contexts with every known syntax are
#: fewer.
MAX_ITEMS = 8192
MAX_CONTEXTS = 128


@dataclass(frozen=True, slots=True)
class ProposedContext:
    """One presentation context of an A-ASSOCIATE-RQ (PS3.8 table 9-13)."""

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ContextAnswer:
    """One presentation context of an A-ASSOCIATE-AC (PS3.8 table 9-18). Results: 0 accepted, 1 refused by the
    user, 2 no reason, 3 abstract syntax not supported, 4 transfer syntaxes not supported."""

    context_id: int
    result: int
    transfer_syntax: str


@dataclass(frozen=True, slots=True)
class AsyncWindow:
    """How many operations may be open at once, 0 = without limit (PS3.7 D.3.3.3)."""

    invoked: int
    performed: int


@dataclass(frozen=True, slots=True)
class RoleSelection:
    """Which roles the requestor wants or is granted for a SOP class (PS3.7 D.3.3.4)."""

    sop_class_uid: str
    scu: bool
    scp: bool


@dataclass(frozen=True, slots=True)
class ExtendedNegotiation:
    """Service class application information of a SOP class, opaque here (PS3.7 D.3.3.5)."""

    sop_class_uid: str
    information: bytes


@dataclass(frozen=True, slots=True)
class CommonExtendedNegotiation:
    """Service class and related general SOP classes of a SOP class (PS3.7 D.3.3.6)."""

    sop_class_uid: str
    service_class_uid: str
    related_general_uids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UserIdentity:
    """Who asks (PS3.7 D.3.3.7). Kinds: 1 user name, 2 with passcode, 3 Kerberos, 4 SAML, 5 JWT."""

    kind: int
    primary: bytes
    secondary: bytes = b""
    response_wanted: bool = False

    def __repr__(self) -> str:
        """Without the secrets: this may end in a log."""
        return f"UserIdentity(kind={self.kind}, response_wanted={self.response_wanted})"


@dataclass(frozen=True, slots=True)
class UserInformation:
    """User information item (PS3.7 annex D). `max_length` is what its sender can receive in one P-DATA-TF,
    bytes, 0 = without limit."""

    max_length: int = 0
    implementation_class_uid: str = ""
    implementation_version: str = ""
    async_window: AsyncWindow | None = None
    roles: tuple[RoleSelection, ...] = ()
    extended: tuple[ExtendedNegotiation, ...] = ()
    common_extended: tuple[CommonExtendedNegotiation, ...] = ()
    user_identity: UserIdentity | None = None
    #: May be a ticket: not shown.
    user_identity_response: bytes | None = field(default=None, repr=False)
    unknown: tuple[tuple[int, bytes], ...] = ()


def text_of(raw: bytes) -> str:
    """UID or AE title as text: padding removed. Any byte maps to a character; judging it is not done here."""
    return raw.decode("latin-1").strip(" \0")


def split_items(data: bytes, what: str) -> Iterator[tuple[int, bytes]]:
    """Cut a run of items (type, reserved, length, value)."""
    position, end, count = 0, len(data), 0
    while position < end:
        if end - position < 4:
            raise RemoteProtocolError(f"{what}: {end - position} stray bytes where an item should begin")
        kind, length = _ITEM.unpack_from(data, position)
        position += 4
        if length > end - position:
            raise RemoteProtocolError(f"{what}: item {kind:02X} claims {length} bytes, {end - position} are left")
        count += 1
        if count > MAX_ITEMS:
            raise RemoteProtocolError(f"{what}: more than {MAX_ITEMS} items")
        yield kind, data[position : position + length]
        position += length


def pack_item(kind: int, value: bytes) -> bytes:
    """One item with its header."""
    return _ITEM.pack(kind, len(value)) + value


def _sized(data: bytes, position: int, what: str) -> tuple[bytes, int]:
    """A 2-byte length and that many bytes."""
    if position + 2 > len(data):
        raise RemoteProtocolError(f"{what}: length field is cut off")
    (length,) = _SHORT.unpack_from(data, position)
    end = position + 2 + int(length)
    if end > len(data):
        raise RemoteProtocolError(f"{what}: field claims {length} bytes, {len(data) - position - 2} are left")
    return data[position + 2 : end], end


def _pack_sized(*values: bytes) -> bytes:
    return b"".join(_SHORT.pack(len(value)) + value for value in values)


def decode_proposed_context(data: bytes) -> ProposedContext:
    """Presentation context item 20H of a request."""
    if len(data) < 4:
        raise RemoteProtocolError("presentation context item is shorter than 4 bytes")
    abstract: str | None = None
    transfer: list[str] = []
    for kind, value in split_items(data[4:], "presentation context"):
        if kind == 0x30:
            if abstract is not None:
                raise RemoteProtocolError("presentation context with two abstract syntaxes")
            abstract = text_of(value)
        elif kind == 0x40:
            transfer.append(text_of(value))
    if abstract is None or not transfer:
        raise RemoteProtocolError("presentation context without abstract or transfer syntax")
    return ProposedContext(data[0], abstract, tuple(transfer))


def encode_proposed_context(context: ProposedContext) -> bytes:
    """Presentation context item 20H of a request."""
    parts = [bytes((context.context_id, 0, 0, 0)), pack_item(0x30, context.abstract_syntax.encode("latin-1"))]
    parts += [pack_item(0x40, uid.encode("latin-1")) for uid in context.transfer_syntaxes]
    return pack_item(0x20, b"".join(parts))


def decode_context_answer(data: bytes) -> ContextAnswer:
    """Presentation context item 21H of an answer; the transfer syntax counts only when accepted."""
    if len(data) < 4:
        raise RemoteProtocolError("presentation context answer is shorter than 4 bytes")
    transfer = ""
    if data[2] == 0:
        for kind, value in split_items(data[4:], "presentation context answer"):
            if kind == 0x40:
                transfer = text_of(value)
        if not transfer:
            raise RemoteProtocolError("accepted presentation context without transfer syntax")
    return ContextAnswer(data[0], data[2], transfer)


def encode_context_answer(answer: ContextAnswer) -> bytes:
    """Presentation context item 21H of an answer."""
    syntax = pack_item(0x40, answer.transfer_syntax.encode("latin-1"))
    return pack_item(0x21, bytes((answer.context_id, 0, answer.result, 0)) + syntax)


def _role(data: bytes) -> RoleSelection:
    uid, position = _sized(data, 0, "role selection")
    if len(data) != position + 2:
        raise RemoteProtocolError("role selection item has a wrong length")
    return RoleSelection(text_of(uid), bool(data[position]), bool(data[position + 1]))


def _extended(data: bytes) -> ExtendedNegotiation:
    uid, position = _sized(data, 0, "extended negotiation")
    return ExtendedNegotiation(text_of(uid), data[position:])


def _common_extended(data: bytes) -> CommonExtendedNegotiation:
    what = "common extended negotiation"
    sop_class, position = _sized(data, 0, what)
    service, position = _sized(data, position, what)
    block, _ = _sized(data, position, what)
    related, position = [], 0
    while position < len(block):
        uid, position = _sized(block, position, what)
        related.append(text_of(uid))
    return CommonExtendedNegotiation(text_of(sop_class), text_of(service), tuple(related))


def _identity(data: bytes) -> UserIdentity:
    if len(data) < 2:
        raise RemoteProtocolError("user identity item is shorter than 2 bytes")
    primary, position = _sized(data, 2, "user identity")
    secondary = _sized(data, position, "user identity")[0] if position < len(data) else b""
    return UserIdentity(data[0], primary, secondary, data[1] == 1)


def _max_length(data: bytes) -> int:
    if len(data) != 4:
        raise RemoteProtocolError("maximum length item is not 4 bytes long")
    return int.from_bytes(data, "big")


def _window(data: bytes) -> AsyncWindow:
    if len(data) != 4:
        raise RemoteProtocolError("asynchronous operations window item is not 4 bytes long")
    return AsyncWindow(int.from_bytes(data[:2], "big"), int.from_bytes(data[2:], "big"))


_SINGLE = {
    0x51: ("max_length", _max_length),
    0x52: ("implementation_class_uid", text_of),
    0x53: ("async_window", _window),
    0x55: ("implementation_version", text_of),
    0x58: ("user_identity", _identity),
    0x59: ("user_identity_response", lambda data: _sized(data, 0, "user identity response")[0]),
}


def decode_user_information(data: bytes) -> UserInformation:
    """User information item 50H. Of an item that may come once, the last one counts."""
    single: dict[str, object] = {}
    roles: list[RoleSelection] = []
    extended: list[ExtendedNegotiation] = []
    common: list[CommonExtendedNegotiation] = []
    unknown: list[tuple[int, bytes]] = []
    for kind, value in split_items(data, "user information"):
        if kind in _SINGLE:
            name, read = _SINGLE[kind]
            single[name] = read(value)
        elif kind == 0x54:
            roles.append(_role(value))
        elif kind == 0x56:
            extended.append(_extended(value))
        elif kind == 0x57:
            common.append(_common_extended(value))
        else:
            unknown.append((kind, value))
    return UserInformation(
        **single,  # type: ignore[arg-type]  # names and types stand side by side in _SINGLE
        roles=tuple(roles),
        extended=tuple(extended),
        common_extended=tuple(common),
        unknown=tuple(unknown),
    )


def encode_user_information(info: UserInformation) -> bytes:
    """User information item 50H."""
    parts = [pack_item(0x51, info.max_length.to_bytes(4, "big"))]
    parts.append(pack_item(0x52, info.implementation_class_uid.encode("latin-1")))
    if info.async_window is not None:
        window = _SHORT.pack(info.async_window.invoked) + _SHORT.pack(info.async_window.performed)
        parts.append(pack_item(0x53, window))
    parts += [
        pack_item(0x54, _pack_sized(role.sop_class_uid.encode("latin-1")) + bytes((role.scu, role.scp))) for role in info.roles
    ]
    if info.implementation_version:
        parts.append(pack_item(0x55, info.implementation_version.encode("latin-1")))
    parts += [pack_item(0x56, _pack_sized(item.sop_class_uid.encode("latin-1")) + item.information) for item in info.extended]
    for common in info.common_extended:
        related = _pack_sized(*(uid.encode("latin-1") for uid in common.related_general_uids))
        uids = (common.sop_class_uid.encode("latin-1"), common.service_class_uid.encode("latin-1"))
        parts.append(pack_item(0x57, _pack_sized(*uids, related)))
    if info.user_identity is not None:
        who = info.user_identity
        head = bytes((who.kind, who.response_wanted))
        parts.append(pack_item(0x58, head + _pack_sized(who.primary, who.secondary)))
    if info.user_identity_response is not None:
        parts.append(pack_item(0x59, _pack_sized(info.user_identity_response)))
    parts += [pack_item(kind, value) for kind, value in info.unknown]
    return pack_item(0x50, b"".join(parts))
