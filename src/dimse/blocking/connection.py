"""One association of a blocking server, in its own thread: reads, asks the acceptor, answers."""

from __future__ import annotations

import logging
import socket
import ssl
from dataclasses import replace
from time import monotonic

from dimse.acceptance import (
    ABORTED,
    BROKEN,
    FIRST_BUFFER,
    LOST,
    REJECTED,
    RELEASED,
    STOPPED,
    TIMED_OUT,
    Accept,
    AssociationInfo,
    Drain,
    Ended,
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
from dimse.answering import BUSY, Asked
from dimse.association import Association
from dimse.blocking.acceptor import Acceptor, StoreSink
from dimse.blocking.exchange import Exchange
from dimse.blocking.performing import Performer, offered
from dimse.blocking.sockets import (
    Socket,
    close_politely,
    quick_ack,
    secure_server,
    send_all,
    set_no_delay,
    set_timeouts,
)
from dimse.commands import Command, CommandField
from dimse.errors import AssociationFailure, DimseError, RemoteProtocolError, TimedOut, TlsError
from dimse.events import (
    Aborted,
    AssociationRequested,
    CommandReceived,
    DataFragment,
    Event,
    ReleaseConfirmed,
    ReleaseRequested,
)
from dimse.negotiation import ContextPolicy, judge
from dimse.pdu import AssociateReject
from dimse.states import Role
from dimse.status import NOT_AUTHORISED, UNRECOGNISED_OPERATION

log = logging.getLogger(__name__)


class Connection:
    """A TCP connection to a server and the association on it."""

    def __init__(
        self,
        sock: socket.socket,
        peer: PeerAddress,
        acceptor: Acceptor,
        policy: ContextPolicy,
        limits: Limits,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.sock: Socket = sock
        self.peer = peer
        self.began = monotonic()
        #: True once the association request came: such a connection is not evicted.
        self.requested = False
        self.stopping = False
        self.info: AssociationInfo | None = None
        self._acceptor = acceptor
        self._policy = policy
        self._limits = limits
        self._tls = tls
        self._core = Association(Role.ACCEPTOR, max_pdu=limits.max_pdu)
        self._progress = Progress(limits)
        self._sink: StoreSink | Asked | None = None
        self._command: Command | None = None
        self._view = memoryview(b"")
        self._performer: Performer | None = None
        self._exchange: Exchange | None = None
        self._aborting = False

    def run(self) -> None:
        """Serve until the association ends. Never raises."""
        how = LOST
        try:
            set_no_delay(self.sock)
            if self._tls is not None:
                assert isinstance(self.sock, socket.socket)  # nothing has been said yet
                self.sock = secure_server(self.sock, self._tls, self._limits.association_seconds)
                self.peer = replace(self.peer, certificate=self.sock.certificate)
            set_timeouts(
                self.sock,
                min(self._limits.tick_seconds, self._limits.idle_seconds),
                self._limits.send_seconds,
            )
            how = self._serve()
        except RemoteProtocolError as error:
            how = BROKEN
            log.info("association with %s aborted: %s", self.peer.host, error)
            self._last_words(error.reply or self._core.abort(2, error.reason))
        except TimedOut as error:
            how = TIMED_OUT
            log.info("association with %s aborted: %s", self.peer.host, error)
            self._last_words(self._core.abort(2, 0))
        except Ended as ended:
            how = ended.how
            if self._core.owes_release_reply:
                self._last_words(self._core.reply_release())
        except Stopped:
            how = STOPPED
            self._last_words(self._core.abort(2, 0))
        except TlsError as error:
            log.warning("no secure connection with %s: %s", self.peer.host, error)
        except (DimseError, OSError) as error:
            log.info("association with %s ended: %s", self.peer.host, error)
        except Exception:
            how = BROKEN
            log.exception("association with %s failed", self.peer.host)
            self._last_words(self._core.abort(2, 0))
        finally:
            self._end(how)

    def evict(self) -> None:
        """Make room (other thread): no request came in time."""
        self._shutdown(socket.SHUT_RDWR)

    def abort_now(self) -> None:
        """Wake the thread so that it aborts (other thread)."""
        self._aborting = self.stopping = True
        self._shutdown(socket.SHUT_RD)

    def _shutdown(self, how: int) -> None:
        try:
            self.sock.shutdown(how)
        except OSError:
            return  # already gone

    def _end(self, how: str) -> None:
        sink, self._sink = self._sink, None
        try:
            if sink is not None:
                sink.abort()
        except Exception:
            log.exception("sink of %s could not be aborted", self.peer.host)
        try:
            if self.info is not None:
                self._acceptor.association_ended(self.info, how)
        except Exception:
            log.exception("end of the association with %s could not be noted", self.peer.host)
        if how in {LOST, ABORTED}:
            self.sock.close()
        else:
            close_politely(self.sock, self._limits.close_seconds)

    def _last_words(self, data: bytes) -> None:
        if self._exchange is not None and self._exchange.torn:
            return  # in the middle of a PDU
        try:
            set_timeouts(self.sock, self._limits.tick_seconds, self._limits.close_seconds)
            if data:
                send_all(self.sock, data)
        except (AssociationFailure, OSError):
            return  # best effort

    # --- reading ---

    def _serve(self) -> str:
        room = self._limits.receive_buffer
        view = self._view = memoryview(bytearray(min(FIRST_BUFFER, room)))
        core = self._core
        while True:
            size = self._read(view)
            if not size:
                if self._aborting:
                    raise Stopped
                core.connection_ended()
                return LOST
            core.receive(view[:size])
            while (event := core.next_event()) is not None:
                if (how := self._handle(event)) is not None:
                    return how
            if size == len(view) < room:
                view = self._view = memoryview(bytearray(room))

    def _read(self, view: memoryview) -> int:
        """Bytes read, 0 at the end of the stream. Raises `TimedOut` or `Stopped`."""
        progress, limits, core, sock = self._progress, self._limits, self._core, self.sock
        while True:
            if self._aborting:  # a peer that floods us would never let the read come to its end
                raise Stopped
            if limits.quick_ack:
                quick_ack(sock)
            before = monotonic()
            try:
                size = sock.recv_into(view)
            except BlockingIOError:
                size = -1
            now = monotonic()
            in_message = core.in_message
            progress.add(max(size, 0), now - before, in_message)
            if size == 0:
                return 0
            if core.artim_runs and now - self.began > limits.association_seconds:
                core.timer_expired()
                raise TimedOut("no association request in time")
            if in_message:
                if progress.too_slow():
                    raise TimedOut("a message came slower than the minimum rate")
            elif size < 0 and self.stopping:
                raise Stopped
            if size > 0:
                return size
            if progress.silent >= limits.idle_seconds:
                raise TimedOut("idle for too long")

    # --- answering ---

    def _handle(self, event: Event) -> str | None:
        """Act on an event; how the association ended, if it did."""
        kind = type(event)
        if kind is DataFragment:
            self._fragment(event)  # type: ignore[arg-type]  # type() is faster than isinstance here
        elif kind is CommandReceived:
            self._begin(event)  # type: ignore[arg-type]  # as above
        elif isinstance(event, AssociationRequested):
            return self._associate(event)
        elif isinstance(event, ReleaseRequested | ReleaseConfirmed):
            if self._core.owes_release_reply:
                send_all(self.sock, self._core.reply_release())
            return RELEASED
        elif isinstance(event, Aborted):
            return ABORTED
        return None

    def _associate(self, event: AssociationRequested) -> str | None:
        self.requested = True
        request = event.request
        reject = judge(request)
        if reject is None:
            decision = self._decide(event)
            if isinstance(decision, Accept):
                accept = build_accept(request, decision, self._policy, self._limits.max_pdu)
                reply = self._core.accept(accept)
                self.info = association_info(self._core, self.peer, decision.note)
                send_all(self.sock, reply)
                self._progress.restart()
                return None
            reject = AssociateReject(decision.result, decision.source, decision.reason)
        send_all(self.sock, self._core.reject(reject))
        return REJECTED

    def _decide(self, event: AssociationRequested) -> Accept | Reject:
        try:
            return self._acceptor.association_requested(event.request, self.peer)
        except Exception:
            log.exception("association request of %s could not be judged", self.peer.host)
            return Reject(result=2)

    def _begin(self, event: CommandReceived) -> None:
        """A message begins; without data set it is answered at once."""
        command = event.command
        if command.field == CommandField.C_STORE_RQ:
            self._begin_store(event)
            return
        if command.is_response:
            raise RemoteProtocolError(f"{command.name} to a question that was not asked", reason=2)
        if offered(self._acceptor, command.field):
            self._begin_operation(event)
            return
        answer = StoreAnswer(UNRECOGNISED_OPERATION)
        if command.field == CommandField.C_ECHO_RQ:
            answer = self._echo()
        self._command = command
        if event.has_data_set:
            self._sink = Drain(answer)
        elif command.field != CommandField.C_CANCEL_RQ:
            self._answer(event, answer)
        if not event.has_data_set:
            self._progress.restart()

    def _echo(self) -> StoreAnswer:
        assert self.info is not None  # set by accept
        try:
            return StoreAnswer(self._acceptor.echo(self.info))
        except Exception as error:
            return failed(error)

    def _begin_store(self, event: CommandReceived) -> None:
        info = self.info
        assert info is not None  # set by accept
        request = read_store(event.command)
        context = info.contexts[event.context_id]
        self._command = event.command
        if not context.requestor_is_scu:
            self._sink = Drain(StoreAnswer(NOT_AUTHORISED, "the requestor is no SCU of this class"))
            return
        try:
            self._sink = self._acceptor.store(info, request, context)
        except Exception as error:
            self._sink = Drain(failed(error))

    def _begin_operation(self, event: CommandReceived) -> None:
        asked = Asked(event.command, self._core.contexts[event.context_id])
        if event.has_data_set:
            self._sink = asked
        else:
            self._perform(asked)

    def _perform(self, asked: Asked) -> None:
        performer = self._performer
        if performer is None:
            assert self.info is not None  # set by accept
            exchange = self._exchange = Exchange(
                self.sock,
                self._core,
                self._view,
                self._limits,
                aborting=lambda: self._aborting,
                stopping=lambda: self.stopping,
            )
            exchange.otherwise = self._handle
            performer = self._performer = Performer(self._acceptor, self.info, exchange)
        untimely = performer.perform(asked)
        if untimely is not None:
            self._command = untimely.command
            self._sink = Drain(StoreAnswer(BUSY.status, BUSY.comment))
        self._progress.restart()
        self._progress.silent = 0.0

    def _fragment(self, event: DataFragment) -> None:
        sink = self._sink
        assert sink is not None  # a data set follows its command
        try:
            for view in event.views:
                sink.write(view)
            if not event.last:
                return
            answer = sink.finish()
        except Exception as error:
            answer = self._give_up(sink, failed(error))
        if event.last:
            self._sink = None
            if isinstance(answer, Asked):
                self._perform(answer)
                return
            self._answer(event, answer)
            self._progress.restart()

    def _give_up(self, sink: StoreSink | Asked, answer: StoreAnswer) -> StoreAnswer:
        """The sink raised: undo it and swallow the rest of the data set."""
        self._sink = Drain(answer)
        try:
            sink.abort()
        except Exception:
            log.exception("sink of %s could not be aborted", self.peer.host)
        return answer

    def _answer(self, event: CommandReceived | DataFragment, answer: StoreAnswer) -> None:
        assert self._command is not None  # set when the message began
        send_all(self.sock, answer_bytes(self._core, event.context_id, self._command, answer))
