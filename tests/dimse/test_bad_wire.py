"""Storing over a wire that is cut, stalls, crawls, comes in crumbs or lies: what is answered 0000 is there, byte for
byte, and the sender of everything else hears an error with a name."""

from __future__ import annotations

import asyncio
import dataclasses
import random
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dimse import aio, blocking
from dimse.blocking import connect, listen
from dimse.errors import (
    AssociationAborted,
    AssociationFailure,
    ConnectionLost,
    DimseError,
    RemoteProtocolError,
    TimedOut,
)
from dimse.tls import client_context, server_context
from dimse.uids import CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN
from tests.dimse.drivers import QUICK, Keeper, Running, serving
from tests.dimse.pair import CONTEXTS
from tests.support.certificates import Authority
from tests.support.proxy import Fault, Proxy

pytestmark = pytest.mark.parametrize("driver", ["threads", "asyncio"])
LIMITS = dataclasses.replace(QUICK, close_seconds=0.1, max_pdu=4096)
#: Three instances: of one PDU, of several, of one byte.
DATA = {f"1.2.{size}": random.Random(size).randbytes(size) for size in (700, 20_001, 1)}
#: A little less than what the requestor sends for them, association request included, bytes.
WHOLE = 21_400
NAMED = (AssociationFailure, RemoteProtocolError)


@dataclasses.dataclass
class Outcome:
    """What a sender saw: the status of each instance that was answered, and why it went no further."""

    answered: dict[str, int]
    error: DimseError | None


def send(port: int, *, timeout: float = 5.0) -> Outcome:
    """Send all instances with the blocking client."""
    outcome = Outcome({}, None)
    try:
        with connect(
            "127.0.0.1", port, called_aet="A", calling_aet="B", contexts=CONTEXTS, response_timeout=timeout
        ) as association:
            for uid, data in DATA.items():
                outcome.answered[uid] = association.store(
                    sop_class_uid=CT_IMAGE_STORAGE,
                    sop_instance_uid=uid,
                    transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN,
                    data=data,
                ).status
    except DimseError as error:
        outcome.error = error
    return outcome


def send_async(port: int, *, timeout: float = 5.0) -> Outcome:
    """The same with the asyncio client."""

    async def go() -> Outcome:
        outcome = Outcome({}, None)
        try:
            async with await aio.connect(
                "127.0.0.1", port, called_aet="A", calling_aet="B", contexts=CONTEXTS, response_timeout=timeout
            ) as association:
                for uid, data in DATA.items():
                    result = await association.store(
                        sop_class_uid=CT_IMAGE_STORAGE,
                        sop_instance_uid=uid,
                        transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN,
                        data=data,
                    )
                    outcome.answered[uid] = result.status
        except DimseError as error:
            outcome.error = error
        return outcome

    return asyncio.run(go())


def judge(outcome: Outcome, running: Running) -> None:
    """The one promise: answered 0000 means stored, byte for byte. And nothing fails without a name."""
    for uid, status in outcome.answered.items():
        assert status == 0
        assert running.keeper.stored[uid] == DATA[uid]
    for uid, data in running.keeper.stored.items():
        assert data == DATA[uid]
    if len(outcome.answered) < len(DATA):
        assert isinstance(outcome.error, NAMED)
        assert str(outcome.error)


def settled(running: Running) -> None:
    """The server has let go of everything, undone what was under way, and serves the next."""
    running.wait_until(lambda: running.associations() == 0)
    outcome = send(running.port)
    assert outcome.error is None
    assert outcome.answered == dict.fromkeys(DATA, 0)


def go(driver: str, port: int, timeout: float = 5.0) -> Outcome:
    return send(port, timeout=timeout) if driver == "threads" else send_async(port, timeout=timeout)


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_cut_anywhere(driver: str, reset: bool) -> None:
    positions = [0, 1, 6, 100, 250, *random.Random(1).sample(range(250, WHOLE), 12)]
    with serving(driver, LIMITS) as running, Proxy(running.port) as proxy:
        for position in positions:
            running.keeper.stored.clear()
            proxy.forward = Fault(cut_after=position, reset=reset)
            outcome = go(driver, proxy.port)
            assert isinstance(outcome.error, ConnectionLost | AssociationAborted), position
            judge(outcome, running)
        settled(running)


