"""The window of operations on asyncio, and peers without manners."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

import pytest

from dimse.asking import encode_cancel
from dimse.commands import AFFECTED_INSTANCE, MESSAGE_ID, encode_command, encode_store_response
from dimse.errors import (
    AssociationAborted,
    ConnectionLost,
    TimedOut,
)
from dimse.events import CommandReceived, DataFragment
from dimse.messages import pack_command
from dimse.negotiation import (
    STUDY_ROOT_FIND,
)
from dimse.operations import MAX_IDENTIFIER
from dimse.requesting import encode_echo
from dimse.uids import CT_IMAGE_STORAGE
from tests.dimse.archive import Archive, numbered
from tests.dimse.drivers import QUICK, RawPeer
from tests.dimse.loops import (
    STORE,
    Stuck,
    Waiting,
    accept,
    collect,
    endless,
    join,
    on_both_loops,
    raw_peer,
    serving,
    until,
)
from tests.dimse.test_operations_hostile import final_status, find_bytes, query_contexts

# --- the window ---


def windowed(window: int, seen: list[int]) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """Answers C-STORE requests only when no more come for a moment, the last one first."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        core = await accept(reader, writer, window)
        waiting: list[tuple[int, str]] = []
        while True:
            try:
                data = await asyncio.wait_for(reader.read(65536), 0.05 if waiting else 10)
            except TimeoutError:
                seen.append(len(waiting))
                for message_id, uid in reversed(waiting):
                    status = 0xB000 if message_id % 2 else 0
                    writer.write(pack_command(13, encode_store_response(message_id, CT_IMAGE_STORAGE, uid, status), 16384))
                waiting.clear()
                continue
            if not data:
                return
            core.receive(data)
            while (event := core.next_event()) is not None:
                if isinstance(event, CommandReceived):
                    waiting.append((event.command.number(MESSAGE_ID), event.command.text(AFFECTED_INSTANCE)))
                elif not isinstance(event, DataFragment):
                    writer.write(core.reply_release())

    return talk


@on_both_loops
async def test_as_many_stores_are_in_flight_as_the_peer_grants() -> None:
    for granted, asked, most in [(4, 8, 4), (8, 3, 3), (0, 8, 1)]:
        seen: list[int] = []
        async with raw_peer(windowed(granted, seen)) as port, await join(port, window=asked) as association:
            assert association.window == most
            results = await asyncio.gather(
                *(association.store(sop_instance_uid=f"1.2.{n}", data=bytes(50_000), **STORE) for n in range(1, 9))
            )
            assert [result.status for result in results] == [0xB000, 0] * 4  # each has its own answer
            assert max(seen) == most
            task = asyncio.create_task(association.store(sop_instance_uid="1.2.9", data=b"12", **STORE))
            await asyncio.sleep(0.02)
            task.cancel()
            assert (await association.store(sop_instance_uid="1.2.10", data=b"12", **STORE)).status == 0


@on_both_loops
async def test_our_server_grants_a_window() -> None:
    archive = Archive(matches=numbered(40))
    data = {f"1.2.{n}": random.Random(n).randbytes(n * 3001) for n in range(1, 60)}
    async with serving(archive) as port, await join(port, window=20) as association:
        assert association.window == 8
        results = await asyncio.gather(
            *(association.store(sop_instance_uid=uid, data=piece, **STORE) for uid, piece in data.items()),
            *(collect(association.find(b"12", sop_class_uid=STUDY_ROOT_FIND)) for _ in range(6)),
            association.echo(),
        )
        assert all(result.stored for result in results[:59])  # type: ignore[union-attr]
        assert [len(found) for found in results[59:65]] == [40] * 6  # type: ignore[arg-type]
        assert results[65] == 0
    assert archive.stored == data


@on_both_loops
async def test_half_a_message_closes_and_all_who_wait_hear_of_it() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await accept(reader, writer, 4)
        await asyncio.sleep(0.6)  # takes no bytes

    async with raw_peer(talk) as port:
        association = await join(port, window=4)
        echo = asyncio.create_task(association.echo())
        await asyncio.sleep(0)
        long = asyncio.create_task(association.store(sop_instance_uid="1.2.3", data=bytes(80_000_000), **STORE))
        later = asyncio.create_task(association.store(sop_instance_uid="1.2.4", data=b"12", **STORE))
        await asyncio.sleep(0.1)
        long.cancel()
        said = await asyncio.gather(echo, long, later, return_exceptions=True)
        assert isinstance(said[1], asyncio.CancelledError)
        assert isinstance(said[0], ConnectionLost)
        assert isinstance(said[2], ConnectionLost)
        assert not association.usable


