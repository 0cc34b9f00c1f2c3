"""Both servers against good and bad peers. Every test runs on threads, asyncio and uvloop."""

from __future__ import annotations

import dataclasses
import os
import random
import threading
import time

import pytest

from dimse import Refused, Reject, StoreResult, blocking
from dimse.acceptance import Accept
from dimse.blocking import ClientAssociation, connect
from dimse.commands import AFFECTED_CLASS, DATA_SET_TYPE, MESSAGE_ID, Command, CommandField, encode_command
from dimse.errors import AssociationAborted, AssociationFailure, AssociationRejected, ContextNotAccepted
from dimse.items import ContextAnswer
from dimse.messages import pack_command
from dimse.pdu import RELEASE_REQUEST_BYTES
from dimse.requesting import encode_store
from dimse.uids import CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN
from tests.dimse.drivers import DRIVERS, QUICK, REQUEST, Keeper, RawPeer, Running, Sink, serving
from tests.dimse.pair import CONTEXTS

pytestmark = pytest.mark.parametrize("driver", DRIVERS)
STORE = encode_store(1, CT_IMAGE_STORAGE, "1.2.3", 0, None)


def join(running: Running, **changes: object) -> ClientAssociation:
    options = {"called_aet": "GANTRY", "calling_aet": "TESTER", "contexts": CONTEXTS, "response_timeout": 8.0}
    return connect("127.0.0.1", running.port, **(options | changes))  # type: ignore[arg-type]


def store(association: ClientAssociation, data: bytes, uid: str = "1.2.3") -> StoreResult:
    return association.store(
        sop_class_uid=CT_IMAGE_STORAGE,
        sop_instance_uid=uid,
        transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN,
        data=data,
    )


def data_pdu(payload: bytes, *, last: bool) -> bytes:
    size = len(payload)
    return b"\x04\0" + (size + 6).to_bytes(4, "big") + (size + 2).to_bytes(4, "big") + bytes((3, 2 * last)) + payload


def test_echo_and_stores_of_many_sizes(driver: str) -> None:
    with serving(driver) as running:
        with join(running) as association:
            assert association.echo() == 0
            sizes = (1, 2, 131066, 131068, 700_001, 9_000_000)
            wanted = {f"1.2.{size}": random.Random(size).randbytes(size) for size in sizes}
            for uid, data in wanted.items():
                assert store(association, data, uid) == StoreResult(0)
        running.wait_until(lambda: running.keeper.ended == ["released"])
        assert running.keeper.stored == wanted
        assert running.keeper.aborted == []
        running.wait_until(lambda: running.associations() == 0)


def test_data_given_in_pieces(driver: str) -> None:
    with serving(driver) as running, join(running) as association:
        pieces = [bytes([i % 256]) * (i % 700) for i in range(2000)]
        result = association.store(
            sop_class_uid=CT_IMAGE_STORAGE,
            sop_instance_uid="1.2.3",
            transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN,
            data=pieces,
            move_originator=("MOVER", 3),
        )
        assert result.stored
        assert running.keeper.stored["1.2.3"] == b"".join(pieces)


def test_a_small_pdu_is_respected(driver: str) -> None:
    with serving(driver, dataclasses.replace(QUICK, max_pdu=4096)) as running, join(running) as association:
        data = random.Random(1).randbytes(100_001)
        assert store(association, data).stored
        assert running.keeper.stored["1.2.3"] == data


def test_what_was_not_accepted_is_not_sent(driver: str) -> None:
    with serving(driver) as running, join(running) as association:
        with pytest.raises(ContextNotAccepted):
            association.store(sop_class_uid="1.2", sop_instance_uid="1.3", transfer_syntax_uid="1.4", data=b"ab")
        assert store(association, b"ab").stored


def test_rejection(driver: str) -> None:
    with serving(driver, keeper=Keeper(decision=Reject(1, 1, 7))) as running:
        with pytest.raises(AssociationRejected, match="called AE title not recognised"):
            join(running)
        assert running.keeper.ended == []


