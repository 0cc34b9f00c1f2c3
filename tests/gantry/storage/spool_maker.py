"""Makes objects as a receiver would, and reads them back as the indexer would."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from gantry.storage import RunEnded, SpooledObject, SpoolReader, SpoolWriter
from gantry.storage.spooled import SpoolEvent

PREFIX = b"\0" * 128 + b"DICM" + b"meta" * 20 + b"0" * 64 + b"  "
DIGEST_AT = 128 + 4 + 80


def data(size: int, seed: int = 0) -> bytes:
    """Bytes that repeat nowhere at a block's distance."""
    block = hashlib.shake_128(seed.to_bytes(8, "little")).digest(min(size, 65_521))
    return (block * (size // len(block) + 1))[:size] if size else b""


def store(writer: SpoolWriter, content: bytes, fragment: int = 131_066) -> bytes:
    """Receive one object; gives its digest."""
    incoming = writer.begin(PREFIX, DIGEST_AT)
    view = memoryview(content)
    for at in range(0, len(view), fragment):
        incoming.write(view[at : at + fragment])
    digest = incoming.commit()
    assert digest == hashlib.sha256(content).digest()
    return digest


def whole(obj: SpooledObject) -> bytes:
    return obj.head(obj.size)


def as_stored(content: bytes) -> bytes:
    """What the file of an object must be: prefix with digest, data set."""
    digits = hashlib.sha256(content).hexdigest().encode()
    return PREFIX[:DIGEST_AT] + digits + PREFIX[DIGEST_AT + 64 :] + content


def events(reader: SpoolReader, positions: Mapping[str, int] | None = None, limit: int = 1000) -> list[SpoolEvent]:
    return reader.pending(positions or {}, limit)


def objects(found: list[SpoolEvent]) -> list[SpooledObject]:
    return [event for event in found if isinstance(event, SpooledObject)]


def advance(positions: dict[str, int], found: list[SpoolEvent]) -> None:
    for event in found:
        if not isinstance(event, RunEnded) and event.position is not None:
            positions[event.position[0]] = event.position[1]


def drain(home: Path, limit: int = 50) -> Iterator[bytes]:
    """Index everything as intake does: place, sync, release; gives the bytes of the placed files."""
    positions: dict[str, int] = {}
    with SpoolReader(home) as reader:
        while found := reader.pending(positions, limit):
            batch = objects(found)
            places = []
            for obj in batch:
                places.append(f"objects/00/1/2/{obj.sha256.hex()}.dcm")
                reader.place(obj, places[-1])
            reader.sync()
            advance(positions, found)
            reader.release(batch, positions)
            for place in places:
                yield (home / place).read_bytes()