@on_both_loops
async def test_a_peer_that_takes_no_bytes_times_out_and_one_that_aborts_says_so() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await accept(reader, writer, 0)
        await asyncio.sleep(1)

    async with raw_peer(silent) as port:
        association = await join(port, response_timeout=0.2)
        with pytest.raises(TimedOut, match="takes no bytes"):
            await association.store(sop_instance_uid="1.2.3", data=bytes(80_000_000), **STORE)

    async def aborting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        core = await accept(reader, writer, 4)
        await reader.read(100)
        writer.write(core.abort(2, 1))

    async with raw_peer(aborting) as port:
        association = await join(port, window=4)
        said = await asyncio.gather(*(association.echo() for _ in range(6)), return_exceptions=True)
        assert {type(error) for error in said} == {AssociationAborted}
        with pytest.raises(AssociationAborted):
            await association.echo()


# --- peers without manners ---


async def talking(archive: Archive, talk: Callable[[RawPeer], None], **limits: float) -> None:
    """Let a raw peer talk to our server; it must be served out and everything closed."""
    async with serving(archive, send_buffer=65536, limits=replace(QUICK, **limits)) as port:  # type: ignore[arg-type]

        def run() -> None:
            with RawPeer(port) as peer:
                query_contexts(peer)
                talk(peer)

        await asyncio.to_thread(run)
        await until(lambda: bool(archive.ended))


def cancel_bytes(message_id: int) -> bytes:
    return pack_command(3, encode_command(encode_cancel(message_id)), 16000)


def echo_bytes(message_id: int) -> bytes:
    return pack_command(1, encode_command(encode_echo(message_id)), 16000)


@on_both_loops
async def test_an_identifier_without_end_is_refused_and_a_cancel_comes_at_once() -> None:
    def long(peer: RawPeer) -> None:
        peer.send(find_bytes(bytes(MAX_IDENTIFIER + 2)))
        assert final_status(peer) == 0xA700
        peer.send(find_bytes(b"12", 2) + cancel_bytes(2))
        assert final_status(peer) in {0, 0xFE00}
        peer.send(cancel_bytes(2) + cancel_bytes(9))  # too late, and for nothing
        peer.send(find_bytes(b"12", 3))
        assert final_status(peer) == 0

    await talking(Waiting(matches=numbered(50)), long)


@on_both_loops
async def test_a_second_request_while_one_is_answered_is_refused_not_fatal() -> None:
    def greedy(peer: RawPeer) -> None:
        peer.send(find_bytes(b"12", 1))
        peer.send(find_bytes(b"12", 2) + find_bytes(b"12", 3))
        assert sorted((final_status(peer), final_status(peer))) == [0x0213, 0x0213]
        peer.send(cancel_bytes(1))
        assert final_status(peer) == 0xFE00

    await talking(Stuck(), greedy)


@on_both_loops
async def test_answers_that_nobody_asked_for_abort() -> None:
    def confused(peer: RawPeer) -> None:
        peer.send(pack_command(3, encode_store_response(7, CT_IMAGE_STORAGE, "1.2.3"), 16000))
        assert peer.read_pdu()[0] == 7

    archive = Archive()
    await talking(archive, confused)
    assert archive.ended == ["protocol error"]


@on_both_loops
async def test_who_never_reads_is_put_out_by_the_clock() -> None:
    def deaf(peer: RawPeer) -> None:
        peer.send(find_bytes(b"12"))
        time.sleep(0.7)

    for archive in (Waiting(matches=endless), Archive(matches=endless)):
        await talking(archive, deaf, send_seconds=0.2)
        assert archive.ended == ["timed out"]
        assert archive.closed == 1

    def flooding(peer: RawPeer) -> None:
        peer.sock.settimeout(2)
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with suppress(OSError):
            for number in range(1_000_000):
                peer.send(echo_bytes(number % 65535 + 1) * 50)

    archive = Archive()
    await talking(archive, flooding, send_seconds=0.2)
    assert archive.ended[0] in {"timed out", "lost"}