def test_answers_cut_anywhere(driver: str) -> None:
    with serving(driver, LIMITS) as running, Proxy(running.port) as proxy:
        for position in (0, 5, 100, 180, 220, 290, 300, 350, 400):
            running.keeper.stored.clear()
            proxy.back = Fault(cut_after=position)
            outcome = go(driver, proxy.port)
            judge(outcome, running)
            assert outcome.error is not None or len(outcome.answered) == len(DATA)
        settled(running)


def test_the_sending_half_ends_in_the_middle(driver: str) -> None:
    with serving(driver, LIMITS) as running, Proxy(running.port) as proxy:
        for position in (3, 150, 1200, 9000, 20_000):
            running.keeper.stored.clear()
            proxy.forward = Fault(half_close_after=position)
            outcome = go(driver, proxy.port)
            assert isinstance(outcome.error, ConnectionLost | AssociationAborted)
            judge(outcome, running)
        settled(running)


@pytest.mark.parametrize("side", ["forward", "back"])
def test_a_wire_that_stalls_is_a_time_out(driver: str, side: str) -> None:
    with serving(driver, LIMITS) as running, Proxy(running.port) as proxy:
        for position in (90, 5000) if side == "forward" else (90, 300):
            running.keeper.stored.clear()
            setattr(proxy, side, Fault(stall_after=position))
            began = time.monotonic()
            outcome = go(driver, proxy.port, 0.2)
            assert isinstance(outcome.error, TimedOut)
            assert time.monotonic() - began < 8
            judge(outcome, running)


def test_the_server_gives_up_on_a_wire_that_stalls(driver: str) -> None:
    limits = dataclasses.replace(LIMITS, idle_seconds=0.2)
    with serving(driver, limits) as running, Proxy(running.port, forward=Fault(stall_after=5000)) as proxy:
        outcome = go(driver, proxy.port)
        assert isinstance(outcome.error, AssociationAborted | ConnectionLost)
        running.wait_until(lambda: running.keeper.ended == ["timed out"])
        judge(outcome, running)
        assert running.keeper.aborted == ["1.2.20001"]


def test_a_wire_that_crawls_is_given_up(driver: str) -> None:
    limits = dataclasses.replace(LIMITS, minimum_rate=20_000, rate_window_seconds=0.3)
    fault = Fault(bytes_per_second=4000, piece=40)
    with serving(driver, limits) as running, Proxy(running.port, forward=fault) as proxy:
        outcome = go(driver, proxy.port)
        assert isinstance(outcome.error, AssociationAborted | ConnectionLost)
        running.wait_until(lambda: running.keeper.ended == ["timed out"])
        judge(outcome, running)


@pytest.mark.parametrize(
    "fault",
    [Fault(piece=1), Fault(piece=7), Fault(delay_seconds=0.01), Fault(bytes_per_second=60_000, piece=1400)],
    ids=["byte by byte", "sevens", "late", "slow"],
)
def test_crumbs_and_delays_change_nothing(driver: str, fault: Fault) -> None:
    with serving(driver, LIMITS) as running, Proxy(running.port, forward=fault, back=fault) as proxy:
        outcome = go(driver, proxy.port, 20)
        assert outcome.error is None
        assert outcome.answered == dict.fromkeys(DATA, 0)
        judge(outcome, running)
        running.wait_until(lambda: running.keeper.ended == ["released"])


def differences(one: bytes, other: bytes) -> int:
    return sum(a != b for a, b in zip(one, other, strict=True))


def test_a_byte_that_lies(driver: str) -> None:
    """Plain DICOM has no checksum: a byte of a data set or of a UID that TCP lets pass arrives as it is. But no
    other byte changes, and none is made up. A length that lies may end a data set early; then what follows makes
    no sense, and the association is aborted."""
    positions = [*range(0, 330, 11), *range(330, 480), *random.Random(2).sample(range(480, WHOLE), 10)]
    chosen = positions if driver == "threads" else positions[::4]
    refused = 0
    with serving(driver, LIMITS) as running, Proxy(running.port) as proxy:
        for position in chosen:
            running.keeper.stored.clear()
            proxy.forward = Fault(corrupt_at=position, mask=0x11)
            outcome = go(driver, proxy.port, 0.4)
            refused += len(outcome.answered) < len(DATA) or any(outcome.answered.values())
            assert outcome.error is None or isinstance(outcome.error, NAMED), position
            stored = [data for uid, data in running.keeper.stored.items()]
            spoiled = 0
            for data in stored:
                like = [sent for sent in DATA.values() if len(sent) == len(data)]
                if like:
                    spoiled += differences(data, like[0])
                else:
                    assert any(sent.startswith(data) for sent in DATA.values()), position
                    assert outcome.error is not None, position
            assert spoiled <= 1, position
            assert sum(status == 0 for status in outcome.answered.values()) <= len(stored)
        assert refused > len(chosen) // 10
        settled(running)


