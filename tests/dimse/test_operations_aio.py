"""C-FIND, C-GET, C-MOVE, C-CANCEL, the N- services on asyncio: our client and server, and DCMTK."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from dimse import (
    ContextProposal,
    Final,
    FindRequest,
    Match,
    NormalisedAnswer,
    NormalisedRequest,
    Outgoing,
    Refused,
    SubOperations,
)
from dimse.acceptance import Accept, AssociationInfo
from dimse.aio.connection import Connection
from dimse.commands import CommandField
from dimse.errors import (
    AssociationFailure,
    ContextNotAccepted,
    LocalProtocolError,
    TimedOut,
)
from dimse.identifier import Identifier
from dimse.items import ExtendedNegotiation, UserIdentity
from dimse.messages import Buffer
from dimse.negotiation import (
    STORAGE_COMMITMENT,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
    AcceptServices,
)
from dimse.uids import CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from tests.dimse.archive import ACTION, MR, QUERY, Archive, dcmqrscp, numbered, outgoing, part10
from tests.dimse.loops import (
    Bucket,
    Stuck,
    Waiting,
    collect,
    dcmtk,
    deaf_peer,
    endless,
    join,
    on_both_loops,
    serving,
    until,
)
from tests.dimse.test_peers import dataset_of, program

# --- C-FIND ---


@on_both_loops
async def test_find_brings_every_match_and_the_end() -> None:
    for archive in (Archive(matches=numbered(300)), Waiting(matches=numbered(300))):
        async with serving(archive) as port, await join(port) as association:
            asked = QUERY.encode(association.syntax_of(STUDY_ROOT_FIND))
            operation = association.find(asked, sop_class_uid=STUDY_ROOT_FIND)
            with pytest.raises(LocalProtocolError, match="under way"):
                _ = operation.final
            found = [said async for said in operation]
            assert (operation.final, operation.done, await collect(operation)) == (Final(0), True, [])
            assert [said.status for said in found[:3]] == [0xFF00, 0xFF01, 0xFF00]
            uids = [Identifier.parse(said.identifier, operation.transfer_syntax_uid)["StudyInstanceUID"] for said in found]
            assert uids == [f"1.2.{number}" for number in range(300)]
            await operation.cancel()  # too late: nothing is sent
            assert await association.echo() == 0
            with pytest.raises(ContextNotAccepted):
                association.find(b"12", sop_class_uid=MR)
        assert archive.closed == 1
        await until(lambda archive=archive: archive.ended == ["released"])  # type: ignore[misc]


@on_both_loops
async def test_answers_that_are_at_hand_go_in_one_write() -> None:
    sent: list[int] = []
    send = Connection.send_batches

    async def counted(self: Connection, batches: Iterable[Sequence[Buffer]]) -> None:
        whole = [list(batch) for batch in batches]
        sent.append(sum(len(piece) for batch in whole for piece in batch))
        await send(self, whole)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Connection, "send_batches", counted)
        for more, writes in ((True, 1), (False, 51)):
            answers = [Match(b"%04d" % number, more=more) for number in range(50)]
            archive = Waiting(matches=lambda request, cancelled, answers=answers: iter(answers))  # type: ignore[misc]
            async with serving(archive) as port, await join(port) as association:
                sent.clear()
                found = [said.identifier async for said in association.find(b"12", sop_class_uid=STUDY_ROOT_FIND)]
            assert found == [b"%04d" % number for number in range(50)]
            assert len(sent) == writes


@on_both_loops
async def test_what_a_provider_says_or_raises_ends_a_find() -> None:
    def limited(request: FindRequest, cancelled: Callable[[], bool]) -> Iterator[Match | Final]:
        yield Match(b"12")
        yield Final(0xA700, "x" * 80, offending=(0x00100020,))
        raise AssertionError("asked on after the final answer")

    def refusing(request: FindRequest, cancelled: Callable[[], bool]) -> Iterator[Match | Final]:
        yield from ()
        raise Refused(0xA900, "level")

    def failing(request: FindRequest, cancelled: Callable[[], bool]) -> Iterator[Match | Final]:
        yield Match(b"12")
        raise ConnectionError("database of Mr Doe is away")

    wanted = [
        (limited, 1, Final(0xA700, "x" * 64, (0x00100020,))),
        (refusing, 0, Final(0xA900, "level")),
        (failing, 1, Final(0x0110, "ConnectionError")),
    ]
    for kind in (Archive, Waiting):
        for matches, count, final in wanted:
            async with serving(kind(matches=matches)) as port, await join(port) as association:
                operation = association.find(b"12", sop_class_uid=STUDY_ROOT_FIND)
                assert len(await collect(operation)) == count
                assert operation.final == final
                assert await association.echo() == 0


@on_both_loops
async def test_cancel_while_answers_stream() -> None:
    for archive in (Archive(matches=endless), Waiting(matches=endless)):
        async with serving(archive) as port, await join(port) as association:
            operation = association.find(b"12", sop_class_uid=STUDY_ROOT_FIND)
            number = 0
            async for _ in operation:
                number += 1
                if number == 500:
                    await operation.cancel()
            assert operation.final == Final(0xFE00)
            assert archive.closed == 1
            assert await association.echo() == 0


@on_both_loops
async def test_cancel_interrupts_a_provider_that_waits() -> None:
    archive = Stuck()
    async with serving(archive) as port, await join(port) as association:
        operation = association.find(b"12", sop_class_uid=STUDY_ROOT_FIND)
        await anext(operation)
        began = time.monotonic()
        await operation.cancel()
        assert await operation.finish() == Final(0xFE00)
        assert time.monotonic() - began < 2
        assert archive.closed == 1
        assert await association.echo() == 0


@on_both_loops
async def test_cancelling_the_task_cancels_the_operation_and_keeps_the_association() -> None:
    archive = Stuck()
    async with serving(archive) as port, await join(port) as association:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await association.find(b"12", sop_class_uid=STUDY_ROOT_FIND).finish()
        assert await association.echo() == 0  # waits for its turn: the peer has ended the find
        assert archive.closed == 1
        async for _ in association.find(b"12", sop_class_uid=STUDY_ROOT_FIND):
            break  # forgotten: cancelled as well
        assert await association.echo() == 0
        assert archive.closed == 2
        async with association.find(b"12", sop_class_uid=STUDY_ROOT_FIND) as operation:
            await anext(operation)
        assert operation.final.status == 0xFE00


@on_both_loops
async def test_a_peer_that_ignores_a_cancel_is_left_within_a_second() -> None:
    async with deaf_peer() as port:
        for how in ("cancelled", "released"):
            association = await join(port)
            began = time.monotonic()
            if how == "cancelled":
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await association.find(b"12", sop_class_uid=STUDY_ROOT_FIND).finish()
                await until(lambda association=association: not association.usable, 1.0)  # type: ignore[misc]
            else:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.05), association:
                        await association.echo()
            assert time.monotonic() - began < 3
            with pytest.raises((LocalProtocolError, TimedOut)):
                await association.echo()
        async with await join(port) as association:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await association.find(b"12", sop_class_uid=STUDY_ROOT_FIND).finish()
        association = await join(port, response_timeout=0.1)
        with pytest.raises(TimedOut, match=r"no answer in 0\.1 s"):
            await association.echo()


@on_both_loops
async def test_a_requestor_that_leaves_ends_the_provider() -> None:
    for leave, archive in [("close", Stuck()), ("abort", Stuck()), ("close", Archive(matches=endless))]:
        async with serving(archive) as port:
            association = await join(port)
            operation = association.find(b"12", sop_class_uid=STUDY_ROOT_FIND)
            await anext(operation)
            await association.abort() if leave == "abort" else association.close()
            await until(lambda archive=archive: bool(archive.ended))  # type: ignore[misc]
            with pytest.raises((LocalProtocolError, AssociationFailure)):
                await operation.finish()
        assert archive.ended in (["lost"], ["aborted"])
        assert archive.closed == 1


class Meeting(Archive):
    """Its providers wait for one another: only when `wanted` are at work together does any of them go on."""

    def __init__(self, wanted: int) -> None:
        super().__init__()
        self.wanted = wanted
        self.here = self.most = 0
        self.all_here = asyncio.Event()

    async def find(  # type: ignore[override]
        self, association: AssociationInfo, request: FindRequest, cancelled: Callable[[], bool]
    ) -> AsyncIterator[Match | Final]:
        self.here += 1
        self.most = max(self.most, self.here)
        if self.here == self.wanted:
            self.all_here.set()
        try:
            yield Match(request.identifier)
            await self.all_here.wait()
            yield Match(request.identifier)
        finally:
            self.here -= 1


@on_both_loops
async def test_queries_inside_a_window_are_answered_at_the_same_time() -> None:
    """As many as were granted and no more; each gets its own answers."""
    archive = Meeting(3)
    async with serving(archive, async_window=3) as port, await join(port, window=8) as association:
        assert association.window == 3
        asked = [f"{number:02}".encode() for number in range(12)]
        operations = [association.find(identifier, sop_class_uid=STUDY_ROOT_FIND) for identifier in asked]
        found = await asyncio.gather(*map(collect, operations))
        assert found == [[one, one] for one in asked]
        assert [operation.final for operation in operations] == [Final(0)] * 12
        assert await association.echo() == 0
    assert archive.most == 3


@on_both_loops
async def test_cancelling_one_of_several_queries_leaves_the_others() -> None:
    archive = Meeting(4)
    async with serving(archive, async_window=4) as port, await join(port, window=4) as association:
        operations = [association.find(b"12", sop_class_uid=STUDY_ROOT_FIND) for _ in range(3)]
        tasks = [asyncio.ensure_future(collect(operation)) for operation in operations]
        await until(lambda: archive.here == 3)
        await operations[1].cancel()
        assert len(await tasks[1]) == 1
        assert operations[1].final.status == 0xFE00
        await until(lambda: archive.here == 2)
        archive.all_here.set()
        assert [len(await tasks[number]) for number in (0, 2)] == [2, 2]


@on_both_loops
async def test_a_slow_reader_holds_the_provider_back() -> None:
    archive = Waiting(matches=endless)
    async with serving(archive) as port, await join(port) as association:
        operation = association.find(b"12", sop_class_uid=STUDY_ROOT_FIND)
        await anext(operation)
        before = -1
        async with asyncio.timeout(5):
            while before != archive.produced:
                before = archive.produced
                await asyncio.sleep(0.1)
        assert before < 10_000  # socket buffers, not memory: a 2 KB answer each
        await operation.aclose(5)
        assert operation.final.status == 0xFE00


@on_both_loops
async def test_relational_queries_and_identity_are_negotiated() -> None:
    archive = Archive(matches=numbered(1))
    identity = UserIdentity(2, b"doctor", b"secret", response_wanted=True)
    async with serving(archive, policy=AcceptServices(find=True, relational=True)) as port:
        archive.decision = Accept(user_identity_response=b"")
        async with await join(
            port, extended=(ExtendedNegotiation(STUDY_ROOT_FIND, b"\1\0\0\0"),), user_identity=identity
        ) as association:
            assert len(await collect(association.find(b"12", sop_class_uid=STUDY_ROOT_FIND))) == 1
            accepted = association.core.accept_pdu
            assert accepted is not None
            assert accepted.user.user_identity_response == b""
    assert archive.asked[0].relational  # type: ignore[attr-defined]
    assert archive.infos[0].request.user.user_identity == identity


# --- C-GET, C-MOVE ---


@on_both_loops
async def test_get_stores_on_the_same_association_and_counts_what_fails() -> None:
    data = {f"1.2.{n}": random.Random(n).randbytes(n * 70_001) for n in range(1, 9)}
    instances = [outgoing(uid, piece) for uid, piece in data.items()]

    def broken() -> Any:
        raise OSError("gone")

    instances.append(Outgoing(CT_IMAGE_STORAGE, "1.2.90", EXPLICIT_VR_LITTLE_ENDIAN, broken))
    instances.append(outgoing("1.2.91", b"xx", syntax="1.2.840.10008.1.2.4.50"))
    bucket = Bucket()
    bucket.refuse = {"1.2.1"}
    async with serving(Archive(instances=instances)) as port, await join(port) as association:
        getting = association.get(QUERY.encode(IMPLICIT_VR_LITTLE_ENDIAN), sop_class_uid=STUDY_ROOT_GET, store=bucket)
        final = await getting.finish()
        assert (final.status, final.counts) == (0xB000, SubOperations(0, 7, 3, 0))
        assert Identifier.parse(final.data, IMPLICIT_VR_LITTLE_ENDIAN)["FailedSOPInstanceUIDList"] == [
            "1.2.1",
            "1.2.90",
            "1.2.91",
        ]
        assert await association.echo() == 0
        refused = association.get(b"xx", sop_class_uid=STUDY_ROOT_GET, store=bucket)
        assert (await refused.finish()).status == 0xA900
    assert bucket.data == {uid: piece for uid, piece in data.items() if uid != "1.2.1"}


@on_both_loops
async def test_a_get_that_is_cancelled_and_one_that_breaks() -> None:
    instances = [outgoing(f"1.2.{n}", bytes(400_000)) for n in range(1, 200)]
    async with serving(Archive(instances=instances)) as port:
        bucket = Bucket(pause=0.001)
        async with await join(port) as association:
            asked = QUERY.encode(IMPLICIT_VR_LITTLE_ENDIAN)
            getting = association.get(asked, sop_class_uid=STUDY_ROOT_GET, store=bucket)
            async for _ in getting:
                await getting.cancel()
            final = getting.final
            assert final.status == 0xFE00
            assert final.counts is not None
            assert (final.counts.completed, final.counts.total) == (len(bucket.data), 199)
            assert final.counts.remaining > 0
            assert await association.echo() == 0
        bucket = Bucket(pause=0.05)
        association = await join(port)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2), association:
                await association.get(asked, sop_class_uid=STUDY_ROOT_GET, store=bucket).finish()
        await until(lambda: len(bucket.aborted) == 1)


@on_both_loops
async def test_a_slow_program_is_no_silent_peer() -> None:
    async with serving(Archive(instances=[outgoing("1.2.1", b"data"), outgoing("1.2.2", b"data")])) as port:
        bucket = Bucket(pause=0.3)
        async with await join(port, response_timeout=0.2) as association:
            asked = QUERY.encode(IMPLICIT_VR_LITTLE_ENDIAN)
            final = await association.get(asked, sop_class_uid=STUDY_ROOT_GET, store=bucket).finish()
            assert final.counts == SubOperations(0, 2)
    waiting = Waiting(matches=numbered(500))
    async with serving(waiting) as port, await join(port, response_timeout=0.2, window=2) as association:
        operation = association.find(b"12", sop_class_uid=STUDY_ROOT_FIND)
        await anext(operation)
        echo = asyncio.create_task(association.echo())
        await asyncio.sleep(0.5)
        assert (len(await collect(operation)), await echo) == (499, 0)


@on_both_loops
async def test_move_reports_counts_and_its_end() -> None:
    def moving(request: Any, cancelled: Callable[[], bool]) -> Iterator[SubOperations | Final]:
        for done in range(3):
            yield SubOperations(3 - done, done)
        yield SubOperations(0, 2, 1)

    archive = Archive(moves=moving)
    async with serving(archive) as port, await join(port) as association:
        moved = association.move(b"12", sop_class_uid=STUDY_ROOT_MOVE, destination="THERE")
        assert [said.counts async for said in moved][:2] == [SubOperations(3, 0), SubOperations(2, 1)]
        assert moved.final == Final(0xB000, counts=SubOperations(0, 2, 1))
        with pytest.raises(LocalProtocolError, match="AE title"):
            association.move(b"12", sop_class_uid=STUDY_ROOT_MOVE, destination="")
    assert archive.asked[0].destination == "THERE"  # type: ignore[attr-defined]


# --- N- services ---


@on_both_loops
async def test_commitment_with_its_report_on_the_same_association() -> None:
    outcome: list[object] = []

    async def reports() -> Any:
        try:
            for number in (1, 2):
                answer = yield NormalisedRequest(
                    CommandField.N_EVENT_REPORT_RQ, 0, STORAGE_COMMITMENT, ACTION.sop_instance_uid, type_id=number, data=b"report"
                )
                outcome.append(answer.status)
        except AssociationFailure as error:
            outcome.append(error)

    archive = Archive(answer=lambda request: NormalisedAnswer(0, reports=reports))
    async with serving(archive) as port:
        async with await join(port) as association:
            said = await association.normalised(ACTION)
            assert (said.status, said.type_id) == (0, ACTION.type_id)
            assert await association.echo() == 0
            first = await association.await_report(3, lambda request: NormalisedAnswer())
            assert first is not None
            assert (first.field, first.type_id, first.data) == (CommandField.N_EVENT_REPORT_RQ, 1, b"report")

            async def refuse(request: NormalisedRequest) -> NormalisedAnswer:
                raise Refused(0x0113)

            with pytest.raises(Refused):
                await association.await_report(3, refuse)
            assert await association.await_report(0.05, refuse) is None
        assert outcome == [0, 0x0113]
        outcome.clear()
        async with await join(port) as association:
            await association.normalised(ACTION)
        await until(lambda: len(archive.ended) == 2)
    assert isinstance(outcome[0], AssociationFailure)


# --- DCMTK ---


def test_findscu_getscu_and_movescu_ask_us(tmp_path: Path) -> None:
    wanted = part10(tmp_path / "in", 4)
    (tmp_path / "out").mkdir()
    study = ["-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=1.2.3"]

    async def run() -> None:
        archive = Waiting(matches=numbered(4), instances=[outgoing(uid, data, sop_class=MR) for uid, data in wanted.items()])
        archive.moves = lambda request, cancelled: iter([SubOperations(1, 1), SubOperations(0, 2)])
        async with serving(archive) as port:
            code, said = await dcmtk(program("findscu"), *study, "-X", "-od", tmp_path, "127.0.0.1", port)
            assert code == 0, said
            code, said = await dcmtk(program("findscu"), *study, "--cancel", "2", "127.0.0.1", port)
            assert code == 0, said
            code, said = await dcmtk(program("getscu"), *study, "-od", tmp_path / "out", "127.0.0.1", port)
            assert code == 0, said
            code, said = await dcmtk(program("movescu"), "-d", *study, "-aem", "THERE", "127.0.0.1", port)
            assert code == 0, said
            await until(lambda: archive.ended == ["released"] * 4)

    asyncio.run(run())
    assert len(list(tmp_path.glob("rsp*.dcm"))) == 4
    assert sorted(dataset_of(path) for path in (tmp_path / "out").iterdir()) == sorted(wanted.values())


def test_we_ask_and_fetch_from_dcmqrscp(tmp_path: Path) -> None:
    wanted = part10(tmp_path / "in", 6)
    contexts = (
        ContextProposal(STUDY_ROOT_FIND),
        ContextProposal(STUDY_ROOT_GET),
        ContextProposal(STUDY_ROOT_MOVE),
        ContextProposal(MR, (EXPLICIT_VR_LITTLE_ENDIAN,), scu=True, scp=True),
    )

    async def run(port: int) -> None:
        bucket = Bucket()
        async with await join(port, called_aet="QR", contexts=contexts, window=4) as association:
            ask = Identifier.of(QueryRetrieveLevel="STUDY", StudyInstanceUID="", PatientID="W1")
            operation = association.find(ask.encode(IMPLICIT_VR_LITTLE_ENDIAN), sop_class_uid=STUDY_ROOT_FIND)
            found = [Identifier.parse(data, IMPLICIT_VR_LITTLE_ENDIAN)["StudyInstanceUID"] for data in await collect(operation)]
            assert (found, operation.final.status) == (["1.2.3"], 0)
            one = Identifier.of(QueryRetrieveLevel="STUDY", StudyInstanceUID="1.2.3").encode(IMPLICIT_VR_LITTLE_ENDIAN)
            final = await association.get(one, sop_class_uid=STUDY_ROOT_GET, store=bucket).finish()
            assert final.status == 0
            assert final.counts is not None
            assert final.counts.completed == 6
            moved = await association.move(one, sop_class_uid=STUDY_ROOT_MOVE, destination="NOWHERE").finish()
            assert moved.status == 0xA801
        assert bucket.data == wanted

    with dcmqrscp(tmp_path, tmp_path / "in") as port:
        asyncio.run(run(port))
