"""C-FIND, C-GET or C-MOVE of a requestor while it runs, and the instances that come in by C-GET."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Self

from dimse.acceptance import Drain, StoreAnswer, StoreRequest, answer_bytes, failed
from dimse.asking import read_answer
from dimse.association import Association
from dimse.blocking.acceptor import StoreSink
from dimse.commands import Command
from dimse.errors import LocalProtocolError
from dimse.events import DataFragment
from dimse.negotiation import AcceptedContext
from dimse.operations import Final, Progress, SubOperations
from dimse.requesting import StoreBegins

log = logging.getLogger(__name__)
Store = Callable[[StoreRequest, AcceptedContext], StoreSink]


class Operation:
    """Iterate over it to its end, then ask for `final`; the association is free again only then.

    `cancel` may be called by any thread; over TLS only by the one that iterates. Iterating raises what breaks the
    association.
    """

    def __init__(
        self,
        message_id: int,
        context: AcceptedContext,
        wait: Callable[[], tuple[Command, bytes]],
        send_cancel: Callable[[int, int], None],
    ) -> None:
        self.message_id = message_id
        #: The identifiers that come are in this syntax.
        self.transfer_syntax_uid = context.transfer_syntax
        #: The last counts that came.
        self.counts: SubOperations | None = None
        self._context_id = context.context_id
        self._wait = wait
        self._send_cancel = send_cancel
        self._final: Final | None = None

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

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Progress:
        if self._final is not None:
            raise StopIteration
        said = read_answer(*self._wait())
        if said.counts is not None:
            self.counts = said.counts
        if isinstance(said, Progress):
            return said
        self._final = said
        raise StopIteration

    def cancel(self) -> None:
        """Ask the peer to stop (C-CANCEL). It may answer on for a while; go on iterating to the end."""
        if self._final is None:
            self._send_cancel(self._context_id, self.message_id)

    def finish(self) -> Final:
        """Throw away what still comes, return the final answer."""
        for _ in self:
            continue
        return self.final


class Incoming:
    """Gives the instances of a C-GET to the program and answers them."""

    def __init__(self, core: Association, store: Store) -> None:
        self._core = core
        self._store = store
        self._sink: StoreSink | None = None
        self._begun: StoreBegins | None = None

    def begin(self, begun: StoreBegins) -> None:
        """A C-STORE-RQ."""
        self._begun = begun
        try:
            self._sink = self._store(begun.request, begun.context)
        except Exception as error:
            self._sink = Drain(failed(error))

    def piece(self, event: DataFragment) -> bytes:
        """Part of its data set; after the last one the response, to be sent."""
        sink, begun = self._sink, self._begun
        assert sink is not None  # a data set follows its command
        assert begun is not None
        try:
            for view in event.views:
                sink.write(view)
            if not event.last:
                return b""
            answer = sink.finish()
        except Exception as error:
            answer = failed(error)
            self._undo(sink, answer)
        if not event.last:
            return b""
        self._sink = None
        return answer_bytes(self._core, event.context_id, begun.command, answer)

    def abort(self) -> None:
        """The association is over."""
        sink, self._sink = self._sink, None
        if sink is not None:
            self._undo(sink, StoreAnswer())
            self._sink = None

    def _undo(self, sink: StoreSink, answer: StoreAnswer) -> None:
        self._sink = Drain(answer)
        try:
            sink.abort()
        except Exception:
            log.exception("a sink could not be aborted")
