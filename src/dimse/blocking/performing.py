"""Works on C-FIND, C-GET, C-MOVE and N- requests of one association of a blocking server."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from typing import Any, TypeVar, cast

from dimse.acceptance import AssociationInfo
from dimse.answering import METHODS, Answers, Asked, Together, end_of_find, final_of, send_with_data
from dimse.asking import encode_normalised, read_normalised_answer
from dimse.blocking.acceptor import Acceptor, Finds, Gets, Moves, Normalised
from dimse.blocking.exchange import Exchange
from dimse.commands import CommandField
from dimse.errors import AssociationFailure, ContextNotAccepted, DimseError, RemoteProtocolError
from dimse.operations import Final, NormalisedAnswer, NormalisedRequest, Outgoing, SubOperations
from dimse.retrieval import Retrieval, end_of_move
from dimse.status import UNRECOGNISED_OPERATION

log = logging.getLogger(__name__)
T = TypeVar("T")
_Reports = Callable[[], Generator[NormalisedRequest, NormalisedAnswer, None]]


def offered(acceptor: Acceptor, field: int) -> bool:
    """True when the acceptor has a method for such a request."""
    method = METHODS.get(cast("CommandField", field))
    return method is not None and hasattr(acceptor, method)


class Performer:
    """Asks the acceptor and sends its answers."""

    def __init__(self, acceptor: Acceptor, info: AssociationInfo, exchange: Exchange) -> None:
        self._acceptor = acceptor
        self._info = info
        self._exchange = exchange
        self._reports: deque[_Reports] = deque()
        self._reporting = False

    def perform(self, asked: Asked) -> Asked | None:
        """Answer a request whose data set is complete. Raises what ended the association.

        What is returned is another request that came meanwhile and is not complete: it is to be refused as busy.
        """
        exchange = self._exchange
        answers = Answers(exchange.core, asked)
        exchange.asked = asked
        try:
            if asked.field not in {CommandField.C_FIND_RQ, CommandField.C_GET_RQ, CommandField.C_MOVE_RQ}:
                self._normalised(asked, answers)
            else:
                together = Together()
                final = asked.refusal() or self._query(asked, answers, together)
                together.add(answers.final(final))
                exchange.send(together.take())
        finally:
            exchange.asked = None
        if not self._reporting:
            self._send_reports()
        exchange.check()  # the end of the association may have come in the same read as the last answer to us
        return exchange.hand_over()

    def _query(self, asked: Asked, answers: Answers, together: Together) -> Final:
        relational = asked.context.abstract_syntax in self._info.relational
        acceptor = self._acceptor
        if asked.field is CommandField.C_FIND_RQ and isinstance(acceptor, Finds):
            return self._find(acceptor, asked, answers, together)
        if asked.field is CommandField.C_GET_RQ and isinstance(acceptor, Gets):
            return self._get(acceptor, asked, answers, relational)
        if asked.field is CommandField.C_MOVE_RQ and isinstance(acceptor, Moves):
            return self._move(acceptor, asked, answers, relational)
        return Final(UNRECOGNISED_OPERATION)

    def _find(self, acceptor: Finds, asked: Asked, answers: Answers, together: Together) -> Final:
        """What is still kept in `together` goes with the final answer."""
        cancelled = self._exchange.cancelled
        model = asked.context.abstract_syntax
        request = asked.find(model in self._info.relational, model in self._info.combined)
        try:
            matches = acceptor.find(self._info, request, cancelled)
        except Exception as error:
            return final_of(error)
        with _closing(matches):
            while (found := _pull(matches)) is not None:
                if isinstance(found, Final | Exception):
                    return found if isinstance(found, Final) else final_of(found)
                if not found.identifier:
                    return final_of(ValueError("a match without identifier"))
                if cancelled():
                    break
                if together.add(answers.match(found)) or not found.more:
                    self._exchange.send(together.take())
        return end_of_find(asked)

    def _move(self, acceptor: Moves, asked: Asked, answers: Answers, relational: bool) -> Final:
        cancelled = self._exchange.cancelled
        counts: SubOperations | None = None
        try:
            progress = acceptor.move(self._info, asked.move(relational), cancelled)
        except Exception as error:
            return final_of(error)
        with _closing(progress):
            while (said := _pull(progress)) is not None:
                if isinstance(said, Final | Exception):
                    return end_of_move(asked, counts, said if isinstance(said, Final) else final_of(said))
                counts = said
                if cancelled():
                    break
                self._exchange.send(answers.progress(said))
        return end_of_move(asked, counts, None)

    def _get(self, acceptor: Gets, asked: Asked, answers: Answers, relational: bool) -> Final:
        exchange = self._exchange
        try:
            total, instances = acceptor.get(self._info, asked.get(relational), exchange.cancelled)
        except Exception as error:
            return final_of(error)
        retrieval = Retrieval(self._info.contexts, asked, total)
        with _closing(instances):
            while not exchange.cancelled() and (outgoing := _pull(instances)) is not None:
                if isinstance(outgoing, Exception):
                    return retrieval.final(outgoing)
                self._sub_operation(retrieval, outgoing)
                if retrieval.due():
                    exchange.send(answers.progress(retrieval.counts))
        return retrieval.final()

    def _sub_operation(self, retrieval: Retrieval, outgoing: Outgoing) -> None:
        """One C-STORE on the same association."""
        exchange = self._exchange
        message_id = exchange.next_id()
        begun = retrieval.begin(outgoing, message_id)
        if begun is None:
            return exchange.forget(message_id)
        with ExitStack() as stack:
            try:
                views = stack.enter_context(outgoing.open())
                if not any(views):
                    raise ValueError("an empty data set")
            except Exception:
                log.exception("an instance of a C-GET could not be opened")
                retrieval.failed(outgoing)
                return exchange.forget(message_id)
            exchange.send(exchange.core.send_message(*begun, views))
        answer, _ = exchange.answer(message_id)
        retrieval.answered(outgoing, answer)
        return None

    def _normalised(self, asked: Asked, answers: Answers) -> None:
        refused = asked.refusal()
        acceptor = self._acceptor
        if refused is not None:
            answer = NormalisedAnswer(refused.status, refused.comment)
        elif not isinstance(acceptor, Normalised):
            answer = NormalisedAnswer(UNRECOGNISED_OPERATION)
        else:
            try:
                answer = acceptor.normalised(self._info, asked.normalised())
            except Exception as error:
                final = final_of(error)
                answer = NormalisedAnswer(final.status, final.comment)
        self._exchange.send(answers.normalised(answer))
        if answer.reports is not None:
            self._reports.append(cast("_Reports", answer.reports))

    # --- event reports of ours ---

    def _send_reports(self) -> None:
        """What answers asked for, once the peer has none of its requests open. It may send new ones meanwhile."""
        self._reporting = True
        try:
            while self._reports:
                self._send_report(self._reports.popleft()())
        finally:
            self._reporting = False

    def _send_report(self, reports: Generator[NormalisedRequest, NormalisedAnswer, None]) -> None:
        with _closing(reports):
            said: Any = _pull(reports)
            while isinstance(said, NormalisedRequest):
                try:
                    answer = self._report(said)
                except (AssociationFailure, RemoteProtocolError) as error:
                    _throw(reports, error)
                    if isinstance(error, ContextNotAccepted):
                        return
                    raise
                said = _step(lambda answer=answer: reports.send(answer))  # type: ignore[misc]  # bound at once
            if isinstance(said, Exception):
                log.error("a report of ours could not be made", exc_info=said)

    def _report(self, request: NormalisedRequest) -> NormalisedAnswer:
        exchange = self._exchange
        exchange.look()
        exchange.check()
        contexts = self._info.contexts.values()
        context_id = next((c.context_id for c in contexts if c.abstract_syntax == request.sop_class_uid), None)
        if context_id is None:
            raise ContextNotAccepted(f"{request.sop_class_uid} was not accepted")
        message_id = exchange.next_id()
        command = encode_normalised(request, message_id)
        exchange.send(send_with_data(exchange.core, context_id, command, request.data))
        said, data = exchange.answer(message_id)
        if said.field != command.field | 0x8000:
            raise RemoteProtocolError(f"{said.name} does not answer our report", reason=2)
        return read_normalised_answer(said, data)


class _closing:  # noqa: N801  # reads as contextlib.closing, whose errors would end the association
    """Closes an iterator that has `close`; what that raises is only noted."""

    def __init__(self, iterator: Iterator[Any]) -> None:
        self._close = getattr(iterator, "close", None)

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        if self._close is not None:
            try:
                self._close()
            except Exception:
                log.exception("a provider could not be closed")


def _pull(iterator: Iterator[T]) -> T | Exception | None:
    """The next one, None at the end, or what the provider raised."""
    return _step(lambda: next(iterator))


def _step(call: Callable[[], T]) -> T | Exception | None:
    try:
        return call()
    except StopIteration:
        return None
    except Exception as error:
        return error


def _throw(reports: Generator[Any, Any, None], error: DimseError) -> None:
    """Tell the provider that its report did not arrive."""
    try:
        reports.throw(error)
    except (StopIteration, DimseError):
        return
    except Exception:
        log.exception("a report that did not arrive could not be noted")
