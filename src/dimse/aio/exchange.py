"""Both directions of a requestor's association: one task hears the peer, many ask and wait for their answers."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from dimse.aio.hearing import Hearing
from dimse.aio.operation import MAX_WAITING, Incoming, Question
from dimse.aio.wire import Buffer, Wire
from dimse.answering import Asked
from dimse.asking import encode_cancel
from dimse.association import Association
from dimse.commands import DATA_SET_TYPE, HAS_DATA_SET, Command
from dimse.errors import (
    AssociationFailure,
    ConnectionLost,
    DimseError,
    LocalProtocolError,
    NotAnswered,
    RemoteProtocolError,
    TimedOut,
)
from dimse.pdu import AssociateRequest
from dimse.states import Role, State

log = logging.getLogger(__name__)
_GOODBYE_SECONDS = 0.2
#: How long a peer may take to end an operation that was given up, seconds.
_CANCEL_SECONDS = 0.8
#: Replies that wait while a long message is being sent; a peer that asks more floods us.
_MAX_OWED = 256


class Exchange:
    """One for each association. What ended it is raised by every later call."""

    def __init__(self, wire: Wire, request: AssociateRequest, timeout: float) -> None:
        self.core = Association(Role.REQUESTOR, max_pdu=request.user.max_length)
        self.window = 1
        self._wire = wire
        self._timeout = timeout
        self._permits = asyncio.Semaphore(1)
        self.listener = Hearing(self.core, self._permit_back)
        self.questions = self.listener.questions
        self._sending = asyncio.Lock()
        self._owed: deque[bytes] = deque()
        self._incoming: Incoming | None = None
        self._message_id = 0
        self._closed = False
        self._taking = False  # the program is at work on what came
        self._error: Exception | None = None
        self._changed: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def usable(self) -> bool:
        """True while nothing is known that speaks against another request."""
        return not self._closed and self._error is None and not self._wire.ended and self.core.state is State.ESTABLISHED

    @property
    def certificate(self) -> bytes | None:
        """DER of the peer's certificate."""
        return self._wire.certificate

    # --- the association ---

    async def negotiate(self, request: AssociateRequest) -> None:
        """Ask for the association and wait for the answer."""
        self._task = asyncio.create_task(self._hear())
        try:
            await self.send([[self.core.request(request)]])
            await self._until(lambda: self.core.accept_pdu is not None)
        except ConnectionLost as error:
            raise NotAnswered(f"{error} before it answered the association request") from error
        accept = self.core.accept_pdu
        asked, granted = request.user.async_window, accept.user.async_window if accept is not None else None
        if asked is not None and granted is not None:
            self.window = max(1, min(asked.invoked, granted.invoked or asked.invoked))
            for _ in range(self.window - 1):
                self._permits.release()

    async def release(self) -> None:
        """Release and close; abort when a request still waits for its answer."""
        if self._closed:
            return
        if any(not question.abandoned for question in self.questions.values()):
            await self.abort()
            return
        try:
            self.check()
            await self._until(lambda: not self.questions)
            await self.send([[self.core.ask_release()]])
            await self._until(lambda: self.listener.released)
        finally:
            self.close()

    async def abort(self) -> None:
        """Abort and close. Never raises."""
        if self._closed:
            return
        self._over()
        if not self._sending.locked():  # inside a message nobody would understand it
            self._wire.write_now(self.core.abort())
            await self._wire.close(_GOODBYE_SECONDS)
        self._wire.abort()

    def close(self) -> None:
        """Close without a word."""
        self._over()
        self._wire.abort()

    def check(self) -> None:
        """Raise why there can be no more requests."""
        if self._error is not None:
            raise self._error
        if self._closed:
            raise LocalProtocolError("the association is closed")

    def _over(self, error: Exception | None = None) -> None:
        """The association has ended: wake all that wait."""
        if self._closed:
            return
        self._closed = True
        self._error = self._error or error
        task = self._task
        if task is not None and task is not asyncio.current_task():
            task.cancel()
        for question in self.questions.values():
            question.wake()
        self._wake()
        self._permits.release()  # who waits for a turn learns of it, one after the other

    def _wake(self) -> None:
        for waiter in (self._changed, self._room):
            if waiter is not None and not waiter.done():
                waiter.set_result(None)

    async def _until(self, condition: Callable[[], bool]) -> None:
        """Wait for what the hearing task brings about. `TimedOut`."""
        deadline = asyncio.get_running_loop().time() + self._timeout
        while not condition():
            self.check()
            if not await self._change(deadline):
                raise await self._silence()

    async def _silence(self) -> TimedOut:
        """The peer said nothing for too long: that ends the association."""
        error = TimedOut(f"no answer in {self._timeout:g} s")
        self._error = self._error or error
        await self.abort()
        return error

    async def _change(self, deadline: float) -> bool:
        """False when nothing was heard until the deadline."""
        loop = asyncio.get_running_loop()
        if self._changed is None or self._changed.done():
            self._changed = loop.create_future()
        done, _ = await asyncio.wait([self._changed], timeout=max(0.0, deadline - loop.time()))
        return bool(done)

    # --- asking ---

    async def ask(
        self, question: Question, command: Callable[[int], Command | bytes], data: Sequence[memoryview] = ()
    ) -> tuple[Command, bytes]:
        """A request with one answer."""
        try:
            await self._ask(question, command, data)
            return await self.next_answer(question)
        except asyncio.CancelledError:
            self.abandon(question)
            raise

    async def begin(self, question: Question, command: Callable[[int], Command], data: bytes, incoming: Incoming | None) -> None:
        """A request with many answers; `incoming` takes the instances that come meanwhile."""
        await self._ask(question, command, [memoryview(data)], incoming)

    async def _ask(
        self,
        question: Question,
        command: Callable[[int], Command | bytes],
        data: Sequence[memoryview],
        incoming: Incoming | None = None,
    ) -> None:
        """Wait for a turn, then send."""
        self.check()
        await self._permits.acquire()
        try:
            self.check()
            async with self._sending:
                self.check()
                if question.message_id in self.questions:
                    raise LocalProtocolError(f"message id {question.message_id} is taken by an operation under way")
                question.message_id = question.message_id or self._next_id()
                made = command(question.message_id)
                if isinstance(made, Command) and data:
                    made.values[DATA_SET_TYPE] = HAS_DATA_SET
                core, context_id = self.core, question.context_id
                batches = core.send_message(context_id, made, data) if data else iter([[core.send_command(context_id, made)]])
                if incoming is not None:
                    if any(other.patient for other in self.questions.values()):
                        raise LocalProtocolError("one C-GET at a time")
                    self._incoming = incoming
                    self.listener.takes_stores = True
                self.questions[question.message_id] = question
                question.sent = True
                await self._write(batches)
        except BaseException:
            if not question.sent:
                self._permits.release()
            raise

    def _next_id(self) -> int:
        while True:
            self._message_id = self._message_id % 65535 + 1
            if self._message_id not in self.questions:
                return self._message_id

    async def next_answer(self, question: Question) -> tuple[Command, bytes]:
        """The next answer to a question."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while not question.answers:
            self.check()
            since = max(began, self._wire.heard) if question.patient or len(self.questions) > 1 else began
            left = since + self._timeout - loop.time()
            if self._taking:  # it is us who are slow
                left = self._timeout
            if left <= 0:
                raise await self._silence()
            question.waiter = waiter = loop.create_future()
            timer = loop.call_later(left, question.wake)
            try:
                await waiter
            finally:
                timer.cancel()
                question.waiter = None
        answer = question.answers.popleft()
        if self.listener.full is question and len(question.answers) < MAX_WAITING // 2:
            self.listener.full = None
            self._wake()
        return answer

    def cancel(self, question: Question) -> None:
        """C-CANCEL for an operation that is under way."""
        if not question.finished and not self._closed:
            self._reply(self.core.send_command(question.context_id, encode_cancel(question.message_id)))

    def abandon(self, question: Question) -> None:
        """Nobody waits any more. An operation is cancelled and gets a moment to end; half a message ends all."""
        if self._closed or question.finished or question.abandoned or not question.sent:
            return
        question.abandoned = True
        question.answers.clear()
        if self.listener.full is question:
            self.listener.full = None
            self._wake()
        if question.field in {0x8010, 0x8020, 0x8021}:  # C-GET, C-FIND, C-MOVE; there is no cancel for others
            if self._incoming is not None:
                self._incoming.refusing = True
            self.cancel(question)
            asyncio.get_running_loop().call_later(_CANCEL_SECONDS, self._enough, question)

    def _enough(self, question: Question) -> None:
        if not question.finished:
            if not self._closed and not self._sending.locked():
                self._wire.write_now(self.core.abort())
            self._over(TimedOut("the peer does not end an operation that was cancelled"))
            self._wire.abort()

    def _permit_back(self) -> None:
        self._permits.release()
        self._wake()

    async def next_report(self, seconds: float) -> Asked | None:
        """The next N-EVENT-REPORT of the peer; None when none came in time."""
        listener = self.listener
        listener.takes_reports = True
        deadline = asyncio.get_running_loop().time() + seconds
        while not listener.reports:
            self.check()
            if not await self._change(deadline):
                return None
        return listener.reports.popleft()

    # --- sending ---

    async def send(self, batches: Iterable[Sequence[Buffer]]) -> None:
        """A message or PDU of its own."""
        async with self._sending:
            await self._write(batches)

    async def _write(self, batches: Iterable[Sequence[Buffer]]) -> None:
        """The lock is held. A failure ends the association; if the peer said why, that is what is raised."""
        whole = False
        try:
            for batch in batches:
                await self._wire.write(batch, self._timeout)
            while self._owed:
                await self._wire.write(self._owed.popleft(), self._timeout)
            whole = True
        except AssociationFailure as error:
            if self._task is not None and not isinstance(error, TimedOut):
                await asyncio.wait([self._task], timeout=_GOODBYE_SECONDS)
            self._over(error)
            self._wire.abort()
            raise self._error or error from None
        finally:
            if not whole and not self._closed:  # cancelled inside a message
                self._over(ConnectionLost("closed, because a message was broken off"))
                self._wire.abort()

    def _reply(self, data: bytes) -> None:
        """Something small, at once or after the message that is being sent."""
        if not self._sending.locked():
            self._wire.write_now(data)
            return
        if len(self._owed) >= _MAX_OWED:
            raise RemoteProtocolError("too many requests at once", reason=2, reply=self.core.abort(2, 2))
        self._owed.append(data)

    # --- hearing ---

    async def _hear(self) -> None:
        """The task that reads until the association ends."""
        try:
            while not self.listener.released:
                view = await self._wire.read(None)
                if not view:
                    raise self._wire.end("the peer closed the connection")
                await self._take(view)
                self._wake()
                if self.listener.full is not None:
                    await self._wait_for_room()
        except Exception as error:
            if not isinstance(error, DimseError | OSError):
                log.exception("an association broke")
            await self._failed(error)
        finally:
            if self._incoming is not None:
                await self._incoming.abort()

    async def _take(self, view: memoryview) -> None:
        for step in self.listener.listen(view):
            if isinstance(step, bytes):
                reply = step
            else:
                assert self._incoming is not None  # set before the question was sent
                self._taking = True
                try:
                    reply = await self._incoming.take(step)
                finally:
                    self._taking = False
                    self._wire.heard = asyncio.get_running_loop().time()
            if reply:
                self._reply(reply)
                if not self._sending.locked():
                    await self._wire.room(self._timeout)

    async def _wait_for_room(self) -> None:
        loop = asyncio.get_running_loop()
        self._taking = True
        while self.listener.full is not None and not self._closed:
            self._room = loop.create_future()
            await self._room
        self._taking = False
        self._wire.heard = loop.time()

    async def _failed(self, error: Exception) -> None:
        """The peer ended the association or broke the protocol: a last word if one is owed."""
        last = b""
        if isinstance(error, RemoteProtocolError):
            last = error.reply
        elif self.core.owes_release_reply:
            last = self.core.reply_release()
        self._error = error
        try:
            if last and not self._sending.locked():
                self._wire.write_now(last)
            await self._wire.close(_GOODBYE_SECONDS if last and isinstance(error, RemoteProtocolError) else 0.0)
        finally:
            self._over(error)
            if not last:
                self._wire.abort()
