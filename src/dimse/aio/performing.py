"""Works on C-FIND, C-GET, C-MOVE and N- requests of one association of an asyncio server, each in a task of its own, as
many at once as the window allows; the connection goes on reading meanwhile and passes on C-CANCEL and answers."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import Any, Protocol

from dimse.acceptance import AssociationInfo, Limits
from dimse.aio.acceptor import AsyncAcceptor, AsyncFinds, AsyncGets, AsyncMoves, AsyncNormalised, settle
from dimse.aio.providing import close, step, throw
from dimse.answering import BUSY, Answers, Asked, Together, end_of_find, final_of, send_with_data
from dimse.asking import encode_normalised, read_normalised_answer
from dimse.association import Association
from dimse.commands import RESPONDED_ID, Command, CommandField
from dimse.errors import AssociationFailure, ConnectionLost, ContextNotAccepted, RemoteProtocolError, TimedOut
from dimse.messages import Buffer
from dimse.operations import Final, NormalisedAnswer, NormalisedRequest, Outgoing, SubOperations
from dimse.retrieval import Retrieval, end_of_move
from dimse.status import UNRECOGNISED_OPERATION

log = logging.getLogger(__name__)
#: A provider that waits is interrupted so long after C-CANCEL, seconds.
_GRACE_SECONDS = 0.05
#: A provider that never waits lets others have a turn after so many seconds.
_TURN_SECONDS = 0.005
_QUERIES = frozenset({CommandField.C_FIND_RQ, CommandField.C_GET_RQ, CommandField.C_MOVE_RQ})


class Link(Protocol):
    """What a performer needs of its connection."""

    async def send_batches(self, batches: Iterable[Sequence[Buffer]]) -> None:
        """Send a message, nothing in between."""

    def failed(self, error: Exception) -> None:
        """The association has to end with this."""


class _Interrupted(Exception):
    """C-CANCEL came while the provider was waiting."""


class _Job:
    """A request that is being worked on."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.task: asyncio.Task[None] | None = None
        #: It waits for the provider: C-CANCEL may interrupt it.
        self.with_provider = False
        #: Its final answer is on its way: the peer may ask again as soon as it has that.
        self.answered = False


