"""Associations that stay open for a few seconds, so that the next batch to the same node need not negotiate again."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache

from dimse.blocking import ClientAssociation
from dimse.errors import DimseError
from dimse.negotiation import ContextProposal
from gantry.nodes.associate import MAX_CONTEXTS, associate
from gantry.nodes.items import SendTarget

#: How long an association may wait for more work before it is released, seconds.
IDLE_SECONDS = 3.0
Context = tuple[str, str]


@dataclass(slots=True, eq=False)
class Leased:
    """An association in the hands of one thread. `reused`: it may have died while it waited, which only use tells.
    `left_out`: contexts that were wanted and not proposed, because the profile of the node says that it refuses them."""

    target: SendTarget
    association: ClientAssociation
    proposed: frozenset[Context]
    reused: bool = False
    idle_since: float = field(default=0.0)
    left_out: frozenset[Context] = frozenset()

    @property
    def max_pdu(self) -> int | None:
        """The largest PDU that the peer says it takes, bytes; 0: any."""
        accept = self.association.core.accept_pdu
        return accept.user.max_length if accept is not None else None

    def accepts(self, context: Context) -> bool:
        """Whether the peer took this context."""
        return context in self.association.accepted


class AssociationPool:
    """Open, lend, take back and release associations. Thread-safe; a lent association belongs to one thread."""

    def __init__(self, idle_seconds: float = IDLE_SECONDS) -> None:
        self._idle_seconds = idle_seconds
        self._changed = threading.Condition()
        self._idle: list[Leased] = []
        self._reaper: threading.Thread | None = None

    def lease(self, target: SendTarget, needed: Context, wanted: Iterable[Context]) -> Leased:
        """An association on which `needed` was proposed: an idle one, or a new one that proposes `wanted` too.

        The newest of `wanted` are preferred where they do not all fit. Raises what `associate` raises.
        """
        with self._changed:
            for leased in reversed(self._idle):
                if leased.target == target and needed in leased.proposed:
                    self._idle.remove(leased)
                    leased.reused = True
                    return leased
        return self.open(target, needed, wanted)

    def open(self, target: SendTarget, needed: Context, wanted: Iterable[Context]) -> Leased:
        """A new association, never an idle one."""
        others = [context for context in wanted if context != needed]
        proposed = [needed, *others[-(MAX_CONTEXTS - 1) :]]
        # One syntax each: the peer cannot choose another one than that of the file.
        association = associate(target, [ContextProposal(sop_class, (syntax,)) for sop_class, syntax in proposed])
        return Leased(target, association, frozenset(proposed))

    def give_back(self, leased: Leased) -> None:
        """Keep a sound association for the next one who needs it."""
        if self._idle_seconds <= 0:
            release(leased)
            return
        leased.idle_since = time.monotonic()
        with self._changed:
            self._idle.append(leased)
            if self._reaper is None or not self._reaper.is_alive():
                self._reaper = threading.Thread(target=self._reap, name="association-reaper", daemon=True)
                self._reaper.start()

    def close(self) -> None:
        """Release everything that is idle."""
        with self._changed:
            idle, self._idle = self._idle, []
            self._changed.notify_all()
        for leased in idle:
            release(leased)

    def _reap(self) -> None:
        while True:
            with self._changed:
                now = time.monotonic()
                old = [leased for leased in self._idle if now - leased.idle_since >= self._idle_seconds]
                self._idle = [leased for leased in self._idle if leased not in old]
                if not old and not self._idle:
                    self._reaper = None
                    return
                if not old:
                    self._changed.wait(self._idle_seconds / 4)
            for leased in old:
                release(leased)


def release(leased: Leased) -> None:
    """End an association in order; a peer that does not confirm is forgiven, all was answered."""
    with suppress(DimseError, OSError):
        leased.association.release()


@cache
def shared_pool() -> AssociationPool:
    """The pool of this process."""
    return AssociationPool()
