"""Where fetched instances go: into the home, through a spool slot of our own, or into a folder as files."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any, Protocol
from uuid import UUID, uuid4

import psycopg

from dimse.acceptance import StoreAnswer, StoreRequest
from dimse.errors import Refused
from dimse.negotiation import AcceptedContext
from dimse.status import CANNOT_UNDERSTAND, DATA_SET_DOES_NOT_MATCH, OUT_OF_RESOURCES, PROCESSING_FAILURE
from gantry import config, database
from gantry.catalogue.locate import lookup_versions
from gantry.dataset import DamagedHeader, Envelope, NotDicom, build_prefix, read_part10, scan_identity
from gantry.nodes.items import SendTarget
from gantry.nodes.moves import Moves
from gantry.storage.errors import StorageError, StorageFull
from gantry.storage.incoming import IncomingObject
from gantry.storage.spool_writer import SpoolWriter

#: Given a question, waits until it is answered with yes or the index has nothing left to do.
AwaitIndex = Callable[[Callable[[], bool]], None]
#: A UID as part of a path: it can be neither "." nor ".." and holds no separator.
_SAFE = re.compile(r"[0-9]+(?:\.[0-9]+)*", re.ASCII)
_HEAD = 256 << 10
_DUPLICATE = 0x0111


@dataclass(frozen=True, slots=True)
class Announced:
    """An instance that a node says it has."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str = ""


@dataclass(frozen=True, slots=True)
class Bringer:
    """Who brings an instance: the node, and the association on which it came."""

    target: SendTarget
    association_id: UUID


class Sink(Protocol):
    """The data set of one instance; the same for both drivers of the engine."""

    def write(self, view: memoryview) -> None: ...

    def finish(self) -> StoreAnswer: ...

    def abort(self) -> None: ...


class Into(Protocol):
    """A place for fetched instances."""

    #: What was kept: SHA-256 of the data set by SOP Instance UID.
    kept: dict[str, bytes]
    #: What came and could not be kept, with the reason.
    refused: dict[str, str]

    def here(self, announced: Collection[Announced]) -> set[str]:
        """Those that are here already, by SOP Instance UID."""
        ...

    def sink(self, bringer: Bringer, command: StoreRequest, context: AcceptedContext) -> Sink:
        """A place for one instance. May raise Refused."""
        ...

    def ended(self, association_id: UUID) -> None:
        """An association brings nothing more."""
        ...

    def settle(self, uids: Collection[str], idle_seconds: float) -> set[str]:
        """Make it last; gives those of `uids` that are not where they belong in the end."""
        ...

    def stop(self) -> None:
        """A `settle` that waits shall wait no longer."""
        ...

    def close(self) -> None:
        """Let go."""
        ...


def _envelope(bringer: Bringer, command: StoreRequest, context: AcceptedContext, slot: str) -> Envelope:
    """The node is who brought it, whoever opened the association."""
    target = bringer.target
    return Envelope(
        "dimse", command.sop_class_uid, command.sop_instance_uid, context.transfer_syntax, target.address.aet,
        target.calling_aet, target.address.host, bringer.association_id, slot, datetime.now(UTC), None,
    )  # fmt: skip