def test_an_acceptor_may_answer_each_context(driver: str) -> None:
    answers = (ContextAnswer(1, 3, ""), ContextAnswer(3, 0, EXPLICIT_VR_LITTLE_ENDIAN))
    with serving(driver, keeper=Keeper(decision=Accept(contexts=answers))) as running, join(running) as association:
        assert dict(association.accepted) == {(CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN): 3}
        with pytest.raises(ContextNotAccepted):
            association.echo()


def refuse(*_: object) -> None:
    raise Refused(0xA700, "no room")


def fail(*_: object) -> None:
    raise KeyError("secret name")


@pytest.mark.parametrize("place", ["on_store", "on_write", "on_finish"])
@pytest.mark.parametrize(("what", "expected"), [(refuse, (0xA700, "no room")), (fail, (0x0110, "KeyError"))])
def test_refusals_and_failures_are_answered_and_the_association_goes_on(
    driver: str, place: str, what: object, expected: tuple[int, str]
) -> None:
    keeper = Keeper()
    setattr(keeper, place, what)
    with serving(driver, keeper=keeper) as running, join(running) as association:
        result = store(association, bytes(600_000))
        assert (result.status, result.comment) == expected
        assert keeper.aborted == ([] if place == "on_store" else ["1.2.3"])
        setattr(keeper, place, None)
        assert store(association, b"more").stored
        assert keeper.stored == {"1.2.3": b"more"}


def test_a_failing_decision_is_a_transient_rejection(driver: str) -> None:
    keeper = Keeper()
    keeper.association_requested = fail  # type: ignore[assignment,method-assign]
    with serving(driver, keeper=keeper) as running, pytest.raises(AssociationRejected) as caught:
        join(running)
    assert caught.value.transient


def test_unknown_services_are_answered_and_drained(driver: str) -> None:
    with serving(driver) as running, RawPeer(running.port) as peer:
        peer.associate()
        find = encode_command(Command(CommandField.C_FIND_RQ, {AFFECTED_CLASS: "1.2", MESSAGE_ID: 5, DATA_SET_TYPE: 1}))
        peer.send(pack_command(3, find, 16384) + data_pdu(b"identifier", last=False) + data_pdu(b"", last=True))
        assert peer.read_pdu()[12:].find(bytes.fromhex("0000000902000000 1102")) > 0
        peer.send(RELEASE_REQUEST_BYTES)
        assert peer.read_pdu()[0] == 6
        assert peer.read_pdu() == b""


def test_an_abort_in_the_middle_of_a_data_set(driver: str) -> None:
    with serving(driver) as running:
        with RawPeer(running.port) as peer:
            peer.associate()
            peer.send(pack_command(3, STORE, 16384) + data_pdu(bytes(100), last=False) + bytes.fromhex("07000000000400000000"))
            assert peer.read_pdu() == b""
        running.wait_until(lambda: running.keeper.ended == ["aborted"])
        assert running.keeper.aborted == ["1.2.3"]


def test_a_connection_lost_in_the_middle_of_a_data_set(driver: str) -> None:
    with serving(driver) as running:
        with RawPeer(running.port) as peer:
            peer.associate()
            peer.send(pack_command(3, STORE, 16384) + data_pdu(bytes(5000), last=False)[:-7])
        running.wait_until(lambda: running.keeper.ended == ["lost"])
        assert running.keeper.aborted == ["1.2.3"]
        assert running.keeper.stored == {}


@pytest.mark.parametrize(
    ("first", "then"),
    [(b"GET / HTTP/1.1\r\n\r\n", b""), (REQUEST, b"\x09\0\0\0\0\4abcd"), (REQUEST, b"\x04\0\xff\xff\xff\xff")],
)
def test_nonsense_is_aborted(driver: str, first: bytes, then: bytes) -> None:
    with serving(driver) as running:
        with RawPeer(running.port) as peer:
            peer.send(first)
            if then:
                assert peer.read_pdu()[0] == 2
                peer.send(then)
            assert peer.read_pdu()[0] == 7
            assert peer.read_pdu() == b""
        running.wait_until(lambda: running.associations() == 0)
        assert running.keeper.ended == (["protocol error"] if then else [])


