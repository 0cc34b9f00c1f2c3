"""Heal a stored object whose file is missing or damaged: fetch its bytes again from a node that has them.

Bytes with the digest of the row get a name of their own beside the old place, durably; then the row is pointed at them
and the old file doomed, in one transaction. So readers see the old file or the new one, whatever crashes. Other bytes
are no cure: they go through intake, as a new version with a conflict, which people see.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
from procrastinate import JobContext
from procrastinate.contrib.django import app

from gantry import audit, config, database
from gantry.dataset import DatasetError, read_part10
from gantry.intake import volumes
from gantry.intake.import_files import import_paths
from gantry.intake.scrub import Healed, ScrubState, scrub
from gantry.nodes import registry
from gantry.nodes.errors import NodeError
from gantry.nodes.fetch import FetchResult, Patience, fetch
from gantry.nodes.into import Announced, Bringer, IntoFolder, Sink
from gantry.nodes.items import SendTarget
from gantry.nodes.models import Node
from gantry.storage import ExpectedFile, on_volume, resolve, volume_of
from gantry.storage.errors import StorageError
from gantry.storage.layout import make_directory
from gantry.storage.spooled import digest_of
from gantry.storage.verify import check_file
from gantry.storage.volume import sync_path

log = logging.getLogger(__name__)

#: Nodes that are asked for one lost object.
MOST_NODES = 8
PATIENCE = Patience(idle_seconds=20.0, deadline=600.0)
_HEAD = 1 << 20
_ARRIVE_SECONDS = 20.0
#: A job scrubs for so long; the next one goes on a minute after this one began.
_SLICE_SECONDS = 50.0


@dataclass(frozen=True, slots=True)
class _Lost:
    """The version that is to be healed."""

    id: int
    study: str
    series: str
    instance: str
    sha256: bytes
    dataset_offset: int
    dataset_bytes: int
    file_path: str
    volume_id: int | None
    calling_aet: str
    current: bool

    @property
    def expected(self) -> ExpectedFile:
        return ExpectedFile(self.file_path, bytes(self.sha256), self.dataset_offset, self.dataset_bytes)

    @property
    def name(self) -> str:
        return f"{self.study}/{self.series}/{self.instance}"


def heal(connection: psycopg.Connection[Any], home: Path, version_id: int) -> Healed:
    """Fetch the bytes of a version from the nodes that may have them, one after the other. `connection` is in autocommit.

    Never raises for what a node does or does not have; storage and database errors are raised.
    """
    sql = database.statements("gantry.transfers", "life.sql")
    lost = _look_up(connection, version_id)
    if lost is None:
        return Healed("left", "its row is gone")
    if check_file(home, lost.expected).kind == "ok":
        return Healed("healed", "its bytes are whole again")
    values = {"version_id": version_id, "calling_aet": lost.calling_aet, "limit": MOST_NODES}
    ids = [entry[0] for entry in connection.execute(sql["who_may_have"], values)]
    reasons: list[str] = []
    for node in _dimse_nodes(ids):
        healed = _from_node(connection, home, lost, node, reasons)
        if healed is not None:
            return healed
    why = "; ".join(reasons)[:800] or "no node is known that could have it"
    return Healed("left", f"not healed: {why}")


def _look_up(connection: psycopg.Connection[Any], version_id: int) -> _Lost | None:
    sql = database.statements("gantry.transfers", "life.sql")["lost_version"]
    row = connection.execute(sql, {"version_id": version_id}).fetchone()
    return None if row is None else _Lost(*row)


def _is_whole(connection: psycopg.Connection[Any], home: Path, version_id: int) -> bool:
    """By its row as it is now: what comes again may begin elsewhere in its file, or lie on another volume."""
    now = _look_up(connection, version_id)
    return now is not None and check_file(home, now.expected).kind == "ok"


def _dimse_nodes(ids: list[int]) -> Iterator[Node]:
    found = {node.pk: node for node in Node.objects.filter(pk__in=ids)}
    yield from (found[one] for one in ids if one in found and getattr(found[one], "kind", "dimse") == "dimse")


def _from_node(connection: psycopg.Connection[Any], home: Path, lost: _Lost, node: Node, reasons: list[str]) -> Healed | None:
    try:
        target = registry.target_of(node)
        with _folder(home) as folder:
            into = _IntoAside(folder)
            result = asyncio.run(fetch(target, [lost.name], into, how="get", patience=PATIENCE))
            if lost.instance in into.kept:
                return _use(connection, home, lost, folder, node.name)
        if result.announced:
            with _aside(home, lost) as asked:
                result = _move(connection, home, target, lost)
                if _is_whole(connection, home, lost.id):
                    asked.done = True
                    _note(connection, lost, node.name, "healed")
                    return Healed("healed", f"fetched again from node {node.name} (C-MOVE)")
    except (NodeError, OSError, StorageError) as error:
        reasons.append(f"{node.name}: {type(error).__name__}")
        return None
    reasons.append(f"{node.name}: {result.error or 'it did not give the instance'}")
    return None


# By C-GET, into a folder of its own


class _IntoAside(IntoFolder):
    """A folder in which nothing is here yet."""

    def here(self, announced: Collection[Announced]) -> set[str]:
        return set()


@contextmanager
def _folder(home: Path) -> Iterator[Path]:
    folder = home / "run" / f"heal-{uuid4().hex[:8]}"
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _use(connection: psycopg.Connection[Any], home: Path, lost: _Lost, folder: Path, node: str) -> Healed:
    """What came: the same bytes are put in place, others go through the door."""
    path = next(path for path in folder.rglob("*.dcm"))
    size = path.stat().st_size
    try:
        with open(path, "rb") as file:
            offset = read_part10(memoryview(file.read(_HEAD)), total=size).dataset_offset
    except DatasetError as error:
        return Healed("left", f"node {node} gave something that is no DICOM file: {type(error).__name__}")
    if digest_of(str(path), offset) != bytes(lost.sha256):
        outcomes = {outcome.outcome for outcome in import_paths([path], home=home)}
        _note(connection, lost, node, "superseded")
        told = "a version that is here already" if outcomes == {"duplicate"} else "a new version with a conflict"
        action = "superseded" if outcomes <= {"stored", "new version", "duplicate"} else "left"
        return Healed(action, f"node {node} has other bytes: they are kept as {told}")
    _replace(connection, home, lost, path, (offset, size))
    _note(connection, lost, node, "healed")
    return Healed("healed", f"fetched again from node {node}, with the digest that was received")


def _replace(connection: psycopg.Connection[Any], home: Path, lost: _Lost, source: Path, what: tuple[int, int]) -> None:
    """Give whole bytes a name beside the old one; then the row, and what is to go, in one transaction."""
    known = volumes.of_home(connection, home)
    keys = [known.key(one) for one in known.mounted()] or [None]
    volume_id = lost.volume_id if lost.volume_id in keys else keys[0]
    inside = lost.file_path if volume_of(lost.file_path) is None else lost.file_path.split("/", 2)[2]
    place = on_volume(volume_id, f"{inside.removesuffix('.dcm').split('~')[0]}~{uuid4().hex[:16]}.dcm")
    target = resolve(home, place)
    for changed in make_directory(os.path.dirname(target)):
        sync_path(changed)
    draft = f"{target}.part"
    try:
        shutil.copyfile(source, draft)
        os.chmod(draft, 0o600)
        sync_path(draft)
        if digest_of(draft, what[0]) != bytes(lost.sha256):
            raise StorageError("the volume does not give back what was written")
        os.rename(draft, target)
        sync_path(os.path.dirname(target))
    except BaseException:
        with suppress(OSError):
            os.unlink(draft)
        raise
    sql = database.statements("gantry.transfers", "life.sql")
    with connection.transaction():
        values = {"version_id": lost.id, "path": lost.file_path, "now_path": place, "volume_id": volume_id}
        if connection.execute(sql["put_right"], {**values, "dataset_offset": what[0], "file_bytes": what[1]}).fetchone():
            connection.execute(sql["doom"], {"path": lost.file_path, "volume_id": lost.volume_id})
        else:
            connection.execute(sql["doom"], {"path": place, "volume_id": volume_id})


# By C-MOVE, through our receiver: intake puts a file that is missing back when its bytes come again


@dataclass(slots=True)
class _Aside:
    done: bool = False


@contextmanager
def _aside(home: Path, lost: _Lost) -> Iterator[_Aside]:
    """The damaged file under another name, so that it is missing; back again unless it was healed."""
    path = resolve(home, lost.file_path)
    away = home / "run" / f"damaged-{uuid4().hex[:8]}"
    moved = os.path.exists(path)
    if moved:
        shutil.move(path, away)
    asked = _Aside()
    try:
        yield asked
    finally:
        if moved and not asked.done and not os.path.exists(path):
            shutil.move(away, path)
        away.unlink(missing_ok=True)


class _IntoReceiver:
    """What is moved comes through our receiver; nothing comes on this association."""

    def __init__(self, is_whole: Callable[[], bool]) -> None:
        self.kept: dict[str, bytes] = {}
        self.refused: dict[str, str] = {}
        self._is_whole = is_whole
        self._stopped = False

    def here(self, announced: Collection[Announced]) -> set[str]:
        return set()

    def sink(self, bringer: Bringer, command: Any, context: Any) -> Sink:
        raise NotImplementedError("an instance came on the association of a C-MOVE")

    def ended(self, association_id: UUID) -> None:
        pass

    def settle(self, uids: Collection[str], idle_seconds: float) -> set[str]:
        until = time.monotonic() + min(idle_seconds, _ARRIVE_SECONDS)
        while not self._is_whole():
            if self._stopped or time.monotonic() > until:
                return set(uids)
            time.sleep(0.1)
        return set()

    def stop(self) -> None:
        self._stopped = True

    def close(self) -> None:
        pass


def _move(connection: psycopg.Connection[Any], home: Path, target: SendTarget, lost: _Lost) -> FetchResult:
    into = _IntoReceiver(lambda: _is_whole(connection, home, lost.id))
    return asyncio.run(fetch(target, [lost.name], into, how="move", destination=config.current().aet, patience=PATIENCE))


def _note(connection: psycopg.Connection[Any], lost: _Lost, node: str, how: str) -> None:
    log.warning("version %s was %s from node %s", lost.id, how, node)
    with connection.transaction():
        after: audit.Json = {"version_id": lost.id, "node": node, "sha256": bytes(lost.sha256).hex(), "how": how}
        audit.record(
            connection, "instance.heal", audit.SYSTEM, kind="instance", key=lost.instance, study_uid=lost.study, after=after
        )


# The queue


def scrub_home(
    connection: psycopg.Connection[Any],
    home: Path,
    *,
    stop: Callable[[], bool] = lambda: False,
    seconds: float | None = None,
    begin: bool = False,
    grace_seconds: float = 120.0,
    unbridled: bool = False,
) -> ScrubState | None:
    """Go on scrubbing a home, healing from nodes; at the speed of the settings unless `unbridled`."""
    rate = None if unbridled else config.current().scrub_mb_per_second * 1e6
    return scrub(
        connection, home, heal=lambda version_id: heal(connection, home, version_id), stop=stop, seconds=seconds,
        bytes_per_second=rate, begin=begin, grace_seconds=grace_seconds,
    )  # fmt: skip


@app.periodic(cron="* * * * *")
@app.task(name="gantry.transfers.heal.scrub_job", queue="storage", queueing_lock="scrub", pass_context=True)
def scrub_job(context: JobContext, timestamp: int) -> None:
    """Each minute: go on with the pass of the home of this worker, or begin one when it is time."""
    if config.current().scrub_mb_per_second <= 0:
        return
    with closing(database.connect(autocommit=True, application="gantry-scrub")) as connection:
        scrub_home(connection, Path(config.current().home), stop=context.should_abort, seconds=_SLICE_SECONDS)
