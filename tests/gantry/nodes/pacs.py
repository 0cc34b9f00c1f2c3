"""A PACS for tests: a real server on a real socket that answers queries, sends what it holds, and misbehaves as told."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Self

from tests.support.part10_files import CT_IMAGE_STORAGE, EXPLICIT_LITTLE_ENDIAN, ROOT, ct_dataset

from dimse.acceptance import Accept, AssociationInfo, Limits, PeerAddress, Reject, StoreRequest
from dimse.blocking import Server, connect, listen
from dimse.blocking.acceptor import StoreSink
from dimse.commands import CommandField
from dimse.errors import Refused
from dimse.identifier import Identifier
from dimse.negotiation import AcceptedContext, AcceptServices, ContextProposal
from dimse.operations import (
    Final,
    FindRequest,
    GetRequest,
    Match,
    MoveRequest,
    NormalisedAnswer,
    NormalisedRequest,
    Outgoing,
    SubOperations,
)
from dimse.pdu import AssociateRequest
from gantry.nodes.address import DimseAddress
from gantry.nodes.items import Security, SendTarget

STUDY = f"{ROOT}.77"
SERIES = f"{STUDY}.1"
_UNIQUE = {"PATIENT": "PatientID", "STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}


@dataclass
class Pacs:
    """One study of `count` instances in one series, or dealt to `series` of them. What it does wrong is told by the flags; use as a context manager."""

    count: int = 5
    series: int = 1
    seconds_each: float = 0.0  # that an instance takes
    at_most: int | None = None  # C-GETs at once; more are refused with A701
    ignores_keys: bool = False
    knows_uid_lists: bool = True
    image_level: bool = True
    lost: frozenset[str] = frozenset()  # announced, and never sent
    failed: frozenset[str] = frozenset()  # announced, and reported as failed
    many_studies: int = 0  # at level STUDY, whatever is asked
    endless: bool = False  # answers queries for ever, whatever is cancelled
    stalls_after: int | None = None  # sub-operations, then silence
    gets: bool = True
    moves_to: int = 0  # the port of the receiver to which C-MOVE sends, whatever the destination
    names_mover: bool = True  # Move Originator in what it sends
    sends_as: str = "PACS"
    also: tuple[tuple[str, str], ...] = ()  # (study, instance) that nobody asked for, sent with each C-MOVE
    before_move: Callable[[], None] = lambda: None
    refuses_get: bool = False
    relational: bool = False
    commits: Callable[[str], int] = lambda uid: 0
    reports: bool = True
    tls: ssl.SSLContext | None = None
    requests: list[AssociateRequest] = field(default_factory=list)
    queries: list[Identifier] = field(default_factory=list)
    retrieved: list[Identifier] = field(default_factory=list)
    most_at_once: int = 0
    ended: list[tuple[str, float]] = field(default_factory=list)

    def uid(self, number: int) -> str:
        return f"{STUDY}.{(number - 1) % self.series + 1}.{number}"

    @property
    def uids(self) -> list[str]:
        return [self.uid(number) for number in range(1, self.count + 1)]

    def data(self, uid: str) -> bytes:
        number = int(uid.rpartition(".")[2])
        return ct_dataset(number=number, study=STUDY, series=uid.rpartition(".")[0], patient_id="P-77", patient_name="DOE^JANE")

    def target(self, security: Security | None = None, **changes: Any) -> SendTarget:
        return SendTarget(DimseAddress("PACS", "127.0.0.1", self.port), "GANTRY", security=security or Security(), **changes)

    def __enter__(self) -> Self:
        self._lock, self._at_once = threading.Lock(), 0
        self.stalled, self._left = threading.Event(), threading.Event()
        self._socket = listen("127.0.0.1", 0)
        self.port = int(self._socket.getsockname()[1])
        policy = AcceptServices(find=True, retrieve=self.gets, commitment=True, relational=self.relational)
        limits = Limits(tick_seconds=0.05, close_seconds=0.2)
        self._server = Server(self._socket, self, policy=policy, limits=limits, tls=self.tls)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        self._server.stop(0.1)
        self._thread.join(5)
        self._socket.close()

    # What the server asks.

    def association_requested(self, request: AssociateRequest, peer: PeerAddress) -> Accept | Reject:
        self.requests.append(request)
        return Accept()

    def association_ended(self, association: AssociationInfo, how: str) -> None:
        self.ended.append((how, time.monotonic()))

    def echo(self, association: AssociationInfo) -> int:
        return 0

    def store(self, association: AssociationInfo, command: StoreRequest, context: AcceptedContext) -> StoreSink:
        raise Refused(0xA700, "full")

    def find(self, association: AssociationInfo, request: FindRequest, cancelled: Callable[[], bool]) -> Iterator[Match | Final]:
        asked = Identifier.parse(request.identifier, request.transfer_syntax_uid)
        self.queries.append(asked)
        level = asked.text("QueryRetrieveLevel")
        if level == "IMAGE" and not self.image_level:
            yield Final(0xA900, "no image level")
            return
        numbers: Iterable[int] = range(1, {"IMAGE": self.count, "SERIES": self.series}.get(level, 1) + 1)
        if level == "STUDY" and self.many_studies:
            for number in range(1, self.many_studies):
                yield Match(
                    self._answer(asked, 1).replaced(StudyInstanceUID=f"{STUDY}.9.{number}").encode(request.transfer_syntax_uid)
                )
                if cancelled():
                    return
                time.sleep(0.002)
        for number in count(1) if self.endless and level == "IMAGE" else numbers:
            answer = self._answer(asked, number)
            if self.ignores_keys or self._fits(asked, answer):
                yield Match(answer.encode(request.transfer_syntax_uid))
            time.sleep(0.01 if self.endless else 0)

    def _answer(self, asked: Identifier, number: int) -> Identifier:
        values = {
            "PatientID": "P-77", "PatientName": "DOE^JANE", "StudyInstanceUID": STUDY, "SeriesInstanceUID": self.uid(number).rpartition(".")[0],
            "SOPInstanceUID": self.uid(number), "SOPClassUID": CT_IMAGE_STORAGE, "StudyDate": "20240229", "Modality": "CT",
        }  # fmt: skip
        return Identifier({key: values.get(key, "") for key in asked} | {"QueryRetrieveLevel": asked.text("QueryRetrieveLevel")})

    def _fits(self, asked: Identifier, answer: Identifier) -> bool:
        return all(not asked.text(key) or answer.text(key) in asked.texts(key) for key in _UNIQUE.values() if key in asked)

    def get(
        self, association: AssociationInfo, request: GetRequest, cancelled: Callable[[], bool]
    ) -> tuple[int, Iterator[Outgoing]]:
        asked = Identifier.parse(request.identifier, request.transfer_syntax_uid)
        self.retrieved.append(asked)
        wanted = asked.texts("SOPInstanceUID")
        if self.refuses_get:
            raise Refused(0xA701, "too many")
        if len(wanted) > 1 and not self.knows_uid_lists:
            raise Refused(0xA900, "one UID")
        inside = asked.texts("SeriesInstanceUID")
        uids = [
            uid for uid in self.uids
            if uid not in self.lost and (not wanted or uid in wanted) and (not inside or uid.rpartition(".")[0] in inside)
        ]  # fmt: skip
        with self._lock:
            if self.at_most is not None and self._at_once >= self.at_most:
                raise Refused(0xA701, "too many at once")
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        return len(uids), self._outgoing(uids)

    def _outgoing(self, uids: list[str]) -> Iterator[Outgoing]:
        try:
            yield from self._each(uids)
        finally:
            with self._lock:
                self._at_once -= 1

    def _each(self, uids: list[str]) -> Iterator[Outgoing]:
        for done, uid in enumerate(uids):
            if done == self.stalls_after:
                self.stalled.set()
                self._left.wait(60)
                return
            time.sleep(self.seconds_each)
            yield Outgoing(CT_IMAGE_STORAGE, uid, EXPLICIT_LITTLE_ENDIAN, lambda uid=uid: self._opened(uid))  # type: ignore[misc]

    def move(
        self, association: AssociationInfo, request: MoveRequest, cancelled: Callable[[], bool]
    ) -> Iterator[SubOperations | Final]:
        asked = Identifier.parse(request.identifier, request.transfer_syntax_uid)
        self.retrieved.append(asked)
        self.before_move()
        wanted = asked.texts("SOPInstanceUID")
        chosen = [uid for uid in self.uids if not wanted or uid in wanted]
        things = [(uid, self.data(uid)) for uid in chosen if uid not in self.lost]
        things += [(uid, ct_dataset(study=study, series=f"{study}.1", instance=uid)) for study, uid in self.also]
        mover = (association.request.calling_aet.strip(), request.message_id) if self.names_mover else None
        self.send(things, self.sends_as, mover)
        # What it lost it claims to have sent.
        yield SubOperations(0, len(chosen))

    def send(self, things: list[tuple[str, bytes]], aet: str, mover: tuple[str, int] | None = None) -> None:
        """C-STORE to the receiver, as the PACS does, or somebody else."""
        contexts = [ContextProposal(CT_IMAGE_STORAGE, (EXPLICIT_LITTLE_ENDIAN,))]
        with connect("127.0.0.1", self.moves_to, called_aet="GANTRY", calling_aet=aet, contexts=contexts) as client:
            for uid, data in things:
                status = client.store(
                    sop_class_uid=CT_IMAGE_STORAGE, sop_instance_uid=uid, transfer_syntax_uid=EXPLICIT_LITTLE_ENDIAN,
                    data=memoryview(data), move_originator=mover,
                ).status  # fmt: skip
                assert status == 0

    @contextmanager
    def _opened(self, uid: str) -> Iterator[list[memoryview]]:
        if uid in self.failed:
            raise OSError("the disk is broken")
        yield [memoryview(self.data(uid))]

    def normalised(self, association: AssociationInfo, request: NormalisedRequest) -> NormalisedAnswer:
        asked = Identifier.parse(request.data, request.transfer_syntax_uid)
        if not self.reports:
            return NormalisedAnswer(0x0110, "no")
        items = asked.items_of("ReferencedSOPSequence")
        good = [item for item in items if not self.commits(item.text("ReferencedSOPInstanceUID"))]
        bad = [
            item.replaced(FailureReason=str(self.commits(item.text("ReferencedSOPInstanceUID"))))
            for item in items if item not in good
        ]  # fmt: skip
        said = Identifier.of(TransactionUID=asked.text("TransactionUID"), ReferencedSOPSequence=good, FailedSOPSequence=bad)

        def report() -> Iterator[NormalisedRequest]:
            yield NormalisedRequest(
                CommandField.N_EVENT_REPORT_RQ, 0, request.sop_class_uid, request.sop_instance_uid,
                request.transfer_syntax_uid, 2 if bad else 1, data=said.encode(request.transfer_syntax_uid),
            )  # fmt: skip

        return NormalisedAnswer(reports=report)  # type: ignore[arg-type]  # a generator function
