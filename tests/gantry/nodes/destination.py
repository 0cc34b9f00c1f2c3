"""A DICOM destination for tests: a real server on a real socket that keeps what it gets and behaves as told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Self

from dimse.acceptance import (
    Accept,
    AssociationInfo,
    Limits,
    PeerAddress,
    Reject,
    StoreAnswer,
    StoreRequest,
)
from dimse.blocking import Server, listen
from dimse.items import ContextAnswer, ProposedContext
from dimse.negotiation import AcceptAsProposed, AcceptedContext
from dimse.pdu import AssociateRequest
from gantry.nodes.address import DimseAddress
from gantry.nodes.items import SendTarget


class _Policy(AcceptAsProposed):
    def __init__(self, refused: Iterable[str]) -> None:
        super().__init__()
        self._refused = set(refused)

    def answer(self, context: ProposedContext) -> ContextAnswer:
        if context.abstract_syntax in self._refused or self._refused & set(context.transfer_syntaxes):
            return ContextAnswer(context.context_id, 3, context.transfer_syntaxes[0])
        return super().answer(context)


class _Sink:
    def __init__(self, owner: Destination, command: StoreRequest) -> None:
        self._owner = owner
        self._command = command
        self._pieces: list[bytes] = []

    def write(self, view: memoryview) -> None:
        self._pieces.append(bytes(view))

    def finish(self) -> StoreAnswer:
        data = b"".join(self._pieces)
        with self._owner.lock:
            self._owner.attempts.append(self._command.sop_instance_uid)
        answer = self._owner.behave(self._command)
        if answer.status == 0 or 0xB000 <= answer.status <= 0xBFFF:
            with self._owner.lock:
                self._owner.received.setdefault(self._command.sop_instance_uid, []).append(data)
        return answer

    def abort(self) -> None:
        with self._owner.lock:
            self._owner.broken += 1


class Destination:
    """Use as a context manager; `port` is known before it listens, so it can be "down" first."""

    def __init__(
        self,
        behave: Callable[[StoreRequest], StoreAnswer] = lambda _command: StoreAnswer(),
        *,
        refused: Iterable[str] = (),
        reject: Reject | None = None,
        port: int = 0,
        limits: Limits | None = None,
    ) -> None:
        self.behave = behave
        self.reject = reject
        self.lock = threading.Lock()
        self.received: dict[str, list[bytes]] = {}
        self.attempts: list[str] = []
        self.broken = 0
        self.associations: list[AssociateRequest] = []
        self._socket = listen("127.0.0.1", port)
        self.port = int(self._socket.getsockname()[1])
        self._server = Server(
            self._socket,
            self,
            policy=_Policy(refused),
            limits=limits or Limits(tick_seconds=0.05, close_seconds=0.2),
        )
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def target(self, **changes: float) -> SendTarget:
        return SendTarget(DimseAddress("DEST", "127.0.0.1", self.port), "GANTRY", **changes)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(0.1)
        self._thread.join(5)
        self._socket.close()

    def abort_all(self) -> None:
        """Abort every association that is open, in the middle of whatever it does; no answer follows."""
        for connection in list(self._server._live):
            with suppress(OSError):  # it may be on its way out already
                connection.sock.sendall(b"\7\0\0\0\0\4\0\0\2\0")  # A-ABORT, PS3.8 9.3.8
            connection.evict()

    # What the server asks.

    def association_requested(self, request: AssociateRequest, peer: PeerAddress) -> Accept | Reject:
        with self.lock:
            self.associations.append(request)
        return self.reject or Accept()

    def echo(self, association: AssociationInfo) -> int:
        return 0

    def store(self, association: AssociationInfo, command: StoreRequest, context: AcceptedContext) -> _Sink:
        return _Sink(self, command)

    def association_ended(self, association: AssociationInfo, how: str) -> None:
        pass
