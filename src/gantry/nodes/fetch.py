"""Fetch studies, series or instances from a node: what was announced is here in the end, or is named as missing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Literal, TypeAlias

from dimse.errors import DimseError
from dimse.identifier import Identifier
from dimse.operations import SubOperations
from dimse.status import Category, category_of
from gantry.dataset import is_valid_uid
from gantry.nodes.errors import BadQuery, QueryFailed
from gantry.nodes.explain import explain
from gantry.nodes.find import explain_answer, find
from gantry.nodes.into import Announced, Into, announced_of
from gantry.nodes.items import SendTarget
from gantry.nodes.retrieving import Heard, chosen, get, move

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
_IDLE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to fetch: a study, a series of it, or an instance of that."""

    study: str
    series: str = ""
    instance: str = ""

    @classmethod
    def parse(cls, text: str) -> Wanted:
        """STUDY, STUDY/SERIES or STUDY/SERIES/INSTANCE. Raises BadQuery."""
        parts = text.strip().split("/")
        if not 1 <= len(parts) <= 3 or not all(is_valid_uid(part) for part in parts):
            raise BadQuery(f"{text[:200]!r} is no UID: write STUDY, STUDY/SERIES or STUDY/SERIES/INSTANCE, of UIDs")
        return cls(*parts)

    def keys(self) -> dict[str, str]:
        """As keys of a query."""
        found = {"StudyInstanceUID": self.study, "SeriesInstanceUID": self.series, "SOPInstanceUID": self.instance}
        return {key: uid for key, uid in found.items() if uid}

    def covers(self, one: Announced) -> bool:
        """Whether an instance belongs to it."""
        return (
            one.study_instance_uid == self.study
            and self.series in {"", one.series_instance_uid}
            and self.instance in {"", one.sop_instance_uid}
        )

    def __str__(self) -> str:
        return "/".join(part for part in (self.study, self.series, self.instance) if part)


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: of silence inside a sub-operation, and for the whole (None: as long as something comes)."""

    idle_seconds: float = _IDLE_SECONDS
    deadline: float | None = None


@dataclass(slots=True)
class FetchResult:
    """What a fetch came to. `announced` is None when the node could not say what it has.

    `missing` were announced (or failed at the node) and are not here; `unexpected` came without having been
    announced, and were kept; `refused` came and could not be kept, with the reason.
    """

    announced: int | None = None
    present: int = 0
    received: int = 0
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    how: list[str] = field(default_factory=list)
    seconds: float = 0.0
    error: str = ""
    remedy: str = ""

    @property
    def ok(self) -> bool:
        """Everything that was announced is here."""
        return not (self.error or self.missing or self.refused)


@dataclass(frozen=True, slots=True)
class _Plan:
    """One retrieval."""

    keys: dict[str, str | list[str]]
    level: str
    classes: tuple[str, ...]

    def identifier(self) -> Identifier:
        return Identifier({"QueryRetrieveLevel": self.level, **self.keys})


async def fetch(
    target: SendTarget,
    uids: Iterable[str],
    into: Into,
    *,
    how: How = "auto",
    destination: str = "",
    patience: Patience | None = None,
    on_count: OnCount | None = None,
) -> FetchResult:
    """Fetch from a node. Never raises for what the node does: the result says what is missing, and why.

    The node is asked first which instances there are; those that are here already are not fetched again. C-GET is
    preferred; C-MOVE goes to `destination`, the AE title under which the node knows the receiver whose instances end
    up in `into`. To stop, cancel the task: the operation is cancelled and the association released within a second.
    Raises BadQuery, storage and database errors.
    """
    run = _Fetch(target, [Wanted.parse(uid) for uid in dict.fromkeys(uids)], into, patience or Patience())
    run.methods = _methods(how, destination, target.quirks)
    run.destination, run.on_count = destination, on_count or (lambda done, total: None)
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
    await run.finish()
    run.result.seconds = monotonic() - began
    return run.result


def _methods(how: How, destination: str, quirks: Collection[str]) -> list[How]:
    if how == "move" and not destination:
        raise BadQuery("C-MOVE needs a receiver of ours that the node knows; fetch into the home, or use C-GET")
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
        self._announced: dict[str, Announced] | None = {}
        self._present: set[str] = set()
        self._failed: dict[str, None] = {}  # by the node's own account, where nothing was announced
        self._uncounted = 0
        self._moved = 0

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
        if left and self._moved:
            # The index need not be waited for where the node says that it has failed.
            self._present |= await self._settled(
                [one.sop_instance_uid for one in left if one.sop_instance_uid not in self._failed]
            )
            left = [one for one in left if one.sop_instance_uid not in self._present]
        return left

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

    def _plans(self, left: Sequence[Announced]) -> Iterator[_Plan]:
        """The largest pieces of which nothing is here, and single instances of the others."""
        missing = {one.sop_instance_uid for one in left}
        for one in self.wanted:
            mine = [item for item in (self._announced or {}).values() if one.covers(item)]
            here = [item for item in mine if item.sop_instance_uid not in missing]
            if not here:
                yield self._whole(one, mine)
                continue
            rest = [item for item in mine if item.sop_instance_uid in missing]
            begun = {item.series_instance_uid for item in here}
            for series in dict.fromkeys(item.series_instance_uid for item in rest if item.series_instance_uid not in begun):
                yield self._whole(Wanted(one.study, series), [item for item in rest if item.series_instance_uid == series])
            yield from self._by_instance([item for item in rest if item.series_instance_uid in begun])

    def _by_instance(self, items: Sequence[Announced]) -> Iterator[_Plan]:
        return _by_instance(items, 1 if "no-uid-lists" in self.target.quirks else LIST)

    def _whole(self, one: Wanted, items: Sequence[Announced]) -> _Plan:
        level = "IMAGE" if one.instance else "SERIES" if one.series else "STUDY"
        return _Plan(dict(one.keys()), level, _classes(items))

    async def _retrieve(self, plans: Sequence[_Plan]) -> QueryFailed | None:
        """Carry plans out; gives the last refusal. A way that the node does not offer is not tried again."""
        refusal: QueryFailed | None = None
        for plan in plans:
            while self.methods:
                try:
                    await self._carry_out(plan, self.methods[0])
                    break
                except QueryFailed as error:
                    if error.status not in _NOT_OFFERED:
                        refusal = error
                        break
                    if len(self.methods) == 1:
                        raise
                    self.methods = self.methods[1:]
        return refusal

    async def _carry_out(self, plan: _Plan, method: How) -> None:
        total = self.result.announced

        def count(counts: SubOperations | None) -> None:
            moved = self._moved + counts.completed + counts.warned if counts is not None and method == "move" else self._moved
            self.on_count(len(self._present) + len(self.into.kept) + moved, total)

        idle = self.patience.idle_seconds
        if method == "get":
            heard = await get(self.target, plan.identifier(), plan.classes, self.into, idle, count)
        else:
            heard = await move(self.target, plan.identifier(), self.destination, idle, count)
        if method not in self.result.how:
            self.result.how.append(method)
        self._account(heard, method)

    def _account(self, heard: Heard, method: str) -> None:
        counts, final = heard.counts, heard.final
        if method == "move":
            self._moved += counts.completed + counts.warned
        self._failed |= dict.fromkeys(uid for uid in heard.failed if uid)
        self._uncounted += max(0, counts.failed - len(heard.failed))
        if final is not None and category_of(final.status) is Category.FAILURE:
            cause, remedy = explain_answer(final.status, final.comment, f"C-{method.upper()}")
            raise QueryFailed(cause, remedy, final.status)

    def fail(self, error: str, remedy: str) -> None:
        """Say what went wrong."""
        self.result.error, self.result.remedy = error, remedy

    async def finish(self) -> None:
        """Make what came last, and count."""
        kept, result = self.into.kept, self.result
        uids = [uid for uid in (kept if self._announced is None else {**self._announced, **kept}) if uid not in self._present]
        there = await self._settled([uid for uid in uids if uid in kept or (self._moved and uid not in self._failed)])
        result.refused = {uid: text for uid, text in self.into.refused.items() if uid not in kept}
        came = {uid for uid in kept if uid in there} | (there & set(self._announced or ()))
        result.received = len(came) + sum(1 for uid in self._present if uid not in kept) - result.present
        if self._announced is None:
            result.received = max(len(came), self._moved)
            result.missing = sorted({*self._failed, *(uid for uid in kept if uid not in there)} - came)
            if self._uncounted and not result.error:
                self.fail(f"the node failed to send {self._uncounted} instances and does not name them", "see its log")
        else:
            result.unexpected = sorted(uid for uid in kept if uid not in self._announced)
            result.missing = [uid for uid in self._announced if uid not in self._present and uid not in came]
        if result.missing and not result.error:
            self.fail(f"{len(result.missing)} instances did not arrive", "fetch again: what is here is not fetched twice")


def _by_instance(items: Sequence[Announced], together: int) -> Iterator[_Plan]:
    """Lists of instances, a series at a time (PS3.4 C.4.2.2.1: only the last unique key may be a list)."""
    by_series: dict[tuple[str, str], list[Announced]] = {}
    for item in items:
        by_series.setdefault((item.study_instance_uid, item.series_instance_uid), []).append(item)
    for (study, series), members in by_series.items():
        for start in range(0, len(members), together):
            some = members[start : start + together]
            keys: dict[str, str | list[str]] = {"StudyInstanceUID": study, "SeriesInstanceUID": series}
            keys["SOPInstanceUID"] = chosen([item.sop_instance_uid for item in some])
            yield _Plan(keys, "IMAGE", _classes(some))


def _classes(items: Sequence[Announced]) -> tuple[str, ...]:
    """The SOP classes, the most frequent first; none when the node did not name them all."""
    counts: dict[str, int] = {}
    for item in items:
        counts[item.sop_class_uid] = counts.get(item.sop_class_uid, 0) + 1
    return () if "" in counts else tuple(sorted(counts, key=counts.__getitem__, reverse=True))
