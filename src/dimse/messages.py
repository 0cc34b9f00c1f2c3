"""Messages as runs of P-DATA-TF: cutting them up for sending, and the plain case of reading (PS3.8 annex E, 9.3.5).

What may be wrong in them is judged in `dimse.association`. The payload is never copied:
what is sent is a list of small headers and slices of the caller's memory, for `sendmsg`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from dimse.errors import LocalProtocolError, RemoteProtocolError
from dimse.pdu import DATA_HEADER, P_DATA_TF

COMMAND_FLAG = 1
LAST_FLAG = 2
#: A PDU we send has at most this many bytes after its header, also when the peer knows no limit.
MAX_SENT_PDU = 256 * 1024
#: A peer that can take less than this cannot be spoken to.
MIN_PEER_PDU = 16
#: One batch for `sendmsg`: below IOV_MAX (1024 on Linux) and small enough to notice an early answer soon.
BATCH_BUFFERS = 512
BATCH_BYTES = 4 << 20

#: How many views one run takes in: with PDUs of a few bytes their list must not outgrow the buffer.
LONGEST_RUN = 256

Buffer = bytes | memoryview


def fragment_size(peer_max_length: int) -> int:
    """Largest even payload of one presentation data value towards a peer (0 = it knows no limit)."""
    limit = min(peer_max_length or MAX_SENT_PDU, MAX_SENT_PDU)
    if limit < MIN_PEER_PDU:
        raise RemoteProtocolError(f"peer accepts PDUs of {peer_max_length} bytes at most, which is too little")
    return (limit - 6) & ~1


def header(context_id: int, flags: int, size: int) -> bytes:
    """P-DATA-TF header with the header of its only presentation data value."""
    return DATA_HEADER.pack(P_DATA_TF, size + 6, size + 2, context_id, flags)


def pack_command(context_id: int, command: bytes, size: int) -> bytes:
    """A command set as PDUs with at most `size` payload bytes each, in one buffer."""
    if len(command) <= size:
        return header(context_id, COMMAND_FLAG | LAST_FLAG, len(command)) + command
    parts = []
    for start in range(0, len(command), size):
        piece = command[start : start + size]
        last = LAST_FLAG if start + size >= len(command) else 0
        parts.append(header(context_id, COMMAND_FLAG | last, len(piece)) + piece)
    return b"".join(parts)


def pack_message(context_id: int, command: bytes, data: Sequence[memoryview], size: int) -> Iterator[list[Buffer]]:
    """Command and data set as batches of buffers, each batch for one `sendmsg`.

    The first batch begins with the command, so a small message is one batch. `data` are byte views that
    follow one another; a PDU may take its payload from several of them. `LocalProtocolError` when `data` is
    empty.
    """
    total = sum(len(view) for view in data)
    if not total:
        raise LocalProtocolError("a data set has at least one byte")
    batch: list[Buffer] = [pack_command(context_id, command, size)]
    if total <= size:
        batch.append(header(context_id, LAST_FLAG, total))
        if len(data) < BATCH_BUFFERS:
            batch.extend(data)
        else:
            batch.append(b"".join(data))
        yield batch
        return
    yield from _pack_long(batch, context_id, data, size, total)


def _pack_long(batch: list[Buffer], context_id: int, data: Sequence[memoryview], size: int, total: int) -> Iterator[list[Buffer]]:
    full = header(context_id, 0, size)
    queued, sent, room = 0, 0, 0
    for view in data:
        position, end = 0, len(view)
        while position < end:
            if not room and (whole := min(end - position, total - sent - 1) // size):
                # The usual case: PDUs whose payload is one slice, and that are not the last one.
                whole = min(whole, max(1, (BATCH_BUFFERS - len(batch)) // 2), max(1, (BATCH_BYTES - queued) // size))
                stop = position + whole * size
                batch += chain.from_iterable((full, view[at : at + size]) for at in range(position, stop, size))
                position = stop
                sent += whole * size
                queued += whole * size
                if len(batch) >= BATCH_BUFFERS - 1 or queued > BATCH_BYTES - size:
                    yield batch
                    batch, queued = [], 0
                continue
            if not room:
                room = min(size, total - sent)
                batch.append(full if sent + room < total else header(context_id, LAST_FLAG, room))
            taken = min(room, end - position)
            batch.append(view[position : position + taken])
            position += taken
            sent += taken
            room -= taken
            queued += taken
            if len(batch) >= BATCH_BUFFERS or queued >= BATCH_BYTES:
                yield batch
                batch, queued = [], 0
    if batch:
        yield batch


class Run(NamedTuple):
    """How far `take_run` came: the position may be behind the bytes at hand, when a value goes on. `flags` are those of
    the last value that was taken, 0 for none."""

    position: int
    flags: int


def take_run(view: memoryview, position: int, context_id: int, limit: int, views: list[memoryview]) -> Run:
    """Take PDUs of one data value each, of at most `limit` bytes after their header, as long as they go on with the data
    set in this context; the payload goes to `views`. It stops behind the last value of the data set, and before
    whatever is not as plain as that."""
    header, add = DATA_HEADER.unpack_from, views.append
    end = len(view)
    furthest, taken = end - DATA_HEADER.size, 0
    while position <= furthest and len(views) < LONGEST_RUN:
        kind, length, value_length, number, flags = header(view, position)
        if kind != P_DATA_TF or number != context_id or flags & COMMAND_FLAG or length > limit:
            break
        if length != value_length + 4 or value_length < 2:
            break
        begin = position + 12
        position = begin + value_length - 2
        if position > end:
            if begin < end:
                add(view[begin:end])
            return Run(position, flags)
        if position > begin:
            add(view[begin:position])
        taken = flags
        if flags & LAST_FLAG:
            break
    return Run(position, taken)


def rest_of(batch: Sequence[Buffer], sent: int) -> list[Buffer]:
    """What is left of a batch after `sent` bytes."""
    for number, piece in enumerate(batch):
        if sent < len(piece):
            return [memoryview(piece)[sent:], *batch[number + 1 :]]
        sent -= len(piece)
    return []
