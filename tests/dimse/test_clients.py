"""The asyncio client against our server, and both clients against servers that misbehave."""

from __future__ import annotations

import asyncio
import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from dimse import ContextProposal, StoreResult, aio, blocking
from dimse.commands import Command, CommandField, encode_store_response
from dimse.errors import (
    AssociationAborted,
    AssociationRejected,
    AssociationReleased,
    ConnectFailed,
    ConnectionLost,
    ContextNotAccepted,
    DimseError,
    LocalProtocolError,
    NotAnswered,
    RemoteProtocolError,
    TimedOut,
)
from dimse.messages import pack_command
from dimse.pdu import RELEASE_REPLY_BYTES, RELEASE_REQUEST_BYTES, Abort, AssociateReject, encode_abort, encode_reject
from dimse.uids import CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN
from tests.dimse import golden
from tests.dimse.drivers import serving
from tests.dimse.pair import CONTEXTS

OPTIONS = {"called_aet": "GANTRY", "calling_aet": "TESTER", "contexts": CONTEXTS, "response_timeout": 0.6}
UIDS = {"sop_class_uid": CT_IMAGE_STORAGE, "transfer_syntax_uid": EXPLICIT_VR_LITTLE_ENDIAN}
STORE = {**UIDS, "sop_instance_uid": "1.2.3"}
ABORT = encode_abort(Abort(2, 6))
ECHO_RSP = golden.STORESCP_ECHO_RSP


def echo_and_store(driver: str, port: int, data: bytes = b"data") -> StoreResult:
    """Connect, echo, store, release: with one of the clients."""
    if driver == "threads":
        with blocking.connect("127.0.0.1", port, **OPTIONS) as association:  # type: ignore[arg-type]
            assert association.echo() == 0
            result = association.store(data=data, **STORE)
            association.release()
            return result

    async def run() -> StoreResult:
        association = await aio.connect("127.0.0.1", port, **OPTIONS)  # type: ignore[arg-type]
        async with association:
            assert await association.echo() == 0
            result = await association.store(data=data, **STORE)
            await association.release()
            return result

    if driver == "uvloop":
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(run())
    return asyncio.run(run())


@contextmanager
def scripted(*answers: bytes | None) -> Iterator[int]:
    """A server that answers each PDU with the next of `answers`; None closes the connection."""
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        sock, _ = listener.accept()
        with sock:
            sock.settimeout(3)
            stream = sock.makefile("rb")
            for answer in answers:
                try:
                    head = stream.read(6)
                    stream.read(int.from_bytes(head[2:6], "big"))
                    if answer is None:
                        return
                    sock.sendall(answer)
                except OSError:
                    return
            try:
                while stream.read(65536):
                    continue
            except OSError:
                return

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()
        thread.join()


def accept_both() -> bytes:
    from dimse.items import ContextAnswer, UserInformation
    from dimse.pdu import AssociateAccept, encode_accept

    answers = (ContextAnswer(1, 0, "1.2.840.10008.1.2"), ContextAnswer(3, 0, EXPLICIT_VR_LITTLE_ENDIAN))
    return encode_accept(AssociateAccept("A", "B", answers, UserInformation(max_length=16384)))


ACCEPT = accept_both()


def store_rsp(message_id: int) -> bytes:
    return pack_command(3, encode_store_response(message_id, CT_IMAGE_STORAGE, "1.2.3", 0xB000, "coerced"), 16384)


pytestmark = pytest.mark.parametrize("driver", ["threads", "asyncio", "uvloop"])


@pytest.mark.parametrize("size", [1, 5_000_001])
def test_a_whole_conversation(driver: str, size: int) -> None:
    data = random.Random(size).randbytes(size)
    with serving("threads") as running:
        assert echo_and_store(driver, running.port, data) == StoreResult(0)
        running.wait_until(lambda: running.keeper.ended == ["released"])
        assert running.keeper.stored == {"1.2.3": data}


def test_warnings_and_comments_are_told(driver: str) -> None:
    with scripted(ACCEPT, ECHO_RSP, b"", store_rsp(2), RELEASE_REPLY_BYTES) as port:
        result = echo_and_store(driver, port)
    assert (result.status, result.comment, result.stored) == (0xB000, "coerced", True)


def test_an_answer_in_the_middle_of_sending(driver: str) -> None:
    with scripted(ACCEPT, ECHO_RSP, store_rsp(2)) as port, pytest.raises(TimedOut):
        echo_and_store(driver, port, bytes(30_000_000))  # all is sent, the answer is taken, the release is not answered


