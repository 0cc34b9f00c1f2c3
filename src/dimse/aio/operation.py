"""C-FIND, C-GET or C-MOVE of an asyncio requestor while it runs, and the instances that come in by C-GET."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Protocol, Self

from dimse.acceptance import Drain, StoreAnswer, StoreRequest, answer_bytes, failed
from dimse.aio.acceptor import AsyncStoreSink, settle
from dimse.asking import read_answer
from dimse.association import Association
from dimse.blocking.acceptor import StoreSink
from dimse.commands import Command
from dimse.errors import AssociationFailure, LocalProtocolError
from dimse.events import DataFragment
from dimse.negotiation import AcceptedContext
from dimse.operations import Final, Progress, SubOperations
from dimse.requesting import StoreBegins
from dimse.status import OUT_OF_RESOURCES

log = logging.getLogger(__name__)
AnySink = AsyncStoreSink | StoreSink
#: Gives a place for an instance that comes in by C-GET; may be a coroutine, and so may the methods of the sink.
Store = Callable[[StoreRequest, AcceptedContext], Awaitable[AnySink] | AnySink]
#: Answers that wait for a slow program; then the peer is held back.
MAX_WAITING = 64


@dataclasses.dataclass(slots=True, eq=False)
class Question:
    """A request of ours that waits for answers."""

    field: int
    message_id: int
    context_id: int
    answers: deque[tuple[Command, bytes]] = dataclasses.field(default_factory=deque)
    waiter: asyncio.Future[None] | None = None
    sent: bool = False
    #: Nobody waits any more: answers are thrown away.
    abandoned: bool = False
    finished: bool = False
    #: Bytes of sub-operations count as signs of life.
    patient: bool = False

    def wake(self) -> None:
        """Something came, or the association is over."""
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)


class Asker(Protocol):
    """What an operation needs of its association."""

    async def begin(self, question: Question, command: Callable[[int], Command], data: bytes, incoming: Incoming | None) -> None:
        """Send the request."""

    async def next_answer(self, question: Question) -> tuple[Command, bytes]:
        """Wait for an answer."""

    def cancel(self, question: Question) -> None:
        """Send C-CANCEL."""

    def abandon(self, question: Question) -> None:
        """Nobody waits for the answers any more."""

    async def abort(self) -> None:
        """End the association."""


class Operation:
    """Iterate over it to its end, then ask for `final`. The request is sent when iterating begins.

    Cancelling the task that iterates, `aclose`, or forgetting the operation (a `break` out of the loop) sends
    C-CANCEL; a peer that does not end it within a second is aborted. While `MAX_WAITING` answers wait for a slow
    program, the peer is held back, and with it every other request on the association.
    """

    def __init__(
        self,
        asker: Asker,
        question: Question,
        command: Callable[[int], Command],
        identifier: bytes,
        context: AcceptedContext,
        incoming: Incoming | None = None,
    ) -> None:
        #: The identifiers that come are in this syntax.
        self.transfer_syntax_uid = context.transfer_syntax
        #: The last counts that came.
        self.counts: SubOperations | None = None
        self._asker = asker
        self._question = question
        self._command = command
        self._identifier = identifier
        self._incoming = incoming
        self._final: Final | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def message_id(self) -> int:
        """Of the request; 0 before it was sent."""
        return self._question.message_id

    @property
    def final(self) -> Final:
        """The last answer. `LocalProtocolError` before it came."""
        if self._final is None:
            raise LocalProtocolError("the operation is still under way")
        return self._final

    @property
    def done(self) -> bool:
        """True once the final answer came."""
        return self._final is not None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Progress:
        """The next pending answer. Raises what breaks the association."""
        if self._final is not None:
            raise StopAsyncIteration
        question = self._question
        if question.abandoned:
            raise LocalProtocolError("the operation was given up")
        try:
            if not question.sent:
                await self._asker.begin(question, self._command, self._identifier, self._incoming)
            command, data = await self._asker.next_answer(question)
        except asyncio.CancelledError:
            self._asker.abandon(question)
            raise
        said = read_answer(command, data)
        if said.counts is not None:
            self.counts = said.counts
        if isinstance(said, Progress):
            return said
        self._final = said
        raise StopAsyncIteration

    async def cancel(self) -> None:
        """Ask the peer to stop (C-CANCEL). It may answer on for a while; go on iterating to the end."""
        if self._final is None and self._question.sent:
            self._asker.cancel(self._question)

    async def finish(self) -> Final:
        """Throw away what still comes, return the final answer."""
        async for _ in self:
            continue
        return self.final

    async def aclose(self, seconds: float = 1.0) -> None:
        """Cancel what still runs and wait for its end; abort the association when that takes longer than `seconds`."""
        question = self._question
        if self._final is not None or question.abandoned or question.finished or not question.sent:
            return
        self._asker.cancel(question)
        with suppress(AssociationFailure):
            try:
                async with asyncio.timeout(seconds):
                    await self.finish()
            except TimeoutError:
                await self._asker.abort()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close."""
        await self.aclose()

    def __del__(self) -> None:
        """Forgotten before its end: the peer need not go on."""
        question = self._question
        if question.sent and not (question.finished or question.abandoned or self._loop.is_closed()):
            self._loop.call_soon_threadsafe(self._asker.abandon, question)


class Incoming:
    """Gives the instances of a C-GET to the program and answers them."""

    def __init__(self, core: Association, store: Store) -> None:
        #: The operation was given up: what still comes is refused.
        self.refusing = False
        self._core = core
        self._store = store
        self._sink: AnySink | None = None
        self._begun: StoreBegins | None = None

    async def take(self, step: StoreBegins | DataFragment) -> bytes:
        """A C-STORE-RQ, or a piece of its data set; after the last one the response, to be sent."""
        if isinstance(step, StoreBegins):
            await self._begin(step)
            return b""
        return await self._piece(step)

    async def _begin(self, begun: StoreBegins) -> None:
        self._begun = begun
        if self.refusing:
            self._sink = Drain(StoreAnswer(OUT_OF_RESOURCES, "cancelled"))
            return
        try:
            self._sink = await settle(self._store(begun.request, begun.context))
        except Exception as error:
            self._sink = Drain(failed(error))

    async def _piece(self, event: DataFragment) -> bytes:
        sink, begun = self._sink, self._begun
        assert sink is not None  # a data set follows its command
        assert begun is not None
        try:
            for view in event.views:
                waiting = sink.write(view)
                if waiting is not None:
                    await waiting
            if not event.last:
                return b""
            answer = await settle(sink.finish())
        except Exception as error:
            answer = failed(error)
            await self._undo(sink, answer)
        if not event.last:
            return b""
        self._sink = None
        return answer_bytes(self._core, event.context_id, begun.command, answer)

    async def abort(self) -> None:
        """The association is over."""
        sink = self._sink
        if sink is not None:
            await self._undo(sink, StoreAnswer())
            self._sink = None

    async def _undo(self, sink: AnySink, answer: StoreAnswer) -> None:
        self._sink = Drain(answer)
        try:
            await settle(sink.abort())
        except Exception:
            log.exception("a sink could not be aborted")
