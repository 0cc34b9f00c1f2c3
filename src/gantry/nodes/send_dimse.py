"""A lane to a DIMSE peer: one association at a time, stored bytes verbatim unless the node says otherwise (PS3.4 annex B)."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime

from dimse.errors import AssociationFailure, ContextNotAccepted, DimseError, RemoteProtocolError
from dimse.requesting import StoreResult
from dimse.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from gantry.nodes.explain import explain, explain_status
from gantry.nodes.items import Outcome, SendItem, SendTarget
from gantry.nodes.lane import Lane, Run
from gantry.nodes.meter import pace
from gantry.nodes.outgoing import Outgoing, Unsendable, outgoing
from gantry.nodes.pool import AssociationPool, Context, Leased, release
from gantry.nodes.stored import StoredDataSet

#: What is offered beside the syntax of the file to a node that may be given another one.
_INSTEAD = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)


class Door:
    """How the lanes of one run get associations and give them back.

    What the node's profile says is refused is not proposed, so that the rest fits into one association; but an item that
    needs it always has it proposed: the profile may be old.
    """

    def __init__(self, pool: AssociationPool) -> None:
        self.pool = pool
        self._lock = threading.Lock()
        self._opening = 0
        #: Proposed in spite of the profile from now on, as some item needs it.
        self._insisted: set[Context] = set()

    def open(self, get: Callable[..., Leased], run: Run, item: SendItem) -> Leased:
        """An association by `lease` or `open` of the pool. Raises what they raise."""
        assert isinstance(run.target, SendTarget)
        advice = run.target.advice
        wanted: Iterable[Context] = list(run.feed.contexts)
        if run.manner.transcode != "never":
            wanted = dict.fromkeys([*((cls, syntax) for cls, _ in wanted for syntax in _INSTEAD), *wanted])
        with self._lock:
            self._opening += 1
            self._insisted.add(item.context)
            left_out = frozenset(one for one in wanted if one not in self._insisted and advice.expects(one) is False)
        try:
            leased = get(run.target, item.context, [one for one in wanted if one not in left_out])
        finally:
            with self._lock:
                self._opening -= 1
        if not leased.reused:
            leased.left_out = left_out
            run.differs(advice.differs(leased.proposed, leased.association.accepted, leased.max_pdu))
        return leased

    def insist(self, leased: Leased, item: SendItem) -> bool:
        """Whether something was left out that may serve this item; then it is proposed from now on."""
        missed = {one for one in leased.left_out if one[0] == item.sop_class_uid}
        with self._lock:
            self._insisted |= missed
        return bool(missed)

    def give_back(self, leased: Leased) -> None:
        """Keep an association for the next run, unless another thread of this one still waits for the peer: many
        serve one association at a time."""
        with self._lock:
            awaited = self._opening > 0
        if awaited:
            release(leased)
        else:
            self.pool.give_back(leased)


class DimseLane(Lane):
    """One thread with one association at a time."""

    def __init__(self, run: Run, door: Door) -> None:
        super().__init__(run)
        assert isinstance(run.target, SendTarget)
        self._target = run.target
        self._door = door
        self._leased: Leased | None = None
        self._paced = math.inf

    def one(self, item: SendItem, data: StoredDataSet, started: datetime) -> bool:
        """Try one item; False when this thread is to end."""
        leased = self._association_or_none(item)
        return leased is not None and self._offer(leased, item, data, started)

    def _offer(self, leased: Leased, item: SendItem, data: StoredDataSet, started: datetime) -> bool:
        accepted = [syntax for sop_class, syntax in leased.association.accepted if sop_class == item.sop_class_uid]
        with outgoing(item, data, accepted, self.joint.manner.transcode) as out:
            if out is None:
                if self._door.insist(leased, item):
                    again = self._association_or_none(item, fresh=True)
                    return again is not None and self._offer(again, item, data, started)
                self.record(item, Outcome.REFUSED, started, self._refusal(leased, item), permanent=True)
                return True
            rate = self.wait_for_room(item, out.size)
            if rate is None:
                return False
            if rate != self._paced:
                pace(leased.association._sock, rate)
                self._paced = rate
            return self._store(leased, item, data, out, started)

    def _association_or_none(self, item: SendItem, *, fresh: bool = False) -> Leased | None:
        try:
            return self._association(item, fresh=fresh)
        except (DimseError, OSError) as error:
            self.joint.feed.push_back(item)
            self.joint.unreachable(str(explain(error, self._target)))
            return None

    def _association(self, item: SendItem, *, fresh: bool) -> Leased:
        leased = self._leased
        if leased is not None and not fresh:
            if item.context in leased.proposed:
                return leased
            # The batch has grown by a context: a new association that has it too.
            self._leased = None
            release(leased)
        get = self._door.pool.open if fresh else self._door.pool.lease
        self._leased = self._door.open(get, self.joint, item)
        # A lent one may still keep the pace of its last run: the next item sets it in every case.
        self._paced = math.nan if self._leased.reused else math.inf
        return self._leased

    def _store(self, leased: Leased, item: SendItem, data: StoredDataSet, out: Outgoing, started: datetime) -> bool:
        try:
            answer = _store(leased, item, out)
        except AssociationFailure as error:
            self.drop()
            if leased.reused:
                # It died while it was idle; that says nothing about the item nor about the peer.
                again = self._association_or_none(item, fresh=True)
                return again is not None and self._offer(again, item, data, started)
            return self._lost(error, item, out, started)
        except (RemoteProtocolError, OSError) as error:
            self.drop()
            return self._lost(error, item, out, started)
        except (DimseError, ValueError) as error:
            self.drop()
            text = str(Unsendable(str(error)))
            self.record(item, Outcome.REFUSED, started, text, permanent=True, out=out)
            return True
        leased.reused = False
        self._answered(answer, item, out, started)
        return True

    def _lost(self, error: Exception, item: SendItem, out: Outgoing, started: datetime) -> bool:
        text = str(explain(error, self._target))
        self.record(item, Outcome.FAILED, started, text, out=out)
        return not self.joint.lost(text)

    def _answered(self, answer: StoreResult, item: SendItem, out: Outgoing, started: datetime) -> None:
        if answer.status == 0:
            self.record(item, Outcome.CONFIRMED, started, "", status=0, out=out)
            return
        why = explain_status(answer.status, answer.comment)
        outcome = Outcome.CONFIRMED if answer.stored else Outcome.REFUSED
        self.record(item, outcome, started, str(why), permanent=why.permanent, status=answer.status, out=out)

    def drop(self) -> None:
        """Abort."""
        leased, self._leased = self._leased, None
        if leased is not None:
            with suppress(DimseError, OSError):
                leased.association.abort()

    def close(self) -> None:
        """Give the association back."""
        if self._leased is not None:
            self._door.give_back(self._leased)
            self._leased = None

    def _refusal(self, leased: Leased, item: SendItem) -> str:
        # Only the syntax of the file was offered, so the peer may mean either; where others were, it means the class.
        never = self.joint.manner.transcode == "never"
        if any(sop_class == item.sop_class_uid for sop_class, _ in leased.association.accepted):
            what = f"the peer takes SOP class {item.sop_class_uid}, but not in transfer syntax {item.transfer_syntax_uid}"
            more = "the node's setting transcode may allow another one" if never else "have the peer accept it"
            return f"{what} ({more})"
        hint = "; or not in this transfer syntax: the node's setting transcode may allow another one" if never else ""
        why = explain(ContextNotAccepted(""), leased.target)
        return f"the peer does not take SOP class {item.sop_class_uid} ({why.remedy}{hint})"


def _store(leased: Leased, item: SendItem, out: Outgoing) -> StoreResult:
    return leased.association.store(
        sop_class_uid=item.sop_class_uid,
        sop_instance_uid=out.sop_instance_uid,
        transfer_syntax_uid=out.transfer_syntax_uid,
        data=out.views,
        move_originator=item.move_originator,
    )