class IntoHome:
    """Into the home: the indexer takes it from there as it takes what was received."""

    def __init__(self, home: Path, await_index: AwaitIndex) -> None:
        """Raises StorageFull, StorageFailed."""
        settings = config.current()
        self.kept: dict[str, bytes] = {}
        self.refused: dict[str, str] = {}
        self.moves = Moves(await_index)
        self._await_index = await_index
        self._stopped = False
        self._slot = f"fetch-{uuid4().hex[:8]}"
        self._spool = SpoolWriter(
            home, self._slot, durability=settings.durability, reserve_bytes=settings.disk_reserve_mb * 1024 * 1024
        )
        self._spool.open()
        self._open = True

    def here(self, announced: Collection[Announced]) -> set[str]:
        with closing(database.connect(autocommit=True, application="gantry-fetch")) as connection:
            known = lookup_versions(connection, [one.sop_instance_uid for one in announced])
        # What lies in the trash is fetched, which brings it back.
        return {uid for uid, one in known.items() if not one.trashed}

    def sink(self, bringer: Bringer, command: StoreRequest, context: AcceptedContext) -> Sink:
        prefix, digest_at = build_prefix(_envelope(bringer, command, context, self._slot))
        try:
            return _HomeSink(self, command.sop_instance_uid, self._spool.begin(prefix, digest_at))
        except StorageError as error:
            raise self.refuse(command.sop_instance_uid, error) from error

    def refuse(self, uid: str, error: StorageError) -> Refused:
        """What the node is told."""
        self.refused[uid] = str(error)
        return Refused(OUT_OF_RESOURCES if isinstance(error, StorageFull) else PROCESSING_FAILURE, "cannot be stored")

    def ended(self, association_id: UUID) -> None:
        with suppress(StorageError):  # the study settles after its quiet time all the same
            self._spool.note_association_end(association_id)

    def settle(self, uids: Collection[str], idle_seconds: float) -> set[str]:
        left = set(uids)
        quiet_since = monotonic()
        with closing(database.connect(autocommit=True, application="gantry-fetch")) as connection:

            def is_done() -> bool:
                nonlocal quiet_since
                there = self._there(connection, left, patient=True)
                if there:
                    left.difference_update(there)
                    quiet_since = monotonic()
                return not left or self._stopped or monotonic() - quiet_since > idle_seconds

            if not is_done():
                self._await_index(is_done)
                is_done()
            if left:
                left.difference_update(self._there(connection, left, patient=False))
        return left

    def _there(self, connection: psycopg.Connection[Any], uids: Collection[str], *, patient: bool) -> set[str]:
        # Where we hold the bytes, these bytes count, not those of an earlier version.
        held = [uid for uid in uids if uid in self.kept]
        known = lookup_versions(connection, held if self.moves.any else uids)
        there = {uid for uid, one in known.items() if uid not in self.kept or self.kept[uid] in one.digests}
        if self.moves.any:
            self.moves.look(connection)
            there |= self.moves.here(connection, [uid for uid in uids if uid not in self.kept], patient=patient)
        return there

    def stop(self) -> None:
        self._stopped = True

    def close(self) -> None:
        if self._open:
            self._open = False
            self._spool.close()


class _HomeSink:
    __slots__ = ("_into", "_object", "_uid")

    def __init__(self, into: IntoHome, uid: str, incoming: IncomingObject) -> None:
        self._into = into
        self._uid = uid
        self._object = incoming

    def write(self, view: memoryview) -> None:
        try:
            self._object.write(view)
        except StorageError as error:
            raise self._into.refuse(self._uid, error) from error

    def finish(self) -> StoreAnswer:
        try:
            self._into.kept[self._uid] = self._object.commit()
        except StorageError as error:
            raise self._into.refuse(self._uid, error) from error
        return StoreAnswer()

    def abort(self) -> None:
        self._object.abort()