class Performer:
    """One for each association."""

    def __init__(
        self, acceptor: AsyncAcceptor, info: AssociationInfo, core: Association, limits: Limits, link: Link, window: int
    ) -> None:
        self._acceptor = acceptor
        self._info = info
        self._core = core
        self._limits = limits
        self._link = link
        self._window = window
        self._jobs: dict[_Job, None] = {}
        self._reporting: asyncio.Task[None] | None = None
        self._over = False
        #: The peer performs one operation of ours at a time (PS3.7 D.3.3.3: that is what we grant ourselves).
        self._asking = asyncio.Lock()
        self._reports: deque[Callable[[], Any]] = deque()
        self._message_id = 0
        self._answers: dict[int, asyncio.Future[tuple[Command, bytes]]] = {}

    @property
    def busy(self) -> bool:
        """True while something is being worked on."""
        return bool(self._jobs) or self._reporting is not None

    @property
    def full(self) -> bool:
        """True while as many requests are open as the peer may have."""
        return sum(not job.answered for job in self._jobs) >= self._window

    # --- called by the connection ---

    async def take(self, asked: Asked) -> None:
        """A request whose data set is complete."""
        if self.full:
            answers = Answers(self._core, asked)
            if asked.field in _QUERIES:
                await self._link.send_batches(answers.final(BUSY))
            else:
                await self._link.send_batches(answers.normalised(NormalisedAnswer(BUSY.status, BUSY.comment)))
            return
        job = _Job(asked)
        self._jobs[job] = None
        job.task = asyncio.create_task(self._run(job))

    def hear_cancel(self, command: Command) -> None:
        """C-CANCEL-RQ."""
        for job in self._jobs:
            job.asked.hear_cancel(command)
            if job.asked.cancelled:
                asyncio.get_running_loop().call_later(_GRACE_SECONDS, self._interrupt, job)

    def answered(self, command: Command, data: bytes) -> None:
        """A response to a request of ours. `RemoteProtocolError` when there was none."""
        waiting = self._answers.get(command.number(RESPONDED_ID))
        if waiting is None or waiting.done():
            raise RemoteProtocolError(f"{command.name} to a question that was not asked", reason=2)
        waiting.set_result((command, data))

    async def stop(self) -> None:
        """The association has ended."""
        self._over = True
        tasks = [job.task for job in self._jobs if job.task is not None]
        if self._reporting is not None:
            tasks.append(self._reporting)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _interrupt(self, job: _Job) -> None:
        if job in self._jobs and job.with_provider and job.task is not None and not self._over:
            job.task.cancel()

    # --- the tasks ---

    async def _run(self, job: _Job) -> None:
        try:
            await self._perform(job)
        except Exception as error:
            self._failed(error)
        finally:
            del self._jobs[job]
            if self._reports and not self.busy and not self._over:
                self._reporting = asyncio.create_task(self._send_reports())

    async def _send_reports(self) -> None:
        """What answers announced, once no request of the peer is open; it may send new ones meanwhile."""
        try:
            while self._reports:
                await self._send_report(self._reports.popleft()())
        except Exception as error:
            self._failed(error)
        finally:
            self._reporting = None

    def _failed(self, error: Exception) -> None:
        if not isinstance(error, AssociationFailure | RemoteProtocolError):
            log.error("an operation failed", exc_info=error)
        self._link.failed(error)

    async def _ask(self, job: _Job, value: Any) -> Any:
        """What a provider gives; may be interrupted by C-CANCEL."""
        if not hasattr(value, "__await__"):
            return value
        job.with_provider = True
        try:
            return await value
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if job.asked.cancelled and not self._over and task is not None and not task.uncancel():
                raise _Interrupted from None
            raise
        finally:
            job.with_provider = False

    async def _perform(self, job: _Job) -> None:
        asked = job.asked
        answers = Answers(self._core, asked)
        if asked.field not in _QUERIES:
            await self._normalised(job, answers)
            return
        final, together = asked.refusal(), Together()
        if final is None:
            final = await self._query(job, answers, together)
        job.answered = True
        together.add(answers.final(final))
        await self._link.send_batches(together.take())

    async def _query(self, job: _Job, answers: Answers, together: Together) -> Final:
        asked = job.asked
        relational = asked.context.abstract_syntax in self._info.relational
        acceptor = self._acceptor
        if asked.field is CommandField.C_FIND_RQ and isinstance(acceptor, AsyncFinds):
            return await self._find(acceptor, job, answers, together)
        if asked.field is CommandField.C_GET_RQ and isinstance(acceptor, AsyncGets):
            return await self._get(acceptor, job, answers, relational)
        if asked.field is CommandField.C_MOVE_RQ and isinstance(acceptor, AsyncMoves):
            return await self._move(acceptor, job, answers, relational)
        return Final(UNRECOGNISED_OPERATION)

    async def _find(self, acceptor: AsyncFinds, job: _Job, answers: Answers, together: Together) -> Final:
        """What is still kept in `together` goes with the final answer."""
        asked, source = job.asked, _Source(self, job)
        model = asked.context.abstract_syntax
        request = asked.find(model in self._info.relational, model in self._info.combined)
        try:
            source.iterate(await self._ask(job, acceptor.find(self._info, request, source.cancelled)))
            while (found := await source.next()) is not None:
                if isinstance(found, Final):
                    return found
                if asked.cancelled:
                    break
                if together.add(answers.match(found)) or not found.more:
                    await self._link.send_batches(together.take())
        except _Interrupted:
            pass
        except AssociationFailure:
            raise
        except Exception as error:
            return final_of(error)
        finally:
            await source.close()
        return end_of_find(asked)

    async def _move(self, acceptor: AsyncMoves, job: _Job, answers: Answers, relational: bool) -> Final:
        asked, source = job.asked, _Source(self, job)
        counts: SubOperations | None = None
        try:
            source.iterate(await self._ask(job, acceptor.move(self._info, asked.move(relational), source.cancelled)))
            while (said := await source.next()) is not None:
                if isinstance(said, Final):
                    return end_of_move(asked, counts, said)
                counts = said
                if asked.cancelled:
                    break
                await self._link.send_batches(answers.progress(said))
        except _Interrupted:
            pass
        except AssociationFailure:
            raise
        except Exception as error:
            return end_of_move(asked, counts, final_of(error))
        finally:
            await source.close()
        return end_of_move(asked, counts, None)

    async def _get(self, acceptor: AsyncGets, job: _Job, answers: Answers, relational: bool) -> Final:
        asked, source = job.asked, _Source(self, job)
        retrieval: Retrieval | None = None
        try:
            total, instances = await self._ask(job, acceptor.get(self._info, asked.get(relational), source.cancelled))
            source.iterate(instances)
            retrieval = Retrieval(self._info.contexts, asked, total)
            while not asked.cancelled and (outgoing := await source.next()) is not None:
                await self._sub_operation(retrieval, outgoing)
                if retrieval.due():
                    await self._link.send_batches(answers.progress(retrieval.counts))
        except _Interrupted:
            pass
        except (AssociationFailure, RemoteProtocolError):
            raise
        except Exception as error:
            return final_of(error) if retrieval is None else retrieval.final(error)
        finally:
            await source.close()
        return end_of_find(asked) if retrieval is None else retrieval.final()

    async def _sub_operation(self, retrieval: Retrieval, outgoing: Outgoing) -> None:
        """One C-STORE on the same association."""
        message_id = self._next_id()
        begun = retrieval.begin(outgoing, message_id)
        if begun is None:
            return
        with ExitStack() as stack:
            try:
                views = stack.enter_context(outgoing.open())
                if not any(views):
                    raise ValueError("an empty data set")
            except Exception:
                log.exception("an instance of a C-GET could not be opened")
                retrieval.failed(outgoing)
                return
            async with self._asking:
                waiting = self._expect(message_id)
                await self._link.send_batches(self._core.send_message(*begun, views))
                answer, _ = await self._answer(message_id, waiting)
        retrieval.answered(outgoing, answer)

    async def _normalised(self, job: _Job, answers: Answers) -> None:
        asked = job.asked
        refused = asked.refusal()
        acceptor = self._acceptor
        if refused is not None:
            answer = NormalisedAnswer(refused.status, refused.comment)
        elif not isinstance(acceptor, AsyncNormalised):
            answer = NormalisedAnswer(UNRECOGNISED_OPERATION)
        else:
            try:
                answer = await settle(acceptor.normalised(self._info, asked.normalised()))
            except Exception as error:
                final = final_of(error)
                answer = NormalisedAnswer(final.status, final.comment)
        if answer.reports is not None:
            self._reports.append(answer.reports)
        job.answered = True
        await self._link.send_batches(answers.normalised(answer))

    # --- requests of ours ---

    def _next_id(self) -> int:
        self._message_id = self._message_id % 65535 + 1
        return self._message_id

    def _expect(self, message_id: int) -> asyncio.Future[tuple[Command, bytes]]:
        waiting = self._answers[message_id] = asyncio.get_running_loop().create_future()
        return waiting

    async def _answer(self, message_id: int, waiting: asyncio.Future[tuple[Command, bytes]]) -> tuple[Command, bytes]:
        """`TimedOut` after `Limits.idle_seconds`."""
        try:
            if not waiting.done():
                await asyncio.wait([waiting], timeout=self._limits.idle_seconds)
            if not waiting.done():
                raise TimedOut("no answer to a request of ours")
            return waiting.result()
        finally:
            del self._answers[message_id]

    async def _send_report(self, reports: Any) -> None:
        """Reports that the answer to a request announced (PS3.4 J.3.3)."""
        try:
            said = await step(reports, None)
            while isinstance(said, NormalisedRequest):
                try:
                    answer = await self._report(said)
                except (AssociationFailure, asyncio.CancelledError) as error:
                    lost = error if isinstance(error, AssociationFailure) else ConnectionLost("the association ended")
                    await throw(reports, lost)
                    if isinstance(error, ContextNotAccepted):
                        return
                    raise
                said = await step(reports, answer)
        except AssociationFailure:
            raise
        except Exception:
            log.exception("a report of ours could not be made")
        finally:
            await close(reports)

    async def _report(self, request: NormalisedRequest) -> NormalisedAnswer:
        contexts = self._info.contexts.values()
        context_id = next((c.context_id for c in contexts if c.abstract_syntax == request.sop_class_uid), None)
        if context_id is None:
            raise ContextNotAccepted(f"{request.sop_class_uid} was not accepted")
        async with self._asking:
            message_id = self._next_id()
            waiting = self._expect(message_id)
            command = encode_normalised(request, message_id)
            await self._link.send_batches(send_with_data(self._core, context_id, command, request.data))
            return read_normalised_answer(*await self._answer(message_id, waiting))


class _Source:
    """The iterator of a provider, asynchronous or plain."""

    def __init__(self, performer: Performer, job: _Job) -> None:
        self._performer = performer
        self._job = job
        self._plain: Any = None
        self._async: AsyncIterator[Any] | None = None
        self._turn = asyncio.get_running_loop().time()

    def cancelled(self) -> bool:
        """For the provider."""
        return self._job.asked.cancelled or self._performer._over

    def iterate(self, source: Any) -> None:
        """What the provider gave."""
        if hasattr(source, "__aiter__"):
            self._async = aiter(source)
        else:
            self._plain = iter(source)

    async def next(self) -> Any:
        """The next one, None at the end."""
        now = asyncio.get_running_loop().time()
        if now - self._turn > _TURN_SECONDS:  # neither a ready provider nor a fast peer ever waits
            await asyncio.sleep(0)
            self._turn = asyncio.get_running_loop().time()
        if self._async is None:
            return next(self._plain, None)
        return await self._performer._ask(self._job, anext(self._async, None))

    async def close(self) -> None:
        """Never raises what the provider does."""
        source = self._plain if self._async is None else self._async
        if source is not None:
            await close(source)