@pytest.mark.parametrize(
    ("answers", "error", "says"),
    [
        ([encode_reject(AssociateReject(1, 1, 7))], AssociationRejected, "called AE title"),
        ([ABORT], AssociationAborted, "invalid PDU parameter"),
        ([None], NotAnswered, "closed .* before it answered"),
        ([b""], TimedOut, r"0\.6 s"),
        ([b"HTTP/1.1 400 Bad Request\r\n\r\n"], RemoteProtocolError, "unknown PDU type 48"),
        ([golden.ECHOSCU_RQ], RemoteProtocolError, "REQUEST_PDU while AWAITING_ANSWER"),
        ([golden.STORESCP_AC, ECHO_RSP], ContextNotAccepted, "1.2.840.10008.1.2.1 was not accepted"),
        ([ACCEPT, RELEASE_REQUEST_BYTES], AssociationReleased, "released"),
        ([ACCEPT, ABORT], AssociationAborted, "protocol layer"),
        ([ACCEPT, None], ConnectionLost, "closed"),
        ([ACCEPT, b""], TimedOut, r"0\.6 s"),
        ([ACCEPT, store_rsp(1)], RemoteProtocolError, "does not answer"),
        ([ACCEPT, ECHO_RSP, ABORT], AssociationAborted, "invalid"),
        ([ACCEPT, ECHO_RSP, b"", ABORT], AssociationAborted, "invalid"),
        ([ACCEPT, ECHO_RSP, b"", store_rsp(1)], RemoteProtocolError, "does not answer"),
        ([ACCEPT, ECHO_RSP, b"", store_rsp(2), b""], TimedOut, r"0\.6 s"),
    ],
)
def test_what_can_go_wrong_has_a_name(driver: str, answers: list[bytes | None], error: type[DimseError], says: str) -> None:
    with scripted(*answers) as port, pytest.raises(error, match=says):
        echo_and_store(driver, port)


def test_an_abort_while_sending_is_an_abort(driver: str) -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        sock, _ = listener.accept()
        with sock:
            stream = sock.makefile("rb")
            for answer in (ACCEPT, ECHO_RSP):
                stream.read(int.from_bytes(stream.read(6)[2:6], "big"))
                sock.sendall(answer)
            stream.read(100_000)
            sock.sendall(ABORT)
            sock.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=run)
    thread.start()
    with listener, pytest.raises(AssociationAborted, match="protocol layer"):
        echo_and_store(driver, listener.getsockname()[1], bytes(60_000_000))
    thread.join()


def test_release_collision_on_the_wire(driver: str) -> None:
    answers = (ACCEPT, ECHO_RSP, b"", store_rsp(2), RELEASE_REQUEST_BYTES, RELEASE_REPLY_BYTES)
    with scripted(*answers) as port:
        assert echo_and_store(driver, port).stored


def test_questions_of_the_peer_are_answered(driver: str) -> None:
    event = Command(CommandField.N_EVENT_REPORT_RQ, {0x0002: "1.2", 0x0110: 9, 0x1000: "1.3", 0x1002: 1})
    from dimse.commands import encode_command

    with scripted(
        ACCEPT, pack_command(1, encode_command(event), 16384), ECHO_RSP, b"", store_rsp(2), RELEASE_REPLY_BYTES
    ) as port:
        assert echo_and_store(driver, port).stored


def test_nobody_listens(driver: str) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectFailed, match="no connection to"):
            echo_and_store(driver, sock.getsockname()[1])


def test_wrong_wishes_are_our_errors(driver: str) -> None:
    for wrong in ({"called_aet": ""}, {"contexts": [ContextProposal("1.2")] * 129}):
        asking: Callable[[], object] = lambda wrong=wrong: (  # noqa: E731 (two ways to say it)
            blocking.connect("127.0.0.1", 1, **(OPTIONS | wrong))  # type: ignore[arg-type]
            if driver == "threads"
            else asyncio.run(aio.connect("127.0.0.1", 1, **(OPTIONS | wrong)))  # type: ignore[arg-type]
        )
        with pytest.raises(LocalProtocolError):
            asking()


def test_a_closed_association_says_so(driver: str) -> None:
    if driver != "threads":
        asyncio.run(_closed_on_a_loop())
        return
    with serving("threads") as running:
        association = blocking.connect("127.0.0.1", running.port, **OPTIONS)  # type: ignore[arg-type]
        association.release()
        association.release()
        association.abort()
        calls: list[Callable[[], object]] = [association.echo, lambda: association.store(data=b"x", **STORE)]
        for call in calls:
            with pytest.raises(LocalProtocolError, match="closed"):
                call()


async def _closed_on_a_loop() -> None:
    with serving("asyncio") as running:
        association = await aio.connect("127.0.0.1", running.port, **OPTIONS)  # type: ignore[arg-type]
        await association.release()
        await association.release()
        await association.abort()
        for call in (association.echo, lambda: association.store(data=b"x", **STORE)):
            with pytest.raises(LocalProtocolError, match="closed"):
                await call()
