"""One association of an asyncio server, in its own task: reads, asks the acceptor, answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from time import monotonic

from dimse.acceptance import (
    ABORTED,
    BROKEN,
    LOST,
    REJECTED,
    RELEASED,
    STOPPED,
    TIMED_OUT,
    Accept,
    AssociationInfo,
    Drain,
    Limits,
    PeerAddress,
    Progress,
    Reject,
    Stopped,
    StoreAnswer,
    answer_bytes,
    association_info,
    build_accept,
    failed,
    read_store,
)
from dimse.aio.acceptor import AsyncAcceptor, AsyncStoreSink, settle
from dimse.aio.performing import Performer
from dimse.aio.wire import Buffer, Wire
from dimse.answering import BUSY, METHODS, Asked
from dimse.association import Association
from dimse.commands import Command, CommandField
from dimse.errors import AssociationFailure, DimseError, RemoteProtocolError, TimedOut
from dimse.events import (
    Aborted,
    AssociationRequested,
    CommandReceived,
    DataFragment,
    Event,
    ReleaseConfirmed,
    ReleaseRequested,
)
from dimse.items import AsyncWindow
from dimse.negotiation import ContextPolicy, judge
from dimse.operations import MAX_IDENTIFIER
from dimse.pdu import AssociateAccept, AssociateReject
from dimse.states import Role
from dimse.status import UNRECOGNISED_OPERATION

log = logging.getLogger(__name__)


class Connection:
    """A TCP connection to a server and the association on it."""

    def __init__(
        self,
        wire: Wire,
        peer: PeerAddress,
        acceptor: AsyncAcceptor,
        policy: ContextPolicy,
        limits: Limits,
        window: int = 1,
    ) -> None:
        self.peer = peer
        self.began = monotonic()
        self.requested = False
        self.stopping = False
        self.aborting = False
        self._wire = wire
        self._acceptor = acceptor
        self._policy = policy
        self._limits = limits
        self._window = window
        self._granted = 1
        self._core = Association(Role.ACCEPTOR, max_pdu=limits.max_pdu)
        self._progress = Progress(limits)
        self._info: AssociationInfo | None = None
        self._sink: AsyncStoreSink | Asked | None = None
        self._command: Command | None = None
        self._performer: Performer | None = None
        self._failure: Exception | None = None
        self._sending = asyncio.Lock()

    async def run(self) -> None:
        """Serve until the association ends. Raises only when cancelled."""
        how = STOPPED
        self.peer = replace(self.peer, certificate=self._wire.certificate)
        try:
            how = await self._guarded()
        finally:
            await self._end(how)

    def evict(self) -> None:
        """Make room: no request came in time."""
        self._wire.abort()

    async def _guarded(self) -> str:
        last = b""
        try:
            return await self._serve()
        except RemoteProtocolError as error:
            how, last = BROKEN, error.reply or self._core.abort(2, error.reason)
            log.info("association with %s aborted: %s", self.peer.host, error)
        except TimedOut as error:
            how, last = TIMED_OUT, self._core.abort(2, 0)
            log.info("association with %s aborted: %s", self.peer.host, error)
        except Stopped:
            how, last = STOPPED, self._core.abort(2, 0)
        except (DimseError, OSError) as error:
            how = LOST
            log.info("association with %s ended: %s", self.peer.host, error)
        except Exception:
            how, last = BROKEN, self._core.abort(2, 0)
            log.exception("association with %s failed", self.peer.host)
        if last:
            try:
                await self._wire.write(last, self._limits.close_seconds)
            except AssociationFailure:
                return how
        return how

    async def _end(self, how: str) -> None:
        if self._performer is not None:
            await self._performer.stop()
        sink, self._sink = self._sink, None
        try:
            if sink is not None:
                await settle(sink.abort())
        except Exception:
            log.exception("sink of %s could not be aborted", self.peer.host)
        try:
            if self._info is not None:
                await settle(self._acceptor.association_ended(self._info, how))
        except Exception:
            log.exception("end of the association with %s could not be noted", self.peer.host)
        await self._wire.close(0.0 if how in {LOST, ABORTED} else self._limits.close_seconds)

    async def _serve(self) -> str:
        core = self._core
        while True:
            view = await self._read()
            if not view:
                core.connection_ended()
                return LOST
            core.receive(view)
            while (event := core.next_event()) is not None:
                if (how := await self._handle(event)) is not None:
                    return how

    async def _read(self) -> memoryview:
        """Bytes, empty at the end of the stream. Raises `TimedOut` or `Stopped`."""
        progress, limits, core = self._progress, self._limits, self._core
        tick = min(limits.tick_seconds, limits.idle_seconds)
        while True:
            in_message = core.in_message
            before = monotonic()
            view = await self._wire.read(tick)
            now = monotonic()
            progress.add(len(view) if view else 0, now - before, in_message)
            busy = self._performer is not None and self._performer.busy
            if busy:
                progress.silent = 0.0
            if self._failure is not None:
                raise self._failure
            if self.aborting:
                raise Stopped
            if core.artim_runs and now - self.began > limits.association_seconds:
                core.timer_expired()
                raise TimedOut("no association request in time")
            if in_message:
                if progress.too_slow():
                    raise TimedOut("a message came slower than the minimum rate")
            elif view is None and self.stopping and not busy:
                raise Stopped
            if view is not None:
                return view
            if progress.silent >= limits.idle_seconds:
                raise TimedOut("idle for too long")

    async def _send(self, data: bytes) -> None:
        async with self._sending:
            await self._wire.write(data, self._limits.send_seconds)

    async def send_batches(self, batches: Iterable[Sequence[Buffer]]) -> None:
        """A message, nothing in between; for the performer."""
        async with self._sending:
            for batch in batches:
                await self._wire.write(batch, self._limits.send_seconds)

    def failed(self, error: Exception) -> None:
        """The performer cannot go on: neither can the association."""
        self._failure = error
        self._wire.nudge()

    async def _handle(self, event: Event) -> str | None:
        """Act on an event; how the association ended, if it did."""
        if isinstance(event, DataFragment):
            await self._fragment(event)
        elif isinstance(event, CommandReceived):
            await self._begin(event)
        elif isinstance(event, AssociationRequested):
            return await self._associate(event)
        elif isinstance(event, ReleaseRequested | ReleaseConfirmed):
            if self._core.owes_release_reply:
                await self._send(self._core.reply_release())
            return RELEASED
        elif isinstance(event, Aborted):
            return ABORTED
        return None

    async def _associate(self, event: AssociationRequested) -> str | None:
        self.requested = True
        request = event.request
        reject = judge(request)
        if reject is None:
            decision = await self._decide(event)
            if isinstance(decision, Accept):
                accept = self._grant(build_accept(request, decision, self._policy, self._limits.max_pdu))
                reply = self._core.accept(accept)
                self._info = association_info(self._core, self.peer, decision.note)
                await self._send(reply)
                self._progress.restart()
                return None
            reject = AssociateReject(decision.result, decision.source, decision.reason)
        await self._send(self._core.reject(reject))
        return REJECTED

    def _grant(self, accept: AssociateAccept) -> AssociateAccept:
        """The window for operations that the requestor invokes, if it asked for one (PS3.7 D.3.3.3)."""
        request = self._core.request_pdu
        asked = request.user.async_window if request is not None else None
        if asked is None:
            return accept
        self._granted = min(asked.invoked or self._window, self._window)
        return replace(accept, user=replace(accept.user, async_window=AsyncWindow(self._granted, 1)))

    async def _decide(self, event: AssociationRequested) -> Accept | Reject:
        try:
            return await settle(self._acceptor.association_requested(event.request, self.peer))
        except Exception:
            log.exception("association request of %s could not be judged", self.peer.host)
            return Reject(result=2)

    @property
    def _full(self) -> bool:
        return self._performer is not None and self._performer.full

    async def _begin(self, event: CommandReceived) -> None:
        """A message begins; without data set it is answered at once."""
        command = self._command = event.command
        if command.field == CommandField.C_STORE_RQ:
            await self._begin_store(event)
            return
        method = METHODS.get(command.field)  # type: ignore[call-overload]  # an int finds its CommandField
        if command.is_response or (method is not None and hasattr(self._acceptor, method)):
            asked = Asked(command, self._core.contexts[event.context_id])
            if event.has_data_set:
                self._sink = asked
            else:
                await self._complete(asked)
            return
        if command.field == CommandField.C_CANCEL_RQ and self._performer is not None:
            self._performer.hear_cancel(command)
        answer = StoreAnswer(UNRECOGNISED_OPERATION)
        if self._full and not command.is_response:
            answer = StoreAnswer(BUSY.status, BUSY.comment)
        elif command.field == CommandField.C_ECHO_RQ:
            answer = await self._echo()
        if event.has_data_set:
            self._sink = Drain(answer)
            return
        self._progress.restart()
        if command.field != CommandField.C_CANCEL_RQ:
            await self._send(answer_bytes(self._core, event.context_id, command, answer))

    async def _complete(self, asked: Asked) -> None:
        """A request for the performer, or a response to one of its requests."""
        performer = self._performer
        command = asked.command
        if command.is_response:
            if performer is None:
                raise RemoteProtocolError(f"{command.name} to a question that was not asked", reason=2)
            if asked.too_long:
                raise RemoteProtocolError(f"{command.name} with a data set of more than {MAX_IDENTIFIER} bytes")
            performer.answered(command, bytes(asked.data))
            return
        if performer is None:
            assert self._info is not None  # set by accept
            performer = Performer(self._acceptor, self._info, self._core, self._limits, self, self._granted)
            self._performer = performer
        await performer.take(asked)

    async def _echo(self) -> StoreAnswer:
        assert self._info is not None  # set by accept
        try:
            return StoreAnswer(await settle(self._acceptor.echo(self._info)))
        except Exception as error:
            return failed(error)

    async def _begin_store(self, event: CommandReceived) -> None:
        info = self._info
        assert info is not None  # set by accept
        if self._full:
            self._sink = Drain(StoreAnswer(BUSY.status, BUSY.comment))
            return
        request = read_store(event.command)
        try:
            self._sink = await settle(self._acceptor.store(info, request, info.contexts[event.context_id]))
        except Exception as error:
            self._sink = Drain(failed(error))

    async def _fragment(self, event: DataFragment) -> None:
        sink = self._sink
        assert sink is not None  # a data set follows its command
        try:
            for view in event.views:
                waiting = sink.write(view)
                if waiting is not None:
                    await waiting
            if not event.last:
                return
            answer: StoreAnswer | Asked = sink if isinstance(sink, Asked) else await settle(sink.finish())
        except Exception as error:
            answer = failed(error)
            self._sink = Drain(answer)
            await self._undo(sink)
        if event.last:
            self._sink = None
            self._progress.restart()
            if isinstance(answer, Asked):
                await self._complete(answer)
                return
            assert self._command is not None  # set when the message began
            await self._send(answer_bytes(self._core, event.context_id, self._command, answer))
            self._progress.restart()

    async def _undo(self, sink: AsyncStoreSink | Asked) -> None:
        try:
            await settle(sink.abort())
        except Exception:
            log.exception("sink of %s could not be aborted", self.peer.host)