def test_a_request_that_does_not_come_in_time(driver: str) -> None:
    limits = dataclasses.replace(QUICK, association_seconds=0.3)
    with serving(driver, limits) as running, RawPeer(running.port) as silent, RawPeer(running.port) as slow:
        began = time.monotonic()
        for byte in REQUEST[:12]:
            slow.send(bytes((byte,)))
            time.sleep(0.02)
        assert silent.read_pdu() == b""
        slow.send(REQUEST[12:20])
        assert slow.read_pdu() == b""
        assert time.monotonic() - began < 3
        running.wait_until(lambda: running.associations() == 0)


def test_idle_between_messages_and_inside_one(driver: str) -> None:
    limits = dataclasses.replace(QUICK, idle_seconds=0.3)
    with serving(driver, limits) as running, RawPeer(running.port) as between, RawPeer(running.port) as inside:
        between.associate()
        inside.associate()
        inside.send(pack_command(3, STORE, 16384) + data_pdu(bytes(50), last=False)[:30])
        assert between.read_pdu()[0] == 7
        assert inside.read_pdu()[0] == 7
        running.wait_until(lambda: running.keeper.ended == ["timed out", "timed out"])
        assert running.keeper.aborted == ["1.2.3"]


def test_a_message_that_dribbles_in(driver: str) -> None:
    limits = dataclasses.replace(QUICK, minimum_rate=10_000, rate_window_seconds=0.3)
    with serving(driver, limits) as running, RawPeer(running.port) as peer:
        peer.associate()
        peer.send(pack_command(3, STORE, 16384))

        def dribble() -> None:
            for _ in range(200):
                peer.send(data_pdu(b"x", last=False))
                time.sleep(0.02)

        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            dribble()
        running.wait_until(lambda: running.keeper.ended == ["timed out"])


def test_waiting_between_messages_is_no_slowness(driver: str) -> None:
    limits = dataclasses.replace(QUICK, minimum_rate=10_000, rate_window_seconds=0.2)
    with serving(driver, limits) as running, join(running) as association:
        for _ in range(3):
            time.sleep(0.3)
            assert store(association, b"ab").stored


def test_too_many_associations(driver: str) -> None:
    limits = dataclasses.replace(QUICK, max_associations=2)
    with serving(driver, limits) as running:
        with join(running) as first, join(running) as second:
            with pytest.raises(AssociationRejected, match="local limit") as caught:
                join(running)
            assert caught.value.transient
            assert store(first, b"ab").stored
            assert store(second, b"ab").stored
        running.wait_until(lambda: running.associations() == 0)
        with join(running) as again:
            assert again.echo() == 0


def test_half_open_connections_do_not_keep_others_out(driver: str) -> None:
    limits = dataclasses.replace(QUICK, max_associations=4, request_grace_seconds=0.1)
    with serving(driver, limits) as running:
        silent = [RawPeer(running.port) for _ in range(20)]
        time.sleep(0.3)
        with join(running) as association:
            assert store(association, b"ab").stored
            assert association.echo() == 0
        for peer in silent:
            peer.sock.close()


def test_stop_lets_a_message_end_and_aborts_the_idle(driver: str) -> None:
    with serving(driver) as running, RawPeer(running.port) as busy, RawPeer(running.port) as idle:
        busy.associate()
        idle.associate()
        busy.send(pack_command(3, STORE, 16384) + data_pdu(b"first", last=False))
        running.wait_until(lambda: "1.2.3" in running.keeper.contexts)
        late: list[int] = []
        stopping = threading.Thread(target=lambda: late.append(running.stop(5)))
        stopping.start()
        assert idle.read_pdu()[0] == 7
        busy.send(data_pdu(b"last", last=True))
        assert busy.read_pdu()[0] == 4
        assert busy.read_pdu()[0] == 7
        stopping.join()
        assert late == [0]
        assert running.keeper.stored == {"1.2.3": b"firstlast"}
        assert running.keeper.ended == ["stopped", "stopped"]
        with pytest.raises((AssociationFailure, OSError)):
            join(running, connect_timeout=0.3, response_timeout=0.3)