class IntoFolder:
    """Files STUDY/SERIES/INSTANCE.dcm. A file is there whole or not at all; other bytes are never overwritten."""

    def __init__(self, folder: Path) -> None:
        """Makes the folder. Raises OSError."""
        self.kept: dict[str, bytes] = {}
        self.refused: dict[str, str] = {}
        self._folder = folder
        self._written: list[Path] = []
        folder.mkdir(parents=True, exist_ok=True)

    def here(self, announced: Collection[Announced]) -> set[str]:
        return {one.sop_instance_uid for one in announced if (path := self._place(one)) is not None and path.is_file()}

    def _place(self, one: Announced) -> Path | None:
        names = (one.study_instance_uid, one.series_instance_uid, one.sop_instance_uid)
        if not all(len(name) <= 64 and _SAFE.fullmatch(name) for name in names):
            return None
        return self._folder.joinpath(*names[:2], f"{names[2]}.dcm")

    def sink(self, bringer: Bringer, command: StoreRequest, context: AcceptedContext) -> Sink:
        prefix, digest_at = build_prefix(_envelope(bringer, command, context, ""))
        return _FileSink(self, command, context, prefix, digest_at)

    def refuse(self, uid: str, status: int, text: str) -> Refused:
        """What the node is told."""
        self.refused[uid] = text
        return Refused(status, text[:64])

    def draft(self) -> Path:
        """A name for a file that is not whole yet."""
        return self._folder / f".{uuid4().hex}.part"

    def publish(self, draft: Path, head: bytes, uid: str, syntax: str, digest: bytes) -> None:
        """Give a whole file its name. Raises Refused when it has none, or when other bytes have it."""
        identity = scan_identity(memoryview(head), syntax, whole=len(head) < _HEAD)
        one = Announced(identity.study_instance_uid or "", identity.series_instance_uid or "", identity.sop_instance_uid or "")
        path = self._place(one)
        if path is None:
            raise self.refuse(uid, CANNOT_UNDERSTAND, "the UIDs of the data set make no path")
        if one.sop_instance_uid != uid:
            raise self.refuse(uid, DATA_SET_DOES_NOT_MATCH, "SOP Instance UID differs between command and data set")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(draft, path)
        except FileExistsError:
            if _digest_of(path) != digest:
                raise self.refuse(uid, _DUPLICATE, "another file with other bytes lies there") from None
        else:
            self._written.append(path)
        self.kept[uid] = digest

    def ended(self, association_id: UUID) -> None:
        pass

    def settle(self, uids: Collection[str], idle_seconds: float) -> set[str]:
        written, self._written = self._written, []
        folders = {path.parent for path in written}
        folders |= {folder.parent for folder in folders} | {self._folder}
        with ThreadPoolExecutor(8, thread_name_prefix="sync") as threads:
            list(threads.map(_sync, [*written, *folders]))
        return {uid for uid in uids if uid not in self.kept}

    def stop(self) -> None:
        pass

    def close(self) -> None:
        pass


class _FileSink:
    __slots__ = ("_command", "_descriptor", "_digest_at", "_draft", "_hash", "_head", "_into", "_syntax")

    def __init__(self, into: IntoFolder, command: StoreRequest, context: AcceptedContext, prefix: bytes, digest_at: int) -> None:
        self._into = into
        self._command = command
        self._syntax = context.transfer_syntax
        self._digest_at = digest_at
        self._hash = hashlib.sha256()
        self._head = bytearray()
        self._draft = into.draft()
        self._descriptor = -1
        try:
            self._descriptor = os.open(self._draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
            _write_all(self._descriptor, memoryview(prefix))
        except OSError as error:
            self.abort()
            raise self._failed(error) from error

    def write(self, view: memoryview) -> None:
        if len(self._head) < _HEAD:
            self._head += view[: _HEAD - len(self._head)]
        self._hash.update(view)
        try:
            _write_all(self._descriptor, view)
        except OSError as error:
            raise self._failed(error) from error

    def finish(self) -> StoreAnswer:
        digest = self._hash.digest()
        try:
            os.pwrite(self._descriptor, digest.hex().encode("ascii"), self._digest_at)
            self._into.publish(self._draft, bytes(self._head), self._command.sop_instance_uid, self._syntax, digest)
        except OSError as error:
            raise self._failed(error) from error
        finally:
            self.abort()
        return StoreAnswer()

    def abort(self) -> None:
        """The draft goes; a published file has another name by then."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
            self._draft.unlink(missing_ok=True)

    def _failed(self, error: OSError) -> Refused:
        return self._into.refuse(self._command.sop_instance_uid, OUT_OF_RESOURCES, f"cannot be written: {error.strerror}")


def _write_all(descriptor: int, view: memoryview) -> None:
    while view:
        view = view[os.write(descriptor, view) :]


def _digest_of(path: Path) -> bytes | None:
    """SHA-256 of the data set in a file; None when it is no DICOM file."""
    size = path.stat().st_size
    with open(path, "rb", buffering=0) as file:
        try:
            part = read_part10(memoryview(file.read(_HEAD)), total=size)
        except (NotDicom, DamagedHeader):
            return None
        file.seek(part.dataset_offset)
        return hashlib.file_digest(file, "sha256").digest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def announced_of(answers: Iterable[dict[str, str | list[str]]]) -> dict[str, Announced]:
    """From answers of level IMAGE, by SOP Instance UID; those without UIDs are left out."""
    found: dict[str, Announced] = {}
    for answer in answers:
        texts = [answer.get(key, "") for key in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")]
        study, series, uid, sop_class = (text if isinstance(text, str) else "" for text in texts)
        if study and series and uid:
            found[uid] = Announced(study, series, uid, sop_class)
    return found
