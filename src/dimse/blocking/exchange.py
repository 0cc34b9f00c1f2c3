"""Both directions of a server's connection while it works on a request: answers go out, and what comes in meanwhile
(C-CANCEL, answers to sub-operations, the end) is seen at once."""

from __future__ import annotations

import select
import socket
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from time import monotonic

from dimse.acceptance import ABORTED, RELEASED, Ended, Limits, Stopped, StoreAnswer, response_to
from dimse.answering import BUSY, LOOK_SECONDS, Asked
from dimse.association import Association
from dimse.blocking.secure import TlsSocket
from dimse.blocking.sockets import Socket, quick_ack, send_batch
from dimse.commands import RESPONDED_ID, Command, CommandField
from dimse.errors import ConnectionLost, DimseError, RemoteProtocolError, TimedOut
from dimse.events import Aborted, CommandReceived, DataFragment, Event, ReleaseConfirmed, ReleaseRequested
from dimse.messages import Buffer, rest_of
from dimse.operations import MAX_IDENTIFIER

#: Requests that came while another was worked on, not yet refused; more of them are no mistake but a flood.
_MAX_REFUSALS = 64
_BOTH = select.POLLIN | select.POLLOUT


class Exchange:
    """One for each association, used by its thread. `aborting` tells whether the server wants it to end at once,
    `stopping` whether it wants it to end when nothing is under way."""

    def __init__(
        self,
        sock: Socket,
        core: Association,
        view: memoryview,
        limits: Limits,
        *,
        aborting: Callable[[], bool],
        stopping: Callable[[], bool],
    ) -> None:
        self.core = core
        self.limits = limits
        #: The operation of the peer that is worked on.
        self.asked: Asked | None = None
        #: Takes what comes while no operation of the peer is open (it waits for our report); how it ended, if so.
        self.otherwise: Callable[[Event], str | None] | None = None
        #: True when a message of ours was left unfinished: an A-ABORT would be taken for its data.
        self.torn = False
        self._aborting = aborting
        self._stopping = stopping
        self._sock = sock
        self._view = view
        self._poll = select.poll()
        self._poll.register(sock.fileno(), _BOTH)
        self._answers: dict[int, tuple[Command, bytes] | None] = {}
        self._incoming: Asked | None = None
        self._refusals: deque[bytes] = deque()
        self._failure: Exception | None = None
        self._looked = 0.0
        self._message_id = 0

    # --- what comes in ---

    def cancelled(self) -> bool:
        """True when the operation was cancelled or the association is over. Looks itself, at most every 10 ms."""
        now = monotonic()
        if now - self._looked >= LOOK_SECONDS:
            self._looked = now
            self.look()
        return self._failure is not None or (self.asked is not None and self.asked.cancelled)

    def look(self) -> None:
        """Take what came, without waiting. Does not raise: what ended the association is told by `check`."""
        self._read(socket.MSG_DONTWAIT)

    def check(self) -> None:
        """Raise what ended the association, if something did; refuse what came at the wrong time."""
        while self._refusals and self._failure is None:
            self._whole([[self._refusals.popleft()]])
        if self._failure is not None:
            raise self._failure

    def _read(self, flags: int) -> bool:
        """True when there was something."""
        if self._failure is not None:
            return True
        try:
            self._work()
            try:
                size = self._sock.recv_into(self._view, 0, flags)
            except BlockingIOError:
                return False
            if not size:
                raise Stopped if self._aborting() else ConnectionLost("the peer closed the connection")
            self.core.receive(self._view[:size])
            self._work()
        except (DimseError, OSError) as error:
            self._failure = error
        return True

    def _work(self) -> None:
        while (event := self.core.next_event()) is not None:
            if isinstance(event, CommandReceived):
                self._command(event)
            elif isinstance(event, DataFragment) and self._incoming is not None:
                self._data(event)
            elif isinstance(event, Aborted):
                raise Ended(ABORTED)
            elif isinstance(event, ReleaseRequested | ReleaseConfirmed):
                raise Ended(RELEASED)
            else:
                self._pass_on(event)

    def _pass_on(self, event: Event) -> None:
        assert self.otherwise is not None  # whoever began such a message goes on with it
        how = self.otherwise(event)
        if how is not None:
            raise Ended(how)

    def _command(self, event: CommandReceived) -> None:
        command = event.command
        if command.is_response:
            if command.number(RESPONDED_ID) not in self._answers:
                raise RemoteProtocolError(f"{command.name} to a question that was not asked", reason=2)
        elif command.field == CommandField.C_CANCEL_RQ:
            if self.asked is not None:
                self.asked.hear_cancel(command)
            return
        elif self.asked is None:
            self._pass_on(event)
            return
        message = Asked(command, self.core.contexts[event.context_id])
        if event.has_data_set:
            self._incoming = message
        else:
            self._complete(message)

    def _data(self, event: DataFragment) -> None:
        message = self._incoming
        assert message is not None  # asked before
        if message.command.is_response:
            message.write_all(event.views)
        if event.last:
            self._incoming = None
            self._complete(message)

    def _complete(self, message: Asked) -> None:
        command = message.command
        if command.is_response:
            if message.too_long:
                raise RemoteProtocolError(f"{command.name} with a data set of more than {MAX_IDENTIFIER} bytes")
            self._answers[command.number(RESPONDED_ID)] = (command, bytes(message.data))
            return
        if len(self._refusals) >= _MAX_REFUSALS:
            raise RemoteProtocolError("too many requests at once", reason=2)
        response = response_to(command, StoreAnswer(BUSY.status, BUSY.comment))
        self._refusals.append(self.core.send_command(message.context.context_id, response))

    def hand_over(self) -> Asked | None:
        """A message that began at the wrong time and is not complete, although the operation is: the rest of it
        is the caller's to throw away and to refuse."""
        message, self._incoming = self._incoming, None
        if message is not None and message.command.is_response:
            raise RemoteProtocolError(f"{message.command.name} to a question that is answered", reason=2)
        return message

    # --- what goes out ---

    def send(self, batches: Iterable[Sequence[Buffer]]) -> None:
        """A message. Raises what ended the association."""
        self.check()
        self._whole(batches)
        self.check()

    def _whole(self, batches: Iterable[Sequence[Buffer]]) -> None:
        self.torn = True
        for batch in batches:
            self._push(batch)
        self.torn = False

    def _push(self, batch: Sequence[Buffer]) -> None:
        """A batch, taking what comes while the peer takes no more: neither side can block the other.

        With TLS only between batches: a record that was begun has to be sent. Not at all while no operation of the
        peer is open (a report of ours): its new requests would be answered in the middle of our message.
        """
        sock = self._sock
        if isinstance(sock, TlsSocket) or self.asked is None:
            if self.asked is not None:
                self.look()
            send_batch(sock, batch)
            return
        total = sum(len(piece) for piece in batch)
        deadline = 0.0
        while total:
            try:
                sent = sock.sendmsg(batch, (), socket.MSG_DONTWAIT)
            except BlockingIOError:
                now = monotonic()
                deadline = deadline or now + self.limits.send_seconds
                self._room(deadline - now)
                continue
            except OSError as error:
                raise self._failure or ConnectionLost(f"the connection broke while sending: {error.strerror}") from None
            total -= sent
            deadline = 0.0
            if total:
                batch = rest_of(batch, sent)

    def _room(self, seconds: float) -> None:
        """Wait until the peer takes more; hear it meanwhile."""
        if seconds <= 0:
            raise TimedOut("the peer takes no bytes")
        wanted = select.POLLOUT if self._failure is not None else _BOTH
        self._poll.modify(self._sock.fileno(), wanted)
        ready = self._poll.poll(min(seconds, self.limits.tick_seconds) * 1000)
        if any(state & (select.POLLIN | select.POLLHUP | select.POLLERR) for _, state in ready):
            self.look()
        failure = self._failure
        if failure is not None and not (isinstance(failure, Ended) and failure.how == RELEASED):
            raise failure

    # --- questions of our own ---

    def next_id(self) -> int:
        """A message id of ours; its answer is expected from now on."""
        self._message_id = self._message_id % 65535 + 1
        self._answers[self._message_id] = None
        return self._message_id

    def forget(self, message_id: int) -> None:
        """It was not used after all."""
        del self._answers[message_id]

    def answer(self, message_id: int) -> tuple[Command, bytes]:
        """Wait for the answer. `TimedOut` after `Limits.idle_seconds` without any byte."""
        deadline = monotonic() + self.limits.idle_seconds
        try:
            while True:
                found = self._answers[message_id]  # before the check: the end may have come in the same read
                if found is not None:
                    return found
                self.check()
                if self.limits.quick_ack:
                    quick_ack(self._sock)
                if self._read(0):
                    deadline = monotonic() + self.limits.idle_seconds
                elif monotonic() > deadline:
                    raise TimedOut("no answer to a request of ours")
                elif self.asked is None and self._stopping() and not self.core.in_message:
                    raise Stopped
        finally:
            self.forget(message_id)
