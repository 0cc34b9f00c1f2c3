"""A provider of everything for tests, a place for what a C-GET brings, a server for them, and dcmqrscp."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dimse import (
    AssociationInfo,
    ContextProposal,
    Final,
    FindRequest,
    GetRequest,
    Match,
    MoveRequest,
    NormalisedAnswer,
    NormalisedRequest,
    Outgoing,
    Refused,
    StoreAnswer,
    StoreRequest,
    SubOperations,
    blocking,
)
from dimse.acceptance import Limits
from dimse.blocking import ClientAssociation, connect
from dimse.commands import (
    CommandField,
)
from dimse.errors import (
    AssociationFailure,
)
from dimse.identifier import Identifier
from dimse.negotiation import (
    STORAGE_COMMITMENT,
    STORAGE_COMMITMENT_INSTANCE,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
    WORKLIST_FIND,
    AcceptedContext,
)
from dimse.uids import CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION
from tests.dimse.drivers import QUICK, Keeper
from tests.dimse.test_peers import make_file, program

QUERY = Identifier.of(QueryRetrieveLevel="STUDY", PatientName="DOE*", StudyInstanceUID="")
MR = "1.2.840.10008.5.1.4.1.1.4"
CONTEXTS = (
    ContextProposal(VERIFICATION),
    ContextProposal(STUDY_ROOT_FIND, (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)),
    ContextProposal(STUDY_ROOT_GET),
    ContextProposal(STUDY_ROOT_MOVE),
    ContextProposal(STORAGE_COMMITMENT),
    ContextProposal(WORKLIST_FIND),
    ContextProposal(CT_IMAGE_STORAGE, (EXPLICIT_VR_LITTLE_ENDIAN,), scu=True, scp=True),
)


@dataclass
class Archive(Keeper):
    """A provider of everything; tests set what it does."""

    matches: Callable[[FindRequest, Callable[[], bool]], Iterator[Match | Final]] | None = None
    instances: list[Outgoing] = field(default_factory=list)
    announced: int | None = None
    moves: Callable[[MoveRequest, Callable[[], bool]], Iterator[SubOperations | Final]] | None = None
    answer: Callable[[NormalisedRequest], NormalisedAnswer] | None = None
    asked: list[object] = field(default_factory=list)
    infos: list[AssociationInfo] = field(default_factory=list)
    closed: int = 0

    def find(self, association: AssociationInfo, request: FindRequest, cancelled: Callable[[], bool]) -> Iterator[Match | Final]:
        self.asked.append(request)
        self.infos.append(association)
        assert self.matches is not None
        try:
            yield from self.matches(request, cancelled)
        finally:
            self.closed += 1

    def get(
        self, association: AssociationInfo, request: GetRequest, cancelled: Callable[[], bool]
    ) -> tuple[int, Iterator[Outgoing]]:
        self.asked.append(request)
        if not request.identifier.startswith(b"\x08\0"):
            raise Refused(0xA900, "no such identifier")
        return len(self.instances) if self.announced is None else self.announced, iter(self.instances)

    def move(
        self, association: AssociationInfo, request: MoveRequest, cancelled: Callable[[], bool]
    ) -> Iterator[SubOperations | Final]:
        self.asked.append(request)
        assert self.moves is not None
        return self.moves(request, cancelled)

    def normalised(self, association: AssociationInfo, request: NormalisedRequest) -> NormalisedAnswer:
        self.asked.append(request)
        assert self.answer is not None
        return self.answer(request)


@contextmanager
def serving(acceptor: blocking.Acceptor, limits: Limits = QUICK, **options: object) -> Iterator[int]:
    with blocking.listen("127.0.0.1", 0) as listener:
        server = blocking.Server(listener, acceptor, limits=limits, **options)  # type: ignore[arg-type]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.address[1]
        finally:
            server.stop(0)
            thread.join()


def join(port: int, **changes: object) -> ClientAssociation:
    options = {"called_aet": "GANTRY", "calling_aet": "TESTER", "contexts": CONTEXTS, "response_timeout": 8.0}
    return connect("127.0.0.1", port, **(options | changes))  # type: ignore[arg-type]


def identifier(association: ClientAssociation, sop_class: str) -> bytes:
    return QUERY.encode(association.syntax_of(sop_class))


def outgoing(uid: str, data: bytes, sop_class: str = CT_IMAGE_STORAGE, syntax: str = EXPLICIT_VR_LITTLE_ENDIAN) -> Outgoing:
    @contextmanager
    def opened() -> Iterator[list[memoryview]]:
        yield [memoryview(data)[:100], memoryview(data)[100:]]

    return Outgoing(sop_class, uid, syntax, opened)


class Folder:
    """Where a C-GET stores."""

    def __init__(self) -> None:
        self.data: dict[str, bytearray] = {}
        self.aborted: list[str] = []
        self.refuse: set[str] = set()
        self.warn: set[str] = set()
        self.pause = 0.0

    def __call__(self, request: StoreRequest, context: AcceptedContext) -> FolderSink:
        if request.sop_instance_uid in self.refuse:
            raise Refused(0xA700, "full")
        return FolderSink(self, request.sop_instance_uid)


class FolderSink:
    def __init__(self, folder: Folder, uid: str) -> None:
        self.folder, self.uid, self.bytes = folder, uid, bytearray()

    def write(self, view: memoryview) -> None:
        self.bytes += view
        time.sleep(self.folder.pause)

    def finish(self) -> StoreAnswer:
        self.folder.data[self.uid] = self.bytes
        return StoreAnswer(0xB000 if self.uid in self.folder.warn else 0)

    def abort(self) -> None:
        self.folder.aborted.append(self.uid)


def numbered(count: int) -> Callable[[FindRequest, Callable[[], bool]], Iterator[Match | Final]]:
    def matches(request: FindRequest, cancelled: Callable[[], bool]) -> Iterator[Match | Final]:
        for number in range(count):
            answer = Identifier.of(QueryRetrieveLevel="STUDY", StudyInstanceUID=f"1.2.{number}")
            yield Match(answer.encode(request.transfer_syntax_uid), all_keys=number != 1)

    return matches


def endless(request: FindRequest, cancelled: Callable[[], bool]) -> Iterator[Match | Final]:
    while True:
        yield Match(bytes(200))


def commitment(outcome: list[object], data: bytes = b"report") -> Callable[[NormalisedRequest], NormalisedAnswer]:
    def reports() -> Generator[NormalisedRequest, NormalisedAnswer, None]:
        for type_id in (1, 2):
            try:
                said = yield NormalisedRequest(
                    CommandField.N_EVENT_REPORT_RQ,
                    0,
                    STORAGE_COMMITMENT,
                    STORAGE_COMMITMENT_INSTANCE,
                    type_id=type_id,
                    data=data,
                )
            except AssociationFailure as error:
                outcome.append(error)
                raise
            outcome.append(said.status)

    return lambda request: NormalisedAnswer(reports=reports)


ACTION = NormalisedRequest(CommandField.N_ACTION_RQ, 0, STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE, type_id=1, data=b"1234")


def part10(tmp_path: Path, count: int) -> dict[str, bytes]:
    tmp_path.mkdir(exist_ok=True)
    return {
        f"1.2.{n}": make_file(tmp_path / f"{n}.dcm", f"1.2.{n}", EXPLICIT_VR_LITTLE_ENDIAN, 40_000) for n in range(1, count + 1)
    }


@contextmanager
def dcmqrscp(tmp_path: Path, files: Path) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as chosen:
        port = chosen.getsockname()[1]
    store = tmp_path / "QR"
    store.mkdir()
    config = tmp_path / "qr.cfg"
    config.write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 65536\nMaxAssociations = 8\n"
        "HostTable BEGIN\nHostTable END\nVendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nQR {store} RW (100, 1024mb) ANY\nAETable END\n"
    )
    indexer = program("dcmqridx")
    subprocess.run([indexer, str(store), *map(str, sorted(files.glob("*.dcm")))], check=True, capture_output=True, timeout=20)
    process = subprocess.Popen(
        [program("dcmqrscp"), "-c", str(config), str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(10)
