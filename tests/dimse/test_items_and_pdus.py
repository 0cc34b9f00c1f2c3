"""Reading and writing of PDUs and items: recorded ones, made-up ones, wrong ones."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dimse.errors import RemoteProtocolError
from dimse.items import (
    AsyncWindow,
    CommonExtendedNegotiation,
    ContextAnswer,
    ExtendedNegotiation,
    ProposedContext,
    RoleSelection,
    UserIdentity,
    UserInformation,
    pack_item,
)
from dimse.pdu import (
    Abort,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    decode_abort,
    decode_accept,
    decode_reject,
    decode_request,
    encode_abort,
    encode_accept,
    encode_reject,
    encode_request,
)
from dimse.uids import EXPLICIT_VR_LITTLE_ENDIAN, VERIFICATION
from tests.dimse import golden

uids = st.lists(st.integers(0, 99999), min_size=2, max_size=6).map(lambda parts: ".".join(map(str, parts)))
titles = st.text("ABCDEFGHIJ_0123456789", min_size=1, max_size=16)
opaque = st.binary(max_size=40)
user_information = st.builds(
    UserInformation,
    max_length=st.integers(0, 2**32 - 1),
    implementation_class_uid=uids,
    implementation_version=st.text("ABC_123", max_size=16),
    async_window=st.none() | st.builds(AsyncWindow, st.integers(0, 65535), st.integers(0, 65535)),
    roles=st.lists(st.builds(RoleSelection, uids, st.booleans(), st.booleans()), max_size=3).map(tuple),
    extended=st.lists(st.builds(ExtendedNegotiation, uids, opaque), max_size=3).map(tuple),
    common_extended=st.lists(
        st.builds(CommonExtendedNegotiation, uids, uids, st.lists(uids, max_size=3).map(tuple)), max_size=2
    ).map(tuple),
    user_identity=st.none() | st.builds(UserIdentity, st.integers(1, 5), opaque, opaque, st.booleans()),
    user_identity_response=st.none() | opaque,
    unknown=st.lists(st.tuples(st.integers(0x60, 0xFF), opaque), max_size=3).map(tuple),
)


@settings(max_examples=60, deadline=None)
@given(
    titles,
    titles,
    st.lists(st.tuples(uids, st.lists(uids, min_size=1, max_size=4)), min_size=1, max_size=9),
    user_information,
)
def test_request_survives_the_wire(
    called: str, calling: str, contexts: list[tuple[str, list[str]]], user: UserInformation
) -> None:
    proposed = tuple(ProposedContext(2 * i + 1, abstract, tuple(transfer)) for i, (abstract, transfer) in enumerate(contexts))
    request = AssociateRequest(called, calling, proposed, user)
    assert decode_request(encode_request(request)[6:]) == request


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), uids), min_size=1, max_size=9), user_information)
def test_accept_survives_the_wire(answers: list[tuple[int, str]], user: UserInformation) -> None:
    contexts = tuple(ContextAnswer(2 * i + 1, result, uid if not result else "") for i, (result, uid) in enumerate(answers))
    accept = AssociateAccept("A", "B", contexts, user)
    assert decode_accept(encode_accept(accept)[6:]) == accept


def test_reject_and_abort_survive_the_wire() -> None:
    assert decode_reject(encode_reject(AssociateReject(2, 3, 2))[6:]) == AssociateReject(2, 3, 2)
    assert decode_abort(encode_abort(Abort(2, 6))[6:]) == Abort(2, 6)


def test_recorded_request_of_echoscu() -> None:
    request = decode_request(golden.ECHOSCU_RQ[6:])
    assert (request.called_aet, request.calling_aet, request.protocol_version) == ("ANY-SCP", "ECHOSCU", 1)
    assert request.contexts == (ProposedContext(1, VERIFICATION, ("1.2.840.10008.1.2",)),)
    assert request.user.max_length == 16384
    assert request.user.implementation_version == "OFFIS_DCMTK_367"


@pytest.mark.parametrize("recorded", [golden.ECHOSCU_RQ, golden.DCMSEND_RQ], ids=["echoscu", "dcmsend"])
def test_recorded_requests_are_written_the_same_but_for_reserved_bytes(recorded: bytes) -> None:
    request = decode_request(recorded[6:])
    ours = encode_request(request)
    assert len(ours) == len(recorded)
    assert [(a, b) for a, b in zip(ours, recorded, strict=True) if a != b] == [(0, 0xFF)] * len(request.contexts)
    assert decode_request(ours[6:]) == request


def test_recorded_request_of_pynetdicom_has_every_negotiation() -> None:
    user = decode_request(golden.PYNETDICOM_RQ[6:]).user
    assert user.async_window == AsyncWindow(4, 2)
    assert user.roles == (RoleSelection("1.2.840.10008.5.1.4.1.1.2", True, True),)
    assert user.extended == (ExtendedNegotiation("1.2.840.10008.5.1.4.1.2.2.1", b"\1\1\0"),)
    assert user.common_extended == (
        CommonExtendedNegotiation("1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.4.2", ("1.2.840.10008.5.1.4.1.1.88.22",)),
    )
    assert user.user_identity == UserIdentity(2, b"someone", b"pass", True)
    assert "someone" not in repr(user)


@pytest.mark.parametrize("recorded", [golden.STORESCP_AC, golden.PYNETDICOM_AC], ids=["storescp", "pynetdicom"])
def test_recorded_answers(recorded: bytes) -> None:
    accept = decode_accept(recorded[6:])
    assert accept.contexts == (ContextAnswer(1, 0, "1.2.840.10008.1.2"),)
    assert accept.user.max_length in {16384, 16382}
    assert decode_accept(encode_accept(accept)[6:]) == accept


def test_recorded_reject() -> None:
    assert decode_reject(golden.PYNETDICOM_RJ[6:]) == AssociateReject(1, 1, 7)


def request_body(**changes: object) -> bytes:
    base = {
        "called_aet": "A",
        "calling_aet": "B",
        "contexts": (ProposedContext(1, VERIFICATION, (EXPLICIT_VR_LITTLE_ENDIAN,)),),
    }
    return encode_request(AssociateRequest(**(base | changes)))[6:]  # type: ignore[arg-type]


def contexts(*ids: int) -> tuple[ProposedContext, ...]:
    return tuple(ProposedContext(number, VERIFICATION, (EXPLICIT_VR_LITTLE_ENDIAN,)) for number in ids)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "too short"),
        (bytes(67), "too short"),
        (request_body()[:-1], "claims"),
        (request_body() + b"\0\0\0", "stray bytes"),
        (request_body() + pack_item(0x50, b""), "two user information"),
        (request_body() + pack_item(0x20, b"\3"), "shorter than 4"),
        (request_body() + pack_item(0x20, bytes(4)), "without abstract or transfer"),
        (request_body(contexts=()), "without presentation context"),
        (request_body(contexts=contexts(1, 1)), "same id"),
        (request_body(contexts=contexts(2)), "even id"),
        (request_body(contexts=contexts(*range(1, 256, 2), 1)), "more than 128"),
        (bytes(68) + pack_item(0x50, pack_item(0x51, b"\0")), "maximum length"),
        (bytes(68) + pack_item(0x50, pack_item(0x53, b"\0")), "window"),
        (bytes(68) + pack_item(0x50, pack_item(0x54, b"\0\4ab")), "claims 4"),
        (bytes(68) + pack_item(0x50, pack_item(0x54, b"\0\1a\1")), "wrong length"),
        (bytes(68) + pack_item(0x50, pack_item(0x56, b"\0")), "cut off"),
        (bytes(68) + pack_item(0x50, pack_item(0x57, b"\0\1a\0\1b\0\4\0\3xy")), "claims 4|claims 3"),
        (bytes(68) + pack_item(0x50, pack_item(0x58, b"\1")), "shorter than 2"),
        (bytes(68) + bytes(4 * 10_000), "more than 8192 items"),
    ],
)
def test_wrong_requests_are_named(body: bytes, says: str) -> None:
    with pytest.raises(RemoteProtocolError, match=says):
        decode_request(body)


def test_hundred_thousand_contexts_are_refused_early() -> None:
    item = pack_item(0x20, bytes((1, 0, 0, 0)) + pack_item(0x30, b"1.2") + pack_item(0x40, b"1.2"))
    with pytest.raises(RemoteProtocolError, match="more than 128"):
        decode_request(bytes(68) + item * 100_000)


def test_an_ae_title_that_does_not_fit_is_our_error() -> None:
    with pytest.raises(ValueError, match="at most 16"):
        request_body(called_aet="A" * 17)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([decode_request, decode_accept, decode_reject, decode_abort]))
def test_random_bytes_give_only_remote_errors(tail: bytes, decode: object) -> None:
    for body in (tail, bytes(68) + tail, golden.PYNETDICOM_RQ[6:-60] + tail):
        with suppress(RemoteProtocolError):
            decode(body)  # type: ignore[operator]