def test_an_answer_that_lies(driver: str) -> None:
    """The sender never takes noise for success."""
    with serving(driver, LIMITS) as running, Proxy(running.port) as proxy:
        for position in range(0, 420, 7 if driver == "threads" else 29):
            running.keeper.stored.clear()
            proxy.back = Fault(corrupt_at=position)
            outcome = go(driver, proxy.port, 0.3)
            assert outcome.error is None or isinstance(outcome.error, NAMED)
            for uid, status in outcome.answered.items():
                if status == 0:
                    assert running.keeper.stored[uid] == DATA[uid]
        settled(running)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Contexts of a server and of a client that trust each other."""
    authority = Authority(tmp_path_factory.mktemp("authority") / "ours")
    trust = authority.certificate
    server, client = authority.issue("server"), authority.issue("client")
    return server_context(server.files(trust)), client_context(client.files(trust))


@contextmanager
def serving_tls(driver: str, context: ssl.SSLContext) -> Iterator[tuple[int, Keeper]]:
    """A server of the driver that speaks TLS."""
    keeper = Keeper()
    loop = asyncio.new_event_loop()
    with listen("127.0.0.1", 0) as listener:
        if driver == "threads":
            server = blocking.Server(listener, keeper, limits=LIMITS, tls=context)
            thread = threading.Thread(target=server.serve_forever, daemon=True)
        else:
            secure = aio.Server(listener, keeper, limits=LIMITS, tls=context)
            loop.call_soon(secure.start)
            thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        try:
            yield int(listener.getsockname()[1]), keeper
        finally:
            if driver == "threads":
                server.stop(0)
            else:
                asyncio.run_coroutine_threadsafe(secure.stop(0), loop).result(20)
                loop.call_soon_threadsafe(loop.stop)
            thread.join(20)
            loop.close()


def send_tls(port: int, context: ssl.SSLContext) -> Outcome:
    outcome = Outcome({}, None)
    try:
        with connect(
            "127.0.0.1", port, called_aet="A", calling_aet="B", contexts=CONTEXTS, response_timeout=1, tls=context
        ) as association:
            for uid, data in DATA.items():
                outcome.answered[uid] = association.store(
                    sop_class_uid=CT_IMAGE_STORAGE,
                    sop_instance_uid=uid,
                    transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN,
                    data=data,
                ).status
    except DimseError as error:
        outcome.error = error
    return outcome


def test_over_tls_no_byte_can_lie(driver: str, tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    """What plain DICOM cannot know, TLS does: a changed byte, wherever it is, is an error, and nothing wrong is kept."""
    with serving_tls(driver, tls[0]) as (port, keeper), Proxy(port) as proxy:
        sound = send_tls(proxy.port, tls[1])
        assert sound.error is None
        assert keeper.stored == DATA
        for position in (20, 400, *random.Random(3).sample(range(2500, 21_500), 10)):
            keeper.stored.clear()
            proxy.forward = Fault(corrupt_at=position, mask=0x10)
            outcome = send_tls(proxy.port, tls[1])
            assert outcome.error is not None, position
            assert set(outcome.answered.values()) <= {0}
            assert all(keeper.stored[uid] == DATA[uid] for uid in outcome.answered)
            assert all(DATA[uid] == data for uid, data in keeper.stored.items())


def test_over_tls_a_cut_is_not_an_end(driver: str, tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    with serving_tls(driver, tls[0]) as (port, keeper), Proxy(port) as proxy:
        for position in (0, 100, 2500, 6000, 20_000):
            keeper.stored.clear()
            proxy.forward = Fault(cut_after=position)
            outcome = send_tls(proxy.port, tls[1])
            assert isinstance(outcome.error, NAMED), position
            assert all(DATA[uid] == data for uid, data in keeper.stored.items())
            assert all(keeper.stored[uid] == DATA[uid] for uid in outcome.answered)
