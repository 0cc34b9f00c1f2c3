"""Fetch studies, series or instances from a node: what was announced is here in the end, or is named as missing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from time import monotonic
from typing import Literal, TypeAlias

from dimse.errors import DimseError
from dimse.operations import SubOperations
from dimse.status import Category, Service, category_of
from gantry.nodes.errors import BadQuery, QueryFailed
from gantry.nodes.explain import explain, explain_final
from gantry.nodes.fetch_plan import FetchResult, Patience, Plan, Wanted, by_instance, classes_of
from gantry.nodes.find import find
from gantry.nodes.into import Announced, Into, announced_of
from gantry.nodes.items import SendTarget
from gantry.nodes.lanes import in_lanes, wants_less
from gantry.nodes.moves import Receives
from gantry.nodes.parallel import Parallel
from gantry.nodes.retrieving import Heard, get, move

__all__ = ["LIST", "MOST", "FetchResult", "How", "OnCount", "Patience", "Wanted", "fetch"]

How: TypeAlias = Literal["auto", "get", "move"]
OnCount = Callable[[int, int | None], None]
#: SOP Instance UIDs in one identifier.
LIST = 200
#: Instances that one study may have; a node that announces more is not believed.
MOST = 500_000
#: What a node answers, or we find out, when a service is not offered.
_NOT_OFFERED = frozenset({0x0122, 0x0211})
#: How long the index may be silent before we look at what it has, seconds.
_SETTLE_SECONDS = 20.0


async def fetch(
    target: SendTarget,
    uids: Iterable[str],
    into: Into,
    *,
    how: How = "auto",
    destination: str = "",
    patience: Patience | None = None,
    on_count: OnCount | None = None,
    parallel: Parallel | None = None,
) -> FetchResult:
    """Fetch from a node. Never raises for what the node does: the result says what is missing, and why.

    The node is asked first which instances there are; those that are here already are not fetched again. C-GET is
    preferred; C-MOVE goes to `destination`, the AE title under which the node knows the receiver whose instances end
    up in `into`. `parallel` says how many associations may be open, and learns how many are good: series are then
    fetched beside each other (None: one association). To stop, cancel the task: the operation is cancelled and the
    association released within a second.
    Raises BadQuery, storage and database errors.
    """
    run = _Fetch(target, [Wanted.parse(uid) for uid in dict.fromkeys(uids)], into, patience or Patience())
    run.methods = _methods(how, destination, target.quirks)
    run.destination, run.on_count = destination, on_count or (lambda done, total: None)
    run.parallel = parallel or run.parallel
    began = monotonic()
    try:
        async with asyncio.timeout(run.patience.deadline):
            await run.go()
    except TimeoutError:
        run.fail(f"it took longer than {run.patience.deadline:g} s", "fetch again: what is here is not fetched twice")
    except QueryFailed as error:
        run.fail(str(error), error.remedy)
    except (DimseError, OSError) as error:
        why = explain(error, target)
        run.fail(why.cause, why.remedy)
    except BaseException:
        await run.forget_moves()
        raise
    try:
        await run.finish()
    finally:
        await run.forget_moves()
    run.result.associations = run.parallel.limit
    run.result.seconds = monotonic() - began
    return run.result


def _methods(how: How, destination: str, quirks: Collection[str]) -> list[How]:
    if how == "move" and not destination:
        raise BadQuery("C-MOVE needs our receiver: start `gantry up`, and let the node know its AE title and port; or use C-GET")
    if how != "auto":
        return [how]
    if not destination:
        return ["get"]
    if "no-get" in quirks:
        return ["move"]
    return ["get"] if "no-move" in quirks else ["get", "move"]


class _Fetch:
    """One call of `fetch`."""

    def __init__(self, target: SendTarget, wanted: Sequence[Wanted], into: Into, patience: Patience) -> None:
        self.target = target
        self.wanted = wanted
        self.into = into
        self.patience = patience
        self.result = FetchResult()
        self.methods: list[How] = []
        self.destination = ""
        self.on_count: OnCount = lambda done, total: None
        self.parallel = Parallel(1, 1)
        self._announced: dict[str, Announced] | None = {}
        self._present: set[str] = set()
        self._failed: dict[str, None] = {}  # by the node's own account, where nothing was announced
        self._uncounted = 0
        self._moves = into.moves if isinstance(into, Receives) else None
        self._sent: dict[str, int] = {}  # what the node says that it moved, by what was asked for
        self._moving = 0  # by operations that are under way, or were lost

    async def go(self) -> None:
        """Ask, retrieve, then what did not come once more, one by one; at last in another way."""
        await self._announce()
        if self._announced is None:
            refusal = await self._retrieve([self._whole(one, ()) for one in self.wanted])
            if refusal is not None:
                raise refusal
            return
        self._present = self.into.here(list(self._announced.values()))
        self.result.announced, self.result.present = len(self._announced), len(self._present)
        trouble: Exception | None = None
        for attempt in range(3):
            left = await self._left()
            if attempt == 2:  # what C-GET did not bring twice may come by C-MOVE
                self.methods = self.methods[1:]
            if not left or not self.methods:
                break
            self._failed, self._uncounted, trouble = {}, 0, None
            try:
                trouble = await self._retrieve(list(self._plans(left) if attempt != 1 else self._by_instance(left)))
            except (DimseError, OSError) as error:
                trouble = error
        if trouble is not None and await self._left():
            raise trouble

    async def _announce(self) -> None:
        """Which instances there are. Where the node cannot say at level IMAGE, nothing is known."""
        if "no-image-level" in self.target.quirks:
            self._announced = None
            return
        for one in self.wanted:
            try:
                answers = [answer async for answer in find(self.target, "IMAGE", one.keys(), limit=MOST + 1)]
            except QueryFailed as error:
                if error.status is None:
                    raise
                self._announced = None
                return
            found = announced_of(answers)
            if not found:
                raise QueryFailed(
                    f"the node has nothing of {one}",
                    "check the UID with `gantry find`; a series is written STUDY/SERIES, an instance STUDY/SERIES/INSTANCE",
                )
            assert self._announced is not None
            self._announced |= found
            if len(answers) > MOST:
                raise QueryFailed(f"the node announces more than {MOST} instances of {one}", "fetch series by series")

    async def _left(self) -> list[Announced]:
        """What was announced and is not here. What was moved is here when the index has it."""
        gone = self._present | self.into.kept.keys()
        left = [one for uid, one in (self._announced or {}).items() if uid not in gone]
        if left and self._has_moved:
            # The index need not be waited for where the node says that it has failed.
            self._present |= await self._settled(
                [one.sop_instance_uid for one in left if one.sop_instance_uid not in self._failed]
            )
            left = [one for one in left if one.sop_instance_uid not in self._present]
        return left

    @property
    def _moved(self) -> int:
        return sum(self._sent.values())

    @property
    def _has_moved(self) -> bool:
        """Whether anything may be on its way through our receiver."""
        return self._moved > 0 or self._moving > 0

    async def _settled(self, uids: Sequence[str]) -> set[str]:
        """Those of `uids` that are where they belong, waiting as long as more of them come."""
        waiting = asyncio.get_running_loop().run_in_executor(None, self.into.settle, uids, self._settle_seconds())
        try:
            return set(uids) - await asyncio.shield(waiting)
        except asyncio.CancelledError:
            self.into.stop()
            raise

    def _settle_seconds(self) -> float:
        return min(self.patience.idle_seconds, _SETTLE_SECONDS)

    def _plans(self, left: Sequence[Announced]) -> Iterator[Plan]:
        """The largest pieces of which nothing is here, and single instances of the others."""
        missing = {one.sop_instance_uid for one in left}
        for one in self.wanted:
            mine = [item for item in (self._announced or {}).values() if one.covers(item)]
            here = [item for item in mine if item.sop_instance_uid not in missing]
            every = list(dict.fromkeys(item.series_instance_uid for item in mine))
            if not here and (one.series or self.parallel.ceiling == 1 or len(every) == 1):
                yield self._whole(one, mine)
                continue
            rest = [item for item in mine if item.sop_instance_uid in missing]
            begun = {item.series_instance_uid for item in here}
            for series in dict.fromkeys(item.series_instance_uid for item in rest if item.series_instance_uid not in begun):
                yield self._whole(Wanted(one.study, series), [item for item in rest if item.series_instance_uid == series])
            yield from self._by_instance([item for item in rest if item.series_instance_uid in begun])

    def _by_instance(self, items: Sequence[Announced]) -> Iterator[Plan]:
        return by_instance(items, 1 if "no-uid-lists" in self.target.quirks else LIST)

    def _whole(self, one: Wanted, items: Sequence[Announced]) -> Plan:
        level = "IMAGE" if one.instance else "SERIES" if one.series else "STUDY"
        return Plan(dict(one.keys()), level, classes_of(items))

    async def _retrieve(self, plans: Sequence[Plan]) -> QueryFailed | None:
        """Carry plans out; gives the last refusal. A way that the node does not offer is not tried again."""
        refusal: QueryFailed | None = None

        async def one(plan: Plan) -> None:
            nonlocal refusal
            while self.methods:
                method = self.methods[0]
                try:
                    await self._carry_out(plan, method)
                    break
                except QueryFailed as error:
                    if error.status not in _NOT_OFFERED:
                        if self.parallel.limit > 1 and wants_less(error):
                            raise
                        refusal = error
                        break
                    if self.methods == [method]:
                        raise
                    self.methods = [other for other in self.methods if other != method]

        try:
            await in_lanes(plans, one, self.parallel)
        except QueryFailed as error:
            if not wants_less(error):
                raise
            refusal = error
        return refusal

    async def _carry_out(self, plan: Plan, method: How) -> None:
        total = self.result.announced
        mine = 0

        def count(counts: SubOperations | None) -> None:
            nonlocal mine
            if method == "move" and counts is not None:
                mine, before = counts.completed + counts.warned, mine
                self._moving += mine - before
                for _ in range(before, mine):
                    self.parallel.answered(0)
            elif counts is None:
                self.parallel.answered(0)
            self.on_count(len(self._present) + len(self.into.kept) + self._moved + self._moving, total)

        idle = self.patience.idle_seconds
        if method == "get":
            heard = await get(self.target, plan.identifier(), plan.classes, self.into, idle, count)
        else:
            message_id = await self._expect()
            heard = await move(self.target, plan.identifier(), self.destination, idle, count, message_id)
        self._moving -= mine  # counted as moved from here on
        if method not in self.result.how:
            self.result.how.append(method)
        self._account(plan, heard, method)

    async def _expect(self) -> int | None:
        """A message id by which our receiver knows what comes with the next move."""
        if self._moves is None:
            return None
        return await asyncio.to_thread(self._moves.expect, self.target.calling_aet, self.target.address.aet)

    async def forget_moves(self) -> None:
        """Nothing is awaited any more."""
        if self._moves is not None and self._moves.any:
            await asyncio.to_thread(self._moves.close)

    def _account(self, plan: Plan, heard: Heard, method: str) -> None:
        counts, final = heard.counts, heard.final
        if method == "move":
            self._sent[repr(plan.keys)] = counts.completed + counts.warned
        self._failed |= dict.fromkeys(uid for uid in heard.failed if uid)
        self._uncounted += max(0, counts.failed - len(heard.failed))
        if final is not None and category_of(final.status) is Category.FAILURE:
            cause, remedy = explain_final(
                final.status, final.comment, Service.MOVE if method == "move" else Service.GET, self.target
            )
            raise QueryFailed(cause, remedy, final.status)

    def fail(self, error: str, remedy: str) -> None:
        """Say what went wrong."""
        self.result.error, self.result.remedy = error, remedy

    async def finish(self) -> None:
        """Make what came last, and count."""
        kept, result = self.into.kept, self.result
        moved = await self._arrived() if self._announced is None else {}
        uids = [uid for uid in {**(self._announced or moved), **kept} if uid not in self._present]
        there = await self._settled([uid for uid in uids if uid in kept or (self._has_moved and uid not in self._failed)])
        result.refused = {uid: text for uid, text in self.into.refused.items() if uid not in kept}
        came = {uid for uid in kept if uid in there} | (there & set(moved if self._announced is None else self._announced))
        result.received = len(came) + sum(1 for uid in self._present if uid not in kept) - result.present
        if self._announced is None:
            self._count_unannounced(came, {*self._failed, *(uid for uid in [*kept, *moved] if uid not in there)})
        else:
            others = self._moves.came if self._moves is not None else ()
            result.unexpected = sorted({uid for uid in [*kept, *others] if uid not in self._announced})
            result.missing = [uid for uid in self._announced if uid not in self._present and uid not in came]
        if result.missing and not result.error:
            self.fail(f"{len(result.missing)} instances did not arrive", "fetch again: what is here is not fetched twice")

    async def _arrived(self) -> dict[str, None]:
        """What came with our moves where the node could not say what there is: as many as it says that it sent."""
        moves = self._moves
        if moves is None or not self._has_moved:
            return {}
        waiting = asyncio.to_thread(moves.await_count, self._moved, {one.study for one in self.wanted}, self._settle_seconds())
        try:
            return dict.fromkeys(await waiting)
        except asyncio.CancelledError:
            moves.stop()
            raise

    def _count_unannounced(self, came: set[str], lost: set[str]) -> None:
        result, moves = self.result, self._moves
        result.missing = sorted(lost - came)
        named = moves is not None and bool(moves.came)
        if moves is not None and named:
            wanted = {one.study for one in self.wanted}
            result.unexpected = sorted(uid for uid, study in moves.studies.items() if study not in wanted)
        else:  # the node names no move: what it says is all that is known
            result.received = max(len(came), self._moved)
        if result.error:
            return
        if self._uncounted:
            self.fail(f"the node failed to send {self._uncounted} instances and does not name them", "see its log")
        elif named and len(came) < self._moved:
            self.fail(f"the node says that it sent {self._moved} instances, and {len(came)} arrived", "fetch again; see its log")