def test_stop_aborts_what_does_not_end(driver: str) -> None:
    with serving(driver) as running, RawPeer(running.port) as busy:
        busy.associate()
        busy.send(pack_command(3, STORE, 16384) + data_pdu(b"first", last=False))
        running.wait_until(lambda: "1.2.3" in running.keeper.contexts)
        assert running.stop(0.1) == 1
        assert busy.read_pdu()[0] == 7
        assert running.keeper.aborted == ["1.2.3"]


def test_many_at_once(driver: str) -> None:
    problems: list[BaseException] = []
    with serving(driver, dataclasses.replace(QUICK, max_associations=64)) as running:

        def sender(number: int) -> None:
            try:
                with join(running) as association:
                    for i in range(10):
                        assert store(association, bytes([number]) * (i * 3000 + 1), f"1.{number}.{i}").stored
            except BaseException as error:
                problems.append(error)

        threads = [threading.Thread(target=sender, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert problems == []
        assert len(running.keeper.stored) == 160
        assert all(set(data) == {int(uid.split(".")[1])} for uid, data in running.keeper.stored.items())


def test_a_server_that_goes_while_we_send_is_an_error_with_a_name(driver: str) -> None:
    def slow(sink: Sink) -> None:
        time.sleep(0.002)

    with serving(driver, keeper=Keeper(on_write=slow)) as running:
        association = join(running)
        stopping = threading.Timer(0.2, running.stop, (0.0,))
        stopping.start()

        def send_for_ever() -> None:
            for number in range(10_000):
                store(association, bytes(3_000_000), f"1.{number}")

        with pytest.raises(AssociationAborted):
            send_for_ever()
        stopping.join()  # before the loop it runs on is stopped


def test_two_hundred_associations_leave_nothing_behind(driver: str) -> None:
    with serving(driver) as running:
        with join(running) as association:
            association.echo()
        running.wait_until(lambda: running.associations() == 0)
        descriptors, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
        for number in range(200):
            if number % 4 == 0:
                RawPeer(running.port).sock.close()
            with join(running) as association:
                assert store(association, b"ab").stored
        running.wait_until(lambda: running.associations() == 0)
        running.wait_until(lambda: len(os.listdir("/proc/self/fd")) <= descriptors)
        assert threading.active_count() <= threads
        assert len(running.keeper.ended) == 201


def test_a_flood_over_the_limit_is_turned_away_and_forgotten(driver: str) -> None:
    limits = dataclasses.replace(QUICK, max_associations=1, close_seconds=0.5)
    with serving(driver, limits) as running, join(running) as association:
        descriptors = len(os.listdir("/proc/self/fd"))
        flood = [RawPeer(running.port) for _ in range(300)]
        assert store(association, b"ab").stored
        flood[0].send(REQUEST)
        assert flood[0].read_pdu() == bytes.fromhex("03000000000400020302")
        for peer in flood:
            peer.sock.close()
        running.wait_until(lambda: len(os.listdir("/proc/self/fd")) <= descriptors)
        assert association.echo() == 0


def test_internet_protocol_version_six(driver: str) -> None:
    try:
        blocking.listen("::1", 0).close()
    except OSError:
        pytest.skip("no IPv6 here")
    with (
        serving(driver, host="::1") as running,
        connect("::1", running.port, called_aet="A", calling_aet="B", contexts=CONTEXTS) as association,
    ):
        assert association.echo() == 0
        assert running.associations() == 1
